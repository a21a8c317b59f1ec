"""Time warping of whole faces: how far two motions are apart once one may wait for the other.

The local cost of reference frame i and predicted frame j is the mean distance over the face. A path goes from the first
pair to the last by steps (1, 0), (0, 1) and (1, 1), each of weight 1; its cost is the sum over its cells. Exact: no
window (see vultus.metrics.warping).

`f_dtw` divides by the number of reference frames and is free of the frame rate and the length of a clip. `f_dtw_mm23`
is the published sum, with its first row: reference frame 0 costs nothing behind its first cell, so the path may skip
any beginning of the prediction. It grows with the length and the frame rate of clips; compare it only at equal rate.

Letters: T reference frames, U predicted frames, c local cost, D accumulated cost, d distance of a vertex.
"""

from __future__ import annotations

import numpy as np

from vultus.errors import VultusError
from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.frames import blocks, checked_region
from vultus.metrics.warping import warping_costs

_SOURCE = "Wu et al., Speech-Driven 3D Face Animation with Composite and Regional Facial Movements, ACM MM 2023"


def _costs(example: Example) -> tuple[float, float]:
    """Both sums in the unit of results, kept with the example."""
    region = example.region("face")
    if "f_dtw" not in example.cache:
        prediction, reference = example.prediction, example.reference
        for what, array in (("prediction", prediction), ("reference", reference)):
            if array.ndim != 3 or array.shape[1:] != (len(example.template), 3) or not len(array):
                raise VultusError(
                    f"{what} has shape {array.shape}; expected (frames, {len(example.template)}, 3), one frame at least"
                )
            for _ in blocks(array, what):  # finite
                pass
        region = checked_region(region, len(example.template))
        costs = warping_costs(reference, prediction, region.vertices, region.weights)
        example.cache["f_dtw"] = tuple(cost * example.scale for cost in costs)
    found: tuple[float, float] = example.cache["f_dtw"]
    return found


class FaceWarping(Mean):
    """Cost of the best path for each reference frame. Prediction and reference may differ in length.

    >>> from vultus.metrics import score
    >>> ramp = np.arange(4.0)[:, None, None] * np.array([0.001, 0.0, 0.0]) * np.ones((4, 3, 1))
    >>> late = ramp[[0, 0, 1, 2]]  # a frame late: all is met but the last frame, 1 mm away
    >>> round(score("f_dtw", Example.from_arrays(ramp, [late], ramp[0])), 4)
    0.25
    """

    info = Info(
        name="f_dtw",
        version=1,
        title="face distance under time warping, per frame",
        formula="D_TU / T, D_ij = c_ij + min(D_i-1,j, D_i,j-1, D_i-1,j-1), c_ij = weighted mean over face of d",
        source=f"{_SOURCE}; boundary set right and divided by the reference frames",
        quantity="length",
        direction="lower",
        pooling="sum over the path / reference frames, then mean over sequences",
        needs=("face",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        return self.one(_costs(example)[0] / len(example.reference))


class PublishedFaceWarping(Mean):
    """The published sum, with its unpaid first row.

    >>> from vultus.metrics import score
    >>> ramp = np.arange(4.0)[:, None, None] * np.array([0.001, 0.0, 0.0]) * np.ones((4, 3, 1))
    >>> round(score("f_dtw_mm23", Example.from_arrays(ramp, [ramp[[3, 1, 2, 3]]], ramp[0])), 4)
    0.0
    """

    info = Info(
        name="f_dtw_mm23",
        version=1,
        title="face distance under time warping, as published",
        formula="D_TU as in f_dtw, but D_1j = 0 for j > 1",
        source=f"{_SOURCE}, as the authors' evaluation computes it",
        quantity="frames x length",
        direction="lower",
        pooling="sum over the path, then mean over sequences",
        needs=("face",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        return self.one(_costs(example)[1])
