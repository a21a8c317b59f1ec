"""Head rotation as a seeded process: pitch and loudness drive it; sway, nods on accents, posture at phrase bounds.

Rotations are axis-angle vectors in radians: +x nods down, +y turns to the left of the subject, +z tilts the crown to
the right. Letters: T motion frames.
"""

from __future__ import annotations

import numpy as np

from vultus.clock import motion_times
from vultus.synthesis.expression import Bump, child, paint, steps, wander
from vultus.synthesis.prosody import Prosody
from vultus.synthesis.style import Style


def head_layer(prosody: Prosody, num_frames: int, fps: float, seed: int, style: Style) -> np.ndarray:
    """Head rotation (T, 3) float32, axis-angle radians about the neck joint; a face at rest hardly moves it."""
    times = motion_times(num_frames, fps)
    active = _glide(prosody.activity, 45)
    alive = 0.3 + 0.7 * prosody.at(active, times).astype(np.float64)
    sway = wander(child(seed, "sway"), times, 1.3, 3) * np.array([1.1, 1.7, 0.9])
    pitch = prosody.at(_glide(prosody.semitones * prosody.activity, 35), times).astype(np.float64)
    loud = prosody.at(_glide(np.maximum(prosody.loudness, -20) * active, 30), times).astype(np.float64)
    driven = np.zeros((num_frames, 3))
    driven[:, 0] = -0.35 * np.clip(pitch, -6, 8) + 0.09 * np.clip(loud, -20, 6)
    rng = child(seed, "nods")
    nods = []
    for at, strength in prosody.accents():
        draw = rng.random(4)
        if draw[0] < 0.55:
            rise = 0.13 + 0.08 * draw[1]
            nods.append(
                Bump(at - 0.8 * rise, rise, 0.0, 0.28 + 0.15 * draw[2], (1.2 + 2.6 * draw[3]) * (0.4 + 0.6 * strength))
            )
    driven[:, 0] += paint(times, nods)
    rng = child(seed, "posture")
    spots = [rng.standard_normal(3) * np.array([0.8, 1.4, 0.9])]
    starts, lengths = [-1.0], [0.5]
    for start, _end in prosody.phrases(0.3):
        after = 0.35 * spots[-1] + rng.standard_normal(3) * np.array([1.3, 2.4, 1.7])
        length, lead = 0.5 + 0.35 * rng.random(), 0.1 + 0.25 * rng.random()
        spots.append(after)
        starts.append(max(start - lead, starts[-1] + lengths[-1]))
        lengths.append(length)
    posture = steps(times, np.array(starts), np.array(lengths), np.array(spots))
    degrees = (sway * alive[:, None] + driven + posture) * style.head_gain
    return np.radians(np.clip(degrees, -18, 18)).astype(np.float32)


def _glide(curve: np.ndarray, width: int) -> np.ndarray:
    """Hann-weighted moving mean over about 2 * width prosody frames; the ends are held."""
    kernel = np.hanning(2 * width + 1)[1:-1]
    padded = np.pad(curve.astype(np.float64), width - 1, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)
