"""Small helpers on points and triangles."""

from __future__ import annotations

import numpy as np


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between them."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def signed_volume(points: np.ndarray, triangles: np.ndarray) -> float:
    """Volume of a closed mesh; above 0 where its triangles face outwards."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of the sphere through points, by least squares."""
    solution = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(1), rcond=None)[0]
    centre = solution[:3]
    return centre, float(np.sqrt(solution[3] + centre @ centre))


def split_quads(quads: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The vertices that quads use, and two triangles for each quad in places of that list."""
    vertices = np.unique(np.array(quads))
    number = {int(p): i for i, p in enumerate(vertices)}
    triangles = [t for q in quads for n in [[number[p] for p in q]] for t in ((n[0], n[1], n[2]), (n[0], n[2], n[3]))]
    return vertices, np.array(triangles)
