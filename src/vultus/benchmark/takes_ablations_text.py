"""What the ablations of the probabilistic method found, as Markdown and as numbers; see `takes_ablations`.

Letters: Q levels of the codec, N takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from vultus.benchmark import takes_trials as trials
from vultus.benchmark.compare import difference
from vultus.benchmark.evaluations import Evaluation
from vultus.benchmark.report import digits
from vultus.benchmark.takes_trials import Bench
from vultus.metrics import load_metric

LEAST_OFFSET_ACCURACY, RHO_WITHIN = 0.8, (1.2, 1.6)
MOST_MINUTES = 3.0
"""What the smallest form must reach, and within what time (section 4.5 of the design)."""


@dataclass
class Found:
    """What there is to tell so far.

    Attributes:
        full: the exit test of the codec that was given, if one was.
        codecs: trial -> exit test.
        recorded: how the recorded motion scores.
        priors: trial -> (cost and terms, evaluation).
        small: (core-minutes of both trainings, None where unknown; evaluation).
    """

    bench: Bench
    full: dict[str, Any] | None = None
    codecs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recorded: Evaluation | None = None
    priors: dict[str, tuple[dict[str, Any], Evaluation]] = field(default_factory=dict)
    small: tuple[float | None, Evaluation] | None = None


def text(found: Found) -> dict[str, str]:
    """Group of trials -> its section in Markdown; groups of which nothing is there are left out."""
    parts = {}
    if found.codecs:
        parts["codecs"] = _codec_table(found)
    if found.priors:
        parts["priors"] = _prior_table(found)
    if found.small is not None:
        parts["small"] = _small_text(found)
    return parts


def _codec_table(found: Found) -> str:
    first = next(iter(found.codecs.values()))
    rows = [(trial.label, found.codecs[trial.name]) for trial in trials.CODECS if trial.name in found.codecs]
    if found.full is not None:
        rows.insert(0, ("the codec of the priors", found.full))
    lines = [
        f"`recipes/probabilistic_codec.toml` with {_settings(trials.CODEC_BUDGET, found.bench)}, seed 0; "
        f"{first['clips']} clips of the validation split, {first['seconds']:.0f} s. `l_vertex` (mm) of what is decoded "
        "from 1, 2 ... Q levels; the least share of a level's codes that is in use; what `sync_cos` loses. Wanted: "
        "under 4 mm with one level, under 1.5 mm with all, over 80 %, at most 0.03, and 0.8 of the variance of upper "
        "face and head rotation explained.",
        "",
        "| codec | steps | core-minutes | codes a second | l_vertex by levels | codes in use | sync lost | upper face "
        "| head | passes |",
        "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for label, row in rows:
        errors = " / ".join(f"{error:.2f}" for error in row["l_vertex"])
        lines.append(
            f"| {label} | {row['steps']} | {_minutes(row)} | {row['codes_per_second']:g} | {errors} | "
            f"{100 * min(row['code_use']):.0f} % | {row['sync_loss']:+.3f} | {_share(row, 'upper_face')} | "
            f"{_share(row, 'head')} | {'yes' if row['passed'] else '**no**'} |"
        )
    return "\n".join(lines) + "\n"


def _share(row: dict[str, Any], name: str) -> str:
    return f"{row['explained'][name]:.2f}" if name in row["explained"] else "–"


def _prior_table(found: Found) -> str:
    cost = next(iter(found.priors.values()))[0]
    base = found.priors.get("default")
    lines = [
        f"`recipes/probabilistic_prior.toml` with {_settings(trials.PRIOR_BUDGET, found.bench)}; one codec for all; "
        f"{cost['steps']} steps, {cost['speech_hours']:.1f} h of speech with repetitions, seed 0. All rows "
        "differ in what they name alone. Cross-entropies of the validation split, nats a code. All else: protocol "
        f"`synthetic`, {found.bench.clips} sequences of the test split, N = {found.bench.samples} takes, `plain`; 95 % "
        "intervals over sequences, which do not hold the spread between seeds: see the other seed's row. Samples that "
        f"scatter as the truth does have rho near {_calibrated(found.bench.samples)}.",
        "",
        "| conditioning | core-minutes | coarse | fine | sync_cos | minus default | offset_accuracy | l_vertex, mm "
        "| l_mean, mm | rho | closure_recall |",
        "| --- |" + " ---: |" * 3 + " --- |" * 2 + " ---: |" * 5,
    ]
    names = ("offset_accuracy", "l_vertex", "l_mean", "rho", "closure_recall")
    for trial in trials.PRIORS:
        if trial.name not in found.priors:
            continue
        cost, scores = found.priors[trial.name]
        minus = "" if base is None or trial.name == "default" else _difference(base[1], scores)
        entropies = [f"{cost['terms'].get(f'val/prior/{part}', float('nan')):.2f}" for part in ("coarse", "fine")]
        cells = [_minutes(cost), *entropies, _interval(scores, "sync_cos"), minus]
        lines.append(f"| {trial.label} | {' | '.join([*cells, *(_value(scores, name) for name in names)])} |")
    if found.recorded is not None:
        cells = ["", "", "", _interval(found.recorded, "sync_cos"), ""]
        lines.append(f"| recorded motion | {' | '.join([*cells, *(_value(found.recorded, name) for name in names)])} |")
    lines += ["", *_order(found)]
    return _end(lines)


def _order(found: Found) -> list[str]:
    """The expected order on sync_cos beside the one that came; nothing as long as some of them are missing."""
    if not set(trials.EXPECTED) <= found.priors.keys():
        return []
    labels = {trial.name: trial.label.removesuffix(" (default)") for trial in trials.PRIORS}
    scores = {name: found.priors[name][1] for name in trials.EXPECTED}
    values = {name: evaluation.results["metrics"]["sync_cos"]["value"] for name, evaluation in scores.items()}
    if None in values.values():
        return [f"No order on `sync_cos`: {scores['default'].results['metrics']['sync_cos']['reason']}."]
    came = sorted(trials.EXPECTED, key=lambda name: float(values[name]))
    steps = []
    for low, high in pairwise(came):
        clear = difference(load_metric("sync_cos"), "sync_cos", scores[low], scores[high]).is_clear
        steps.append(f"{labels[low]} {'<' if clear else '≤'} ")
    met = "as expected" if tuple(came) == trials.EXPECTED else "another one"
    expected = " < ".join(labels[name] for name in trials.EXPECTED)
    return [
        f"Expected on `sync_cos`: {expected}. Came: {''.join(steps)}{labels[came[-1]]}, {met} (`≤`: the step is within "
        "chance over sequences).",
    ]


def _small_text(found: Found) -> str:
    assert found.small is not None
    minutes, scores = found.small
    accuracy, rho = (scores.results["metrics"][name]["value"] for name in ("offset_accuracy", "rho"))
    low, high = RHO_WITHIN
    wanted = [
        (f"offset_accuracy at least {LEAST_OFFSET_ACCURACY}", accuracy, LEAST_OFFSET_ACCURACY, 1.0),
        (f"rho in [{low}, {high}]", rho, low, high),
        (f"trained in under {MOST_MINUTES:g} core-minutes", minutes, 0.0, MOST_MINUTES),
    ]
    lines = [
        "`recipes/probabilistic_codec_small.toml`, then `recipes/probabilistic_prior_small.toml`"
        f"{' with ' + _settings((), found.bench) if found.bench.extra else ''}: log-mel, Q = 2 levels of 32 codes, "
        f"width 64, 2 layers. {found.bench.clips} sequences of the test split, N = {found.bench.samples} takes, "
        "`plain`. The minutes are of one core and of both trainings, reading the corpus included.",
        "",
        "| wanted | found | |",
        "| --- | --- | --- |",
        *(f"| {what} | {_reached(value, low, high)} |" for what, value, low, high in wanted),
        "",
        f"Also: `sync_cos` {_interval(scores, 'sync_cos')}, `l_vertex` {_value(scores, 'l_vertex')} mm, `l_mean` "
        f"{_value(scores, 'l_mean')} mm, `closure_recall` {_value(scores, 'closure_recall')}.",
    ]
    return _end(lines)


def _calibrated(samples: int) -> str:
    return f"{(2 * samples / (samples + 1)) ** 0.5:.2f}"


def _settings(budget: Sequence[str], bench: Bench) -> str:
    return ", ".join(f"`{setting}`" for setting in (*budget, *bench.extra))


def _interval(scores: Evaluation, name: str) -> str:
    entry = scores.results["metrics"][name]
    if entry["low"] is None:
        return _value(scores, name)
    return f"{digits(entry['value'])} ({digits(entry['low'])} to {digits(entry['high'])})"


def _value(scores: Evaluation, name: str) -> str:
    entry = scores.results["metrics"].get(name)
    return "–" if entry is None or entry["value"] is None else digits(entry["value"])


def _difference(base: Evaluation, other: Evaluation) -> str:
    found = difference(load_metric("sync_cos"), "sync_cos", base, other)
    if found.n < 2:
        return "–"
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f}){' *' if found.is_clear else ''}"


def _reached(value: float | None, low: float, high: float) -> str:
    if value is None:
        return "– | not measured"
    return f"{digits(value)} | {'yes' if low <= value <= high else '**no**'}"


def _minutes(cost: dict[str, Any]) -> str:
    return "–" if cost["minutes"] is None else f"{cost['minutes']:.1f}"


def _end(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def numbers(found: Found) -> dict[str, dict[str, Any]]:
    """Group of trials -> all its numbers, for the .json."""

    def scored(scores: Evaluation) -> dict[str, Any]:
        keys = ("value", "low", "high")
        return {n: {key: entry[key] for key in keys} for n, entry in scores.results["metrics"].items()}

    bench, told = found.bench, dict[str, dict[str, Any]]()
    tested: dict[str, Any] = {"sequences": bench.clips, "samples": bench.samples}
    if found.codecs:
        budget = [*trials.CODEC_BUDGET, *bench.extra]
        told["codecs"] = {"budget": budget, "given": found.full, "trials": found.codecs}
    if found.priors:
        rows = {name: {**cost, "scores": scored(scores)} for name, (cost, scores) in found.priors.items()}
        recorded = None if found.recorded is None else scored(found.recorded)
        budget = [*trials.PRIOR_BUDGET, *bench.extra]
        told["priors"] = {"budget": budget, **tested, "recorded": recorded, "trials": rows}
    if found.small is not None:
        minutes, scores = found.small
        told["small"] = {"budget": list(bench.extra), **tested, "minutes": minutes, "scores": scored(scores)}
    return told
