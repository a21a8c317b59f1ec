"""Several processes, one run: `torchrun` starts them, each takes its share of every batch, rank 0 writes.

The global batch does not depend on the number of processes; normalisation layers and gradients are summed over all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vultus.errors import VultusError


@dataclass(frozen=True)
class Processes:
    """This process among the others."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """The part of a global batch of `batch` clips that this process takes."""
        if batch % self.world:
            raise VultusError(f"train.batch is {batch}; expected a multiple of the {self.world} processes")
        each = batch // self.world
        return slice(self.rank * each, (self.rank + 1) * each)

    def wait(self) -> None:
        """Until every process is here."""
        if self.world > 1:
            torch.distributed.barrier()


def start(device: str = "auto") -> Processes:
    """Joins the other processes where `torchrun` started this one; else a run of one process.

    Args:
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
    """
    if device not in ("auto", "cpu", "cuda"):
        raise VultusError(f"train.device is {device!r}; expected auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise VultusError("train.device is 'cuda'; no CUDA device was found; use --set train.device=cpu")
    use_gpu = torch.cuda.is_available() and device != "cpu"
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    place = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if use_gpu else "cpu")
    if use_gpu:
        torch.cuda.set_device(place)
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if use_gpu else "gloo")
    return Processes(rank, world, place)


def stop(processes: Processes) -> None:
    """Leaves the other processes."""
    if processes.world > 1 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def average_gradients(parameters: Iterable[nn.Parameter], processes: Processes) -> None:
    """The mean over processes of every gradient, in one message."""
    if processes.world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    torch.distributed.all_reduce(flat)
    flat /= processes.world
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def average(values: dict[str, Tensor], processes: Processes) -> dict[str, float]:
    """The mean over processes of scalars; every process gets it."""
    flat = torch.stack([value.detach().float() for value in values.values()])
    if processes.world > 1:
        torch.distributed.all_reduce(flat)
        flat /= processes.world
    return dict(zip(values, flat.tolist(), strict=True))
