"""What happens to predicted weights before they become a take: rest in silence, smoothing, gains, life, contact.

Letters: T motion frames, K shapes (52 ARKit shapes and the extra tongue shapes).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from vultus.clock import motion_times
from vultus.errors import VultusError, unknown_name
from vultus.motion import WEIGHT_NAMES

if TYPE_CHECKING:
    from vultus.head import Head
    from vultus.synthesis.prosody import Prosody


class Listener:
    """Hears every block that the model hears: counts samples and gathers the prosody."""

    def __init__(self) -> None:
        from vultus.synthesis.prosody import ProsodyTracker

        self.num_samples = 0
        self._tracker = ProsodyTracker()

    def __call__(self, samples: np.ndarray) -> None:
        self.num_samples += len(samples)
        self._tracker.feed(samples)

    def prosody(self) -> Prosody:
        return self._tracker.finish()


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

#: A mouth that opens no further than this anywhere near is not speaking: what still stirs in it comes to rest.
SHUT_MM, SHUT_AROUND_S = 1.8, 0.35
MAX_TWITCH = 0.15
"""A weight of the mouth that leaps there and back within 67 ms by more is seen as a twitch."""

#: A mouth moves before the sound starts and after it ends; between speech further apart than both it comes to rest.
MOVES_BEFORE_S, MOVES_AFTER_S, REST_FADE_S = 0.16, 0.16, 0.28


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

#: A shape that tells whether a model blinks, or looks about -> columns of life that go with it.
MADE_BY = {
    "eyeBlinkLeft": [i for i, name in enumerate(WEIGHT_NAMES) if name.startswith("eyeBlink")],
    "eyeLookInLeft": [i for i, name in enumerate(WEIGHT_NAMES) if name.startswith(("eyeLook", "eyeWide"))],
}


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


def around(active: np.ndarray, rate: float, before: float, after: float) -> np.ndarray:
    """(P,) float in [0, 1]: 1 from `before` s ahead of anything active to `after` s behind it, 0 far away."""
    at = np.arange(len(active), dtype=np.float64)
    since = (at - np.maximum.accumulate(np.where(active, at, -np.inf))) / rate
    until = (np.minimum.accumulate(np.where(active, at, np.inf)[::-1])[::-1] - at) / rate
    away = np.minimum(since - after, until - before) / REST_FADE_S  # infinite where nothing ever is
    gate = 1.0 - np.clip(away, 0.0, 1.0)
    return gate * gate * (3.0 - 2.0 * gate)


def speaking(prosody: Prosody, num_frames: int, fps: float) -> np.ndarray:
    """(T,) float32 in [0, 1]: 1 where a mouth may move, 0 where nobody speaks; it fades between the two."""
    from vultus.synthesis.prosody import RATE

    gate = around(prosody.activity > 0.5, RATE, MOVES_BEFORE_S, MOVES_AFTER_S)
    return np.interp(motion_times(num_frames, fps), np.arange(len(gate)) / RATE, gate).astype(np.float32)


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


def without_twitches(values: np.ndarray, most: float = MAX_TWITCH) -> np.ndarray:
    """Takes off what leaps up and back, or down and up, by more than `most` within two frames; (T, K) -> (T, K).

    >>> without_twitches(np.array([[0.0], [0.5], [0.2], [0.25]]))[:, 0].round(3).tolist()
    [0.0, 0.35, 0.2, 0.25]
    """
    before, after = values[1:-1] - values[:-2], values[1:-1] - values[2:]
    leap = np.where(before * after > 0, np.minimum(np.abs(before), np.abs(after)), 0.0)
    out = values.copy()
    out[1:-1] -= np.sign(before) * np.maximum(leap - most, 0.0)
    return out


def finish(
    values: np.ndarray,
    fps: float,
    *,
    head: Head,
    prosody: Prosody,
    gains: Mapping[str, float],
    smooth: float,
    life: bool,
    seed: int,
    style: str | None = None,
    still: Collection[str] = (),
    head_rotation: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted weights -> the weights and the head rotation of a take.

    Args:
        values: (T, 55) float32 predicted weights, columns as WEIGHT_NAMES.
        fps: frames per second.
        head: the face that will move; its geometry decides when lips touch.
        prosody: of the same speech.
        gains: from `parse_gains`.
        smooth: standard deviation of extra smoothing, ms.
        life: whether to add what the model does not make of blinks, gaze, brows and head motion.
        seed: of that layer.
        style: presets that the user named; a lively speaker turns the head more than a still one.
        still: names of the shapes that the model leaves still.
        head_rotation: (T, 3) axis-angle, radians, as the model made it; None where it makes none.

    Returns:
        (T, 55) float32 in [0, 1]; (T, 3) float32 axis-angle, radians.
    """
    from vultus.synthesis.performance import combine, contacts_of

    contacts = contacts_of(head)
    values = smooth_motion(values, fps, smooth)
    gate = speaking(prosody, len(values), fps)
    gate *= around(contacts.widest_gap(values) > SHUT_MM, fps, SHUT_AROUND_S, SHUT_AROUND_S).astype(np.float32)
    values = contacts.meet(values * np.where(MOUTH, gate[:, None], 1.0).astype(np.float32))
    turn = None if head_rotation is None else smooth_motion(np.asarray(head_rotation, np.float32), fps, smooth)
    layers = [values]
    if life:
        lively, turn = _life(prosody, len(values), fps, seed, style, still, turn)
        if lively.any():  # a layer of nothing would still round
            layers.append(lively)
    if turn is None:
        turn = np.zeros((len(values), 3), np.float32)
    scale = np.array([gains.get(part, 1.0) for part in PART_OF_COLUMN], np.float32)
    out = combine(*[layer * scale for layer in layers], head=head)
    return out, (turn * gains.get("head", 1.0)).astype(np.float32)


def _life(
    prosody: Prosody,
    num_frames: int,
    fps: float,
    seed: int,
    style: str | None,
    still: Collection[str],
    turn: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The layer of life (T, 55) without what the model makes itself, and the head rotation (T, 3)."""
    from vultus.runtime.styles import manner_of
    from vultus.synthesis.performance import life_layer

    manner = manner_of(style)
    layer, turn = life_layer(prosody, num_frames, fps, seed, manner, brows="browInnerUp" in still, turn=turn)
    for shape, own in MADE_BY.items():
        if shape not in still:
            layer[:, own] = 0.0
    return layer, turn
