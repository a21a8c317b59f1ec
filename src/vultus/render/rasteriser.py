"""The built-in software renderer's kernels: normals, projection, visibility, shading. No OpenGL, no GPU, one thread.

A frame is drawn in three steps, so that shading, the dear part, is paid once for most pixels:
    1. `rasterise` finds the nearest triangle at every sample (1 or 2 x 2 samples a pixel) and keeps its number;
    2. `shade` lights a pixel once where all its samples lie on one smooth surface, and each sample where they do not
       (outlines, lips against teeth), and averages those: a box filter that costs a third of real supersampling;
    3. `blend` lays the lashes over the result, with alpha, behind nothing that is nearer.

Importing this file compiles the kernels, or loads them from numba's disk cache (beside this file or in the user's cache
folder); where no folder can be written they are compiled anew by every process. Only .mp4 and .png import it.

Letters: V vertices, F triangles, H rows and W columns of the picture, N samples along a pixel's side, L lights,
M materials. Screen y points down; depth is 1 / distance from the camera, so the larger value is the nearer surface.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

#: Columns of a material row. Wrap softens the terminator of a colour channel (0 is Lambert), as light that travels
#: inside skin does, red the farthest. `gloss_power` is the number of squarings, so the exponent is 2 ** gloss_power.
WRAP_R, WRAP_G, WRAP_B, SPECULAR, GLOSS_POWER, EYE = range(6)
MATERIAL_COLUMNS = 6

#: Columns of a vertex attribute row: linear base colour, occlusion (1 open, 0 shut in) and opacity (neck fade).
RED, GREEN, BLUE, OCCLUSION, OPACITY = range(5)
ATTRIBUTE_COLUMNS = 5

#: Columns of an eye row: centre, gaze direction (unit), then cosines of the angles of pupil and iris seen from the
#: centre, then the iris colour.
EYE_COLUMNS = 11

CULL_BACK, TWO_SIDED = 0, 1

_NO_TRIANGLE = -1


def _compile(*signatures: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles for fixed types, with the disk cache where there is a place for it."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(list(signatures), cache=True, nogil=True, error_model="numpy")(function)
        except (RuntimeError, OSError):  # no cache folder can be written, or the disk is full
            return numba.njit(list(signatures), nogil=True, error_model="numpy")(function)

    return decorate


@_compile("void(f4[:,::1], i4[:,::1], f4[:,::1])")
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


@_compile("void(f4[:,::1], f4[::1], f4[:,::1], f4, f4, f4, f4[:,::1])")
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


@_compile("void(f4[:,::1], i4[:,::1], u1[::1], f4[:,::1], i4[:,::1])")
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
        first_column = max(0, int(math.ceil(min(x0, x1, x2) - 0.5)))
        last_column = min(width - 1, int(math.floor(max(x0, x1, x2) - 0.5)))
        first_row = max(0, int(math.ceil(min(y0, y1, y2) - 0.5)))
        last_row = min(height - 1, int(math.floor(max(y0, y1, y2) - 0.5)))
        if first_column > last_column or first_row > last_row:
            continue
        # edge functions e = ax x + ay y + a0, positive inside, `area` at the opposite corner
        ax, ay, a0 = y2 - y1, x1 - x2, x2 * y1 - x1 * y2
        bx, by, b0 = y0 - y2, x2 - x0, x0 * y2 - x2 * y0
        cx, cy, c0 = y1 - y0, x0 - x1, x1 * y0 - x0 * y1
        zx = (ax * z0 + bx * z1 + cx * z2) / area
        zy = (ay * z0 + by * z1 + cy * z2) / area
        zc = (a0 * z0 + b0 * z1 + c0 * z2) / area
        for row in range(first_row, last_row + 1):
            y = row + 0.5
            ea, eb, ec, z = ay * y + a0, by * y + b0, cy * y + c0, zy * y + zc
            for column in range(first_column, last_column + 1):
                x = column + 0.5
                if ax * x + ea >= 0 and bx * x + eb >= 0 and cx * x + ec >= 0:
                    here = np.float32(zx * x + z)
                    if here > depth[row, column]:
                        depth[row, column] = here
                        triangles[row, column] = f


@_compile("Tuple((f4, f4, f4))(f4[:,::1], i4, i4, i4, f4, f4)")
def _barycentric(screen: np.ndarray, a: int, b: int, c: int, x: float, y: float) -> tuple[float, float, float]:
    """Perspective-correct weights of a triangle's corners at a screen place, clamped to the triangle."""
    ux, uy = screen[a, 0] - screen[c, 0], screen[a, 1] - screen[c, 1]
    vx, vy = screen[b, 0] - screen[c, 0], screen[b, 1] - screen[c, 1]
    dx, dy = x - screen[c, 0], y - screen[c, 1]
    area = ux * vy - vx * uy
    if area == 0:
        third = np.float32(1 / 3)
        return third, third, third
    wa = max(np.float32(0), (dx * vy - vx * dy) / area)
    wb = max(np.float32(0), (ux * dy - dx * uy) / area)
    wc = max(np.float32(0), np.float32(1) - wa - wb)
    wa, wb, wc = wa * screen[a, 2], wb * screen[b, 2], wc * screen[c, 2]
    total = wa + wb + wc
    return wa / total, wb / total, wc / total


