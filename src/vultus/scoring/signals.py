"""What the scoring networks see: windows of motion and of sound on one grid of 25 frames per second.

Motion frame i stands at i / 25 s. A sync window that begins at frame s holds frames s .. s + 4, and the 20 log-mel
columns whose centres lie around the same 0.2 s: columns 4 s - 3 .. 4 s + 16, which stand from 40 s - 17.5 ms to
40 s + 172.5 ms; the frames' own middle is 2.5 ms later than the columns'. Ends are held.

Letters: T motion frames, V vertices, F mel frames (100 Hz), W windows, D numbers of a motion frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vultus.clock import motion_times, resample_at
from vultus.features.mel import MelEncoder

if TYPE_CHECKING:
    from vultus.speech import Speech

FPS = 25.0
SYNC_FRAMES = 5  # 0.2 s
BANDS, COLUMNS, COLUMNS_A_FRAME, LEAD = 80, 20, 4, 3
STYLE_FRAMES, STYLE_HOP, STYLE_LEAST = 100, 50, 40
OFFSETS = np.arange(-15, 16)
"""Offsets at which sound and motion are compared, frames of 1/25 s."""
LEAST_WINDOWS = 40
"""A clip of fewer windows has no best offset: under ten of them can be compared at all of OFFSETS."""


def at_25(values: np.ndarray, fps: float) -> np.ndarray:
    """(T, D) at `fps` -> (T', D) float32 at 25 fps, linear; T' = round(T / fps * 25), at least 1."""
    count = max(1, round(len(values) / fps * FPS))
    if fps == FPS:
        return np.asarray(values, np.float32)
    return resample_at(values, fps, 0.0, motion_times(count, FPS))


def log_mel(speech: Speech) -> np.ndarray:
    """(F, 80) float32 natural logarithm of mel energies, 100 frames a second; frame j stands at 10 j + 12.5 ms."""
    return MelEncoder(bands=BANDS)(speech).values


def mel_windows(mel: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(F, 80) and first frames (W,) -> (W, 80, 20) float32."""
    columns = COLUMNS_A_FRAME * np.asarray(starts)[:, None] - LEAD + np.arange(COLUMNS)
    picked = np.asarray(mel[np.clip(columns, 0, len(mel) - 1)], np.float32)
    return np.ascontiguousarray(picked.transpose(0, 2, 1))


def motion_windows(motion: np.ndarray, starts: np.ndarray, frames: int = SYNC_FRAMES) -> np.ndarray:
    """(T, D) and first frames (W,) -> (W, frames, D) float32."""
    return np.asarray(motion[np.asarray(starts)[:, None] + np.arange(frames)], np.float32)


def style_starts(num_frames: int) -> np.ndarray:
    """First frames of the style windows of a clip: each 2 s, the last one ending with the clip; none if it is short."""
    if num_frames < STYLE_LEAST:
        return np.zeros(0, np.int64)
    last = max(0, num_frames - STYLE_FRAMES)
    return np.unique(np.append(np.arange(0, last + 1, STYLE_HOP), last))


def distances(audio: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """D(o) = mean over t of ||A_{t + o} - M_t|| for o in OFFSETS, (31,).

    t runs over the windows that every offset can reach, the same for all of them. With more of them at small offsets
    a still face, whose best sound is the silence around a clip, would be found to be in time.

    A least distance at o > 0 says that the fitting sound comes later than the motion: the motion is early.

    Args:
        audio, motion: (W, E), W at least LEAST_WINDOWS.
    """
    pairs = _pairs(audio, motion)
    return np.array([np.linalg.norm(a - m, axis=1).mean() for a, m in pairs])


def cosines(audio: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Mean over t of <A_{t + o}, M_t> for o in OFFSETS, (31,); t as for `distances`."""
    return np.array([np.einsum("we,we->w", a, m).mean() for a, m in _pairs(audio, motion)])


def _pairs(audio: np.ndarray, motion: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    reach, count = int(OFFSETS[-1]), len(motion)
    return [(audio[reach + o : count - reach + o], motion[reach : count - reach]) for o in OFFSETS]


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1."""
    scaled: np.ndarray = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
    return scaled
