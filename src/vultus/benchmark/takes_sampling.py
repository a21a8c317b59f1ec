"""The table of sampling strategies: what each gives up of variety for lips, and which of them the lips ask for.

The rule that picks a default stands here, in `pick`, and was written down before the model was measured:

1. Candidates are the strategies that were measured on all clips of the table and cost at most MOST_DRAWS draws a take.
2. Out go those whose upper face varies (div_upper) by less than LEAST_UPPER of what plain sampling gives, and those
   whose lips tremble: a share of motion above 4 Hz over MOST_LIVELY times the recording's.
3. Of the rest, those stay whose closure_recall is within CLOSURE_SLACK of the best of them.
4. Of these the one with the highest sync_cos is the default.

Letters: M draws of a take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vultus.benchmark.evaluations import Evaluation
from vultus.benchmark.takes_relations import METRICS, percent
from vultus.benchmark.takes_setting import value
from vultus.methods.sampling import Sampling
from vultus.statistics import Estimate

STRATEGIES = (
    "plain", "plain,temperature=0.8", "plain,temperature=0.5", "plain,top_p=0.9", "plain,top_k=20",
    "plain,guidance=1.5", "plain,guidance=2", "avg-4", "avg-10", "avg-40", "avg-10-latent", "knn-10-3", "medoid-10",
    "sync-10", "coarse-avg-10", "region-avg-10", "region-medoid-10", "region-sync-10", "region-coarse-avg-10",
)  # fmt: skip
MANY = "avg-40"
"""The average of many draws, for R5 and R6; it is measured on fewer clips."""
LEAST_UPPER, MOST_LIVELY, CLOSURE_SLACK, MOST_DRAWS = 0.5, 1.25, 0.02, 10


@dataclass(frozen=True)
class Strategy:
    """A row of the table.

    Attributes:
        name: text of the sampling, or of a row to read the table by.
        clips: how many.
        values: metric -> value with its interval.
    """

    name: str
    clips: int
    values: Mapping[str, Estimate]

    def __getitem__(self, metric: str) -> float:
        return self.values[metric].value

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"clips": self.clips, "metrics": {name: found.to_dict() for name, found in self.values.items()}}


def row(name: str, evaluation: Evaluation, seed: int = 0) -> Strategy:
    """An evaluation as a row."""
    return Strategy(name, len(evaluation.rows), {metric: value(evaluation, metric, seed) for metric in METRICS})


@dataclass(frozen=True)
class Pick:
    """What the rule says.

    Attributes:
        name: of the strategy, None where none is left.
        left_out: strategy -> why.
        reason: what decided between those that were left.
    """

    name: str | None
    left_out: Mapping[str, str]
    reason: str


def pick(rows: Sequence[Strategy]) -> Pick:
    """The rule at the head of this file; the first row named "plain" is what variety is held against."""
    plain = next(found for found in rows if found.name == "plain")
    left_out: dict[str, str] = {}
    stay = []
    for found in rows:
        needed = draws_of(found.name)
        values = [found[metric] for metric in ("div_upper", "high_frequency_lips", "closure_recall", "sync_cos")]
        if any(math.isnan(number) for number in values):
            left_out[found.name] = "could not be measured"
        elif found.clips < plain.clips:
            left_out[found.name] = f"measured on {found.clips} of {plain.clips} clips"
        elif needed > MOST_DRAWS:
            left_out[found.name] = f"costs {needed} draws a take; at most {MOST_DRAWS}"
        elif found["div_upper"] < LEAST_UPPER * plain["div_upper"]:
            share = found["div_upper"] / plain["div_upper"]
            left_out[found.name] = (
                f"keeps {percent(share)} of the upper face's variety; at least {percent(LEAST_UPPER)}"
            )
        elif found["high_frequency_lips"] > MOST_LIVELY:
            left_out[found.name] = f"lips tremble: {found['high_frequency_lips']:.2f}; at most {MOST_LIVELY:g}"
        else:
            stay.append(found)
    if not stay:
        return Pick(None, left_out, "no strategy meets the conditions")
    best = max(found["closure_recall"] for found in stay)
    for found in stay:
        if found["closure_recall"] < best - CLOSURE_SLACK:
            left_out[found.name] = f"closes {found['closure_recall']:.3f} of the lips' closures; the best {best:.3f}"
    stay = [found for found in stay if found.name not in left_out]
    chosen = max(stay, key=lambda found: found["sync_cos"])
    others = ", ".join(f"{s.name} {s['sync_cos']:.3f}" for s in stay if s is not chosen) or "no other is left"
    return Pick(chosen.name, left_out, f"sync_cos {chosen['sync_cos']:.3f}; {others}")


def draws_of(name: str) -> int:
    """M of a take, of its lips where they are drawn apart.

    >>> draws_of("region-avg-10"), draws_of("plain,top_k=20")
    (10, 1)
    """
    sampling = Sampling.parse_text(name)
    return sampling.inner.draws if sampling.strategy == "region" else sampling.draws
