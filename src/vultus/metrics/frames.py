"""Errors of each frame, computed once for an Example and shared by all metrics that need them.

Arrays are read a few frames at a time, so memory does not grow with the number of vertices times frames, and arrays
mapped from disk are welcome. Every sample is taken from `Example.samples` once, in order, and only when a metric asks
for it: metrics of one prediction read the first alone.

Where a region has fractional weights, means weigh and "largest distance" looks at `Region.members`.

Letters: T motion frames, B frames of a block, V vertices, N samples, n vertices of a region. Lengths are in the unit
of results (`Example.scale`), float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from vultus.errors import VultusError
from vultus.metrics.base import Example, Mean, Region, check_shapes

BLOCK_BYTES = 1 << 20
"""Of one array in a block: small enough that what one loop reads is still in the processor's cache for the next."""
OWN: tuple[Literal["C"], Literal["W"]] = ("C", "W")
"""What compiled loops ask of an array: contiguous and writable; a view of a mapped file is copied for them."""
MEASURED = ("face", "lips", "upper_face")
"""The regions whose errors are computed together."""


def mean_errors(example: Example, region: str) -> np.ndarray:
    """Mean distance over a region between first sample and reference, weighted, (T,)."""
    example.region(region)
    return _errors(example)[region][:, 0]


class RegionMean(Mean):
    """Mean distance over the one region that `info.needs` names; every sequence counts the same."""

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        (region,) = self.info.needs
        return self.one(float(mean_errors(example, region).mean()))


def weighted_max_errors(example: Example, region: str = "lips") -> np.ndarray:
    """Largest distance times weight of the first sample, (T,)."""
    example.region(region)
    return _errors(example)[region][:, 1]


def max_errors(example: Example, sample: int = 0) -> np.ndarray:
    """Largest distance over the lips, (T,), of any sample."""
    example.region("lips")
    return _samples(example).lips(sample)


def all_max_errors(example: Example) -> np.ndarray:
    """Largest distance over the lips of every sample, (N, T)."""
    return np.stack([max_errors(example, sample) for sample in range(len(example.samples))])


def max_errors_of_mean(example: Example) -> np.ndarray:
    """Largest distance over the lips between the mean of all samples and the reference, (T,)."""
    example.region("lips")
    return _samples(example).lips_of_mean()


def checked_region(region: Region, num_vertices: int) -> Region:
    """The region; VultusError where it names vertices that the mesh has not, or none."""
    if not len(region.vertices):
        raise VultusError(f"region '{region.name}' ({region.source}) is empty; expected one vertex at least")
    low, high = int(region.vertices.min()), int(region.vertices.max())
    if low < 0 or high >= num_vertices:
        raise VultusError(
            f"region '{region.name}' ({region.source}) names vertex {low if low < 0 else high}; the mesh has vertices "
            f"0 to {num_vertices - 1}; use a region of the same topology"
        )
    return region


def blocks(array: np.ndarray, what: str, limit: int | None = None) -> Iterator[tuple[slice, np.ndarray]]:
    """(frames, their vertices (B, V, 3) float32 contiguous), in order; VultusError for NaN and infinite ones.

    Args:
        array: (T, V, 3) of any float type, in memory or mapped.
        what: for the message.
        limit: bytes of a block, BLOCK_BYTES by default.
    """
    step = max(1, (BLOCK_BYTES if limit is None else limit) // max(1, 12 * array.shape[1]))
    for begin in range(0, len(array), step):
        frames = slice(begin, min(begin + step, len(array)))
        block = np.require(array[frames], np.float32, OWN)
        if not np.isfinite(block).all():
            raise VultusError(f"{what} holds NaN or infinite coordinates; expected finite ones")
        yield frames, block


def _errors(example: Example) -> dict[str, np.ndarray]:
    return _samples(example).first()


def _samples(example: Example) -> _Samples:
    if "frames" not in example.cache:
        example.cache["frames"] = _Samples(example)
    found: _Samples = example.cache["frames"]
    return found


class _Samples:
    """The samples of one example, read one after the other, each once."""

    def __init__(self, example: Example) -> None:
        if not len(example.samples):
            raise VultusError(f"sequence {example.name} has no prediction; expected one sample at least")
        self.example = example
        self.regions = {
            name: checked_region(example.regions[name], example.reference.shape[1])
            for name in MEASURED
            if name in example.regions and example.reference.ndim == 3
        }
        self.of_first: dict[str, np.ndarray] = {}
        self.largest: list[np.ndarray] = []
        self.of_mean: np.ndarray | None = None
        # Sum of prediction - reference over the samples read so far; (T, lips, 3) float32, only for two or more.
        self.summed: np.ndarray | None = None
        self.read = 0

    def first(self) -> dict[str, np.ndarray]:
        """By region (T, 3): weighted mean, largest weighted distance, largest distance."""
        if not self.read:
            self._read()
        return self.of_first

    def lips(self, sample: int) -> np.ndarray:
        while self.read <= sample:
            self._read()
        return self.largest[sample]

    def lips_of_mean(self) -> np.ndarray:
        self.lips(len(self.example.samples) - 1)
        if self.of_mean is None:
            if self.summed is None:
                self.of_mean = self.largest[0]
            else:
                length = np.sqrt(np.einsum("tvk,tvk->tv", self.summed, self.summed).max(1))
                self.of_mean = length.astype(np.float64) * (self.example.scale / self.read)
                self.summed = None
        return self.of_mean

    def _read(self) -> None:
        """Takes the next sample: all errors of the first, those of the lips of the others."""
        from vultus.metrics import kernels

        example, reference = self.example, self.example.reference
        prediction = example.samples[self.read]
        check_shapes(prediction, reference)
        count = len(reference)
        lips = self.regions.get("lips")
        members = np.empty(0, np.int64) if lips is None else np.require(lips.vertices[lips.members], np.int64, OWN)
        if self.summed is None and len(example.samples) > 1:
            self.summed = np.zeros((count, len(members), 3), np.float32)
        of_first = {name: np.empty((count, 3)) for name in self.regions}
        largest = np.zeros(count)
        tools = {name: _kernel_form(region) for name, region in self.regions.items()}
        pairs = zip(blocks(prediction, "prediction"), blocks(reference, "reference"), strict=True)
        for (frames, p), (_, r) in pairs:
            if not self.read:
                distance = np.empty(p.shape[:2], np.float32)
                kernels.distances(p, r, distance)
                for name, tool in tools.items():
                    kernels.region_errors(distance, *tool, of_first[name][frames])
            if self.summed is not None:
                kernels.add_differences(p, r, members, self.summed[frames], largest[frames])
        if not self.read:
            self.of_first = {name: values * example.scale for name, values in of_first.items()}
            self.largest.append(self.of_first["lips"][:, 2] if lips is not None else largest)
        else:
            self.largest.append(largest * example.scale)
        self.read += 1


def _kernel_form(region: Region) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, weights and members as the loops want them."""
    return (
        np.require(region.vertices, np.int64, OWN),
        np.require(region.weights, np.float32, OWN),
        region.members.astype(np.float32),
    )
