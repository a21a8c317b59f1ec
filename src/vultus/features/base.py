"""The contract of a speech encoder: Speech -> features (F, C) at the encoder's own rate.

Letters: S samples at 16 kHz, F feature frames, C channels, T motion frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from vultus.clock import feature_times, motion_times, num_motion_frames, resample_at
from vultus.errors import VultusError

if TYPE_CHECKING:
    from vultus.speech import Speech, SpeechSource


@dataclass(frozen=True, eq=False)
class Features:
    """What an encoder yields.

    Attributes:
        values: (F, C) float32, at least one frame.
        rate: frames per second, Hz.
        offset: time of frame 0, seconds: the centre of the sound that it saw.
    """

    values: np.ndarray
    rate: float
    offset: float

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) == 0:
            raise VultusError(
                f"features have shape {self.values.shape}; expected (frames, channels), one frame at least"
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def times(self) -> np.ndarray:
        """Seconds at which the frames stand, float64 (F,)."""
        return feature_times(len(self.values), self.rate, self.offset)


@runtime_checkable
class Encoder(Protocol):
    """One speech encoder.

    Attributes:
        name: its name in the table of encoders.
        dimension: channels C of a frame.
        rate: frames per second, Hz.
        offset: time of frame 0, seconds.
    """

    name: str
    dimension: int
    rate: float
    offset: float

    def __call__(self, speech: SpeechSource) -> Features:
        """Features of a whole speech, in memory or on disk; one too short for a frame is padded with silence."""
        ...

    def stream(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Blocks of samples (any sizes) -> blocks (f, C) float32 whose concatenation equals the one-shot features.

        Memory does not grow with the length of the sound.
        """
        ...


def at_motion_frames(encoder: Encoder, speech: Speech, fps: float) -> np.ndarray:
    """The features of a whole speech on its round(duration x fps) motion frames, (T, C) float32."""
    found = encoder(speech)
    times = motion_times(num_motion_frames(len(speech.samples), fps), fps)
    return resample_at(found.values, found.rate, found.offset, times)


def as_samples(block: np.ndarray) -> np.ndarray:
    """A block of sound as (S,) float32; VultusError where it has another shape or holds NaN or infinity."""
    samples = np.asarray(block, np.float32)
    if samples.ndim != 1:
        raise VultusError(f"a block of speech has shape {samples.shape}; expected (samples,), mono at 16 kHz")
    if not np.isfinite(samples).all():
        raise VultusError("a block of speech holds NaN or infinite samples; expected finite values, about -1 to 1")
    return samples


def blocks_of(samples: np.ndarray, size: int = 160_000) -> Iterator[np.ndarray]:
    """Cuts samples (S,) into blocks of `size`, the last one shorter, so that a long one is not copied whole."""
    for start in range(0, len(samples), size):
        yield samples[start : start + size]
