"""The style network: 4 s of motion -> an embedding that tells subjects apart by how they move. Needs torch.

A transformer as DiffPoseTalk's style encoder (Sun et al. 2024), trained with NT-Xent plus a share of subject
cross-entropy; the two clips of a positive pair are different recordings, so that words cannot help.

Letters: B windows, T frames at 25 fps, D principal components, C width, E embedding, S subjects of training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Config:
    """Sizes and training of a style network.

    Attributes:
        components: D, principal components of the training set's vertex offsets.
        width, layers, heads, feed_forward: of the transformer.
        embedding: E; 64 for the reason that the sync network has (a Frechet distance over few windows).
        dropout: in training.
        temperature: of NT-Xent.
        subject_weight: of the subject cross-entropy.
        subjects: of a batch, two windows each, from two clips.
        lengths: frames of a window, one of them drawn for each batch (the first as often as all others together).
        noise: deviation of noise that is added to the normalised components in training.
        steps, warmup, lr, weight_decay: as for the sync network.
        bf16: products in bfloat16 while training.
    """

    components: int = 53
    width: int = 128
    layers: int = 4
    heads: int = 4
    feed_forward: int = 512
    embedding: int = 64
    dropout: float = 0.1
    temperature: float = 0.1
    subject_weight: float = 0.5
    subjects: int = 32
    lengths: tuple[int, ...] = (100, 70, 40)
    noise: float = 0.05
    steps: int = 500
    warmup: int = 50
    lr: float = 5e-4
    weight_decay: float = 1e-2
    bf16: bool = True


class Block(nn.Module):
    """Attention and feed-forward, each behind a LayerNorm and beside a shortcut."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, config.feed_forward), nn.Linear(config.feed_forward, width)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, width = x.shape
        parts = self.query_key_value(self.norm1(x)).view(batch, frames, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.drop(self.mix(seen.transpose(1, 2).reshape(batch, frames, width)))
        return x + self.drop(self.down(functional.gelu(self.up(self.norm2(x)))))


def positions(frames: int, width: int) -> Tensor:
    """Sinusoidal positions (frames, width), Vaswani et al. 2017, section 3.5."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(frames)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)


class StyleNet(nn.Module):
    """(B, T, D) normalised components -> (B, E) of length 1; T up to 100."""

    place: Tensor

    def __init__(self, config: Config, num_subjects: int) -> None:
        super().__init__()
        self.config = config
        self.inner = nn.Linear(config.components, config.width)
        self.register_buffer("place", positions(max(config.lengths), config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, config.embedding)
        self.subjects = nn.Linear(config.width, num_subjects)

    def pooled(self, motion: Tensor) -> Tensor:
        """Mean over time of the last layer, (B, C)."""
        x = self.inner(motion) + self.place[: motion.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x).mean(1)

    def forward(self, motion: Tensor) -> Tensor:
        return functional.normalize(self.out(self.pooled(motion)).float(), dim=1, eps=1e-12)

    def losses(self, motion: Tensor, subject: Tensor) -> dict[str, Tensor]:
        """Loss terms of a batch whose rows 2 i and 2 i + 1 are of one subject.

        Args:
            motion: (B, T, D).
            subject: (B,) numbers of the subjects, each of them in exactly two rows.
        """
        noisy = motion + self.config.noise * torch.randn_like(motion)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bf16 and not motion.is_cuda):
            pooled = self.pooled(noisy)
            names = functional.cross_entropy(self.subjects(pooled).float(), subject)
            embedding = functional.normalize(self.out(pooled).float(), dim=1, eps=1e-12)
        logits = embedding @ embedding.T / self.config.temperature
        logits = logits.masked_fill(torch.eye(len(logits), dtype=torch.bool, device=logits.device), -torch.inf)
        partner = torch.arange(len(logits), device=logits.device) ^ 1
        return {"style/contrast": functional.cross_entropy(logits, partner), "style/subject": names}
