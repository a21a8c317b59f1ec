"""Critically damped motion: how a quantity follows its target, and how a contact comes and goes.

After Saltzman and Munhall 1989: x'' = w^2 (target - x) - 2 w x'. Letters: T frames, Q quantities, n contacts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_OVERSHOOT = 1.4  # target of a contact gesture, 1 = contact
_ARRIVE = 2.507733  # w * t at which the response to a step of 1.4 reaches 1
_LEAVE = 1.058402  # w * t at which the decay from 1.4 passes 1


def follow(targets: np.ndarray, stiffness: np.ndarray, rate: float) -> np.ndarray:
    """Critically damped second-order response to targets (T, Q) with natural frequencies (T, Q) rad/s; starts at rest
    on the first target. Exact for targets that are constant within a frame, hence stable for any stiffness."""
    out = np.empty_like(targets)
    step = 1.0 / rate
    w = np.ascontiguousarray(stiffness)
    decay = np.exp(-w * step)
    position, velocity = targets[0].copy(), np.zeros(targets.shape[1])
    for i in range(len(targets)):
        away = position - targets[i]
        drive = (velocity + w[i] * away) * step
        position = targets[i] + (away + drive) * decay[i]
        velocity = (velocity - w[i] * drive) * decay[i]
        out[i] = position
    return out


def contact_pulse(times: np.ndarray, intervals: Sequence[tuple[float, float]], stiffness: np.ndarray) -> np.ndarray:
    """Contact gestures in closed form: 0 to 1.4, at least 1 within each interval (start, end), (T,).

    Each is the lesser of two critically damped responses: to a target of 1.4 set so early that 1 is reached exactly at
    the start, and to its withdrawal so early that 1 is left exactly at the end.

    Args:
        times: (T,) seconds, ascending.
        intervals: seconds.
        stiffness: (n, 2) rad/s of arriving and of leaving.
    """
    out = np.zeros(len(times))
    for (start, end), (arrive, leave) in zip(intervals, stiffness, strict=True):
        low, high = np.searchsorted(times, [start - _ARRIVE / arrive, end + 8 / leave])
        t = times[low:high]
        rise = np.maximum((t - start) * arrive + _ARRIVE, 0)
        fall = np.maximum((t - end) * leave + _LEAVE, 0)
        pulse = np.minimum(1 - (1 + rise) * np.exp(-rise), (1 + fall) * np.exp(-fall))
        out[low:high] = np.maximum(out[low:high], _OVERSHOOT * pulse)
    return out
