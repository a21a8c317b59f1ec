"""Motion spaces: one file each, found by name."""

from __future__ import annotations

from vultus.errors import unknown_name
from vultus.rigs.base import Rig
from vultus.rigs.blendshapes import BlendshapeRig
from vultus.rigs.flame import FlameRig
from vultus.rigs.offsets import OffsetsRig

RIGS: dict[str, type] = {
    "blendshapes": BlendshapeRig,
    "flame": FlameRig,
    "offsets": OffsetsRig,
}
"""Rig name -> class."""


def rig_class(name: str) -> type:
    """The class of a rig; VultusError with near misses where the name is unknown."""
    if name not in RIGS:
        raise unknown_name("rig", name, RIGS)
    return RIGS[name]


__all__ = ["RIGS", "BlendshapeRig", "FlameRig", "OffsetsRig", "Rig", "rig_class"]
