"""Does the upper lip pass through the lower lip?

Lips press each other and meshes do not give way as flesh does, so recordings cross a little, too: what counts is
crossing deeper than the reference's deepest of the sequence.

Letters: T motion frames, C columns along the lip line, g their gaps (vultus.metrics.mouth: below 0 the lips are nearer
than in the template, which is closed).
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.tracks import mouth_tracks

SEEN = 0.002
"""Share of the lips' width (0.1 mm) beyond the reference's deepest crossing from which a frame counts."""


def excess(example: Example) -> tuple[np.ndarray, float]:
    """(T,) how much deeper than the reference's deepest crossing, at least 0; and the limit of what is seen."""
    prediction, reference, width = mouth_tracks(example)
    deepest = max(0.0, -float(reference.gaps.min()))
    return np.maximum(0.0, -prediction.gaps.min(1) - deepest), SEEN * width


class Interpenetration(Mean):
    """Share of frames with lips through each other. Rows: (such frames, frames).

    >>> Interpenetration().combine(np.array([[0.0, 150.0], [12.0, 50.0]]), np.ones((1, 2)))
    array([0.06])
    """

    info = Info(
        name="interpenetration",
        version=1,
        title="frames in which the lips pass through each other",
        formula="share of frames with max(0, -min over C of g_prediction) - max(0, -min over T and C of g_reference) "
        "above 0.002 widths of the lips",
        source="ours",
        quantity="ratio",
        direction="lower",
        pooling="all frames of all sequences together",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        depth, seen = excess(example)
        return np.array([(depth > seen).sum(), len(depth)], np.float64)


class InterpenetrationDepth(Mean):
    """The deepest crossing beyond the reference's, mean over sequences. Rows: (mm, 1)."""

    info = Info(
        name="interpenetration_depth",
        version=1,
        title="how deep the lips pass through each other",
        formula="mean over sequences of max over t of the depth beyond the reference's deepest, as in interpenetration",
        source="ours",
        quantity="length",
        direction="lower",
        pooling="maximum over frames, then mean over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        return self.one(float(excess(example)[0].max()))
