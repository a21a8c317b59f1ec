"""The contract of a data set: sequences of speech with the motion of a face, by split.

Letters: T motion frames, V vertices. Metres, seconds; frame i stands at i / fps; T = num_motion_frames(S, fps).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from vultus.speech import Speech
from vultus.topology import Template


@runtime_checkable
class FaceSequence(Protocol):
    """One recorded (or made) unit. Nothing is read from disk before a method is called."""

    name: str
    subject: str
    split: str
    source: str
    fps: float

    def speech(self) -> Speech:
        """The sound, mono 16 kHz."""
        ...

    @property
    def template(self) -> Template:
        """The subject's neutral face, metres."""
        ...

    def vertices(self, *, fps: float | None = None) -> np.ndarray:
        """(T, V, 3) float32 metres, at `fps` or at the sequence's own rate."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """A data set on disk in its official layout. `splits` lists the names that `split` takes."""

    name: str

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that hold at least one sequence."""
        ...

    def split(self, name: str) -> Sequence[FaceSequence]:
        """The sequences of a split, in a fixed order; VultusError with near misses where it is unknown."""
        ...
