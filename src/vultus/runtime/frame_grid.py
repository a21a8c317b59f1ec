"""Speech features as they come -> rows on the motion frames, each as soon as no later feature can change it.

Letters: f feature frames of a block, C channels, T motion frames.
"""

from __future__ import annotations

import numpy as np

from vultus import clock
from vultus.errors import VultusError


class FrameGrid:
    """One recording's features being interpolated at motion frames; what is behind is forgotten.

    Args:
        rate: feature frames per second.
        offset: time of feature frame 0, seconds.
        fps: motion frames per second.
    """

    def __init__(self, rate: float, offset: float, fps: float) -> None:
        self._rate, self._offset, self._fps = rate, offset, fps
        self._features: np.ndarray | None = None  # feature frames from `_first` on
        self._first = self.ready = 0

    @property
    def held(self) -> int:
        """Feature frames that are kept."""
        return 0 if self._features is None else len(self._features)

    def feed(self, features: np.ndarray) -> np.ndarray:
        """More features (f, C) -> the next rows (n, C) that they settle."""
        features = np.asarray(features, np.float32)
        if len(features) == 0:
            return features
        self._features = features if self._features is None else np.concatenate([self._features, features])
        last = self._offset + (self._first + len(self._features) - 1) / self._rate
        return self._up_to(int(np.floor(last * self._fps - 1e-6)) + 1)

    def finish(self, num_frames: int) -> np.ndarray:
        """The rows that are missing up to frame T = `num_frames`, the last feature held.

        Raises:
            VultusError: no features came.
        """
        if self._features is None:
            raise VultusError("no speech features came; expected at least one frame")
        return self._up_to(num_frames)

    def _up_to(self, ready: int) -> np.ndarray:
        assert self._features is not None
        if ready <= self.ready:
            return self._features[:0]
        offset = self._offset + self._first / self._rate
        times = clock.motion_times(ready - self.ready, self._fps, self.ready)
        rows = clock.resample_at(self._features, self._rate, offset, times)
        self.ready = ready
        behind = int((ready / self._fps - offset) * self._rate) - 2
        behind = min(max(behind, 0), len(self._features) - 1)
        self._features, self._first = self._features[behind:], self._first + behind
        return rows
