"""Largest lip error: the L_max of the lips in MM'23.

Letters: T frames, V vertices, d distance of a vertex between prediction and reference, w its weight in the region.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.frames import weighted_max_errors


class LipMax(Mean):
    """The weight multiplies the distance before the maximum is taken, as published; `lve` looks at plain distances.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> moved = still.copy()
    >>> moved[0, 1] = [0.003, 0.004, 0.0]  # 5 mm, in one of two frames
    >>> round(score("lip_max", Example.from_arrays(still, [moved], still[0], {"lips": [0, 1]})), 4)
    2.5
    """

    info = Info(
        name="lip_max",
        version=1,
        title="largest lip error",
        formula="mean_t max_i ( w_i d_ti ), i in lips",
        source="Wu et al., Speech-Driven 3D Face Animation with Composite and Regional Facial Movements, ACM MM 2023; "
        "pooling and root as in the authors' evaluation",
        quantity="length",
        direction="lower",
        pooling="mean over the frames of a sequence, then over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        return self.one(float(weighted_max_errors(example, "lips").mean()))
