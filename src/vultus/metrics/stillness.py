"""Are the lips still when nobody speaks?

Pauses are the silences among the phones; without phones they are stretches whose level stays 30 dB under the loud
parts. They last half a second at least; 0.3 s after speech, in which a mouth comes to rest, and 0.15 s before it, in
which it opens, are left out (none at the ends of the sequence).

Letters: T motion frames of a pause, x offsets of the lips.
"""

from __future__ import annotations

import numpy as np

from vultus.clock import motion_times
from vultus.metrics.base import Example, Info, Mean, Unavailable
from vultus.metrics.tracks import LEVEL_RATE, region_tracks, speech_level

PAUSE, PAUSE_AFTER, PAUSE_BEFORE = 0.5, 0.3, 0.15
"""Seconds: shortest pause; what is left out at its two ends."""
QUIET = 30.0
"""dB under the 95th percentile of the level: below all phones, above the noise of a fair recording."""


def pauses(example: Example) -> list[np.ndarray]:
    """Frame numbers inside each pause; Unavailable with neither phones nor speech."""
    if example.phones:
        silent = [(p.start, p.end) for p in example.phones if p.is_silence]
        finish = example.phones[-1].end
    elif example.speech is not None:
        level = speech_level(example)
        quiet = np.concatenate([[0], (level < np.percentile(level, 95) - QUIET).astype(np.int8), [0]])
        edges = np.flatnonzero(np.diff(quiet)) / LEVEL_RATE
        silent = list(zip(edges[::2], edges[1::2], strict=True))
        finish = len(level) / LEVEL_RATE
    else:
        raise Unavailable("neither phones nor speech: the data say not when nobody speaks")
    times = motion_times(len(example.reference), example.fps)
    out = []
    for start, end in silent:
        first = start + (PAUSE_AFTER if start > 1e-3 else 0.0)
        last = end - (PAUSE_BEFORE if end < finish - 1e-3 else 0.0)
        inside = np.flatnonzero((times >= first) & (times < last))
        if end - start >= PAUSE and len(inside) > 1:
            out.append(inside)
    return out


class Stillness(Mean):
    """Motion of the lips in pauses beyond the reference's, mm. Rows: (sum over frames, frames)."""

    info = Info(
        name="stillness",
        version=1,
        title="motion of the lips in pauses, beyond the speaker's",
        formula="mean over frames in pauses of max(0, s_prediction - s_reference); s of a pause: root of the mean over "
        "its frames and the lips of |x - its mean over the pause|^2",
        source="ours",
        quantity="length",
        direction="lower",
        pooling="all frames in pauses of all sequences together",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference, weights = region_tracks(example, "lips")
        total = frames = 0.0
        for inside in pauses(example):
            total += max(0.0, _spread(prediction[inside], weights) - _spread(reference[inside], weights)) * len(inside)
            frames += len(inside)
        return np.array([total, frames])


def _spread(offsets: np.ndarray, weights: np.ndarray) -> float:
    """Root of the mean squared distance from the mean position, over frames and vertices.

    >>> _spread(np.array([[[0.0, 0, 0]], [[2.0, 0, 0]]]), np.ones(1))
    1.0
    """
    about = offsets - offsets.mean(0, dtype=np.float64)
    return float(np.sqrt((np.square(about).sum(2) @ weights).mean()))
