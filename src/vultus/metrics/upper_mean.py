"""Mean error of the upper face: the L^upper of MM'23.

Letters: T frames, V vertices, d distance of a vertex between prediction and reference, w its weight in the region.
"""

from __future__ import annotations

from vultus.metrics.base import Info
from vultus.metrics.frames import RegionMean


class UpperMean(RegionMean):
    """Mean distance over the upper face; every sequence counts the same.

    >>> import numpy as np
    >>> from vultus.metrics import Example, score
    >>> still = np.zeros((2, 3, 3))
    >>> moved = still.copy()
    >>> moved[0, 1] = [0.003, 0.004, 0.0]  # 5 mm, in one of two frames
    >>> round(score("upper_mean", Example.from_arrays(still, [moved], still[0], {"upper_face": [0, 1]})), 4)
    1.25
    """

    info = Info(
        name="upper_mean",
        version=1,
        title="mean upper-face error",
        formula="mean_t ( sum_i w_i d_ti / sum_i w_i ), i in upper_face",
        source="Wu et al., Speech-Driven 3D Face Animation with Composite and Regional Facial Movements, ACM MM 2023; "
        "pooling and root as in the authors' evaluation",
        quantity="length",
        direction="lower",
        pooling="mean over the frames of a sequence, then over sequences",
        needs=("upper_face",),
    )
