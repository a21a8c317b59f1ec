"""The page of results (.md), which several commands write, each between its own marks, and its numbers (.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vultus.errors import VultusError
from vultus.files import write_atomically


def write_section(
    out: Path, marks: tuple[str, str], text: str, numbers: Mapping[str, Any], heading: str | None = None
) -> None:
    """Puts a section between its marks and its numbers into the .json beside the page; all else stays.

    Args:
        out: the page; made where it is missing.
        marks: the lines before and after the section.
        text: ends with a line end.
        numbers: entries of the .json, by name; those of other commands are kept.
        heading: of the section where the page has neither mark and it is put at the end; None: that is an error.

    Raises:
        VultusError: marks that are missing or in the wrong order, or a .json that holds no table of names.
    """
    begin, end = marks
    old = out.read_text(encoding="utf-8") if out.exists() else "# Results\n"
    if begin not in old and end not in old and (heading is not None or not out.exists()):
        old = "\n\n".join([old.rstrip(), *([heading] if heading else []), f"{begin}\n{end}\n"])
    if not 0 <= old.find(begin) < old.find(end):
        raise VultusError(
            f"'{out}': expected the marks {begin} and {end} in this order; put them where the tables belong"
        )
    beside = out.with_suffix(".json")
    others = _read_table(beside) if beside.exists() else {}
    before, after = old[: old.index(begin) + len(begin)], old[old.index(end) :]
    write_atomically(out, f"{before}\n{text}{after}".encode())
    write_atomically(beside, (json.dumps({**others, **numbers}, indent=1) + "\n").encode())


def _read_table(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise VultusError(f"'{path}': not JSON ({error}); expected the results that it is to be added to") from None
    if not isinstance(content, dict):
        raise VultusError(f"'{path}': holds a {type(content).__name__}; expected results by name")
    return content
