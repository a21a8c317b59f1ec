"""The look of a rendered face: materials by part, lights, colours, and the checks of what a user may ask for.

A portrait: a warm key light from the upper left of the picture, a cool fill from the right, a rim light from behind;
skin that scatters light (red farthest), wet eyes, teeth off white.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vultus.errors import VultusError

MIN_SIZE, MAX_SIZE = 16, 4096
"""Limits of a picture's sides, pixels."""


@dataclass(frozen=True)
class Material:
    """How a part answers light.

    Attributes:
        wrap: softness of the terminator for red, green and blue; 0 is Lambert.
        specular: strength of the highlight.
        gloss: doublings of the highlight's exponent (7 is exponent 128).
        colour: linear RGB where the topology has no colours.
        closed: whether triangles seen from behind need not be drawn.
        eye: which eye's iris is drawn on it, or -1.
    """

    wrap: tuple[float, float, float] = (0.0, 0.0, 0.0)
    specular: float = 0.1
    gloss: int = 4
    colour: tuple[float, float, float] = (0.56, 0.36, 0.27)
    closed: bool = True
    eye: int = -1


MATERIALS: dict[str, Material] = {
    "skin": Material(wrap=(0.45, 0.22, 0.16), specular=0.16, gloss=4),
    "eye_left": Material(wrap=(0.35, 0.25, 0.22), specular=2.6, gloss=8, colour=(0.66, 0.62, 0.60), eye=0),
    "eye_right": Material(wrap=(0.35, 0.25, 0.22), specular=2.6, gloss=8, colour=(0.66, 0.62, 0.60), eye=1),
    # Teeth are open strips: their backs would show as a grey wedge in the corner of the mouth.
    "teeth_upper": Material(wrap=(0.4, 0.35, 0.3), specular=0.5, gloss=5, colour=(0.80, 0.75, 0.66)),
    "teeth_lower": Material(wrap=(0.4, 0.35, 0.3), specular=0.5, gloss=5, colour=(0.80, 0.75, 0.66)),
    "tongue": Material(wrap=(0.5, 0.25, 0.25), specular=0.35, gloss=5, colour=(0.50, 0.17, 0.16)),
    "mouth_inner": Material(wrap=(0.4, 0.2, 0.2), specular=0.25, gloss=5, colour=(0.32, 0.09, 0.08), closed=False),
}  # fmt: skip
"""Materials by the topology's part name; parts of other names, and meshes without parts, are skin."""

LASHES = "lashes"
LASH_COLOUR = (0.018, 0.012, 0.010)
LASH_ALPHA = 0.7

MOUTH_PARTS = ("teeth_upper", "teeth_lower", "tongue", "mouth_inner")

#: Direction towards the light (x right of the picture, y up, z to the camera) and linear colour.
LIGHTS: tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...] = (
    ((-0.55, 0.62, 0.72), (1.62, 1.52, 1.40)),
    ((0.85, 0.10, 0.55), (0.34, 0.38, 0.46)),
    ((0.60, 0.45, -0.75), (0.95, 1.00, 1.12)),
)
AMBIENT_BELOW = (0.17, 0.145, 0.13)
AMBIENT_ABOVE = (0.36, 0.38, 0.42)

IRIS_COLOUR = (0.085, 0.16, 0.19)
IRIS_ANGLE, PUPIL_ANGLE = float(np.radians(24.0)), float(np.radians(9.5))
"""Half-angles seen from the eyeball's centre, radians. The iris of a real eye, 6 mm on a ball of 12 mm, is wider
(29 degrees), but the balls of our head are larger than real ones."""

BACKGROUND_TOP, BACKGROUND_BOTTOM = (0.115, 0.125, 0.145), (0.030, 0.033, 0.040)

VERTICAL_FIELD = np.radians(16.0)
"""The camera's field of view: that of a portrait lens, which does not swell the nose."""

FRAMINGS = ("head", "face", "mouth")

Size = int | tuple[int, int]


def check_size(size: Size, *, even: bool = False) -> tuple[int, int]:
    """Returns (width, height) in pixels, or raises VultusError outside MIN_SIZE..MAX_SIZE or, if asked, where odd."""
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) for side in sides):
        raise VultusError(f"picture size is {size!r}; expected a whole number of pixels or (width, height)")
    for side in sides:
        if not MIN_SIZE <= side <= MAX_SIZE:
            raise VultusError(f"picture size is {side}; expected {MIN_SIZE} to {MAX_SIZE} pixels")
        if even and side % 2:
            raise VultusError(f"picture size is {side}; the video format needs an even number; try {side + 1}")
    return int(sides[0]), int(sides[1])


def parse_colour(colour: str | tuple[int, int, int]) -> tuple[int, int, int]:
    """Display RGB bytes from "#rrggbb" or three numbers from 0 to 255; VultusError otherwise.

    >>> parse_colour("#ff8000")
    (255, 128, 0)
    """
    if isinstance(colour, str):
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
            raise VultusError(f"background is {colour!r}; expected #rrggbb, as #ffffff for white")
        return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
    values = tuple(int(value) for value in colour)
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        raise VultusError(f"background is {colour!r}; expected three numbers from 0 to 255 or #rrggbb")
    return values[0], values[1], values[2]


def display_table(entries: int = 16384) -> np.ndarray:
    """(n,) uint8: linear light in [0, 1] -> sRGB bytes."""
    light = np.linspace(0, 1, entries)
    curve = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(curve * 255).astype(np.uint8)


def linear_light(colour: tuple[int, int, int]) -> np.ndarray:
    """(3,) float32 linear light of sRGB bytes."""
    value = np.asarray(colour, np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)