@_compile(
    "UniTuple(f4, 4)(i4, f4, f4, f4[:,::1], i4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], u1[::1],"
    " f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[::1])"
)
def _light(
    f: int,
    x: float,
    y: float,
    screen: np.ndarray,
    faces: np.ndarray,
    vertices: np.ndarray,
    normals: np.ndarray,
    attributes: np.ndarray,
    material_of: np.ndarray,
    materials: np.ndarray,
    lights: np.ndarray,
    ambient: np.ndarray,
    eyes: np.ndarray,
    camera: np.ndarray,
) -> tuple[float, float, float, float]:
    """Linear colour and opacity of triangle `f` at screen place (x, y)."""
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    wa, wb, wc = _barycentric(screen, a, b, c, x, y)
    m = material_of[f]

    px = wa * vertices[a, 0] + wb * vertices[b, 0] + wc * vertices[c, 0]
    py = wa * vertices[a, 1] + wb * vertices[b, 1] + wc * vertices[c, 1]
    pz = wa * vertices[a, 2] + wb * vertices[b, 2] + wc * vertices[c, 2]
    nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
    ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
    nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
    red = wa * attributes[a, RED] + wb * attributes[b, RED] + wc * attributes[c, RED]
    green = wa * attributes[a, GREEN] + wb * attributes[b, GREEN] + wc * attributes[c, GREEN]
    blue = wa * attributes[a, BLUE] + wb * attributes[b, BLUE] + wc * attributes[c, BLUE]
    open_ = wa * attributes[a, OCCLUSION] + wb * attributes[b, OCCLUSION] + wc * attributes[c, OCCLUSION]
    opacity = wa * attributes[a, OPACITY] + wb * attributes[b, OPACITY] + wc * attributes[c, OPACITY]

    vx, vy, vz = camera[0] - px, camera[1] - py, camera[2] - pz
    scale = np.float32(1) / math.sqrt(vx * vx + vy * vy + vz * vz + np.float32(1e-20))
    vx, vy, vz = vx * scale, vy * scale, vz * scale

    eye = int(materials[m, EYE])
    gloss_x, gloss_y, gloss_z = nx, ny, nz
    if eye >= 0:
        # The eyeball is a smooth ball whatever its mesh: normal and iris come from the direction from its centre.
        ex, ey, ez = px - eyes[eye, 0], py - eyes[eye, 1], pz - eyes[eye, 2]
        scale = np.float32(1) / math.sqrt(ex * ex + ey * ey + ez * ez + np.float32(1e-20))
        nx, ny, nz = ex * scale, ey * scale, ez * scale
        cosine = nx * eyes[eye, 3] + ny * eyes[eye, 4] + nz * eyes[eye, 5]
        pupil, iris = eyes[eye, 6], eyes[eye, 7]
        gloss_x, gloss_y, gloss_z = nx, ny, nz
        if cosine > iris - np.float32(0.05):
            # 0 outside, 1 inside, over a soft rim; the iris is brightest half-way, dark at rim and pupil
            inside = min(np.float32(1), max(np.float32(0), (cosine - iris) / np.float32(0.016) + np.float32(0.5)))
            hole = min(np.float32(1), max(np.float32(0), (cosine - pupil) / np.float32(0.005) + np.float32(0.5)))
            across = min(np.float32(1), max(np.float32(0), (cosine - iris) / (pupil - iris)))
            tone = np.float32(0.35) + np.float32(1.9) * across * (np.float32(1.25) - across)
            red += inside * (eyes[eye, 8] * tone - red)
            green += inside * (eyes[eye, 9] * tone - green)
            blue += inside * (eyes[eye, 10] * tone - blue)
            red += hole * (np.float32(0.004) - red)
            green += hole * (np.float32(0.004) - green)
            blue += hole * (np.float32(0.005) - blue)
            # the cornea bulges, so its highlight moves with the gaze
            bulge = inside * np.float32(0.35)
            gloss_x, gloss_y, gloss_z = nx - bulge * eyes[eye, 3], ny - bulge * eyes[eye, 4], nz - bulge * eyes[eye, 5]
    ux, uy = screen[b, 0] - screen[a, 0], screen[b, 1] - screen[a, 1]
    sx, sy = screen[c, 0] - screen[a, 0], screen[c, 1] - screen[a, 1]
    if sx * uy - ux * sy < 0:  # seen from behind; at outlines a front face's smooth normal may lean away unturned
        nx, ny, nz = -nx, -ny, -nz
        gloss_x, gloss_y, gloss_z = nx, ny, nz
    scale = np.float32(1) / math.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-20))
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    scale = np.float32(1) / math.sqrt(
        gloss_x * gloss_x + gloss_y * gloss_y + gloss_z * gloss_z + np.float32(1e-20)
    )
    gloss_x, gloss_y, gloss_z = gloss_x * scale, gloss_y * scale, gloss_z * scale

    up = np.float32(0.5) + np.float32(0.5) * ny
    # Light that reaches a crevice has bounced off skin: red survives best, so occlusion tints as it darkens.
    open_r = open_ * (np.float32(1.25) - np.float32(0.25) * open_)
    sum_r = open_r * (ambient[0] + up * (ambient[3] - ambient[0]))
    sum_g = open_ * (ambient[1] + up * (ambient[4] - ambient[1]))
    sum_b = open_ * (ambient[2] + up * (ambient[5] - ambient[2]))
    gloss_r, gloss_g, gloss_b = np.float32(0), np.float32(0), np.float32(0)
    wrap_r, wrap_g, wrap_b = materials[m, WRAP_R], materials[m, WRAP_G], materials[m, WRAP_B]
    strength = materials[m, SPECULAR]
    squarings = int(materials[m, GLOSS_POWER])
    direct = np.float32(0.45) + np.float32(0.55) * open_
    if open_ < np.float32(0.35):
        direct = direct * open_ / np.float32(0.35)
    grazing = np.float32(1) - max(np.float32(0), nx * vx + ny * vy + nz * vz)
    fresnel = np.float32(0.35) + np.float32(0.65) * grazing * grazing * grazing
    for k in range(lights.shape[0]):
        lx, ly, lz = lights[k, 0], lights[k, 1], lights[k, 2]
        facing = nx * lx + ny * ly + nz * lz
        if facing + wrap_r > 0:
            diffuse = (facing + wrap_r) / (1 + wrap_r)
            sum_r += direct * lights[k, 3] * diffuse * diffuse
            diffuse = max(np.float32(0), facing + wrap_g) / (1 + wrap_g)
            sum_g += direct * lights[k, 4] * diffuse * diffuse
            diffuse = max(np.float32(0), facing + wrap_b) / (1 + wrap_b)
            sum_b += direct * lights[k, 5] * diffuse * diffuse
        hx, hy, hz = lx + vx, ly + vy, lz + vz
        scale = np.float32(1) / math.sqrt(hx * hx + hy * hy + hz * hz + np.float32(1e-20))
        gloss = (gloss_x * hx + gloss_y * hy + gloss_z * hz) * scale
        if gloss > 0 and facing > -np.float32(0.1):
            for _ in range(squarings):
                gloss *= gloss
            gloss *= strength * fresnel * open_
            gloss_r += gloss * lights[k, 3]
            gloss_g += gloss * lights[k, 4]
            gloss_b += gloss * lights[k, 5]
    return (
        np.float32(red * sum_r + gloss_r),
        np.float32(green * sum_g + gloss_g),
        np.float32(blue * sum_b + gloss_b),
        np.float32(opacity),
    )


