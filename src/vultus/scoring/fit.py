"""The loop that both scoring networks are trained by: AdamW, a cosine, a log, a checkpoint that survives a kill.

A batch is a function of seed and step, so that a run that goes on from its checkpoint makes the numbers of one that
was never stopped. Needs torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from vultus.errors import VultusError
from vultus.train.checkpoint import load_state, save_state
from vultus.train.log import RunLog

SAVE_EVERY, LOG_EVERY = 100, 20


class Schedule(Protocol):
    """What both configurations have."""

    @property
    def steps(self) -> int: ...
    @property
    def warmup(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


def fit(
    net: nn.Module, schedule: Schedule, losses: Callable[[int], dict[str, Tensor]], out: Path, settings: str,
    *, weights: dict[str, float], resume: bool, progress: bool | None = None,
) -> float:  # fmt: skip
    """Trains `net` and returns the seconds that it took, those before a stop included.

    Args:
        net: moved in place.
        schedule: steps, warm-up, rate, decay.
        losses: step -> loss terms.
        out: where log.jsonl and state.safetensors go.
        settings: names the run; a checkpoint of another one is refused.
        weights: of the loss terms, key by key.
        resume: go on from the checkpoint in `out`.
        progress: None shows the bar where standard error is a terminal.

    Raises:
        VultusError: no checkpoint to go on from, one of other settings, or a loss that is no number.
    """
    optimiser = torch.optim.AdamW(net.parameters(), lr=schedule.lr, weight_decay=schedule.weight_decay)
    state, first, spent = out / "state.safetensors", 0, 0.0
    if resume:
        header = load_state(state, modules={"net": net}, optimiser=optimiser)
        if header["settings"] != settings:
            raise VultusError(f"{state}: is a run with other settings; expected {settings}; start a new folder")
        first, spent = int(header["step"]), float(header["seconds"])
    elif state.exists():
        raise VultusError(f"{out}: already holds a run; give --resume to go on with it, or name another folder")
    log = RunLog(out, schedule.steps, first, progress=progress)
    started = time.monotonic()
    net.train()
    for step in range(first, schedule.steps):
        optimiser.param_groups[0]["lr"] = schedule.lr * rate(step, schedule.steps, schedule.warmup)
        terms = losses(step)
        total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        if not torch.isfinite(total):
            raise VultusError(f"{out}: the loss is no number at step {step}; try a lower learning rate")
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        log.advance()
        done, seconds = step + 1, spent + time.monotonic() - started
        if done % LOG_EVERY == 0 or done == schedule.steps:
            log.write(done, seconds=round(seconds, 1), **{name: float(value.detach()) for name, value in terms.items()})
        if done % SAVE_EVERY == 0 or done == schedule.steps:
            header = {"step": done, "seconds": seconds, "settings": settings}
            save_state(state, modules={"net": net}, optimiser=optimiser, header=header)
    log.close()
    net.eval()
    return spent + time.monotonic() - started


def rate(step: int, steps: int, warmup: int) -> float:
    """Share of the learning rate: rises over `warmup` steps, then falls to 0 along a cosine.

    >>> rate(0, 100, 10), rate(9, 100, 10), round(rate(55, 100, 10), 2)
    (0.1, 1.0, 0.5)
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, steps - warmup))
