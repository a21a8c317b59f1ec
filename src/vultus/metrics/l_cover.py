"""Coverage error: lip error of the best of N samples. It falls with N by construction: compare at equal N.

`l_cover` takes the one sample that is best over the whole sequence. `l_cover_frame` takes the best sample of each frame
anew, as some papers may; it is never larger.

Letters: t frames, n samples of N, d distance of a lip vertex between a sample and the reference.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.frames import all_max_errors

_SOURCE = (
    "Yang et al., Probabilistic Speech-Driven 3D Facial Motion Synthesis, CVPR 2024; what its description leaves open "
    "is ours: root taken, mean over sequences"
)


class CoverageError(Mean):
    """Smallest of the samples' lip errors.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> early, late = still.copy(), still.copy()
    >>> early[0] += [0.002, 0.0, 0.0]  # 2 mm off in the first frame
    >>> late[1] += [0.0, 0.004, 0.0]  # 4 mm off in the second
    >>> round(score("l_cover", Example.from_arrays(still, [early, late], still[0], {"lips": [0, 1]})), 4)
    1.0
    """

    info = Info(
        name="l_cover",
        version=1,
        title="lip error of the best sample",
        formula="min_n mean_t max_i d_nti, i in lips",
        source=f"{_SOURCE}; the best sample of a sequence as in ProbTalk3D's evaluation",
        quantity="length",
        direction="lower",
        pooling="mean over frames, least over samples, then mean over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        return self.one(float(all_max_errors(example).mean(1).min()))


class FrameCoverageError(Mean):
    """Lip error of the best sample of each frame.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> early, late = still.copy(), still.copy()
    >>> early[0] += [0.002, 0.0, 0.0]
    >>> late[1] += [0.0, 0.004, 0.0]
    >>> score("l_cover_frame", Example.from_arrays(still, [early, late], still[0], {"lips": [0, 1]}))
    0.0
    """

    info = Info(
        name="l_cover_frame",
        version=1,
        title="lip error of the best sample of each frame",
        formula="mean_t min_n max_i d_nti, i in lips",
        source=f"{_SOURCE}; the other reading of the same words",
        quantity="length",
        direction="lower",
        pooling="least over samples, mean over frames, then over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        return self.one(float(all_max_errors(example).min(0).mean()))
