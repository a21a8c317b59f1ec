"""Recipes: one run is one flat TOML of the tables [method] [data] [train] [loss]; only what differs from the defaults.

An unknown table or key, a value of the wrong type and a loss term that the method does not have stop the run before any
work. Values given with `--set train.lr=1e-4` are read as TOML, or as text where they are not.
"""

from __future__ import annotations

import dataclasses
import importlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vultus import clock
from vultus.datasets.options import read_options, split_options
from vultus.errors import VultusError, unknown_name
from vultus.methods.base import make_config

#: Method name -> module with `Config` and the class of the same spelling in capitals.
METHODS = {
    "composite_regional": ("vultus.methods.composite_regional", "CompositeRegional"),
    "probabilistic": ("vultus.methods.probabilistic", "Probabilistic"),
}

TABLES = ("method", "data", "train", "loss")


LIP_MEASURES = ",".join([*(f"aperture_{column}" for column in range(9)), "lower_lip_to_upper_incisor"])
"""Where lips meet each other along the lip line, and where the lower one meets the teeth (/f v/)."""


@dataclass(frozen=True)
class DataConfig:
    """The [data] table.

    Attributes:
        dataset: name of a data set module's reader, see `vultus.datasets`.
        options: options of that reader, KEY=VALUE separated by commas, such as "protocol=mm23".
        split: which part trains.
        validation: which part is measured after every epoch; "" for none.
        layers: layers of the synthetic corpus that are learnt, separated by commas.
        space: "weights" (blendshape weights of the rig, the fast path; the synthetic corpus only), "vertices" (offsets
            from the template, any data set) or "parameters" (FLAME's expression and jaw, where a data set has them).
        head_rotation: append head rotation to the motion, three columns ("weights" only).
        fps: motion frames per second.
        encoder: name of the speech encoder; "none" for what hears nothing, such as a codec of motion.
        checkpoint: hub name or folder of its weights where the encoder takes one; "" for its default.
        crop: length of a training cut, seconds.
        copies: augmented copies of each clip beside the clip itself.
        reference: "same" (the cut itself, as the published program does) or "subject" (another clip of the subject).
        measures: measures of the face whose error is the loss term "lips/gap", separated by commas ("weights" only).
        reference_seconds: length of the reference performance, seconds ("subject" only).
        hours: use only so many hours of clips; 0 for all.
        workers: processes that compute features.
        seed: of crops, references and augmentation.
    """

    dataset: str = "synthetic"
    options: str = ""
    split: str = "train"
    validation: str = "val"
    layers: str = "speech,expression"
    space: str = "weights"
    head_rotation: bool = False
    fps: float = 30.0
    encoder: str = "hubert"
    checkpoint: str = ""
    crop: float = 5.0
    copies: int = 0
    reference: str = "same"
    reference_seconds: float = 8.0
    measures: str = LIP_MEASURES
    hours: float = 0.0
    workers: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("space", ("weights", "vertices", "parameters")), ("reference", ("same", "subject"))):
            if getattr(self, name) not in choices:
                raise unknown_name(f"data.{name}", getattr(self, name), choices)
        if self.options:
            read_options(self.dataset, split_options(self.options))
        if self.head_rotation and self.space != "weights":
            raise VultusError(f"data.head_rotation is set; expected data.space 'weights', found '{self.space}'")
        clock.check_fps(self.fps)
        if not 0.5 <= self.crop <= 60.0:
            raise VultusError(f"data.crop is {self.crop:g}; expected 0.5 to 60 seconds")


