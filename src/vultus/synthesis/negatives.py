"""Sounds that are not speech: what a model must keep the mouth closed on.

Without them a mouth opens on hum and hiss, for recognisers' features never saw them labelled (measured in a
feasibility study: jaw 0.12 on hum after training on speech alone). All are made from a seed with numpy.

Letters: S samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vultus.clock import SAMPLE_RATE


def _coloured(count: int, rng: np.random.Generator, slope: float) -> np.ndarray:
    """Noise whose power falls with frequency to the power `slope` (0 white, 1 pink, 2 brown)."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 20.0)
    return np.fft.irfft(spectrum * frequency ** (-slope / 2), count)


def _band(sound: np.ndarray, low: float, high: float) -> np.ndarray:
    frequency = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    keep = 1 / (1 + (low / np.maximum(frequency, 1)) ** 8) / (1 + (frequency / high) ** 8)
    return np.fft.irfft(np.fft.rfft(sound) * keep, len(sound))


def _seconds(count: int) -> np.ndarray:
    return np.arange(count) / SAMPLE_RATE


def _partials(base: float, count: int, rng: np.random.Generator, number: int, fall: float) -> np.ndarray:
    total = np.zeros(count)
    for k in range(1, number + 1):
        if base * k < SAMPLE_RATE / 2.2:
            total += k**-fall * rng.uniform(0.3, 1) * np.sin(2 * np.pi * (base * k * _seconds(count) + rng.uniform()))
    return total


def _white(count: int, rng: np.random.Generator) -> np.ndarray:
    return _coloured(count, rng, 0.0)


def _rumble(count: int, rng: np.random.Generator) -> np.ndarray:
    return _coloured(count, rng, rng.uniform(0.8, 2.0))


def _hum(count: int, rng: np.random.Generator) -> np.ndarray:
    return _partials(float(rng.choice([50.0, 60.0, 100.0, 120.0])), count, rng, 12, 1.2) + 0.02 * _white(count, rng)


def _hiss(count: int, rng: np.random.Generator) -> np.ndarray:
    return _band(_white(count, rng), 2500, 7500)


def _gusts(count: int, rng: np.random.Generator) -> np.ndarray:
    """Wind, breath on the microphone, surf: noise that swells a few times a second or slower."""
    marks = np.arange(0, count / SAMPLE_RATE + 1, 0.35)
    swell = np.interp(_seconds(count), marks, rng.uniform(0.05, 1, len(marks)))
    return _band(_white(count, rng), 100, rng.uniform(600, 4000)) * swell


def _chord(count: int, rng: np.random.Generator) -> np.ndarray:
    root = 110 * 2 ** (rng.integers(0, 24) / 12)
    steps = [(0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 5, 9)][rng.integers(4)]
    return np.sum([_partials(root * 2 ** (s / 12), count, rng, 8, 1.4) for s in steps], axis=0)


def _melody(count: int, rng: np.random.Generator) -> np.ndarray:
    """Plucked notes of one scale over a soft chord."""
    total = 0.25 * _chord(count, rng)
    at, root = 0, 220 * 2 ** (rng.integers(0, 12) / 12)
    while at < count:
        length = int(rng.choice([0.15, 0.3, 0.45, 0.6]) * SAMPLE_RATE)
        n = min(2 * length, count - at)
        pitch = root * 2 ** (int(rng.choice([0, 2, 4, 5, 7, 9, 11, 12])) / 12)
        total[at : at + n] += _partials(pitch, n, rng, 6, 1.0) * np.exp(-_seconds(n) * rng.uniform(3, 8))
        at += length
    return total


def _drums(count: int, rng: np.random.Generator) -> np.ndarray:
    total = np.zeros(count)
    beat = int(rng.uniform(0.12, 0.3) * SAMPLE_RATE)
    for k, at in enumerate(range(0, count, beat)):
        n = min(int(0.25 * SAMPLE_RATE), count - at)
        t = _seconds(n)
        thump = np.sin(2 * np.pi * 60 * t + 8 * np.exp(-t * 30)) * np.exp(-t * 18)
        snap = rng.standard_normal(n) * np.exp(-t * 40)
        total[at : at + n] += thump if k % 4 == 0 else rng.uniform(0.2, 0.7) * snap
    return total


def _clicks(count: int, rng: np.random.Generator) -> np.ndarray:
    """Keys, clatter, crackle: sharp events over a quiet floor."""
    total = 0.01 * _white(count, rng)
    for at in rng.integers(0, max(1, count - 800), max(2, count // 3000)):
        n = min(int(rng.integers(60, 800)), count - at)
        total[at : at + n] += rng.uniform(0.2, 1) * rng.standard_normal(n) * np.exp(-np.arange(n) / (n / 5))
    return total


def _beeps(count: int, rng: np.random.Generator) -> np.ndarray:
    tone = np.sin(2 * np.pi * rng.uniform(300, 3000) * _seconds(count))
    return tone * (np.sin(2 * np.pi * rng.uniform(0.7, 4) * _seconds(count)) > 0)


def _pulsing(count: int, rng: np.random.Generator) -> np.ndarray:
    """A tone, a buzz or noise that swells and fades at the pace of syllables: pace alone must not move a mouth."""
    carrier = [
        lambda: _partials(rng.uniform(80, 1200), count, rng, 1, 1.0),
        lambda: _partials(rng.uniform(50, 300), count, rng, 12, rng.uniform(0.6, 1.6)),
        lambda: _band(_white(count, rng), rng.uniform(80, 800), rng.uniform(1200, 7000)),
    ][rng.integers(3)]()
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(1.5, 9) * _seconds(count) + rng.uniform()))
    return carrier * (1 - rng.uniform(0.3, 1) * swell ** rng.uniform(0.5, 3))


def _silence(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.zeros(count)


KINDS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "white": _white, "hum": _hum, "hiss": _hiss, "chord": _chord, "rumble": _rumble, "melody": _melody, "gusts": _gusts,
    "drums": _drums, "clicks": _clicks, "beeps": _beeps, "pulsing": _pulsing,
    "silence": _silence,
}  # fmt: skip


def negative_sound(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """One sound without speech.

    Args:
        kind: a key of KINDS.
        seconds: its length.
        rng: where every choice comes from; the level is drawn between -50 and -12 dB (RMS, full scale 1).

    Returns:
        (S,) float32 at 16 kHz, within [-0.99, 0.99].
    """
    count = round(seconds * SAMPLE_RATE)
    sound = KINDS[kind](count, rng)
    level = 10 ** (rng.uniform(-50, -12) / 20)
    sound = sound * (level / max(float(np.sqrt(np.mean(sound**2))), 1e-9))
    return np.clip(sound, -0.99, 0.99).astype(np.float32)