@_compile(
    "void(f4[:,::1], i4[:,::1], i8, f4[:,::1], i4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], u1[::1],"
    " f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[::1], f4[:,:,::1])"
)
def shade(
    depth: np.ndarray,
    triangles: np.ndarray,
    samples: int,
    screen: np.ndarray,
    faces: np.ndarray,
    vertices: np.ndarray,
    normals: np.ndarray,
    attributes: np.ndarray,
    material_of: np.ndarray,
    materials: np.ndarray,
    lights: np.ndarray,
    ambient: np.ndarray,
    eyes: np.ndarray,
    camera: np.ndarray,
    picture: np.ndarray,
) -> None:
    """Lights what `rasterise` found and averages the samples of each pixel over the background.

    Args:
        depth: (H * N, W * N) float32 from `rasterise`.
        triangles: (H * N, W * N) int32, -1 where nothing is.
        samples: N.
        screen: (V, 3) float32 from `project`.
        faces: (F, 3) int32.
        vertices: (V, 3) float32, places in the world.
        normals: (V, 3) float32.
        attributes: (V, ATTRIBUTE_COLUMNS) float32.
        material_of: (F,) uint8.
        materials: (M, MATERIAL_COLUMNS) float32.
        lights: (L, 6) float32, unit direction towards the light and linear colour.
        ambient: (6,) float32, linear colour from below and from above.
        eyes: (E, EYE_COLUMNS) float32.
        camera: (3,) float32 position.
        picture: (H, W, 3) float32 linear, holds the background, written.
    """
    height, width = picture.shape[0], picture.shape[1]
    share = np.float32(1) / np.float32(samples * samples)
    for row in range(height):
        top = row * samples
        for column in range(width):
            left = column * samples
            first = triangles[top, left]
            covered = 0
            near, far = np.float32(0), np.float32(1e30)
            same = True
            for i in range(samples):
                for j in range(samples):
                    f = triangles[top + i, left + j]
                    if f >= 0:
                        covered += 1
                        same = same and first >= 0 and material_of[f] == material_of[first]
                        near = max(near, depth[top + i, left + j])
                        far = min(far, depth[top + i, left + j])
            if covered == 0:
                continue
            red, green, blue = picture[row, column, 0], picture[row, column, 1], picture[row, column, 2]
            # One light for all samples where they lie on one surface: same material, depths within half a percent.
            if covered == samples * samples and same and near - far < np.float32(0.005) * near:
                r, g, b, alpha = _light(
                    first, np.float32(left + 0.5 * samples), np.float32(top + 0.5 * samples), screen, faces,
                    vertices, normals, attributes, material_of, materials, lights, ambient, eyes, camera,
                )  # fmt: skip
                picture[row, column, 0] = red + alpha * (r - red)
                picture[row, column, 1] = green + alpha * (g - green)
                picture[row, column, 2] = blue + alpha * (b - blue)
                continue
            sum_r, sum_g, sum_b = np.float32(0), np.float32(0), np.float32(0)
            for i in range(samples):
                for j in range(samples):
                    f = triangles[top + i, left + j]
                    if f < 0:
                        sum_r += red
                        sum_g += green
                        sum_b += blue
                        continue
                    r, g, b, alpha = _light(
                        f, np.float32(left + j + 0.5), np.float32(top + i + 0.5), screen, faces,
                        vertices, normals, attributes, material_of, materials, lights, ambient, eyes, camera,
                    )  # fmt: skip
                    sum_r += red + alpha * (r - red)
                    sum_g += green + alpha * (g - green)
                    sum_b += blue + alpha * (b - blue)
            picture[row, column, 0] = sum_r * share
            picture[row, column, 1] = sum_g * share
            picture[row, column, 2] = sum_b * share


@_compile("void(f4[:,::1], i4[:,::1], f4[:,::1], i8, f4[:,::1], f4[:,:,::1])")
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
        first_column = max(0, int(math.ceil(min(x0, x1, x2) - 0.5)))
        last_column = min(width - 1, int(math.floor(max(x0, x1, x2) - 0.5)))
        first_row = max(0, int(math.ceil(min(y0, y1, y2) - 0.5)))
        last_row = min(height - 1, int(math.floor(max(y0, y1, y2) - 0.5)))
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


@_compile("void(f4[:,:,::1], u1[::1], u1[:,:,::1])")
def encode(picture: np.ndarray, table: np.ndarray, pixels: np.ndarray) -> None:
    """Linear light to display bytes by a table over [0, 1].

    Args:
        picture: (H, W, 3) float32 linear; values above 1 are clipped.
        table: (n,) uint8, entry i for light i / (n - 1).
        pixels: (H, W, 3) uint8, written.
    """
    last = table.shape[0] - 1
    scale = np.float32(last)
    for row in range(picture.shape[0]):
        for column in range(picture.shape[1]):
            for k in range(3):
                index = int(picture[row, column, k] * scale + np.float32(0.5))
                pixels[row, column, k] = table[min(max(index, 0), last)]
