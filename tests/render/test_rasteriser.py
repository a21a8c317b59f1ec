"""The kernels against slow and obvious references."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vultus.render import rasteriser as ras


def slow_raster(screen: np.ndarray, faces: np.ndarray, sides: np.ndarray, height: int, width: int) -> tuple:
    """Every triangle against every sample, in float64; also which samples are too near an edge to tell."""
    depth, triangles = np.zeros((height, width)), np.full((height, width), -1)
    unsure = np.zeros((height, width), bool)
    y, x = np.mgrid[:height, :width] + 0.5
    for f, corners in enumerate(screen[faces].astype(np.float64)):
        (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = corners
        system = np.array([[x0, x1, x2], [y0, y1, y2], [1, 1, 1]])
        if abs(np.linalg.det(system)) < 1e-9:
            continue
        front = np.linalg.det(system) < 0  # y points down
        if not front and sides[f] == ras.CULL_BACK:
            continue
        weights = np.einsum("ij,jhw->ihw", np.linalg.inv(system), np.stack([x, y, np.ones_like(x)]))
        z = weights[0] * z0 + weights[1] * z1 + weights[2] * z2
        unsure |= (abs(weights).min(0) < 1e-9) & (weights > -1e-9).all(0)
        inside = (weights >= 0).all(0) & (z > depth)
        unsure |= (weights >= 0).all(0) & (abs(z - depth) < 1e-6)
        depth[inside], triangles[inside] = z[inside], f
    return depth, triangles, unsure


def fast_raster(screen: np.ndarray, faces: np.ndarray, sides: np.ndarray, height: int, width: int) -> tuple:
    depth, triangles = np.zeros((height, width), np.float32), np.full((height, width), -1, np.int32)
    ras.rasterise(screen, faces, sides, depth, triangles)
    return depth, triangles


@pytest.mark.parametrize("seed", range(6))
def test_random_triangles_cover_what_a_slow_reference_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    place, reach = rng.uniform(-10, 50, (30, 1, 2)), 10 ** rng.uniform(-0.3, 1.6, (30, 1, 1))
    corners = np.concatenate([place + rng.normal(0, 1, (30, 3, 2)) * reach, rng.uniform(0.5, 2, (30, 3, 1))], 2)
    screen = np.ascontiguousarray(corners.reshape(90, 3), np.float32)
    faces = np.arange(90, dtype=np.int32).reshape(30, 3)
    sides = rng.integers(0, 2, 30).astype(np.uint8)
    want_depth, want, unsure = slow_raster(screen, faces, sides, 40, 36)
    depth, found = fast_raster(screen, faces, sides, 40, 36)
    assert (want >= 0).sum() > 100
    assert unsure.mean() < 0.05
    np.testing.assert_array_equal(found[~unsure], want[~unsure])
    np.testing.assert_allclose(depth, want_depth, rtol=1e-5, atol=1e-5)


def test_a_sample_on_an_edge_or_corner_is_covered() -> None:
    screen = np.array([[1.5, 1.5, 1], [1.5, 3.5, 1], [4.5, 1.5, 1]], np.float32)
    _, found = fast_raster(screen, np.array([[0, 1, 2]], np.int32), np.zeros(1, np.uint8), 6, 6)
    expected = np.full((6, 6), -1)
    expected[1, 1:5] = 0  # the row of the upper edge
    expected[2, 1:3] = 0  # the slanted edge crosses x = 3 at y = 2.5
    expected[3, 1] = 0
    np.testing.assert_array_equal(found, expected)


def test_a_fan_has_no_cracks() -> None:
    rng = np.random.default_rng(3)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 57))
    rim = np.stack([32 + 300 * np.cos(angles), 32 - 300 * np.sin(angles), np.ones(57)], 1)
    screen = np.ascontiguousarray(np.concatenate([[[31.7, 32.1, 1]], rim]), np.float32)
    faces = np.array([[0, 1 + i, 1 + (i + 1) % 57] for i in range(57)], np.int32)
    _, found = fast_raster(screen, faces, np.zeros(57, np.uint8), 64, 64)
    assert (found >= 0).all()


def test_the_nearer_surface_wins_in_either_order() -> None:
    near = [[1, 1, 2], [1, 30, 2], [30, 1, 2]]
    far = [[0, 0, 1], [0, 40, 1], [40, 0, 1]]
    for corners, winner in ((near + far, 0), (far + near, 1)):
        screen = np.array(corners, np.float32)
        _, found = fast_raster(screen, np.arange(6, dtype=np.int32).reshape(2, 3), np.zeros(2, np.uint8), 32, 32)
        assert found[5, 5] == winner


def test_back_faces_are_drawn_only_where_asked() -> None:
    screen = np.array([[1, 1, 1], [9, 1, 1], [1, 9, 1]], np.float32)  # clockwise on the screen as y points down
    faces = np.array([[0, 1, 2]], np.int32)
    for sides, drawn in ((ras.CULL_BACK, False), (ras.TWO_SIDED, True)):
        _, found = fast_raster(screen, faces, np.array([sides], np.uint8), 12, 12)
        assert (found >= 0).any() == drawn


def test_what_is_behind_the_camera_is_left_out() -> None:
    vertices = np.array([[0, 0, 2], [1, 0, 0], [0, 1, 0]], np.float32)
    screen = np.empty_like(vertices)
    axes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, -1]], np.float32)
    ras.project(vertices, np.array([0, 0, 1], np.float32), axes, 10.0, 8.0, 8.0, screen)
    np.testing.assert_allclose(screen, [[0, 0, 0], [18, 8, 1], [8, -2, 1]])
    _, found = fast_raster(screen, np.array([[0, 1, 2]], np.int32), np.ones(1, np.uint8), 16, 16)
    assert (found == -1).all()


def test_normals_of_a_cube_corner_and_of_an_unused_vertex() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [5, 5, 5]], np.float32)
    faces = np.array([[0, 2, 1], [0, 3, 2], [0, 1, 3]], np.int32)  # seen from below, left and behind
    normals = np.empty_like(vertices)
    ras.vertex_normals(vertices, faces, normals)
    np.testing.assert_allclose(normals[0], -np.ones(3) / 3**0.5, atol=1e-6)
    np.testing.assert_allclose(normals[1], [0, -(0.5**0.5), -(0.5**0.5)], atol=1e-6)
    np.testing.assert_array_equal(normals[4], 0)


def test_normals_weigh_by_area() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(12, 3)).astype(np.float32)
    faces = rng.permuted(np.tile(np.arange(12), (9, 1)), axis=1)[:, :3].astype(np.int32)
    expected = np.zeros((12, 3))
    for a, b, c in faces:
        for i in (a, b, c):
            expected[i] += np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    normals = np.empty_like(vertices)
    ras.vertex_normals(vertices, faces, normals)
    np.testing.assert_allclose(normals, expected, atol=1e-5)


def test_blend_covers_by_share_of_samples_and_hides_behind_the_nearer() -> None:
    # a square of 2 x 2 pixels at 2 x 2 samples, black with alpha 0.5 over white; the right half lies behind a wall
    screen = np.array([[0, 0, 1], [0, 4, 1], [4, 0, 1], [4, 4, 1]], np.float32)
    screen[:, :2] += np.float32(1e-3)  # no sample on an edge, where both triangles would blend
    faces = np.array([[0, 1, 2], [3, 2, 1]], np.int32)
    colours = np.tile(np.array([0, 0, 0, 0.5], np.float32), (4, 1))
    depth = np.zeros((4, 4), np.float32)
    depth[:, 2:] = 2
    picture = np.ones((2, 2, 3), np.float32)
    ras.blend(screen, faces, depth, 2, colours, picture)
    np.testing.assert_allclose(picture[:, 0], (1 - 0.5 / 4) ** 4, atol=1e-6)
    np.testing.assert_array_equal(picture[:, 1], 1)


def test_works_where_no_cache_folder_can_be_written() -> None:
    source = Path(ras.__file__)
    script = (
        "import numba.core.dispatcher as c\n"
        "def refuse(*a, **k): raise RuntimeError('cannot cache function: no locator available')\n"
        "c.FunctionCache = refuse\n"
        "import numpy as np\n"
        f"import importlib.util as u; s = u.spec_from_file_location('plain', {str(source)!r})\n"
        "m = u.module_from_spec(s); s.loader.exec_module(m)\n"
        "n = np.empty((3, 3), np.float32)\n"
        "m.vertex_normals(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32), n)\n"
        "assert abs(n - 3 ** -0.5).max() < 1e-6\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
