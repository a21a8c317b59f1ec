"""Kernels of the built-in software renderer, first half: where things are. No OpenGL, no GPU, one thread.

A frame is drawn in three steps, so that lighting, the dear part, is paid once for most pixels:
    1. `rasterise` finds the nearest triangle at every sample (1 or 2 x 2 samples a pixel) and keeps its number;
    2. `shading.shade` lights a pixel once where all its samples lie on one smooth surface, and each sample where they
       do not (outlines, lips against teeth), and averages those: supersampling for little more than plain drawing;
    3. `blend` lays the lashes over the result, with alpha, wherever nothing solid is nearer.

Importing these files compiles the kernels, or loads them from numba's disk cache (beside the files or in the user's
cache folder); where no folder can be written every process compiles anew. Only .mp4 and .png import them.

Letters: V vertices, F triangles, H rows and W columns of the picture, N samples along a pixel's side. Screen y points
down; depth is 1 / distance from the camera, so the larger value is the nearer surface.
"""

from __future__ import annotations

import math

import numpy as np

from vultus.compiling import compiled

CULL_BACK, TWO_SIDED = 0, 1


@compiled("void(f4[:,::1], i4[:,::1], f4[:,::1])")
def vertex_normals(vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> None:
    """Unit normals, the mean over a vertex's triangles weighed by area.

    Args:
        vertices: (V, 3) float32.
        faces: (F, 3) int32, counter-clockwise from outside.
        normals: (V, 3) float32, written; zero where a vertex has no triangle.
    """
    normals[:] = 0
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in range(3):
            i = faces[f, k]
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    for i in range(normals.shape[0]):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        length = math.sqrt(x * x + y * y + z * z)
        if length > 0:
            normals[i, 0] = x / length
            normals[i, 1] = y / length
            normals[i, 2] = z / length


@compiled("void(f4[:,::1], f4[::1], f4[:,::1], f4, f4, f4, f4[:,::1])")
def project(
    vertices: np.ndarray,
    eye: np.ndarray,
    axes: np.ndarray,
    focal: float,
    centre_x: float,
    centre_y: float,
    screen: np.ndarray,
) -> None:
    """Perspective projection.

    Args:
        vertices: (V, 3) float32.
        eye: (3,) camera position.
        axes: (3, 3) rows right, up and forward of the camera, unit vectors.
        focal: samples at distance 1.
        centre_x: screen place of the optical axis, samples.
        centre_y: the same, downward.
        screen: (V, 3) float32, written: x, y in samples and 1 / distance (0 where behind the camera).
    """
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0] - eye[0], vertices[i, 1] - eye[1], vertices[i, 2] - eye[2]
        depth = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
        if depth > 1e-6:
            inverse = 1 / depth
            screen[i, 0] = centre_x + focal * inverse * (axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z)
            screen[i, 1] = centre_y - focal * inverse * (axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z)
            screen[i, 2] = inverse
        else:
            screen[i, 0] = 0
            screen[i, 1] = 0
            screen[i, 2] = 0


