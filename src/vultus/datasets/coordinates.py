"""Whether recorded coordinates can be true: all finite, and a few frames of the size of the template.

Letters: T motion frames, V vertices, B frames of a block.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LARGEST = 2.0
"""How many times as large as its template a face may be, or as small; another unit is a factor of 10 or more."""


BLOCK = 64
"""Frames looked at together; a long recording mapped from disk never lies in memory as a whole."""


def some_frames(sequence: Any) -> np.ndarray:
    """(n, V, 3): first, middle and last frame of stored motion; one each second of what a rig makes."""
    stored = _stored(sequence)
    if stored is None:
        return np.asarray(sequence.vertices(fps=1.0))
    frames = np.asarray(stored[_places(len(stored))], np.float32)
    return frames + sequence.template.vertices if hasattr(sequence, "offsets") else frames


def all_finite(sequence: Any) -> bool:
    """Whether every stored coordinate is a finite number; True for what a rig makes, whose parameters are checked."""
    stored = _stored(sequence)
    if stored is None:
        return True
    return all(bool(np.isfinite(stored[begin : begin + BLOCK]).all()) for begin in range(0, len(stored), BLOCK))


def fault(sequence: Any) -> str | None:
    """What is wrong with the coordinates of a sequence, or None; raises nothing."""
    try:
        frames, template = some_frames(sequence), sequence.template.vertices
        if frames.ndim != 3 or frames.shape[1:] != template.shape or not len(frames):
            return f"has frames of shape {frames.shape[1:]}; expected {template.shape}"
        if not np.isfinite(frames).all() or not all_finite(sequence):
            return "holds NaN or infinite coordinates; expected finite ones"
        sizes = np.ptp(frames, axis=1).max(1) / np.ptp(template, axis=0).max()
    except Exception as error:  # damaged files may fail in any way, and the caller tells about it
        return str(error) or type(error).__name__
    size = float(sizes[np.abs(np.log(np.maximum(sizes, 1e-9))).argmax()])
    if not 1 / LARGEST <= size <= LARGEST:
        return f"is {size:.3g} times as large as its neutral face; expected the same unit"
    return None


def _stored(sequence: Any) -> Any:
    """The array that holds the motion, (T, V, 3), mapped where the file allows it; None where a rig makes it."""
    if hasattr(sequence, "offsets"):
        return sequence.offsets()
    return sequence.read_vertices() if hasattr(sequence, "read_vertices") else None


def _places(count: int) -> list[int]:
    return sorted({0, count // 2, count - 1}) if count else []
