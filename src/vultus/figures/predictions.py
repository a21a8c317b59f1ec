"""Predicted motion from a folder, as published programs and ours write it, beside the recorded motion.

For a sequence NAME (SUBJECT_SENTENCE where the data set has no name of its own) one of
    NAME.npy, NAME.npz, SUBJECT_SENTENCE.npy, SUBJECT_SENTENCE.npz, NAME_condition_SUBJECT.npy
(the first condition by name). .npy holds vertices, (T, 3V) or (T, V, 3), in the unit of the data and at the rate at
which the data are read; .npz is ours and knows its rate.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vultus.clock import resample_motion
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError

TOLERANCE = 0.05
"""Share by which the lengths of prediction and recording may differ; the longer one is cut, as published scores do."""


class FolderPredictions:
    """Predictions in a folder.

    Args:
        folder: holds a file for each of the sequences.
        sequences: those that will be asked for.

    Raises:
        VultusError: no such folder, or a sequence without a file.
    """

    def __init__(self, folder: str | Path, sequences: Sequence[FaceSequence]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise VultusError(f"predictions {folder}: no such folder; expected one with SUBJECT_SENTENCE.npy files")
        files = {path.name: path for path in sorted(self.folder.iterdir()) if path.suffix in (".npy", ".npz")}
        conditions: dict[str, Path] = {}
        for name, path in files.items():
            if "_condition_" in name:
                conditions.setdefault(name.rpartition("_condition_")[0], path)
        self._files: dict[str, Path] = {}
        missing = []
        for sequence in sequences:
            names = (sequence.name, f"{sequence.subject}_{sequence.sentence}")
            found = [files[n + s] for n in names for s in (".npy", ".npz") if n + s in files]
            found += [conditions[name] for name in names if name in conditions]
            if found:
                self._files[sequence.name] = found[0]
            else:
                missing.append(sequence.name)
        if missing:
            raise VultusError(
                f"predictions {folder}: no file for {len(missing)} of {len(sequences)} sequences, such as "
                f"{missing[0]}.npy; expected one for each; predict them, or choose fewer with --subjects or --limit"
            )
        self.label = f"folder {self.folder.name}"

    def offsets(self, sequence: FaceSequence, fps: float | None) -> np.ndarray:
        """(T, V, 3) offsets from the sequence's template, in the unit of the data."""
        path, template = self._files[sequence.name], sequence.template
        rate = sequence.fps if fps is None else fps
        vertices = _read_npz(path, rate) if path.suffix == ".npz" else _read_npy(path)
        count = len(template.vertices)
        if vertices.ndim == 2 and vertices.shape[1] == 3 * count:
            vertices = vertices.reshape(len(vertices), count, 3)
        if vertices.ndim != 3 or vertices.shape[1:] != (count, 3) or not len(vertices):
            raise VultusError(f"{path}: shape {vertices.shape}; expected (frames, {count}, 3) or (frames, {3 * count})")
        offsets = np.asarray(vertices, np.float32) - template.vertices
        if not np.isfinite(offsets).all():
            raise VultusError(f"{path}: holds NaN or infinite coordinates; expected finite ones")
        return offsets


def same_length(prediction: np.ndarray, recorded: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Both cut to the shorter; VultusError where their lengths differ too much to be the same seconds."""
    ours, theirs = len(recorded), len(prediction)
    if abs(ours - theirs) > max(2.0, TOLERANCE * ours):
        raise VultusError(
            f"prediction of {name} has {theirs} frames and the recording {ours}; expected the same number; give the "
            "rate of the predictions with --fps"
        )
    return prediction[:ours], recorded[:theirs]


def _read_npy(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise VultusError(f"{path}: not a readable .npy of numbers ({error}); write it again") from None
    if array.dtype.kind != "f":
        raise VultusError(f"{path}: holds {array.dtype}; expected floating-point coordinates")
    return np.asarray(array)


def _read_npz(path: Path, fps: float) -> np.ndarray:
    from vultus.export.npz import read_npz

    data = read_npz(path)
    if data.vertices is None:
        raise VultusError(f"{path}: holds weights but no vertices; expected vertices")
    vertices = np.asarray(data.vertices, np.float32)
    count = max(1, round(len(vertices) / data.fps * fps))
    return resample_motion(vertices.reshape(len(vertices), -1), data.fps, fps, count)
