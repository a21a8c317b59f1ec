"""Does the mouth fit the sound? Scores of a sync network trained on recorded motion (vultus.scoring).

A_t and M_t are embeddings, of length 1, of the 0.2 s of sound and of lips that begin at frame t (25 fps). A sound that
comes o frames later than the lips gives its least distance at offset o > 0.

>>> step = np.eye(60)  # lips that lead by two frames
>>> int(OFFSETS[distances(np.roll(step, 2, 0), step).argmin()])
2

Letters: T frames at 25 fps, W = T - 4 windows, E embedding, N samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.scoring.examples import lips, sound
from vultus.scoring.signals import LEAST_WINDOWS, OFFSETS, distances

_CUT = "mean over windows, over the N samples, then over sequences"
_SHORT = f"; sequences under {LEAST_WINDOWS} windows (1.76 s) are left out"


def _over_samples(example: Example, score: Callable[[np.ndarray, np.ndarray], float], least: int) -> np.ndarray:
    """The row of the mean over samples of score(A, M); both (W, E)."""
    audio = sound(example)
    if len(audio) < least:
        return np.zeros(2)
    return Mean.one(float(np.mean([score(audio, lips(example, number)) for number in range(len(example.samples))])))


class SyncCos(Mean):
    """Mean cosine of sound and lips."""

    info = Info(
        "sync_cos", 1, "Audio-mesh similarity", "mean_t <A_t, M_t>",
        "probabilistic benchmark after Yang et al. 2024, whose sync network is not public; windows, network and "
        "formula are ours", "score", "higher", _CUT, ("speech",),
    )  # fmt: skip

    def measure(self, example: Example) -> np.ndarray:
        """See Metric."""
        return _over_samples(example, lambda audio, motion: np.einsum("we,we->w", audio, motion).mean(), 1)


class LseD(Mean):
    """Least distance of sound and lips over offsets."""

    info = Info(
        "lse_d", 1, "Lip-sync error, distance", "min_o D(o), D(o) = mean_t ||A_{t+o} - M_t||, o in -15..15 frames",
        "SyncNet (Chung and Zisserman 2016) as used by Prajwal et al. 2020; t runs over the windows that every "
        "offset reaches, and embeddings have length 1, so the scale (0 to 2) is not that of the video network",
        "score", "lower", _CUT + _SHORT, ("speech",),
    )  # fmt: skip

    def measure(self, example: Example) -> np.ndarray:
        """See Metric."""
        return _over_samples(example, lambda audio, motion: distances(audio, motion).min(), LEAST_WINDOWS)


class LseC(Mean):
    """How much the best offset stands out."""

    info = Info(
        "lse_c", 1, "Lip-sync error, confidence", "median_o D(o) - min_o D(o)", LseD.info.source,
        "score", "higher", _CUT + _SHORT, ("speech",),
    )  # fmt: skip

    def measure(self, example: Example) -> np.ndarray:
        """See Metric."""

        def confidence(audio: np.ndarray, motion: np.ndarray) -> float:
            found = distances(audio, motion)
            return float(np.median(found) - found.min())

        return _over_samples(example, confidence, LEAST_WINDOWS)


class OffsetAccuracy(Mean):
    """Share of takes whose best offset is right."""

    info = Info(
        "offset_accuracy", 1, "Offset accuracy", "share of samples with |argmin_o D(o)| <= 1 frame (40 ms)",
        "probabilistic benchmark, ours; D(o) as for lse_d", "ratio", "higher",
        "share of samples, then mean over sequences" + _SHORT, ("speech",),
    )  # fmt: skip

    def measure(self, example: Example) -> np.ndarray:
        """See Metric."""

        def near(audio: np.ndarray, motion: np.ndarray) -> float:
            return float(abs(OFFSETS[distances(audio, motion).argmin()]) <= 1)

        return _over_samples(example, near, LEAST_WINDOWS)
