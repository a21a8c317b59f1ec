"""Folders of results, read and looked through, so that a damaged one is told in one line.

Letters: n rows, W width of a row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vultus.benchmark.report import WORDS
from vultus.benchmark.rows import Row, read_rows
from vultus.errors import VultusError
from vultus.metrics.base import Mean

_KINDS: dict[str, type] = {
    "protocol": dict, "data": dict, "regions": dict, "metrics": dict, "per_sequence": dict, "flags": list,
    "source": dict,
}  # fmt: skip
_NAMES: tuple[tuple[str, str, type], ...] = (
    ("protocol", "name", str), ("protocol", "version", int), ("data", "name", str), ("data", "split", str),
    ("source", "name", str),
)  # fmt: skip
_METRIC: dict[str, type] = {"unit": str, "direction": str, "version": int}
_JSON_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}


@dataclass(frozen=True)
class Evaluation:
    """A folder of results. `rows` are made of per_sequence where the folder has none."""

    label: str
    results: Mapping[str, Any]
    rows: Mapping[str, Row]


def results_file(folder: Path) -> Path:
    """The results.json of a folder, or the file itself where one is given."""
    return folder / "results.json" if folder.is_dir() else folder


def read_evaluation(folder: Path) -> Evaluation:
    """A folder of results, or its results.json.

    Raises:
        VultusError: nothing there, none of ours, or damaged; the message names the file and the entry.
    """
    path = results_file(folder)
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _none(path, error) from None
    if not isinstance(results, dict) or not _KINDS.keys() <= results.keys():
        raise _none(path, "it lacks what results of ours have")
    try:
        _check(results)
    except (ValueError, OverflowError) as error:
        told = " ".join(str(error).split())
        raise VultusError(f"{path}: no results of ours, or damaged ({told}); evaluate again") from None
    rows: dict[str, Row] = {}
    if folder.is_dir():
        kept = read_rows(folder)
        rows = {name: kept[name] for name in results["per_sequence"] if name in kept}
    if len(rows) < len(results["per_sequence"]):
        rows = {
            name: Row(
                name, name.partition("_condition_")[0], 0, 0,
                {metric: Mean.one(value) for metric, value in values.items() if value is not None},
            )
            for name, values in results["per_sequence"].items()
        }  # fmt: skip
    return Evaluation(results["source"]["name"], results, rows)


def _none(path: Path, why: object) -> VultusError:
    told = " ".join(str(why).split())
    return VultusError(f"{path}: no results ({told}); expected a folder that `vultus evaluate` wrote")


def _check(results: Mapping[str, Any]) -> None:
    """What a comparison looks at has the form that results have; ValueError tells the entry."""
    for name, kind in _KINDS.items():
        _entry(results, name, kind)
    for where, name, kind in _NAMES:
        _entry(results[where], name, kind, f"{where}.")
    digest = results["data"].get("digest")
    if digest is not None and not isinstance(digest, str):
        raise ValueError(f"data.digest is {_short(digest)}, expected a text")
    for name in results["regions"]:
        _entry(results["regions"], name, dict, "regions.")
        _entry(results["regions"][name], "digest", str, f"regions.{name}.")
    for flag in results["flags"]:
        if not isinstance(flag, str):
            raise ValueError(f"flags holds {_short(flag)}, expected texts")
    if not results["metrics"]:
        raise ValueError("metrics is empty")
    for name in results["metrics"]:
        _entry(results["metrics"], name, dict, "metrics.")
        entry = results["metrics"][name]
        _number(entry, "value", f"metrics.{name}.")
        for key, kind in _METRIC.items():
            _entry(entry, key, kind, f"metrics.{name}.")
        if entry["direction"] not in WORDS:
            raise ValueError(f"metrics.{name}.direction is '{entry['direction']}', expected {', '.join(WORDS)}")
    for name in results["per_sequence"]:
        _entry(results["per_sequence"], name, dict, "per_sequence.")
        for metric in results["per_sequence"][name]:
            _number(results["per_sequence"][name], metric, f"per_sequence.{name}.")


def _entry(table: Mapping[str, Any], key: str, kind: type, where: str = "") -> None:
    if key not in table:
        raise ValueError(f"{where}{key} is missing")
    if type(table[key]) is not kind:
        raise ValueError(f"{where}{key} is {_short(table[key])}, expected {_JSON_KINDS[kind]}")


def _number(table: Mapping[str, Any], key: str, where: str) -> None:
    if key not in table:
        raise ValueError(f"{where}{key} is missing")
    value = table[key]
    if value is not None and not (type(value) in (int, float) and math.isfinite(value)):
        raise ValueError(f"{where}{key} is {_short(value)}, expected a finite number or null")


def _short(value: Any) -> str:
    return json.dumps(value)[:40]
