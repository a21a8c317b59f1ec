"""One line of the proof: a metric where its value is known, with what was measured.

Letters: n sequences, R draws of the bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vultus.metrics import Accumulator, Example, Unavailable, load_metric
from vultus.statistics import Estimate, draws, interval

How = Literal["closed form", "construction", "brute force", "Monte Carlo"]
WIDER = 3.29 / 1.96
"""From a 95 % to a 99.9 % interval: among sixty values none should miss it by chance."""


@dataclass(frozen=True)
class Check:
    """A metric beside its known value.

    Attributes:
        metric: of METRICS.
        case: what was measured.
        how: how the value is known: from a formula, because it was put in, by another program over the same data, or
            from draws of the known process.
        expected: the known value, in `unit`.
        measured: with its interval over sequences; NaN ends where nothing is left to chance.
        tolerance: by how much a value may be off whatever the interval says.
        reason: why nothing could be measured, or "".
    """

    metric: str
    case: str
    how: How
    expected: float
    measured: Estimate
    tolerance: float = 0.0
    reason: str = ""

    @property
    def unit(self) -> str:
        """Of the values; "" for pure numbers."""
        return load_metric(self.metric).info.unit("m")

    @property
    def agrees(self) -> bool | None:
        """Whether the known value lies within 99.9 % of the measured one or within `tolerance`; None if unmeasured."""
        if not math.isfinite(self.measured.value):
            return None
        half = (self.measured.high - self.measured.low) / 2
        chance = 0.0 if math.isnan(half) else WIDER * half
        return bool(abs(self.measured.value - self.expected) <= max(self.tolerance, chance))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "metric": self.metric, "case": self.case, "how": self.how, "expected": self.expected, "unit": self.unit,
            "measured": self.measured.to_dict(), "tolerance": self.tolerance, "agrees": self.agrees,
            "reason": self.reason,
        }  # fmt: skip


def unmeasured(metric: str, case: str, how: How, reason: str) -> Check:
    """A check that could not be made."""
    return Check(metric, case, how, math.nan, Estimate(math.nan, math.nan, math.nan, 0), reason=reason)


def check(
    metric: str,
    case: str,
    how: How,
    expected: float,
    examples: Sequence[Example],
    *,
    tolerance: float = 0.0,
    chance: bool = False,
    seed: int = 0,
) -> Check:
    """Measures a metric over examples.

    Args:
        metric: of METRICS.
        case: in words.
        how: see Check.
        expected: the known value.
        examples: of different names.
        tolerance: see Check.
        chance: whether the examples are draws, so that an interval over them says how far off the mean may be; else
            their spread is no error, and none is given.
        seed: of the bootstrap.
    """
    accumulator = Accumulator(load_metric(metric))
    try:
        for example in examples:
            accumulator.update(example)
    except Unavailable as reason:
        return unmeasured(metric, case, how, str(reason))
    found = accumulator.compute(seed)
    if not chance:
        found = Estimate(found.value, math.nan, math.nan, found.n)
    return Check(metric, case, how, expected, found, tolerance)


def compare(
    metric: str, case: str, how: How, measured: np.ndarray, known: np.ndarray, *, tolerance: float = 0.0, seed: int = 0
) -> Check:
    """A metric on some sequences beside a known value for each of them.

    Sequences differ much more than one draw of a sequence from another, so the interval is that of the difference.

    Args:
        metric: of METRICS.
        case: in words.
        how: see Check.
        measured: (n, 2) sums and weights as a metric's rows; the value is the ratio of the totals.
        known: (n, 2) likewise.
        tolerance: see Check.
        seed: of the bootstrap.
    """
    value, expected = (float(rows[:, 0].sum() / rows[:, 1].sum()) for rows in (measured, known))
    low = high = math.nan
    if how != "brute force" and len(measured) > 1:
        times = draws(len(measured), seed)
        drawn = [(times @ rows[:, 0]) / (times @ rows[:, 1]) for rows in (measured, known)]
        below, above = interval(drawn[0] - drawn[1])
        low, high = expected + below, expected + above
    return Check(metric, case, how, expected, Estimate(value, low, high, len(measured)), tolerance)
