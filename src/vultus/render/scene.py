"""Scene: a face under three lights before a camera, drawn by the built-in rasteriser.

The look is a portrait: a warm key light from the upper left of the picture, a cool fill from the right, a rim light from
behind; skin that scatters light (red farthest), wet eyes whose iris is drawn from the gaze rather than from the mesh,
a mouth that darkens with depth, and a neck that fades into the background where the mesh is cut.

Letters: V vertices, F triangles, H rows and W columns of the picture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vultus.errors import VultusError, unknown_name
from vultus.render import rasteriser as ras
from vultus.topology import Template

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
        two_sided: whether triangles seen from behind are drawn.
        eye: which eye's iris is drawn on it, or -1.
    """

    wrap: tuple[float, float, float] = (0.0, 0.0, 0.0)
    specular: float = 0.1
    gloss: int = 4
    colour: tuple[float, float, float] = (0.56, 0.36, 0.27)
    two_sided: bool = True
    eye: int = -1


MATERIALS: dict[str, Material] = {
    "skin": Material(wrap=(0.45, 0.22, 0.16), specular=0.16, gloss=4),
    "eye_left": Material(wrap=(0.35, 0.25, 0.22), specular=2.6, gloss=8, colour=(0.80, 0.76, 0.73),
                         two_sided=False, eye=0),
    "eye_right": Material(wrap=(0.35, 0.25, 0.22), specular=2.6, gloss=8, colour=(0.80, 0.76, 0.73),
                          two_sided=False, eye=1),
    # Teeth are open strips: their backs would show as a grey wedge in the corner of the mouth.
    "teeth_upper": Material(wrap=(0.4, 0.35, 0.3), specular=0.5, gloss=5, colour=(0.80, 0.75, 0.66), two_sided=False),
    "teeth_lower": Material(wrap=(0.4, 0.35, 0.3), specular=0.5, gloss=5, colour=(0.80, 0.75, 0.66), two_sided=False),
    "tongue": Material(wrap=(0.5, 0.25, 0.25), specular=0.35, gloss=5, colour=(0.50, 0.17, 0.16), two_sided=False),
    "mouth_inner": Material(wrap=(0.4, 0.2, 0.2), specular=0.25, gloss=5, colour=(0.32, 0.09, 0.08)),
}  # fmt: skip
"""Materials by the topology's part name; parts of other names, and meshes without parts, are skin."""

LASHES = "lashes"
LASH_COLOUR = (0.018, 0.012, 0.010)
LASH_ALPHA = 0.45

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
IRIS_ANGLE, PUPIL_ANGLE = np.radians(29.0), np.radians(11.0)
"""Half-angles seen from the eyeball's centre: an iris of 11.7 mm and a pupil of 4.6 mm on a ball of 24 mm."""

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


def rotation_matrix(rotation: np.ndarray) -> np.ndarray:
    """(3, 3) float64 matrix of an axis-angle vector (3,), radians (Rodrigues)."""
    rotation = np.asarray(rotation, np.float64)
    angle = float(np.sqrt(rotation @ rotation))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = rotation / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def _display_table(entries: int = 16384) -> np.ndarray:
    """(n,) uint8: linear light in [0, 1] -> sRGB bytes."""
    light = np.linspace(0, 1, entries)
    curve = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(curve * 255).astype(np.uint8)


