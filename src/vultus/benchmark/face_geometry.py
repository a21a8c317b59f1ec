"""Lips and upper face found on an unknown neutral face, from its surface alone.

A rule for meshes that come without named regions: deterministic, made for faces at rest with +y up and +z out of the
face. It refuses (Unavailable) rather than guess where the surface does not look like a face.

1. The tip of the nose is the foremost vertex. Only the piece of the mesh that it belongs to is the skin.
2. In planes of equal x, 2 mm apart, the profile z(y) of the skin is cut out. Below the nose the lips show as two bumps
   with a narrow valley, or a slit, between them: what closing the profile by 8 mm fills. The deepest place 18 to 55 mm
   under the tip is where the lips meet; from the middle it is followed to both sides until the valley is flat. Its ends
   are the corners of the mouth.
3. A lip is what lies above or below that line, up to a share of the mouth's width, less towards the corners, and not
   further than 8 mm behind the front of the lips.
4. The upper face is the front of the skin from half the height between lips and nose above the tip of the nose upwards.

Letters: V vertices, F triangles, P planes, Y heights of a profile. Inside, lengths are millimetres; where meshes are
scaled to a surface of 1 ("area"), 185 of one unit, the middle of 174 to 201 mm of BIWI's speakers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.metrics.base import Unavailable, Unit
from vultus.topology import Template

MM_PER_UNIT = {"m": 1000.0, "area": 185.0}
PLANE_STEP, WIDEST = 2.0, 44.0
HEIGHT_STEP = 0.25
VALLEY = 4.0
"""Valleys up to this width count: the line between lips is sharp, the hollows above and below them are not."""
FLAT, DEEP, SHALLOW = 0.1, 2.0, 0.2
"""mm; a shallower valley is no line between lips, nor one under a fifth of its mean; a deeper one says no more."""
BEHIND, BESIDE = 25.0, 8.0
"""Surface so far behind the front is seen through open lips; the front of the lips is sought so far from their line."""
BELOW_TIP = (18.0, 55.0)
PARTED, OPENED = 6.0, 25.0
"""mm between lips from which a mouth is open and its line no longer where the lips meet; how wide it may be."""
INNER, WANDER = 14.0, 1.5
"""mm from the middle that every mouth spans, and how far its line rises or falls from one plane to the next."""
MOUTH_WIDTH = (28.0, 80.0)
UPPER_HEIGHT, LOWER_HEIGHT = 0.2, 0.27
"""Heights of the lips in the middle, shares of the mouth's width; fitted on identities of the shipped head."""
LIP_DEPTH = 8.0
ARCH, ROLLED = 0.35, 3.0
"""How fast a lip thins to the corners (0.5: an ellipse); mm from the line at which its surface may have rolled over."""
FACE_HEIGHT = (90.0, 450.0)
BROW_START, FACE_DEPTH = 0.5, 95.0
FEWEST = 8


@dataclass(frozen=True, eq=False)
class Mouth:
    """Where the lips meet.

    Attributes:
        tip: (3,), the tip of the nose.
        skin: (V,) bool.
        x: (P,) planes between the corners, in order.
        y: (P,) heights of the line.
        front: (P,) the foremost z of the lips.
    """

    tip: np.ndarray
    skin: np.ndarray
    x: np.ndarray
    y: np.ndarray
    front: np.ndarray

    @property
    def width(self) -> float:
        """From corner to corner."""
        return float(self.x[-1] - self.x[0])


def find_regions(template: Template, unit: Unit) -> dict[str, np.ndarray]:
    """ "lips", "upper_lip", "lower_lip" and "upper_face" as sorted vertex numbers.

    Raises:
        Unavailable: the surface does not look like a face at rest; it says what was missed.
    """
    vertices = np.asarray(template.vertices, np.float64) * MM_PER_UNIT[unit]
    mouth = find_mouth(vertices, template.topology.faces)
    x, y, z = vertices.T
    middle = (mouth.x[0] + mouth.x[-1]) / 2
    across = np.abs(x - middle) / (mouth.width / 2)
    inside = mouth.skin & (across <= 1.0) & (z >= np.interp(x, mouth.x, mouth.front) - LIP_DEPTH)
    arch = np.clip(1.0 - across**2, 0.0, 1.0) ** ARCH * mouth.width
    above = y - np.interp(x, mouth.x, mouth.y)
    inside &= (above <= UPPER_HEIGHT * arch) & (above >= -LOWER_HEIGHT * arch)
    down = -_normals(vertices, template.topology.faces)[:, 1]  # where lips meet, the upper one faces down
    is_upper = np.where((np.abs(above) < ROLLED) & (np.abs(down) > 0.2), down > 0, above >= 0)
    upper, lower = inside & is_upper, inside & ~is_upper
    seam = float(np.interp(mouth.tip[0], mouth.x, mouth.y))
    start = mouth.tip[1] + BROW_START * (mouth.tip[1] - seam)
    brow = mouth.skin & (y >= start) & (z >= mouth.tip[2] - FACE_DEPTH)
    found = {"lips": upper | lower, "upper_lip": upper, "lower_lip": lower, "upper_face": brow}
    for name, chosen in found.items():
        if chosen.sum() < FEWEST:
            raise _refused(f"{chosen.sum()} vertices where '{name}' should be")
    return {name: np.flatnonzero(chosen) for name, chosen in found.items()}


