"""How far a mouth is open, on any mesh that has lips.

The two lips are compared where they touch at rest: in up to seven columns about the middle of the mouth, each upper-lip
vertex with the nearest vertex of the lower lip, of which the closest pairs are kept. A column's gap is the mean height
of its upper vertices over its lower ones, less the same of the template: 0 is a mouth as in the template, which is
taken to be closed, as neutral faces are; below 0 the lips are pressed or pass through each other. The opening is the
mean over the three middle columns. All of it is linear in the vertices, so no frame depends on another.

Upper and lower lip are regions of the protocol or of the topology. Where there is only "lips", they are the two pieces
into which the mesh falls between the corners of the mouth. On the shipped head its own measures
(`vultus.measures`: aperture_0 ... aperture_8) are used, which were made in the same way with interpolated vertices.

Letters: T frames, V vertices, C columns, P pairs. Lengths in the unit of the coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vultus.metrics.base import Region, Unavailable
from vultus.topology import Topology

COLUMNS = np.arange(-3, 4)
STEP = 0.08
"""Distance of the columns, in widths of the lips (4 mm on an adult): they end well inside the corners."""
REACH = 0.06
"""Half the width of a column, in widths of the lips (3 mm): even coarse meshes have a vertex of both lips in most."""
NEAR = 0.02
"""Pairs count whose distance is at most this share of the width above the smallest of their column (1 mm)."""
Y = 1


@dataclass(frozen=True, eq=False)
class Mouth:
    """The vertices between which a mouth opens.

    Attributes:
        up: index of the axis that points up in the face, and its sign.
        side: index of the axis from corner to corner.
        upper, lower: (P,) vertex numbers.
        column: (P,) which column a pair belongs to, 0 ... C - 1.
        middle: (C,) bool, the columns of the opening.
        width: of the lips.
    """

    up: tuple[int, float]
    side: int
    upper: np.ndarray
    lower: np.ndarray
    column: np.ndarray
    middle: np.ndarray
    width: float

    def gaps(self, vertices: np.ndarray, template: np.ndarray) -> np.ndarray:
        """(T, V, 3) -> (T, C) float64: gap of each column, 0 as in the template."""
        return self._over(vertices) - self._over(np.asarray(template)[None])

    def opening(self, vertices: np.ndarray, template: np.ndarray) -> np.ndarray:
        """(T, V, 3) -> (T,) float64: mean gap of the middle columns."""
        opening: np.ndarray = self.gaps(vertices, template)[:, self.middle].mean(1)
        return opening

    def lower_lip(self, vertices: np.ndarray, template: np.ndarray) -> np.ndarray:
        """(T, V, 3) -> (T, 2) float64: height and depth of the lower lip's rim in the middle, 0 as in the template."""
        rim = np.unique(self.lower[self.middle[self.column]])
        axes = [self.up[0], 3 - self.up[0] - self.side]
        moved = vertices[:, rim][..., axes].astype(np.float64).mean(1) - template[rim][:, axes].mean(0)
        return np.asarray(moved * [self.up[1], 1.0])

    def _height(self, vertices: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        axis, sign = self.up
        height: np.ndarray = sign * vertices[:, chosen, axis].astype(np.float64)
        return height

    def _over(self, vertices: np.ndarray) -> np.ndarray:
        gap = self._height(vertices, self.upper) - self._height(vertices, self.lower)
        one = self.column[:, None] == np.arange(len(self.middle))
        return np.asarray(gap @ (one / one.sum(0)))


def mouth_opening_curve(
    vertices: np.ndarray, template: np.ndarray, topology: Topology, regions: Mapping[str, Region]
) -> np.ndarray:
    """Opening of the mouth in each frame, for any topology; see the file's head.

    Args:
        vertices: (T, V, 3).
        template: (V, 3).
        topology: its triangles and regions are used where the protocol's regions do not tell the lips apart.
        regions: of the protocol, by name.

    Returns:
        (T,) float64 in the unit of the coordinates.

    Raises:
        Unavailable: the lips cannot be told apart.
    """
    return find_mouth(template, topology, regions).opening(vertices, template)


def find_mouth(template: np.ndarray, topology: Topology, regions: Mapping[str, Region]) -> Mouth:
    """The pairs of lip vertices; Unavailable where the lips cannot be told apart."""
    template = np.asarray(template, np.float64)
    names = ("upper_lip", "lower_lip", "upper_face")
    upper, lower, forehead = (_numbers(name, topology, regions) for name in names)
    if upper is None or lower is None:
        lips = _numbers("lips", topology, regions)
        if lips is None:
            raise Unavailable("no regions 'upper_lip' and 'lower_lip', and no region 'lips' to derive them from")
        up = _up(template, [(forehead, lips)])
        side, centre, width = _across(template, lips, up[0])
        upper, lower = _two_pieces(template, topology.faces, lips, side, up, centre, width)
    else:
        corners = np.intersect1d(upper, lower)
        lips = np.union1d(upper, lower)
        upper, lower = np.setdiff1d(upper, corners), np.setdiff1d(lower, corners)
        if not len(upper) or not len(lower):
            raise Unavailable("regions 'upper_lip' and 'lower_lip' hold the same vertices")
        up = _up(template, [(upper, lower), (forehead, lips)])
        side, centre, width = _across(template, lips, up[0])
    found: list[tuple[np.ndarray, np.ndarray, int]] = []
    for number in COLUMNS:
        a, b = (v[np.abs(template[v, side] - centre - number * STEP * width) <= REACH * width] for v in (upper, lower))
        if len(a) and len(b):
            distance = np.linalg.norm(template[a][:, None] - template[b][None], axis=2)
            nearest = distance.min(1)
            near = nearest <= nearest.min() + NEAR * width
            found.append((a[near], b[distance.argmin(1)[near]], int(number)))
    middle = np.array([abs(number) <= 1 for *_, number in found], bool)
    if not middle.any():
        raise Unavailable("the middle of the mouth holds no vertices of both lips")
    sizes = [len(a) for a, *_ in found]
    return Mouth(
        up,
        side,
        np.concatenate([a for a, *_ in found]),
        np.concatenate([b for _, b, _ in found]),
        np.repeat(np.arange(len(found)), sizes),
        middle,
        float(width),
    )


def _numbers(name: str, topology: Topology, regions: Mapping[str, Region]) -> np.ndarray | None:
    if name in regions:
        region = regions[name]
        chosen = region.vertices[region.members]
    elif name in topology.regions:
        chosen = topology.regions[name]
    else:
        return None
    return np.asarray(chosen, np.int64) if len(chosen) else None


def _up(template: np.ndarray, sets: Sequence[tuple[np.ndarray | None, np.ndarray]]) -> tuple[int, float]:
    """The axis along which the first of two sets lies above the other: +y by our convention, but files keep their own.

    Rims of closed lips alone may lie on one line; then the next two sets tell.
    """
    for above, below in sets:
        if above is not None:
            rise = template[above].mean(0) - template[below].mean(0)
            axis = int(np.abs(rise).argmax())
            if abs(rise[axis]) > 0.01 * np.ptp(template[below], axis=0).max():
                return axis, float(np.sign(rise[axis]))
    return Y, 1.0


def _across(template: np.ndarray, lips: np.ndarray, up: int) -> tuple[int, float, float]:
    """Axis from corner to corner, the middle on it and the width: of the two level axes the one that lips extend on."""
    low, high = template[lips].min(0), template[lips].max(0)
    extent = np.where(np.arange(3) == up, -1.0, high - low)
    side = int(extent.argmax())
    if extent[side] <= 0:
        raise Unavailable("the region of the lips has no width")
    return side, float(low[side] + high[side]) / 2, float(extent[side])


def _two_pieces(
    template: np.ndarray, faces: np.ndarray, lips: np.ndarray, side: int, up: tuple[int, float], centre: float,
    width: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Upper and lower lip: what the triangles hold together between the corners of the mouth."""
    inside = np.zeros(len(template), bool)
    inside[lips] = np.abs(template[lips, side] - centre) <= (COLUMNS[-1] + 0.5) * STEP * width
    kept = faces[inside[faces].all(1)] if len(faces) else np.zeros((0, 3), np.int64)
    label = np.arange(len(template))
    while len(kept):
        lowest = label[kept].min(1)
        before = label[kept].copy()
        for corner in range(3):
            np.minimum.at(label, kept[:, corner], lowest)
        if np.array_equal(label[kept], before):
            break
    used = np.unique(kept)
    names, sizes = np.unique(label[used], return_counts=True)
    order = np.argsort(-sizes, kind="stable")[:2]
    # Less than a tenth is a crumb of a mask, not a lip.
    if len(order) < 2 or sizes[order[1]] < 0.1 * sizes[order[0]]:
        raise Unavailable(
            "the region 'lips' does not fall into two lips between the corners of the mouth; give the regions "
            "'upper_lip' and 'lower_lip'"
        )
    pieces = [used[label[used] == names[k]] for k in order]
    axis, sign = up
    heights = [sign * template[piece, axis].mean() for piece in pieces]
    return (pieces[0], pieces[1]) if heights[0] > heights[1] else (pieces[1], pieces[0])
