"""A made-up head of a few small spheres, so that exporter tests need no asset and take milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from vultus.motion import ARKIT_NAMES, EXTRA_NAMES, Motion, Take
from vultus.topology import Template, Topology

PARTS = ("skin", "mouth_inner", "lashes", "teeth_upper", "teeth_lower", "eye_left", "eye_right", "tongue")


@dataclass
class ToyRig:
    """A linear rig over `deltas` (K, V, 3)."""

    names: tuple[str, ...]
    deltas: np.ndarray
    name: str = "toy"

    @property
    def dimension(self) -> int:
        return len(self.names)

    def vertices(self, motion: np.ndarray, template: Template) -> np.ndarray:
        return (template.vertices + np.tensordot(motion, self.deltas, 1)).astype(np.float32)


@dataclass
class OffsetsToy:
    """A rig without blendshapes: motion is the flattened offsets."""

    dimension: int
    name: str = "offsets"

    def vertices(self, motion: np.ndarray, template: Template) -> np.ndarray:
        return (template.vertices + motion.reshape(len(motion), -1, 3)).astype(np.float32)


def sphere(centre: tuple[float, float, float], radius: float, n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n * n + 2, 3) and triangles, counter-clockwise seen from outside."""
    polar = np.linspace(0, np.pi, n + 2)[1:-1]
    around = np.arange(n) * 2 * np.pi / n
    ring = np.stack([np.outer(np.sin(polar), np.sin(around)), np.outer(np.cos(polar), np.ones(n)),
                     np.outer(np.sin(polar), np.cos(around))], axis=-1).reshape(-1, 3)  # fmt: skip
    vertices = np.concatenate([ring, [[0, 1, 0], [0, -1, 0]]]) * radius + centre
    triangles = []
    for j in range(n):
        right = (j + 1) % n
        triangles += [(n * n, j, right), (n * n + 1, (n - 1) * n + right, (n - 1) * n + j)]
        for i in range(n - 1):
            a, b, c, d = i * n + j, i * n + right, (i + 1) * n + j, (i + 1) * n + right
            triangles += [(a, c, d), (a, d, b)]
    return vertices.astype(np.float32), np.array(triangles, np.int32)


@pytest.fixture(scope="session")
def toy_head() -> tuple[Template, np.ndarray]:
    """A template, and deltas (55, V, 3): every shape moves some skin, jawOpen teeth and tongue, one shape nothing."""
    rng = np.random.default_rng(7)
    centres = {
        "skin": ((0, 0.1, 0), 0.1), "mouth_inner": ((0, 0.05, 0.048), 0.031), "lashes": ((0.03, 0.12, 0.09), 0.01),
        "teeth_upper": ((0, 0.07, 0.07), 0.01), "teeth_lower": ((0, 0.049, 0.07), 0.01),
        "eye_left": ((0.03, 0.11, 0.08), 0.012), "eye_right": ((-0.03, 0.11, 0.08), 0.012),
        "tongue": ((0, 0.05, 0.06), 0.015),
    }  # fmt: skip
    vertices, faces, parts, owner = [], [], {}, []
    for part, (centre, radius) in centres.items():
        points, triangles = sphere(centre, radius)
        first = sum(len(block) for block in faces)
        parts[part] = np.arange(first, first + len(triangles), dtype=np.int32)
        faces.append(triangles + sum(len(block) for block in vertices))
        vertices.append(points)
        owner += [part] * len(points)
    positions, names = np.concatenate(vertices), [*ARKIT_NAMES, *EXTRA_NAMES]
    owners = np.array(owner)
    deltas = np.zeros((len(names), len(positions), 3), np.float32)
    skin = np.flatnonzero(owners == "skin")
    for k, name in enumerate(names):
        moved = rng.choice(skin, 12, replace=False)
        if name.startswith("tongue"):
            moved = np.flatnonzero(owners == "tongue")
        elif name == "jawOpen":
            moved = np.concatenate([moved, np.flatnonzero(np.isin(owners, ["teeth_lower", "tongue"]))])
        deltas[k, moved] = rng.normal(0, 0.004, (len(moved), 3))
    deltas[names.index("mouthPressLeft")] = 0
    regions = {
        name: np.sort(rng.choice(skin, 9, replace=False)).astype(np.int32)
        for name in ("lips", "upper_lip", "lower_lip", "upper_face", "lower_face")
    }
    colours = rng.uniform(0, 1, (len(positions), 3)).astype(np.float32)
    topology = Topology(np.concatenate(faces).astype(np.int32), len(positions), regions, parts, colours, "toy")
    return Template(topology, positions.astype(np.float32)), deltas


@pytest.fixture(scope="session")
def make_take(toy_head: tuple[Template, np.ndarray]) -> Callable[..., Take]:
    """make_take(frames=31, fps=30.0, extras=True, blendshapes=True, seed=0) -> Take with smooth random motion."""
    template, deltas = toy_head

    def make(frames: int = 31, fps: float = 30.0, extras: bool = True, blendshapes: bool = True, seed: int = 0) -> Take:
        rng = np.random.default_rng(seed)
        names = (*ARKIT_NAMES, *EXTRA_NAMES) if extras else ARKIT_NAMES
        time = np.arange(frames)[:, None] / fps
        head = 0.1 * np.sin(time * rng.uniform(1, 3, 3)) + 0.02
        if not blendshapes:
            rig = OffsetsToy(template.vertices.size)
            values = 0.001 * np.sin(time * rng.uniform(1, 5, rig.dimension))
            return Take(Motion(values.astype(np.float32), fps, rig), template, head.astype(np.float32))
        values = 0.5 + 0.5 * np.sin(time * rng.uniform(3, 12, len(names)) + rng.uniform(0, 6, len(names)))
        motion = Motion(values.astype(np.float32), fps, ToyRig(names, deltas[: len(names)]))
        info = {"model": "toy", "seed": seed, "style": None, "note": "ü"}
        return Take(motion, template, head.astype(np.float32), info=info)

    return make
