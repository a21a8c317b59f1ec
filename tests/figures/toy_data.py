"""A toy data set of another topology with nothing but points, shared by the tests of figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vultus.datasets.base import RecordedSequence
from vultus.figures.base import Request
from vultus.speech import Speech
from vultus.topology import Template, Topology

for name in ("matplotlib", "sklearn"):
    pytest.importorskip(name, reason="figures need the extra 'benchmark'")


def half_ball(rings: int = 12, around: int = 24) -> np.ndarray:
    """(V, 3) float32 metres: points on the front half of a ball of 8 cm."""
    polar = np.linspace(0.08, np.pi / 2, rings)[:, None]
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)[None]
    x, y, z = np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar) * np.ones_like(turn)
    return (0.08 * np.stack([x, y, z], 2)).reshape(-1, 3).astype(np.float32)


def half_ball_faces(rings: int = 12, around: int = 24) -> np.ndarray:
    """(F, 3) int32 triangles between the rings, counter-clockwise from outside."""
    faces = []
    for r in range(rings - 1):
        for k in range(around):
            a, b = r * around + k, r * around + (k + 1) % around
            c, d = a + around, b + around
            faces += [(a, c, b), (b, c, d)]
    return np.array(faces, np.int32)


class ToyData:
    """Three subjects who each move another part of a cloud of points; six sequences each, 25 fps."""

    name = "toy"
    splits = ("train", "test")

    def __init__(self, *, triangles: bool = False) -> None:
        vertices = half_ball()
        faces = half_ball_faces() if triangles else np.zeros((0, 3), np.int32)
        self.template = Template(Topology(faces, len(vertices), name="toy"), vertices)

    def split(self, name: str) -> Sequence[RecordedSequence]:
        return [self.sequence(subject, n, name) for subject in range(3) for n in range(6)]

    def sequence(self, subject: int, number: int, split: str = "test") -> RecordedSequence:
        def read() -> np.ndarray:
            vertices = self.template.vertices
            centre = np.array([[0, -0.05, 0.06], [0.04, 0, 0.06], [-0.04, 0.03, 0.06]])[subject]
            near = np.exp(-((vertices - centre) ** 2).sum(1) / 0.03**2)
            time = np.arange(30) / 25
            open_ = 0.01 * (1 + 0.1 * number) * np.sin(2 * np.pi * 2 * time + number)
            moved = near[None, :, None] * open_[:, None, None] * np.array([0.0, -1.0, 0.2])
            return (vertices + moved).astype(np.float32)

        return RecordedSequence(
            name=f"s{subject}_{number:02d}", subject=f"s{subject}", sentence=f"{number:02d}", split=split, source="toy",
            fps=25.0, template=self.template, read_vertices=read,
            read_speech=lambda: Speech(np.zeros(19_200, np.float32), "toy"),
        )  # fmt: skip


def request_of(data: ToyData, **changes: object) -> Request:
    """A request for the whole test split of toy data."""
    fields = {"sequences": data.split("test"), "template": data.template, "data_name": "toy", **changes}
    return Request(**fields)  # type: ignore[arg-type]
