"""Bundles: what a trained model ships as, found by name or folder, and loaded without torch.

A bundle is a folder with config.json, its weights and exported graphs, card.md and SHA256SUMS. config.json names the
method; the table below names the module that runs it. Nothing in a bundle is executed or unpickled.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

from vultus.errors import VultusError, unknown_name
from vultus.runtime.base import Model

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"

#: method name in config.json -> "module:class"; the class has `load(folder, config) -> Model`.
RUNTIMES = {
    "composite_regional": "vultus.runtime.composite_regional:CompositeRegionalModel",
    "probabilistic": "vultus.runtime.probabilistic:ProbabilisticModel",
}

#: Models that are code alone: name -> ("module:class", description).
BUILT_IN = {
    "loudness": (
        "vultus.runtime.loudness:LoudnessModel",
        "no learning: the jaw follows the loudness; the baseline that every model must beat",
    ),
}


def bundle_names() -> list[str]:
    """Names of the shipped bundles."""
    return sorted(folder.name for folder in BUNDLES.glob("*") if (folder / "config.json").is_file())


def load(name_or_folder: str | Path) -> Model:
    """A model ready to predict: a shipped bundle or built-in by name, or any bundle folder by path."""
    text = str(name_or_folder)
    if text in BUILT_IN:
        return _class(BUILT_IN[text][0])()
    folder = BUNDLES / text if text in bundle_names() else Path(name_or_folder)
    if not folder.is_dir():
        raise unknown_name("model", text, [*bundle_names(), *BUILT_IN])
    config = read_config(folder)
    method = config.get("method")
    if method not in RUNTIMES:
        raise unknown_name(f"method in {folder / 'config.json'}", str(method), RUNTIMES)
    model: Model = _class(RUNTIMES[method]).load(folder, config)
    return model


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a bundle; VultusError where it is missing or broken."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise VultusError(
            f"{folder}: no config.json; expected the folder of a bundle, as `vultus train` exports it"
        ) from None
    except (UnicodeDecodeError, json.JSONDecodeError, OSError) as error:
        raise VultusError(f"{path}: not a readable JSON file ({error})") from None
    if not isinstance(config, dict):
        raise VultusError(f"{path}: expected a JSON object, found {type(config).__name__}")
    return config


def verify(folder: Path) -> list[str]:
    """Names of the files that do not agree with SHA256SUMS (an empty list: all is well)."""
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        raise VultusError(f"{folder}: no SHA256SUMS; expected the folder of a bundle")
    wrong = []
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, name = line.split(maxsplit=1)
        path = folder / name.strip()
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(name.strip())
    return wrong


def describe_bundles() -> list[str]:
    """One line for each model at hand: name, size, what it is."""
    lines = []
    for name in bundle_names():
        folder = BUNDLES / name
        config = read_config(folder)
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
        lines.append(f"{name:<12} {size:5.1f} MB  {config.get('summary', config.get('method', ''))}")
    lines.extend(f"{name:<12} {'-':>5}     {description}" for name, (_, description) in BUILT_IN.items())
    return lines


def _class(target: str) -> Any:
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)
