"""Live Link Face CSV: the file that Epic's iPhone app records and Unreal's Live Link Face Importer reads.

63 columns: `Timecode`, `BlendshapeCount` (always 61), the 52 ARKit weights in `ARKIT_NAMES` order with a capital first
letter, then `HeadYaw, HeadPitch, HeadRoll`, the same three of `LeftEye` and of `RightEye`.

Timecode is `HH:MM:SS:FF.mmm`. Its last field counts sixtieths of a second, with a fraction, WHATEVER the rate of the
rows: real captures of 30 rows per second step by 2, and Unreal's importer divides the field by 60. A writer that
counts rows there plays at half speed in Unreal. We therefore write sixtieths at every fps; frame i stands at i / fps
from 00:00:00:00.000, rounded to a thousandth of a sixtieth (17 microseconds).

Angles are radians and use one convention for head and eyes: yaw is positive to the SUBJECT'S RIGHT, pitch is positive
DOWN, roll is positive towards the subject's left shoulder; R = Ry(-yaw) Rx(pitch) Rz(-roll) in our axes (+x the
subject's left, +y up, +z out of the face). Signs of yaw and pitch were measured on a real capture, by regression of the
eye angles on the eye-look weights; the app's head angles are zero there, and roll follows from yaw (a mirrored face
flips both). Eye angles are made from the eye-look weights with that capture's slopes (`EYE_YAW` ...); eye roll is 0.
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vultus.clock import MAX_FPS, MIN_FPS
from vultus.errors import VultusError
from vultus.export.rotation import axis_angle_from_matrix, matrix_from_axis_angle
from vultus.motion import ARKIT_NAMES, Take

#: Rotation of an eye at weight 1, radians: sideways (in or out), down, up.
EYE_YAW, EYE_DOWN, EYE_UP = 0.55, 0.61, 0.44

TICKS_PER_SECOND = 60_000
"""A timecode resolves a thousandth of a sixtieth of a second."""

ANGLE_NAMES = tuple(part + angle for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll"))
COLUMNS = ("Timecode", "BlendshapeCount", *(name[0].upper() + name[1:] for name in ARKIT_NAMES), *ANGLE_NAMES)

_BLOCK = 1024
_COMMON_RATES = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 90.0, 120.0, 24000 / 1001, 30000 / 1001, 60000 / 1001)


def write(take: Take, path: Path, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Writes a take as Live Link Face CSV, one row a frame at the take's fps.

    The three tongue shapes beyond ARKit have no column there and are left out. VultusError where the take has no
    ARKit weights.
    """
    weights = take.weights
    row = "%s,61," + ",".join(["%.6f"] * (len(COLUMNS) - 2)) + "\n"
    with open(path, "w", encoding="ascii", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        for start in range(0, len(take), _BLOCK):
            block = weights[start : start + _BLOCK].astype(np.float64)
            values = np.concatenate(
                [block, head_angles(take.head_rotation[start : start + _BLOCK]), eye_angles(block)], axis=1
            )
            values += 0.0  # -0 -> 0
            for number, numbers in enumerate(values.tolist(), start):
                file.write(row % (timecode(number / take.fps), *numbers))
            if progress:
                progress(min(start + _BLOCK, len(take)), len(take))


def timecode(seconds: float) -> str:
    """Seconds -> "HH:MM:SS:FF.mmm", FF in sixtieths of a second.

    >>> timecode(3661.5)
    '01:01:01:30.000'
    """
    ticks = round(seconds * TICKS_PER_SECOND)
    whole, fraction = divmod(ticks, TICKS_PER_SECOND)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{fraction // 1000:02d}.{fraction % 1000:03d}"


def head_angles(rotation: np.ndarray) -> np.ndarray:
    """Axis-angle (T, 3) radians -> yaw, pitch, roll (T, 3) radians in the convention at the file's top."""
    matrix = matrix_from_axis_angle(rotation)
    pitch = np.arcsin(np.clip(-matrix[:, 1, 2], -1, 1))
    yaw = -np.arctan2(matrix[:, 0, 2], matrix[:, 2, 2])
    roll = -np.arctan2(matrix[:, 1, 0], matrix[:, 1, 1])
    return np.stack([yaw, pitch, roll], axis=1)


def rotation_from_angles(angles: np.ndarray) -> np.ndarray:
    """Yaw, pitch, roll (T, 3) radians -> axis-angle (T, 3); the inverse of `head_angles`."""
    angles = np.asarray(angles, np.float64)
    axes = np.zeros((3, len(angles), 3))
    axes[0, :, 1], axes[1, :, 0], axes[2, :, 2] = -angles[:, 0], angles[:, 1], -angles[:, 2]
    yaw, pitch, roll = (matrix_from_axis_angle(axis) for axis in axes)
    return axis_angle_from_matrix(yaw @ pitch @ roll)


def eye_angles(weights: np.ndarray) -> np.ndarray:
    """Weights (T, 52) -> left yaw, pitch, roll, right yaw, pitch, roll (T, 6) radians."""

    def look(direction: str, side: str) -> np.ndarray:
        return weights[:, ARKIT_NAMES.index(f"eyeLook{direction}{side}")]

    angles = np.zeros((len(weights), 6))
    # "In" is towards the nose: to the subject's right for the left eye, to the left for the right eye.
    for column, side, sign in ((0, "Left", 1.0), (3, "Right", -1.0)):
        angles[:, column] = sign * EYE_YAW * (look("In", side) - look("Out", side))
        angles[:, column + 1] = EYE_DOWN * look("Down", side) - EYE_UP * look("Up", side)
    return angles


def read_csv(path: str | Path) -> tuple[np.ndarray, float, np.ndarray]:
    """Reads a Live Link Face CSV, ours or the app's, onto an even grid.

    Rows that the app dropped are filled by linear interpolation along the timecode. The rate is that of the rows.
    Tracking overshoots (1.0033 in a real capture): weights are clipped to [0, 1], with a warning from 0.05 on. Some
    third-party writers count the frame field at the rate of their rows instead of in sixtieths; such a file shows as
    one with a hole in every second, and is read by its own count.

    Returns:
        weights (T, 52) float32 in [0, 1], columns as ARKIT_NAMES; fps; head rotation (T, 3) float32, axis-angle,
        radians.

    Raises:
        VultusError: not such a file, a missing or doubled column, a bad row (its line is named), times that do not
            rise.
    """
    path = Path(path)
    clocks: list[tuple[int, float]] = []  # whole seconds, frame field
    rows: list[np.ndarray] = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            columns = _columns(path, next(reader, []))
            width = len(columns[0])
            wanted = columns[1]
            for row in reader:
                if not row:
                    continue
                if len(row) != width:
                    raise VultusError(
                        f"{path} line {reader.line_num}: {len(row)} values; expected {width} as in the header"
                    )
                try:
                    rows.append(np.array([float(row[i]) for i in wanted], np.float32))
                    clocks.append(_clock(row[0]))
                except ValueError:
                    raise VultusError(
                        f"{path} line {reader.line_num}: found '{row[0][:20]}...'; expected HH:MM:SS:FF.mmm, numbers"
                    ) from None
    except OSError as error:
        raise VultusError(f"{path}: cannot be read ({error.strerror}); check the name") from None
    except (UnicodeDecodeError, csv.Error):
        raise VultusError(f"{path}: is not a text of comma-separated values; expected a Live Link Face CSV") from None
    if len(rows) < 2:
        raise VultusError(f"{path}: {len(rows)} rows of motion; expected at least 2")
    values = np.stack(rows)
    if not np.isfinite(values).all():
        line = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0]) + 2
        raise VultusError(f"{path}: row {line} holds a value that is not a finite number")
    times = _seconds(path, clocks)
    fps, places = _even_grid(path, times)
    values = _fill(values, places)
    weights = values[:, : len(ARKIT_NAMES)]
    low, high = float(weights.min()), float(weights.max())
    if low < -1 or high > 2:
        raise VultusError(f"{path}: weights reach from {low:g} to {high:g}; expected 0 to 1 (percent, perhaps?)")
    if low < -0.05 or high > 1.05:
        warnings.warn(f"{path}: weights from {low:g} to {high:g} were clipped to [0, 1]", stacklevel=2)
    rotation = rotation_from_angles(values[:, len(ARKIT_NAMES) :])
    return np.clip(weights, 0, 1), fps, rotation.astype(np.float32)


