"""Diversity of samples: how far apart two takes of the same speech are, over the lips, the upper face, the whole face.

All pairs, no drawing. The three regions come from one pass over the samples, frames by frames: every sample is indexed
once for each block of frames, so let long ones be arrays mapped from disk. Noise is diverse as well: read it beside the
errors.

Letters: N samples, t frames, d distance of a vertex between two samples, w its weight in the region.
"""

from __future__ import annotations

import numpy as np

from vultus.errors import VultusError
from vultus.metrics.base import Example, Info, Mean, Unavailable, check_shapes
from vultus.metrics.frames import MEASURED, checked_region

BLOCK_BYTES = 128 << 20
"""Of the same frames of all samples together."""


def pair_distances(example: Example) -> np.ndarray:
    """Mean distance of each vertex over all pairs of samples and all frames, (V,) float64, in the unit of results.

    Vertices outside the regions of MEASURED are 0. Kept with the example.
    """
    if "diversity" not in example.cache:
        from vultus.metrics import kernels

        (length, size), count = example.reference.shape[:2], len(example.samples)
        regions = [checked_region(example.regions[name], size) for name in MEASURED if name in example.regions]
        vertices = np.unique(np.concatenate([region.vertices for region in regions]))
        step = max(1, BLOCK_BYTES // (12 * count * len(vertices)))
        summed = np.zeros(len(vertices))
        for begin in range(0, length, step):
            block = np.empty((min(step, length - begin), count, len(vertices), 3), np.float32)
            for n in range(count):
                sample = example.samples[n]
                check_shapes(sample, example.reference)
                frames = sample[begin : begin + step]
                block[:, n] = frames if len(vertices) == size else frames[:, vertices]
            if not np.isfinite(block).all():
                raise VultusError("prediction holds NaN or infinite coordinates; expected finite ones")
            kernels.add_pair_distances(block, summed)
        everywhere = np.zeros(size)
        everywhere[vertices] = summed * (example.scale / (length * count * (count - 1) / 2))
        example.cache["diversity"] = everywhere
    found: np.ndarray = example.cache["diversity"]
    return found


class _Diversity(Mean):
    region: str

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        region = example.region(self.region)
        if len(example.samples) < 2:
            raise Unavailable("one sample; diversity needs two")
        weights = region.weights.astype(np.float64)
        return self.one(float(pair_distances(example)[region.vertices] @ weights / weights.sum()))


def _info(name: str, region: str, words: str) -> Info:
    return Info(
        name=name,
        version=1,
        title=f"diversity of the {words}",
        formula=f"2 / (N (N - 1)) sum_n<m mean_t ( sum_i w_i d_nmti / sum_i w_i ), i in {region}",
        source="ours: all pairs, where ProbTalk3D's evaluation pairs two random halves of the samples",
        quantity="length",
        direction="none",
        pooling="mean over pairs and frames, then over sequences",
        needs=(region, "samples"),
    )


class LipDiversity(_Diversity):
    """Diversity of the lips: what is said should hold it low.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> samples = [still, still + [0.001, 0.0, 0.0], still + [0.003, 0.0, 0.0]]  # pairs are 1, 3 and 2 mm apart
    >>> round(score("div_lips", Example.from_arrays(still, samples, still[0], {"lips": [0, 1]})), 4)
    2.0
    """

    region = "lips"
    info = _info("div_lips", "lips", "lips")


class UpperDiversity(_Diversity):
    """Diversity of the upper face, which the sound leaves free.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> moved = still.copy()
    >>> moved[0, 2] = [0.0, 0.002, 0.0]
    >>> round(score("div_upper", Example.from_arrays(still, [still, moved], still[0], {"upper_face": [2]})), 4)
    1.0
    """

    region = "upper_face"
    info = _info("div_upper", "upper_face", "upper face")


class FaceDiversity(_Diversity):
    """Diversity of the whole face.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> round(score("div_face", Example.from_arrays(still, [still, still + [0.0, 0.003, 0.004]], still[0])), 4)
    5.0
    """

    region = "face"
    info = _info("div_face", "face", "whole face")
