"""The state of a run in one file: tensors in safetensors, all else as JSON in its header.

Written to a temporary name, flushed to the disk and renamed, so a run killed at any moment finds a whole one. What it
holds is all that the next step depends on: model, optimiser, moving average, torch's random state, epoch and step (the
order of the data is a function of seed, epoch and step). No pickles.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vultus.errors import VultusError


def save_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Writes tensors and a JSON header, atomically."""
    temporary = path.with_name(f".{path.name}.tmp")
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(flat, temporary, metadata={"json": json.dumps(header)})
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file of ours; VultusError where it is missing or not one."""
    if not path.is_file():
        raise VultusError(f"{path}: no such checkpoint; expected a run folder made by `vultus train`")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("json", ""))
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 (not a dict)
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise VultusError(f"{path}: not a checkpoint of ours ({error})") from None


def save_state(
    path: Path, *, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer, header: dict[str, Any]
) -> None:
    """Saves a run; `modules` are told apart by their names, `header` carries epoch and step."""
    tensors = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    state = optimiser.state_dict()["state"]
    for index, values in state.items():
        tensors.update({f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in values.items()})
    tensors["random.torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    save_tensors(path, tensors, header)


def load_state(path: Path, *, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Restores a run saved by `save_state` and returns its header."""
    tensors, header = load_tensors(path)
    for name, module in modules.items():
        prefix = f"{name}."
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise VultusError(f"{path}: does not fit this recipe ({reason}); start a new run folder") from None
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, field = key.split(".", 2)
            state.setdefault(int(index), {})[field] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random.torch"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return header
