"""How far takes lie from each other, and from the true takes of the same line.

The corpus can perform a line again, so the distribution that a model should have learnt is known by 20 draws of it.
Two numbers for each curve (`takes_curves`):

    spread   root of the variance over takes (unbiased), averaged over frames and points; the model's over the truth's
             is 1 where takes vary as much as they should
    energy   coefficient of energy (Szekely and Rizzo 2013), 1 - (D_tt + D_mm) / (2 D_tm), where D is the mean distance
             of two takes, of the truth t or of the model m: 0 where the two sets are alike, up to 1 where they have
             nothing in common. It also sees takes that vary as much, but about another middle

Letters: N takes, M true takes, T motion frames, P points, K components.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from vultus.statistics import Estimate, draws, interval

WIDTH = 5
"""Numbers of a row: true variance, variance, D_tt, D_mm, D_tm."""


def row(takes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What a line contributes, (5,): see WIDTH.

    Args:
        takes: (N, T, P, K), two at least.
        truth: (M, T, P, K), two at least.
    """
    between = distances(takes, truth)
    return np.array(
        [variance(truth), variance(takes), _mean_of_pairs(distances(truth, truth)),
         _mean_of_pairs(distances(takes, takes)), between.mean()]
    )  # fmt: skip


def variance(takes: np.ndarray) -> float:
    """Unbiased variance over takes: summed over components, averaged over frames and points.

    >>> variance(np.array([1.0, 3.0]).reshape(2, 1, 1, 1))
    2.0
    """
    return float(takes.astype(np.float64).var(0, ddof=1).sum(-1).mean())


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Root mean square distance of each take of one set from each of another, (N, M).

    >>> distances(np.zeros((1, 2, 1, 2)), np.array([3.0, 4.0]) + np.zeros((1, 2, 1, 2)))
    array([[5.]])
    """
    count = first.shape[1] * first.shape[2]
    centre = second.mean(0, dtype=np.float64)
    a, b = ((x - centre).reshape(len(x), -1) for x in (first, second))
    square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(square, 0.0) / count))


def spread_ratio(rows: np.ndarray, seed: int = 0) -> Estimate:
    """The takes' spread over the true spread; rows (n, 5), the 95 % bootstrap draws lines."""

    def of(times: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio: np.ndarray = np.sqrt((times @ rows[:, 1]) / (times @ rows[:, 0]))
        return ratio

    return _over_lines(of, len(rows), seed)


def energy(rows: np.ndarray, seed: int = 0) -> Estimate:
    """The coefficient of energy of takes and truth, mean over lines; rows (n, 5)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = 1 - (rows[:, 2] + rows[:, 3]) / (2 * rows[:, 4])
    each = np.where(rows[:, 4] > 0, each, 0.0)
    return _over_lines(lambda times: times @ each / times.sum(1), len(rows), seed)


def true_spread(rows: np.ndarray) -> float:
    """The true spread in the curve's unit."""
    return math.sqrt(float(rows[:, 0].mean()))


def ratio_of_sums(rows: np.ndarray, seed: int = 0) -> Estimate:
    """Sum over sum of rows (n, 2), NaN where the second is 0; the 95 % bootstrap draws lines."""

    def of(times: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            found: np.ndarray = (times @ rows[:, 0]) / (times @ rows[:, 1])
        return found

    return _over_lines(of, len(rows), seed)


def correlation_of_takes(curves: np.ndarray) -> np.ndarray:
    """How far takes agree frame by frame: (sum of Pearson's r, pairs) of the takes (N, T, P, K) that move at all.

    A pair's r is the mean over the components that move in both.
    """
    takes = curves.reshape(len(curves), curves.shape[1], -1).astype(np.float64)
    takes = takes - takes.mean(1, keepdims=True)
    size = np.sqrt((takes**2).sum(1))
    moves = size > 1e-3 * math.sqrt(takes.shape[1])
    unit = np.where(moves[:, None], takes / np.where(size > 0, size, 1.0)[:, None], 0.0)
    products = np.einsum("atc,btc->abc", unit, unit)
    both = (moves[:, None] & moves[None]).astype(np.float64)
    upper = np.triu_indices(len(takes), 1)
    count = both[upper].sum(1)
    found = products[upper].sum(1)[count > 0] / count[count > 0]
    return np.array([found.sum(), float(len(found))])


def _mean_of_pairs(square: np.ndarray) -> float:
    """Mean off the diagonal: of two different takes."""
    count = len(square)
    return float((square.sum() - np.trace(square)) / (count * (count - 1)))


def _over_lines(of: Callable[[np.ndarray], np.ndarray], count: int, seed: int) -> Estimate:
    single = float(of(np.ones((1, count)))[0])
    if count < 2:
        return Estimate(single, math.nan, math.nan, count)
    return Estimate(single, *interval(of(draws(count, seed))), count)
