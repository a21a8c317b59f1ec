"""Where the eyes of the neutral face are, the rims of their lids, and eyeballs that make way for a blink."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head.geometry import fit_sphere
from head.mesh import SIDES, HeadMesh

BLINK_BACK = 0.015  # decimetres


@dataclass(frozen=True)
class Eyes:
    """centre: side -> (3,) of the eyeball; radius: the largest distance of a vertex of an eyeball from its centre."""

    centre: dict[str, np.ndarray]
    radius: float


@dataclass(frozen=True)
class Lids:
    """rim: side -> skin vertices of the upper rim; middle: side -> (upper, lower) vertex in the middle of the eye."""

    rim: dict[str, np.ndarray]
    middle: dict[str, tuple[int, int]]


def find_eyes(mesh: HeadMesh, face: np.ndarray) -> Eyes:
    """The spheres that fit the eyeballs of a face (V, 3) best."""
    centre, radius = {}, 0.0
    for side in SIDES:
        points = face[mesh.part_vertices(f"eye_{side}")]
        centre[side] = fit_sphere(points)[0]
        radius = max(radius, float(np.linalg.norm(points - centre[side], axis=1).max()))
    return Eyes(centre, radius)


def step_back(mesh: HeadMesh, shapes: dict[str, np.ndarray]) -> None:
    """Eyeballs step back while the lids close, as eyes do in a blink (changes the two blinks in place).

    A shape moves vertices along straight lines, which cut through a ball: half closed, the source's upper lid is up to
    1 mm inside the eye.
    """
    for side in SIDES:
        shapes[f"eyeBlink{side.title()}"][mesh.part_vertices(f"eye_{side}")] += [0, 0, -BLINK_BACK]


def find_lids(mesh: HeadMesh, eyes: Eyes, rest: np.ndarray, shapes: dict[str, np.ndarray]) -> Lids:
    """The upper lid is what a blink moves down most, the lower one where that arrives; the rims are at the lashes."""
    skin = mesh.triangle_vertices("skin")
    lash = rest[mesh.part_vertices("lashes")]
    near = np.sqrt(((rest[skin][:, None] - lash[None]) ** 2).sum(2)).min(1)
    rim, pairs = {}, {}
    for side in SIDES:
        blink, centre = shapes[f"eyeBlink{side.title()}"], eyes.centre[side]
        far = np.linalg.norm(rest[skin] - centre, axis=1)
        rim[side] = skin[(near < 0.012) & (far < 1.25 * eyes.radius)]
        middle = skin[(np.abs(rest[skin, 0] - centre[0]) < 0.05) & (rest[skin, 2] > centre[2])]
        upper = int(middle[np.argmin(blink[middle, 1])])
        closed = rest[upper] + blink[upper]
        low = middle[(blink[middle, 1] > 0.25 * blink[upper, 1]) & (rest[middle, 1] < rest[upper, 1] - 0.03)]
        pairs[side] = upper, int(low[np.argmin(np.linalg.norm(rest[low] + blink[low] - closed, axis=1))])
    return Lids(rim, pairs)
