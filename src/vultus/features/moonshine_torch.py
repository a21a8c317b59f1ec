"""The Moonshine tiny encoder in torch, for fine-tuning; exported again with `moonshine_export`.

The network (Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands", 2024) reads raw
sound: three convolutions (strides 64, 3, 2) and pre-norm transformer blocks without biases in the attention, rotary
positions on 32 of the 36 dimensions of a head. We keep the blocks up to the fifth and return the residual stream after
blocks 3 and 5: both tell phones apart better than the network's own last layer. And we bound in time what a frame
attends to and what the first normalisation goes by (`local`, see moonshine.py).

Letters: B batch, S samples at 16 kHz, F feature frames, C = 288 channels, H = 8 heads, E = 36 dimensions of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import VultusError
from vultus.features.moonshine import (
    AHEAD_STEPS,
    ASSET,
    FRAME_STRIDE,
    MIN_SAMPLES,
    OFFSET,
    RATE,
    REACH,
    SPAN,
    num_frames,
)

CHANNELS, HEADS, ROTARY = 288, 8, 32


class RotaryPositions(nn.Module):
    """Turns neighbouring pairs of the first 32 dimensions by an angle that grows with the position."""

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        exponents = torch.arange(0, ROTARY, 2, dtype=torch.float32) / ROTARY
        self.register_buffer("frequencies", 10_000.0**-exponents, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, F, E) -> (B, H, F, E)."""
        positions = torch.arange(x.shape[2], device=x.device, dtype=torch.float32)
        angles = torch.outer(positions, self.frequencies)
        cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        even, odd = x[..., 0:ROTARY:2], x[..., 1:ROTARY:2]
        turned = torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1).flatten(-2)
        return torch.cat([turned, x[..., ROTARY:]], dim=-1)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(CHANNELS, bias=False)
        self.query = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.key = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.value = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.out = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.mlp_norm = nn.LayerNorm(CHANNELS, bias=False)
        self.fc1 = nn.Linear(CHANNELS, 4 * CHANNELS)
        self.fc2 = nn.Linear(4 * CHANNELS, CHANNELS)
        self.rotary = RotaryPositions()

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, F, C) -> (B, F, C); mask: bool, broadcast to (B, H, F, F), True where row attends to column, or None."""
        y = self.attention_norm(x)
        query, key, value = (
            layer(y).unflatten(-1, (HEADS, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        y = functional.scaled_dot_product_attention(self.rotary(query), self.rotary(key), value, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.fc2(functional.gelu(self.fc1(self.mlp_norm(x))))


class MoonshineNet(nn.Module):
    """Samples -> the residual states after the blocks named by `taps`, side by side.

    Args:
        num_blocks: transformer blocks to build (the original has 6, the shipped graph 5).
        taps: block numbers, counted from 1, whose outputs are returned.
        local: attention and first normalisation are bounded in time; False as in the original.
    """

    rate, offset = RATE, OFFSET

    def __init__(self, num_blocks: int = 5, taps: Sequence[int] = (3, 5), local: bool = True) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.local = local
        self.dimension = CHANNELS * len(self.taps)
        self.conv1 = nn.Conv1d(1, CHANNELS, 127, stride=64, bias=False)
        self.norm = nn.GroupNorm(1, CHANNELS, eps=1e-5)
        self.conv2 = nn.Conv1d(CHANNELS, 2 * CHANNELS, 7, stride=3)
        self.conv3 = nn.Conv1d(2 * CHANNELS, CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList(Block() for _ in range(num_blocks))

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features of a batch; an item of a padded batch equals the item alone.

        Args:
            samples: (B, S) float at 16 kHz, as `Speech.samples`; S at least 895.
            lengths: (B,) true lengths in samples, or None where all are S.

        Returns:
            (B, F, 288 x taps); frames past an item's own are zero.
        """
        if samples.shape[-1] < MIN_SAMPLES:
            raise VultusError(
                f"moonshine: {samples.shape[-1]} samples; expected at least {MIN_SAMPLES}; pad with zeros"
            )
        x = torch.tanh(self.conv1(samples[:, None]))
        frames = torch.arange(num_frames(samples.shape[-1]), device=samples.device)
        near = (frames[:, None] - frames).abs() <= REACH if self.local else None
        inside: Tensor | None = None
        mask = near
        if lengths is not None:
            inside = frames < (1 + (lengths.clamp(min=MIN_SAMPLES) - MIN_SAMPLES) // FRAME_STRIDE)[:, None]
            # A frame past an item's own may attend to itself: a row without any column would be NaN.
            mask = inside[:, None, None] | torch.eye(len(frames), dtype=torch.bool, device=frames.device)
            mask = mask if near is None else mask & near
        x = self._norm(x, lengths)
        x = functional.gelu(self.conv2(x))
        x = functional.gelu(self.conv3(x)).transpose(1, 2)
        states = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, mask)
            if number in self.taps:
                states.append(x)
        y = torch.cat(states, dim=-1)
        return y if inside is None else y * inside[..., None]

    def _norm(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """The first normalisation of x (B, 288, N), over each item's own steps: as a whole, or over SPAN steps."""
        batch, _, steps = x.shape
        own = torch.full((batch,), steps, device=x.device)
        if lengths is not None:
            own = 1 + (lengths.clamp(min=MIN_SAMPLES) - 127) // 64
        at = torch.arange(steps, device=x.device)
        levels = torch.stack([x.mean(1), x.square().mean(1)], dim=-1).double() * (at < own[:, None])[..., None]
        sums = functional.pad(levels.cumsum(1), (0, 0, 1, 0))
        if self.local:
            end = torch.minimum((at + 1 + AHEAD_STEPS).clamp(min=SPAN).expand(batch, -1), own[:, None])
            begin = (end - SPAN).clamp(min=0)
        else:
            end, begin = own[:, None], torch.zeros_like(own)[:, None]
        picked = [sums.gather(1, edge[..., None].expand(-1, -1, 2)) for edge in (end, begin)]
        mean, square = ((picked[0] - picked[1]) / (end - begin)[..., None]).unbind(-1)
        deviation = ((square - mean.square()).clamp(min=0) + self.norm.eps).sqrt()
        x = (x - mean[:, None].to(x.dtype)) / deviation[:, None].to(x.dtype)
        return x * self.norm.weight[:, None] + self.norm.bias[:, None]

    def freeze(self) -> None:
        """Stops learning: for the warm-up of whatever stands on these features."""
        self.requires_grad_(False)

    def unfreeze(self) -> None:
        """Lets all weights learn again."""
        self.requires_grad_(True)


def load_moonshine_torch(path: str | Path | None = None, taps: Sequence[int] = (3, 5)) -> MoonshineNet:
    """The network with the weights of an exported graph (default: the shipped one), in evaluation mode.

    Raises:
        VultusError: the file is not a graph written by `moonshine_export`, or a tap lies beyond its blocks.
    """
    from vultus.features.moonshine_export import read_local, read_weights

    file = Path(path) if path is not None else ASSET
    weights = read_weights(file)
    num_blocks = 1 + max((int(name.split(".")[1]) for name in weights if name.startswith("blocks.")), default=-1)
    if not taps or not all(1 <= tap <= num_blocks for tap in taps):
        raise VultusError(f"moonshine: taps are {tuple(taps)}; expected block numbers from 1 to {num_blocks}")
    net = MoonshineNet(num_blocks, taps, read_local(file))
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return net.eval()
