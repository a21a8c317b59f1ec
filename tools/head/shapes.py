"""The 52 shapes of ARKit, from the face units of the source."""

from __future__ import annotations

import numpy as np

from head.lips import Lips
from head.mesh import HeadMesh
from head.source import Source
from vultus.motion import ARKIT_NAMES

# Shapes that ARKit means to leave the lips together. The source parts or crosses them by the amounts in docs/head.md.
CLOSED_SHAPES = (
    "jawForward", "jawLeft", "jawRight", "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft",
    "mouthStretchRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight",
    "eyeSquintLeft", "eyeSquintRight",
)  # fmt: skip


def carry_face_units(source: Source, mesh: HeadMesh, lips: Lips) -> dict[str, np.ndarray]:
    """Name -> offsets (V, 3); lips stay together, and eye and brow shapes leave the inside of the mouth alone."""
    shapes = {name: mesh.carry(source.face_unit(name)) for name in ARKIT_NAMES}
    inner = np.setdiff1d(mesh.triangle_vertices("mouth_inner"), lips.loops[0])
    for name in ARKIT_NAMES:
        if name.startswith(("eye", "brow")):  # the source's blinks move the roof of the mouth by 8 mm
            shapes[name][inner] = 0.0
    for name in CLOSED_SHAPES:
        shapes[name] = lips.zip(shapes[name])
    return shapes


def seal_open_jaw(shapes: dict[str, np.ndarray], lips: Lips, tongue: np.ndarray) -> None:
    """mouthClose seals the lips at an equal weight of jawOpen, and leaves the tongue's vertices alone (in place)."""
    sealed = lips.zip(shapes["jawOpen"] + shapes["mouthClose"])
    shapes["mouthClose"] = sealed - shapes["jawOpen"]
    shapes["mouthClose"][tongue] = 0.0
