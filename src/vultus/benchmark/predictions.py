"""Where predictions come from: a folder of files, a model, or a baseline.

`Source.predict` gives one Prediction for each condition (training subject in whose style a clip was predicted) that a
sequence has; its samples are takes of one model for one speech, read when they are indexed.

Letters: N samples, T motion frames, V vertices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, overload

import numpy as np

from vultus.datasets.base import Dataset, FaceSequence
from vultus.errors import VultusError, unknown_name


class LazySamples(Sequence[np.ndarray]):
    """N takes of (T, V, 3), made or read when they are asked for; the first and the last used are kept."""

    def __init__(self, makers: Sequence[Callable[[], np.ndarray]], length: int | None = None) -> None:
        self._makers, self._length = list(makers), length
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._makers)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | Sequence[np.ndarray]:
        if isinstance(index, slice):
            return LazySamples(self._makers[index], self._length)
        number = range(len(self))[index]
        if number not in self._kept:
            made = self._makers[number]()
            self._kept = {k: v for k, v in self._kept.items() if k == 0} | {number: made}
        return self._kept[number][: self._length]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def cut(self, length: int) -> LazySamples:
        """The same takes, their first frames only."""
        cut = LazySamples(self._makers, length)
        cut._kept = self._kept
        return cut


@dataclass(frozen=True)
class Prediction:
    """One sequence as predicted under one condition.

    Attributes:
        condition: training subject whose style was asked for; "" where there is one prediction only.
        samples: N takes (T', V, 3) in the unit of the data; T' as predicted.
        lengths: T' of each take.
        style: the clip that lent its manner, None where none did or nobody knows.
        notes: what a reader of the result should know.
    """

    condition: str
    samples: LazySamples
    lengths: tuple[int, ...]
    style: FaceSequence | None = None
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """What `evaluate` may know of where predictions come from.

    Attributes:
        about: plain JSON values that tell it from others, for results and for resuming.
        flags: where it has any, lines that results show beside their own; they may change when a run goes on.
    """

    about: dict[str, Any]

    def conditions(self, sequence: FaceSequence) -> tuple[str, ...]:
        """Conditions of a sequence, ("",) where there is one prediction, () where there is none."""
        ...

    def stamp(self, sequence: FaceSequence, condition: str) -> str:
        """Changes when the content of the files does; "" where there are none."""
        ...

    def predict(self, sequence: FaceSequence, condition: str, reference: np.ndarray) -> Prediction:
        """A prediction; the reference (T, V, 3) is for the labelled oracles and baselines, and for its length."""
        ...


BASELINES = {
    "recorded": "the recorded motion itself: what a perfect prediction would score",
    "still": "the neutral face, without motion",
    "takes": "other true takes of the same line (synthetic corpus): what sampling the truth would score",
}


@dataclass
class Baseline:
    """Rows to read a table by: see BASELINES.

    Args:
        name: one of BASELINES.
        data: asked for takes.
        fps: of the protocol.
        choose_style: -> the clip that style metrics compare with, or None.
        num_samples: takes at most; None for all.
    """

    name: str
    data: Dataset
    fps: float
    choose_style: Callable[[FaceSequence], FaceSequence | None] | None = None
    num_samples: int | None = None
    about: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        if self.name not in BASELINES:
            raise unknown_name("baseline", self.name, BASELINES)
        self.about = {"kind": "baseline", "name": self.name, "samples": self.num_samples}
        self._takes = true_takes(self.data) if self.name == "takes" else {}
        if self.name == "takes" and not self._takes:
            raise VultusError(
                f"baseline 'takes': {self.data.name} has no lines with several true takes; use 'recorded'"
            )
        if self.name != "takes" and self.num_samples not in (None, 1):
            raise VultusError(f"baseline '{self.name}' is one take; expected no --samples or 1")

    def conditions(self, sequence: FaceSequence) -> tuple[str, ...]:
        """See Source."""
        return ("",) if self.name != "takes" or sequence.name in self._takes else ()

    def stamp(self, sequence: FaceSequence, condition: str) -> str:
        """See Source."""
        return ""

    def predict(self, sequence: FaceSequence, condition: str, reference: np.ndarray) -> Prediction:
        """See Source."""
        style = self.choose_style(sequence) if self.choose_style is not None else None
        if self.name == "takes":
            takes = self._takes[sequence.name][: self.num_samples]
            samples = LazySamples([lambda take=take: take.vertices(fps=self.fps) for take in takes])  # type: ignore
            return Prediction("", samples, (len(reference),) * len(takes), style)
        moving = reference
        if self.name == "still":
            moving = np.broadcast_to(np.asarray(sequence.template.vertices, np.float32), reference.shape)
        return Prediction("", LazySamples([lambda: moving]), (len(reference),), style)


def true_takes(data: Dataset) -> dict[str, tuple[FaceSequence, ...]]:
    """Name of a sequence -> the other true takes of its line by its subject, where the data set has such."""
    groups = getattr(data, "take_groups", None)
    if groups is None:
        return {}
    return {clip.name: tuple(c for c in group if c is not clip) for group in groups() for clip in group}
