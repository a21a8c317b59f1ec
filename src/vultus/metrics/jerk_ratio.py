"""Does the face tremble, or glide? Third differences of the motion against the reference's, by region.

1 is as smooth as the speaker; above 1 it trembles, below 1 it was smoothed. Third differences weigh the highest
frequencies that a frame rate holds: compare values at one frame rate only.

Letters: T motion frames, x positions of vertices.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.tracks import region_tracks


def jerk(offsets: np.ndarray, weights: np.ndarray) -> float:
    """Mean norm of the third differences of (T, n, 3), weights (n,) of sum 1.

    >>> jerk(np.arange(5.0).reshape(5, 1, 1) ** 3 * np.array([1.0, 0, 0]), np.ones(1))
    6.0
    """
    third = offsets[3:] - 3 * offsets[2:-1] + 3 * offsets[1:-2] - offsets[:-3]
    return float((np.linalg.norm(third, axis=2) @ weights).mean())


class JerkRatio(Mean):
    """Mean jerk of the prediction over that of the reference. Rows: (prediction's, reference's)."""

    def __init__(self, region: str = "lips") -> None:
        self.region = region
        self.info = Info(
            name=f"jerk_ratio_{region}",
            version=1,
            title=f"jerk against the reference's, {region.replace('_', ' ')}",
            formula="sum over sequences of J(prediction) / sum of J(reference); J: mean over frames and vertices (at "
            "most 1000, evenly spaced in their order) of |x(t+3) - 3 x(t+2) + 3 x(t+1) - x(t)|",
            source="ours",
            quantity="ratio",
            direction="one",
            pooling="means over frames and vertices, summed over sequences, then divided",
            needs=(region,),
        )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference, weights = region_tracks(example, self.region)
        if len(reference) < 4:
            return np.zeros(2)
        return np.array([jerk(prediction, weights), jerk(reference, weights)])


LIPS, UPPER_FACE, FACE = (partial(JerkRatio, region) for region in ("lips", "upper_face", "face"))
