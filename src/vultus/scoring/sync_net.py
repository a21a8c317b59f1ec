"""The sync network: one encoder for 0.2 s of lips, one for 0.2 s of sound; fitting pairs get like embeddings.

After SyncNet (Chung and Zisserman 2016), for meshes. Needs torch.

Letters: B windows, D = 3 x lip vertices, E embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.scoring.signals import BANDS, COLUMNS, SYNC_FRAMES

FREQUENCY_STRIDES, TIME_STRIDES = (1, 2, 2, 2, 2, 1), (1, 1, 2, 1, 2, 1)


@dataclass(frozen=True)
class Config:
    """Sizes and training of a sync network.

    Attributes:
        embedding: E. 64: a Frechet distance over E numbers wants 10 E windows, and its sums E^2 / 2 numbers a sequence.
        mesh_width: channels of the mesh encoder.
        audio_channels: of the six convolutions of the audio encoder. Half of the widths of common video SyncNets: a
            quarter of the arithmetic, so that it trains on one CPU core in minutes.
        keep_time: True gives the last linear layer the features of every moment of the window; False their mean over
            time, in which it is lost when something happened.
        temperature: of the InfoNCE loss at the start; it is learned.
        clips, windows: of a batch: clips, and windows of each, at least 5 frames apart.
        steps, warmup: optimiser steps, and how many of them the rate rises.
        lr, weight_decay: of AdamW; the rate falls to 0 along a cosine.
        gain: the level of the sound is changed by up to this many nats of power (2.3 is 10 dB).
        floor_low, floor_high: range of a noise floor that is added to each sound, nats of mel energy.
        smooth: share of clips whose motion passes through a grid of 30 fps first, as many recordings do.
        bf16: products of the audio encoder in bfloat16 while training (twice as fast where the CPU has it).
    """

    embedding: int = 64
    mesh_width: int = 256
    audio_channels: tuple[int, ...] = (16, 32, 64, 64, 128, 128)
    keep_time: bool = True
    temperature: float = 0.07
    clips: int = 64
    windows: int = 4
    steps: int = 1200
    warmup: int = 100
    lr: float = 1e-3
    weight_decay: float = 1e-2
    gain: float = 2.3
    floor_low: float = -18.0
    floor_high: float = -7.0
    smooth: float = 0.5
    bf16: bool = True


class MeshEncoder(nn.Module):
    """(B, 5, D) lip offsets in mm -> (B, E) of length 1."""

    deviation: Tensor

    def __init__(self, config: Config, dimension: int) -> None:
        super().__init__()
        width = config.mesh_width
        self.keep_time = config.keep_time
        self.register_buffer("deviation", torch.ones(()))
        self.inner = nn.Linear(dimension, width)
        self.convs = nn.ModuleList(nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in (1, 1, 2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.out = nn.Linear(width * (SYNC_FRAMES if config.keep_time else 1), config.embedding)

    def forward(self, lips: Tensor) -> Tensor:
        x = self.inner(lips / self.deviation)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(functional.gelu(conv(x.transpose(1, 2))).transpose(1, 2))
        x = x.flatten(1) if self.keep_time else x.mean(1)
        return functional.normalize(self.out(x), dim=1, eps=1e-12)


class AudioEncoder(nn.Module):
    """(B, 80, 20) log-mel energies -> (B, E) of length 1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.keep_time = config.keep_time
        self.register_buffer("mean", torch.zeros(BANDS, 1))
        self.register_buffer("deviation", torch.ones(BANDS, 1))
        sizes = (1, *config.audio_channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride, padding=1, bias=False)
            for a, b, stride in zip(sizes, sizes[1:], zip(FREQUENCY_STRIDES, TIME_STRIDES, strict=True), strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in config.audio_channels)
        moments = COLUMNS // 4 if config.keep_time else 1
        self.hidden = nn.Linear(sizes[-1] * moments, 256)
        self.out = nn.Linear(256, config.embedding)

    def forward(self, mel: Tensor) -> Tensor:
        x = ((mel - self.mean) / self.deviation)[:, None]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = functional.relu(norm(conv(x)))
        x = x.mean(2).flatten(1) if self.keep_time else x.mean((2, 3))
        x = self.out(functional.relu(self.hidden(x)))
        return functional.normalize(x.float(), dim=1, eps=1e-12)


class SyncNet(nn.Module):
    """Both encoders and the temperature."""

    def __init__(self, config: Config, dimension: int) -> None:
        super().__init__()
        self.config = config
        self.mesh, self.audio = MeshEncoder(config, dimension), AudioEncoder(config)
        self.log_scale = nn.Parameter(-torch.log(torch.tensor(config.temperature)))

    def loss(self, lips: Tensor, mel: Tensor) -> Tensor:
        """Symmetric InfoNCE over a batch of fitting pairs; every other pair of the batch is a negative."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bf16 and not mel.is_cuda):
            audio = self.audio(mel)
        logits = audio @ self.mesh(lips).T * self.log_scale.exp().clamp(max=100.0)
        target = torch.arange(len(logits), device=logits.device)
        return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
