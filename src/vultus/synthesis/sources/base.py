"""The contract of a speech source: a list of lines, each with sound, phone times and who speaks.

Listing is cheap (no decoding, no synthesis); reading one line does the work, so that the builder can plan a corpus
first and let worker processes read the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from vultus.synthesis.phones import Phone


@dataclass(frozen=True)
class Line:
    """One line that a source can read: what the builder plans with.

    Attributes:
        name: unique in its source; letters, digits, `_`, `-`, `.` and `+`, so that it can name a file.
        voice: the speaker; a blend of two voices is written `a*0.55+b*0.45`.
        language: a tag such as "en-us".
        text: what is said.
        seconds: length, or an estimate where the sound does not exist yet.
        audio: a compressed sound file that may be linked instead of encoded again, or None.
    """

    name: str
    voice: str
    language: str
    text: str
    seconds: float
    audio: Path | None = None


@dataclass(frozen=True, eq=False)
class SpokenLine:
    """A line with its sound and its phones.

    Attributes:
        samples: (S,) float32 mono at 16 kHz.
        phones: in order of time, without gaps or overlaps larger than rounding.
        source: the name of the source that it came from.
    """

    name: str
    voice: str
    language: str
    text: str
    samples: np.ndarray
    phones: list[Phone]
    source: str


@runtime_checkable
class LineSource(Protocol):
    """A speech source. It travels to worker processes, so it pickles and opens heavy things on first use."""

    name: str
    terms: str

    def lines(self) -> Sequence[Line]:
        """Everything that can be read, in a fixed order."""
        ...

    def read(self, line: Line) -> SpokenLine:
        """Decodes or makes one line; the same line gives the same samples every time."""
        ...


def spoken_lines(source: LineSource) -> Iterator[SpokenLine]:
    """Reads a whole source, line after line."""
    for line in source.lines():
        yield source.read(line)


def voice_parts(voice: str) -> tuple[str, ...]:
    """The plain voices of a voice or blend, the strongest first.

    >>> voice_parts("af_sky*0.45+am_adam*0.55")
    ('am_adam', 'af_sky')
    >>> voice_parts("af_sky")
    ('af_sky',)
    """
    parts = []
    for part in voice.split("+"):
        name, _, share = part.partition("*")
        parts.append((-(float(share) if share else 1.0), name))
    return tuple(name for _, name in sorted(parts, key=lambda pair: pair[0]))
