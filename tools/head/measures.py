"""Lengths of the face that are linear in its vertices; docs/head.md says what each means."""

from __future__ import annotations

import numpy as np

from head.lids import Lids
from head.lips import LIP_CORNER, Lips
from head.mesh import SIDES, HeadMesh
from head.tongue import Tongue

Terms = list[tuple[int, int, float]]  # a measure is a sum of (vertex, axis, weight)
COLUMNS = (-0.88, -0.66, -0.44, -0.21, 0.0, 0.21, 0.44, 0.66, 0.88)  # from the subject's right corner to the left one


def between(high: int, low: int, axis: int) -> Terms:
    """How far a vertex is beyond another along an axis."""
    return [(high, axis, 1.0), (low, axis, -1.0)]


def find_measures(
    mesh: HeadMesh, lips: Lips, tongue: Tongue, lids: Lids, contacts: tuple[int, int], rest: np.ndarray
) -> dict[str, Terms]:
    """Name -> terms; `contacts` are the vertices of ridge and dome of the palate."""
    upper_tooth, lower_tooth = mesh.incisor("upper"), mesh.incisor("lower")
    corner = lips.loops[-1][LIP_CORNER], lips.loops[-1][38 - LIP_CORNER]
    up, low = int(lips.loops[-1][0]), int(lips.loops[-1][19])
    up_red, low_red = int(lips.loops[-4][0]), int(lips.loops[-2][19])
    for row in (-5, -4, -3, -2):
        if rest[lips.loops[row][0], 2] > rest[up_red, 2]:
            up_red = int(lips.loops[row][0])
        if rest[lips.loops[row][19], 2] > rest[low_red, 2]:
            low_red = int(lips.loops[row][19])
    ridge, dome = contacts
    measures = {f"aperture_{i}": lips.aperture(c) for i, c in enumerate(COLUMNS)}
    measures["aperture"] = [(v, a, w / 3) for c in COLUMNS[3:6] for v, a, w in lips.aperture(c)]
    measures["lip_width"] = between(int(corner[0]), int(corner[1]), 0)
    measures["upper_lip_protrusion"] = between(up_red, upper_tooth, 2)
    measures["lower_lip_protrusion"] = between(low_red, upper_tooth, 2)
    measures["lower_lip_to_upper_incisor"] = between(upper_tooth, low, 1)
    measures["lower_lip_to_upper_incisor_depth"] = between(low, upper_tooth, 2)
    measures["jaw_opening"] = between(upper_tooth, lower_tooth, 1)
    measures["upper_teeth_show"] = between(up, upper_tooth, 1)
    measures["lower_teeth_show"] = between(lower_tooth, low, 1)
    measures["tongue_tip_to_ridge"] = between(ridge, tongue.tip, 1)
    measures["tongue_tip_advance"] = between(tongue.tip, upper_tooth, 2)
    measures["tongue_dorsum_to_palate"] = between(dome, tongue.dorsum, 1)
    for side in SIDES:
        measures[f"eyelid_aperture_{side}"] = between(*lids.middle[side], 1)
    return measures
