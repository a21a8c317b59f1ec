"""Which of several draws fits the sound best, by the sync network that is kept for choosing (not the one that scores).

The sound is heard once, in blocks, and kept as embeddings (23 MB an hour); a motion is compared with it in windows.

Letters: T motion frames, D motion dimension, F mel frames (100 Hz), W windows of 0.2 s at 25 fps, E embedding,
K shapes, L lip vertices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from vultus.errors import VultusError
from vultus.features.base import as_samples
from vultus.features.mel import BATCH, STRIDE, WIDTH, MelEncoder
from vultus.metrics.base import Unavailable
from vultus.scoring import signals
from vultus.scoring.runtime import SyncScorer, find_scorer

if TYPE_CHECKING:
    from vultus.head import Head

_MEL_FRAMES = 64 * BATCH  # whole batches, so that mel frames are the same as in one pass
_WINDOWS = 256
_MM = 1000.0


class SyncChoice:
    """Feed it the blocks of a recording, call `finish`, then `score` motions.

    Args:
        head: whose lips move.

    Raises:
        VultusError: no sync network for choosing is at hand for this head.
    """

    def __init__(self, head: Head) -> None:
        try:
            self._net = cast(SyncScorer, find_scorer("sync", head.topology, use="select"))
        except Unavailable as error:
            raise VultusError(f"sampling: {error}") from None
        shapes = head.rig.deltas[:, self._net.arrays["lips"]]
        self._shapes = shapes.reshape(len(shapes), -1) * np.float32(_MM)  # (K, 3 L) mm
        self._mel = MelEncoder(bands=signals.BANDS)
        self._waiting: list[np.ndarray] = []
        self._samples = 0
        self._frames = np.zeros((0, signals.BANDS), np.float32)  # mel frames from `_first` on
        self._first = self._windows = 0
        self._parts: list[np.ndarray] = []
        self._sound = np.zeros((0, self._net.embedding), np.float32)

    def feed(self, block: np.ndarray) -> None:
        """More sound (S,) at 16 kHz."""
        samples = as_samples(block)
        self._waiting.append(samples.copy())
        self._samples += len(samples)
        needed = STRIDE * (_MEL_FRAMES - 1) + WIDTH
        if self._samples < needed:
            return
        sound = np.concatenate(self._waiting)
        while len(sound) >= needed:
            self._add(sound[:needed])
            sound = sound[STRIDE * _MEL_FRAMES :]
        self._waiting, self._samples = [sound.copy()], len(sound)

    def finish(self) -> None:
        """The recording has ended."""
        sound = np.concatenate([np.zeros(0, np.float32), *self._waiting])
        if len(sound) >= WIDTH or not self._first + len(self._frames):
            self._add(sound)
        # The last windows: the sound is held at its end.
        count = -(-(self._first + len(self._frames)) // signals.COLUMNS_A_FRAME)
        self._embed(count)
        self._waiting, self._sound = [], np.concatenate([self._sound, *self._parts])
        self._parts = []

    def score(self, motion: np.ndarray, fps: float) -> float:
        """Mean cosine of sound and lips of a motion (T, D), whose first K columns are weights; 0 under 0.2 s."""
        weights = signals.at_25(np.clip(motion[:, : len(self._shapes)], 0.0, 1.0), fps)
        count, total = max(0, len(weights) - signals.SYNC_FRAMES + 1), 0.0
        for start in range(0, count, _WINDOWS):
            stop = min(count, start + _WINDOWS)
            lips = self._net.lips(weights[start : stop + signals.SYNC_FRAMES - 1] @ self._shapes)
            heard = self._sound[np.minimum(np.arange(start, stop), len(self._sound) - 1)]
            total += float(np.einsum("we,we->", heard, lips, dtype=np.float64))
        return total / max(1, count)

    def _add(self, sound: np.ndarray) -> None:
        self._frames = np.concatenate([self._frames, *self._mel.stream([sound])])
        # Windows whose last column is there: column 4 s - 3 + 19.
        ready = self._first + len(self._frames) - (signals.COLUMNS - signals.LEAD)
        self._embed(ready // signals.COLUMNS_A_FRAME + 1 if ready >= 0 else 0)

    def _embed(self, stop: int) -> None:
        """Windows up to `stop`; then forgets the mel frames before the next one."""
        if stop <= self._windows:
            return
        # Frames before the kept ones are asked for by no window but the first, where they are held, as in one pass.
        first = self._first // signals.COLUMNS_A_FRAME
        self._parts.append(self._net.sound(self._frames, np.arange(self._windows, stop) - first))
        self._windows = stop
        keep = max(0, stop * signals.COLUMNS_A_FRAME - 2 * signals.COLUMNS)
        keep -= keep % signals.COLUMNS_A_FRAME
        if keep > self._first:
            self._frames, self._first = self._frames[keep - self._first :], keep