def find_mouth(vertices: np.ndarray, faces: np.ndarray) -> Mouth:
    """The line of the lips of a neutral face, (V, 3) in mm; Unavailable where there is none to be seen."""
    if not len(faces):
        raise _refused("no triangles")
    extent = np.ptp(vertices, axis=0)
    if not FACE_HEIGHT[0] <= extent[1] <= FACE_HEIGHT[1]:
        raise _refused(f"{extent[1]:.0f} mm of height, not {FACE_HEIGHT[0]:g} to {FACE_HEIGHT[1]:g}")
    nose = int(vertices[:, 2].argmax())
    tip = vertices[nose]
    if not 0.15 <= (tip[1] - vertices[:, 1].min()) / extent[1] <= 0.85:
        raise _refused("the foremost vertex is no nose: it lies near the upper or lower end")
    label = _pieces(len(vertices), faces)
    skin = label == label[nose]
    own = vertices[faces[skin[faces[:, 0]]]]
    heights = np.arange(tip[1] - BELOW_TIP[1], tip[1] - BELOW_TIP[0], HEIGHT_STEP)
    reach = int(WIDEST / PLANE_STEP)
    valleys = [_valley(own, float(tip[0]) + PLANE_STEP * step, heights) for step in range(-reach, reach + 1)]
    line = _follow(np.stack([depth for depth, _ in valleys]))
    if len(line) < 2:
        raise _refused("no line between two lips under the nose")
    gap = _gap(valleys[reach][1], line[reach])
    if gap > PARTED:
        raise _refused(f"the mouth is open by {gap:.0f} mm; expected a face at rest")
    planes = np.array(sorted(line))
    y = heights[[line[plane] for plane in planes]]
    fronts = [valleys[plane][1][np.abs(heights - at) <= BESIDE].max() for plane, at in zip(planes, y, strict=True)]
    mouth = Mouth(tip, skin, tip[0] + PLANE_STEP * (planes - reach), y, np.array(fronts))
    if not MOUTH_WIDTH[0] <= mouth.width <= MOUTH_WIDTH[1]:
        raise _refused(f"a line of {mouth.width:.0f} mm between the lips, not {MOUTH_WIDTH[0]:g} to {MOUTH_WIDTH[1]:g}")
    if abs(mouth.x[0] + mouth.x[-1] - 2 * tip[0]) > 0.4 * mouth.width:
        raise _refused("the line between the lips is not under the nose")
    return mouth


