"""Mean-estimate error: lip error of the mean of all samples, vertex by vertex.

Letters: t frames, n samples of N, d distance of a lip vertex between a sample and the reference.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.frames import max_errors_of_mean


class MeanEstimateError(Mean):
    """Never larger than `l_vertex`; equal to it where all samples are equal.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> early, late = still.copy(), still.copy()
    >>> early[0] += [0.002, 0.0, 0.0]  # 2 mm off in the first frame
    >>> late[1] += [0.0, 0.004, 0.0]  # 4 mm off in the second
    >>> round(score("l_mean", Example.from_arrays(still, [early, late], still[0], {"lips": [0, 1]})), 4)
    1.5
    """

    info = Info(
        name="l_mean",
        version=1,
        title="lip error of the mean of the samples",
        formula="mean_t max_i |mean_n v_nti - v_ti|, i in lips",
        source="Yang et al., Probabilistic Speech-Driven 3D Facial Motion Synthesis, CVPR 2024; what its description "
        "leaves open is ours: root taken, mean over sequences",
        quantity="length",
        direction="lower",
        pooling="mean over frames, then over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        return self.one(float(max_errors_of_mean(example).mean()))
