"""Blinks, brows, gaze and head in a set of takes of one line: how much there is of each, and whether takes agree.

A measure of a set is a pair (sum, weight); over lines both are added up, so that short lines count for less.

Letters: N takes, T motion frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vultus.benchmark.takes_spread import correlation_of_takes

CLOSED = 0.3
"""Weight of the lids from which a blink is counted; eyes that look down carry the lids to 0.12."""
TOGETHER = 0.1
"""Seconds within which two blinks happen together."""
RAISED, AWAY = 0.1, 5.0
"""Weight from which brows are raised; degrees from which a gaze is away."""

MEASURES = {
    "blinks a minute": "", "depth of a blink": "weight", "length of a blink, at half depth": "ms",
    "frames with brows raised": "share", "frames with the gaze away": "share",
    "gaze, deviation over time": "degrees", "head, deviation over time": "degrees", "head, speed": "degrees/s",
}  # fmt: skip
"""How much there is -> unit."""
AGREEMENTS = {
    "lip gap, frame by frame": "r", "lids, frame by frame": "r", "brows, frame by frame": "r",
    "gaze, frame by frame": "r", "head, frame by frame": "r", "blinks within 0.1 s of one in another take": "share",
}  # fmt: skip
"""How far takes agree -> unit."""


@dataclass(frozen=True)
class Blink:
    """One closing of the lids: seconds of its deepest frame, weight there, seconds at half depth or deeper."""

    at: float
    depth: float
    seconds: float


def blinks(lids: np.ndarray, fps: float) -> list[Blink]:
    """The blinks of a curve (T,): each run of frames above CLOSED.

    >>> [(b.at, b.depth, b.seconds) for b in blinks(np.array([0, 0, 0.6, 1.0, 0.4, 0, 0, 0.2, 0]), 10.0)]
    [(0.3, 1.0, 0.2)]
    """
    shut = np.concatenate([[False], lids > CLOSED, [False]])
    edges = np.flatnonzero(np.diff(shut.astype(np.int8)))
    found = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        run = lids[begin:end]
        deepest = int(run.argmax())
        low = high = begin + deepest
        half = 0.5 * float(run[deepest])
        while low > 0 and lids[low - 1] >= half:
            low -= 1
        while high < len(lids) - 1 and lids[high + 1] >= half:
            high += 1
        found.append(Blink(float(begin + deepest) / fps, float(run[deepest]), float(high - low + 1) / fps))
    return found


def life(takes: Sequence[Mapping[str, np.ndarray]], fps: float) -> dict[str, np.ndarray]:
    """(sum, weight) of each of MEASURES and AGREEMENTS; weight 0 where there is nothing to measure it on.

    Args:
        takes: curves of each take, see `takes_curves.curves`.
        fps: of all of them.
    """
    lids = [take["blinks"][:, 0, 0] for take in takes]
    each = [blinks(curve, fps) for curve in lids]
    every = [blink for found in each for blink in found]
    frames, count = float(sum(len(curve) for curve in lids)), float(len(takes))
    minutes = frames / fps / 60
    gaze = [take["gaze"][:, 0] for take in takes]
    out = {
        "blinks a minute": (len(every), minutes),
        "depth of a blink": (sum(b.depth for b in every), len(every)),
        "length of a blink, at half depth": (1000 * sum(b.seconds for b in every), len(every)),
        "frames with brows raised": (sum((take["brows"][:, 1, 0] > RAISED).sum() for take in takes), frames),
        "frames with the gaze away": (sum((np.hypot(*g.T) > AWAY).sum() for g in gaze), frames),
        "gaze, deviation over time": (sum(_deviation(g) for g in gaze), count),
    }
    heads = [take["head"][:, 0] for take in takes if "head" in take]
    out["head, deviation over time"] = (sum(_deviation(h) for h in heads), len(heads))
    speeds = [fps * float(np.linalg.norm(np.diff(h, axis=0), axis=1).mean()) for h in heads if len(h) > 1]
    out["head, speed"] = (sum(speeds), len(speeds))
    pairs = {name: np.array([float(total), float(weight)]) for name, (total, weight) in out.items()}
    for label, curve in (("lip gap", "lip gap"), ("lids", "blinks"), ("brows", "brows"), ("gaze", "gaze"),
                         ("head", "head")):  # fmt: skip
        there = [take[curve] for take in takes if curve in take]
        pairs[f"{label}, frame by frame"] = correlation_of_takes(np.stack(there)) if len(there) > 1 else np.zeros(2)
    pairs["blinks within 0.1 s of one in another take"] = _together(each)
    return pairs


def _together(each: Sequence[Sequence[Blink]]) -> np.ndarray:
    """(blinks of a take that have one near them in another, all of them), over ordered pairs of takes."""
    near = total = 0
    for i, first in enumerate(each):
        for j, second in enumerate(each):
            if i != j:
                near += sum(any(abs(a.at - b.at) <= TOGETHER + 1e-9 for b in second) for a in first)
                total += len(first)
    return np.array([float(near), float(total)])


def _deviation(curve: np.ndarray) -> float:
    """Of (T, K) over time, its components together."""
    return float(np.sqrt(curve.astype(np.float64).var(0).sum()))
