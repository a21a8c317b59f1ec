"""Reads the tracked meshes of Multiface: one NNNNNN.bin for each frame, 7306 x 3 float32, millimetres.

Letters: T motion frames, V vertices, K vertices kept, F triangles.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.errors import VultusError

NUM_VERTICES = 7306


@dataclass(frozen=True, eq=False)
class Reduction:
    """A topology made of some of the vertices; `kept` is (K,) int64, sorted."""

    kept: np.ndarray
    name: str

    def faces(self, faces: np.ndarray) -> np.ndarray:
        """The triangles whose three corners are kept, (F', 3) int32, numbered anew."""
        number = np.full(NUM_VERTICES, -1, np.int32)
        number[self.kept] = np.arange(len(self.kept), dtype=np.int32)
        renumbered: np.ndarray = number[faces]
        return renumbered[(renumbered >= 0).all(axis=1)]


def reduce(vertices: np.ndarray, reduction: Reduction | None) -> np.ndarray:
    """The vertices that a reduction keeps, or all of them where there is none."""
    return vertices if reduction is None else vertices[reduction.kept]


def read_bin(path: Path) -> np.ndarray:
    """One mesh, (7306, 3) float32, millimetres."""
    try:
        values = np.fromfile(path, "<f4")
    except OSError as error:
        raise VultusError(f"'{path}': cannot be read ({error.strerror}); download it again") from None
    if values.size != 3 * NUM_VERTICES or path.stat().st_size != values.nbytes:
        raise VultusError(
            f"'{path}': has {path.stat().st_size} bytes; expected {12 * NUM_VERTICES} ({NUM_VERTICES} vertices of "
            "three float32); download it again"
        )
    return values.reshape(NUM_VERTICES, 3)


def frame_slots(folder: Path) -> tuple[list[Path], np.ndarray]:
    """The frames of a sequence by number, and the motion frame at which each stands, int64 from 0.

    The step between two frames is the commonest one; VultusError where others are no multiples of it.
    """
    numbered = sorted((int(path.stem), path) for path in folder.glob("*.bin") if path.stem.isdecimal())
    if not numbered:
        raise VultusError(f"'{folder}': holds no NNNNNN.bin; expected one for each frame; download the meshes")
    numbers = np.array([number for number, _ in numbered], np.int64)
    steps = np.diff(numbers)
    step = Counter(steps.tolist()).most_common(1)[0][0] if len(steps) else 1
    if step < 1 or (steps < 1).any() or (steps % step).any():
        raise VultusError(
            f"'{folder}': frame numbers advance by {sorted(set(steps.tolist()))}; expected multiples of {step}; "
            "download the meshes again"
        )
    return [path for _, path in numbered], (numbers - numbers[0]) // step


def read_frames(folder: Path, reduction: Reduction | None = None) -> np.ndarray:
    """A sequence, (T, V, 3) float32 metres; frames that are missing lie on straight lines between their neighbours."""
    files, slots = frame_slots(folder)
    kept = NUM_VERTICES if reduction is None else len(reduction.kept)
    values = np.empty((int(slots[-1]) + 1, kept, 3), np.float32)
    for slot, path in zip(slots, files, strict=True):
        values[slot] = reduce(read_bin(path), reduction) * np.float32(0.001)
    for before, after in itertools.pairwise(slots.tolist()):
        for slot in range(before + 1, after):
            part = np.float32((slot - before) / (after - before))
            values[slot] = (1 - part) * values[before] + part * values[after]
    return values
