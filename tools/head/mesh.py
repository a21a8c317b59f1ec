"""The mesh of the head: all parts one after the other, and how offsets of the source are carried to it."""

from __future__ import annotations

import numpy as np

from head.body import Body
from head.eyes import bind_lashes, make_eyeball
from head.geometry import split_quads
from head.source import Source
from head.teeth import ARCH, BITING_EDGE, make_palate, make_teeth

SIDES = ("left", "right")
JAWS = ("upper", "lower")


class HeadMesh:
    """The head's points on the base mesh, its triangles and parts.

    Attributes:
        base: (V, 3) points, decimetres.
        faces: (F, 3) int32.
        parts: (F,) the part of each triangle.
        ranges: name of a piece -> its first vertex and the one after its last.
        teeth_kind: jaw -> (n, 2) kind of each vertex of the teeth, and its distance from the midline in [0, 1].
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.ranges: dict[str, tuple[int, int]] = {}
        self.teeth_kind: dict[str, np.ndarray] = {}
        self._points: list[np.ndarray] = []
        self._triangles: list[np.ndarray] = []
        self._parts: list[str] = []
        self.body = Body(source)
        skin = self.body.carry(source.vertices)
        self._add("body", skin, self.body.triangles, self.body.parts)
        for side in SIDES:
            eyeball = make_eyeball(source.vertices[source.group(f"helper-{side[0]}-eye")])
            self._add(f"eye_{side}", *eyeball, f"eye_{side}")
        teeth = {}
        for jaw in JAWS:
            teeth[jaw], triangles, self.teeth_kind[jaw] = make_teeth(jaw, source.vertices[list(ARCH[jaw])])
            self._add(f"teeth_{jaw}", teeth[jaw], triangles, f"teeth_{jaw}")
        self._add("palate", *make_palate(teeth["upper"]), "mouth_inner")
        self._tongue, triangles = split_quads(source.quads["helper-tongue"])
        self._add("tongue", source.vertices[self._tongue], triangles, "tongue")
        # The upper lashes only; the lower ones look like paint at this resolution.
        quads = source.quads["helper-l-eyelashes-2"] + source.quads["helper-r-eyelashes-2"]
        lashes, triangles = split_quads(quads)
        points, self._lash_root = bind_lashes(source.vertices[lashes], skin)
        self._add("lashes", points, triangles, "lashes")
        self.base = np.concatenate(self._points)
        self.faces = np.concatenate(self._triangles).astype(np.int32)
        self.parts = np.array(self._parts)

    def _add(self, name: str, points: np.ndarray, triangles: np.ndarray, part: str | list[str]) -> None:
        start = sum(map(len, self._points))
        self.ranges[name] = (start, start + len(points))
        self._points.append(points)
        self._triangles.append(triangles + start)
        self._parts += [part] * len(triangles) if isinstance(part, str) else part

    def part_vertices(self, name: str) -> np.ndarray:
        """The vertices of a piece, by its name in `ranges`."""
        return np.arange(*self.ranges[name])

    def triangle_vertices(self, part: str) -> np.ndarray:
        """The vertices of the triangles of a part, by its name in `parts`."""
        return np.unique(self.faces[self.parts == part])

    def carry(self, d: np.ndarray) -> np.ndarray:
        """Offsets of the source (N, 3) -> offsets of the head (V, 3), linear.

        Eyeballs and teeth, whose vertices are ours, take the affine motion that fits their source vertices best
        (within 0.1 mm for every face unit: they are rigid there).
        """
        out = np.zeros_like(self.base)
        out[slice(*self.ranges["body"])] = self.body.carry(d)
        out[slice(*self.ranges["tongue"])] = d[self._tongue]
        out[slice(*self.ranges["lashes"])] = out[self._lash_root]
        for name, group in (
            ("eye_left", "helper-l-eye"),
            ("eye_right", "helper-r-eye"),
            ("teeth_upper", "helper-upper-teeth"),
            ("teeth_lower", "helper-lower-teeth"),
            ("palate", "helper-upper-teeth"),
        ):
            where = self.source.group(group)
            if not d[where].any():
                continue
            points = np.c_[self.source.vertices[where], np.ones(len(where))]
            motion = np.linalg.lstsq(points, d[where], rcond=None)[0]
            rows = slice(*self.ranges[name])
            out[rows] = np.c_[self.base[rows], np.ones(rows.stop - rows.start)] @ motion
        return out

    def incisor(self, jaw: str) -> int:
        """The vertex of the biting edge in the middle of the front teeth."""
        rows = self.part_vertices(f"teeth_{jaw}")
        return int(rows[(len(rows) // 5 // 2) * 5 + BITING_EDGE])

    def shift_inside(self, field: np.ndarray, shift: np.ndarray) -> None:
        """Adds a shift to teeth, palate and tongue, in place."""
        for name in ("teeth_upper", "teeth_lower", "palate", "tongue"):
            field[self.part_vertices(name)] += shift
