"""Labelled grids of faces: the pictures of docs/head_shapes.md, and whatever else wants faces side by side.

Letters: K blendshapes, V vertices, H rows and W columns of a picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vultus.head import Head, load_head
from vultus.motion import ARKIT_NAMES, EXTRA_NAMES
from vultus.render.scene import Scene
from vultus.render.text import ADVANCE, draw_text

PAPER = "#f2f2f0"
"""Background of documentation pictures: plain, so that the files stay small."""

_INK = (60, 60, 66)
_LABEL, _GAP = 18, 4

#: Mouth shapes of speech as blendshape weights: what a phonetician would ask of a face, set by hand and by eye.
MOUTH_SHAPES: dict[str, dict[str, float]] = {
    "rest": {},
    "/p b m/": {"mouthPressLeft": 0.35, "mouthPressRight": 0.35, "mouthRollLower": 0.3, "mouthRollUpper": 0.25,
                "jawOpen": 0.04, "mouthClose": 0.04},
    "/f v/": {"jawOpen": 0.1, "mouthRollLower": 0.65, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3,
              "mouthStretchLeft": 0.1, "mouthStretchRight": 0.1},
    "/θ/ (th)": {"jawOpen": 0.16, "tongueOut": 0.6},
    "/t d n l/": {"jawOpen": 0.18, "tongueUp": 0.9, "mouthStretchLeft": 0.1, "mouthStretchRight": 0.1},
    "/s z/": {"jawOpen": 0.05, "mouthStretchLeft": 0.3, "mouthStretchRight": 0.3, "mouthLowerDownLeft": 0.35,
              "mouthLowerDownRight": 0.35, "mouthUpperUpLeft": 0.15, "mouthUpperUpRight": 0.15, "tongueUp": 0.5},
    "/ʃ/ (sh)": {"jawOpen": 0.08, "mouthFunnel": 0.75, "mouthPucker": 0.25},
    "/k g/": {"jawOpen": 0.25, "tongueBack": 0.9},
    "/a/": {"jawOpen": 0.65, "tongueDown": 0.6, "mouthLowerDownLeft": 0.15, "mouthLowerDownRight": 0.15},
    "/e/": {"jawOpen": 0.3, "mouthStretchLeft": 0.25, "mouthStretchRight": 0.25, "mouthSmileLeft": 0.15,
            "mouthSmileRight": 0.15},
    "/i/": {"jawOpen": 0.1, "mouthSmileLeft": 0.4, "mouthSmileRight": 0.4, "mouthStretchLeft": 0.25,
            "mouthStretchRight": 0.25, "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2},
    "/u/": {"jawOpen": 0.12, "mouthPucker": 0.75, "mouthFunnel": 0.35},
}  # fmt: skip

#: Shapes whose effect is best seen on the mouth alone.
MOUTH_NAMES = tuple(name for name in ARKIT_NAMES if name.startswith(("mouth", "jaw", "tongue")) and name != "jawOpen")
FACE_NAMES = tuple(name for name in ARKIT_NAMES if name not in MOUTH_NAMES)

#: A tongue shape shows only behind parted lips.
TONGUE_JAW = 0.35


def grid(pictures: Sequence[np.ndarray], labels: Sequence[str], columns: int) -> np.ndarray:
    """Pictures of one size in rows, a label under each: (H, W, 3) uint8."""
    height, width = pictures[0].shape[:2]
    rows = math.ceil(len(pictures) / columns)
    paper = tuple(int(PAPER[i : i + 2], 16) for i in (1, 3, 5))
    sheet = np.empty((rows * (height + _LABEL), columns * (width + _GAP) - _GAP, 3), np.uint8)
    sheet[:] = paper
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        y, x = place // columns * (height + _LABEL), place % columns * (width + _GAP)
        sheet[y : y + height, x : x + width] = picture
        draw_text(sheet, label, x + max(0, (width - ADVANCE * len(label)) // 2), y + height + 4, _INK)
    return sheet


def quieten(pixels: np.ndarray, step: int = 4) -> np.ndarray:
    """Colours to multiples of `step`: the eye hardly sees it and a PNG shrinks by a third."""
    return (np.minimum((pixels.astype(np.int16) + step // 2) // step * step, 255)).astype(np.uint8)


def pose_grid(
    head: Head, poses: Mapping[str, Mapping[str, float]], *, framing: str, size: int | tuple[int, int], columns: int
) -> np.ndarray:
    """One picture for each named set of blendshape weights, (H, W, 3) uint8."""
    scene = Scene(head.template, pivot=head.pivot, framing=framing, background=PAPER)
    motion = np.stack([head.rig.weights(**weights) for weights in poses.values()])
    pictures = [scene.render(vertices, None, size) for vertices in head.rig.vertices(motion, head.template)]
    return grid(pictures, list(poses), columns)


def shape_figures(head: Head | None = None) -> dict[str, np.ndarray]:
    """The pictures of the shipped head: name -> (H, W, 3) uint8.

    "shapes_face" and "shapes_mouth" show the 52 ARKit shapes at weight 1, "shapes_tongue" our three tongue shapes with
    the jaw lowered, "mouth_shapes" those of speech, "people" eight random identities.
    """
    head = head or load_head()
    tongue = {"jawOpen only": {"jawOpen": TONGUE_JAW}}
    tongue |= {name: {"jawOpen": TONGUE_JAW, name: 1.0} for name in EXTRA_NAMES}
    figures = {
        "shapes_face": pose_grid(head, {name: {name: 1.0} for name in FACE_NAMES}, framing="face", size=196, columns=5),
        "shapes_mouth": pose_grid(
            head, {name: {name: 1.0} for name in MOUTH_NAMES}, framing="mouth", size=(160, 136), columns=6
        ),
        "shapes_tongue": pose_grid(head, tongue, framing="mouth", size=(240, 196), columns=4),
        "mouth_shapes": pose_grid(head, MOUTH_SHAPES, framing="mouth", size=(240, 196), columns=4),
        "people": people(range(1, 9)),
    }
    return {name: quieten(picture) for name, picture in figures.items()}


def people(seeds: Sequence[int], size: int = 240, columns: int = 4) -> np.ndarray:
    """Random identities side by side, each before a camera of its own, (H, W, 3) uint8."""
    pictures = []
    for seed in seeds:
        head = load_head(seed)
        scene = Scene(head.template, pivot=head.pivot, background=PAPER)
        smile = head.rig.weights(mouthSmileLeft=0.12, mouthSmileRight=0.12)
        vertices = head.rig.vertices(smile[None], head.template)[0]
        pictures.append(scene.render(vertices, np.array([0.0, 0.3, 0.0]), size))
    return grid(pictures, [f"seed {seed}" for seed in seeds], columns)
