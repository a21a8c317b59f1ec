"""The contract of a metric: a row of numbers for each sequence, and how rows become one value.

A metric sees one sequence at a time (`measure`) and keeps a short row of it; `combine` turns rows into the value. So
scores add up over processes and machines by laying rows side by side, a stopped evaluation goes on where it was, and
the bootstrap draws sequences without measuring anything again.

Letters: T motion frames, V vertices, N samples (takes of one model for one speech), n sequences, W width of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from vultus.errors import VultusError
from vultus.speech import Speech
from vultus.synthesis.phones import Phone
from vultus.topology import Topology

#: Unit of the coordinates that a data set gives; "area" where meshes are scaled to a surface of 1 (BIWI's npy form).
Unit = Literal["m", "area"]
#: What a value measures; its unit follows from this and from the unit of the coordinates.
Quantity = Literal["length", "length2", "frames x length", "time", "ratio", "correlation", "score", "angle"]

_UNITS = {
    ("length", "m"): "mm", ("length", "area"): "area", ("length2", "m"): "mm2", ("length2", "area"): "area2",
    ("frames x length", "m"): "frames x mm", ("frames x length", "area"): "frames x area",
    ("time", "m"): "ms", ("time", "area"): "ms", ("angle", "m"): "degrees", ("angle", "area"): "degrees",
}  # fmt: skip


class Unavailable(Exception):
    """A metric cannot be had for these data (no network for the topology, no phones, one take only).

    Not an error: the result is null and `str(exception)` says why.
    """


@dataclass(frozen=True)
class Info:
    """What a metric is; the reference in the documentation is made from this.

    Attributes:
        name: as in results, lower case with underscores.
        version: raised whenever a value could change.
        title: a few words.
        formula: in plain text, letters as in this package.
        source: paper, section, equation; or why it is ours.
        quantity: what it measures; see `unit`.
        direction: "lower" or "higher" is better; "zero" or "one" is the value of a perfect prediction, nearer to it
            being better; "none" where neither side is better by itself.
        pooling: how frames and sequences are averaged, in words ("mean over frames, then over sequences").
        needs: names of regions and of optional parts of an Example ("speech", "phones", "samples", "style_reference").
        draws: of the bootstrap; fewer where `combine` is costly.
    """

    name: str
    version: int
    title: str
    formula: str
    source: str
    quantity: Quantity
    direction: Literal["lower", "higher", "zero", "one", "none"]
    pooling: str
    needs: tuple[str, ...] = ()
    draws: int = 1000

    def unit(self, coordinates: Unit) -> str:
        """Unit of the value, "" for pure numbers.

        >>> Info("x", 1, "", "", "", "length", "lower", "").unit("m")
        'mm'
        """
        return _UNITS.get((self.quantity, coordinates), "")


@dataclass(frozen=True, eq=False)
class Region:
    """Named vertices with weights.

    Attributes:
        vertices: (n,) int64, sorted, each once.
        weights: (n,) float32, above 0; all 1 for a plain set.
        source: "file NAME", "topology", "geometry" or "given".
    """

    name: str
    vertices: np.ndarray
    weights: np.ndarray
    source: str

    @cached_property
    def members(self) -> np.ndarray:
        """(n,) bool: the vertices that count where a plain set is needed (maxima, the classic board).

        Those of more than half of the largest weight: all of a plain set, and of MeshTalk's weights the set that
        others publish as its mouth.
        """
        chosen: np.ndarray = self.weights > 0.5 * self.weights.max(initial=0)
        return chosen

    @cached_property
    def digest(self) -> str:
        """12 hexadecimal digits over vertices and weights."""
        import hashlib

        sha = hashlib.sha256(np.ascontiguousarray(self.vertices, "<i8").tobytes())
        sha.update(np.ascontiguousarray(self.weights, "<f4").tobytes())
        return sha.hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence to score.

    Attributes:
        reference: (T, V, 3) float32, the recorded motion.
        samples: N predictions (T, V, 3) float32, of the same length; may be lazy (read when indexed), so that a hundred
            takes never lie in memory together. `prediction` is the first.
        template: (V, 3), the subject's neutral face.
        regions: by name, "face" (all vertices of the face) among them.
        speech: None where the sound is not at hand.
        phones: who says what when; None where unknown.
        style_reference: (T', V, 3) offsets from its own template of the clip whose manner was asked for, or None.
        extras: what a data set adds, such as "true_samples" of the synthetic corpus.
    """

    name: str
    subject: str
    fps: float
    unit: Unit
    reference: np.ndarray
    samples: Sequence[np.ndarray]
    template: np.ndarray
    topology: Topology
    regions: Mapping[str, Region]
    speech: Speech | None = None
    phones: tuple[Phone, ...] | None = None
    style_reference: np.ndarray | None = None
    style_subject: str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_arrays(
        cls,
        reference: np.ndarray,
        samples: Sequence[np.ndarray],
        template: np.ndarray,
        regions: Mapping[str, Region | Sequence[int] | np.ndarray] | None = None,
        **more: Any,
    ) -> Example:
        """An example of arrays in memory: for notebooks and for one's own loop.

        Args:
            reference: (T, V, 3).
            samples: predictions, (T, V, 3) each.
            template: (V, 3), the neutral face.
            regions: vertex numbers, or a Region with weights, by name. "face" is all vertices unless given.
            more: other fields of an Example; by default 25 fps, metres, no triangles, subject and name "sequence".

        >>> still = np.zeros((2, 3, 3))
        >>> Example.from_arrays(still, [still + 1], still[0], {"lips": [0, 1]}).region("lips").weights
        array([1., 1.], dtype=float32)
        """
        vertices = np.asarray(template, np.float32)
        given = {"face": np.arange(len(vertices)), **(regions or {})}
        made = {}
        for name, region in given.items():
            if not isinstance(region, Region):
                numbers = np.unique(np.asarray(region, np.int64))
                region = Region(name, numbers, np.ones(len(numbers), np.float32), "given")
            made[name] = region
        topology = Topology(np.zeros((0, 3), np.int32), len(vertices))
        fields = {"name": "sequence", "subject": "sequence", "fps": 25.0, "unit": "m", "topology": topology, **more}
        return cls(reference=reference, samples=samples, template=vertices, regions=made, **fields)

    @property
    def prediction(self) -> np.ndarray:
        """The first sample, (T, V, 3)."""
        return self.samples[0]

    @property
    def scale(self) -> float:
        """What lengths are multiplied by to be in the unit of results: 1000 for metres (mm), 1 for `area`."""
        return 1000.0 if self.unit == "m" else 1.0

    def region(self, name: str) -> Region:
        """A region; Unavailable where the protocol has none of that name."""
        if name not in self.regions:
            raise Unavailable(f"no region '{name}'")
        return self.regions[name]

    @cached_property
    def cache(self) -> dict[Any, Any]:
        """Where metrics share what is costly to compute (see metrics/frames.py)."""
        return {}


