"""A performance: one take of a face speaking one line, as separate layers; and how layers go together.

Layers are kept apart because they are known from different things: the speech layer from the phones, the expression
layer from the prosody and slow moods, the random layer (blinks, gaze) from nothing but chance, the head from both. Who
trains a model on sound must not average over what sound does not tell.

Letters: T motion frames; weights are columns as `vultus.motion.WEIGHT_NAMES`, 55, in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from vultus.clock import SAMPLE_RATE, check_fps, num_motion_frames
from vultus.errors import VultusError
from vultus.motion import WEIGHT_NAMES
from vultus.synthesis.articulation import Articulator, articulate
from vultus.synthesis.contacts import Contacts
from vultus.synthesis.expression import child, expression_layer, random_layer
from vultus.synthesis.head_motion import head_layer
from vultus.synthesis.phones import Phone, settle_pauses
from vultus.synthesis.prosody import Prosody, analyse
from vultus.synthesis.style import Style

if TYPE_CHECKING:
    from vultus.head import Head


@dataclass(frozen=True, eq=False)
class Performance:
    """One take.

    Attributes:
        speech: (T, 55) float32, the mouth of the words alone; what a model learns from sound.
        expression: (T, 55) float32, brows and mood.
        random: (T, 55) float32, blinks and gaze.
        head: (T, 3) float32 axis-angle rotation, radians.
        fps: frames per second; frame i stands at i / fps.
        phones: as they were spoken: tidied, pauses settled by energy.
    """

    speech: np.ndarray
    expression: np.ndarray
    random: np.ndarray
    head: np.ndarray
    fps: float
    phones: tuple[Phone, ...] = ()

    def __len__(self) -> int:
        return len(self.speech)


@lru_cache(maxsize=1)
def _default_head() -> Head:
    from vultus.head import load_head

    return load_head()


# One head speaks many lines: its articulator and contacts are made once. Keyed by the object, which is kept alive.
_tools: dict[int, tuple[Head, Articulator, Contacts]] = {}


def _tools_of(head: Head | None) -> tuple[Articulator, Contacts]:
    from vultus.measures import FaceMeasures

    head = _default_head() if head is None else head
    known = _tools.get(id(head))
    if known is None or known[0] is not head:
        measures = FaceMeasures(head.rig, head.template)
        if len(_tools) >= 64:
            _tools.clear()
        known = _tools[id(head)] = (head, Articulator(measures), Contacts(measures))
    return known[1], known[2]


def contacts_of(head: Head | None = None) -> Contacts:
    """What keeps the lips of this face (the default head where None) together and apart."""
    return _tools_of(head)[1]


def perform(
    phones: Sequence[Phone],
    samples: np.ndarray,
    style: Style | None = None,
    head: Head | None = None,
    seed: int = 0,
    fps: float = 60.0,
) -> Performance:
    """Lets a face speak.

    Args:
        phones: what is said and when; from any reader of `vultus.synthesis.phones`.
        samples: (S,) float32 at 16 kHz, what is heard.
        style: how this person moves; neutral by default.
        head: whose face (`vultus.head.load_head(identity)`); the default head where None.
        seed: of this take: same seed, same take.
        fps: motion frames per second.

    Returns:
        T = round(S / 16000 * fps) frames.

    Raises:
        VultusError: samples that are not one channel of finite numbers, an unknown phone, an fps out of range.
    """
    fps = check_fps(fps)
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or len(samples) == 0:
        raise VultusError(
            f"samples have shape {samples.shape}; expected (samples,), mono at {SAMPLE_RATE} Hz, at least one"
        )
    if not np.isfinite(samples).all():
        raise VultusError("samples hold NaN or infinity; expected finite numbers in [-1, 1]")
    style = Style() if style is None else style
    articulator, _ = _tools_of(head)
    prosody = analyse(samples)
    settled = settle_pauses(phones, samples)
    frames = num_motion_frames(len(samples), fps)
    speech = articulate(settled, prosody, style, articulator, int(child(seed, "speech").integers(2**31)), fps, frames)
    turn = head_layer(prosody, frames, fps, seed, style)
    return Performance(
        speech,
        expression_layer(prosody, frames, fps, seed, style),
        random_layer(prosody, frames, fps, seed, style, turn),
        turn,
        fps,
        tuple(settled),
    )


def combine(speech: np.ndarray | Performance, *layers: np.ndarray, head: Head | None = None) -> np.ndarray:
    """Layers -> the weights that are shown; contacts of the speech layer hold.

    Args:
        speech: (T, 55) speech layer, or a Performance (its own layers are then added).
        layers: (T, 55) each, added.
        head: the face on whose mesh contacts are kept; the default head where None.

    Returns:
        (T, 55) float32 in [0, 1].

    Raises:
        VultusError: layers of different shapes.
    """
    if isinstance(speech, Performance):
        layers = (speech.expression, speech.random, *layers)
        speech = speech.speech
    speech = np.asarray(speech, np.float32)
    if speech.ndim != 2 or speech.shape[1] != len(WEIGHT_NAMES):
        raise VultusError(f"speech layer has shape {speech.shape}; expected (frames, {len(WEIGHT_NAMES)})")
    total = np.clip(speech, 0, 1)
    for layer in layers:
        if layer.shape != speech.shape:
            raise VultusError(f"a layer has shape {layer.shape}; expected {speech.shape} as the speech layer")
        # What two layers ask of one shape adds up, the more softly the nearer the limit: 1 - (1 - a)(1 - b).
        total = 1 - (1 - total) * (1 - np.clip(layer, 0, 1))
    _, contacts = _tools_of(head)
    return contacts.keep(total, speech)


def life_layer(
    prosody: Prosody,
    num_frames: int,
    fps: float,
    seed: int,
    style: Style | None = None,
    *,
    brows: bool = True,
    turn: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What a face does besides articulating, for a speech layer that came from a model: brows, mood, blinks, gaze,
    head.

    It needs no phones, depends on the sound only through `prosody` and on nothing else but the seed, and goes on in
    silence (the face then rests and lives). `brows=False` leaves brows and mood to a model that has learnt them; `turn`
    is the head rotation (T, 3) of one that makes it: the eyes then make up for that one.

    Returns:
        Weights (T, 55) float32 in [0, 1], to be given to `combine`; head rotation (T, 3) float32, radians.
    """
    fps = check_fps(fps)
    style = Style() if style is None else style
    turn = head_layer(prosody, num_frames, fps, seed, style) if turn is None else turn
    random = random_layer(prosody, num_frames, fps, seed, style, turn)
    if not brows:
        return random, turn
    expression = expression_layer(prosody, num_frames, fps, seed, style)
    random *= 1 - expression  # 1 - (1 - a)(1 - b), without another copy of an hour
    expression += random
    return expression, turn
