"""Two rows of teeth along the arches of the source's, and a palate, which the source lacks.

A row is a strip of profiles of 5 points: gum base, gum margin, outer edge, inner edge, inner base.
"""

from __future__ import annotations

import numpy as np

from head.geometry import signed_volume

# Outer edge of the source's teeth, from the midline to the subject's left (source vertices).
ARCH = {
    "upper": (15069, 15086, 15071, 15070, 15085, 15078, 15077, 15076, 15080),
    "lower": (15010, 15001, 15002, 15003, 15004, 15005, 15006, 15007, 15008),
}
# One tooth: width along the arch, crown height, thickness at the edge (decimetres); incisors, canine, premolars, molar.
TEETH = {
    "upper": ((0.09, 0.1, 0.012), (0.07, 0.092, 0.012), (0.082, 0.1, 0.02), (0.074, 0.085, 0.05), (0.074, 0.078, 0.06),
              (0.105, 0.07, 0.07), (0.095, 0.065, 0.07)),
    "lower": ((0.057, 0.085, 0.012), (0.062, 0.087, 0.012), (0.073, 0.095, 0.02), (0.074, 0.085, 0.04),
              (0.078, 0.075, 0.05), (0.112, 0.068, 0.06), (0.1, 0.06, 0.06)),
}  # fmt: skip
SHIFT = {
    "upper": np.array([0.0, -0.022, -0.012]),  # lower: incisors then show under a raised lip
    "lower": np.array([0.0, 0.0, -0.034]),  # behind the upper ones: an overbite of 2 mm
}
NARROW = {"upper": 0.95, "lower": 0.91}  # the source's arch is wide: its molars show in the corners
TOOTH_COLUMNS = (0.0, 0.12, 0.5, 0.88)  # places on a tooth, 0 is the gap before it
PALATE_ACROSS = 7
GUM, ENAMEL, GAP = 0, 1, 2
BITING_EDGE = 2  # the place of the outer edge in a profile


def make_teeth(jaw: str, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A closed band of teeth along an arch; see docs/head.md.

    Args:
        jaw: "upper" or "lower".
        curve: (n, 3) outer edge of the source's teeth from the midline to the left.

    Returns:
        Points (n, 3), triangles, and for each point (n, 2) its kind and its distance from the midline in [0, 1].
    """
    columns, kinds = tooth_columns(jaw, curve)
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
    facing = np.array(triangles)
    if signed_volume(points, facing) < 0:
        facing = facing[:, ::-1]
    return points, facing, kinds.reshape(-1, 2)


def smooth_arch(jaw: str, curve: np.ndarray) -> np.ndarray:
    """The whole arch (n, 3), from the subject's right to left, moved into place."""
    full = np.concatenate([curve[:0:-1] * [-1, 1, 1], curve])
    full = full + SHIFT[jaw]
    full[:, 0] *= NARROW[jaw]
    for _ in range(3):  # corner cutting
        mid = np.concatenate(
            [full[:1], full[:-1] * 0.75 + full[1:] * 0.25, full[:-1] * 0.25 + full[1:] * 0.75, full[-1:]]
        )
        pairs = np.stack([1 + np.arange(len(full) - 1), len(full) + np.arange(len(full) - 1)], 1)
        full = mid[np.concatenate([[0], pairs.ravel(), [2 * len(full) - 1]])]
    return full


def tooth_places(jaw: str) -> list[tuple[float, float, float, float]]:
    """From the midline outwards: arc length, crown height, thickness, place on the tooth."""
    places: list[tuple[float, float, float, float]] = []
    start = 0.0
    for width, height, thick in TEETH[jaw]:
        places += [(start + t * width, height, thick, t) for t in TOOTH_COLUMNS]
        start += width
    return [*places, (start, *TEETH[jaw][-1][1:], 0.0)]


def tooth_columns(jaw: str, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Profiles of a row of teeth from the subject's right to left.

    Returns:
        (columns, 5, 3) points; (columns, 5, 2): kind (GUM, ENAMEL, GAP) and distance from the midline in [0, 1].
    """
    full = smooth_arch(jaw, curve)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(full[:, [0, 2]], axis=0), axis=1))])
    length -= np.interp(0, full[:, 0], length)

    def on_arch(u: float) -> np.ndarray:
        return np.array([np.interp(u, length, full[:, k]) for k in range(3)])

    up = np.array([0.0, 1.0 if jaw == "upper" else -1.0, 0.0])  # to the gum
    places = tooth_places(jaw)
    columns, kinds = [], []
    for side in (-1, 1):
        for arc, height, thick, t in places[::-1] if side < 0 else places[1:]:
            u = side * arc
            p = on_arch(u)
            along = (on_arch(u + 0.02) - on_arch(u - 0.02)) * [1, 0, 1]
            along /= np.linalg.norm(along)
            out = np.array([-along[2], 0.0, along[0]])  # away from the mouth
            gap = t == 0.0
            edge = p + up * (0.007 if gap else 0.0) - out * (0.006 if gap else 0.0)
            margin = (
                p + up * (height - (0.014 if gap else 0.006 if t != 0.5 else 0.0)) + out * (0.006 if gap else 0.014)
            )
            base = p + up * (height + 0.08) + out * 0.004
            inner = edge - out * (thick - (0.006 if gap else 0.0))
            inner_base = p + up * (height * 0.9) - out * (thick + 0.03)
            columns.append([base, margin, edge, inner, inner_base])
            kind, far = GAP if gap else ENAMEL, min(1.0, arc / 0.5)
            kinds.append([[GUM, far], [kind, far], [kind, far], [kind, far], [GUM, far]])
    return np.array(columns), np.array(kinds, float)


def make_palate(upper_teeth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A dome between the inner sides of the upper teeth, for the tongue to touch: points, triangles."""
    inner = upper_teeth.reshape(-1, 5, 3)[:, 4]
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
    return points[used], renumbered.reshape(-1, 3)
