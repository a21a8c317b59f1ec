"""Is the motion over-smoothed? Its share of power above 4 Hz against the reference's, by region.

Syllables come at 4 to 5 Hz: what is faster are consonants, lips that seal, blinks. Models that average over what might
be said lose it first. 1 is as lively as the speaker, 0 only sways, above 1 trembles. A still face has no power to share
out and counts 0.

Letters: T motion frames, F frequencies, x offsets of vertices from the template.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.tracks import region_tracks

SPLIT = 4.0
"""Hz."""
SHORTEST = 1.0
"""Seconds: four periods of the split."""


def share_above(offsets: np.ndarray, weights: np.ndarray, fps: float, split: float = SPLIT) -> float:
    """Share of the power of (T, n, 3) above `split` Hz; the mean is taken off and the ends are faded (Hann).

    >>> t = np.arange(100) / 25
    >>> wave = np.sin(2 * np.pi * 2 * t) + np.sin(2 * np.pi * 6 * t)
    >>> round(share_above(wave[:, None, None] * np.array([0, 1.0, 0]), np.ones(1), 25.0), 3)
    0.5
    """
    count = len(offsets)
    # One row for each coordinate, so that the transform reads along memory.
    curves = np.ascontiguousarray(offsets.reshape(count, -1).T)
    curves = (curves - curves.mean(1, keepdims=True)) * np.hanning(count + 1)[:-1].astype(curves.dtype)
    spectrum = np.fft.rfft(curves, axis=1)
    power = np.repeat(weights, 3) @ (np.square(spectrum.real) + np.square(spectrum.imag)).astype(np.float64)
    power[1:] *= 2
    if count % 2 == 0:
        power[-1] /= 2
    total = power.sum()
    return float(power[np.fft.rfftfreq(count, 1 / fps) > split].sum() / total) if total > 0 else 0.0


class HighFrequency(Mean):
    """Share of the prediction over that of the reference. Rows: (prediction's, reference's)."""

    def __init__(self, region: str = "lips") -> None:
        self.region = region
        self.info = Info(
            name=f"high_frequency_{region}",
            version=1,
            title=f"share of motion power above 4 Hz against the reference's, {region.replace('_', ' ')}",
            formula="sum of h(prediction) / sum of h(reference) over sequences; h: power of x above 4 Hz over all "
            "power but that of the mean, Hann window, over at most 1000 vertices, evenly spaced in their order",
            source="ours",
            quantity="ratio",
            direction="one",
            pooling="shares of sequences are summed, then divided",
            needs=(region,),
        )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference, weights = region_tracks(example, self.region)
        if len(reference) < SHORTEST * example.fps:
            return np.zeros(2)
        return np.array([share_above(x, weights, example.fps) for x in (prediction, reference)])


LIPS, UPPER_FACE, FACE = (partial(HighFrequency, region) for region in ("lips", "upper_face", "face"))
