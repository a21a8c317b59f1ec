"""The only place where seconds, samples, feature frames and motion frames meet.

Conventions:
    sample n stands at n / 16000 s;
    motion frame i stands at i / fps (a Live Link Face row, a GLB key and a video frame agree on that);
    a speech of S samples has T = round(S / 16000 * fps) motion frames, at least 1;
    feature frame j of an encoder stands at offset + j / rate, the centre of the sound that it saw.

Letters: S samples, F feature frames, T motion frames, C channels.
"""

from __future__ import annotations

import numpy as np

from vultus.errors import VultusError

SAMPLE_RATE = 16_000
"""Samples per second of every `Speech`, Hz."""

MIN_FPS, MAX_FPS = 1.0, 240.0


def check_fps(fps: float) -> float:
    """Returns `fps` as a float, or raises VultusError where it is not in [1, 240]."""
    try:
        value = float(fps)
    except (TypeError, ValueError):
        raise VultusError(f"fps is {fps!r}; expected a number from {MIN_FPS:g} to {MAX_FPS:g}") from None
    if not MIN_FPS <= value <= MAX_FPS:  # also false for NaN
        raise VultusError(f"fps is {value:g}; expected {MIN_FPS:g} to {MAX_FPS:g}")
    return value


def num_motion_frames(num_samples: int, fps: float) -> int:
    """Motion frames of a speech of `num_samples` samples at 16 kHz.

    >>> num_motion_frames(16000, 30)
    30
    >>> num_motion_frames(10, 30)
    1
    """
    return max(1, round(num_samples / SAMPLE_RATE * fps))


def motion_times(num_frames: int, fps: float, start: int = 0) -> np.ndarray:
    """Seconds of motion frames start .. start + num_frames - 1, float64 (T,)."""
    return np.arange(start, start + num_frames, dtype=np.float64) / fps


def feature_times(num_frames: int, rate: float, offset: float, start: int = 0) -> np.ndarray:
    """Seconds at which feature frames stand, float64 (F,)."""
    return offset + np.arange(start, start + num_frames, dtype=np.float64) / rate


def resample_at(values: np.ndarray, rate: float, offset: float, times: np.ndarray) -> np.ndarray:
    """Linear interpolation of a uniformly sampled signal at given times; the ends are held.

    Args:
        values: (F, C), frame j at `offset + j / rate` seconds.
        rate: frames per second, Hz.
        offset: time of frame 0, seconds.
        times: (T,) seconds.

    Returns:
        (T, C) float32.
    """
    if len(values) == 0:
        raise VultusError("cannot resample an empty sequence")
    position = np.clip((np.asarray(times, np.float64) - offset) * rate, 0, len(values) - 1)
    low = np.minimum(position.astype(np.int64), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    fraction = (position - low).astype(np.float32)[:, None]
    values = np.asarray(values, np.float32)
    return values[low] * (1 - fraction) + values[high] * fraction


def resample_motion(values: np.ndarray, from_fps: float, to_fps: float, num_frames: int) -> np.ndarray:
    """Motion (T, D) at one frame rate -> (num_frames, D) at another, linear, both starting at time 0."""
    if from_fps == to_fps and len(values) == num_frames:
        return np.asarray(values, np.float32)
    return resample_at(values, from_fps, 0.0, motion_times(num_frames, to_fps))
