"""Sound against motion: how long sequences last by either, as cheaply as their data set allows.

Lengths come from headers and tables where a data set has them; else a sequence is read. One damaged sequence is a line
and not the end.

Letters: T motion frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.datasets.base import Finding, shortened
from vultus.speech import open_speech

ROUNDING = 0.0005
"""Seconds by which lengths may differ for being rounded: of sound to 16 kHz, of a cut to whole samples."""


def count_frames(sequence: Any) -> int:
    """T of a sequence at its own rate."""
    counter = getattr(sequence, "count_frames", None)
    if counter is not None:
        return int(counter())
    frames = getattr(sequence, "frames", None)
    if frames is not None:
        return int(frames)
    motion = getattr(sequence, "motion", None)  # numbers of a rig, which need no mesh
    return len(motion(fps=sequence.fps) if motion is not None else sequence.vertices())


def count_seconds(sequence: Any) -> float:
    """Seconds of sound of a sequence."""
    counter = getattr(sequence, "count_seconds", None)
    if counter is not None:
        return float(counter())
    samples = getattr(sequence, "num_samples", None)
    return float(sequence.speech().duration) if samples is None else int(samples) / SAMPLE_RATE


def sound_seconds(path: Path) -> float:
    """Seconds of a file of sound, by its header where that tells."""
    sound = open_speech(path)
    return (sound.expected_samples or sound.num_samples) / SAMPLE_RATE


@dataclass(kw_only=True)
class Durations:
    """Lengths of sequences, added one by one.

    Attributes:
        frames: T of all that could be read, each at its own rate; None where lengths were not looked at.
        seconds: of their motion.
        gaps: (seconds of sound minus seconds of motion, seconds of one frame, name) of each of them.
        broken: name -> why it could not be read.
    """

    frames: int | None = None
    seconds: float = 0.0
    gaps: list[tuple[float, float, str]] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)

    def add(self, sequence: Any) -> None:
        """Takes the lengths of a sequence, or why they cannot be told."""
        try:
            frames, seconds = count_frames(sequence), count_seconds(sequence)
        except Exception as error:  # damaged files may fail in any way, and the caller tells about it
            self.broken[sequence.name] = str(error) or type(error).__name__
            return
        self.frames = (self.frames or 0) + frames
        self.seconds += frames / sequence.fps
        self.gaps.append((seconds - frames / sequence.fps, 1 / sequence.fps, sequence.name))

    def beyond(self, allowed: float | None = None) -> list[tuple[float, float, str]]:
        """Gaps of more than `allowed` seconds, by default one frame, the largest first."""
        unequal = [gap for gap in self.gaps if abs(gap[0]) > (gap[1] if allowed is None else allowed) + ROUNDING]
        return sorted(unequal, key=lambda gap: -abs(gap[0]))

    @property
    def largest(self) -> tuple[float, float, str] | None:
        """The largest gap; None where nothing was looked at."""
        return max(self.gaps, key=lambda gap: abs(gap[0]), default=None)


def compare_durations(
    what: str, sequences: Sequence[Any], remedy: str, *, allowed: float | None = None, most: int | None = None
) -> list[Finding]:
    """Lines of a check: sound against motion, and what cannot be read. Raises nothing.

    Args:
        what: begins the line ("split train").
        remedy: where to obtain what is damaged.
        allowed: seconds by which they may differ; by default one frame.
        most: look at so many sequences only, evenly spaced.
    """
    count = len(sequences)
    places = sorted({round(float(x)) for x in np.linspace(0, count - 1, min(most or count, count))}) if count else []
    found = Durations()
    for place in places:
        found.add(sequences[place])
    broken = [Finding(False, f"{name}: {why}", remedy) for name, why in found.broken.items()]
    if found.largest is None:
        return broken
    gap, frame, name = found.largest
    unequal = found.beyond(allowed)
    looked = f"looked at {len(places)} of {count} sequences"
    line = f"{what}: sound minus motion is {1000 * gap:+.0f} ms at most ({name}); {looked}"
    if not unequal:
        return [Finding(True, line), *broken]
    limit = f"{1000 * allowed:g} ms" if allowed is not None else f"one frame ({1000 * frame:.0f} ms)"
    names = shortened([f"{name} ({1000 * gap:+.0f} ms)" for gap, _, name in unequal])
    step = "check that sound and motion come from the same release, and the frame rate"
    return [Finding(False, f"{line}; {len(unequal)} beyond {limit}: {names}", step), *broken]
