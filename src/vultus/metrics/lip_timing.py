"""How far apart in time are the movements of the lips? Derivative dynamic time warping of the opening.

Each curve is resampled to 100 Hz and replaced by the derivative estimate of Keogh and Pazzani (2001), which sees when
lips move and not how far they are open; each is divided by its deviation, so that a timid mouth is not a late one.
Warping runs within 300 ms of the diagonal and may begin and end anywhere on the first and last row and column of
that band, so a constant shift is found whole. A step that is not diagonal costs a little more, or noise would warp
everything. Where nothing moves there is no time to tell: cells of the path count by how much moves in them.

Letters: T motion frames, N frames at 100 Hz, i frames of the reference, j of the prediction, d and e their derivatives.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.tracks import mouth_tracks

RATE = 100.0
"""Hz: steps of 10 ms, whatever the frame rate."""
REACH = 300.0
"""ms, half the width of the band; twice what anybody takes for lip-synchronous. A still mouth scores it."""
STEP = 1.0
"""Cost of a step that is not diagonal, in squared deviations of the derivatives. Without it a tremor of 0.3 mm on
lips that are on time reads as 16 ms on synthetic clips, with it as 1; shifts are found in full with either."""
STILL = 0.01
"""Share of the reference's deviation under which a prediction's mouth is still."""


def derivative(curve: np.ndarray) -> np.ndarray:
    """Keogh and Pazzani's estimate: mean of the slope from the left and of the slope over both neighbours.

    >>> derivative(np.array([0.0, 1.0, 4.0, 9.0]))
    array([1.5, 1.5, 3.5, 3.5])
    """
    inner = ((curve[1:-1] - curve[:-2]) + (curve[2:] - curve[:-2]) / 2) / 2
    return np.concatenate([inner[:1], inner, inner[-1:]])


def resampled(curve: np.ndarray, fps: float) -> np.ndarray:
    """(T,) at `fps` -> (N,) at RATE by Catmull and Rom's cubic, whose slope has no jumps; the ends are held."""
    at = np.arange(int((len(curve) - 1) * RATE / fps + 1e-9) + 1) * fps / RATE
    low = np.minimum(at.astype(np.int64), len(curve) - 2)
    u = at - low
    a, b, c, d = (np.pad(curve, (1, 2), mode="edge")[low + k] for k in range(4))
    out: np.ndarray = b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    return out


def differences(example: Example) -> tuple[np.ndarray, np.ndarray]:
    """Differences j - i in ms along the path and what each counts, (P,) each; empty where the reference is still."""
    if "lip timing" not in example.cache:
        example.cache["lip timing"] = _differences(example)
    found: tuple[np.ndarray, np.ndarray] = example.cache["lip timing"]
    return found


def _differences(example: Example) -> tuple[np.ndarray, np.ndarray]:
    prediction, reference, width = mouth_tracks(example)
    nothing = np.zeros(0), np.zeros(0)
    if len(reference.opening) < 3:
        return nothing
    d, e = (derivative(resampled(track.opening, example.fps)) for track in (reference, prediction))
    # A tenth of a millimetre in a second is the tremor of a face at rest.
    if len(d) < 3 or d.std() * RATE < 0.002 * width:
        return nothing
    if e.std() < STILL * d.std():
        return np.array([REACH]), np.array([1.0])
    from vultus.metrics.timing_kernels import warp

    d, e = d / d.std(), e / e.std()
    i, j = warp(d, e, min(round(REACH * RATE / 1000), len(d) - 1), STEP).T
    return (j - i) * (1000 / RATE), np.abs(d[i]) + np.abs(e[j])


class LipTiming(Mean):
    """Mean absolute time difference. Rows: (ms, 1)."""

    info = Info(
        name="lip_timing",
        version=1,
        title="time difference of the lips' movements",
        formula="sum of w |j - i| 10 ms / sum of w along the path of derivative time warping between the openings at "
        "100 Hz; w = |d_i| + |e_j|, d and e the derivatives over their deviations; local cost (d_i - e_j)^2, + 1 for "
        "a step that is not diagonal, |j - i| <= 300 ms, free ends; 300 for a still mouth",
        source="Keogh and Pazzani, Derivative Dynamic Time Warping, SDM 2001; cf. MTM in Chae-Yeon et al., CVPR 2025, "
        "which looks at local extrema alone",
        quantity="time",
        direction="lower",
        pooling="mean over the path, then over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        off, counts = differences(example)
        return self.one(float((np.abs(off) * counts).sum() / counts.sum())) if len(off) else np.zeros(2)


class LipOffset(Mean):
    """Mean signed time difference: above 0 the prediction is late. Rows: (ms, 1); a still mouth counts not."""

    info = Info(
        name="lip_offset",
        version=1,
        title="lateness of the lips' movements",
        formula="as lip_timing with j - i for |j - i|; above 0: the prediction is late",
        source="ours, after lip_timing",
        quantity="time",
        direction="zero",
        pooling="mean over the path, then over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        off, counts = differences(example)
        return self.one(float((off * counts).sum() / counts.sum())) if len(off) > 1 else np.zeros(2)
