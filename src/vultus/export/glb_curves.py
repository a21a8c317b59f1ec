"""Curves of an animation in a .glb: keys at any times, as they are read and as they move between keys.

Source: Khronos, glTF 2.0 specification, section 3.11 and appendix C (animations).
Letters: T motion frames, n keys, C columns that are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vultus.export.glb_file import GlbFile

MAX_SECONDS = 60.0
"""A style is taken from the first minute."""

_DEFAULT_FPS = 60.0
_SLOWEST = 20.0  # keys further apart are a curve to be sampled, not frames
_FASTEST = 240.0
_MAX_KEYS = 20_000  # in the first minute
_BLOCK = 4_000_000  # numbers read at a time


@dataclass(frozen=True, eq=False)
class Curve:
    """Keys of C columns: times (n,) ascending; `load` gives (n, 1, C), or (n, 3, C) with the tangents of a spline."""

    times: np.ndarray
    mode: str
    load: Callable[[], np.ndarray]

    def at(self, times: np.ndarray) -> np.ndarray:
        """(T, C) float64; before the first and after the last key their values hold."""
        return interpolate(self.times, self.load(), self.mode, times)


def interpolate(at: np.ndarray, values: np.ndarray, mode: str, times: np.ndarray) -> np.ndarray:
    keys = values[:, values.shape[1] // 2]
    if len(keys) == 1:
        return np.repeat(keys, len(times), axis=0)
    low = np.clip(np.searchsorted(at, times, side="right") - 1, 0, len(keys) - 2)
    span = (at[low + 1] - at[low])[:, None]
    u = np.clip((times - at[low])[:, None] / span, 0.0, 1.0)
    if mode == "STEP":  # a frame that stands on a key but for rounding has that key's value
        return np.where(u < 1.0 - 1e-4, keys[low], keys[low + 1])
    if mode == "LINEAR":
        return np.asarray(keys[low] * (1 - u) + keys[low + 1] * u)
    leave, arrive = values[low, 2] * span, values[low + 1, 0] * span
    square, cube = u**2, u**3
    curve = keys[low] * (2 * cube - 3 * square + 1) + keys[low + 1] * (3 * square - 2 * cube)
    return np.asarray(curve + leave * (cube - 2 * square + u) + arrive * (cube - square))


def read_curve(file: GlbFile, animation: dict[str, Any], sampler: int, width: int, columns: list[int] | None) -> Curve:
    """A sampler's keys of the first minute; `width` weights a key, of which `columns` are kept (None: a rotation)."""
    samplers = file.objects(animation, "samplers")
    if sampler >= len(samplers):
        file.refuse(f"sampler {sampler} of its animation is not there")
    told = samplers[sampler]
    accessors = len(file.objects(file.json, "accessors"))
    source, output = file.number(told, "input", accessors), file.number(told, "output", accessors)
    mode = told.get("interpolation", "LINEAR")
    if mode not in ("LINEAR", "STEP", "CUBICSPLINE"):
        file.refuse(f"interpolation {str(mode)[:20]} is unknown; expected LINEAR, STEP or CUBICSPLINE")
    times = file.read(source, "SCALAR", _MAX_KEYS + 1)
    if len(times) == 0 or (np.diff(times) <= 0).any():
        file.refuse("the times of its keys do not rise; expected at least one, each later than the one before")
    used = min(int(np.searchsorted(times, times[0] + MAX_SECONDS, side="right")) + 1, len(times))
    if used > _MAX_KEYS:
        file.refuse(f"its first minute has more than {_MAX_KEYS} keys; expected fewer, such as 60 a second")
    each = 3 if mode == "CUBICSPLINE" else 1
    per_key = each * (1 if columns is None else width)
    if file.count(output) != file.count(source) * per_key:
        file.refuse(
            f"an animation has {file.count(output)} values for {file.count(source)} keys; expected {per_key} for each"
        )

    def load() -> np.ndarray:
        if columns is None:
            return file.read(output, "VEC4", used * each).reshape(used, each, 4)
        # By blocks: a face of hundreds of targets would fill memory with those that nobody asks for.
        block = max(1, _BLOCK // per_key)
        parts = []
        for first in range(0, used, block):
            part = file.read(output, "SCALAR", min(used, first + block) * per_key, first * per_key)
            parts.append(part.reshape(-1, each, width)[:, :, columns])
        return np.concatenate(parts)

    return Curve(times[:used], mode, load)


def frame_rate(curve: Curve) -> float:
    """The rate of frames that keys at even times are; 60 for keys that are a curve to be sampled."""
    if len(curve.times) < 3:
        return _DEFAULT_FPS
    times = curve.times - curve.times[0]
    fps = (len(times) - 1) / float(times[-1])
    if not _SLOWEST <= fps <= _FASTEST or np.abs(times * fps - np.arange(len(times))).max() > 0.1:
        return _DEFAULT_FPS
    return float(round(fps)) if abs(fps - round(fps)) < 2e-3 * fps else fps
