"""Prosody: how loud, how high and whether at all a voice speaks, at 100 Hz, from blocks of any size.

Everything that the rules for faces want to know of the sound, apart from the phones, comes through `Prosody`. An hour
takes 1.5 MB a curve; the sound itself is never kept. The result depends on the samples only, not on how they were cut.

Letters: S samples, P prosody frames (frame i stands at i / 100 s).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from vultus.clock import SAMPLE_RATE, resample_at
from vultus.errors import VultusError

RATE = 100.0
"""Prosody frames per second, Hz."""

_HOP = SAMPLE_RATE // 100
_WINDOW = 640  # 40 ms: three periods of a 75 Hz voice
_PAD = _WINDOW // 2
_LOUD_HALF = 200  # loudness looks at 25 ms only, so that stops stay visible
_PITCH_LOW, _PITCH_HIGH = 70.0, 400.0
_BATCH = 400
SILENT_DB = -58.0
"""Below this level (dB of full scale) nothing counts as speech, whatever the reference."""


@dataclass(frozen=True, eq=False)
class Prosody:
    """Curves at 100 Hz of one speech.

    Attributes:
        level: (P,) float32 dB of full scale in 25 ms windows.
        pitch: (P,) float32 Hz, 0 where the sound is not voiced.
        reference: the level that counts as "normally loud" here, dB: the 70th percentile of the active frames.
        seconds: length of the speech.
    """

    level: np.ndarray
    pitch: np.ndarray
    reference: float
    seconds: float

    def __len__(self) -> int:
        return len(self.level)

    @property
    def loudness(self) -> np.ndarray:
        """(P,) float32 dB relative to the reference."""
        return self.level - np.float32(self.reference)

    @property
    def voiced(self) -> np.ndarray:
        """(P,) bool."""
        return self.pitch > 0

    @cached_property
    def activity(self) -> np.ndarray:
        """(P,) float32 in [0, 1]: 1 while somebody speaks; rises within 60 ms, falls over 120 ms, bridges 150 ms."""
        raw = (self.loudness > -26.0) & (self.level > SILENT_DB)
        return _smooth(_bridge(raw, hold=15, least=4).astype(np.float32), 6)

    @cached_property
    def semitones(self) -> np.ndarray:
        """(P,) float32: pitch over the speaker's median in semitones, held through what is not voiced, smoothed; 0
        where nothing is voiced at all."""
        voiced = self.voiced
        if voiced.sum() < 5:
            return np.zeros(len(self), np.float32)
        log = 12 * np.log2(np.where(voiced, self.pitch, 1.0))
        log -= np.median(log[voiced])
        at = np.flatnonzero(voiced)
        filled = np.interp(np.arange(len(self)), at, np.clip(log[at], -12, 12))
        return _smooth(filled.astype(np.float32), 7)

    def phrases(self, pause: float = 0.25) -> list[tuple[float, float]]:
        """Stretches of speech between pauses of at least `pause` seconds: (start, end) in seconds."""
        active = _bridge(self.activity > 0.5, hold=round(pause * RATE), least=1)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
        return [(a / RATE, b / RATE) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    def accents(self) -> list[tuple[float, float]]:
        """Prominent syllables: (time, strength in (0, 1]) where smoothed loudness and pitch peak together."""
        if len(self) < 20:
            return []
        smooth = _smooth(np.maximum(self.loudness, -30).astype(np.float32), 12)
        slow = _smooth(smooth, 100)
        pitch = np.maximum(self.semitones - _smooth(self.semitones, 150), 0)
        voiced = _smooth(self.voiced.astype(np.float32), 9)
        score = (np.maximum(smooth - slow, 0) / 9 + pitch / 5) * self.activity * voiced
        peak = np.flatnonzero((score[1:-1] > score[:-2]) & (score[1:-1] >= score[2:]) & (score[1:-1] > 0.35)) + 1
        chosen: list[int] = []
        for at in sorted(peak, key=lambda i: (-score[i], i)):
            if all(abs(at - other) > 22 for other in chosen):
                chosen.append(int(at))
        return [(at / RATE, float(min(1.0, score[at] / 1.6))) for at in sorted(chosen)]

    def at(self, curve: np.ndarray, times: np.ndarray) -> np.ndarray:
        """A curve (P,) of this speech at given seconds, (T,) float32; the ends are held."""
        return resample_at(curve[:, None], RATE, 0.0, times)[:, 0]


def _smooth(curve: np.ndarray, width: int) -> np.ndarray:
    """Hann-weighted moving mean over about 2 * width frames; the ends are held, the length is kept."""
    if len(curve) == 0:
        return curve
    kernel = np.hanning(2 * width + 1)[1:-1]
    padded = np.pad(curve.astype(np.float64), width - 1, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


def _bridge(active: np.ndarray, hold: int, least: int) -> np.ndarray:
    """Drops active runs shorter than `least` frames, then fills gaps shorter than `hold` frames."""
    out = active.copy()
    for value, length in ((True, least), (False, hold)):
        edges = np.flatnonzero(np.diff(out.astype(np.int8))) + 1
        bounds = np.concatenate([[0], edges, [len(out)]])
        for a, b in pairwise(bounds.tolist()):
            inner = value or (a > 0 and b < len(out))  # silence at the very edges stays
            if b > a and out[a] == value and b - a < length and inner:
                out[a:b] = not value
    return out


class ProsodyTracker:
    """Takes samples in blocks of any size and yields a Prosody at the end.

    The pitch is the strongest peak of the normalised autocorrelation (Boersma 1993: divided by the window's own),
    70 to 400 Hz, with a small preference for the shorter period, cleaned by a running median.
    """

    def __init__(self) -> None:
        self._buffer = np.zeros(_PAD, np.float32)  # frame 0 is centred on sample 0
        self._num_samples = 0
        self._levels: list[np.ndarray] = []
        self._pitches: list[np.ndarray] = []
        window = np.hanning(_WINDOW // 2)
        self._window = window
        own = np.fft.irfft(np.abs(np.fft.rfft(window, 1024)) ** 2)
        self._own = own / own[0]

    def feed(self, samples: np.ndarray) -> None:
        """Adds samples, (S,) float at 16 kHz in [-1, 1]."""
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise VultusError(f"samples have shape {samples.shape}; expected (samples,), mono at 16 kHz")
        self._num_samples += len(samples)
        self._buffer = np.concatenate([self._buffer, samples])
        self._drain(final=False)

    def _drain(self, final: bool) -> None:
        if final:
            self._buffer = np.concatenate([self._buffer, np.zeros(_WINDOW, np.float32)])
        # Whole batches only (until the end): the same frames are then worked out together however the blocks fall.
        while True:
            ready = (len(self._buffer) - _WINDOW) // _HOP + 1 if len(self._buffer) >= _WINDOW else 0
            count = min(ready, _BATCH)
            if count < (1 if final else _BATCH):
                return
            frames = np.lib.stride_tricks.sliding_window_view(self._buffer, _WINDOW)[: count * _HOP : _HOP]
            self._analyse(frames)
            self._buffer = self._buffer[count * _HOP :].copy()

    def _analyse(self, frames: np.ndarray) -> None:
        """frames: (n, 640) float32, the frame's time in the middle."""
        near = frames[:, _PAD - _LOUD_HALF : _PAD + _LOUD_HALF].astype(np.float64)
        power = np.mean(near * near, axis=1)
        self._levels.append((10 * np.log10(np.maximum(power, 1e-12))).astype(np.float32))
        half = 0.5 * (frames[:, 0::2] + frames[:, 1::2])  # 8 kHz; enough for a pitch under 400 Hz
        half = (half - half.mean(axis=1, keepdims=True)) * self._window
        spectrum = np.fft.rfft(half, 1024, axis=1)
        auto = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)
        rate = SAMPLE_RATE / 2
        low, high = int(rate / _PITCH_HIGH), int(rate / _PITCH_LOW)
        scaled = auto[:, low - 1 : high + 2] / np.maximum(auto[:, :1], 1e-9) / self._own[low - 1 : high + 2]
        lags = np.arange(low, high + 1)
        inner = scaled[:, 1:-1]
        peak = (inner >= scaled[:, :-2]) & (inner >= scaled[:, 2:])
        score = np.where(peak, inner - 0.06 * np.log2(lags / low), -1.0)
        best = np.argmax(score, axis=1)
        rows = np.arange(len(best))
        left, mid, right = scaled[rows, best], scaled[rows, best + 1], scaled[rows, best + 2]
        bend = left - 2 * mid + right
        shift = np.where(np.abs(bend) > 1e-9, 0.5 * (left - right) / np.where(np.abs(bend) > 1e-9, bend, 1), 0)
        pitch = rate / (lags[best] + np.clip(shift, -0.5, 0.5))
        voiced = (mid > 0.5) & (score[rows, best] > -1) & (power > 10 ** (SILENT_DB / 10))
        self._pitches.append(np.where(voiced, pitch, 0.0).astype(np.float32))

    def finish(self) -> Prosody:
        """The curves of everything fed so far. The tracker is spent."""
        wanted = int(self._num_samples // _HOP) + 1
        self._drain(final=True)
        level = np.concatenate(self._levels)[:wanted] if self._levels else np.full(1, -120, np.float32)
        pitch = np.concatenate(self._pitches)[:wanted] if self._pitches else np.zeros(1, np.float32)
        top = float(np.percentile(level, 98))
        active = level[level > max(top - 32.0, SILENT_DB)]
        reference = float(np.percentile(active, 70)) if len(active) else -26.0
        pitch = _clean_pitch(pitch, level > max(reference - 30.0, SILENT_DB))
        return Prosody(level, pitch, reference, self._num_samples / SAMPLE_RATE)


def _clean_pitch(pitch: np.ndarray, loud: np.ndarray) -> np.ndarray:
    """Drops lone and quiet voiced frames, and those an octave off their neighbours (running median of 5)."""
    pitch = np.where(loud, pitch, 0)
    voiced = _bridge(pitch > 0, hold=1, least=3)
    pitch = np.where(voiced, pitch, 0)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(pitch, 2), 5).astype(np.float64)
    counts = (around > 0).sum(axis=1)
    filled = np.where(around > 0, around, np.inf)
    filled.sort(axis=1)
    middle = filled[np.arange(len(pitch)), np.maximum(counts - 1, 0) // 2]
    middle = np.where(np.isfinite(middle), middle, 1.0)
    octaves = np.abs(np.log2(np.where(pitch > 0, pitch, 1.0) / middle))
    return np.where(pitch > 0, np.where(octaves < 0.4, pitch, middle), 0).astype(np.float32)


def analyse(samples: np.ndarray | Iterable[np.ndarray] | Sequence[np.ndarray]) -> Prosody:
    """Prosody of samples (S,) at 16 kHz, or of an iterable of such blocks."""
    tracker = ProsodyTracker()
    blocks = [samples] if isinstance(samples, np.ndarray) else samples
    for block in blocks:
        block = np.asarray(block, np.float32)
        for start in range(0, len(block), SAMPLE_RATE * 20):  # long arrays in bounded working memory
            tracker.feed(block[start : start + SAMPLE_RATE * 20])
    return tracker.finish()
