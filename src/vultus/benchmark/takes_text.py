"""The section of the results page that `takes` writes: tables, verdicts, and what to read them by.

Letters: N takes of each clip, M draws of an average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vultus.benchmark.report import digits
from vultus.benchmark.takes_curves import UNITS
from vultus.benchmark.takes_life import AGREEMENTS, MEASURES
from vultus.benchmark.takes_lines import Lines
from vultus.benchmark.takes_relations import CALIBRATED, Relation, percent, scattering
from vultus.benchmark.takes_sampling import (
    CLOSURE_SLACK,
    LEAST_UPPER,
    MOST_DRAWS,
    MOST_LIVELY,
    Pick,
    Strategy,
)
from vultus.benchmark.takes_setting import value
from vultus.benchmark.takes_style import MOST_LOSS, StyleMatch
from vultus.statistics import Estimate

if TYPE_CHECKING:
    from vultus.benchmark.takes import Evidence

COLUMNS = {
    "sync_cos": "sync_cos", "closure_recall": "closure_recall", "l_vertex": "l_vertex, mm", "l_cover": "l_cover, mm",
    "l_mean": "l_mean, mm", "rho": "rho", "div_lips": "div_lips, mm", "div_upper": "div_upper, mm",
    "fd_sync": "fd_sync", "high_frequency_lips": "above 4 Hz",
}  # fmt: skip
WITH_INTERVAL = ("sync_cos", "closure_recall", "l_vertex")


def note(about: Mapping[str, Any]) -> str:
    """One line that tells what was measured on what."""
    measured = about["measured"]
    return (
        f"Model {about['model']['name']} ({about['model']['digest']}) against {about['base']['name']}; protocol "
        f"{about['under']}, {measured['table']} clips of the test split ({measured['many']} for avg-40), "
        f"{about['samples']} takes of each, seed {about['seed']}."
    )


def text(found: Evidence, picture: str) -> str:
    """The Markdown between the marks."""
    about, seed = found.about, found.about["seed"]
    measured = about["measured"]
    seconds = about["core_seconds"]
    spent = f"{sum(seconds.values()) / 60:.1f} core-minutes ({_listed(seconds)})"
    lines = [
        f"Protocol `{about['protocol']}` under `{about['under']}`, {about['revision']}. {about['model']['kind']} "
        f"`{about['model']['name']}` ({about['model']['digest']}) against {about['base']['kind']} "
        f"`{about['base']['name']}` ({about['base']['digest']}), which is deterministic. Data {about['data']['name']} "
        f"({about['data']['digest']}), {about['split']} test clips of {about['subjects']} subjects, of which "
        f"{measured['clips']} are used. N = {about['samples']} takes of each clip, seed {seed}, in the manner of "
        f"another clip of the subject. 95 % intervals: bootstrap over clips, paired where two sides are compared; with "
        f"{about['subjects']} subjects they tell of other sentences, not of other people. {about['machine']}; {spent}.",
        "",
        *_relations(found.relations, measured),
        *_sampling(found.table, found.beside, found.pick, measured, picture, about["samples"]),
        *_style(found.style, seed),
    ]
    for measured_lines in found.lines:
        lines += _lines(measured_lines, seed)
    return "\n".join(lines)


def _relations(relations: Sequence[Relation], measured: Mapping[str, int]) -> list[str]:
    rho = next(relation for relation in relations if relation.name == "R6a").measured
    low, high = CALIBRATED
    inside = "within" if low <= rho.value <= high else "outside"
    rows = [
        "### The relations R1 to R7",
        "",
        f"{measured['clips']} clips, {measured['many']} where an average of many draws is compared. Unsure: the value "
        "is right, its interval reaches beyond the bound. The paper's numbers are of other data (DECA meshes of "
        "VoxCeleb2): the relation compares, not the value. R8 (recognition of speech with generated faces) is not "
        "measured here.",
        "",
        "| relation | paper | against | ours | measured (95 %) | wanted | met | reason |",
        "| --- | --- | ---: | ---: | --- | --- | --- | --- |",
    ]
    for relation in relations:
        first = "" if relation.first is None else _number(relation.first.value)
        met = f"**{relation.met}**" if relation.met == "no" else relation.met
        form = "" if relation.form == "value" else f"{relation.form} "
        rows.append(
            f"| {relation.name}: {relation.claim} | {relation.paper} | {first} | {_number(relation.second.value)} | "
            f"{form}{_cell(relation.measured)} | {_bounds(relation.wanted)} | {met} | {relation.reason} |"
        )
    return [
        *rows,
        "",
        f"Calibration of plain sampling: rho {_cell(rho)}, {inside} {low:g} to {high:g}: "
        f"{scattering(rho.value, CALIBRATED)}.",
        "",
    ]


def _sampling(
    table: Sequence[Strategy], beside: Sequence[Strategy], picked: Pick, measured: Mapping[str, int], picture: str,
    samples: int,
) -> list[str]:  # fmt: skip
    rows = [
        "### Sampling strategies",
        "",
        f"{samples} outputs for each of {measured['table']} clips; each output of a strategy that draws M times has M "
        "draws of its own. `sync` chooses by the second sync network; all rows are scored by the first. `above 4 Hz`: "
        "share of lip motion, of the recording's. `true takes` are the corpus' own other performances (their lines), "
        "what a perfect sampler scores.",
        "",
        f"| sampling | clips | {' | '.join(COLUMNS.values())} |",
        f"| --- | ---: |{' ---: |' * len(COLUMNS)}",
    ]
    for row in [*table, *beside]:
        cells = [_cell(row.values[m]) if m in WITH_INTERVAL else _number(row[m]) for m in COLUMNS]
        name = f"**{row.name}**" if row.name == picked.name else row.name
        rows.append(f"| {name} | {row.clips} | {' | '.join(cells)} |")
    told = f"**default sampling by this rule: {picked.name}**" if picked.name else "**no default by this rule**"
    return [
        *rows,
        "",
        f"![What sampling gives up]({picture})",
        "",
        f"The rule, written before the numbers: of the strategies that cost at most {MOST_DRAWS} draws a take, keep "
        f"{percent(LEAST_UPPER)} of plain's div_upper and have lips with at most {MOST_LIVELY:g} of the recording's "
        f"share above 4 Hz, those whose closure_recall is within {CLOSURE_SLACK:g} of the best; of these the highest "
        f"sync_cos. {told} ({picked.reason}).",
        "",
        *(f"- {name}: {why}" for name, why in picked.left_out.items()),
        *([""] * bool(picked.left_out)),
    ]


def _style(found: StyleMatch, seed: int) -> list[str]:
    rows = [
        "### Style matching of unseen subjects",
        "",
        f"{len(found.conditions['right'].evaluation.rows)} clips of subjects that were not trained on, `plain`. The "
        "lender gives the reference clip, the sound stays. style_cos and style_top1 compare takes with the reference "
        "clip of the subject asked for.",
        "",
        "| lender | asked for | style_cos | style_top1 | sync_cos | div_lips, mm | div_upper, mm |",
        "| --- | --- | --- | --- | --- | ---: | ---: |",
    ]
    for row in found.conditions.values():
        there = row.evaluation.results["metrics"]
        cells = [
            _cell(value(row.evaluation, name, seed)) if name in there else "–"
            for name in ("style_cos", "style_top1", "sync_cos")
        ]
        cells += [
            _number(value(row.evaluation, name, seed).value) if name in there else "–"
            for name in ("div_lips", "div_upper")
        ]
        rows.append(f"| {row.lender} | {row.asked_for} | {' | '.join(cells)} |")
    told = "not more" if found.keeps_sync else "**more**"
    return [
        *rows,
        "",
        f"sync_cos with the wrong clip over sync_cos with the right one: {_cell(found.sync)}; it falls by {told} than "
        f"the {percent(MOST_LOSS)} that are allowed.",
        "",
    ]


def _lines(found: Lines, seed: int) -> list[str]:
    spreads, lives = found.spreads(seed), found.lives(seed)
    rows = [
        f"### Takes against true takes, `{found.sampling}`",
        "",
        f"{found.takes} takes of each of {found.count} lines against {found.true_takes} true takes. True takes of a "
        "line have words, sound, phone times, face and manner in common; what varies is small chances of articulation, "
        "accents that the brows take up, mood, blinks, gaze and head. Spread: over takes, at the same frame; the ratio "
        "is 1 where takes vary as much as the truth. Energy: 0 where the two sets are alike, 1 where they share "
        "nothing.",
        "",
        "| | unit | true spread | takes / true | energy |",
        "| --- | --- | ---: | --- | --- |",
    ]
    rows += [
        f"| {name} | {UNITS[name]} | {digits(true)} | {_cell(ratio)} | {_cell(far)} |"
        for name, (true, ratio, far) in spreads.items()
    ]
    rows += ["", "| in a take | unit | true takes | takes |", "| --- | --- | --- | --- |"]
    rows += _pairs(MEASURES, lives)
    rows += ["", "| between takes | unit | true takes | takes |", "| --- | --- | --- | --- |"]
    rows += _pairs(AGREEMENTS, lives)
    return [*rows, ""]


def _pairs(units: Mapping[str, str], lives: Mapping[str, tuple[Estimate, Estimate]]) -> list[str]:
    return [f"| {name} | {unit} | {_cell(lives[name][0])} | {_cell(lives[name][1])} |" for name, unit in units.items()]


def _cell(found: Estimate) -> str:
    if math.isnan(found.value):
        return "–"
    span = "" if math.isnan(found.low) else f" ({digits(found.low)} to {digits(found.high)})"
    return digits(found.value) + span


def _number(number: float) -> str:
    return "–" if math.isnan(number) else digits(number)


def _bounds(wanted: tuple[float, float]) -> str:
    """
    >>> _bounds((1.0, float("inf"))), _bounds((0.95, 1.05))
    ('> 1', '0.95 to 1.05')
    """
    low, high = wanted
    if math.isinf(high):
        return f"> {low:g}"
    return f"< {high:g}" if math.isinf(low) or low <= 0 else f"{low:g} to {high:g}"


def _listed(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {used:.0f} s" for part, used in seconds.items())
