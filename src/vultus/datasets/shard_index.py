"""The index of a converted data set: shards.json and index.jsonl, read and checked. shards.py tells the layout."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from vultus.clock import check_fps
from vultus.errors import VultusError

VERSION = 1
SETTINGS, INDEX = "shards.json", "index.jsonl"
REMEDY = "expected a folder made by `vultus data convert`; run that again, it goes on where it stopped"
_TEXT = ("name", "subject", "sentence", "split", "source", "unit", "motion", "sound", "template", "topology")
_NUMBERS = ("frames", "samples", "motion_bytes", "sound_bytes")


def read_settings(root: Path) -> dict[str, Any]:
    """shards.json; VultusError where it is missing or cannot be true."""
    path = root / SETTINGS
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise VultusError(
            f"shards: {root} has no {SETTINGS}; {REMEDY}; look at it with `vultus data check shards {root}`"
        ) from None
    except ValueError as error:
        raise VultusError(f"shards: {path} is no JSON ({error}); {REMEDY}") from None
    if not isinstance(info, dict) or info.get("version") != VERSION:
        found = info.get("version") if isinstance(info, dict) else type(info).__name__
        raise VultusError(f"shards: {path} has version {found!r}; expected {VERSION}; convert the data set anew")
    if info.get("state") not in ("building", "complete") or not isinstance(info.get("splits"), list):
        raise VultusError(f"shards: {path} lacks its state or its splits; {REMEDY}")
    if not isinstance(info.get("sequences"), int) or not isinstance(info.get("dataset"), str):
        raise VultusError(f"shards: {path} lacks its number of sequences or its data set; {REMEDY}")
    return info


def read_index(root: Path) -> list[dict[str, Any]]:
    """The lines of the index, checked; a last line that was cut short is left out: the conversion redoes it, and a
    complete one knows how many there are."""
    path = root / INDEX
    try:
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        raise VultusError(f"shards: {path} cannot be read ({type(error).__name__}); {REMEDY}") from None
    records = []
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line break is no whole line
        try:
            records.append(_checked(json.loads(line)))
        except (ValueError, TypeError, KeyError, VultusError) as error:
            raise VultusError(f"shards: {path}, line {number}: {error or type(error).__name__}; {REMEDY}") from None
    return records


def _checked(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict) or not all(isinstance(record.get(key), str) for key in _TEXT):
        raise ValueError(f"lacks some of {', '.join(_TEXT)}")
    if not all(isinstance(record.get(key), int) and record[key] > 0 for key in _NUMBERS):
        raise ValueError(f"lacks some of {', '.join(_NUMBERS)}")
    if record["unit"] not in ("m", "area"):
        raise ValueError(f"unit is {record['unit']!r}")
    for key in ("motion", "sound"):
        inside = PurePosixPath(record[key])
        if inside.is_absolute() or ".." in inside.parts:
            raise ValueError(f"names {record[key]!r}, outside the folder")
    for key in ("template", "topology"):
        if not record[key].isalnum():
            raise ValueError(f"{key} is {record[key]!r}")
    record["fps"] = check_fps(record.get("fps", 0))
    return record
