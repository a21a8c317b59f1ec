"""Weights as JSON: one object that any language reads in a line.

    {"format": "vultus-weights 1", "fps": 30.0,
     "names": ["eyeBlinkLeft", ... "tongueOut", "tongueUp", ...],     the columns: 52 ARKit names, then the extra ones
     "frames": [[0.0, 0.12345, ...], ...],                            (T, names) in [0, 1]; frame i stands at i / fps
     "head_rotation": [[x, y, z], ...],                               (T, 3) axis-angle, radians, +x left +y up +z out
     "info": {...}}                                                   what made it

Numbers have 5 decimals: a hundredth of a thousandth of a shape is below what any mesh or screen shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from vultus.clock import check_fps
from vultus.errors import VultusError
from vultus.motion import ARKIT_NAMES, Take

FORMAT = "vultus-weights 1"
_BLOCK = 1024
_DECIMALS = 5
#: A day of motion at 60 fps with 55 columns is about 2.5 GB; a file beyond this is no style reference.
_MAX_BYTES = 2_000_000_000


def write(take: Take, path: Path, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Writes a take's weights as JSON, a block of frames at a time. VultusError where the take has no ARKit weights."""
    names = [*ARKIT_NAMES, *take.extra_weight_names]
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        head = {"format": FORMAT, "fps": take.fps, "names": names}
        file.write(json.dumps(head)[:-1] + ',\n"frames": ')
        _write_rows(file, take.motion.values, progress)
        file.write(',\n"head_rotation": ')
        _write_rows(file, take.head_rotation, None)
        file.write(',\n"info": ' + info_text(take.info) + "}\n")


def info_text(info: dict[str, Any]) -> str:
    """The info of a take as JSON text in a fixed order of keys."""
    try:
        return json.dumps(info, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise VultusError(
            f"the take's info is not plain JSON ({error}); expected text, numbers, lists, dicts"
        ) from None


def _write_rows(file: TextIO, values: np.ndarray, progress: Callable[[int, int], None] | None) -> None:
    file.write("[")
    for start in range(0, len(values), _BLOCK):
        # + 0.0 turns the -0.0 of rounded tiny negatives into 0.0
        block = np.round(values[start : start + _BLOCK].astype(np.float64), _DECIMALS) + 0.0
        rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in block.tolist())
        file.write((",\n" if start else "") + rows)
        if progress:
            progress(min(start + _BLOCK, len(values)), len(values))
    file.write("]")


def read_json(path: str | Path) -> tuple[np.ndarray, tuple[str, ...], float, np.ndarray]:
    """Reads a weights file of ours, or one whose frames are objects {"weights": [...], "time": seconds}.

    Columns are found by name, whatever their order; all 52 ARKit names have to be there, further ones are kept.

    Returns:
        weights (T, 52 + E) float32 in [0, 1]; their names, ARKit's first; fps; head rotation (T, 3) float32 (zeros
        where the file has none).

    Raises:
        VultusError: not such a file; missing names; rows of different lengths; values that are no numbers in [0, 1].
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise VultusError(f"{path}: {path.stat().st_size / 1e9:.1f} GB; expected a weights file under 2 GB")
        with open(path, encoding="utf-8-sig") as file:
            data = json.load(file)
    except OSError as error:
        raise VultusError(f"{path}: cannot be read ({error.strerror}); check the name") from None
    except (ValueError, RecursionError):  # bad JSON, bad UTF-8, a number of thousands of digits
        raise VultusError(
            f"{path}: is not JSON; expected a weights file, as `vultus animate -o x.json` makes"
        ) from None
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("names", "frames")):
        raise VultusError(f"{path}: expected an object with 'names' and 'frames' (and 'fps')")
    names, frames = data["names"], data["frames"]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise VultusError(f"{path}: 'names' has to list each name once, as text")
    missing = [name for name in ARKIT_NAMES if name not in names]
    if missing:
        raise VultusError(f"{path}: {len(missing)} of the 52 ARKit names are missing, such as '{missing[0]}'")
    if not frames:
        raise VultusError(f"{path}: no frames; expected at least one")
    fps = data.get("fps")
    if all(isinstance(frame, dict) for frame in frames):
        if fps is None:
            fps = _rate_of_times(path, frames)
        frames = [frame.get("weights") for frame in frames]
    if isinstance(fps, bool) or not isinstance(fps, int | float):
        raise VultusError(f"{path}: 'fps' is {str(fps)[:20]!r}; expected frames per second as a number")
    values = _table(path, "frames", frames, len(names))
    if values.min() < -1e-3 or values.max() > 1 + 1e-3:
        raise VultusError(f"{path}: weights reach from {values.min():g} to {values.max():g}; expected 0 to 1")
    rotation = data.get("head_rotation")
    head = np.zeros((len(values), 3)) if rotation is None else _table(path, "head_rotation", rotation, 3)
    if len(head) != len(values):
        raise VultusError(f"{path}: {len(head)} head rotations for {len(values)} frames; expected one for each")
    ordered = (*ARKIT_NAMES, *(name for name in names if name not in ARKIT_NAMES))
    weights = np.clip(values[:, [names.index(name) for name in ordered]], 0, 1)
    return weights.astype(np.float32), ordered, check_fps(fps), head.astype(np.float32)


def _rate_of_times(path: Path, frames: list[dict[str, Any]]) -> float:
    times = _table(path, "time", [[frame.get("time")] for frame in frames], 1)[:, 0]
    steps = np.diff(times)
    if len(steps) == 0 or steps.min() <= 0 or steps.max() > 1.5 * steps.min() + 1e-6:
        raise VultusError(f"{path}: the times of its frames are not evenly spaced; expected 'fps' or even times")
    fps = len(steps) / float(times[-1] - times[0])
    return float(round(fps)) if abs(fps - round(fps)) < 0.01 * fps else fps


def _table(path: Path, what: str, rows: Any, width: int) -> np.ndarray:
    """A list of lists of numbers -> (len, width) float64, finite."""
    shape = isinstance(rows, list) and all(isinstance(row, list) and len(row) == width for row in rows)
    if not shape or not all(type(value) in (int, float) for row in rows for value in row):
        raise VultusError(f"{path}: '{what}' has to be rows of {width} numbers")
    try:
        table = np.array(rows, np.float64).reshape(len(rows), width)
    except OverflowError:
        table = np.full((1, 1), np.inf)
    if not np.isfinite(table).all():
        raise VultusError(f"{path}: '{what}' holds a value that is not a finite number")
    return table
