"""Trains a sync network. Needs torch.

Letters: B windows of a batch, L lip vertices.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vultus.errors import VultusError
from vultus.scoring.fit import fit
from vultus.scoring.prepare import Prepared
from vultus.scoring.signals import BANDS, SYNC_FRAMES, mel_windows, motion_windows
from vultus.scoring.sync_net import Config, SyncNet

GAP = 5  # least distance of two windows of a clip, frames


def train(data: Prepared, config: Config, out: Path, *, seed: int, resume: bool) -> tuple[SyncNet, float]:
    """A trained network, in evaluation mode, and the seconds that it took.

    Raises:
        VultusError: too few clips for a batch.
    """
    least = SYNC_FRAMES - 1 + (config.windows - 1) * GAP + 1
    clips = [clip for clip in data.clips if clip[3] >= least]
    if len(clips) < min(config.clips, 8):
        raise VultusError(f"sync network: {len(clips)} clips of {least} frames or more; expected {config.clips}")
    assert data.mel is not None
    torch.manual_seed(seed)
    net = SyncNet(config, data.motion.shape[1])
    _normalise(net, data)
    take = batches(data.motion, data.mel, clips, config, seed)
    settings = f"{config} seed={seed} clips={len(clips)} data={data.made['digest'][:16]}"

    def losses(step: int) -> dict[str, Tensor]:
        lips, mel = take(step)
        return {"sync/contrast": net.loss(torch.from_numpy(lips), torch.from_numpy(mel))}

    seconds = fit(net, config, losses, out, settings, weights={"sync/contrast": 1.0}, resume=resume)
    return net, seconds


def batches(
    motion: np.ndarray, mel: np.ndarray, clips: list[tuple[str, str, int, int, int, int]], config: Config, seed: int
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """step -> lips (B, 5, 3L) mm and the sound of the same moments (B, 80, 20), its level and noise floor changed."""

    def take(step: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, step])
        lips, sounds = [], []
        for index in rng.choice(len(clips), min(config.clips, len(clips)), replace=False):
            _, _, start, frames, mel_start, columns = clips[index]
            free = frames - SYNC_FRAMES - GAP * (config.windows - 1)
            starts = np.sort(rng.integers(0, free + 1, config.windows)) + GAP * np.arange(config.windows)
            lips.append(motion_windows(motion[start : start + frames], starts))
            sounds.append(rerecorded(mel_windows(mel[mel_start : mel_start + columns], starts), rng, config))
        return np.concatenate(lips), np.concatenate(sounds)

    return take


def rerecorded(mel: np.ndarray, rng: np.random.Generator, config: Config) -> np.ndarray:
    """(B, 80, 20) as a quieter or louder recording in a noisier room would have them; one room for all of a clip."""
    louder = mel + rng.uniform(-config.gain, config.gain)
    tilt = rng.uniform(-2, 2) * np.linspace(-1, 1, BANDS)[:, None]
    floor = rng.uniform(config.floor_low, config.floor_high) + tilt
    return np.logaddexp(louder, floor).astype(np.float32)


def _normalise(net: SyncNet, data: Prepared) -> None:
    """Sets the constants of the inputs from evenly drawn frames: one deviation for all lips, mean and one per band."""
    assert data.mel is not None
    rows = np.unique(np.linspace(0, len(data.motion) - 1, 20_000).astype(int))
    net.mesh.deviation.fill_(max(float(np.asarray(data.motion[rows], np.float32).std()), 1e-6))
    columns = np.unique(np.linspace(0, len(data.mel) - 1, 50_000).astype(int))
    bands = np.maximum(np.asarray(data.mel[columns], np.float32), -13.0)  # about the middle of the added floors
    net.audio.mean.copy_(torch.from_numpy(bands.mean(0))[:, None])
    net.audio.deviation.copy_(torch.from_numpy(np.maximum(bands.std(0), 0.5))[:, None])
