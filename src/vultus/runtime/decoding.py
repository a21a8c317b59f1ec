"""Speech features as they come -> codes, chunk by chunk, equal to decoding all at once.

Encoder frames are interpolated at motion frames by `vultus.clock`; chunks overlap by exactly the frames that a code
depends on, so that nothing of a chunk's edge is left in the output.

Letters: F feature frames, C feature channels, T motion frames, Z codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from vultus import clock
from vultus.errors import VultusError

if TYPE_CHECKING:
    from vultus.runtime.composite_regional import CompositeRegional, Style

CHUNK = 256
"""Frames decoded at a time."""


class Decoding:
    """One recording being decoded: `feed` features as they come, then `finish`."""

    def __init__(self, model: CompositeRegional, style: Style, template: np.ndarray, chunk: int = CHUNK) -> None:
        self._model, self._style, self._chunk = model, style, max(1, chunk)
        self._template = model.embed_template(template)
        self._features: np.ndarray | None = None  # encoder frames from `_first` on
        self._first = 0
        self._grid: np.ndarray | None = None  # motion frames from `_grid_first` to `_ready`
        self._grid_first = self._ready = self._done = 0

    def feed(self, features: np.ndarray) -> Iterator[np.ndarray]:
        """More features (f, C); yields the codes that no later feature can change, chunk by chunk."""
        features = np.asarray(features, np.float32)
        if len(features) == 0:
            return
        self._features = features if self._features is None else np.concatenate([self._features, features])
        last = self._model.encoder_offset + (self._first + len(self._features) - 1) / self._model.encoder_rate
        self._bring_to_grid(int(np.floor(last * self._model.fps - 1e-6)) + 1)
        if self._model.streams:
            while self._ready - self._done >= self._chunk + self._model.context:
                yield self._decode(self._done + self._chunk)

    def finish(self, num_frames: int | None = None) -> Iterator[np.ndarray]:
        """The rest, up to T = `num_frames`; without it up to the last motion frame that features reach."""
        if self._features is None:
            raise VultusError("no speech features came; expected at least one frame")
        total = max(self._ready, 1) if num_frames is None else num_frames
        self._bring_to_grid(total)
        while self._done < total:
            yield self._decode(min(total, self._done + self._chunk) if self._model.streams else total, total)

    def _bring_to_grid(self, ready: int) -> None:
        """Interpolates features at motion frames up to `ready` and forgets the features that are then behind."""
        if ready <= self._ready or self._features is None:
            return
        rate, fps = self._model.encoder_rate, self._model.fps
        offset = self._model.encoder_offset + self._first / rate
        times = clock.motion_times(ready - self._ready, fps, self._ready)
        rows = clock.resample_at(self._features, rate, offset, times)
        self._grid = rows if self._grid is None else np.concatenate([self._grid, rows])
        self._ready = ready
        behind = int((ready / fps - offset) * rate) - 2
        behind = min(max(behind, 0), len(self._features) - 1)
        self._features, self._first = self._features[behind:], self._first + behind

    def _decode(self, stop: int, total: int | None = None) -> np.ndarray:
        assert self._grid is not None
        low = max(0, self._done - self._model.context)
        high = stop + self._model.context
        high = min(high, self._ready if total is None else total)
        window = self._grid[low - self._grid_first : high - self._grid_first]
        codes = self._model.decode(window, self._style, self._template)[self._done - low : stop - low]
        self._done = stop
        keep = max(0, stop - self._model.context)
        self._grid, self._grid_first = self._grid[keep - self._grid_first :], keep
        return codes
