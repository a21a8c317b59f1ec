"""Does a metric rank broken motion as a person would? Values along a series, and the verdict.

Letters: n sequences, W width of a row, R draws of the bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vultus.benchmark.proof_clips import with_samples
from vultus.benchmark.proof_faults import Scene, Series
from vultus.metrics import Accumulator, Metric, Unavailable, load_metric
from vultus.statistics import Estimate, draws, interval

LEAST_RATIO = 1e-3
"""Ratios under it count as it, so that a still face is bad by a finite amount."""
_BEST_OF_FEW = (
    "samples drawn in towards their mean are nearer to any one truth than ten scattered ones, of which none matches a "
    "whole line: read it with rho and div"
)
_NEIGHBOURS = "openings come some three times a second, so those of a shift beyond 150 ms meet the wrong neighbours"
_WINDOW = "a closure counts wherever it is made between 40 ms before the phone and 40 ms after it"
_BY_DEFINITION = "one frame (40 ms) is in time by definition"
_POSE = "the network tells a subject by the resting pose as well (smile, width of the mouth), and a mean face keeps it"
_OWN_LIFE = "brows and blinks differ from take to take as much as from subject to subject"
_WEAK_ANSWER = "the corpus itself answers weakly to loudness, which leaves little to lose"
_NEARLY = "lips count as closed, and a lip as at the teeth, within 15 % of the widest opening: 1 to 2 mm"
REASONS: dict[tuple[str, str], str] = {
    ("late", "onset_offset"): _NEIGHBOURS,
    ("early", "onset_offset"): _NEIGHBOURS,
    ("late", "closure_recall"): _WINDOW,
    ("early", "closure_recall"): _WINDOW,
    ("late", "offset_accuracy"): _BY_DEFINITION,
    ("early", "offset_accuracy"): _BY_DEFINITION,
    ("over-smoothed", "fv_contact"): _NEARLY,
    ("lips never meet", "closure_recall"): _NEARLY,
    ("lips never meet", "fv_contact"): _NEARLY,
    ("frozen upper face", "high_frequency_upper_face"): "a share of power is the same at any amplitude but none",
    ("other words, same speaker", "loudness_response"): _WEAK_ANSWER,
    ("other words, same speaker", "loudness_gap"): _WEAK_ANSWER,
    ("speaker swapped, same words", "upper_mean"): _OWN_LIFE,
    ("speaker swapped, same words", "fdd_abs"): _OWN_LIFE,
    ("mean face", "style_cos"): _POSE,
    ("mean face", "style_top1"): _POSE,
    ("samples too much alike", "l_cover"): _BEST_OF_FEW,
    ("samples too much alike", "coverage_curve"): _BEST_OF_FEW,
}
"""(series, metric) -> why a step is not seen, or the order not a person's; shown where that is what was measured."""


@dataclass(frozen=True)
class Ranking:
    """A metric along a series.

    Attributes:
        series, metric: names.
        steps: of the series, the good one first.
        values: of each step; empty where the metric could not be had.
        coarse: whether steps may be equal, but for the last and the first.
        verdict: "yes"; "yes, unsure" where the order is right but some step is within chance of the one before; "no";
            "-" where there is no value.
        unseen: steps within chance of the good one.
        note: why it is not "yes", where that is known.
    """

    series: str
    metric: str
    steps: tuple[str, ...]
    values: tuple[Estimate, ...]
    coarse: bool
    verdict: str
    unseen: tuple[str, ...] = ()
    note: str = ""

    @property
    def wanted(self) -> str:
        """The order that is wanted, in words."""
        if not self.coarse or len(self.steps) == 2:
            return " < ".join(self.steps)
        return f"{' ≤ '.join(self.steps)}, {self.steps[0]} < {self.steps[-1]}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "series": self.series, "metric": self.metric, "unit": load_metric(self.metric).info.unit("m"),
            "steps": list(self.steps), "values": [value.to_dict() for value in self.values], "coarse": self.coarse,
            "verdict": self.verdict, "unseen": list(self.unseen), "note": self.note,
        }  # fmt: skip


def badness(metric: Metric, values: np.ndarray, good: np.ndarray, side: float = 0.0) -> np.ndarray:
    """How bad values are, larger is worse, whatever the metric's direction.

    Args:
        metric: its `info` tells the direction. Where neither side is better, being unlike the good prediction is bad:
            as a difference for times and correlations, as a ratio for the rest.
        values: any shape.
        good: of the good prediction, the same shape.
        side: for metrics with a best value in the middle: +1 or -1 counts that way as bad and the other as good, so
            that draws about the best value are seen to cross it; 0 counts both as bad.

    >>> badness(load_metric("lip_offset"), np.array([-80.0, 40.0]), np.zeros(2)).tolist()
    [80.0, 40.0]
    """
    info = metric.info
    if info.direction in ("lower", "higher"):
        return values if info.direction == "lower" else -values
    if info.direction == "zero":
        off = values
    elif info.direction == "one":
        off = np.log(np.maximum(values, LEAST_RATIO))
    elif info.quantity in ("time", "correlation"):
        off = values - good
    else:
        off = np.log(np.maximum(values, LEAST_RATIO) / np.maximum(good, LEAST_RATIO))
    return np.asarray(side * off if side else np.abs(off))


