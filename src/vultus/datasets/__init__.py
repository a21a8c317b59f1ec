"""Data sets: one file each. Table: name -> where its class is."""

from __future__ import annotations

import importlib
from typing import Any

from vultus.datasets.base import Dataset, FaceSequence
from vultus.errors import unknown_name

__all__ = ["DATASETS", "Dataset", "FaceSequence", "open_dataset"]

DATASETS: dict[str, str] = {
    "synthetic": "vultus.datasets.synthetic:SyntheticCorpus",
    "vocaset": "vultus.datasets.vocaset:Vocaset",
    "vocaset_faceformer": "vultus.datasets.vocaset_faceformer:VocasetFaceFormer",
    "vocaset_mm23": "vultus.datasets.vocaset_mm23:VocasetMM23",
    "biwi": "vultus.datasets.biwi:Biwi",
    "biwi_area": "vultus.datasets.biwi_area:BiwiArea",
    "biwi_mm23": "vultus.datasets.biwi_mm23:BiwiMM23",
    "multiface": "vultus.datasets.multiface:Multiface",
    "meshtalk": "vultus.datasets.meshtalk:MeshTalk",
    "meshtalk_mm23": "vultus.datasets.meshtalk_mm23:MeshTalkMM23",
    "mead3d": "vultus.datasets.mead3d:Mead3D",
    "vox2_framewise": "vultus.datasets.voxceleb2:FramewiseVoxCeleb2",
    "vox2_videowise": "vultus.datasets.voxceleb2:VideowiseVoxCeleb2",
    "unitalker": "vultus.datasets.unitalker:UniTalker",
    "shards": "vultus.datasets.shards:Shards",
}


def open_dataset(name: str, root: str, **options: Any) -> Dataset:
    """Opens a data set of the table at `root`.

    Raises:
        VultusError: unknown name, or nothing usable at `root`.
    """
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    module, _, attribute = DATASETS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(root, **options)