def _columns(path: Path, header: list[str]) -> tuple[list[str], list[int]]:
    """The header, and where the 52 weights and the three head angles stand in it."""
    names = [name.strip().lower() for name in header]
    if names[:2] != ["timecode", "blendshapecount"]:
        raise VultusError(
            f"{path}: the header starts with '{','.join(header[:2])[:40]}'; expected Timecode,BlendshapeCount "
            "as in a Live Link Face CSV"
        )
    places = []
    for name in (*COLUMNS[2 : 2 + len(ARKIT_NAMES)], *ANGLE_NAMES[:3]):
        if names.count(name.lower()) != 1:
            found = "no" if name.lower() not in names else "more than one"
            raise VultusError(f"{path}: {found} column {name}; expected the 63 columns of a Live Link Face CSV")
        places.append(names.index(name.lower()))
    return header, places


def _clock(text: str) -> tuple[int, float]:
    hours, minutes, seconds, frame = text.split(":")
    field = float(frame)
    if not (0 <= int(minutes) < 60 and 0 <= int(seconds) < 60 and 0 <= field < MAX_FPS and int(hours) >= 0):
        raise ValueError(text)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds), field


def _seconds(path: Path, clocks: list[tuple[int, float]]) -> np.ndarray:
    """Timecodes -> seconds from the first row, (T,) float64, rising."""
    whole = np.array([clock[0] for clock in clocks], np.float64)
    # A recording may run past midnight.
    whole += 86_400.0 * np.cumsum(np.concatenate([[0.0], (np.diff(whole) < -43_200).astype(np.float64)]))
    field = np.array([clock[1] for clock in clocks], np.float64)
    times = whole + field / 60
    seconds = whole[-1] - whole[0]
    holes = _holes(times)
    if field.max() >= 60 or (seconds >= 2 and holes >= 0.8 * seconds):
        # One hole every second is not how a phone drops frames: the field then counts to another ceiling.
        for rate in (24.0, 25.0, 30.0, 48.0, 50.0, 90.0, 120.0, 240.0):
            if rate - 2.5 <= field.max() < rate and _holes(whole + field / rate) <= 0.2 * holes:
                times = whole + field / rate
                break
    if (np.diff(times) <= 0).any():
        row = int(np.flatnonzero(np.diff(times) <= 0)[0])
        raise VultusError(f"{path}: the timecode of row {row + 3} does not rise; expected a rising Timecode column")
    return times - times[0]


