"""Lip error of a probabilistic model's samples: all of them, not the first alone.

Letters: t frames, n samples of N, d distance of a lip vertex between a sample and the reference.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.frames import all_max_errors


class VertexError(Mean):
    """Mean over samples of the largest lip distance; with one sample it is `lve` pooled by sequence.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> early, late = still.copy(), still.copy()
    >>> early[0] += [0.002, 0.0, 0.0]  # 2 mm off in the first frame
    >>> late[1] += [0.0, 0.004, 0.0]  # 4 mm off in the second
    >>> round(score("l_vertex", Example.from_arrays(still, [early, late], still[0], {"lips": [0, 1]})), 4)
    1.5
    """

    info = Info(
        name="l_vertex",
        version=1,
        title="lip error of the samples",
        formula="mean_n mean_t max_i d_nti, i in lips",
        source="Yang et al., Probabilistic Speech-Driven 3D Facial Motion Synthesis, CVPR 2024; what its description "
        "leaves open is ours: root taken, mean over sequences",
        quantity="length",
        direction="lower",
        pooling="mean over frames and samples, then over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        return self.one(float(all_max_errors(example).mean()))