def _linear(colour: tuple[int, int, int]) -> np.ndarray:
    """(3,) float32 linear light of sRGB bytes."""
    value = np.asarray(colour, np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def occlusion(vertices: np.ndarray, faces: np.ndarray, directions: int = 96, side: int = 160) -> np.ndarray:
    """How open to the surroundings each vertex is, (V,) float32: 1 in the open, 0 shut in.

    The mesh is drawn from `directions` sides without perspective; a vertex counts a side, by the cosine to its normal,
    where nothing is nearer (Landis, "Production-ready global illumination", SIGGRAPH 2002 course, by depth maps).
    """
    vertices = np.ascontiguousarray(vertices, np.float32)
    normals = np.empty_like(vertices)
    ras.vertex_normals(vertices, faces, normals)
    low, high = vertices.min(0), vertices.max(0)
    radius = float(np.linalg.norm(high - low)) / 2 or 1.0
    centred = (vertices - (low + high) / 2) / radius
    number = np.arange(directions) + 0.5
    height = 1 - 2 * number / directions  # a Fibonacci sphere: even cover without randomness
    around = np.pi * (1 + 5**0.5) * number
    flat = np.sqrt(1 - height**2)
    toward = np.stack([np.cos(around) * flat, height, np.sin(around) * flat], 1)
    seen, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    sides = np.full(len(faces), ras.TWO_SIDED, np.uint8)
    for z in toward:
        x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
        x /= np.linalg.norm(x)
        y = np.cross(z, x)
        place = centred @ np.stack([x, -y, z], 1)
        screen = np.ascontiguousarray(
            np.column_stack([(place[:, 0] + 1) * side / 2, (place[:, 1] + 1) * side / 2, place[:, 2] + 2]), np.float32
        )
        depth = np.zeros((side, side), np.float32)
        ras.rasterise(screen, faces, sides, depth, np.empty((side, side), np.int32))
        column, row = np.clip(screen[:, :2].astype(int), 0, side - 1).T
        facing = normals @ z
        weight = np.maximum(facing, 0)
        # a surface seen aslant changes depth within one pixel of the map; the tolerance grows with that
        slack = 2.5 / side * (1 + 1.5 * np.sqrt(1 - np.minimum(weight, 1) ** 2))
        total += weight
        seen += weight * (depth[row, column] <= screen[:, 2] + slack)
    return (seen / np.maximum(total, 1e-9)).astype(np.float32)


class Scene:
    """A template before a camera, with lights and materials; draws any vertices of its topology."""

    def __init__(
        self,
        template: Template,
        *,
        pivot: np.ndarray | None = None,
        framing: str = "head",
        background: str | tuple[int, int, int] | None = None,
        supersample: bool = True,
    ) -> None:
        """Prepares what stays the same from frame to frame.

        Args:
            template: the face; it decides the framing, so that all frames share one camera.
            pivot: (3,) metres, what the head turns about; None takes the low middle of the template.
            framing: "head", "face" (no neck) or "mouth" (needs the region lips).
            background: "#rrggbb" or RGB bytes for a plain one; None for a grey gradient.
            supersample: 2 x 2 samples a pixel; without it outlines are jagged and drawing is some 30 % faster.

        Raises:
            VultusError: an unknown framing, or a colour that cannot be read.
        """
        if framing not in FRAMINGS:
            raise unknown_name("framing", framing, FRAMINGS)
        topology = template.topology
        self.template = template
        self.samples = 2 if supersample else 1
        self.background = None if background is None else _linear(parse_colour(background))
        vertices = np.ascontiguousarray(template.vertices, np.float32)
        faces = np.ascontiguousarray(topology.faces, np.int32)

        names = [name for name in topology.parts if name != LASHES]
        material_names = ["skin", *(name for name in names if name in MATERIALS and name != "skin")]
        material_of = np.zeros(len(faces), np.uint8)
        for name in names:
            if name in material_names:
                material_of[topology.parts[name]] = material_names.index(name)
        solid = np.ones(len(faces), bool)
        solid[topology.parts.get(LASHES, np.empty(0, np.int32))] = False
        self._faces = np.ascontiguousarray(faces[solid])
        self._lash_faces = np.ascontiguousarray(faces[~solid])
        self._material_of = np.ascontiguousarray(material_of[solid])
        chosen = [MATERIALS[name] for name in material_names]
        self._materials = np.array([[*m.wrap, m.specular, m.gloss, m.eye] for m in chosen], np.float32)
        sides = np.array([ras.TWO_SIDED if m.two_sided else ras.CULL_BACK for m in chosen], np.uint8)
        self._sides = sides[self._material_of]

        low, high = vertices.min(0), vertices.max(0)
        if pivot is None:
            pivot = np.array([(low[0] + high[0]) / 2, low[1] + 0.2 * (high[1] - low[1]), (low[2] + high[2]) / 2])
        self.pivot = np.asarray(pivot, np.float64)

        def part_vertices(name: str) -> np.ndarray:
            return np.unique(faces[topology.parts[name]])

        # Base colours; the mesh of an eyeball is too coarse to paint, so its white is plain and the iris is drawn.
        colours = np.empty((len(vertices), 3), np.float32)
        colours[:] = MATERIALS["skin"].colour
        for name in names:
            if name in MATERIALS:
                colours[part_vertices(name)] = MATERIALS[name].colour
        if topology.colours is not None:
            colours[:] = topology.colours
            for name in names:
                if MATERIALS.get(name, MATERIALS["skin"]).eye >= 0:
                    colours[part_vertices(name)] = MATERIALS[name].colour

        openness = occlusion(vertices, self._faces)
        # The lips meet in the template, so their inner edges are dark there whatever the mouth does later.
        openness = np.clip((openness - 0.1) / 0.75, 0.25, 1).astype(np.float32)
        self._mouth = np.unique(np.concatenate([part_vertices(n) for n in MOUTH_PARTS if n in topology.parts] or
                                               [np.empty(0, np.int32)])).astype(np.int64)  # fmt: skip
        lips = topology.regions.get("lips", np.empty(0, np.int32))
        self._lips = lips if len(lips) else np.empty(0, np.int32)
        opacity = np.ones(len(vertices), np.float32)
        if "skin" in topology.parts:
            # Our meshes end in a cut neck: the lowest tenth fades out.
            rise = (vertices[:, 1] - low[1]) / max(float(high[1] - low[1]), 1e-9)
            opacity = np.clip((rise - 0.02) / 0.13, 0, 1) ** 2 * (3 - 2 * np.clip((rise - 0.02) / 0.13, 0, 1))
        self._attributes = np.ascontiguousarray(np.column_stack([colours, openness, opacity]), np.float32)
        lash_alpha = np.full(len(vertices), LASH_ALPHA)
        self._lash_colours = np.ascontiguousarray(
            np.column_stack([np.tile(LASH_COLOUR, (len(vertices), 1)), lash_alpha]), np.float32
        )

        self._eyes: list[tuple[np.ndarray, int]] = []
        for name in ("eye_left", "eye_right"):
            if name in topology.parts:
                ball = part_vertices(name)
                self._eyes.append((ball, int(np.argmax(vertices[ball, 2]))))
            else:
                self._eyes.append((np.empty(0, np.int64), 0))

        directions = np.array([direction for direction, _ in LIGHTS])
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self._lights = np.ascontiguousarray(np.column_stack([directions, [colour for _, colour in LIGHTS]]), np.float32)
        self._ambient = np.array([*AMBIENT_BELOW, *AMBIENT_ABOVE], np.float32)
        self._table = _display_table()
        self._normals = np.empty_like(vertices)
        self._screen = np.empty_like(vertices)
        self._buffers: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = {}
        self._frame(framing, vertices)
