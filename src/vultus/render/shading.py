"""Kernels of the built-in software renderer, second half: what things look like.

Letters: V vertices, F triangles, H rows and W columns of the picture, N samples along a pixel's side, L lights,
M materials, E eyes. Colours are linear light until `encode`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vultus.compiling import compiled

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

#: Freedom for colours, where a last bit does not matter. Never for `rasterise`: fused products would open cracks.
_LOOSE = {"contract", "arcp", "nsz", "reassoc"}


@compiled("UniTuple(f4, 3)(f4[:,::1], i4, i4, i4, f4, f4)", forceinline=True)
def _barycentric(screen: np.ndarray, a: int, b: int, c: int, x: float, y: float) -> Any:
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


@compiled(
    "UniTuple(f4, 4)(i4, f4, f4, f4[:,::1], i4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], u1[::1],"
    " f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[::1])",
    forceinline=True,
    fastmath=_LOOSE,
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
) -> Any:
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
    scale = np.float32(1) / math.sqrt(gloss_x * gloss_x + gloss_y * gloss_y + gloss_z * gloss_z + np.float32(1e-20))
    gloss_x, gloss_y, gloss_z = gloss_x * scale, gloss_y * scale, gloss_z * scale

    up = np.float32(0.5) + np.float32(0.5) * ny
    # Light that reaches a crevice has bounced off skin: red survives best, so occlusion tints as it darkens.
    open_r = open_ * (np.float32(1.25) - np.float32(0.25) * open_)
    sum_r = open_r * (ambient[0] + up * (ambient[3] - ambient[0]))
    sum_g = open_ * (ambient[1] + up * (ambient[4] - ambient[1]))
    sum_b = open_ * (ambient[2] + up * (ambient[5] - ambient[2]))
    gloss_r, gloss_g, gloss_b = np.float32(0), np.float32(0), np.float32(0)
    strength = materials[m, SPECULAR]
    squarings = int(materials[m, GLOSS_POWER])
    direct = np.float32(0.45) + np.float32(0.55) * open_
    if open_ < np.float32(0.35):
        direct = direct * open_ / np.float32(0.35)
    facing_camera = nx * vx + ny * vy + nz * vz
    grazing = np.float32(1) - max(np.float32(0), facing_camera)
    fresnel = (np.float32(0.35) + np.float32(0.65) * grazing * grazing * grazing) * strength * open_
    twice = np.float32(2) * (gloss_x * vx + gloss_y * vy + gloss_z * vz)
    mirror_x, mirror_y, mirror_z = twice * gloss_x - vx, twice * gloss_y - vy, twice * gloss_z - vz
    wrap_r, wrap_g, wrap_b = materials[m, WRAP_R], materials[m, WRAP_G], materials[m, WRAP_B]
    scale_r = direct / ((np.float32(1) + wrap_r) * (np.float32(1) + wrap_r))
    scale_g = direct / ((np.float32(1) + wrap_g) * (np.float32(1) + wrap_g))
    scale_b = direct / ((np.float32(1) + wrap_b) * (np.float32(1) + wrap_b))
    for k in range(lights.shape[0]):
        lx, ly, lz = lights[k, 0], lights[k, 1], lights[k, 2]
        facing = nx * lx + ny * ly + nz * lz
        if facing <= -wrap_r:
            continue
        diffuse_r = facing + wrap_r
        diffuse_g = max(np.float32(0), facing + wrap_g)
        diffuse_b = max(np.float32(0), facing + wrap_b)
        sum_r += scale_r * lights[k, 3] * diffuse_r * diffuse_r
        sum_g += scale_g * lights[k, 4] * diffuse_g * diffuse_g
        sum_b += scale_b * lights[k, 5] * diffuse_b * diffuse_b
        gloss = mirror_x * lx + mirror_y * ly + mirror_z * lz
        if gloss > 0 and facing > -np.float32(0.1):
            for _ in range(squarings):
                gloss *= gloss
            gloss *= fresnel
            gloss_r += gloss * lights[k, 3]
            gloss_g += gloss * lights[k, 4]
            gloss_b += gloss * lights[k, 5]
    return (
        np.float32(red * sum_r + gloss_r),
        np.float32(green * sum_g + gloss_g),
        np.float32(blue * sum_b + gloss_b),
        np.float32(opacity),
    )


@compiled(
    "void(f4[:,::1], i4[:,::1], i8, f4[:,::1], i4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], u1[::1],"
    " f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[::1], f4[:,:,::1])",
    fastmath=_LOOSE,
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


@compiled("void(f4[:,:,::1], u1[::1], u1[:,:,::1])")
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