@dataclass(frozen=True)
class TrainConfig:
    """The [train] table. Defaults: the paper's section 4.5.

    Attributes:
        epochs: passes over the data.
        batch: clips in a batch, over all processes.
        lr: learning rate.
        encoder_lr: learning rate of a fine-tuned encoder; 0 takes `lr`.
        optimizer: "adam" or "adamw".
        betas: decays of its moving averages of the gradient and of the squared gradient.
        weight_decay: of adamw, and of adam as L2; contradicts the L1 penalty, so 0.
        schedule: "constant" or "one_cycle" (rises over `warmup`, then a cosine down to lr / 1000).
        warmup: rising part of one_cycle, share of all steps.
        clip_norm: largest length of the gradient; 0 for no limit.
        ema: decay per step of a moving average of the weights, which is then what is saved; 0 for none.
        finetune: train the speech encoder along (needs a torch encoder); features are then not cached.
        frozen_epochs: the encoder stays as it is for so many epochs (text: 10, program: 11).
        precision: "float32" or "bfloat16" (mixed; products over vertices stay float32).
        device: "auto", "cpu" or "cuda".
        threads: torch threads; one thread beats two where cores are shared.
        save_every: steps between checkpoints within an epoch.
        save_epochs: epochs between the checkpoints at their ends; a fine-tuned large encoder makes files of gigabytes.
        log_every: steps between lines of log.jsonl.
        seed: of torch.
    """

    epochs: int = 120
    batch: int = 8
    lr: float = 1e-4
    encoder_lr: float = 0.0
    optimizer: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.1
    clip_norm: float = 0.0
    ema: float = 0.0
    finetune: bool = False
    frozen_epochs: int = 10
    precision: str = "float32"
    device: str = "auto"
    threads: int = 1
    save_every: int = 500
    save_epochs: int = 1
    log_every: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {
            "optimizer": ("adam", "adamw"),
            "schedule": ("constant", "one_cycle"),
            "precision": ("float32", "bfloat16"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise unknown_name(f"train.{name}", getattr(self, name), allowed)
        for name in ("epochs", "batch", "threads", "save_every", "save_epochs", "log_every"):
            if getattr(self, name) < 1:
                raise VultusError(f"train.{name} is {getattr(self, name)}; expected at least 1")
        if not self.lr > 0.0:
            raise VultusError(f"train.lr is {self.lr:g}; expected more than 0")
        if len(self.betas) != 2 or not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise VultusError(
                f"train.betas is {list(self.betas)}; expected two numbers of at least 0 and less than 1, such as "
                "[0.9, 0.999]"
            )


@dataclass(frozen=True)
class Recipe:
    """The settings of a run, all resolved."""

    method_name: str
    method: Any
    data: DataConfig
    train: TrainConfig
    loss: Mapping[str, float]

    def resolved(self) -> dict[str, dict[str, Any]]:
        """Every setting as settings.json gives it back: text, numbers and lists of them."""
        return {
            "method": {"name": self.method_name, **dataclasses.asdict(self.method)},
            "data": dataclasses.asdict(self.data),
            "train": {**dataclasses.asdict(self.train), "betas": list(self.train.betas)},
            "loss": dict(self.loss),
        }


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file, with `table.key=value` overrides."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise VultusError(f"{path}: no such recipe; see the recipes folder") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, OSError) as error:
        raise VultusError(f"{path}: not a readable TOML file ({error})") from None
    for override in overrides:
        name, equals, text = override.partition("=")
        table, dot, key = name.strip().partition(".")
        if not (equals and dot and key):
            raise VultusError(f"--set {override}: expected table.key=value, such as train.lr=1e-4")
        _table(tables, table)[key] = _value(text.strip())
    return make_recipe(tables)


def make_recipe(tables: Mapping[str, Any]) -> Recipe:
    """The recipe in nested tables, such as a TOML file or a run's settings.json."""
    tables = {name: dict(_table(tables, name)) for name in {*tables, *TABLES}}
    name = tables["method"].pop("name", "composite_regional")
    if name not in METHODS:
        raise unknown_name("method", str(name), METHODS)
    module = importlib.import_module(METHODS[name][0])
    if hasattr(module, "complete"):
        tables["method"] = module.complete(tables["method"])
    loss = {}
    for key, value in tables["loss"].items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise VultusError(f"loss.{key} is {value!r}; expected a number")
        loss[key] = float(value)
    return Recipe(
        method_name=name,
        method=make_config(module.Config, tables["method"], "method"),
        data=make_config(DataConfig, tables["data"], "data"),
        train=make_config(TrainConfig, tables["train"], "train"),
        loss=loss,
    )


def method_class(name: str) -> Any:
    """The module class of a method."""
    module, attribute = METHODS[name]
    return getattr(importlib.import_module(module), attribute)


def loss_weights(defaults: Mapping[str, float], table: Mapping[str, float]) -> dict[str, float]:
    """The method's default weights, overridden by [loss]; a key that the method does not have is a VultusError."""
    for key in table:
        if key not in defaults:
            raise unknown_name("key of [loss]", key, defaults)
    return {**defaults, **table}


def _table(tables: Mapping[str, Any], name: str) -> dict[str, Any]:
    if name not in TABLES:
        raise unknown_name("table of a recipe", name, TABLES)
    if isinstance(tables, dict):
        tables.setdefault(name, {})
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise VultusError(f"[{name}] of the recipe is {table!r}; expected a table")
    return table


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
