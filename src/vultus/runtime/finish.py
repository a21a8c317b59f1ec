"""What happens to predicted weights before they become a take: rest in silence, smoothing, gains, life, contact.

Letters: T motion frames, K shapes (52 ARKit shapes and the extra tongue shapes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vultus.clock import motion_times
from vultus.errors import VultusError, unknown_name
from vultus.motion import WEIGHT_NAMES

if TYPE_CHECKING:
    from vultus.head import Head
    from vultus.synthesis.prosody import Prosody

#: Part of the face that a gain scales -> beginnings of the names of its shapes. `head` scales head rotation.
PARTS: dict[str, tuple[str, ...]] = {
    "jaw": ("jaw", "mouthClose"),  # mouthClose belongs to the open jaw that it closes the lips of
    "lips": ("mouth", "cheekPuff"),
    "tongue": ("tongue",),
    "brows": ("brow",),
    "eyes": ("eye", "cheekSquint", "noseSneer"),
    "head": (),
}
MAX_GAIN = 3.0

#: Silence is this far below the speaker's level, or this quiet outright.
QUIET_BELOW_SPEAKER_DB = 36.0
QUIET_LEVEL_DB = -62.0
#: A mouth starts before the sound and ends after it; it comes to rest only in pauses longer than the two together.
REST_BEFORE_S, REST_AFTER_S, REST_FADE_S = 0.15, 0.20, 0.12


def part_of(name: str) -> str:
    """The part that a shape belongs to.

    >>> part_of("mouthClose"), part_of("mouthPucker"), part_of("eyeBlinkLeft")
    ('jaw', 'lips', 'eyes')
    """
    if name == "mouthClose":
        return "jaw"
    for part, beginnings in PARTS.items():
        if name.startswith(beginnings or ("head",)):
            return part
    raise VultusError(f"no part of the face holds the shape '{name}'")


PART_OF_COLUMN = tuple(part_of(name) for name in WEIGHT_NAMES)
MOUTH = np.array([part in ("jaw", "lips", "tongue") for part in PART_OF_COLUMN])


def parse_gains(gain: str | Mapping[str, float] | None) -> dict[str, float]:
    """`"jaw=1.2,brows=0.5"` or a mapping -> {part: gain}; VultusError for anything else.

    >>> parse_gains("jaw=1.2, brows=0")
    {'jaw': 1.2, 'brows': 0.0}
    """
    if gain is None:
        return {}
    if isinstance(gain, str):
        pairs = [piece.partition("=") for piece in gain.split(",")]
        if any(not name.strip() or sign != "=" for name, sign, _ in pairs):
            raise VultusError(f"gain '{gain}' is malformed; expected PART=NUMBER,... such as jaw=1.2,brows=0.5")
        items = [(name.strip(), value) for name, _, value in pairs]
        if len({name for name, _ in items}) != len(items):
            raise VultusError(f"gain '{gain}' names a part twice")
    else:
        items = list(gain.items())  # type: ignore[arg-type]
    gains = {}
    for name, value in items:
        if name not in PARTS:
            raise unknown_name("part in gain", name, PARTS)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise VultusError(f"gain of {name} is {value!r}; expected a number from 0 to {MAX_GAIN:g}") from None
        if not 0.0 <= number <= MAX_GAIN:
            raise VultusError(f"gain of {name} is {number:g}; expected 0 to {MAX_GAIN:g}")
        gains[name] = number
    return gains


def smooth_motion(values: np.ndarray, fps: float, milliseconds: float) -> np.ndarray:
    """Gaussian smoothing over time; (T, K) -> (T, K) float32. The ends are held."""
    sigma = milliseconds / 1000.0 * fps
    if sigma < 0.05:  # under a twentieth of a frame nothing changes
        return values
    reach = max(1, int(np.ceil(4 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    out = np.zeros_like(values)
    for offset, weight in enumerate(kernel):
        out += weight * padded[offset : offset + len(values)]
    return out
