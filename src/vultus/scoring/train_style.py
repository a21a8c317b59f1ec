"""Trains a style network. Needs torch.

Letters: B windows of a batch, T frames of a window, D components.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vultus.errors import VultusError
from vultus.scoring.fit import fit
from vultus.scoring.prepare import Prepared
from vultus.scoring.signals import motion_windows
from vultus.scoring.style_net import Config, StyleNet


def train(data: Prepared, config: Config, out: Path, *, seed: int, resume: bool) -> tuple[StyleNet, float]:
    """A trained network, in evaluation mode, and the seconds that it took.

    Raises:
        VultusError: fewer than four subjects with two clips each that are long enough.
    """
    by_subject: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for _, subject, start, frames, _, _ in data.clips:
        if frames >= min(config.lengths):
            by_subject[subject].append((start, frames))
    usable = {subject: clips for subject, clips in sorted(by_subject.items()) if len(clips) > 1}
    if len(usable) < 4:
        raise VultusError(
            f"style network: {len(usable)} subjects with two clips of {min(config.lengths) / 25:g} s or more; "
            "expected four at least"
        )
    torch.manual_seed(seed)
    net = StyleNet(config, len(usable))
    take = batches(data.motion, list(usable.values()), config, seed)
    settings = f"{config} seed={seed} subjects={len(usable)} data={data.made['digest'][:16]}"

    def losses(step: int) -> dict[str, Tensor]:
        motion, subject = take(step)
        return net.losses(torch.from_numpy(motion), torch.from_numpy(subject))

    weights = {"style/contrast": 1.0, "style/subject": config.subject_weight}
    return net, fit(net, config, losses, out, settings, weights=weights, resume=resume)


def batches(
    motion: np.ndarray, subjects: list[list[tuple[int, int]]], config: Config, seed: int
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """step -> windows (B, T, D) and the numbers of their subjects (B,); rows 2 i and 2 i + 1 are two clips of one."""
    longest, *shorter = config.lengths

    def take(step: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, step])
        length = longest if not shorter or rng.random() < 0.5 else int(rng.choice(shorter))
        long_enough = [[clip for clip in clips if clip[1] >= length] for clips in subjects]
        able = [number for number, clips in enumerate(long_enough) if len(clips) > 1]
        if len(able) < 4:  # a set of short clips: take what all of them have
            length, long_enough, able = min(config.lengths), subjects, list(range(len(subjects)))
        windows, numbers = [], []
        for number in rng.choice(able, min(config.subjects, len(able)), replace=False):
            clips = long_enough[number]
            for index in rng.choice(len(clips), 2, replace=False):
                start, frames = clips[index]
                first = start + int(rng.integers(frames - length + 1))
                windows.append(motion_windows(motion, np.array([first]), length))
                numbers.append(number)
        return np.concatenate(windows), np.array(numbers, np.int64)

    return take
