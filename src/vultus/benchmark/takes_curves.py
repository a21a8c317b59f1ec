"""What a take does, as curves that takes can be compared by: lips, jaw, lids, upper face, brows, blinks, gaze, head.

Regions of the mesh are in mm, brows and blinks in blendshape weights, gaze and head in degrees. A curve is
(T, P, K): P points that count alike, K components of each that make one distance.

Letters: T motion frames, V vertices, P points, K components, N takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vultus.clock import num_motion_frames, resample_motion
from vultus.errors import VultusError
from vultus.metrics import Region
from vultus.metrics.mouth import mouth_opening_curve
from vultus.motion import WEIGHT_NAMES, Motion
from vultus.synthesis.clipfile import LAYERS
from vultus.synthesis.expression import EYE_DOWN, EYE_SIDE, EYE_UP, INDEX

REGIONS = {"lips": "lips", "jaw": "jaw", "lids": "eyelids", "upper face": "upper_face"}
UNITS = {"lips": "mm", "jaw": "mm", "lids": "mm", "upper face": "mm", "brows": "weight", "blinks": "weight",
         "gaze": "degrees", "head": "degrees"}  # fmt: skip
"""Name of a curve -> its unit."""
POINTS = 200
"""Vertices of a region at most, evenly over their order: neighbours move together."""

Curves = dict[str, np.ndarray]


def true_curves(clip: Any, fps: float, regions: Mapping[str, Region]) -> Curves:
    """Of a clip of the corpus, all layers and the head."""
    weights = clip.motion(LAYERS, fps)
    vertices = clip.head.rig.vertices(weights, clip.template)
    return curves(vertices, weights, clip.head_rotation(fps), clip.template, regions)


def model_curves(motion: Motion, clip: Any, fps: float, regions: Mapping[str, Region]) -> Curves:
    """Of a take that a model gave for a clip.

    Raises:
        VultusError: the motion is not of the head's blendshape weights.
    """
    if motion.values.shape[1] != len(WEIGHT_NAMES):
        raise VultusError(
            f"the model's motion has {motion.values.shape[1]} columns; the comparison of blinks, brows and gaze needs "
            f"the {len(WEIGHT_NAMES)} weights of the head: a model trained with data.space = 'weights'"
        )
    values, turn = motion.values, motion.head_rotation
    if motion.fps != fps:
        frames = num_motion_frames(clip.num_samples, fps)
        values = resample_motion(values, motion.fps, fps, frames)
        turn = None if turn is None else resample_motion(turn, motion.fps, fps, frames)
    vertices = motion.rig.vertices(values, clip.template)
    return curves(vertices, np.clip(values, 0, 1), turn, clip.template, regions)


def curves(
    vertices: np.ndarray, weights: np.ndarray, turn: np.ndarray | None, template: Any, regions: Mapping[str, Region]
) -> Curves:
    """All curves of one take, float32; "lip gap" (T, 1, 1) in mm beside those of UNITS, no "head" where none is known.

    Args:
        vertices: (T, V, 3) metres.
        weights: (T, 55) in [0, 1].
        turn: (T, 3) axis-angle, radians, or None.
        template: the neutral face.
        regions: of its topology.
    """
    found: Curves = {}
    for name, region in REGIONS.items():
        chosen = regions[region].vertices
        chosen = chosen[:: -(-len(chosen) // POINTS)]
        found[name] = (1000.0 * (vertices[:, chosen] - template.vertices[chosen])).astype(np.float32)
    sides = {name: 0.5 * (weights[:, INDEX[name + "Left"]] + weights[:, INDEX[name + "Right"]])
             for name in ("browDown", "browOuterUp", "eyeBlink", "eyeLookUp", "eyeLookDown")}  # fmt: skip
    brows = [sides["browDown"], weights[:, INDEX["browInnerUp"]], sides["browOuterUp"]]
    found["brows"] = np.stack(brows, 1)[:, :, None]
    found["blinks"] = sides["eyeBlink"][:, None, None]
    across = [weights[:, INDEX[name]] for name in
              ("eyeLookOutLeft", "eyeLookInRight", "eyeLookInLeft", "eyeLookOutRight")]  # fmt: skip
    left = 0.5 * EYE_SIDE * (across[0] + across[1] - across[2] - across[3])
    found["gaze"] = np.stack([left, EYE_UP * sides["eyeLookUp"] - EYE_DOWN * sides["eyeLookDown"]], 1)[:, None]
    if turn is not None:
        found["head"] = np.degrees(turn)[:, None]
    gap = mouth_opening_curve(vertices, template.vertices, template.topology, regions)
    found["lip gap"] = 1000.0 * gap[:, None, None]
    return {name: np.asarray(values, np.float32) for name, values in found.items()}
