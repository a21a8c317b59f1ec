"""What a data set on disk amounts to: sequences, subjects, hours, and sound against motion, split by split.

Lengths come from headers and tables where a data set has them; else a sequence is read. One damaged sequence is a line
of the survey and not its end.

Letters: T motion frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vultus.clock import SAMPLE_RATE
from vultus.datasets.base import Dataset
from vultus.datasets.recorded import FileSequence
from vultus.speech import open_speech

Progress = Callable[[int, int], None]

ROUNDING = 0.0005
"""Seconds by which lengths may differ for being rounded: of sound to 16 kHz, of a cut to whole samples."""


def count_frames(sequence: Any) -> int:
    """T of a sequence at its own rate, as cheaply as its data set allows."""
    counter = getattr(sequence, "count_frames", None)
    if counter is not None:
        return int(counter())
    frames = getattr(sequence, "frames", None)
    if frames is not None:
        return int(frames)
    motion = getattr(sequence, "motion", None)  # numbers of a rig, which need no mesh
    return len(motion(fps=sequence.fps) if motion is not None else sequence.vertices())


def count_seconds(sequence: Any) -> float:
    """Seconds of sound of a sequence, as cheaply as its data set allows."""
    counter = getattr(sequence, "count_seconds", None)
    if counter is not None:
        return float(counter())
    samples = getattr(sequence, "num_samples", None)
    if samples is not None:
        return int(samples) / SAMPLE_RATE
    if isinstance(sequence, FileSequence):
        sound = open_speech(sequence.sound)
        return (sound.expected_samples or sound.num_samples) / SAMPLE_RATE
    return float(sequence.speech().duration)


@dataclass
class SplitSurvey:
    """One split.

    Attributes:
        frames: T of all sequences that could be read, each at its own rate; None where lengths were not looked at.
        seconds: of their motion.
        gaps: (seconds of sound minus seconds of motion, seconds of one frame, name) of each of them.
        broken: name -> why it could not be read.
    """

    name: str
    sequences: int
    subjects: int
    frames: int | None = None
    seconds: float = 0.0
    gaps: list[tuple[float, float, str]] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def beyond(self) -> list[tuple[float, float, str]]:
        """Sequences whose sound and motion differ by more than one frame, the largest difference first."""
        unequal = [gap for gap in self.gaps if abs(gap[0]) > gap[1] + ROUNDING]
        return sorted(unequal, key=lambda gap: -abs(gap[0]))

    @property
    def largest(self) -> tuple[float, float, str] | None:
        """The largest difference; None where nothing was looked at."""
        return max(self.gaps, key=lambda gap: abs(gap[0]), default=None)


def survey(data: Dataset, *, durations: bool = True, progress: Progress | None = None) -> list[SplitSurvey]:
    """Every split of a data set.

    Args:
        durations: look at the lengths of all sequences.
        progress: called with (sequences done, all of them).
    """
    every: dict[str, Sequence[Any]] = {}
    damaged: dict[str, str] = {}
    for name in data.splits:
        try:
            every[name] = data.split(name)
        except Exception as error:  # some data sets look into files for it, and any of them may be damaged
            every[name], damaged[name] = (), str(error) or type(error).__name__
    total, done, found = sum(len(sequences) for sequences in every.values()), 0, []
    for name, sequences in every.items():
        here = SplitSurvey(name, len(sequences), len({sequence.subject for sequence in sequences}))
        here.broken |= {"its list": damaged[name]} if name in damaged else {}
        if durations:
            here.frames = 0
            for sequence in sequences:
                _measure(sequence, here)
                done += 1
                if progress is not None:
                    progress(done, total)
        found.append(here)
    return found


def try_reading(data: Dataset, tries: int = 5) -> str | None:
    """Reads a sequence of each split whole; why none of a split's first few can be read, or None."""
    for split in data.splits:
        why = None
        try:
            sequences = data.split(split)
        except Exception as error:  # damaged data may fail in any way, and the caller tells about it
            return f"split {split}: {str(error) or type(error).__name__}"
        for sequence in sequences[:tries]:
            try:
                sequence.vertices()
                sequence.speech()
            except Exception as error:  # as above
                why = why or f"split {split}: {str(error) or type(error).__name__}"
            else:
                break
        else:
            return why
    return None


def _measure(sequence: Any, into: SplitSurvey) -> None:
    try:
        frames, seconds = count_frames(sequence), count_seconds(sequence)
    except Exception as error:  # as above
        into.broken[sequence.name] = str(error) or type(error).__name__
        return
    assert into.frames is not None
    into.frames += frames
    into.seconds += frames / sequence.fps
    into.gaps.append((seconds - frames / sequence.fps, 1 / sequence.fps, sequence.name))
