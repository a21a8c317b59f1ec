"""Scene: a face under three lights before a camera, drawn by the built-in rasteriser.

Irises are drawn from the gaze rather than from the mesh, the mouth darkens with depth, and the neck fades into the
background where the mesh is cut.

Letters: V vertices, F triangles, H rows and W columns of the picture.
"""

from __future__ import annotations

import numpy as np

from vultus.errors import VultusError, unknown_name
from vultus.render import rasteriser as ras
from vultus.render import shading
from vultus.render.geometry import occlusion, rotation_matrix, sphere_centre
from vultus.render.look import (
    AMBIENT_ABOVE,
    AMBIENT_BELOW,
    BACKGROUND_BOTTOM,
    BACKGROUND_TOP,
    FRAMINGS,
    IRIS_ANGLE,
    IRIS_COLOUR,
    LASH_ALPHA,
    LASH_COLOUR,
    LASHES,
    LIGHTS,
    MATERIALS,
    MOUTH_PARTS,
    PUPIL_ANGLE,
    VERTICAL_FIELD,
    Size,
    check_size,
    display_table,
    linear_light,
    parse_colour,
)
from vultus.topology import Template


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
        self.background = None if background is None else linear_light(parse_colour(background))
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
        # A head with parts is closed but for its faded neck; a bare mesh may show the inside of its skin.
        sides = np.array([ras.CULL_BACK if names and m.closed else ras.TWO_SIDED for m in chosen], np.uint8)
        self._sides = sides[self._material_of]

        low, high = vertices.min(0), vertices.max(0)
        if pivot is None and topology.name == "head":
            from vultus.head import load_head

            head = load_head()
            if head.topology.digest == topology.digest:
                pivot = head.pivot
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
        # A raised tongue stands in the light of the opening: it must not go black, or /l/ and /t/ cannot be seen.
        tongue = part_vertices("tongue") if "tongue" in topology.parts else np.empty(0, np.int32)
        self._mouth_floor = np.where(np.isin(self._mouth, tongue), 0.5, 0.15).astype(np.float32)
        lips = topology.regions.get("lips", np.empty(0, np.int32))
        self._lips = np.asarray(lips, np.int64)
        self._lip_rise = float(np.ptp(vertices[self._lips, 1])) if len(lips) else 0.0  # of the closed mouth
        opacity = np.ones(len(vertices), np.float32)
        if "skin" in topology.parts:
            # Our meshes end in a cut neck, which fades out.
            rise = (vertices[:, 1] - low[1]) / max(float(high[1] - low[1]), 1e-9)
            rise = np.clip((rise - 0.03) / 0.19, 0, 1)
            opacity = rise**2 * (3 - 2 * rise)
        self._attributes = np.ascontiguousarray(np.column_stack([colours, openness, opacity]), np.float32)
        lash_alpha = np.zeros(len(vertices))
        if len(self._lash_faces):
            # A strip stands for hairs, which are thin at their tips: its alpha falls with the distance from the lid.
            lash, skin = np.unique(self._lash_faces), np.unique(self._faces)
            away = np.array([np.sqrt(((vertices[skin] - vertices[i]) ** 2).sum(1).min()) for i in lash])
            lash_alpha[lash] = LASH_ALPHA * (1 - away / max(float(away.max()), 1e-9)) ** 1.5
        self._lash_colours = np.ascontiguousarray(
            np.column_stack([np.tile(LASH_COLOUR, (len(vertices), 1)), lash_alpha]), np.float32
        )

        self._eyes = [
            part_vertices(name) if name in topology.parts else np.empty(0, np.int64)
            for name in ("eye_left", "eye_right")
        ]

        self._iris_colours = [self._iris_colour(ball) for ball in self._eyes]
        directions = np.array([direction for direction, _ in LIGHTS])
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self._lights = np.ascontiguousarray(np.column_stack([directions, [colour for _, colour in LIGHTS]]), np.float32)
        self._ambient = np.array([*AMBIENT_BELOW, *AMBIENT_ABOVE], np.float32)
        self._table = display_table()
        self._normals = np.empty_like(vertices)
        self._screen = np.empty_like(vertices)
        self._buffers: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = {}
        self._frame(framing, vertices)

    def _iris_colour(self, ball: np.ndarray) -> np.ndarray:
        """(3,) linear colour: what the topology paints in the middle of the iris, or IRIS_COLOUR."""
        colours = self.template.topology.colours
        if colours is None or not len(ball):
            return np.array(IRIS_COLOUR)
        centre = sphere_centre(self.template.vertices[ball])
        direction = self.template.vertices[ball] - centre
        cosine = direction[:, 2] / np.linalg.norm(direction, axis=1)
        ring = (cosine < np.cos(0.6 * PUPIL_ANGLE + 0.4 * IRIS_ANGLE)) & (cosine > np.cos(0.9 * IRIS_ANGLE))
        return np.median(colours[ball[ring]], axis=0) if ring.any() else np.array(IRIS_COLOUR)

    def _frame(self, framing: str, vertices: np.ndarray) -> None:
        """Puts the camera straight before the face at a distance where what `framing` names fills the picture."""
        low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
        shown = vertices[self._attributes[:, shading.OPACITY] > 0.5] if framing == "head" else vertices
        low, high = shown.min(0).astype(np.float64), shown.max(0).astype(np.float64)
        target = (low + high) / 2
        half = max(high[0] - low[0], high[1] - low[1]) / 2 * 1.1
        lips = vertices[self._lips].astype(np.float64)
        if framing == "mouth":
            if not len(lips):
                raise VultusError(f"topology '{self.template.topology.name}' has no region 'lips'; use framing 'head'")
            target = (lips.min(0) + lips.max(0)) / 2
            half = (lips[:, 0].max() - lips[:, 0].min()) * 0.78
        elif framing == "face" and len(lips) and len(self._eyes[0]) and len(self._eyes[1]):
            eyes = np.mean([vertices[ball].mean(0) for ball in self._eyes], axis=0)
            rise = float(eyes[1] - lips[:, 1].mean())
            target = np.array([eyes[0], lips[:, 1].mean() + 0.6 * rise, lips[:, 2].mean()])
            half = rise * 1.4
        distance = half / np.tan(VERTICAL_FIELD / 2)
        self._camera = np.array([target[0], target[1], high[2] + distance], np.float32)
        self._half = float(half)
        # What is in focus is a third of the way back into the head; the face in front of it looms slightly larger.
        self._focus = float(distance + (0.33 * (high[2] - low[2]) if framing == "head" else 0.0))
        self._axes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, -1]], np.float32)

    def _prepare(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Depth, triangle, background and picture buffers of one size; the last size is kept."""
        if (width, height) not in self._buffers:
            x = (np.arange(width, dtype=np.float32) + 0.5) / width
            y = (np.arange(height, dtype=np.float32) + 0.5) / height
            if self.background is not None:
                colour = np.broadcast_to(self.background, (height, width, 3))
            else:
                glow = np.exp(-((x[None, :] - 0.46) ** 2 + (y[:, None] - 0.36) ** 2) / 0.22)[..., None]
                top, bottom = np.array(BACKGROUND_TOP, np.float32), np.array(BACKGROUND_BOTTOM, np.float32)
                colour = bottom + (top - bottom) * glow
            samples = (height * self.samples, width * self.samples)
            self._buffers = {
                (width, height): (
                    np.empty(samples, np.float32),
                    np.empty(samples, np.int32),
                    np.ascontiguousarray(colour, np.float32),
                    np.empty((height, width, 3), np.float32),
                )
            }
        return self._buffers[width, height]

    def _eye_rows(self, vertices: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """Centre and gaze of each eyeball in the world, from the rigid motion that best explains its vertices."""
        rows = np.zeros((2, shading.EYE_COLUMNS), np.float32)
        for k, ball in enumerate(self._eyes):
            if not len(ball):
                continue
            now = vertices[ball].astype(np.float64)
            rest = self.template.vertices[ball].astype(np.float64)
            middle = rest.mean(0)
            u, _, vt = np.linalg.svd((rest - middle).T @ (now - now.mean(0)))
            turn = (vt.T * [1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
            centre = rotation @ (sphere_centre(now) - self.pivot) + self.pivot
            rows[k, :3] = centre
            rows[k, 3:6] = rotation @ (turn @ np.array([0.0, 0.0, 1.0]))
            rows[k, 6:8] = np.cos(PUPIL_ANGLE), np.cos(IRIS_ANGLE)
            rows[k, 8:11] = self._iris_colours[k]
        return rows

    def _mouth_openness(self, vertices: np.ndarray) -> np.ndarray:
        """(m,) float32: how much light reaches each vertex inside the mouth, less the deeper behind the lips.

        Light falls off with depth over a length that grows with the opening (the solid angle of the mouth).
        """
        depth = vertices[self._lips, 2].max() - vertices[self._mouth, 2]
        lips = vertices[self._lips, 1]
        extra = float(lips.max() - lips.min()) - self._lip_rise
        length = 0.035 + 0.6 * min(max(extra, 0.0), 0.04)
        light = np.exp(-np.maximum(depth - 0.006, 0) / length)
        return np.clip(light, self._mouth_floor, 0.9).astype(np.float32)

    def render(self, vertices: np.ndarray, head_rotation: np.ndarray | None = None, size: Size = 512) -> np.ndarray:
        """Draws one frame.

        Args:
            vertices: (V, 3) metres on the scene's topology, without head rotation.
            head_rotation: (3,) axis-angle about the pivot, radians; None is none.
            size: pixels, one number or (width, height).

        Returns:
            (H, W, 3) uint8 display RGB, a new array.

        Raises:
            VultusError: vertices of another shape, or a size out of limits.
        """
        width, height = check_size(size)
        if vertices.shape != self.template.vertices.shape:
            raise VultusError(
                f"vertices have shape {vertices.shape}; the scene's topology '{self.template.topology.name}' "
                f"has {self.template.vertices.shape}; make a Scene of the take's own template"
            )
        rotation = rotation_matrix(np.zeros(3) if head_rotation is None else head_rotation)
        vertices = np.ascontiguousarray(vertices, np.float32)
        moved = np.ascontiguousarray(
            vertices @ rotation.T.astype(np.float32) + (self.pivot - rotation @ self.pivot).astype(np.float32),
            np.float32,
        )
        attributes = self._attributes
        if len(self._mouth) and len(self._lips):
            attributes[self._mouth, shading.OCCLUSION] = self._mouth_openness(vertices)
        eyes = self._eye_rows(vertices, rotation)

        depth, triangles, background, picture = self._prepare(width, height)
        depth.fill(0)
        triangles.fill(-1)
        picture[:] = background
        samples = self.samples
        focal = min(width, height) * samples / 2 / self._half * self._focus
        ras.vertex_normals(moved, self._faces, self._normals)
        ras.project(moved, self._camera, self._axes, focal, width * samples / 2, height * samples / 2, self._screen)
        ras.rasterise(self._screen, self._faces, self._sides, depth, triangles)
        shading.shade(
            depth, triangles, samples, self._screen, self._faces, moved, self._normals, attributes, self._material_of,
            self._materials, self._lights, self._ambient, eyes, self._camera, picture,
        )  # fmt: skip
        if len(self._lash_faces):
            ras.blend(self._screen, self._lash_faces, depth, samples, self._lash_colours, picture)
        pixels = np.empty((height, width, 3), np.uint8)
        shading.encode(picture, self._table, pixels)
        return pixels
