"""Lips: they touch at rest, and stay together where a shape says so."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from head.body import LIP_LOOPS
from head.mesh import HeadMesh

LIP_HALF_GAP = 0.00033  # decimetres: the lips rest 0.066 mm apart
LIP_DROP = 0.014  # decimetres
LIP_CORNER = 12  # place of the left corner in each loop; the right one stands at 38 - 12
# How far a correction of the lip line is carried to the loops around it.
LIP_FALLOFF = {-5: 0.04, -4: 0.12, -3: 0.3, -2: 0.6, -1: 1.0, 0: 1.0, 1: 0.7, 2: 0.35, 3: 0.12}
INCISOR_SHOW = 0.022  # the upper front teeth end 2.2 mm below the lip line (decimetres)
LABIAL = 0.022  # from the inside of the lips back to the biting edge


class Lips:
    """The loops around the mouth, and the operation that lets upper and lower lip move alike where they touch.

    Loops -1 and 0 of both lips lie on one curve, the lip line. A field on the vertices (rest heights, or the offsets of
    a shape) is "zipped" by giving all four the same values along the line and handing the change on to the loops
    around, less and less. Zipping is linear, so whatever is made of zipped fields is closed.
    """

    UPPER: ClassVar = [*range(26, 38), *range(0, 13)]  # places in a loop, from the right corner to the left one
    LOWER: ClassVar = [*range(26, 11, -1)]

    def __init__(self, mesh: HeadMesh, rest: np.ndarray) -> None:
        body = mesh.body
        self.loops = {row: np.array([body.number[p] for p in body.loop(start)]) for row, start in LIP_LOOPS.items()}
        self.place = {}
        for row in (-1, 0):
            x = rest[self.loops[row], 0]
            left, right = x[LIP_CORNER], x[38 - LIP_CORNER]
            self.place[row] = np.where(x >= 0, x / left, -x / right)
        self.nodes = self.place[0][self.LOWER]

    def line(self, values: np.ndarray, rows: tuple[int, ...] = (-1, 0)) -> np.ndarray:
        """(V, C) -> (nodes, C): the mean over both lips and the given loops."""
        total = np.zeros((len(self.nodes), values.shape[1]))
        for row in rows:
            for half in (self.UPPER, self.LOWER):
                s, y = self.place[row][half], values[self.loops[row][half]]
                total += np.stack([np.interp(self.nodes, s, y[:, k]) for k in range(y.shape[1])], 1)
        return total / (2 * len(rows))

    def middle(self, values: np.ndarray) -> np.ndarray:
        """(V, C) -> (C,): the line at its node on the midline."""
        return self.line(values)[len(self.nodes) // 2]

    def _move(self, field: np.ndarray, lines: dict[int, np.ndarray]) -> np.ndarray:
        """A copy of the field whose loops -1 and 0 have the values of the lines; loops around follow, less and less."""
        out = field.copy()
        change = {}
        for row in (-1, 0):
            low, place = self.place[row][self.LOWER], self.place[row]
            # The lower lip has fewer vertices: the upper ones are put on its edges, not on a smoother curve.
            lower = [np.interp(low, self.nodes, lines[row][:, k]) for k in range(3)]
            change[row] = np.stack([np.interp(place, low, y) for y in lower], 1) - field[self.loops[row]]
        for row, weight in LIP_FALLOFF.items():
            out[self.loops[row]] += weight * change[-1 if row < 0 else 0]
        return out

    def zip(self, field: np.ndarray) -> np.ndarray:
        """A copy of the field (V, 3) of offsets, the same on both lips and both loops along the line."""
        line = self.line(field)
        return self._move(field, {-1: line, 0: line})

    def close(self, rest: np.ndarray) -> np.ndarray:
        """Vertices with the lips closed: each loop of one lip on that of the other, LIP_HALF_GAP from the middle.

        The contact falls by LIP_DROP inwards, so that one does not look through the gap at the teeth.
        """
        y = self.line(rest)[:, 1]
        lines = {}
        for row, sign in ((-1, 0.5), (0, -0.5)):
            lines[row] = self.line(rest, (row,))
            lines[row][:, 1] = y + sign * LIP_DROP * (1 - self.nodes**2)
        moved = self._move(rest, lines)
        for row in (-1, 0):
            moved[self.loops[row], 0] = rest[self.loops[row], 0]
            for half, sign in ((self.UPPER, 1.0), (self.LOWER, -1.0)):
                moved[self.loops[row][half[1:-1]], 1] += sign * LIP_HALF_GAP
        return moved

    def aperture(self, column: float) -> list[tuple[int, int, float]]:
        """Upper minus lower height at a place along the line in (-1, 1): (vertex, axis, weight) terms."""
        terms = []
        for row in (-1, 0):
            for half, sign in ((self.UPPER, 0.5), (self.LOWER, -0.5)):
                s = self.place[row][half]
                vertices = self.loops[row][half]
                j = int(np.clip(np.searchsorted(s, column) - 1, 0, len(s) - 2))
                t = (column - s[j]) / (s[j + 1] - s[j])
                terms += [(int(vertices[j]), 1, sign * (1 - t)), (int(vertices[j + 1]), 1, sign * t)]
        return terms


def close_mouth(mesh: HeadMesh, lips: Lips, face: np.ndarray) -> np.ndarray:
    """A face (V, 3) with its lips closed, and teeth, palate and tongue moved to where they belong behind them."""
    rest = lips.close(face)
    incisor = rest[mesh.incisor("upper")]
    behind = min(rest[lips.loops[row][half], 2] for row in (1, 2, 3) for half in (0, 19))
    line_y = lips.middle(rest)[1]
    mesh.shift_inside(rest, np.array([0.0, line_y - INCISOR_SHOW - incisor[1], behind - LABIAL - incisor[2]]))
    return rest
