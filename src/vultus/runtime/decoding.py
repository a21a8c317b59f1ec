"""Speech features as they come -> codes, chunk by chunk, equal to decoding all at once.

Encoder frames are interpolated at motion frames by `vultus.clock`; chunks overlap by exactly the frames that a code
depends on, so that nothing of a chunk's edge is left in the output.

Letters: F feature frames, C feature channels, T motion frames, Z codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from vultus.runtime.frame_grid import FrameGrid

if TYPE_CHECKING:
    from vultus.runtime.composite_regional import CompositeRegional, Style

CHUNK = 256
"""Frames decoded at a time."""


class Decoding:
    """One recording being decoded: `feed` features as they come, then `finish`."""

    def __init__(self, model: CompositeRegional, style: Style, template: np.ndarray, chunk: int = CHUNK) -> None:
        self._model, self._style, self._chunk = model, style, max(1, chunk)
        self._template = model.embed_template(template)
        self._frames = FrameGrid(model.encoder_rate, model.encoder_offset, model.fps)
        self._grid: np.ndarray | None = None  # motion frames from `_grid_first` to `_frames.ready`
        self._grid_first = self._done = 0

    def feed(self, features: np.ndarray) -> Iterator[np.ndarray]:
        """More features (f, C); yields the codes that no later feature can change, chunk by chunk."""
        self._keep(self._frames.feed(features))
        if self._model.streams:
            while self._frames.ready - self._done >= self._chunk + self._model.context:
                yield self._decode(self._done + self._chunk)

    def finish(self, num_frames: int | None = None) -> Iterator[np.ndarray]:
        """The rest, up to T = `num_frames`; without it up to the last motion frame that features reach."""
        total = max(self._frames.ready, 1) if num_frames is None else num_frames
        self._keep(self._frames.finish(total))
        while self._done < total:
            yield self._decode(min(total, self._done + self._chunk) if self._model.streams else total, total)

    def _keep(self, rows: np.ndarray) -> None:
        if len(rows):
            self._grid = rows if self._grid is None else np.concatenate([self._grid, rows])

    def _decode(self, stop: int, total: int | None = None) -> np.ndarray:
        assert self._grid is not None
        low = max(0, self._done - self._model.context)
        high = stop + self._model.context
        high = min(high, self._frames.ready if total is None else total)
        window = self._grid[low - self._grid_first : high - self._grid_first]
        codes = self._model.decode(window, self._style, self._template)[self._done - low : stop - low]
        self._done = stop
        keep = max(0, stop - self._model.context)
        self._grid, self._grid_first = self._grid[keep - self._grid_first :], keep
        return codes
