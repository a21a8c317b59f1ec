"""Motion (T, D in a rig's space), MeshSequence (T, V, 3) and Take: one performance for one speech.

Letters: T motion frames, D motion dimension, V vertices, K blendshapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.errors import VultusError

if TYPE_CHECKING:
    from vultus.rigs.base import Rig
    from vultus.speech import SpeechSource
    from vultus.topology import Template

ARKIT_NAMES: tuple[str, ...] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""The 52 ARKit blendshape names in the order of a Live Link Face file (Left and Right are the subject's)."""

EXTRA_NAMES: tuple[str, ...] = ("tongueUp", "tongueDown", "tongueBack")
"""Tongue shapes of ours beyond ARKit: tip to the ridge behind the upper teeth (/t d n l/), tip and blade down and
forward (open vowels), body up and back (/k g/)."""

WEIGHT_NAMES: tuple[str, ...] = ARKIT_NAMES + EXTRA_NAMES


@dataclass(frozen=True, eq=False)
class Motion:
    """Motion in a rig's space.

    Attributes:
        values: (T, D) float32; for the blendshape rig the weights, in [0, 1], columns as `rig.names`.
        fps: frames per second; frame i stands at i / fps.
        rig: what maps it to vertices.
        head_rotation: (T, 3) float32 axis-angle, radians; None where a model makes none.
    """

    values: np.ndarray
    fps: float
    rig: Rig
    head_rotation: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != self.rig.dimension:
            raise VultusError(
                f"motion has shape {self.values.shape}; rig '{self.rig.name}' expects (frames, {self.rig.dimension})"
            )
        if self.head_rotation is not None and self.head_rotation.shape != (len(self.values), 3):
            raise VultusError(f"head_rotation has shape {self.head_rotation.shape}; expected ({len(self.values)}, 3)")

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class MeshSequence:
    """Vertices of a moving face: (T, V, 3) float32 metres, at `fps`, on `template`."""

    vertices: np.ndarray
    fps: float
    template: Template


@dataclass(eq=False)
class Take:
    """One performance for one speech: what a method predicts and an exporter writes.

    Attributes:
        motion: weights or another rig's motion.
        template: the neutral face that moves.
        head_rotation: (T, 3) float32 axis-angle, radians, about the neck joint; kept apart from the vertices.
        speech: where the sound comes from (for .mp4), or None.
        info: what made it (model, style, seed, version): plain JSON values, written into files that can hold it.
    """

    motion: Motion
    template: Template
    head_rotation: np.ndarray
    speech: SpeechSource | None = None
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.head_rotation.shape != (len(self.motion), 3):
            raise VultusError(f"head_rotation has shape {self.head_rotation.shape}; expected ({len(self.motion)}, 3)")

    @property
    def fps(self) -> float:
        return self.motion.fps

    def __len__(self) -> int:
        return len(self.motion)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.fps

    @property
    def has_weights(self) -> bool:
        """Whether the motion is the weights of the 52 ARKit shapes."""
        return tuple(getattr(self.motion.rig, "names", ()))[: len(ARKIT_NAMES)] == ARKIT_NAMES

    @property
    def weights(self) -> np.ndarray:
        """(T, 52) float32 in [0, 1], columns as ARKIT_NAMES; VultusError where the rig has none."""
        if not self.has_weights:
            raise VultusError(f"this take moves a '{self.motion.rig.name}' rig, which has no ARKit weights")
        return self.motion.values[:, : len(ARKIT_NAMES)]

    @property
    def extra_weights(self) -> np.ndarray:
        """(T, E) float32 in [0, 1], columns as `extra_weight_names`."""
        _ = self.weights
        return self.motion.values[:, len(ARKIT_NAMES) :]

    @property
    def extra_weight_names(self) -> tuple[str, ...]:
        _ = self.weights
        return tuple(getattr(self.motion.rig, "names", ()))[len(ARKIT_NAMES) :]

    def vertices(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Vertices (n, V, 3) float32 of frames start .. stop - 1, metres, without head rotation."""
        return self.motion.rig.vertices(self.motion.values[start:stop], self.template)

    def vertex_blocks(self, block: int = 256) -> Iterator[np.ndarray]:
        """The vertices block by block, so that an hour fits in memory."""
        for start in range(0, len(self), block):
            yield self.vertices(start, start + block)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Writes the take; the suffix chooses the format (.glb .csv .json .npz .mp4 .png).

        Nothing is left behind where writing fails. Options go to the exporter (size, fps of .mp4 ...).
        """
        from vultus.export import save

        return save(self, Path(path), **options)
