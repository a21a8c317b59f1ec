"""What all figures share: the data they are made from, their contract, and what comes out.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vultus.datasets.base import FaceSequence, Unit
from vultus.errors import VultusError
from vultus.topology import Template


class Unavailable(Exception):
    """A figure cannot be made from what was given; `str(exception)` says what it lacks.

    Asked for by name this is an error; among `all` the figure is left out with the reason.
    """


@dataclass(frozen=True)
class Figure:
    """A finished figure.

    Attributes:
        png: the bytes of the picture.
        html: a whole page that reads nothing from elsewhere.
        numbers: what the picture says, as plain JSON values.
    """

    name: str
    png: bytes
    html: str
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What figures are made from.

    Attributes:
        sequences: the chosen ones, in order; all on the topology of `template`.
        template: of the first subject: the face on which what concerns all subjects is drawn.
        data_name: of the data set and split, for captions.
        fps: rate at which motion is read; None for each sequence's own.
        model: name or folder of a bundle, or a run folder; None where none was named.
        compare: a second one, or None.
        predicted_by: who made the predictions that `FigureMaker.add` gets, for captions; "" where there are none.
        turn: degrees about x, y and z that stand the face upright before the camera.
        seed: of whatever is random.
    """

    sequences: Sequence[FaceSequence]
    template: Template
    data_name: str
    fps: float | None = None
    model: str | Path | None = None
    compare: str | Path | None = None
    predicted_by: str = ""
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seed: int = 0

    @property
    def unit(self) -> Unit:
        """Unit of the coordinates of the data."""
        return self.sequences[0].unit

    @property
    def scale(self) -> float:
        """What lengths are multiplied by before they are shown: 1000 for metres (mm), 1 for `area`."""
        return 1000.0 if self.unit == "m" else 1.0

    @property
    def length_unit(self) -> str:
        """Unit of the lengths that are shown."""
        return "mm" if self.unit == "m" else "area units"

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects in the order in which they first come."""
        return tuple(dict.fromkeys(sequence.subject for sequence in self.sequences))

    def templates(self) -> dict[str, Template]:
        """The neutral face of each subject."""
        first = {sequence.subject: sequence for sequence in reversed(self.sequences)}
        return {subject: first[subject].template for subject in self.subjects}


class FigureMaker(Protocol):
    """Gathers what one figure needs in one reading of the data, then draws it.

    Attributes:
        reads_motion: whether `add` has to be called for every sequence; otherwise it is never called.
    """

    reads_motion: bool

    def __init__(self, request: Request) -> None:
        """Checks whether the figure can be made; Unavailable says what is lacking."""
        ...

    def add(self, sequence: FaceSequence, offsets: np.ndarray, prediction: np.ndarray | None) -> None:
        """Takes one sequence: offsets from the subject's template, (T, V, 3) float32 in the data's unit.

        `prediction` has the same shape, or is None where there are no predictions.
        """
        ...

    def finish(self) -> Figure:
        """Draws what was gathered; VultusError where that is too little."""
        ...


@dataclass
class MotionSum:
    """Running sums that give the standard deviation of every vertex, taken about the mean face of each sequence.

    That is the statistic of figures 2 and 4 of Wu et al. 2023: how far a vertex strays from its mean place, over the
    three axes together.
    """

    squares: np.ndarray | None = None
    frames: int = 0

    def add(self, offsets: np.ndarray) -> None:
        """Takes the offsets (T, V, 3) of one sequence."""
        squares = squared_deviation(offsets)
        self.squares = squares if self.squares is None else self.squares + squares
        self.frames += len(offsets)

    def deviation(self) -> np.ndarray:
        """(V,) float64, in the unit of the offsets."""
        assert self.squares is not None
        return np.sqrt(self.squares / self.frames)


def squared_deviation(offsets: np.ndarray) -> np.ndarray:
    """(V,) float64: sum over the frames of (T, V, 3) of the squared distance of a vertex from its mean place."""
    centred = offsets - offsets.mean(0, dtype=np.float64).astype(np.float32)
    return np.einsum("tvx,tvx->v", centred, centred, dtype=np.float64)


def need(module: str) -> Any:
    """Imports a module of the extra `benchmark`; VultusError names the extra where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = {"sklearn": "scikit-learn"}.get(module.split(".")[0], module.split(".")[0])
        raise VultusError(
            f"vultus figures needs the package {package}; install it with: pip install 'vultus[benchmark]'"
        ) from None
