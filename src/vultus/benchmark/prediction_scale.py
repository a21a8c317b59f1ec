"""Whether predicted motion lies where the face does: another unit, or offsets, would be scored without a word.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError

FACTOR = 2.0
"""How many times larger or smaller than the neutral face a frame may be; speech changes a face by a few per cent."""
ALIKE = 0.9
"""Correlation with the neutral face above which a frame is that face in another unit, under which it is offsets."""
_UNITS = {"m": "metres", "area": "a face of surface 1"}


def check_scale(path: Path, take: np.ndarray, sequence: FaceSequence) -> None:
    """Looks at the first and the middle frame of a take.

    Where the neutral face does not agree, the recording has the last word: its head may stand elsewhere.

    Args:
        path: for the message.
        take: (T, V, 3), finite.
        sequence: what was predicted.

    Raises:
        VultusError: more than FACTOR times as large or small as the recorded face, or half a face away from it.
    """
    neutral = np.asarray(sequence.template.vertices, np.float64)
    for index in sorted({0, len(take) // 2}):
        frame = np.asarray(take[index], np.float64)
        if _fault(frame, neutral, sequence.unit):
            recorded = sequence.vertices()
            fault = _fault(frame, np.asarray(recorded[min(index, len(recorded) - 1)], np.float64), sequence.unit)
            if fault:
                raise VultusError(f"{path}: frame {index} {fault}")


def _fault(frame: np.ndarray, face: np.ndarray, unit: str) -> str:
    """What is wrong with a frame (V, 3) beside a face (V, 3), "" where nothing is."""
    (low, high), (face_low, face_high) = _box(frame), _box(face)
    size = float(np.linalg.norm(face_high - face_low))
    if size == 0:
        return ""
    ratio = float(np.linalg.norm(high - low)) / size
    if not 1 / FACTOR <= ratio <= FACTOR:
        if ratio < 1 and _correlation(frame, face) < ALIKE and np.abs(frame).max() < size / FACTOR:
            return "looks like offsets from the neutral face; expected vertices (add the template)"
        return f"is {float(f'{ratio:.2g}'):g} times as large as the recorded face; expected {_UNITS[unit]}"
    away = float(np.linalg.norm((low + high) - (face_low + face_high))) / 2 / size
    if away > 0.5:
        return f"lies {away:.2g} faces away from the recorded face; expected the place of the template"
    return ""


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points.min(0), points.max(0)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    a, b = ((points - points.mean(0)).ravel() for points in (one, other))
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale else 0.0