@runtime_checkable
class Metric(Protocol):
    """A metric. Instances hold no state of a run; `Accumulator` does."""

    info: Info

    def measure(self, example: Example) -> np.ndarray:
        """What one sequence contributes: (W,) float64. Unavailable where it cannot be measured on these data.

        For the metrics that average, W = 2: a sum and the weight it stands for; weight 0 where nothing was found.
        """
        ...

    def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Rows (n, W) -> values (R,); times (R, n) says how often each sequence counts in each of R draws."""
        ...


class Mean:
    """`combine` for rows (sum, weight): the weighted mean. One weight for each sequence, or one for each frame."""

    info: Info

    def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """See `Metric.combine`; NaN where all weights are 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value: np.ndarray = (times @ rows[:, 0]) / (times @ rows[:, 1])
        return value

    @staticmethod
    def one(value: float) -> np.ndarray:
        """The row of a sequence that counts once; a NaN counts not at all."""
        return np.array([value, 1.0]) if np.isfinite(value) else np.zeros(2)


def check_shapes(prediction: np.ndarray, reference: np.ndarray) -> None:
    """VultusError unless both are (T, V, 3), equal in shape, T at least 1."""
    if prediction.ndim != 3 or prediction.shape[2] != 3 or prediction.shape != reference.shape or not len(reference):
        raise VultusError(
            f"prediction has shape {prediction.shape} and reference {reference.shape}; expected the same (frames, "
            "vertices, 3), one frame at least"
        )


def check_pair(prediction: np.ndarray, reference: np.ndarray) -> None:
    """VultusError unless both are (T, V, 3), equal in shape, T at least 1, and finite."""
    check_shapes(prediction, reference)
    for what, array in (("prediction", prediction), ("reference", reference)):
        if not np.isfinite(array).all():
            raise VultusError(f"{what} holds NaN or infinite coordinates; expected finite ones")
