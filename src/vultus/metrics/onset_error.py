"""Do the lips part when they should, after a pause and where a closure is released?

An opening is where the lips go from closed to clearly open: the last crossing of 15 % of the reference's 95th
percentile, between two frames by a straight line, before 30 % is reached. Two limits, so that a tremor about one of
them is not many openings. Openings of the prediction are matched to those of the reference in order, so that the sum of
|differences| is smallest; one that finds none within 300 ms counts 300 ms.

A shift of more than about 150 ms can meet the wrong neighbours (openings come some three times a second): lip_timing
measures large shifts. Letters: o opening of the mouth (vultus.metrics.mouth).
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.tracks import closed_below, mouth_tracks

MISSED = 300.0
"""ms counted for an opening that the prediction has not: beyond what anybody takes for lip-synchronous."""


def openings(opening: np.ndarray, limit: float, fps: float) -> np.ndarray:
    """Times at which lips part, ms.

    >>> openings(np.array([0.0, 0, 4, 4, 0, 1, 0, 4]), 1.0, 25.0)
    array([ 50., 250.])
    """
    state = np.where(opening < limit, -1, np.where(opening > 2 * limit, 1, 0))
    told = np.flatnonzero(state)
    starts = told[1:][(state[told[1:]] == 1) & (state[told[:-1]] == -1)]
    times = []
    for clear in starts:
        last = clear - 1
        while opening[last] >= limit:
            last -= 1
        times.append(last + (limit - opening[last]) / (opening[last + 1] - opening[last]))
    return np.array(times, np.float64) * (1000 / fps)


def match(reference: np.ndarray, prediction: np.ndarray, missed: float = MISSED) -> np.ndarray:
    """Differences prediction - reference of matched times, NaN where a reference's one finds none.

    Args:
        reference: (n,) rising times.
        prediction: (m,) rising times.
        missed: cost of a reference time without a match, and the largest difference that matches.

    Returns:
        (n,) differences of the matching in order with the least sum of |differences| and costs.
    """
    n, m = len(reference), len(prediction)
    cost = np.zeros((n + 1, m + 1))
    cost[1:, 0] = missed * np.arange(1, n + 1)
    apart = prediction[None] - reference[:, None]
    for i in range(n):
        for j in range(m):
            cost[i + 1, j + 1] = min(cost[i, j] + abs(apart[i, j]), cost[i, j + 1] + missed, cost[i + 1, j])
    out = np.full(n, np.nan)
    i, j = n, m
    while i and j:
        if cost[i, j] == cost[i - 1, j - 1] + abs(apart[i - 1, j - 1]) and abs(apart[i - 1, j - 1]) < missed:
            out[i - 1] = apart[i - 1, j - 1]
            i, j = i - 1, j - 1
        elif cost[i, j] == cost[i, j - 1]:
            j -= 1
        else:
            i -= 1
    return out


def _differences(example: Example) -> np.ndarray:
    prediction, reference, width = mouth_tracks(example)
    limit = closed_below(reference, width)
    if limit == 0:
        return np.zeros(0)
    expected, found = (openings(track.opening, limit, example.fps) for track in (reference, prediction))
    return match(expected, found)


class OnsetError(Mean):
    """How far off the lips part. Rows: (sum of |differences| in ms, openings of the reference)."""

    info = Info(
        name="onset_error",
        version=1,
        title="error of the times at which the lips part",
        formula="mean of |t_prediction - t_reference| in ms over the reference's openings, matched in order; 300 "
        "where none is within 300; opening: o crosses 0.15 P95(o_reference) on its way up to twice that",
        source="ours",
        quantity="time",
        direction="lower",
        pooling="all openings of all sequences together",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        off = _differences(example)
        return np.array([np.where(np.isnan(off), MISSED, np.abs(off)).sum(), len(off)])


class OnsetOffset(Mean):
    """Whether the lips part late (above 0) or early. Rows: (sum of differences in ms, matched openings)."""

    info = Info(
        name="onset_offset",
        version=1,
        title="lateness of the times at which the lips part",
        formula="mean of t_prediction - t_reference in ms over the matched openings of onset_error; above 0: late",
        source="ours",
        quantity="time",
        direction="zero",
        pooling="all matched openings of all sequences together",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        off = _differences(example)
        return np.array([np.nansum(off), np.isfinite(off).sum()])
