"""Base colours, linear RGB in [0, 1], painted by rule; only the red of the lips is the source's (its mask)."""

from __future__ import annotations

import numpy as np

from head.eyes import EYE_RINGS, rings_of_eyeball
from head.geometry import smoothstep
from head.lids import Eyes, Lids
from head.lips import Lips
from head.mesh import JAWS, SIDES, HeadMesh

SKIN = (0.62, 0.375, 0.285)
FLUSH = (0.6, 0.27, 0.21)
LIP = (0.47, 0.19, 0.165)
BROW = (0.1, 0.06, 0.04)
LASH = (0.05, 0.035, 0.03)
MOUTH, THROAT = (0.16, 0.045, 0.04), (0.03, 0.01, 0.01)
TONGUE, TONGUE_ROOT = (0.5, 0.17, 0.16), (0.12, 0.03, 0.03)
PALATE, PALATE_BACK = (0.36, 0.13, 0.12), (0.06, 0.02, 0.02)
TEETH = ((0.42, 0.15, 0.14), (0.78, 0.73, 0.62), (0.55, 0.47, 0.37))  # gum, enamel, the gap between two teeth
SCLERA, SCLERA_BACK = (0.72, 0.69, 0.66), (0.5, 0.3, 0.26)
# Colour of each ring of an eyeball, from the pole: pupil, edge of the iris, iris, limbus, white.
IRIS = ((0.006,) * 3, (0.006,) * 3, (0.008,) * 3, (0.1, 0.055, 0.025), (0.13, 0.075, 0.035), (0.09, 0.05, 0.025),
        (0.03, 0.02, 0.015))  # fmt: skip


def blend(colours: np.ndarray, rows: np.ndarray, colour: tuple[float, ...], amount: np.ndarray | float) -> None:
    """Mixes a colour into those of the rows, in place."""
    amount = np.broadcast_to(np.asarray(amount, float), rows.shape)[:, None]
    colours[rows] = colours[rows] * (1 - amount) + np.array(colour) * amount


def paint(mesh: HeadMesh, lips: Lips, eyes: Eyes, lids: Lids, rest: np.ndarray, lip_mask: np.ndarray) -> np.ndarray:
    """(V, 3) colours; `lip_mask` is the red of the lips at the vertices of the body, in [0, 1]."""
    colours = np.tile(np.array(SKIN), (len(rest), 1))
    paint_skin(colours, mesh, eyes, lids, rest)
    paint_lips_and_cavity(colours, mesh, lips, rest, lip_mask)
    paint_tongue_and_teeth(colours, mesh, rest)
    paint_eyes(colours, mesh)
    return np.clip(colours, 0, 1)


def paint_skin(colours: np.ndarray, mesh: HeadMesh, eyes: Eyes, lids: Lids, rest: np.ndarray) -> None:
    """Cheeks, nose and ears are a little redder; brows, and the rims of the lids."""
    body = mesh.part_vertices("body")
    p = rest[body]
    for x, y, z, size, amount in (
        (0.45, 6.85, 1.2, 0.3, 0.25),
        (0.0, 6.93, 1.65, 0.16, 0.25),
        (0.75, 7.1, 0.1, 0.3, 0.3),
    ):
        far = (np.abs(p[:, 0]) - x) ** 2 + (p[:, 1] - y) ** 2 + (p[:, 2] - z) ** 2
        blend(colours, body, FLUSH, amount * np.exp(-far / size**2))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        cx, cy, _ = eyes.centre[side]
        along = sign * (p[:, 0] - cx)  # from the nose outwards
        height = (
            cy + 0.225 + 0.05 * np.clip((along + 0.2) / 0.35, 0, 1) - 0.09 * np.clip((along - 0.14) / 0.2, 0, 1.3) ** 2
        )
        thick = 0.042 - 0.022 * np.clip((along + 0.05) / 0.3, 0, 1)
        inside = smoothstep(along, -0.2, -0.13) * (1 - smoothstep(along, 0.2, 0.3)) * (p[:, 2] > 0.8)
        blend(colours, body, BROW, 0.8 * inside * np.exp(-(((p[:, 1] - height) / thick) ** 2)))
        blend(colours, lids.rim[side], LASH, 0.45)


def paint_lips_and_cavity(
    colours: np.ndarray, mesh: HeadMesh, lips: Lips, rest: np.ndarray, lip_mask: np.ndarray
) -> None:
    """The red of the lips, dark where they meet, and the mouth behind them, darker towards the throat."""
    blend(colours, mesh.part_vertices("body"), LIP, 0.8 * smoothstep(lip_mask, 0.25, 0.9))
    for row, amount, shade in ((-3, 0.5, 1.0), (-2, 0.8, 1.0), (-1, 1.0, 0.8), (0, 1.0, 0.45)):
        blend(colours, lips.loops[row], tuple(shade * np.array(LIP)), amount)
    cavity = np.setdiff1d(mesh.triangle_vertices("mouth_inner"), lips.loops[0])
    blend(colours, cavity, MOUTH, 1.0)
    blend(colours, cavity, THROAT, smoothstep(-rest[cavity, 2], -1.5, -1.3))
    for row, amount in ((1, 0.7), (2, 0.35)):
        blend(colours, lips.loops[row], tuple(0.45 * np.array(LIP)), amount)


def paint_tongue_and_teeth(colours: np.ndarray, mesh: HeadMesh, rest: np.ndarray) -> None:
    """All darker towards the back of the mouth."""
    tongue = mesh.part_vertices("tongue")
    colours[tongue] = TONGUE
    z = rest[tongue, 2]
    blend(colours, tongue, TONGUE_ROOT, 1 - smoothstep(z, z.max() - 0.45, z.max() - 0.02))
    palate = mesh.part_vertices("palate")
    colours[palate] = PALATE
    z = rest[palate, 2]
    blend(colours, palate, PALATE_BACK, 1 - smoothstep(z, z.max() - 0.35, z.max()))
    for jaw in JAWS:
        rows, (kind, far) = mesh.part_vertices(f"teeth_{jaw}"), mesh.teeth_kind[jaw].T
        colours[rows] = np.array(TEETH)[kind.astype(int)]
        # Cheeks shade the back teeth; without a shadow of their own they would be the brightest thing in the corner.
        colours[rows] *= (1 - 0.85 * smoothstep(far, 0.3, 0.85))[:, None]


def paint_eyes(colours: np.ndarray, mesh: HeadMesh) -> None:
    """Rings of pupil, iris and white; lashes."""
    ring = rings_of_eyeball()
    for side in SIDES:
        rows = mesh.part_vertices(f"eye_{side}")
        colours[rows] = SCLERA
        for i, colour in enumerate(IRIS):
            colours[rows[ring == i]] = colour
        blend(colours, rows[ring >= len(EYE_RINGS) - 2], SCLERA_BACK, 0.6)
    colours[mesh.part_vertices("lashes")] = LASH
