"""Data sets: one file each. Table: name -> where its class is."""

from __future__ import annotations

import importlib
from typing import Any

from vultus.datasets.base import Dataset, FaceSequence
from vultus.errors import unknown_name

__all__ = ["DATASETS", "Dataset", "FaceSequence", "open_dataset"]

DATASETS: dict[str, str] = {"synthetic": "vultus.datasets.synthetic:SyntheticCorpus"}


def open_dataset(name: str, root: str, **options: Any) -> Dataset:
    """Opens a data set of the table at `root`.

    Raises:
        VultusError: unknown name, or nothing usable at `root`.
    """
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    module, _, attribute = DATASETS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(root, **options)
