"""Runs an encoder that looks both ways over sound of any length: overlapping windows, joined by a cross-fade.

Window k ends at frame `first + k * hop` and holds the last `length` frames before its end (fewer at the start). Of each
window but the last, the final `margin` frames are thrown away, since they lack a future, and the `fade` frames before
them are blended into the next window's. The last window ends at the last frame, begins where the next one would, and
holds half a `length` at least. A sound of no more than `first` frames is one pass. Which windows are run depends on
the number of samples alone, so a stream and a whole agree to the bit.

Letters: S samples, F feature frames, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vultus.errors import VultusError
from vultus.features.base import as_samples


@dataclass(frozen=True)
class Grid:
    """Where the frames of an encoder lie: frame i sees samples stride * i to stride * i + receptive - 1."""

    stride: int
    receptive: int

    def num_frames(self, num_samples: int) -> int:
        """Whole frames in `num_samples` samples, 0 where there is none."""
        return max(0, (num_samples - self.receptive) // self.stride + 1)


@dataclass(frozen=True)
class Windows:
    """The plan, all in seconds; see the head of this file.

    Attributes:
        length: of a window.
        hop: between the ends of neighbouring windows.
        margin: future that a frame must have seen.
        fade: of the cross-fade.
        first: length of the first window; `length` where it is None. A short one lets a live stream start early.
    """

    length: float
    hop: float
    margin: float
    fade: float
    first: float | None = None

    def in_frames(self, rate: float) -> tuple[int, int, int, int, int]:
        """(length, hop, margin, fade, first) in frames; VultusError where they do not fit together."""
        first = self.length if self.first is None else self.first
        length, hop, margin, fade, begin = (
            round(value * rate) for value in (self.length, self.hop, self.margin, self.fade, first)
        )
        future = margin + fade
        if min(hop, margin + 1, fade + 1) < 1 or hop + future > length or not future < begin <= length:
            raise VultusError(
                f"windows of length {self.length:g} s, hop {self.hop:g} s, margin {self.margin:g} s,"
                f" fade {self.fade:g} s, first {first:g} s; expected hop + margin + fade <= length and"
                " margin + fade < first <= length, a frame of hop at least"
            )
        return length, hop, margin, fade, begin


class WindowedRun:
    """One sound on its way through an encoder: `feed` samples, take frames, `finish`.

    Args:
        run: (S,) float32 and the number of its first frame -> (F, C) float32, F as `grid` says.
        grid: where the frames lie.
        plan: (length, hop, margin, fade, first) in frames, from `Windows.in_frames`.
        dimension: C.
    """

    def __init__(
        self,
        run: Callable[[np.ndarray, int], np.ndarray],
        grid: Grid,
        plan: tuple[int, int, int, int, int],
        dimension: int,
    ) -> None:
        self._run, self._grid, self._dimension = run, grid, dimension
        self._length, self._hop, self._margin, self._fade, self._end = plan
        self._parts: list[np.ndarray] = []  # sound from sample `_start` on
        self._start = 0
        self._total = 0
        self._done = 0  # frames yielded
        self._tail = np.zeros((0, dimension), np.float32)  # the frames from `_done` on that wait to be blended

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Samples (S,) -> the frames (f, C) that are now settled."""
        samples = as_samples(block)
        self._parts.append(samples.copy())
        self._total += len(samples)
        frames = [np.zeros((0, self._dimension), np.float32)]
        while self._grid.num_frames(self._total) > self._end:
            settled = self._end - self._margin
            begin = max(0, self._end - self._length)
            frames.append(self._window(begin, self._end, settled - self._fade, settled))
            self._end += self._hop
        return np.concatenate(frames) if len(frames) > 1 else frames[0]

    def finish(self) -> np.ndarray:
        """The rest (f, C). A sound of less than a frame is lengthened with silence to one."""
        missing = self._grid.receptive - self._total
        if missing > 0:
            self._parts.append(np.zeros(missing, np.float32))
            self._total += missing
        end = self._grid.num_frames(self._total)
        begin = max(0, min(self._end - self._length, end - self._length // 2))
        return self._window(begin, end, end, end, last=True)

    def _window(self, begin: int, end: int, settled: int, keep_until: int, last: bool = False) -> np.ndarray:
        """Runs the frames `begin` to `end` - 1; yields those up to `settled`, holds the next up to `keep_until`."""
        sound = np.concatenate(self._parts)
        drop = max(0, self._grid.stride * begin - self._start)  # windows only move forward
        sound, self._start = sound[drop:], self._start + drop
        self._parts = [sound]
        if not last:  # the last window keeps the samples after its last frame: one pass over all there is
            sound = sound[: self._grid.stride * (end - 1 - begin) + self._grid.receptive]
        values = self._run(np.ascontiguousarray(sound), begin)[self._done - begin :]
        if len(self._tail):
            count = len(self._tail)
            rise = (np.arange(1, count + 1, dtype=np.float32) / np.float32(count + 1))[:, None]
            values = np.concatenate([self._tail * (1 - rise) + values[:count] * rise, values[count:]])
        self._tail = values[settled - self._done : keep_until - self._done].copy()
        frames = values[: settled - self._done]
        self._done = settled
        return frames