@compiled("void(f4[:,::1], i4[:,::1], u1[::1], f4[:,::1], i4[:,::1])")
def rasterise(
    screen: np.ndarray, faces: np.ndarray, sides: np.ndarray, depth: np.ndarray, triangles: np.ndarray
) -> None:
    """Nearest triangle at each sample. Samples stand at (column + 0.5, row + 0.5).

    A sample on an edge belongs to both neighbours (so no crack can open) and the first one drawn keeps it.

    Args:
        screen: (V, 3) float32 from `project`.
        faces: (F, 3) int32.
        sides: (F,) uint8, CULL_BACK or TWO_SIDED.
        depth: (H, W) float32, updated; 0 is infinitely far.
        triangles: (H, W) int32, updated.
    """
    height, width = depth.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        # float64 makes products of float32 exact, so that two triangles agree about the edge that they share
        x0, y0, z0 = np.float64(screen[a, 0]), np.float64(screen[a, 1]), np.float64(screen[a, 2])
        x1, y1, z1 = np.float64(screen[b, 0]), np.float64(screen[b, 1]), np.float64(screen[b, 2])
        x2, y2, z2 = np.float64(screen[c, 0]), np.float64(screen[c, 1]), np.float64(screen[c, 2])
        if z0 <= 0 or z1 <= 0 or z2 <= 0:
            continue
        area = (x2 - x0) * (y1 - y0) - (x1 - x0) * (y2 - y0)  # positive for a front face, as y points down
        if area == 0 or (area < 0 and sides[f] == CULL_BACK):
            continue
        if area < 0:
            x1, y1, z1, x2, y2, z2 = x2, y2, z2, x1, y1, z1
            area = -area
        first_column = max(0, math.ceil(min(x0, x1, x2) - 0.5))
        last_column = min(width - 1, math.floor(max(x0, x1, x2) - 0.5))
        first_row = max(0, math.ceil(min(y0, y1, y2) - 0.5))
        last_row = min(height - 1, math.floor(max(y0, y1, y2) - 0.5))
        if first_column > last_column or first_row > last_row:
            continue
        # edge functions e = ax x + ay y + a0, positive inside, `area` at the opposite corner
        ax, ay, a0 = y2 - y1, x1 - x2, x2 * y1 - x1 * y2
        bx, by, b0 = y0 - y2, x2 - x0, x0 * y2 - x2 * y0
        cx, cy, c0 = y1 - y0, x0 - x1, x1 * y0 - x0 * y1
        ra, rb, rc = 1 / ax, 1 / bx, 1 / cx  # infinite where unused
        zx = (ax * z0 + bx * z1 + cx * z2) / area
        zy = (ay * z0 + by * z1 + cy * z2) / area
        zc = (a0 * z0 + b0 * z1 + c0 * z2) / area
        for row in range(first_row, last_row + 1):
            y = row + 0.5
            ea, eb, ec, z = ay * y + a0, by * y + b0, cy * y + c0, zy * y + zc
            # Most samples of the bounding box lie outside: solve each edge for its column, with a sample to spare,
            # and leave the exact decision to the test below.
            left, right = np.float64(first_column), np.float64(last_column)
            if ax > 0:
                left = max(left, -ea * ra - 1.5)
            elif ax < 0:
                right = min(right, -ea * ra + 0.5)
            if bx > 0:
                left = max(left, -eb * rb - 1.5)
            elif bx < 0:
                right = min(right, -eb * rb + 0.5)
            if cx > 0:
                left = max(left, -ec * rc - 1.5)
            elif cx < 0:
                right = min(right, -ec * rc + 0.5)
            for column in range(int(left), int(right) + 1):
                x = column + 0.5
                if ax * x + ea >= 0 and bx * x + eb >= 0 and cx * x + ec >= 0:
                    here = np.float32(zx * x + z)
                    if here > depth[row, column]:
                        depth[row, column] = here
                        triangles[row, column] = f


@compiled("void(f4[:,::1], i4[:,::1], f4[:,::1], i8, f4[:,::1], f4[:,:,::1])")
def blend(
    screen: np.ndarray,
    faces: np.ndarray,
    depth: np.ndarray,
    samples: int,
    colours: np.ndarray,
    picture: np.ndarray,
) -> None:
    """Lays see-through triangles (lashes) over a shaded picture, both sides, unlit, in the order given.

    Args:
        screen: (V, 3) float32 from `project`.
        faces: (F, 3) int32 triangles to lay over.
        depth: (H * N, W * N) float32 of the solid surfaces; not changed.
        samples: N.
        colours: (V, 4) float32, linear colour and alpha.
        picture: (H, W, 3) float32 linear, updated.
    """
    height, width = depth.shape
    share = 1.0 / (samples * samples)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, z0 = np.float64(screen[a, 0]), np.float64(screen[a, 1]), np.float64(screen[a, 2])
        x1, y1, z1 = np.float64(screen[b, 0]), np.float64(screen[b, 1]), np.float64(screen[b, 2])
        x2, y2, z2 = np.float64(screen[c, 0]), np.float64(screen[c, 1]), np.float64(screen[c, 2])
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0 or z0 <= 0 or z1 <= 0 or z2 <= 0:
            continue
        first_column = max(0, math.ceil(min(x0, x1, x2) - 0.5))
        last_column = min(width - 1, math.floor(max(x0, x1, x2) - 0.5))
        first_row = max(0, math.ceil(min(y0, y1, y2) - 0.5))
        last_row = min(height - 1, math.floor(max(y0, y1, y2) - 0.5))
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                x, y = column + 0.5, row + 0.5
                wa = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
                wb = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
                wc = 1 - wa - wb
                if wa < 0 or wb < 0 or wc < 0 or wa * z0 + wb * z1 + wc * z2 <= depth[row, column]:
                    continue
                alpha = (wa * colours[a, 3] + wb * colours[b, 3] + wc * colours[c, 3]) * share
                i, j = row // samples, column // samples
                for k in range(3):
                    colour = wa * colours[a, k] + wb * colours[b, k] + wc * colours[c, k]
                    picture[i, j, k] += np.float32(alpha * (colour - picture[i, j, k]))
