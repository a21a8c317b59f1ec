"""What training asks of one clip of a data set: its motion cut by cut, and names for its sound and its neutral face.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vultus.datasets.base import RecordedSequence
from vultus.datasets.durations import count_frames
from vultus.errors import VultusError

if TYPE_CHECKING:
    from vultus.speech import Speech
    from vultus.topology import Template


class Clip(Protocol):
    """What training needs of a data set's clip; it must survive pickling where several processes compute features."""

    @property
    def name(self) -> str: ...

    @property
    def subject(self) -> str: ...

    @property
    def template(self) -> Template: ...

    def speech(self) -> Speech: ...


class Offsets:
    """Offsets of a clip's vertices from its template, (T, 3V) in the clip's unit: read when sliced, for all of them
    fill no memory.

    Data sets open large arrays memory-mapped, and shards hold the offsets themselves, so that a few frames are cheap.
    """

    def __init__(self, clip: Any) -> None:
        self._clip, self._frames = clip, count_frames(clip)

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, frames: slice) -> np.ndarray:
        stored = getattr(self._clip, "offsets", None)
        if stored is not None:
            values = np.asarray(stored()[frames], np.float32)
        elif isinstance(self._clip, RecordedSequence):
            values = self._clip.read_vertices()[frames] - np.asarray(self._clip.template.vertices, np.float32)
        else:
            values = self._clip.vertices()[frames] - np.asarray(self._clip.template.vertices, np.float32)
        values = np.asarray(values, np.float32)
        width = self._clip.template.vertices.size
        if not np.isfinite(values).all() or values.size != len(values) * width:
            raise VultusError(
                f"clip '{self._clip.name}': motion is {values.shape} or not finite; expected finite (frames, vertices, "
                "3) on its template; look at the data set with `vultus data check`"
            )
        return values.reshape(len(values), width)


def template_key(clip: Any) -> str:
    """What tells one neutral face from another without reading it: a digest, the clip where each has its own, or the
    subject."""
    digests = getattr(clip, "digests", None)
    if digests is not None:
        return str(digests[0])
    return str(clip.name if getattr(clip, "neutral", "common") == "own" else clip.subject)


def clip_key(clip: Any, *, read: bool = True) -> str:
    """Names the sound of a clip: the data set's own digest of it where there is one, else one made here.

    Cached features are named by it, so it must tell sounds apart; where nothing is cached (`read` False) the clip's
    name will do, and no sound is read beforehand.
    """
    digest = getattr(clip, "audio_sha256", None)
    if digest:
        return str(digest)
    if not read:
        return str(clip.name)
    samples = np.ascontiguousarray(clip.speech().samples, dtype="<f4")
    return hashlib.sha256(samples.tobytes()).hexdigest()
