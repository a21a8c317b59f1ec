"""What tells the data of an evaluation from other data of the same names.

Two parts, both cheap beside scoring. The **digest** travels with the results: it says the same of the same recordings
on any machine. The **place** stays with the rows of a run that may be stopped: where the data lie, and the sizes and
times of their files, so that data that were changed in their folder are not taken for those that were measured.

The digest is over the name and subject of every sequence of the split; over the motion, the neutral face and the sound
of three, evenly chosen; and over the content of files among the options. Motion counts by five digits of a few sums
over all its coordinates: a rig's vertices differ in their last bits between machines and numbers of threads.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.examples import evenly
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError

PROBES = 3
"""Sequences whose motion and sound are read."""
WHOLE = (".npy", ".npz", ".pkl")
"""Files in the root of a data set that hold many sequences."""


def data_digest(split: Sequence[FaceSequence], fps: float, options: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that differ for other recordings.

    Args:
        split: all sequences that a protocol scores, whatever part of them is.
        fps: of the protocol.
        options: of the data set; values that name a file count by its content.

    Raises:
        VultusError: a recording or a file cannot be read.
    """
    told = hashlib.sha256()
    for sequence in split:
        told.update(f"{sequence.name}\0{sequence.subject}\n".encode())
    for sequence in evenly(split, PROBES):
        neutral = np.asarray(sequence.template.vertices, np.float64)
        moved = sequence.vertices(fps=fps) - neutral
        sound = np.asarray(np.round(sequence.speech().samples * 32767), np.int32)
        told.update(f"{moved.shape} {_sums(neutral[None])} {_sums(moved)} {len(sound)} ".encode() + sound.tobytes())
    for key, file in _files(options):
        try:
            told.update(f"{key} ".encode() + hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise VultusError(f"option {key}: {file} cannot be read ({error.strerror}); check --option") from None
    return told.hexdigest()[:12]


def data_place(root: str, split: Sequence[FaceSequence], options: Mapping[str, Any]) -> dict[str, str]:
    """Where the data lie, and a digest of sizes and times of the files that are known."""
    folder = Path(root)
    sounds = (getattr(sequence, "sound", None) for sequence in split)
    known = [sound for sound in sounds if isinstance(sound, Path)]
    known += sorted(path for path in folder.glob("*") if path.suffix in WHOLE)
    known += [file for _, file in _files(options)]
    told = hashlib.sha256()
    for path in known:
        try:
            state = path.stat()
        except OSError:
            continue  # whoever needs the file will say that it is gone
        told.update(f"{path.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return {"root": str(folder.resolve()), "files": told.hexdigest()[:12]}


def _files(options: Mapping[str, Any]) -> list[tuple[str, Path]]:
    texts = {key: value for key, value in sorted(options.items()) if isinstance(value, str | Path) and str(value)}
    return [(key, Path(value)) for key, value in texts.items() if Path(value).is_file()]


def _sums(values: np.ndarray) -> str:
    """Five digits of the size of (T, V, 3), and of sums that see in which order its frames and vertices come."""
    frames, vertices, _ = values.shape
    over_time = np.cos(np.arange(frames) * 0.7)[:, None, None]
    over_face = np.cos(np.arange(vertices * 3) * 0.3).reshape(vertices, 3)
    size = float(np.sqrt(np.mean(values**2)))
    sums = [float(np.mean(values * weights)) for weights in (over_time, over_face, over_time * over_face)]
    unit = size or 1.0
    return " ".join([f"{size:.4e}", *(f"{total / unit + 0.0:.5f}" for total in sums)])
