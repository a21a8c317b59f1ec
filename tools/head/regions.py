"""The named vertex sets of docs/head.md."""

from __future__ import annotations

import numpy as np

from head.lids import Eyes
from head.lips import LIP_CORNER, Lips
from head.mesh import JAWS, SIDES, HeadMesh

NOSE_TIP, CHIN = 6.93, 6.05  # heights, decimetres


def find_regions(
    mesh: HeadMesh, lips: Lips, eyes: Eyes, rest: np.ndarray, shapes: dict[str, np.ndarray], lip_mask: np.ndarray
) -> dict[str, np.ndarray]:
    """Name -> vertices, int32; `lip_mask` is the red of the lips at the vertices of the body, in [0, 1]."""
    skin = np.zeros(len(rest), bool)
    skin[mesh.triangle_vertices("skin")] = True
    red = np.zeros(len(rest), bool)
    red[mesh.part_vertices("body")] = lip_mask > 0.5
    loops = np.zeros(len(rest), bool)
    loops[np.concatenate([lips.loops[row] for row in range(-3, 1)])] = True
    in_lips = (red & skin) | loops
    is_upper, is_lower = sides_of_lip_line(lips, rest)
    eye_y = (eyes.centre["left"] + eyes.centre["right"])[1] / 2
    front = skin & (rest[:, 2] > 0.35)
    jaw = np.linalg.norm(shapes["jawOpen"], axis=1)
    blink = np.maximum(*(np.linalg.norm(shapes[f"eyeBlink{s}"], axis=1) for s in ("Left", "Right")))
    near_eye = np.minimum(*(np.linalg.norm(rest - c, axis=1) for c in eyes.centre.values())) < 1.7 * eyes.radius
    chosen = {
        "lips": in_lips,
        "upper_lip": in_lips & is_upper,
        "lower_lip": in_lips & is_lower,
        "upper_face": front & (rest[:, 1] > eye_y - 0.25),
        "lower_face": front & (rest[:, 1] < NOSE_TIP) & (rest[:, 1] > CHIN),
        "eyelids": skin & near_eye & (blink > 0.01),
        "jaw": skin & (jaw > 0.35 * jaw.max()),
    }
    regions = {name: np.flatnonzero(inside) for name, inside in chosen.items()}
    regions["tongue"] = mesh.part_vertices("tongue")
    regions["teeth"] = np.concatenate([mesh.part_vertices(f"teeth_{jaw}") for jaw in JAWS])
    regions["eyes"] = np.concatenate([mesh.part_vertices(f"eye_{side}") for side in SIDES])
    return {name: vertices.astype(np.int32) for name, vertices in regions.items()}


def sides_of_lip_line(lips: Lips, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V,) above the line where the lips meet, (V,) below it; the corners are in both."""
    half = lips.loops[0][lips.UPPER]
    corner = rest[lips.loops[0][LIP_CORNER], 0]
    line = np.interp(rest[:, 0] / corner, lips.place[0][lips.UPPER], rest[half, 1])
    is_upper, is_lower = rest[:, 1] >= line, rest[:, 1] <= line
    for loop in lips.loops.values():  # by the mesh where it tells: the lips' contact is not level
        is_upper[loop], is_lower[loop] = False, False
        is_upper[loop[lips.UPPER]] = True
        is_lower[loop[lips.LOWER]] = True
    return is_upper, is_lower
