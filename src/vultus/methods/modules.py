"""What the torch methods share: means over clips with padding, and a spell in evaluation mode.

Letters: B clips of a batch, T motion frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode within; the mode before it afterwards, also where an error strikes."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def clip_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the real frames of each clip, then over clips: (B, T) -> scalar."""
    return values.mean() if mask is None else _mean_of_each(values, mask).mean()


def clip_root_mean(squares: Tensor, mask: Tensor | None) -> Tensor:
    """Root of the mean over the real frames of each clip, then mean over clips: (B, T) -> scalar."""
    each = squares.mean(1) if mask is None else _mean_of_each(squares, mask)
    return torch.sqrt(each + 1e-12).mean()


def _mean_of_each(values: Tensor, mask: Tensor) -> Tensor:
    """(B, T) -> (B,)."""
    weight = mask.to(values.dtype)
    return (values * weight).sum(1) / weight.sum(1).clamp_min(1.0)