def _holes(times: np.ndarray) -> int:
    """How many steps are not the usual one: longer by half or more, or backwards."""
    steps = np.diff(times)
    return int(np.count_nonzero((steps > 1.5 * np.median(steps)) | (steps <= 0)))


def _even_grid(path: Path, times: np.ndarray) -> tuple[float, np.ndarray]:
    """Row times -> fps, and the place of each row on that grid, (T,) float64, from 0."""
    step = float(np.median(np.diff(times)))
    # Jitter of single rows averages out over the whole recording; holes count as the rows that they miss.
    intervals = np.maximum(np.rint(np.diff(times) / step), 1).sum()
    fps = float(intervals / times[-1])
    tolerance = max(3e-4, 2 / TICKS_PER_SECOND / float(times[-1]))
    near = [rate for rate in _COMMON_RATES if abs(fps / rate - 1) <= tolerance]
    near += [float(round(fps))] if round(fps) and abs(fps / round(fps) - 1) <= tolerance else []
    fps = min(near, key=lambda rate: abs(fps - rate)) if near else fps
    if not MIN_FPS <= fps <= MAX_FPS or not math.isfinite(fps):
        raise VultusError(f"{path}: {fps:g} rows per second by its timecode; expected {MIN_FPS:g} to {MAX_FPS:g}")
    return fps, times * fps


def _fill(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rows at uneven places -> rows at 0, 1, 2 ...; rows within a tenth of a frame of their place stay."""
    slots = np.rint(places)
    if len(np.unique(slots)) == len(slots) and np.abs(places - slots).max() < 0.1:
        places = slots
    count = round(float(places[-1])) + 1
    if count > 4 * len(values) + 240:
        raise VultusError("the timecode has holes longer than the motion itself; cut the recording there")
    grid = np.arange(count, dtype=np.float64)
    return np.stack([np.interp(grid, places, column) for column in values.T], axis=1).astype(np.float32)
