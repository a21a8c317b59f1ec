"""VOCASET as released for training VOCA: one array of all frames, and pickles that say which rows are whose.

    ROOT/data_verts.npy         (N, 5023, 3) floats, metres: the frames of all sequences; memory-mapped
    ROOT/subj_seq_to_idx.pkl    subject -> sentence -> frame number -> row of data_verts
    ROOT/raw_audio_fixed.pkl    subject -> sentence -> {"audio": int16 samples, "sample_rate": Hz}
    ROOT/templates.pkl          subject -> (5023, 3)
    ROOT/FLAME_sample.ply       optional, for the triangles (also under template/ or templates/, or mesh=FILE)

60 frames per second. The pickles are Python 2's and are read without running anything. What the layouts share is in
vocaset_layout.py; how to obtain the files, licence and traps in docs/datasets/vocaset.md.

Letters: T motion frames, N rows, V vertices.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vultus.datasets.base import Finding, missing
from vultus.datasets.vocaset_layout import (
    NUM_VERTICES,
    OBTAIN,
    SUBJECTS,
    Motion,
    Sound,
    VocasetLayout,
    as_template,
    as_vertices,
    check_layout,
    find_topology,
    text_keys,
)
from vultus.errors import VultusError
from vultus.readers.safe_pickle import load_npy, load_pickle
from vultus.speech import Speech
from vultus.topology import Template, Topology

FILES = ("data_verts.npy", "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl", "templates.pkl")


class Vocaset(VocasetLayout):
    """The training package on disk.

    Args:
        root: folder of the four files.
        protocol: whose splits: "voca" (test: sentences 21 to 40), "faceformer" (the same, scored at 30 frames per
            second), "mm23" (test: sentences 1 to 40).
        mesh: a .ply or .obj of FLAME's topology, for the triangles.

    Raises:
        VultusError: a file is missing or damaged, a pickle holds more than data, nothing usable, unknown protocol.
    """

    name = "vocaset"

    def __init__(self, root: str | Path, *, protocol: str = "voca", mesh: str | Path | None = None) -> None:
        folder = Path(root)
        absent = [file for file in FILES if not (folder / file).is_file()]
        if absent:
            raise missing(self.name, folder, f"no {', no '.join(absent)}", f"{', '.join(FILES)} ({OBTAIN})")
        what = f"{self.name}: '{folder / 'data_verts.npy'}'"
        self._frames = as_vertices(load_npy(folder / "data_verts.npy", what=self.name), what)
        self._rows = _read_rows(folder / "subj_seq_to_idx.pkl", len(self._frames))
        self._sounds = _by_sentence(folder / "raw_audio_fixed.pkl")
        templates = read_templates(self.name, folder / "templates.pkl", find_topology(self.name, folder, mesh))
        super().__init__(folder, protocol, self._motion, self._sound, templates)
        gaps = [f"{a}_{b}" for a, of in self._rows.items() for b, (numbers, _) in of.items() if _has_gap(numbers)]
        if gaps:
            self.notes.append(
                f"{len(gaps)} sequences lack frames inside ({gaps[0]} first); the rest is read as one run, as the "
                "published code does"
            )

    def _motion(self, subject: str, sentence: str) -> Motion | None:
        found = self._rows.get(subject, {}).get(sentence)
        if found is None or not len(found[1]):
            return None
        return Motion(functools.partial(len, found[1]), functools.partial(_take, self._frames, found[1]))

    def _sound(self, subject: str, sentence: str) -> Sound | None:
        entry = self._sounds.get(subject, {}).get(sentence)
        if entry is None:
            return None
        what = f"{subject}_{sentence}"
        return Sound(functools.partial(_seconds, entry, what), functools.partial(_speech, entry, what))


def read_templates(name: str, path: Path, topology: Topology) -> dict[str, Template]:
    """The neutral faces of a templates.pkl by subject; subjects that are none of VOCASET's are passed over."""
    table = text_keys(load_pickle(path, what=name), f"{name}: '{path}'")
    return {s: as_template(table[s], topology, f"{name}: '{path}': template {s}") for s in SUBJECTS if s in table}


def _by_sentence(path: Path) -> dict[str, dict[str, Any]]:
    what = f"vocaset: '{path}'"
    table = text_keys(load_pickle(path, what="vocaset"), what)
    return {subject: text_keys(table[subject], f"{what}: {subject}") for subject in SUBJECTS if subject in table}


def _read_rows(path: Path, num_rows: int) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Subject -> sentence -> numbers of its frames in order, and their rows."""
    return {
        subject: {
            sentence: _in_order(f"vocaset: '{path}': {subject}, {sentence}", frames, num_rows)
            for sentence, frames in sentences.items()
        }
        for subject, sentences in _by_sentence(path).items()
    }


def _in_order(what: str, frames: Any, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(frames, dict):
        raise VultusError(f"{what}: is {type(frames).__name__}; expected a dict from frame number to row; {OBTAIN}")
    try:
        table = np.array([(int(number), int(row)) for number, row in frames.items()], np.int64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise VultusError(f"{what}: holds something else than frame numbers and rows; {OBTAIN}") from None
    table = table[np.argsort(table[:, 0])]
    if len(table) and not 0 <= table[:, 1].min() <= table[:, 1].max() < num_rows:
        raise VultusError(
            f"{what}: names row {table[:, 1].max()}; expected rows of data_verts.npy, 0 to {num_rows - 1}; take both "
            "files of one release"
        )
    return table[:, 0], table[:, 1]


def _has_gap(numbers: np.ndarray) -> bool:
    return len(numbers) > 0 and int(numbers[-1] - numbers[0]) + 1 != len(numbers)


def _take(frames: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows as (T, V, 3): a view where they follow one another, as nearly all do, else a copy."""
    first, last = int(rows[0]), int(rows[-1])
    if np.array_equal(rows, np.arange(first, last + 1)):
        return np.asarray(frames[first : last + 1])
    return np.asarray(frames[rows])


def _sound_of(entry: Any, name: str) -> tuple[np.ndarray, float]:
    parts: Mapping[str, Any] = text_keys(entry, f"vocaset: sound of {name}")
    audio, rate = parts.get("audio"), parts.get("sample_rate")
    if not isinstance(audio, np.ndarray) or not isinstance(rate, (int, float, np.number)) or not rate > 0:
        raise VultusError(f'vocaset: sound of {name}: lacks "audio" or a true "sample_rate"; {OBTAIN}')
    return audio, float(rate)


def _seconds(entry: Any, name: str) -> float:
    audio, rate = _sound_of(entry, name)
    return len(audio) / rate


def _speech(entry: Any, name: str) -> Speech:
    return Speech.from_array(*_sound_of(entry, name), name)


def check(
    root: str | Path, protocol: str = "voca", mesh: str | Path | None = None, *, durations: bool = True
) -> list[Finding]:
    """What is at `root`, what is missing and how to obtain it, durations against motion; raises nothing."""
    folder = Path(root)
    there = {file: (folder / file).is_file() for file in FILES}
    try:
        frames = len(load_npy(folder / FILES[0], what="vocaset"))
        there = {f"{FILES[0]}: {frames} frames of {NUM_VERTICES} vertices": there.pop(FILES[0]), **there}
    except VultusError:
        pass  # opening tells it
    return check_layout(there, lambda: Vocaset(folder, protocol=protocol, mesh=mesh), durations)
