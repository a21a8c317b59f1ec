"""Any common sound file -> mono float32 samples at 16 kHz, whole (`Speech`) or block by block (`open_speech`).

wav, aiff, flac, ogg, opus and mp3 are read by soundfile. PyAV is imported only for m4a, aac, mp4, mov, webm, mkv, mpg
and for what soundfile cannot read (see `vultus._decode`), among it files that are damaged or cut short.

Time 0 is the first sample of the sound (of the sound track, for a video). The encoder delay of mp3 and AAC is taken
off where the file states it (LAME tag, mp4 edit list), as both libraries do; a file that does not state it starts up
to 50 ms late (an mp3 of LAME's without its tag: 25 ms, measured). A file that ends before its header says is read up
to where it ends. Sound that is missing or damaged inside a file becomes silence of the same length where the file's
time stamps show its length, with one warning.

Letters: S samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from vultus._decode import (
    MAX_CHANNELS,
    MIN_SECONDS,
    READ,
    Way,
    check_block,
    check_level,
    check_rate,
    decode,
    mono,
    one_line,
    open_sound,
    reblock,
    resample,
    resampled_length,
    too_short,
)
from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError


@runtime_checkable
class SpeechSource(Protocol):
    """Sound that a method can animate: a `Speech` in memory or a `SpeechFile` on disk."""

    @property
    def name(self) -> str:
        """Short name, for messages and output files."""
        ...

    @property
    def num_samples(self) -> int:
        """Exact number of samples at 16 kHz."""
        ...

    @property
    def duration(self) -> float:
        """Seconds."""
        ...

    def blocks(self, block: int = 160_000) -> Iterator[np.ndarray]:
        """Mono float32 at 16 kHz, `block` samples each but for the last; may be called again."""
        ...

    def sound(self, rate: int) -> Iterator[np.ndarray]:
        """Mono float32 at `rate` Hz for a sound track, in pieces of any size; may be called again."""
        ...


@dataclass(frozen=True, eq=False)
class Speech:
    """Speech in memory.

    Attributes:
        samples: (S,) float32, mono, 16 kHz, full scale = 1, finite.
        name: short name, for messages and output files.
    """

    samples: np.ndarray
    name: str = "speech"

    def __post_init__(self) -> None:
        s = self.samples
        if not isinstance(s, np.ndarray) or s.dtype != np.float32 or s.ndim != 1:
            found = f"{s.dtype} {s.shape}" if isinstance(s, np.ndarray) else type(s).__name__
            raise VultusError(
                f"speech '{self.name}': samples are {found}; expected float32 (S,), see Speech.from_array"
            )

    @classmethod
    def from_array(cls, array: np.ndarray, rate: float, name: str = "speech") -> Speech:
        """Samples in memory at any rate -> Speech.

        Args:
            array: (S,) or (S, channels), the order of soundfile; channels are averaged. Floats have full scale 1;
                uint8 (middle 128), int16 and int32 are scaled. A (channels, S) array is refused, not guessed at.
            rate: samples per second, Hz, 1000 to 768000.
            name: short name.

        Raises:
            VultusError: wrong shape or type, bad rate, NaN or infinite samples, less than 0.05 s.
        """
        array = np.asarray(array)
        subject = f"speech '{name}'"
        hz = check_rate(rate, subject)
        if array.ndim not in (1, 2):
            raise VultusError(f"{subject}: array has shape {array.shape}; expected (S,) or (S, channels)")
        if array.ndim == 2 and not 1 <= array.shape[1] <= MAX_CHANNELS:
            raise VultusError(
                f"{subject}: array has shape {array.shape}; expected (S, channels) with 1 to {MAX_CHANNELS} channels;"
                " pass array.T if it is (channels, S)"
            )
        mixed = mono(array if array.ndim == 2 else array[:, None], subject)
        check_level(mixed, subject)
        if len(mixed) < MIN_SECONDS * hz:
            raise too_short(subject, len(mixed) / hz)
        pieces = (mixed[i : i + READ] for i in range(0, len(mixed), READ))
        return cls(np.concatenate(list(resample(pieces, hz, SAMPLE_RATE))), name)

    @classmethod
    def load(cls, path: str | Path, start: float | None = None, end: float | None = None) -> Speech:
        """Reads a file, or the part from `start` to `end` seconds, into memory; see `open_speech`."""
        source = open_speech(path, start, end)
        return cls(np.concatenate(list(source.blocks())), source.name)

    @property
    def num_samples(self) -> int:
        return len(self.samples)

    @property
    def expected_samples(self) -> int:
        """As `num_samples`."""
        return len(self.samples)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE

    def blocks(self, block: int = 160_000) -> Iterator[np.ndarray]:
        """The samples, `block` at a time (views)."""
        check_block(block)
        return (self.samples[i : i + block] for i in range(0, len(self.samples), block))

    def sound(self, rate: int) -> Iterator[np.ndarray]:
        """Mono float32 at `rate` Hz in pieces."""
        hz = check_rate(rate, f"speech '{self.name}'")
        return resample(self.blocks(READ), SAMPLE_RATE, hz)


@dataclass(eq=False)
class SpeechFile:
    """Speech on disk, decoded block by block each time it is read. Made by `open_speech`.

    Attributes:
        path: the file.
        rate: its own sample rate, Hz.
        start: first second used, or None for the beginning.
        end: where it stops, seconds, or None for the end of the sound.
    """

    path: Path
    rate: int
    start: float | None = None
    end: float | None = None
    _way: Way = "av"
    _num_told: int | None = field(default=None, repr=False)  # samples that decoding must give, where known
    _num_source: int | None = field(default=None, repr=False)  # samples of the cut at the file's own rate

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def num_samples(self) -> int:
        """Exact number of samples at 16 kHz. Compressed files are decoded once to find it; it is then kept."""
        if self._num_source is None:
            for _ in self._source():
                pass
        assert self._num_source is not None
        return resampled_length(self._num_source, self.rate, SAMPLE_RATE)

    @property
    def expected_samples(self) -> int:
        """About how many samples there will be at 16 kHz, without decoding; 0 where the file does not tell."""
        told = self._num_source if self._num_source is not None else self._num_told
        if told is None:
            return 0
        if self._num_source is None:
            begin, end = self.start or 0.0, told / self.rate if self.end is None else self.end
            told = round(max(0.0, min(end, told / self.rate) - begin) * self.rate)
        return resampled_length(told, self.rate, SAMPLE_RATE)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.num_samples / SAMPLE_RATE

    def blocks(self, block: int = 160_000) -> Iterator[np.ndarray]:
        """Mono float32 at 16 kHz: the same samples however large the blocks are, and equal to `Speech.load`'s."""
        check_block(block)
        return reblock(resample(self._source(), self.rate, SAMPLE_RATE), block)

    def sound(self, rate: int) -> Iterator[np.ndarray]:
        """Mono float32 at `rate` Hz, straight from the file's own rate, in pieces."""
        return resample(self._source(), self.rate, check_rate(rate, f"'{self.path}'"))

    def _source(self) -> Iterator[np.ndarray]:
        """Checked mono pieces of the cut, at the file's own rate; at least MIN_SECONDS of them, or VultusError."""
        first = round((self.start or 0.0) * self.rate)
        stop = None if self.end is None else round(self.end * self.rate)
        held: list[np.ndarray] = []  # pieces kept back until there is sound enough
        total, enough = 0, math.ceil(MIN_SECONDS * self.rate)
        for piece in decode(self.path, self._way, self.rate, self._num_told, first, stop):
            check_level(piece, f"'{self.path}'")
            total += len(piece)
            held.append(piece)
            if total >= enough:
                yield from held
                held.clear()
        if total < enough:
            if total == 0 and first > 0:
                raise VultusError(
                    f"'{self.path}': start is {self.start:g} s, at or after the end of the sound; pass an earlier start"
                )
            raise too_short(f"'{self.path}'", total / self.rate)
        self._num_source = total


