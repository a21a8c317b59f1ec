"""What an evaluation has measured so far, on disk: one file for each sequence, so that a stopped run goes on.

FOLDER/rows/run.json says what the rows belong to; FOLDER/rows/NAME-DIGEST.npz holds the row of each metric, the reason
of each that could not be had, and the lip error of each frame for the plot.

Letters: T motion frames, W width of a metric's row.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Mapping
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


class RowStore:
    """The rows below a folder.

    Args:
        folder: of the results; nothing is made before the first row is kept.
        made: what the rows belong to, plain JSON values.

    Raises:
        VultusError: the folder holds rows of another evaluation.
    """

    def __init__(self, folder: Path, made: Mapping[str, Any]) -> None:
        self.folder, self.made = folder / "rows", json.loads(json.dumps(made))
        self.was_there = folder.exists()
        try:
            found = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            found = None
        except (OSError, ValueError) as error:
            raise VultusError(f"{self.folder}/run.json: cannot be read ({error}); name another --out") from None
        self.fresh = found is None
        if found is not None and found != self.made:
            keys = sorted(k for k in self.made.keys() | found.keys() if found.get(k) != self.made.get(k))
            raise VultusError(
                f"{folder}: holds another evaluation (other {', '.join(keys)}); name another --out, or delete it"
            )

    def path(self, name: str) -> Path:
        """The file of a row."""
        digest = hashlib.sha256(name.encode()).hexdigest()[:10]
        return self.folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)[:80]}-{digest}.npz"

    def load(self, name: str, stamp: str) -> Row | None:
        """A row that was kept, None where there is none, or it is damaged or of other files."""
        try:
            with open(self.path(name), "rb") as file, np.load(file, allow_pickle=False) as archive:
                meta = json.loads(str(archive["meta"]))
                values = {key[4:]: archive[key] for key in archive.files if key.startswith("row:")}
                error = archive["error"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        if meta["name"] != name or meta["stamp"] != stamp:
            return None
        return Row(values=values, error=error, **{**meta, "notes": tuple(meta["notes"])})

    def keep(self, row: Row) -> None:
        """Writes a row, whole or not at all."""
        if not (self.folder / "run.json").is_file():
            write_atomically(self.folder / "run.json", (json.dumps(self.made, indent=1) + "\n").encode())
        meta = {
            "name": row.name, "sequence": row.sequence, "frames": row.frames, "samples": row.samples,
            "unavailable": dict(row.unavailable), "notes": list(row.notes), "stamp": row.stamp,
        }  # fmt: skip
        buffer = io.BytesIO()
        arrays = {f"row:{name}": values for name, values in row.values.items()}
        np.savez(buffer, meta=np.array(json.dumps(meta)), error=row.error, **arrays)  # type: ignore[arg-type]
        write_atomically(self.path(row.name), buffer.getvalue())

    def forget(self) -> None:
        """Takes back what a run wrote that began with nothing: bad input leaves nothing behind."""
        if not self.fresh:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.was_there and self.folder.parent.is_dir() and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()


def read_rows(folder: Path) -> dict[str, Row]:
    """All rows below a folder of results, by name; empty where there are none."""
    found: dict[str, Row] = {}
    for path in sorted((folder / "rows").glob("*.npz")):
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                meta = json.loads(str(archive["meta"]))
                values = {key[4:]: archive[key] for key in archive.files if key.startswith("row:")}
                error = archive["error"]
            row = Row(values=values, error=error, **{**meta, "notes": tuple(meta["notes"])})
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error_found:
            raise VultusError(f"{path}: damaged ({error_found!r}); delete it and evaluate again") from None
        found[row.name] = row
    return found
