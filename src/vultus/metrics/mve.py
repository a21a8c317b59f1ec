"""Mean vertex error: the mean distance over the whole face, all frames pooled.

Letters: t frames of all sequences together, d distance of a vertex between prediction and reference, w its weight.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.frames import mean_errors


class MeanVertexError(Mean):
    """Mean distance over vertices and frames; `face_mean` is the same with every sequence counting alike.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> moved = still.copy()
    >>> moved[0, 1] = [0.0, 0.0, 0.006]  # 6 mm: one vertex of three, one frame of two
    >>> round(score("mve", Example.from_arrays(still, [moved], still[0])), 4)
    1.0
    """

    info = Info(
        name="mve",
        version=1,
        title="mean vertex error",
        formula="mean_t ( sum_i w_i d_ti / sum_i w_i ), i in face",
        source="Stan et al., FaceDiffuser, MIG 2023, as in the authors' evaluation",
        quantity="length",
        direction="lower",
        pooling="mean over the frames of all sequences together (longer sequences weigh more)",
        needs=("face",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`: (sum over frames, number of frames)."""
        errors = mean_errors(example, "face")
        return np.array([errors.sum(), len(errors)])
