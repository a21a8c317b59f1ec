"""Results side by side, with the significance of each difference over the sequences that both have.

The difference's 95 % interval is a paired bootstrap: sequences are drawn, the same for both. Its p value is from a
permutation: for each sequence the two results may change places (a flip of the sign of its difference, where a metric
averages sequences), and p is the share of such exchanges that differ at least as much. Both work on rows, so metrics
that pool frames or compare distributions are treated right. Values of p are of one comparison each, not corrected for
the number of metrics in the table.

Letters: n rows, U sequences, R draws, W width of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.evaluations import Evaluation, read_evaluation, results_file
from vultus.benchmark.protocol import load_protocol, protocol_names
from vultus.benchmark.report import WORDS, digits
from vultus.benchmark.scorers import asks_network
from vultus.errors import VultusError
from vultus.metrics import METRICS, Metric, load_metric
from vultus.metrics.base import Mean
from vultus.statistics import draws, interval

EXCHANGES = 2000
FEWEST = 6
"""Sequences under which no exchange could be significant (1 of 32 is more than 0.025)."""


@dataclass(frozen=True)
class Difference:
    """Second minus first, over the sequences of both.

    Attributes:
        value, low, high: the difference and its 95 % interval; NaN where it cannot be had.
        p: of the exchange of the two; NaN likewise.
        n: sequences.
    """

    value: float
    low: float
    high: float
    p: float
    n: int

    @property
    def is_clear(self) -> bool:
        """Whether p is under 0.05."""
        return bool(self.p < 0.05)


def compare(folders: Sequence[str | Path], *, allow_different: bool = False, seed: int = 0) -> str:
    """The Markdown of a comparison; the first folder is what the others are compared with.

    Raises:
        VultusError: fewer than two, one folder twice, no results in a folder; other protocols, data, regions or
            oracles or no sequence of both, unless `allow_different`, which then stands in the text.
    """
    if len(folders) < 2:
        raise VultusError(f"{len(folders)} results to compare; expected two or more folders")
    places = [results_file(Path(folder)).resolve() for folder in folders]
    for place in places:
        if places.count(place) > 1:
            raise VultusError(
                f"{place}: is given {places.count(place)} times; expected results of different predictions"
            )
    found = [read_evaluation(Path(folder)) for folder in folders]
    labels = _labels(found, folders)
    found = [Evaluation(label, e.results, e.rows) for label, e in zip(labels, found, strict=True)]
    reasons = [reason for other in found[1:] for reason in differences(found[0], other)]
    if reasons and not allow_different:
        raise VultusError(f"{reasons[0]}; such numbers do not compare; --allow-different shows them all the same")
    first = found[0].results
    lines = [f"# Comparison under `{first['protocol']['name']}` {first['protocol']['version']}", ""]
    lines += [f"**Not the same: {reason}.**" for reason in reasons] + [""] * bool(reasons)
    lines += [f"- {remark}" for other in found[1:] for remark in _layouts(found[0], other)]
    for evaluation in found:
        lines += [f"- {evaluation.label}: {flag}" for flag in evaluation.results["flags"]]
    columns = [found[0].label]
    for evaluation in found[1:]:
        columns += [evaluation.label, f"minus {found[0].label} (95 %)", "p", "n"]
    lines += [
        "",
        f"| metric | unit | better | {' | '.join(columns)} |",
        f"| --- | --- | --- |{' --- |' * len(columns)}",
    ]
    remarks = []
    for name in dict.fromkeys(name for evaluation in found for name in evaluation.results["metrics"]):
        line = _line(name, found, seed)
        if line:
            lines.append(line)
        lacking = [evaluation.label for evaluation in found if name not in evaluation.results["metrics"]]
        if lacking:
            remarks.append(f"- `{name}` is not among the metrics of {', '.join(lacking)}.")
        if name.partition("@")[0] not in METRICS:
            remarks.append(f"- `{name}` is unknown to this version and left out.")
    lines += [*([""] * bool(remarks)), *remarks]
    lines += [
        "", "`*`: p < 0.05 of the exchange of the two over the sequences that both have (n), 95 % intervals by a "
        "paired bootstrap; not corrected for the number of metrics.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def difference(metric: Metric, name: str, first: Evaluation, second: Evaluation, seed: int = 0) -> Difference:
    """How much `second` differs from `first` in a metric."""
    shared = sorted(
        key for key in first.rows.keys() & second.rows.keys()
        if name in first.rows[key].values and name in second.rows[key].values
        and first.rows[key].values[name].shape == second.rows[key].values[name].shape
    )  # fmt: skip
    _, units = np.unique([first.rows[key].sequence for key in shared], return_inverse=True)
    count = int(units.max()) + 1 if len(shared) else 0
    nan = float("nan")
    if not count:
        return Difference(nan, nan, nan, nan, 0)
    a, b = (np.stack([e.rows[key].values[name] for key in shared]) for e in (first, second))
    ones = np.ones((1, len(shared)))
    value = float(metric.combine(b, ones)[0] - metric.combine(a, ones)[0])
    if count < 2 or not np.isfinite(value):
        return Difference(value, nan, nan, nan, count)
    times = draws(count, seed)[: metric.info.draws][:, units]
    low, high = interval(metric.combine(b, times) - metric.combine(a, times))
    if count < FEWEST:
        return Difference(value, low, high, nan, count)
    rounds = min(EXCHANGES, 2 * metric.info.draws)
    if count <= 10:  # all exchanges can be told
        swap = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    else:
        swap = np.random.default_rng(seed).integers(0, 2, (rounds, count))
    swapped = swap[:, units].astype(np.float64)
    both = np.concatenate([a, b])
    left = metric.combine(both, np.concatenate([1 - swapped, swapped], 1))
    right = metric.combine(both, np.concatenate([swapped, 1 - swapped], 1))
    far = np.abs(right - left) >= abs(value) * (1 - 1e-9)
    p = float(far.mean()) if count <= 10 else float((1 + far.sum()) / (1 + len(far)))
    return Difference(value, low, high, p, count)


def differences(first: Evaluation, second: Evaluation) -> list[str]:
    """Why two results do not compare, a line each."""
    a, b = first.results, second.results
    reasons = []
    for what in ("name", "version"):
        if a["protocol"][what] != b["protocol"][what]:
            found = f"{a['protocol'][what]} and {b['protocol'][what]}"
            reasons.append(f"{first.label} and {second.label} are of other protocols ({what} {found})")
    names, splits = ([r["data"][what] for r in (a, b)] for what in ("name", "split"))
    if splits[0] != splits[1] or (names[0] != names[1] and not _layouts(first, second)):
        told = " and ".join(f"{name} {split}" for name, split in zip(names, splits, strict=True))
        reasons.append(f"{first.label} and {second.label} are of other data ({told})")
    digests = [r["data"].get("digest") for r in (a, b)]
    if names[0] == names[1] and None not in digests and digests[0] != digests[1]:
        reasons.append(f"the recordings differ ({digests[0]} in {first.label}, {digests[1]} in {second.label})")
    if not first.rows.keys() & second.rows.keys():
        some = " and ".join(min(e.rows, default="none") for e in (first, second))
        reasons.append(f"{first.label} and {second.label} share no sequence ({some})")
    for name in sorted(a["regions"].keys() | b["regions"].keys()):
        digests = [r["regions"].get(name, {}).get("digest") for r in (a, b)]
        if digests[0] != digests[1]:
            reasons.append(f"region '{name}' differs ({digests[0]} in {first.label}, {digests[1]} in {second.label})")
    oracles = [[flag for flag in r["flags"] if flag.startswith("ORACLE")] for r in (a, b)]
    if oracles[0] != oracles[1]:
        reasons.append(f"only one of {first.label} and {second.label} chose its style by looking at the truth")
    return reasons


def _layouts(first: Evaluation, second: Evaluation) -> list[str]:
    """A remark where the data are two layouts that one protocol takes, with the same sequences; else nothing."""
    names = [evaluation.results["data"]["name"] for evaluation in (first, second)]
    protocol = first.results["protocol"]
    if names[0] == names[1] or protocol["name"] not in protocol_names():
        return []
    sequences = [{row.sequence for row in evaluation.rows.values()} for evaluation in (first, second)]
    known = load_protocol(protocol["name"])
    same_rules = all(
        [e.results["protocol"][what] for what in ("name", "version")] == [known.name, known.version]
        for e in (first, second)
    )
    if not same_rules or not set(names) <= known.data.keys() or sequences[0] != sequences[1]:
        return []
    digests = {evaluation.results["data"].get("digest") for evaluation in (first, second)}
    told = " whose recordings have other digests" * (len(digests - {None}) == 2)
    return [f"{second.label} was scored on {names[1]}, {first.label} on {names[0]}: two layouts of one data set{told}."]


def _line(name: str, found: Sequence[Evaluation], seed: int) -> str:
    entries = [evaluation.results["metrics"].get(name) for evaluation in found]
    there = [entry for entry in entries if entry is not None]
    plain = name.partition("@")[0]
    if all(entry["value"] is None for entry in there) or plain not in METRICS:
        return ""
    cells = [_cell(entries[0])]
    for evaluation, entry in zip(found[1:], entries[1:], strict=True):
        if entry is None or entries[0] is None:
            cells += [_cell(entry), "–", "–", "0"]
            continue
        if entry["version"] != entries[0]["version"]:
            cells += [_cell(entry), "other version of the metric", "", ""]
            continue
        if asks_network(name) and evaluation.results.get("scorers") != found[0].results.get("scorers"):
            cells += [_cell(entry), "other scoring network", "", ""]
            continue
        metric = _metric(plain, found[0], evaluation)
        delta = difference(metric, name, found[0], evaluation, seed)
        span = f" ({digits(delta.low)} to {digits(delta.high)})" if np.isfinite(delta.low) else ""
        told = f"{digits(delta.value)}{span}{' *' * delta.is_clear}" if np.isfinite(delta.value) else "–"
        cells += [_cell(entry), told, f"{delta.p:.3g}" if np.isfinite(delta.p) else "–", str(delta.n)]
    return f"| `{name}` | {there[0]['unit']} | {WORDS[there[0]['direction']]} | {' | '.join(cells)} |"


def _metric(name: str, *found: Evaluation) -> Metric:
    """The metric, or a mean of sequences where rows are not at hand and values of sequences stand for them."""
    metric = load_metric(name)
    if all(row.frames for evaluation in found for row in evaluation.rows.values()):
        return metric
    mean: Any = Mean()
    mean.info = metric.info
    return mean


def _cell(entry: Mapping[str, Any] | None) -> str:
    return "–" if entry is None or entry["value"] is None else digits(entry["value"])


def _labels(found: Sequence[Evaluation], folders: Sequence[str | Path]) -> list[str]:
    """Names of what was evaluated; of the folders where two are alike."""
    labels = [evaluation.label for evaluation in found]
    if len(set(labels)) == len(labels):
        return labels
    names = [Path(folder).resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]
