"""The contract of a data set: sequences of speech with the motion of a face, by split.

Letters: T motion frames, V vertices. Seconds; metres, except where a form of a data set forbids it (`unit`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from vultus.clock import check_fps, motion_times, resample_at
from vultus.errors import VultusError
from vultus.speech import Speech
from vultus.topology import Template

#: Unit of coordinates: metres, or `area` where every mesh was scaled to a surface of 1 (BIWI's npy form).
Unit = Literal["m", "area"]


@runtime_checkable
class FaceSequence(Protocol):
    """One recorded (or made) unit. Nothing large is read from disk before a method is called.

    Attributes:
        name: unique in its data set, SUBJECT_SENTENCE where the data set has no name of its own.
        fps: rate of the stored motion; frame i stands at i / fps.
    """

    name: str
    subject: str
    split: str
    source: str
    fps: float

    @property
    def sentence(self) -> str:
        """What is said, as the data set numbers it; the same for two subjects who say the same words."""
        ...

    @property
    def unit(self) -> Unit:
        """Unit of the coordinates."""
        ...

    def speech(self) -> Speech:
        """The sound, mono 16 kHz."""
        ...

    @property
    def template(self) -> Template:
        """The subject's neutral face."""
        ...

    def vertices(self, *, fps: float | None = None) -> np.ndarray:
        """(T, V, 3) float32 at `fps` or at the sequence's own rate."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """A data set on disk in its official layout."""

    name: str

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that hold at least one sequence."""
        ...

    def split(self, name: str) -> Sequence[FaceSequence]:
        """The sequences of a split, in a fixed order; VultusError with near misses where it is unknown."""
        ...


@dataclass(frozen=True, eq=False)
class RecordedSequence:
    """A FaceSequence whose parts are read by calls; what most data sets hand out.

    Attributes:
        read_speech: -> the sound.
        read_vertices: -> (T, V, 3) at `fps`, any float type, memory-mapped where the file allows it.
    """

    name: str
    subject: str
    sentence: str
    split: str
    source: str
    fps: float
    template: Template
    read_speech: Callable[[], Speech]
    read_vertices: Callable[[], np.ndarray]
    unit: Unit = "m"

    def speech(self) -> Speech:
        """See FaceSequence."""
        return self.read_speech()

    def vertices(self, *, fps: float | None = None) -> np.ndarray:
        """See FaceSequence; a whole fraction of the stored rate takes every k-th frame, as the published code does."""
        stored = self.read_vertices()
        expected = (len(self.template.vertices), 3)
        if stored.ndim != 3 or stored.shape[1:] != expected or not len(stored):
            raise VultusError(
                f"{self.source}: {self.name} has motion of shape {stored.shape}; expected (frames, {expected[0]}, 3)"
            )
        rate = self.fps if fps is None else check_fps(fps)
        step = self.fps / rate
        if step == round(step):
            stored = stored[:: int(step)]
        else:
            count = max(1, round(len(stored) / self.fps * rate))
            flat = resample_at(np.reshape(stored, (len(stored), -1)), self.fps, 0.0, motion_times(count, rate))
            stored = flat.reshape(count, *expected)
        values = np.asarray(stored, np.float32)
        if not np.isfinite(values).all():
            raise VultusError(f"{self.source}: {self.name} holds NaN or infinite coordinates; expected finite ones")
        return values


@dataclass(frozen=True)
class Finding:
    """One line of `vultus data check`: what is there, or what is missing and how to get it.

    Attributes:
        good: False where something that the data set needs is missing or broken.
        what: "data_verts.npy: 123341 frames of 5023 vertices", "no templates.pkl".
        remedy: the next step, where `good` is False.
    """

    good: bool
    what: str
    remedy: str = ""
