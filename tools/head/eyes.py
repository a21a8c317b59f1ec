"""Eyeballs made anew on the source's spheres, and upper lashes bound to the rim of the lid."""

from __future__ import annotations

import numpy as np

from head.geometry import fit_sphere

EYE_RINGS = (7.0, 8.5, 10.0, 16.0, 21.5, 24.0, 26.5, 34.0, 48.0, 66.0, 86.0, 108.0)  # degrees from the gaze axis
EYE_SEGMENTS = 20
LASH_LENGTH = 0.4  # of the source's, whose full length without alpha is heavy make-up
LASH_OUT = np.array([0.0, 0.0, 0.002])  # in front of the rim


def make_eyeball(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A finer eyeball on the sphere of the source's (n, 3), with rings where iris and pupil end; its axis is +z.

    Returns:
        Points: the pole, then EYE_SEGMENTS of each ring; triangles.
    """
    centre, radius = fit_sphere(group)
    turn = np.arange(EYE_SEGMENTS) / EYE_SEGMENTS * 2 * np.pi
    rings = [
        np.stack([np.sin(r) * np.cos(turn), np.sin(r) * np.sin(turn), np.full(EYE_SEGMENTS, np.cos(r))], 1)
        for r in np.radians(EYE_RINGS)
    ]
    points = np.concatenate([[[0.0, 0.0, 1.0]], *rings]) * radius + centre
    triangles = []
    for i in range(EYE_SEGMENTS):
        j = (i + 1) % EYE_SEGMENTS
        triangles.append((0, 1 + i, 1 + j))
        for r in range(len(rings) - 1):
            a, b = 1 + r * EYE_SEGMENTS, 1 + (r + 1) * EYE_SEGMENTS
            triangles += [(a + i, b + i, b + j), (a + i, b + j, a + j)]
    return points, np.array(triangles)


def rings_of_eyeball() -> np.ndarray:
    """The ring of each vertex of an eyeball; 0 is the pole."""
    return np.concatenate([[0], 1 + np.repeat(np.arange(len(EYE_RINGS)), EYE_SEGMENTS)])


def bind_lashes(lashes: np.ndarray, body: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lashes shortened, each on the body vertex that its root is nearest to.

    Returns:
        Points of the lashes; the body vertex that each of them moves with.
    """
    apart = np.linalg.norm(lashes[:, None] - body[None], axis=2)
    roots = np.flatnonzero(apart.min(1) < 0.009)
    near = np.linalg.norm(lashes[:, None] - lashes[roots][None], axis=2).argmin(1)
    root = apart[roots[near]].argmin(1)
    return body[root] + (lashes - lashes[roots[near]]) * LASH_LENGTH + LASH_OUT, root
