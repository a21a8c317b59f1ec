"""Lip vertex error: the largest distance over the lips, frame by frame. Two forms that papers call by one name.

`lve` takes the distance and reads in millimetres. `lve_sq` takes its square, as the widely used evaluation scripts do:
square millimetres here, and numbers printed elsewhere in square metres or square area units. Neither is the root or the
square of the other, because the mean over frames is taken after.

Letters: t frames of all sequences together, d distance of a vertex between prediction and reference.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.frames import max_errors

_POOLING = "mean over the frames of all sequences together (longer sequences weigh more)"


class LipVertexError(Mean):
    """Mean over frames of the largest lip distance.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> moved = still.copy()
    >>> moved[0, 1] = [0.003, 0.004, 0.0]  # 5 mm, in one of two frames
    >>> round(score("lve", Example.from_arrays(still, [moved], still[0], {"lips": [0, 1]})), 4)
    2.5
    """

    info = Info(
        name="lve",
        version=1,
        title="lip vertex error",
        formula="mean_t max_i d_ti, i in lips",
        source="Richard et al., MeshTalk, ICCV 2021 (largest distance over the lips of each frame); "
        "Fan et al., FaceFormer, CVPR 2022; root taken, unlike `lve_sq`",
        quantity="length",
        direction="lower",
        pooling=_POOLING,
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`: (sum over frames, number of frames)."""
        errors = max_errors(example)
        return np.array([errors.sum(), len(errors)])


class SquaredLipVertexError(Mean):
    """Mean over frames of the largest squared lip distance.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> moved = still.copy()
    >>> moved[0, 1] = [0.003, 0.004, 0.0]
    >>> round(score("lve_sq", Example.from_arrays(still, [moved], still[0], {"lips": [0, 1]})), 4)
    12.5
    """

    info = Info(
        name="lve_sq",
        version=1,
        title="lip vertex error, squared",
        formula="mean_t max_i d_ti^2, i in lips",
        source="Xing et al., CodeTalker, CVPR 2023, as in the authors' evaluation (no root)",
        quantity="length2",
        direction="lower",
        pooling=_POOLING,
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`: (sum over frames, number of frames)."""
        errors = max_errors(example)
        return np.array([(errors**2).sum(), len(errors)])
