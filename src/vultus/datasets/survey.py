"""What a data set on disk amounts to: sequences, subjects, hours, and sound against motion, split by split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vultus.datasets.base import Dataset
from vultus.datasets.durations import Durations

Progress = Callable[[int, int], None]


@dataclass(kw_only=True)
class SplitSurvey(Durations):
    """One split: how much it holds, and the lengths of its sequences."""

    name: str
    sequences: int
    subjects: int


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
        subjects = len({sequence.subject for sequence in sequences})
        here = SplitSurvey(name=name, sequences=len(sequences), subjects=subjects)
        here.broken |= {"its list": damaged[name]} if name in damaged else {}
        if durations:
            here.frames = 0
            for sequence in sequences:
                here.add(sequence)
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