class Race:
    """Measures series of broken motion clip by clip.

    Args:
        series: what to measure.
        only: metrics to measure; all that the series name where None.
    """

    def __init__(self, series: Sequence[Series], only: Iterable[str] | None = None) -> None:
        self.series = tuple(series)
        allowed = None if only is None else set(only)
        self.metrics = {
            one.name: [m for m in (*one.metrics, *one.coarse) if allowed is None or m in allowed] for one in self.series
        }
        self.scores: dict[tuple[str, str, str], Accumulator] = {}
        self.reasons: dict[str, str] = {}

    def update(self, scene: Scene) -> None:
        """Breaks one clip in every way and measures each."""
        for series in self.series:
            metrics = self.metrics[series.name]
            for step, make in series.steps.items():
                if not metrics:
                    continue
                samples = make(scene)
                plain = samples[0] is scene.example.reference  # what is known of the truth need not be found again
                example = scene.example if plain else with_samples(scene.example, samples)
                for name in metrics:
                    key = (series.name, step, name)
                    if key not in self.scores:
                        self.scores[key] = Accumulator(load_metric(name))
                    try:
                        self.scores[key].update(example)
                    except Unavailable as reason:
                        self.reasons[name] = str(reason)

    def rankings(self, seed: int = 0) -> list[Ranking]:
        """The verdicts, series by series."""
        out = []
        for series in self.series:
            for name in self.metrics[series.name]:
                scores = [self.scores[series.name, step, name] for step in series.steps]
                coarse = name in series.coarse
                steps = tuple(series.steps)
                if name in self.reasons or not all(score.rows for score in scores):
                    out.append(Ranking(series.name, name, steps, (), coarse, "-", note=self.reasons.get(name, "")))
                else:
                    out.append(judge(series.name, steps, scores, coarse, seed))
        return out


def judge(
    series: str,
    steps: Sequence[str],
    scores: Sequence[Accumulator],
    coarse: bool,
    seed: int = 0,
    reasons: Mapping[tuple[str, str], str] = REASONS,
) -> Ranking:
    """The verdict for one metric over the same sequences at every step; differences are drawn in pairs."""
    metric = scores[0].metric
    names = sorted(scores[0].rows)
    rows = [np.stack([score.rows[name] for name in names]) for score in scores]
    once = np.ones((1, len(names)))
    points = [metric.combine(r, once) for r in rows]
    bad = [float(badness(metric, p, points[0])[0]) for p in points]
    drawn = []
    if len(names) > 1:
        times = draws(len(names), seed)[: metric.info.draws]
        resampled = [metric.combine(r, times) for r in rows]
        sides = [1.0 if badness(metric, p, points[0], 1.0)[0] >= 0 else -1.0 for p in points]
        drawn = [badness(metric, v, resampled[0], side) for v, side in zip(resampled, sides, strict=True)]
    values = tuple(
        Estimate(float(p[0]), *(interval(v) if drawn else (np.nan, np.nan)), len(names))
        for p, v in zip(points, resampled if drawn else points, strict=True)
    )

    def sure(worse: int, better: int) -> bool:
        return not drawn or interval(drawn[worse] - drawn[better])[0] > 0

    last = len(steps) - 1
    unseen = tuple(steps[k] for k in range(1, last + 1) if not (bad[k] > bad[0] and sure(k, 0)))
    if not np.isfinite(bad).all():
        verdict = "-"
    elif coarse:
        ordered = all(bad[k] >= bad[k - 1] - 1e-9 for k in range(1, last + 1)) and bad[last] > bad[0]
        verdict = "no" if not ordered else "yes" if sure(last, 0) else "yes, unsure"
    else:
        ordered = all(bad[k] > bad[k - 1] for k in range(1, last + 1))
        certain = all(sure(k, k - 1) for k in range(1, last + 1))
        verdict = "no" if not ordered else "yes" if certain else "yes, unsure"
    name = metric.info.name
    note = "" if verdict == "yes" and not unseen else reasons.get((series, name), "")
    return Ranking(series, name, tuple(steps), values, coarse, verdict, unseen, note)
