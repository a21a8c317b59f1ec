"""A small data set in which lips follow the sound and every subject moves in a manner of its own.

The sound is a tone whose loudness a(t) rises and falls; the lips open by a(t). A subject smiles in a way of its own.
Everything is made; a sequence has the parts of `vultus.datasets.FaceSequence`.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.speech import Speech
from vultus.topology import Template, Topology

NUM_VERTICES = 12
LIPS = np.arange(6)


def topology(num_vertices: int = NUM_VERTICES) -> Topology:
    faces = np.array([[0, i, i + 1] for i in range(1, num_vertices - 1)], np.int32)
    return Topology(faces, num_vertices, {"lips": LIPS.astype(np.int32)})


@dataclass(frozen=True)
class Sequence:
    """One made-up sequence; `seed` gives the loudness."""

    name: str
    subject: str
    split: str
    seed: int
    seconds: float = 4.0
    fps: float = 30.0
    source: str = "made"
    unit: str = "m"

    @property
    def sentence(self) -> str:
        return str(self.seed)

    @property
    def template(self) -> Template:
        vertices = np.random.default_rng(9).normal(0, 0.05, (NUM_VERTICES, 3)).astype(np.float32)
        return Template(topology(), vertices)

    def loudness(self, times: np.ndarray) -> np.ndarray:
        """In [0, 1], from one level to another at uneven times, 0.15 to 0.6 s apart: no rhythm."""
        rng = np.random.default_rng([self.seed, 5])
        knots = np.cumsum(rng.uniform(0.15, 0.6, round(self.seconds * 8)))
        return np.interp(times, knots, rng.uniform(0, 1, len(knots)))

    def speech(self) -> Speech:
        times = np.arange(round(self.seconds * 16_000)) / 16_000
        tone = np.sin(2 * np.pi * 440 * times) + np.sin(2 * np.pi * 1500 * times)
        return Speech((0.2 * self.loudness(times) ** 2 * tone).astype(np.float32), self.name)

    def vertices(self, *, fps: float | None = None) -> np.ndarray:
        rate = self.fps if fps is None else fps
        times = np.arange(round(self.seconds * rate)) / rate
        manner = np.random.default_rng([*self.subject.encode()])
        opening, smile = manner.uniform(0.7, 1.3), manner.normal(0, 0.004, (6, 3))
        offsets = np.zeros((len(times), NUM_VERTICES, 3), np.float32)
        offsets[:, LIPS, 1] = 0.01 * opening * self.loudness(times)[:, None] * np.linspace(-1, 1, 6)
        sway = 1 + 0.2 * np.sin(2 * np.pi * 0.5 * times + self.seed)
        offsets[:, 6:] = smile * sway[:, None, None]
        return np.asarray(offsets + self.template.vertices, np.float32)


def sequences(subjects: str, clips: int, split: str = "train") -> list[Sequence]:
    """`clips` sequences of each subject, named by one letter."""
    return [
        Sequence(f"{subject}_{split}{clip}", subject, split, 1000 * ord(subject) + clip + 500 * (split != "train"))
        for subject in subjects
        for clip in range(clips)
    ]
