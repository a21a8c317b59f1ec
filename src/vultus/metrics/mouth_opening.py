"""Mouth opening difference: is the mouth open as far as the speaker's, frame by frame?

Letters: T motion frames, o opening of the mouth (vultus.metrics.mouth).
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.tracks import mouth_tracks


class MouthOpeningDifference(Mean):
    """Mean absolute difference of the openings.

    >>> round(float(np.abs(np.array([3.0, 5.0]) - np.array([2.0, 7.0])).mean()), 3)
    1.5
    """

    info = Info(
        name="mod",
        version=1,
        title="mouth opening difference",
        formula="mean over t of |o_prediction(t) - o_reference(t)|; o: height of the upper lip's rim over the lower "
        "lip's in the middle of the mouth",
        source="as MOD in the tables of arXiv 2511.14223; which vertices are compared is ours",
        quantity="length",
        direction="lower",
        pooling="mean over frames, then over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference, _ = mouth_tracks(example)
        return self.one(float(np.abs(prediction.opening - reference.opening).mean()))
