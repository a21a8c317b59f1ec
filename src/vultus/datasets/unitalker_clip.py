"""One clip of the UniTalker release (see unitalker.py).

Letters: T motion frames, D numbers of a row, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.datasets.base import Unit, at_rate, vertices_at
from vultus.datasets.unitalker_types import PAGE, Annotation
from vultus.errors import VultusError
from vultus.readers.numpy_files import read_npy
from vultus.speech import Speech, SpeechFile, open_speech
from vultus.topology import Template

LONGEST = 20.0  # seconds, as published


@dataclass(frozen=True, eq=False)
class UniTalkerSequence:
    """One clip (see FaceSequence).

    Attributes:
        fps: rate after the published thinning (or the stored one, where `published` is off).
        type: of the annotation; knows the unit and how rows become vertices.
        neutral_row: the subject's row of id_template.npy.
        step: every which row is taken.
        published: cut to the shorter of sound and motion, and to 20 s.
    """

    name: str
    subject: str
    sentence: str
    split: str
    source: str
    fps: float
    type: Annotation
    neutral_row: np.ndarray
    annotation_file: Path
    sound: Path
    step: int
    published: bool

    @property
    def unit(self) -> Unit:
        """Of this annotation type; VultusError where only an option can tell it."""
        return self.type.unit

    @property
    def template(self) -> Template:
        """The subject's neutral face."""
        return self.type.neutral(self.neutral_row)

    def _rows(self) -> np.ndarray:
        """(T, D), thinned, memory-mapped."""
        rows = read_npy(self.annotation_file, self.source, f"obtain it again, see {PAGE}")
        width = self.type.width
        flat = rows.reshape(len(rows), -1) if rows.ndim > 1 and len(rows) else rows
        if flat.ndim != 2 or not len(flat) or flat.shape[1] != width or rows.dtype.kind not in "fiu":
            raise VultusError(
                f"{self.source}: {self.annotation_file} holds {rows.dtype} {rows.shape}; expected (frames, {width}) as "
                f"{self.type.name}"
            )
        return flat[:: self.step]

    def _source(self) -> Speech | SpeechFile:
        """The sound, not cut; samples in an .npy are 16 kHz."""
        if not self.sound.is_file():
            raise VultusError(f"{self.source}: {self.name}: no sound {self.sound}; obtain it again, see {PAGE}")
        if self.sound.suffix != ".npy":
            return open_speech(self.sound)
        samples = read_npy(self.sound, self.source, f"obtain it again, see {PAGE}", mapped=False)
        return Speech.from_array(samples, SAMPLE_RATE, self.name)

    def duration(self) -> float:
        """Seconds that are used: of the shorter of sound and motion, 20 at most, as published."""
        sound = self._source()
        length = (sound.expected_samples or sound.num_samples) / SAMPLE_RATE
        return min(length, len(self._rows()) / self.fps, LONGEST)

    def speech(self) -> Speech:
        """See FaceSequence."""
        samples = np.concatenate(list(self._source().blocks()))
        if self.published:
            samples = samples[: round(self.duration() * SAMPLE_RATE)]
        return Speech(samples, self.name)

    def motion(self, *, fps: float | None = None) -> np.ndarray:
        """(T, D) float32: the rows as stored, unscaled, at `fps` or the sequence's own rate."""
        rows = self._rows()
        if self.published:
            rows = rows[: round(self.duration() * self.fps)]
        values = at_rate(rows, self.fps, fps)
        if not np.isfinite(values).all():
            raise VultusError(
                f"{self.source}: {self.annotation_file} holds NaN or infinite numbers; expected finite ones"
            )
        return values

    def vertices(self, *, fps: float | None = None) -> np.ndarray:
        """(T, V, 3) float32 in `unit`; VultusError where the annotation needs a file that was not given."""
        return vertices_at(self, self.type.vertices(self.motion()), fps)
