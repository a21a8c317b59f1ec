"""A toy data set: a plate of 30 vertices that speaks; and a protocol for it. Shared by the tests of the benchmark.

`use(monkeypatch)` puts it into the table of data sets as "toy".
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.benchmark.protocol import Protocol, make_protocol
from vultus.datasets import DATASETS
from vultus.datasets.base import RecordedSequence
from vultus.speech import Speech
from vultus.topology import Template, Topology

V, FPS, FRAMES = 30, 50.0, 61
SUBJECTS = {"train": ("anna", "ben"), "test": ("cleo", "dan")}
SENTENCES = ("s1", "s2", "s3")
FACES = np.array([[0, i, i + 1] for i in range(1, V - 1)], np.int32)
LIPS, UPPER = list(range(2, 9)), list(range(15, 27))


def template(subject: str) -> Template:
    rng = np.random.default_rng([*subject.encode()])
    return Template(Topology(FACES, V, name="toy"), rng.normal(0, 0.05, (V, 3)).astype(np.float32))


def motion(subject: str, sentence: str) -> np.ndarray:
    """(T, V, 3) at 50 fps."""
    rng = np.random.default_rng([*f"{subject}{sentence}".encode()])
    times = np.arange(FRAMES) / FPS
    waves = np.sin(2 * np.pi * rng.uniform(1, 4, 5)[:, None] * times + rng.uniform(0, 6, (5, 1)))
    moved = np.einsum("kt,kvc->tvc", waves, rng.normal(0, 0.001, (5, V, 3)))
    return (template(subject).vertices + moved).astype(np.float32)


def sound(subject: str, sentence: str) -> Speech:
    times = np.arange(round(FRAMES / FPS * 16_000)) / 16_000
    rng = np.random.default_rng([*f"{subject}{sentence}".encode()])
    level = 0.3 * np.abs(np.sin(2 * np.pi * rng.uniform(1, 3) * times))
    return Speech((level * np.sin(2 * np.pi * 180 * times)).astype(np.float32), f"{subject}_{sentence}")


class ToyFaces:
    """The data set; `empty=true` leaves out the test split, `damaged=NAME` puts a NaN into a recording."""

    name = "toy"

    def __init__(self, root: str, *, empty: bool = False, damaged: str = "") -> None:
        self._subjects = {k: v for k, v in SUBJECTS.items() if not (empty and k == "test")}
        self._damaged = damaged

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self._subjects)

    def split(self, name: str) -> tuple[RecordedSequence, ...]:
        return tuple(self._sequence(name, a, s) for a in self._subjects[name] for s in SENTENCES)

    def _sequence(self, split: str, subject: str, sentence: str) -> RecordedSequence:
        def read() -> np.ndarray:
            values = motion(subject, sentence)
            if f"{subject}_{sentence}" == self._damaged:
                values[4, 4, 0] = np.nan
            return values

        return RecordedSequence(
            f"{subject}_{sentence}", subject, sentence, split, "toy", FPS, template(subject),
            functools.partial(sound, subject, sentence), read,
        )  # fmt: skip


def names(split: str = "test") -> list[str]:
    return [f"{subject}_{sentence}" for subject in SUBJECTS[split] for sentence in SENTENCES]


def reference(name: str) -> np.ndarray:
    """(T, V, 3) at the protocol's 25 fps."""
    return motion(*name.split("_"))[::2]


TABLE: dict[str, Any] = {
    "name": "toy", "version": 1, "title": "toy faces", "split": "test", "fps": 25, "unit": "m", "data": {"toy": {}},
    "published": ["lip_mean", "lve"],
    "metrics": [
        "face_mean", "f_dtw", "l_vertex", "l_cover", "coverage_curve", "div_face", "closure_recall", "sync_cos",
    ],
}  # fmt: skip

TOML = """
name = "toy"
version = {version}
title = "toy faces"
split = "test"
fps = 25
unit = "m"
published = ["lip_mean", "lve"]
metrics = ["face_mean", "f_dtw", "l_vertex", "l_cover", "coverage_curve", "div_face", "closure_recall", "sync_cos"]
[data.toy]
"""


def toy_protocol(**changes: Any) -> Protocol:
    return make_protocol({**TABLE, **changes}, "toy.toml")


def write_toml(folder: Path, version: int = 1) -> Path:
    path = folder / f"toy{version}.toml"
    path.write_text(TOML.format(version=version))
    return path


def write_regions(folder: Path, lips: list[int] = LIPS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "lips.txt").write_text(", ".join(map(str, lips)))
    (folder / "upper_face.txt").write_text("\n".join(map(str, UPPER)))
    return folder


def write_predictions(folder: Path, error: float = 0.001, seed: int = 0) -> Path:
    """NAME.npy, flat, for each test sequence: the recording and errors of its own."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names()):
        rng = np.random.default_rng([seed, number])
        values = reference(name) + rng.normal(0, error, reference(name).shape) if error else reference(name)
        np.save(folder / f"{name}.npy", values.reshape(len(values), -1).astype(np.float64))
    return folder


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "toy", "toy_faces:ToyFaces")
