"""The relations that a reproduction of the probabilistic paper must show, R1 to R7, each as a number.

They were drawn from what is known of the paper's results (docs/probabilistic.md): its own values are of other data and
do not compare, what is larger than what does. The deterministic side is a model under the same protocol on the same
clips. Every verdict and every reason is computed from the numbers.

Letters: N takes of each clip, M draws of an average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from vultus.benchmark.evaluations import Evaluation
from vultus.benchmark.takes_setting import Side, contrast, value
from vultus.statistics import Estimate

METRICS = (
    "sync_cos", "l_vertex", "l_cover", "l_mean", "rho", "div_lips", "div_upper", "fd_sync", "high_frequency_lips",
    "closure_recall",
)  # fmt: skip
NEAR = 0.05
"""Share by which two values may differ and still match."""
CALIBRATED = (1.25, 1.5)
"""rho of a sampler that scatters as the truth does; 1.35 in theory for 10 takes, 1.41 for very many."""
AVERAGED = 1.1
"""rho under which takes are as good as one answer."""


@dataclass(frozen=True)
class Relation:
    """One relation.

    Attributes:
        name: R1 ... R7, with a letter where it has several parts.
        claim: in words.
        paper: its numbers, where they are known.
        first, second: what is compared, the first being the side that it is measured against.
        measured: their ratio or difference, or the single value that counts.
        form: "ratio", "difference" or "value".
        wanted: bounds of `measured`.
        met: "yes"; "yes, unsure" where the interval reaches beyond a bound; "no"; "–" where nothing was measured.
        reason: one line.
    """

    name: str
    claim: str
    paper: str
    first: Estimate | None
    second: Estimate
    measured: Estimate
    form: str
    wanted: tuple[float, float]
    met: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        found = asdict(self)
        for key in ("first", "second", "measured"):
            estimate = getattr(self, key)
            found[key] = None if estimate is None else estimate.to_dict()
        return {**found, "wanted": [bound if math.isfinite(bound) else None for bound in self.wanted]}


def verdict(measured: Estimate, wanted: tuple[float, float]) -> str:
    """Whether a value lies within bounds, and surely so.

    >>> verdict(Estimate(1.3, 1.2, 1.4, 9), (1.0, 1.5)), verdict(Estimate(1.3, 0.9, 1.4, 9), (1.0, 1.5))
    ('yes', 'yes, unsure')
    >>> verdict(Estimate(1.6, 1.5, 1.7, 9), (1.0, 1.5)), verdict(Estimate(math.nan, math.nan, math.nan, 0), (0.0, 1.0))
    ('no', '–')
    """
    low, high = wanted
    if math.isnan(measured.value):
        return "–"
    if not low <= measured.value <= high:
        return "no"
    return "yes" if low <= measured.low and measured.high <= high else "yes, unsure"


def relations(still: Evaluation, plain: Evaluation, averaged: Evaluation, many: str, seed: int = 0) -> list[Relation]:
    """R1 to R6.

    Args:
        still: the deterministic model.
        plain: takes that are single draws, of the same clips.
        averaged: takes that are averages, of the same clips or some of them.
        many: name of that sampling.
        seed: of the intervals.
    """

    def ratio(first: Evaluation, second: Evaluation, metric: str) -> Estimate:
        return contrast(Side(first, metric), Side(second, metric), "ratio", seed)

    errors = ratio(still, plain, "l_vertex")
    cover, centre = ratio(still, plain, "l_cover"), ratio(still, plain, "l_mean")
    nearer, sync = ratio(still, averaged, "l_vertex"), contrast(
        Side(still, "sync_cos"), Side(plain, "sync_cos"), "difference", seed
    )  # fmt: skip
    raised = contrast(Side(plain, "sync_cos"), Side(averaged, "sync_cos"), "difference", seed)
    wider = ratio(plain, averaged, "l_cover")
    rho = {name: value(evaluation, "rho", seed) for name, evaluation in (("plain", plain), (many, averaged))}
    lively = {
        name: value(evaluation, "high_frequency_lips", seed).value
        for name, evaluation in (("still", still), ("plain", plain), (many, averaged))
    }
    more, less = (1.0, math.inf), (-math.inf, 1.0)
    scatter = f"rho {rho['plain'].value:.2f}"
    centred = f"the mean of the takes errs {_percent(centre)} against the deterministic answer"
    share = f"share above 4 Hz, of the recording's: {lively['still']:.2f} deterministic, {lively['plain']:.2f} takes"
    rows = [
        ("R1", "one take errs more than the one answer (l_vertex)", "+37 %", still, plain, "l_vertex", errors, "ratio",
         more, (f"a take scatters about the mean of all, {scatter}", f"{centred}, and takes scatter with {scatter}")),
        ("R2", "the best of N takes errs less (l_cover)", "-24 %", still, plain, "l_cover", cover, "ratio", less,
         (f"among N takes one is near: {scatter}", f"{centred}, and {scatter}: the best of N does not make up for it")),
        ("R3", "the mean of the takes is the one answer (l_mean)", "equal", still, plain, "l_mean", centre, "ratio",
         (1 - NEAR, 1 + NEAR),
         (f"within {percent(NEAR)}", f"{centred}: {'better' if centre.value < 1 else 'worse'} than the regressor")),
        ("R4", "takes go with the sound better (sync_cos)", "0.463 > 0.369", still, plain, "sync_cos", sync,
         "difference", (0.0, math.inf), (share, f"{share}; {centred}, with {scatter}")),
        ("R5a", f"averaging raises sync_cos ({many})", "0.463 to 0.684", plain, averaged, "sync_cos", raised,
         "difference", (0.0, math.inf),
         ("what single draws do not share is averaged out", f"share above 4 Hz falls from {lively['plain']:.2f} to "
          f"{lively[many]:.2f}, and what is left goes with the sound no better")),
        ("R5b", f"and brings l_vertex near the one answer ({many})", "+5 %", still, averaged, "l_vertex", nearer,
         "ratio", (-math.inf, 1 + NEAR), (f"{_percent(nearer)}", f"{_percent(nearer)}; {centred}")),
        ("R5c", f"and raises l_cover ({many})", "+18 %", plain, averaged, "l_cover", wider, "ratio", more,
         ("averages differ too little to cover the truth", "the best of N draws is no nearer than an average: "
          f"{scatter}, where calibrated takes have 1.35")),
    ]  # fmt: skip
    found = []
    for name, claim, paper, first, second, metric, measured, form, wanted, reasons in rows:
        met = verdict(measured, wanted)
        reason = reasons[0] if met.startswith("yes") else reasons[1] if met == "no" else "no clip that both have"
        shared = first.rows.keys() & second.rows.keys()
        left, right = (
            value(replace(side, rows={clip: side.rows[clip] for clip in sorted(shared)}), metric, seed)
            for side in (first, second)
        )
        found.append(Relation(name, claim, paper, left, right, measured, form, wanted, met, reason))
    calibration = (
        ("R6a", "rho of single draws, calibrated", "1.37", "plain", CALIBRATED),
        ("R6b", f"rho of averages ({many}), near 1", "1.01", many, (0.0, AVERAGED)),
    )
    for name, claim, paper, which, wanted in calibration:
        reason = scattering(rho[which].value, wanted)
        met = verdict(rho[which], wanted)
        found.append(Relation(name, claim, paper, None, rho[which], rho[which], "value", wanted, met, reason))
    return found


def scattering(rho: float, wanted: tuple[float, float]) -> str:
    """What a value of rho says.

    >>> scattering(1.1, CALIBRATED), scattering(1.3, CALIBRATED)
    ('takes are too much alike', 'takes scatter about as the truth does')
    """
    if wanted == CALIBRATED:
        low, high = wanted
        return (
            "takes are too much alike" if rho < low
            else "takes scatter more widely than the truth" if rho > high
            else "takes scatter about as the truth does"
        )  # fmt: skip
    return "averages are as good as one answer" if rho <= wanted[1] else "averages still scatter: more draws are needed"


def style_relation(right: Evaluation, wrong: Evaluation, seed: int = 0) -> Relation:
    """R7: takes in the manner of the right clip and of another subject's, both held against the right one."""
    measured = contrast(Side(wrong, "style_cos"), Side(right, "style_cos"), "difference", seed)
    sides = value(wrong, "style_cos", seed), value(right, "style_cos", seed)
    top = [value(e, "style_top1", seed).value for e in (wrong, right)]
    wanted = (0.0, math.inf)
    met = verdict(measured, wanted)
    reason = (
        f"the own subject is the nearest for {percent(top[1])} of takes with the right clip, {percent(top[0])} with "
        "the wrong one"
    )
    return Relation(
        "R7", "a clip of the right unseen subject lends its manner (style_cos)", "claimed, no number", *sides,
        measured, "difference", wanted, met, reason,
    )  # fmt: skip


def percent(share: float) -> str:
    """A share in words.

    >>> percent(0.5), percent(math.nan)
    ('50 %', 'an unknown share')
    """
    return "an unknown share" if math.isnan(share) else f"{100 * share:.0f} %"


def _percent(ratio: Estimate) -> str:
    return f"{100 * (ratio.value - 1):+.0f} %"


def to_json(found: list[Relation]) -> Mapping[str, Any]:
    """By name."""
    return {relation.name: relation.to_dict() for relation in found}
