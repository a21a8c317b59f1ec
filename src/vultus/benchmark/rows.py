"""What an evaluation has measured so far, on disk: one file for each sequence, so that a stopped run goes on.

FOLDER/rows/run.json says what the rows belong to; FOLDER/rows/NAME-DIGEST.npz holds the row of each metric, the reason
of each that could not be had, and the lip error of each frame for the plot.

Letters: T motion frames, W width of a metric's row.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.files import write_atomically


@dataclass(frozen=True)
class Row:
    """What was measured of one sequence, under one condition where predictions have several.

    Attributes:
        name: of the sequence, with _condition_SUBJECT where it has one.
        sequence: what the bootstrap draws; the rows of all its conditions go together.
        frames: T that were compared.
        samples: takes that were compared.
        values: metric -> (W,) float64.
        unavailable: metric -> why it could not be had.
        notes: what was done that a reader should know ("cut to the shorter" ...).
        error: (T,) float32 mean distance over the lips in the unit of results, or (0,).
        stamp: of the prediction's files; another one is measured again.
    """

    name: str
    sequence: str
    frames: int
    samples: int
    values: Mapping[str, np.ndarray]
    unavailable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    stamp: str = ""


class WriteError(VultusError):
    """Results could not be written. What was measured before is good, unlike after any other error."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what the system says of a write below a folder of results into a WriteError."""
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"results cannot be written to {folder} ({error.strerror or error}); free space or name another --out, and "
            "run again: what was measured stays, and it goes on"
        ) from None


class RowStore:
    """The rows below a folder.

    Args:
        folder: of the results; nothing is made before `begin`.
        made: what the rows belong to, plain JSON values; its "metrics" are those that each row tells of.

    Raises:
        VultusError: the folder holds rows of another evaluation, a damaged run.json, or it cannot be a folder.
    """

    def __init__(self, folder: Path, made: Mapping[str, Any]) -> None:
        self.folder, self.made = folder / "rows", json.loads(json.dumps(made))
        self.out, self.was_there, self.kept = folder, os.path.exists(folder), 0
        for part in (folder, *folder.parents):
            if os.path.exists(part):
                if not os.path.isdir(part):
                    raise VultusError(f"--out {folder}: the folder cannot be made, {part} is a file; name another")
                break
        path = self.folder / "run.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            found = None
        except OSError as error:
            raise VultusError(f"{path}: cannot be read ({error.strerror or error}); name another --out") from None
        except ValueError as error:
            raise VultusError(f"{path}: damaged ({error}); delete {self.folder} and evaluate again") from None
        self.fresh = not path.is_file()
        if self.fresh:
            return
        if not isinstance(found, dict):
            kind = type(found).__name__
            raise VultusError(f"{path}: damaged (a {kind}, expected a table); delete {self.folder} and evaluate again")
        if found != self.made:
            keys = sorted(k for k in self.made.keys() | found.keys() if found.get(k) != self.made.get(k))
            raise VultusError(
                f"{folder}: holds another evaluation (other {', '.join(keys)}); name another --out, or delete it"
            )

    def begin(self) -> None:
        """Says what the rows belong to, before work is spent on a folder that cannot be written to."""
        if self.fresh:
            with writing(self.out):
                write_atomically(self.folder / "run.json", (json.dumps(self.made, indent=1) + "\n").encode())

    def path(self, name: str) -> Path:
        """The file of a row."""
        digest = hashlib.sha256(name.encode()).hexdigest()[:10]
        return self.folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)[:80]}-{digest}.npz"

    def load(self, name: str, stamp: str) -> Row | None:
        """A row that was kept, None where there is none, or it is damaged, of other files or lacks a metric."""
        if self.fresh:
            return None  # whatever lies there does not say what it belongs to
        try:
            row = read_row(self.path(name))
        except (OSError, *_DAMAGED):
            return None
        complete = row.values.keys() | row.unavailable.keys() == self.made.get("metrics", {}).keys()
        return row if (row.name, row.stamp) == (name, stamp) and complete else None

    def keep(self, row: Row) -> None:
        """Writes a row, whole or not at all."""
        meta = {
            "name": row.name, "sequence": row.sequence, "frames": row.frames, "samples": row.samples,
            "unavailable": dict(row.unavailable), "notes": list(row.notes), "stamp": row.stamp,
        }  # fmt: skip
        buffer = io.BytesIO()
        arrays = {f"row:{name}": values for name, values in row.values.items()}
        np.savez(buffer, meta=np.array(json.dumps(meta)), error=row.error, **arrays)  # type: ignore[arg-type]
        with writing(self.out):
            write_atomically(self.path(row.name), buffer.getvalue())
        self.kept += 1

    def forget(self) -> None:
        """Takes back what a run wrote that began with nothing: bad input leaves nothing behind."""
        if not self.fresh:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.was_there and self.folder.parent.is_dir() and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()


_DAMAGED = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError, zlib.error)
"""What a file that is no row may raise."""
_KINDS = {
    "name": str, "sequence": str, "frames": int, "samples": int, "unavailable": dict, "notes": list, "stamp": str,
}  # fmt: skip


def read_row(path: Path) -> Row:
    """A row as it lies on disk; OSError or one of _DAMAGED where it is none."""
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        meta = json.loads(str(archive["meta"]))
        values = {key[4:]: archive[key] for key in archive.files if key.startswith("row:")}
        error = archive["error"]
    if not isinstance(meta, dict) or {key: type(value) for key, value in meta.items()} != _KINDS:
        raise ValueError("its meta is not what a row has")
    if error.ndim != 1 or any(value.ndim != 1 or value.dtype != np.float64 for value in values.values()):
        raise ValueError("an array has another form than a row's")
    return Row(values=values, error=error, **{**meta, "notes": tuple(meta["notes"])})


def read_rows(folder: Path) -> dict[str, Row]:
    """All rows below a folder of results, by name; empty where there are none."""
    found: dict[str, Row] = {}
    for path in sorted((folder / "rows").glob("*.npz")):
        try:
            row = read_row(path)
        except (OSError, *_DAMAGED) as error:
            raise VultusError(f"{path}: damaged ({error!r}); delete it and evaluate again") from None
        found[row.name] = row
    return found
