"""Damaged copies of clean speech, so that a model trained on studio sound hears rooms, telephones and noise.

A `Plan` is drawn first and tells everything about a copy; the labels need only its speed and its leading silence, so
they can be made without touching the sound. Filters have zero phase and rooms keep their direct path at time 0: no
damage moves the sound in time.

Letters: S samples at 16 kHz.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import soxr

from vultus.clock import SAMPLE_RATE

NOISES = ("none", "white", "pink", "brown", "hum", "hiss")


@dataclass(frozen=True)
class Plan:
    """What is done to one copy of a clip.

    Attributes:
        speed: the copy runs this many times as fast, its pitch with it.
        lead: silence put before it, seconds.
        room: reverberation time (60 dB), seconds; 0 is none.
        noise: kind of noise, one of `NOISES`.
        snr: speech over noise, dB.
        band: lowest and highest frequency kept, Hz.
        codec: whether it goes through 8-bit mu-law.
        gain: level change at the end, dB; what exceeds 1 is clipped.
        seed: of the noise and the room.
    """

    speed: float = 1.0
    lead: float = 0.0
    room: float = 0.0
    noise: str = "none"
    snr: float = 30.0
    band: tuple[float, float] = (0.0, SAMPLE_RATE / 2)
    codec: bool = False
    gain: float = 0.0
    seed: int = 0

    def duration(self, seconds: float) -> float:
        """Seconds of the copy of a clip of `seconds`."""
        return self.lead + seconds / self.speed

    def source_times(self, times: np.ndarray) -> np.ndarray:
        """Where in the clip each time of the copy comes from, seconds; below 0 inside the leading silence."""
        return (np.asarray(times, np.float64) - self.lead) * self.speed


def draw_plan(seed: int, key: str, copy: int) -> Plan:
    """The plan of copy number `copy` of the clip called `key`; copy 0 is the clip as it is."""
    if copy == 0:
        return Plan()
    digest = hashlib.sha256(f"{seed}/{key}/{copy}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
    dull, thin = float(rng.uniform(2500.0, 7000.0)), float(rng.uniform(80.0, 300.0))
    bands = ((0.0, 8000.0), (0.0, dull), (300.0, 3400.0), (thin, 8000.0))
    return Plan(
        speed=float(rng.uniform(0.88, 1.14)) if rng.random() < 0.7 else 1.0,
        lead=float(rng.uniform(0.1, 1.0)) if rng.random() < 0.4 else 0.0,
        room=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.35 else 0.0,
        noise=str(rng.choice(NOISES, p=(0.25, 0.2, 0.2, 0.1, 0.1, 0.15))),
        snr=float(rng.uniform(0.0, 30.0)),
        band=bands[int(rng.choice(4, p=(0.55, 0.2, 0.15, 0.1)))],
        codec=bool(rng.random() < 0.15),
        gain=float(rng.uniform(-20.0, 6.0)),
        seed=int(rng.integers(2**31)),
    )


def apply_plan(samples: np.ndarray, plan: Plan) -> np.ndarray:
    """The copy: (S,) float32 -> (S',) float32."""
    if plan == Plan():
        return np.asarray(samples, np.float32)
    rng = np.random.default_rng(plan.seed)
    sound = np.asarray(samples, np.float64)
    if plan.speed != 1.0:
        sound = soxr.resample(sound, SAMPLE_RATE * plan.speed, SAMPLE_RATE)
    level = _speech_level(sound)
    sound = np.concatenate([np.zeros(round(plan.lead * SAMPLE_RATE)), sound])
    if plan.room > 0.0:
        sound = _in_room(sound, plan.room, rng)
    if plan.noise != "none" and level > 0.0:
        sound = sound + level * 10.0 ** (-plan.snr / 20.0) * make_noise(plan.noise, len(sound), rng)
    if plan.band != (0.0, SAMPLE_RATE / 2):
        sound = _keep_band(sound, *plan.band)
    sound = sound * 10.0 ** (plan.gain / 20.0)
    if plan.codec:
        sound = _mu_law(np.clip(sound, -1.0, 1.0))
    return np.clip(sound, -1.0, 1.0).astype(np.float32)


def make_noise(kind: str, length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit RMS: white, pink (1/f power), brown (1/f^2), hiss (rising) or hum (50 or 60 Hz and overtones)."""
    if kind == "hum":
        time = np.arange(length) / SAMPLE_RATE
        base = float(rng.choice([50.0, 60.0, 100.0, 120.0]))
        parts = [rng.uniform(0.2, 1.0) / n * np.sin(2 * np.pi * (n * base * time + rng.random())) for n in range(1, 8)]
        noise = np.sum(parts, axis=0)
    else:
        spectrum = np.fft.rfft(rng.standard_normal(length))
        frequency = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 20.0)
        slope = {"white": 0.0, "pink": -0.5, "brown": -1.0, "hiss": 0.5}[kind]
        noise = np.fft.irfft(spectrum * frequency**slope, length)
    return noise / max(float(np.sqrt(np.mean(noise**2))), 1e-12)


def _speech_level(sound: np.ndarray) -> float:
    """RMS of the louder half of 20 ms pieces: pauses must not make a clip look quiet."""
    pieces = sound[: len(sound) // 320 * 320].reshape(-1, 320)
    if len(pieces) == 0:
        return 0.0
    power = np.sort(np.mean(pieces**2, axis=1))
    return float(np.sqrt(np.mean(power[len(power) // 2 :])))


def _in_room(sound: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A small room: the direct sound at time 0, then noise that falls by 60 dB in `seconds`."""
    length = round(seconds * SAMPLE_RATE)
    response = rng.standard_normal(length) * 10.0 ** (-3.0 * np.arange(length) / length)
    response[: round(0.003 * SAMPLE_RATE)] = 0.0
    response *= rng.uniform(0.2, 0.7) / np.sqrt(np.sum(response**2))
    response[0] = 1.0
    size = 1 << (len(sound) + length).bit_length()
    return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)[: len(sound)]


def _keep_band(sound: np.ndarray, low: float, high: float) -> np.ndarray:
    """Zero-phase band-pass with raised-cosine edges of 15 % of each corner frequency."""
    frequency = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    keep = np.ones_like(frequency)
    if low > 0.0:
        keep *= 0.5 - 0.5 * np.cos(np.pi * np.clip((frequency - 0.85 * low) / (0.3 * low), 0.0, 1.0))
    if high < SAMPLE_RATE / 2:
        keep *= 0.5 + 0.5 * np.cos(np.pi * np.clip((frequency - 0.85 * high) / (0.3 * high), 0.0, 1.0))
    return np.fft.irfft(np.fft.rfft(sound) * keep, len(sound))


def _mu_law(sound: np.ndarray) -> np.ndarray:
    """Through 8-bit mu-law (ITU-T G.711's curve) and back."""
    coded = np.round(np.sign(sound) * np.log1p(255.0 * np.abs(sound)) / np.log(256.0) * 127.0) / 127.0
    return np.sign(coded) * (256.0 ** np.abs(coded) - 1.0) / 255.0
