"""The loudness-only baseline: the jaw follows the smoothed level of the sound, and nothing else moves.

It is what a mouth does without a model. Learned models are measured beside it (docs/results.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vultus.clock import SAMPLE_RATE, motion_times, num_motion_frames
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.motion import WEIGHT_NAMES, Motion
from vultus.runtime.base import Progress, one_take_only
from vultus.topology import Template

if TYPE_CHECKING:
    from vultus.export.read import StyleClip
    from vultus.methods.sampling import Sampling
    from vultus.speech import SpeechSource

HOP = 160
"""Samples of one loudness value: 10 ms."""


class LoudnessModel:
    """jawOpen = 0.45 at the 95th percentile of the level, 0 from 30 dB below it, linear in dB between."""

    name = "loudness"
    styles: tuple[str, ...] = ()
    still_shapes = tuple(name for name in WEIGHT_NAMES if name != "jawOpen")
    takes_apart = False
    default_sampling: str | None = None

    def __init__(self) -> None:
        self._head = load_head()
        self.template = self._head.template

    def predict(
        self,
        source: SpeechSource,
        *,
        style: str | StyleClip | None = None,
        template: Template | None = None,
        num_takes: int = 1,
        seed: int = 0,
        sampling: str | Sampling | None = None,
        progress: Progress | None = None,
    ) -> list[Motion]:
        one_take_only(self.name, num_takes, sampling)
        self.style(style)
        fps = 60.0
        level, samples = self._level(source)
        smooth = np.convolve(np.pad(level, 6, mode="edge"), np.hanning(15)[1:-1] / np.hanning(15).sum(), "valid")
        top = max(float(np.percentile(smooth, 95)), -50.0)
        jaw = np.clip((smooth - (top - 30.0)) / 30.0, 0.0, 1.0) * 0.45
        times = motion_times(num_motion_frames(samples, fps), fps)
        values = np.zeros((len(times), len(WEIGHT_NAMES)), np.float32)
        centres = (np.arange(len(jaw)) + 0.5) * HOP / SAMPLE_RATE
        values[:, WEIGHT_NAMES.index("jawOpen")] = np.interp(times, centres, jaw)
        return [Motion(values, fps, self._head.rig)]

    def style(self, wish: str | StyleClip | None) -> None:
        """Nothing: VultusError for any wish."""
        if wish is not None:
            raise VultusError(f"model '{self.name}' has no styles; expected none, or a model that has")

    @staticmethod
    def _level(source: SpeechSource) -> tuple[np.ndarray, int]:
        """Level in dB of each 10 ms, and the number of samples."""
        levels, rest, samples = [], np.zeros(0, np.float32), 0
        for block in source.blocks():
            samples += len(block)
            rest = np.concatenate([rest, block])
            whole = len(rest) // HOP * HOP
            levels.append(10 * np.log10(np.mean(rest[:whole].reshape(-1, HOP) ** 2, axis=1) + 1e-10))
            rest = rest[whole:]
        if len(rest):
            levels.append(np.array([10 * np.log10(np.mean(rest**2) + 1e-10)]))
        return np.concatenate(levels), samples
