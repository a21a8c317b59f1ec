"""A small mouth whose opening is known, shared by the tests of timing, contact and dynamics.

Two lips between corners 50 mm apart, and three vertices of a forehead. The lower lip is moved down by a
given curve, in full in the middle and not at the corners, so the opening of the mouth is that curve in millimetres.

Letters: T motion frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from examples import region_of
from vultus.metrics import Example
from vultus.speech import Speech
from vultus.synthesis.phones import Phone
from vultus.topology import Topology

COUNT = 11  # vertices from corner to corner
X = np.linspace(-0.025, 0.025, COUNT)
UPPER = list(range(COUNT))  # the rim of the upper lip, corners included
LOWER = [0, *range(COUNT, 2 * COUNT - 2), COUNT - 1]
UPPER_EDGE = list(range(2 * COUNT - 2, 3 * COUNT - 4))  # 8 mm above the rim
LOWER_EDGE = list(range(3 * COUNT - 4, 4 * COUNT - 6))
LIPS = list(range(4 * COUNT - 6))
FOREHEAD = [len(LIPS), len(LIPS) + 1, len(LIPS) + 2]
NUM = len(LIPS) + 3
SHARE = np.clip((0.025 - np.abs(X[1:-1])) / 0.01, 0, 1)
"""How much of the opening each vertex of the lower lip between the corners takes."""


def template() -> np.ndarray:
    """(NUM, 3) metres: rims, edges, forehead."""
    rows = [(X, 0.0), (X[1:-1], 0.0), (X[1:-1], 0.008), (X[1:-1], -0.008), ((-0.01, 0.0, 0.01), 0.08)]
    return np.array([[x, y, 0.0] for across, y in rows for x in across], np.float32)


def faces() -> np.ndarray:
    """Each lip is a strip; nothing lies between the two but the corners."""
    strips = []
    for rim, edge in ((UPPER[1:-1], UPPER_EDGE), (LOWER[1:-1], LOWER_EDGE)):
        for k in range(COUNT - 3):
            strips += [[rim[k], rim[k + 1], edge[k]], [rim[k + 1], edge[k + 1], edge[k]]]
        strips += [[0, rim[0], edge[0]], [rim[-1], COUNT - 1, edge[-1]]]
    return np.array(strips, np.int32)


def opened(millimetres: np.ndarray, drawn_in: np.ndarray | float = 0.0) -> np.ndarray:
    """(T,) opening, mm, and how far the lower lip is drawn in -> (T, NUM, 3) metres."""
    millimetres = np.asarray(millimetres, np.float64)
    inwards = np.broadcast_to(drawn_in, millimetres.shape)
    motion = np.repeat(template()[None], len(millimetres), 0)
    for part in (LOWER[1:-1], LOWER_EDGE):
        motion[:, part, 1] -= (millimetres[:, None] * SHARE / 1000).astype(np.float32)
        motion[:, part, 2] -= (inwards[:, None] * SHARE / 1000).astype(np.float32)
    return motion


def mouth(reference: np.ndarray, prediction: np.ndarray, **more: Any) -> Example:
    """An example of two openings (T,) in mm, or of two motions (T, NUM, 3); 25 fps unless told otherwise."""
    motions = [np.asarray(m, np.float32) if np.ndim(m) == 3 else opened(m) for m in (reference, prediction)]
    topology = Topology(faces(), NUM)
    regions = {
        "upper_lip": region_of("upper_lip", UPPER + UPPER_EDGE),
        "lower_lip": region_of("lower_lip", sorted(LOWER + LOWER_EDGE)),
        "lips": region_of("lips", LIPS),
        "upper_face": region_of("upper_face", FOREHEAD),
        "face": region_of("face", range(NUM)),
    }
    given: dict[str, Any] = {"name": "m", "subject": "m", "fps": 25.0, "unit": "m", **more}
    given.setdefault("regions", regions)
    given.setdefault("topology", topology)
    return Example(reference=motions[0], samples=[motions[1]], template=template(), **given)


def talk(times: np.ndarray, seed: int = 0) -> np.ndarray:
    """Opening in mm at any seconds: syllables of random size, with closures between some of them."""
    rng = np.random.default_rng([seed, 5])
    hertz = rng.uniform(1, 5, 12)
    waves = np.sin(2 * np.pi * (hertz * np.asarray(times)[:, None] + rng.uniform(size=12)))
    return np.maximum(0.0, 4 + 1.8 * waves.sum(1))


def frames(seconds: float, fps: float = 25.0) -> np.ndarray:
    """Times of motion frames."""
    return np.arange(round(seconds * fps)) / fps


def smoothed(curve: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    """Gaussian smoothing along time of (T,) or (T, ...)."""
    reach = round(4 * seconds * fps)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / fps / seconds) ** 2)
    padded = np.concatenate([np.repeat(curve[:1], reach, 0), curve, np.repeat(curve[-1:], reach, 0)])
    return sum(b * padded[k : k + len(curve)] for k, b in enumerate(bell / bell.sum()))


def sound_of(opening: np.ndarray, fps: float, late: float = 0.0, range_db: float = 30.0) -> Speech:
    """Hiss whose level in dB follows an opening, `late` seconds after it; 16 kHz."""
    count = round(len(opening) / fps * 16_000)
    at = np.arange(count) / 16_000 - late
    share = np.interp(at, np.arange(len(opening)) / fps, opening / opening.max())
    noise = np.random.default_rng(8).standard_normal(count)
    return Speech((0.1 * 10 ** (range_db * (share - 1) / 20) * noise).astype(np.float32), "made up")


def phones_of(line: str) -> tuple[Phone, ...]:
    """ "SIL:0.6 P:0.1 AA:0.2" -> phones one after the other."""
    out, now = [], 0.0
    for item in line.split():
        symbol, seconds = item.split(":")
        out.append(Phone(symbol, now, now + float(seconds)))
        now += float(seconds)
    return tuple(out)
