"""Numbers with their uncertainty: proportions, means, areas under the ROC curve, correlations.

Values of one stretch of speech are not independent, so the bootstrap draws stretches ("units": here pieces of clips of
at most five seconds), not single values: 1000 draws with replacement, seeded, percentiles 2.5 and 97.5. Where every
outcome of a proportion is the same, resampling cannot show any spread, and the exact (Clopper-Pearson) end is given.

Letters: N values, U units, R draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

DRAWS = 1000


@dataclass(frozen=True)
class Estimate:
    """A measured value.

    Attributes:
        value: the estimate; NaN where there was nothing to measure.
        low, high: 95 % interval; NaN where there are fewer than two units.
        n: how many occurrences or frames it rests on (for an AUC the positive ones).
    """

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int | None]:
        """JSON values; NaN becomes null."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in vars(self).items()}


NOTHING = Estimate(math.nan, math.nan, math.nan, 0)


def draws(num_units: int, seed: int = 0) -> np.ndarray:
    """(R, U) float64: how often each unit is drawn in each resample."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_units, np.full(num_units, 1 / num_units), size=DRAWS).astype(np.float64)


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """2.5th and 97.5th percentile of the resampled values that exist; NaN where too few do."""
    known = resampled[np.isfinite(resampled)]
    if len(known) < max(2, len(resampled) // 2):
        return math.nan, math.nan
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def mean(values: np.ndarray, units: np.ndarray) -> Estimate:
    """Mean of (N,) values in (N,) units."""
    values = np.asarray(values, np.float64)
    if len(values) == 0:
        return NOTHING
    _, index = np.unique(units, return_inverse=True)
    count = index.max() + 1
    if count < 2:
        return Estimate(float(values.mean()), math.nan, math.nan, len(values))
    times = draws(count)
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = times @ np.bincount(index, values) / (times @ np.bincount(index).astype(np.float64))
    return Estimate(float(values.mean()), *interval(resampled), len(values))


def proportion(hits: np.ndarray, units: np.ndarray) -> Estimate:
    """Share of true among (N,) outcomes.

    >>> e = proportion(np.ones(32, bool), np.arange(32))
    >>> e.value, round(e.low, 3), e.high
    (1.0, 0.891, 1.0)
    """
    hits = np.asarray(hits, bool)
    estimate = mean(hits.astype(np.float64), units)
    n = len(hits)
    if n and hits.all():
        return Estimate(1.0, 0.025 ** (1 / n), 1.0, n)
    if n and not hits.any():
        return Estimate(0.0, 0.0, 1 - 0.025 ** (1 / n), n)
    return estimate


def auc(scores: np.ndarray, positive: np.ndarray, units: np.ndarray) -> Estimate:
    """Chance that a positive scores higher than a negative (ties count half); n is the number of positives.

    >>> auc(np.array([1.0, 2, 3, 4]), np.array([False, True, False, True]), np.zeros(4)).value
    0.75
    """
    positive = np.asarray(positive, bool)
    if not positive.any() or positive.all():
        return NOTHING
    _, index = np.unique(units, return_inverse=True)
    count = index.max() + 1
    top, top_unit = scores[positive], index[positive]
    wins = np.zeros((count, count))  # [unit of the positive, unit of the negative]
    low_scores, low_unit = scores[~positive], index[~positive]
    order = np.argsort(low_unit, kind="stable")
    edges = np.searchsorted(low_unit[order], np.arange(count + 1))
    for unit in range(count):
        negatives = np.sort(low_scores[order[edges[unit] : edges[unit + 1]]])
        if len(negatives):
            below = np.searchsorted(negatives, top, "left") + np.searchsorted(negatives, top, "right")
            wins[:, unit] = np.bincount(top_unit, 0.5 * below, count)
    ups, downs = np.bincount(top_unit, minlength=count), np.bincount(low_unit, minlength=count)
    value = float(wins.sum() / (ups.sum() * downs.sum()))
    if count < 2:
        return Estimate(value, math.nan, math.nan, len(top))
    times = draws(count)
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = ((times @ wins) * times).sum(1) / ((times @ ups) * (times @ downs))
    return Estimate(value, *interval(resampled), len(top))


def correlations(x: np.ndarray, y: np.ndarray, units: np.ndarray) -> tuple[float, np.ndarray]:
    """Pearson's r of (N,) and (N,), and of each resample (R,); the draws are the same for equal units."""
    if len(x) < 3:
        return math.nan, np.full(DRAWS, math.nan)
    _, index = np.unique(units, return_inverse=True)
    x, y = x - x.mean(), y - y.mean()
    sums = np.stack([np.bincount(index, v) for v in (np.ones_like(x), x, y, x * x, y * y, x * y)])

    def pearson(s: np.ndarray) -> np.ndarray:
        n, sx, sy, xx, yy, xy = s
        with np.errstate(invalid="ignore", divide="ignore"):
            r: np.ndarray = (xy - sx * sy / n) / np.sqrt((xx - sx * sx / n) * (yy - sy * sy / n))
        return r

    whole = float(pearson(sums.sum(1))) if x.any() and y.any() else math.nan
    if sums.shape[1] < 2:
        return whole, np.full(DRAWS, math.nan)
    return whole, pearson(sums @ draws(sums.shape[1]).T)


def correlation(x: np.ndarray, y: np.ndarray, units: np.ndarray) -> Estimate:
    """Pearson's r; n is the number of frames."""
    value, resampled = correlations(x, y, units)
    return Estimate(value, *interval(resampled), len(x))
