"""Does the mouth move more where the voice is louder?

Within speech, level and lip displacement are averaged over 0.2 s (about a syllable, so that neither timing nor single
phones matter) and correlated in each sequence. People reach some value by language and manner; what a model is judged
by is the gap to the reference. The published SLCC (Chae-Yeon et al., CVPR 2025) correlates means of whole
clips instead, which needs data spoken at several intensities and equal recording levels.

Letters: T motion frames, L speech level in dB, u mean over the lips of the distance from the template.
"""

from __future__ import annotations

import numpy as np

from vultus.clock import motion_times
from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.tracks import level_at, region_tracks, speech_level

SPOKEN = 25.0
"""dB under the loud parts (95th percentile) down to which somebody speaks."""
SYLLABLE = 0.2
SHORTEST = 1.0
"""Seconds; over less than five syllables a correlation says nothing."""


def responses(example: Example) -> tuple[float, float]:
    """(prediction's, reference's) correlation; NaN where there is too little speech or a still reference."""
    prediction, reference, weights = region_tracks(example, "lips")
    level = speech_level(example)
    times = motion_times(len(reference), example.fps)
    loud = level_at(level, times)
    width = max(1, round(SYLLABLE * example.fps))
    spoken = _mean_over((loud > np.percentile(level, 95) - SPOKEN).astype(np.float64), width) > 0.5
    if spoken.sum() < SHORTEST * example.fps:
        return np.nan, np.nan
    loud = _mean_over(loud, width)[spoken]
    moved = [_mean_over(np.linalg.norm(o, axis=2) @ weights, width)[spoken] for o in (prediction, reference)]
    if loud.std() < 1e-6 or moved[1].std() < 1e-6 * max(float(moved[1].max()), 1e-9):
        return np.nan, np.nan
    of_prediction, of_reference = (_pearson(loud, m) for m in moved)
    return of_prediction, of_reference


def _mean_over(values: np.ndarray, width: int) -> np.ndarray:
    """Mean over `width` frames about each, over fewer at the ends."""
    box = np.ones(width)
    return np.convolve(values, box, "same") / np.convolve(np.ones(len(values)), box, "same")


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's r; 0 where y does not vary: it answers to nothing."""
    x, y = x - x.mean(), y - y.mean()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / size if size > 1e-9 else 0.0


class LoudnessResponse(Mean):
    """The prediction's correlation. Rows: (r, 1)."""

    info = Info(
        name="loudness_response",
        version=1,
        title="correlation of speech level and lip displacement",
        formula="mean over sequences of the Pearson correlation, within speech, of L and u, both averaged over 0.2 s; "
        "L: level of 100 to 4000 Hz, dB; u: mean over the lips of |x - template|",
        source="ours, after SLCC of Chae-Yeon et al., CVPR 2025",
        quantity="correlation",
        direction="none",
        pooling="mean over sequences",
        needs=("lips", "speech"),
    )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference = responses(example)
        return self.one(prediction if np.isfinite(reference) else np.nan)


class LoudnessGap(Mean):
    """|prediction's mean - reference's mean|. Rows: (difference of the two correlations, 1).

    >>> LoudnessGap().combine(np.array([[0.25, 1.0], [-0.75, 1.0]]), np.ones((1, 2)))
    array([0.25])
    """

    info = Info(
        name="loudness_gap",
        version=1,
        title="loudness response against the reference's",
        formula="|mean over sequences of (loudness_response of the prediction - that of the reference)|",
        source="ours, after SLCC of Chae-Yeon et al., CVPR 2025",
        quantity="correlation",
        direction="lower",
        pooling="mean over sequences, then the absolute value",
        needs=("lips", "speech"),
    )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference = responses(example)
        return self.one(prediction - reference)

    def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """See `Metric.combine`."""
        return np.abs(super().combine(rows, times))