def _valley(triangles: np.ndarray, x: float, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth of the valleys (Y,) of the profile in the plane at x, DEEP at most, and the profile."""
    profile = _profile(triangles, x, heights)
    with np.errstate(invalid="ignore"):
        slit = ~(profile > profile.max() - BEHIND)
    if slit.mean() > 0.5:
        return np.zeros(len(heights)), np.full(len(heights), -np.inf)
    width = round(VALLEY / HEIGHT_STEP) | 1
    surface = np.where(slit, profile.max() - BEHIND, profile)
    beyond = np.pad(surface, width, constant_values=-np.inf)  # a slope that leaves the profile is no valley
    closed = _sliding(_sliding(beyond, width, highest=True), width, highest=False)[width:-width]
    depth = closed - surface
    ends = np.flatnonzero(~slit)[[0, -1]]
    depth = np.where(slit, DEEP, np.minimum(depth, DEEP))
    depth[: ends[0]] = depth[ends[1] + 1 :] = 0.0  # under the chin, not between lips
    return depth, surface


def _follow(depth: np.ndarray) -> dict[int, int]:
    """Plane -> index of the height where the lips meet: the path through (P, Y) that is deepest over the inner planes.

    From where it crosses the middle it goes on to both sides as long as the valley is not flat.
    """
    middle, inner, wander = len(depth) // 2, int(INNER / PLANE_STEP), 2 * round(WANDER / HEIGHT_STEP) + 1
    total = depth[middle].copy()
    for side in (-1, 1):
        best = np.zeros(depth.shape[1])
        for step in range(inner, 0, -1):
            best = _sliding(best + depth[middle + side * step], wander, highest=True)
        total += best
    start = int(total.argmax())
    flat = max(FLAT, SHALLOW * total[start] / (2 * inner + 1))
    line: dict[int, int] = {}
    for side in (-1, 1):
        at = start
        for step in range(middle + 1):
            row = depth[middle + side * step]
            low = max(0, at - wander // 2)
            at = low + _bottom(row[low : at + wander // 2 + 1])
            if row[at] < flat:
                break
            line[middle + side * step] = at
    return line


def _gap(surface: np.ndarray, at: int) -> float:
    """mm of a profile (Y,) about its line at index `at` that lie well behind both lips."""
    below, above = surface[max(0, at - round(OPENED / 2 / HEIGHT_STEP)) : at + 1], surface[at:]
    above = above[: round(OPENED / HEIGHT_STEP)]
    front = np.flatnonzero(surface >= min(below.max(), above.max()) - ROLLED)
    lower, upper = front[front <= at].max(initial=0), front[front >= at].min(initial=len(surface))
    return HEIGHT_STEP * float(upper - lower)


def _bottom(depth: np.ndarray) -> int:
    """Index of the deepest place; of a slit its middle, not its first edge."""
    return round(float(np.flatnonzero(depth >= 0.9 * depth.max()).mean()))


def _profile(triangles: np.ndarray, x: float, heights: np.ndarray) -> np.ndarray:
    """(Y,) the foremost z of triangles (F, 3, 3) in the plane at x; -inf where no surface is."""
    off = triangles[:, :, 0] - x
    crossed = triangles[(off.min(1) <= 0) & (off.max(1) > 0)]
    off = crossed[:, :, 0] - x
    ends = []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        share = off[:, a] / np.where(off[:, a] == off[:, b], np.inf, off[:, a] - off[:, b])
        point = crossed[:, a, 1:] + share[:, None] * (crossed[:, b, 1:] - crossed[:, a, 1:])
        met = (off[:, a] <= 0) != (off[:, b] <= 0)
        ends.append(np.where(met[:, None], point, np.nan))
    points = np.stack(ends, 1)  # (n, 3, 2): two of the three edges are met
    low = np.take_along_axis(points, np.nanargmin(points[:, :, :1], 1)[:, :, None].repeat(2, 2), 1)[:, 0]
    high = np.take_along_axis(points, np.nanargmax(points[:, :, :1], 1)[:, :, None].repeat(2, 2), 1)[:, 0]
    span = np.maximum(high[:, 0] - low[:, 0], 1e-9)
    share = (heights - low[:, :1]) / span[:, None]
    z = low[:, 1:] + share * (high[:, 1:] - low[:, 1:])
    covered = (share >= 0) & (share <= 1)
    found: np.ndarray = np.where(covered, z, -np.inf).max(0, initial=-np.inf)
    return found


def _sliding(values: np.ndarray, width: int, *, highest: bool) -> np.ndarray:
    """Maximum or minimum over windows of odd `width`, ends held, same length."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, width // 2, mode="edge"), width)
    found: np.ndarray = windows.max(1) if highest else windows.min(1)
    return found


def _pieces(count: int, faces: np.ndarray) -> np.ndarray:
    """(V,) a number for each piece of the mesh."""
    label = np.arange(count)
    while True:
        before = label.copy()
        lowest = label[faces].min(1)
        for corner in range(3):
            np.minimum.at(label, faces[:, corner], lowest)
        label = label[label]
        if np.array_equal(label, before):
            return label


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) of length 1 (0 where no triangle is), out of the face whichever way the triangles turn."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    each = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], each)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    normals: np.ndarray = total / np.where(length > 0, length, 1.0)
    return normals * (1.0 if normals[vertices[:, 2].argmax(), 2] >= 0 else -1.0)


def _refused(why: str) -> Unavailable:
    return Unavailable(f"no lips could be told from the neutral face's geometry ({why}); give --regions")
