"""FaceView: a face of any topology before a camera, coloured by vertex: heat maps, and places for what is drawn over.

Meshes go through the built-in rasteriser under white light, so that a surface that looks at the camera has exactly the
colour of the colour bar. Faces without triangles are drawn as a cloud of lit discs.

Letters: V vertices, F triangles, H rows and W columns of the picture.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from vultus.figures.base import need
from vultus.render import rasteriser as ras
from vultus.render import shading
from vultus.render.geometry import occlusion, rotation_matrix
from vultus.render.look import LASHES, VERTICAL_FIELD, display_table, linear_light
from vultus.topology import Template

PAPER = (255, 255, 255)
CLAY = (190, 186, 182)
"""Display RGB of the background, and of a face that shows its shape alone."""

_SAMPLES = 2
_AMBIENT = 0.52
#: Direction towards the light and strength; a surface that faces the camera gets 1 in all, ambient light included.
_LIGHTS = (((-0.35, 0.40, 1.0), 0.54), ((0.5, -0.1, 0.9), 0.08))
_OPENNESS = (0.72, 1.0)  # how dark crevices become: enough to see lips and lids, too little to change a reading
_DISC, _LARGEST_DISC = 0.55, 3.0  # radius of a point, in distances to the eighth neighbour; and the most, in medians


class FaceView:
    """A template before a camera straight in front of it.

    Args:
        template: the face; it decides the framing.
        turn: degrees about x, y and z, applied in this order, for data whose faces do not look along +z with +y up.

    Attributes:
        middle: (3,) what stands in the middle of the picture, turned, in the unit of the data.
        half: half the height of the picture, in the unit of the data.
        aspect: width of a picture over its height.
    """

    def __init__(self, template: Template, turn: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        topology = template.topology
        self.template = template
        self._turn = turn_matrix(turn)
        vertices = self.turned(template.vertices)
        self.faces = drawn_faces(template)
        self._openness = np.ones(len(vertices), np.float32)
        self._shown = np.unique(self.faces) if len(self.faces) else np.arange(len(vertices))
        low, high = vertices[self._shown].min(0), vertices[self._shown].max(0)
        middle, half_width, half_height = (low + high) / 2, (high[0] - low[0]) / 2, (high[1] - low[1]) / 2
        eyes = [np.unique(topology.faces[topology.parts[n]]) for n in ("eye_left", "eye_right") if n in topology.parts]
        if "lips" in topology.regions and len(eyes) == 2:  # a whole head: come closer, to brow and chin
            lips, eye = vertices[topology.regions["lips"]].mean(0), vertices[np.concatenate(eyes)].mean(0)
            rise = float(eye[1] - lips[1])
            middle = np.array([eye[0], lips[1] + 0.62 * rise, middle[2]])
            half_height, half_width = 1.58 * rise, 1.18 * rise
        else:
            half_height, half_width = 1.06 * half_height, 1.06 * half_width
        self.aspect = float(np.clip(half_width / half_height, 0.5, 1.6))
        self.half = float(max(half_height, half_width / self.aspect))
        distance = self.half / math.tan(VERTICAL_FIELD / 2)
        self.middle = middle
        self._camera = np.array([middle[0], middle[1], high[2] + distance], np.float32)
        self._axes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, -1]], np.float32)
        # The face itself, a little behind its foremost point, fills the picture.
        self._focus = distance + 0.25 * float(high[2] - low[2])
        if len(self.faces):
            self._turn_outside_out(vertices)
            open_share = np.clip(occlusion(vertices, self.faces) / 0.8, 0, 1)
            self._openness = (_OPENNESS[0] + (_OPENNESS[1] - _OPENNESS[0]) * open_share).astype(np.float32)

    def _turn_outside_out(self, vertices: np.ndarray) -> None:
        """Reverses the triangles where most of those that the camera sees turn their backs to it."""
        screen = self._project(vertices, 200, 1)
        _, triangles = self._rasterise(screen, *self.size(200))
        a, b, c = screen[self.faces[triangles[triangles >= 0]], :2].transpose(1, 2, 0)
        signs = (c[0] - a[0]) * (b[1] - a[1]) - (c[1] - a[1]) * (b[0] - a[0])  # as the rasteriser counts
        if (signs < 0).sum() > (signs > 0).sum():
            self.faces = np.ascontiguousarray(self.faces[:, ::-1])

    @cached_property
    def spacing(self) -> float:
        """Median distance between neighbours in a cloud, in halves of the picture's height."""
        return float(np.median(self._gaps)) / self.half

    @cached_property
    def _gaps(self) -> np.ndarray:
        """(V,) distance to the eighth neighbour, limited so that no lone point hides the face."""
        count = min(8, len(self.template.vertices) - 1)
        gaps = _neighbours(self.turned(self.template.vertices), count)[0].max(1)
        return np.minimum(gaps, _LARGEST_DISC * np.median(gaps))

    def turned(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) float32 in front of the camera: +y up, +z to it."""
        return np.ascontiguousarray(np.asarray(vertices, np.float64) @ self._turn.T, np.float32)

    def size(self, height: int) -> tuple[int, int]:
        """(width, height) in pixels of a picture of this face."""
        return max(16, round(height * self.aspect)), height

    def places(self, vertices: np.ndarray, height: int) -> np.ndarray:
        """Pixel places (n, 2), x to the right and y down, of points (n, 3) in a picture of this height."""
        return self._project(self.turned(vertices), height, 1)[:, :2]

    def visible(self) -> np.ndarray:
        """(V,) bool: the vertices of the template that the camera sees."""
        height = 400
        turned = self.turned(self.template.vertices)
        screen = self._project(turned, height, 1)
        width, _ = self.size(height)
        depth, _ = self._rasterise(screen, width, height) if len(self.faces) else self._splat(screen, width, height)
        column, row = np.floor(screen[:, :2]).astype(int).T
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        seen = np.zeros(len(screen), bool)
        # 1 / depth of what is drawn there, with room for the slope of the surface within a pixel
        tolerance = 0.02 * self.half / (self._focus**2)
        seen[inside] = screen[inside, 2] >= depth[row[inside], column[inside]] - tolerance
        shown = np.zeros(len(screen), bool)
        shown[self._shown] = True
        return seen & shown

    def nearest_vertices(self, height: int) -> np.ndarray:
        """(H, W) number of the vertex that is seen at each pixel of a picture of the template; -1 where none is."""
        screen = self._project(self.turned(self.template.vertices), height, 1)
        width, _ = self.size(height)
        if not len(self.faces):
            return self._splat(screen, width, height)[1]
        _, triangles = self._rasterise(screen, width, height)
        row, column = np.nonzero(triangles >= 0)
        corners = self.faces[triangles[row, column]]
        away = (screen[corners, 0] - column[:, None] - 0.5) ** 2 + (screen[corners, 1] - row[:, None] - 0.5) ** 2
        nearest = np.full((height, width), -1, np.int64)
        nearest[row, column] = corners[np.arange(len(corners)), away.argmin(1)]
        return nearest

    def draw(self, colours: np.ndarray, height: int = 320, vertices: np.ndarray | None = None) -> np.ndarray:
        """Draws the face.

        Args:
            colours: (V, 3) uint8 display RGB of the vertices, or (3,) for all of them.
            height: of the picture, pixels.
            vertices: (V, 3) of the template's topology; None for the template itself.

        Returns:
            (H, W, 3) uint8 display RGB.
        """
        turned = self.turned(self.template.vertices if vertices is None else vertices)
        width, _ = self.size(height)
        rgb = np.broadcast_to(np.asarray(colours, np.uint8), turned.shape)
        table = np.array([linear_light((v, v, v))[0] for v in range(256)], np.float32)
        linear = table[rgb]
        screen = self._project(turned, height, _SAMPLES)
        picture = np.empty((height, width, 3), np.float32)
        picture[:] = linear_light(PAPER)
        if len(self.faces):
            self._shade(turned, screen, linear, picture)
        else:
            self._draw_points(turned, screen, linear, picture)
        pixels = np.empty((height, width, 3), np.uint8)
        shading.encode(picture, display_table(), pixels)
        return pixels

    def _project(self, turned: np.ndarray, height: int, samples: int) -> np.ndarray:
        width, _ = self.size(height)
        screen = np.empty_like(turned)
        focal = height * samples / 2 / self.half * self._focus
        ras.project(turned, self._camera, self._axes, focal, width * samples / 2, height * samples / 2, screen)
        return screen

    def _rasterise(self, screen: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        depth, triangles = np.zeros((height, width), np.float32), np.full((height, width), -1, np.int32)
        # Nothing is known of which side is out in a stranger's mesh.
        ras.rasterise(screen, self.faces, np.full(len(self.faces), ras.TWO_SIDED, np.uint8), depth, triangles)
        return depth, triangles

    def _shade(self, turned: np.ndarray, screen: np.ndarray, linear: np.ndarray, picture: np.ndarray) -> None:
        height, width = picture.shape[:2]
        depth, triangles = self._rasterise(screen, width * _SAMPLES, height * _SAMPLES)
        normals = np.empty_like(turned)
        ras.vertex_normals(turned, self.faces, normals)
        attributes = np.column_stack([linear, self._openness, np.ones(len(turned))]).astype(np.float32)
        material = np.zeros((1, shading.MATERIAL_COLUMNS), np.float32)
        material[0, shading.EYE] = -1
        lights = np.array([[*_unit(towards), *[strength] * 3] for towards, strength in _LIGHTS], np.float32)
        shading.shade(
            depth, triangles, _SAMPLES, screen, self.faces, turned, normals, np.ascontiguousarray(attributes),
            np.zeros(len(self.faces), np.uint8), material, lights, np.full(6, _AMBIENT, np.float32),
            np.zeros((1, shading.EYE_COLUMNS), np.float32), self._camera, picture,
        )  # fmt: skip

    def _draw_points(self, turned: np.ndarray, screen: np.ndarray, linear: np.ndarray, picture: np.ndarray) -> None:
        height, width = picture.shape[:2]
        normals = point_normals(turned)
        light = np.full(len(turned), _AMBIENT)
        for towards, strength in _LIGHTS:
            light += strength * np.maximum(normals @ _unit(towards), 0) ** 2
        lit = (linear * light[:, None]).astype(np.float32)
        _, nearest = self._splat(screen, width * _SAMPLES, height * _SAMPLES)
        samples = np.empty((*nearest.shape, 3), np.float32)
        samples[:] = linear_light(PAPER)
        samples[nearest >= 0] = lit[nearest[nearest >= 0]]
        picture[:] = samples.reshape(height, _SAMPLES, width, _SAMPLES, 3).mean((1, 3))

    def _splat(self, screen: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Discs instead of triangles: 1 / depth and the number of the nearest point (-1: none) at every sample."""
        radius = np.maximum(_DISC * self._gaps / self.half * height / 2, 0.8)
        order = np.argsort(screen[:, 2], kind="stable")  # far to near: later writes win
        reach = math.ceil(float(radius.max()))
        steps = np.arange(-reach, reach + 1)
        dx, dy = (a.ravel() for a in np.meshgrid(steps, steps))
        column = np.floor(screen[order, 0]).astype(int)[:, None] + dx
        row = np.floor(screen[order, 1]).astype(int)[:, None] + dy
        number = np.broadcast_to(order[:, None], column.shape)
        keep = (dx**2 + dy**2 <= radius[order, None] ** 2) & (column >= 0) & (column < width)
        keep &= (row >= 0) & (row < height)
        flat = np.full(height * width, -1, np.int64)
        flat[(row * width + column)[keep]] = number[keep]
        nearest = flat.reshape(height, width)
        depth = np.where(nearest >= 0, screen[nearest, 2], 0).astype(np.float32)
        return depth, nearest


