"""From rows to the content of results.json.

The bootstrap draws sequences; the rows that one sequence has under several conditions go together, since they share
their recording.

Letters: n rows, U sequences, R draws, W width of a row.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.predictions import Source
from vultus.benchmark.protocol import Protocol
from vultus.benchmark.regions import Regions
from vultus.benchmark.rows import Row
from vultus.errors import VultusError
from vultus.metrics import Metric
from vultus.metrics.base import Unit
from vultus.statistics import Estimate, draws, interval
from vultus.version import __version__

FORMAT = 1


def stacked(rows: Sequence[Row], name: str) -> tuple[list[Row], np.ndarray, np.ndarray]:
    """Rows that have a metric, sorted by name; their values (n, W); the number of the sequence of each (n,)."""
    have = sorted((row for row in rows if name in row.values), key=lambda row: row.name)
    if not have:
        return [], np.zeros((0, 0)), np.zeros(0, np.int64)
    if len({row.values[name].shape for row in have}) > 1:
        raise VultusError(
            f"rows of {name} differ in width; one is damaged: delete rows/ of the results, evaluate again"
        )
    _, units = np.unique([row.sequence for row in have], return_inverse=True)
    return have, np.stack([row.values[name] for row in have]), units


def estimate(metric: Metric, rows: Sequence[Row], name: str, seed: int = 0) -> Estimate:
    """The value over all rows, with a 95 % bootstrap interval over sequences."""
    have, values, units = stacked(rows, name)
    if not have:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(metric.combine(values, np.ones((1, len(have))))[0])
    count = int(units.max()) + 1
    if count < 2:
        return Estimate(value, float("nan"), float("nan"), count)
    times = draws(count, seed)[: metric.info.draws][:, units]
    return Estimate(value, *interval(metric.combine(values, times)), count)


def make_results(
    rows: Sequence[Row],
    metrics: Mapping[str, Metric],
    protocol: Protocol,
    regions: Regions,
    source: Source,
    data: Mapping[str, Any],
    *,
    seed: int,
    missing: Sequence[str],
    split: int,
    limit: int | None,
    oracle: str | None,
    scorers: Mapping[str, str],
    absent: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of results.json; null where a value is not a number."""
    sequences = len({row.sequence for row in rows})
    flags = []
    if oracle is not None:
        flags.append(f"ORACLE {oracle}: the style reference was chosen by looking at the truth")
    if missing:
        flags.append(
            f"{len(missing)} of {counted(len(missing) + sequences, 'sequence')} have no prediction and are left out"
        )
    flags += getattr(source, "flags", ())
    if limit is not None and limit < split:
        flags.append(f"only {sequences} of the split's {counted(split, 'sequence')} (--limit)")
    if protocol.sequences and split < protocol.sequences:
        flags.append(f"the data hold {split} of the protocol's {protocol.sequences} sequences")
    if split < protocol.sequences_at_most:
        flags.append(f"the data hold {split} of at most {protocol.sequences_at_most} sequences")
    if absent:
        flags.append(f"no sequence of {', '.join(absent)}, which the protocol scores")
    for name, count in protocol.regions.items():
        found = len(regions.regions[name].vertices) if name in regions.regions else 0
        if found != count:
            flags.append(f"region '{name}' has {found} vertices, the published list {count}")
    return {
        "format": FORMAT,
        "protocol": {"name": protocol.name, "version": protocol.version, "title": protocol.title, "fps": protocol.fps},
        "revision": revision(),
        "seed": seed,
        "sequences": sequences,
        "sequences_at_most": protocol.sequences or protocol.sequences_at_most or None,
        "rows": len(rows),
        "frames": sum(row.frames for row in rows),
        "samples": max((row.samples for row in rows), default=0),
        "unit": protocol.unit,
        "data": dict(data),
        "source": dict(source.about),
        "trained_on": protocol.trained_on or None,
        "scorers": dict(scorers),
        "flags": flags,
        "missing": list(missing),
        "regions": regions.describe(),
        "regions_refused": regions.refused or None,
        "notes": dict(Counter(note for row in rows for note in row.notes)),
        "metrics": {name: _entry(metric, rows, name, protocol, seed) for name, metric in metrics.items()},
        "per_sequence": {
            row.name: {name: one_value(metrics[name], row.values[name]) for name in row.values if name in metrics}
            for row in sorted(rows, key=lambda row: row.name)
        },
    }


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "sequence"), counted(2, "sequence")
    ('1 sequence', '2 sequences')
    """
    return f"{count} {noun}{'s' * (count != 1)}"


def one_value(metric: Metric, row: np.ndarray) -> float | None:
    """The value of one row alone, None where it has none."""
    return _number(float(metric.combine(row[None], np.ones((1, 1)))[0]))


def revision() -> str:
    """What code made a result: the version, and the commit where it runs from a checkout."""
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():
        return f"vultus {__version__}"
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"vultus {__version__}"
    return f"vultus {__version__} ({told})"


def _entry(metric: Metric, rows: Sequence[Row], name: str, protocol: Protocol, seed: int) -> dict[str, Any]:
    info, found = metric.info, estimate(metric, rows, name, seed)
    unit: Unit = "area" if protocol.unit == "area" else "m"
    entry: dict[str, Any] = {
        "value": _number(found.value), "low": _number(found.low), "high": _number(found.high), "unit": info.unit(unit),
        "direction": info.direction, "version": info.version, "sequences": found.n,
    }  # fmt: skip
    reasons = Counter(row.unavailable[name] for row in rows if name in row.unavailable)
    if entry["value"] is None:
        # With many sequences the reasons differ in their numbers only; the most frequent one tells enough.
        entry["reason"] = reasons.most_common(1)[0][0] if reasons else "nothing in these sequences to measure it on"
    elif reasons:
        entry["left_out"] = dict(reasons)
    have, values, _ = stacked(rows, name)
    if have and entry["value"] is not None:
        for extra, arguments in (("note", (values,)), ("floor", (values, seed))):
            tell = getattr(metric, extra, None)
            told = tell(*arguments) if tell is not None else None
            if told is not None:
                entry[extra] = told if isinstance(told, str) else _number(float(told))
    return entry


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
