"""Log-mel energies in numpy: the fallback that needs no model, and the baseline that others must beat.

Per frame: 25 ms (400 samples) under a Hann window, power spectrum of 512 points, 80 triangular bands equally wide on
the mel scale 2595 log10(1 + f / 700) from 20 to 8000 Hz, natural logarithm, at least ln(1e-8). One frame each 10 ms;
frame i stands at (160 i + 200) / 16000 s. With `stack=2` neighbours are set side by side, 160 channels at 50 Hz,
standing between the two. Nothing is normalised: the level of the recording is in the values.

Letters: S samples at 16 kHz, F feature frames, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.features.base import Features, as_samples

if TYPE_CHECKING:
    from vultus.speech import SpeechSource

WIDTH, STRIDE, POINTS = 400, 160, 512
LOWEST, FLOOR = 20.0, 1e-8
BATCH = 32
"""Frames computed together. Always as many, counted from the start, so that a stream and a whole agree to the bit."""


@cache
def mel_bands(bands: int) -> np.ndarray:
    """Triangular filters (257, bands) float32, each with its peak at 1."""

    def mel(hertz: float) -> float:
        return 2595 * np.log10(1 + hertz / 700)

    corners = 700 * (10 ** (np.linspace(mel(LOWEST), mel(SAMPLE_RATE / 2), bands + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(POINTS, 1 / SAMPLE_RATE)[:, None]
    rising = (frequencies - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies) / (corners[2:] - corners[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    filters.setflags(write=False)
    return filters


class MelEncoder:
    """Speech -> (F, bands * stack) at 100 / stack Hz.

    Args:
        bands: mel bands, 8 to 80 (more would leave the lowest ones empty).
        stack: neighbouring frames set side by side, 1 to 8; the last group is filled up with its last frame.
    """

    name = "mel"

    def __init__(self, *, bands: int = 80, stack: int = 1) -> None:
        if not 8 <= bands <= 80:
            raise VultusError(f"mel: bands is {bands}; expected 8 to 80")
        if not 1 <= stack <= 8:
            raise VultusError(f"mel: stack is {stack}; expected 1 to 8")
        self.bands, self.stack = bands, stack
        self.dimension = bands * stack
        self.rate = SAMPLE_RATE / STRIDE / stack
        self.offset = (WIDTH / 2 + STRIDE * (stack - 1) / 2) / SAMPLE_RATE
        self._window = np.hanning(WIDTH + 1)[:-1].astype(np.float32)

    def __call__(self, speech: SpeechSource) -> Features:
        """Features of a whole speech; unstacked F = max(1, (S - 400) // 160 + 1)."""
        return Features(np.concatenate(list(self.stream(speech.blocks()))), self.rate, self.offset)

    def stream(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Blocks (S,) float32 of any sizes -> blocks (f, C); see `Encoder.stream`."""
        batch = BATCH * self.stack
        needed = STRIDE * (batch - 1) + WIDTH
        waiting, position = np.zeros(0, np.float32), 0
        for block in blocks:
            samples = as_samples(block)
            position += len(samples)
            waiting = np.concatenate([waiting, samples])
            start = 0
            while len(waiting) - start >= needed:
                yield self._stacked(waiting[start : start + needed])
                start += STRIDE * batch
            waiting = waiting[start:].copy()
        if position < WIDTH:
            waiting = np.concatenate([waiting, np.zeros(WIDTH - position, np.float32)])
        if len(waiting) >= WIDTH:
            yield self._stacked(waiting)

    def _stacked(self, samples: np.ndarray) -> np.ndarray:
        """Samples of whole frames -> (f, C)."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, WIDTH)[::STRIDE]
        power = np.square(np.abs(np.fft.rfft(frames * self._window, POINTS))).astype(np.float32)
        values = np.log(np.maximum(power @ mel_bands(self.bands), np.float32(FLOOR)))
        missing = -len(values) % self.stack
        if missing:
            values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
        return values.reshape(-1, self.dimension)
