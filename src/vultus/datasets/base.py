"""The contract of a data set: sequences of speech with the motion of a face, by split.

Letters: T motion frames, V vertices. Seconds; metres, except where a form of a data set forbids it (`unit`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from vultus.clock import check_fps, motion_times, resample_at
from vultus.errors import VultusError, unknown_name
from vultus.speech import Speech
from vultus.topology import Template

#: Unit of coordinates: metres, or `area` where every mesh was scaled to a surface of 1 (BIWI's npy form).
Unit = Literal["m", "area"]

_SHOWN = 5  # names in a line about many


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
        """What is said, as the data set numbers it. Two sequences of one subject with equal numbers have equal words.

        Not so between subjects everywhere: each subject of VOCASET has a list of sentences of its own.
        """
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
        return vertices_at(self, self.read_vertices(), fps)


def vertices_at(sequence: Any, stored: np.ndarray, fps: float | None) -> np.ndarray:
    """Stored motion of a sequence -> (T, V, 3) float32 at `fps`; VultusError where it is not of its mesh or not finite.

    Args:
        sequence: a FaceSequence.
        stored: as read, at the sequence's own rate.
        fps: None for the sequence's own.
    """
    subject, expected = f"{sequence.source}: {sequence.name}", sequence.template.vertices.shape
    if stored.ndim != 3 or stored.shape[1:] != expected or not len(stored):
        raise VultusError(f"{subject} has motion of shape {stored.shape}; expected (frames, {expected[0]}, 3)")
    values = at_rate(stored, sequence.fps, fps)
    if not np.isfinite(values).all():
        raise VultusError(f"{subject} holds NaN or infinite coordinates; expected finite ones")
    return values


def at_rate(frames: np.ndarray, stored: float, fps: float | None) -> np.ndarray:
    """(T, ...) at `stored` frames per second -> float32 at `fps`: every k-th frame of a whole fraction, else linear."""
    rate = stored if fps is None else check_fps(fps)
    step = stored / rate
    if step == round(step):
        return np.asarray(frames[:: int(step)], np.float32)
    count = max(1, round(len(frames) / stored * rate))
    flat = resample_at(np.reshape(frames, (len(frames), -1)), stored, 0.0, motion_times(count, rate))
    return np.asarray(flat, np.float32).reshape(count, *frames.shape[1:])


_Sequence = TypeVar("_Sequence")


class SplitTable(Generic[_Sequence]):
    """A data set whose sequences are listed by split when it is opened."""

    name = ""
    root: Path
    _by_split: Mapping[str, Sequence[_Sequence]]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold sequences."""
        return tuple(split for split, found in self._by_split.items() if found)

    def split(self, name: str) -> tuple[_Sequence, ...]:
        """The sequences of a split in a fixed order; VultusError with near misses where it is unknown or empty."""
        if name not in self.splits:
            raise unknown_name(f"split of {self.name} at {self.root}", name, self.splits)
        return tuple(self._by_split[name])


def missing(name: str, root: Path, found: str, expected: str) -> VultusError:
    """The error for a root that is not what a data set needs."""
    return VultusError(
        f"{name}: {root} has {found}; expected {expected}; look at it with `vultus data check {name} {root}`"
    )


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


def shortened(names: Sequence[str]) -> str:
    """A list of names for one line.

    >>> shortened(["a", "b"])
    'a, b'
    """
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def by_reason(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    """Name -> why it was left out, turned round.

    >>> by_reason({"a": "no sound", "b": "no sound"})
    {'no sound': ['a', 'b']}
    """
    names: dict[str, list[str]] = {}
    for name, why in left_out.items():
        names.setdefault(why, []).append(name)
    return names