def drawn_faces(template: Template) -> np.ndarray:
    """(F, 3) int32: the triangles that a heat map shows; lashes would only hide the lids."""
    faces = np.asarray(template.topology.faces, np.int32).reshape(-1, 3)
    lashes = template.topology.parts.get(LASHES)
    return np.ascontiguousarray(faces if lashes is None else np.delete(faces, lashes, axis=0))


def turn_matrix(degrees: tuple[float, float, float]) -> np.ndarray:
    """(3, 3) rotation about x, then y, then z."""
    x, y, z = (rotation_matrix(np.radians(angle) * axis) for angle, axis in zip(degrees, np.eye(3), strict=True))
    return z @ y @ x


def point_normals(points: np.ndarray, neighbours: int = 10) -> np.ndarray:
    """(V, 3) unit normals of a cloud, by planes through neighbours, turned to the camera at +z."""
    _, index = _neighbours(points, min(neighbours, len(points) - 1))
    around = points[index] - points[index].mean(1, keepdims=True)
    normals: np.ndarray = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))[1][:, :, 0]
    return normals * np.where(normals[:, 2:] < 0, -1.0, 1.0)


def _neighbours(points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and numbers, (V, count) each, of the nearest other points."""
    search = need("sklearn.neighbors").NearestNeighbors(n_neighbors=count).fit(points)
    distances, index = search.kneighbors()
    return distances, index


def _unit(vector: tuple[float, float, float]) -> np.ndarray:
    return np.asarray(vector) / np.linalg.norm(vector)
