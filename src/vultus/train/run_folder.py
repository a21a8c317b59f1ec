"""What a run folder says of itself: settings.json, every setting resolved, and whether a recipe may go on with it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from vultus.errors import VultusError
from vultus.files import write_atomically
from vultus.methods.base import Dimensions
from vultus.train.data import TrainingSet
from vultus.train.recipe import DataConfig, Recipe, TrainConfig
from vultus.version import __version__

SETTINGS = "settings.json"
FREE = ("workers", "device", "threads", "save_every", "save_epochs", "log_every")
"""Settings that a resumed run may change: they do not change its numbers."""


def check_folder(folder: Path, recipe: Recipe, resume: bool) -> None:
    """VultusError where the folder holds another run, or none to resume."""
    path = folder / SETTINGS
    if not path.is_file():
        if resume:
            raise VultusError(f"{folder}: nothing to resume; expected the run folder of an earlier `vultus train`")
        return
    if not resume:
        raise VultusError(f"{folder}: holds a run already; add --resume to go on with it, or name another folder")
    old = json.loads(path.read_text(encoding="utf-8"))
    for table, values in recipe.resolved().items():
        for key, value in values.items() if table != "loss" else ():
            # A key that an older version did not have stood at its default then.
            if key not in FREE and old[table].get(key, _default(table, key)) != value:
                raise VultusError(
                    f"{folder}: was started with {table}.{key} = {old[table].get(key)!r}, now {value!r}; "
                    "resume with the same recipe, or name another folder"
                )


def _default(table: str, key: str) -> Any:
    value = getattr({"data": DataConfig, "train": TrainConfig}.get(table), key, None)
    return list(value) if isinstance(value, tuple) else value


def write_settings(
    folder: Path, recipe: Recipe, dims: Dimensions, data: TrainingSet, weights: dict[str, float]
) -> None:
    """Writes settings.json: the recipe, and what the data turned out to be."""
    settings: dict[str, Any] = recipe.resolved()
    settings["loss"] = weights
    settings["dimensions"] = dataclasses.asdict(dims)
    if data.cache is not None:
        settings["encoder"] = {"name": recipe.data.encoder, "rate": data.cache.rate, "offset": data.cache.offset}
    if data.rig is not None:
        settings["rig"] = {"shapes": len(data.rig), "sha256": hashlib.sha256(data.rig.tobytes()).hexdigest()}
    settings["topology"] = {"name": data.topology.name, "digest": data.topology.digest}
    settings["unit"] = data.unit
    # Shards are a form and no data set: what they were converted from is what the model has seen.
    settings["trained_on"] = str(getattr(data.clips[0], "source", "") or recipe.data.dataset)
    settings["made_by"] = {"vultus": __version__, "torch": torch.__version__}
    settings["hours"] = round(data.hours, 3)
    write_atomically(folder / SETTINGS, (json.dumps(settings, indent=2) + "\n").encode())
