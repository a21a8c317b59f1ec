"""Geometry that a scene needs besides drawing. Letters: V vertices, F triangles."""

from __future__ import annotations

import numpy as np

from vultus.render import rasteriser as ras


def rotation_matrix(rotation: np.ndarray) -> np.ndarray:
    """(3, 3) float64 matrix of an axis-angle vector (3,), radians (Rodrigues)."""
    rotation = np.asarray(rotation, np.float64)
    angle = float(np.sqrt(rotation @ rotation))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = rotation / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def sphere_centre(points: np.ndarray) -> np.ndarray:
    """(3,) centre of the sphere nearest to points (n, 3): |p|^2 = 2 p.c + (r^2 - |c|^2), by least squares."""
    offset = points.mean(0, dtype=np.float64)
    local = points - offset
    system = np.column_stack([2 * local, np.ones(len(local))])
    centre: np.ndarray = np.linalg.lstsq(system, (local**2).sum(1), rcond=None)[0][:3] + offset
    return centre


def occlusion(vertices: np.ndarray, faces: np.ndarray, directions: int = 96, side: int = 160) -> np.ndarray:
    """How open to the surroundings each vertex is, (V,) float32: 1 in the open, 0 shut in.

    The mesh is drawn from `directions` sides without perspective; a vertex counts a side, by the cosine to its normal,
    where nothing is nearer (Landis, "Production-ready global illumination", SIGGRAPH 2002 course, by depth maps).
    """
    vertices = np.ascontiguousarray(vertices, np.float32)
    normals = np.empty_like(vertices)
    ras.vertex_normals(vertices, faces, normals)
    low, high = vertices.min(0), vertices.max(0)
    radius = float(np.linalg.norm(high - low)) / 2 or 1.0
    centred = (vertices - (low + high) / 2) / radius
    number = np.arange(directions) + 0.5
    height = 1 - 2 * number / directions  # a Fibonacci sphere: even cover without randomness
    around = np.pi * (1 + 5**0.5) * number
    flat = np.sqrt(1 - height**2)
    toward = np.stack([np.cos(around) * flat, height, np.sin(around) * flat], 1)
    seen, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    sides = np.full(len(faces), ras.TWO_SIDED, np.uint8)
    for z in toward:
        x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
        x /= np.linalg.norm(x)
        y = np.cross(z, x)
        place = centred @ np.stack([x, -y, z], 1)
        screen = np.ascontiguousarray(
            np.column_stack([(place[:, 0] + 1) * side / 2, (place[:, 1] + 1) * side / 2, place[:, 2] + 2]), np.float32
        )
        depth = np.zeros((side, side), np.float32)
        ras.rasterise(screen, faces, sides, depth, np.empty((side, side), np.int32))
        column, row = np.clip(screen[:, :2].astype(int), 0, side - 1).T
        facing = normals @ z
        weight = np.maximum(facing, 0)
        # a surface seen aslant changes depth within one pixel of the map; the tolerance grows with that
        slack = 2.5 / side * (1 + 1.5 * np.sqrt(1 - np.minimum(weight, 1) ** 2))
        total += weight
        seen += weight * (depth[row, column] <= screen[:, 2] + slack)
    return (seen / np.maximum(total, 1e-9)).astype(np.float32)