def open_speech(path: str | Path, start: float | None = None, end: float | None = None) -> SpeechFile:
    """Opens a sound or video file without decoding it all: memory stays bounded for hours of sound.

    Args:
        path: the file; its content, not its suffix, tells the format.
        start: seconds from the beginning of the sound, exact to a sample at the file's own rate. Compressed files are
            decoded from their beginning to get there.
        end: seconds from the beginning of the sound; beyond the end of the sound means the end.

    Raises:
        VultusError: no such file, no sound that can be read, a bad cut. What shows only in decoding (a NaN, a start
            after the end of a compressed file) is raised while reading.
    """
    path = Path(path)
    for label, value in (("start", start), ("end", end)):
        if value is not None and not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
            raise VultusError(f"'{path}': {label} is {value!r}; expected seconds from the beginning, 0 or more")
    if end is not None and end <= (start or 0):
        raise VultusError(f"'{path}': end is {end:g} s and start {start or 0:g} s; expected an end after the start")
    try:
        if not path.exists():
            raise VultusError(f"'{path}': no such file; check the name")
        if not path.is_file():
            raise VultusError(f"'{path}': is not a file; expected a sound or video file")
        with path.open("rb") as file:
            empty = not file.read(1)
    except (OSError, ValueError) as error:
        if isinstance(error, VultusError):
            raise
        raise VultusError(f"'{path}': cannot be read ({one_line(error)}); check the name and its permissions") from None
    if empty:
        raise VultusError(f"'{path}': is empty; expected a sound or video file")
    way, rate, frames = open_sound(path)
    source = SpeechFile(path, rate, start, end, _way=way, _num_told=frames)
    if way == "pcm" and frames is not None:
        first = round((start or 0.0) * rate)
        if first >= frames:
            length = frames / rate
            raise VultusError(f"'{path}': start is {start:g} s; expected less than its {length:g} s of sound")
        stop = frames if end is None else min(frames, round(end * rate))
        if stop - first < MIN_SECONDS * rate:
            raise too_short(f"'{path}'", (stop - first) / rate)
        source._num_source = stop - first
    return source
