"""Which parts of the face move together: a graph of local regions, drawn on the face.

Figure 3 of Wu et al. 2023. The front of the face is cut into small regions by place alone, alike on both sides. For
regions a and b, C_ab is the 3 x 3 covariance over frames of their mean displacements, taken about the mean face of each
sequence, and s_a^2 the mean over the vertices of a of their variance. Then

    correlation of a and b  =  |C_ab|_* / (s_a s_b)        (|.|_* sums the singular values)

which is 1 where all vertices of both move as one, up to a fixed turn or mirroring between the two: a lower lip that
goes down while the upper one rises depends on it, and so does one corner of the mouth on the other. For a = b it is the
mean correlation of two vertices of the region, weighed by how far they move (Cov_self of the figure). The paper says
"pairwise correlation coefficient" and leaves the rest open. Edges are drawn from 0.5 on, as there.

Letters: T motion frames, V vertices, R regions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.figures.base import Figure, Request, need, squared_deviation
from vultus.figures.faces import FaceView
from vultus.figures.html import Layer, Shown, page
from vultus.figures.plates import (
    FAINT,
    INK,
    MAP_RANGE,
    colour_bar,
    heading_height,
    new_page,
    page_png,
    write_heading,
)

TITLE = "Which parts of the face move together"
THRESHOLD = 0.5
PATCHES = 28
"""On half a face; those off the midline come twice."""
STILL = 0.03
"""A region that moves less than this share of the one that moves most is still: its correlations are noise."""
_LIGHT_CLAY, _BORDER = (216, 213, 209), (168, 165, 162)


class RegionalCorrelation:
    """See the file."""

    reads_motion = True

    def __init__(self, request: Request) -> None:
        need("sklearn.cluster")
        self._request = request
        self._view = FaceView(request.template, request.turn)
        self.regions = symmetric_regions(self._view, PATCHES, request.seed)
        count = int(self.regions.max()) + 1
        members = self.regions[None] == np.arange(count)[:, None]
        self._mean = (members / members.sum(1, keepdims=True)).astype(np.float32)  # (R, V)
        self._covariance = np.zeros((count, 3, count, 3))
        self._variance = np.zeros(len(self.regions))
        self._frames = 0

    def add(self, sequence: FaceSequence, offsets: np.ndarray, prediction: np.ndarray | None) -> None:
        """See FigureMaker."""
        moved = np.stack([offsets[..., axis] @ self._mean.T for axis in range(3)], 2).astype(np.float64)  # (T, R, 3)
        flat = (moved - moved.mean(0)).reshape(len(moved), -1)
        self._covariance += (flat.T @ flat).reshape(self._covariance.shape)
        self._variance += squared_deviation(offsets)
        self._frames += len(offsets)

    def finish(self) -> Figure:
        """See FigureMaker."""
        request = self._request
        deviation = np.sqrt(self._mean.astype(np.float64) @ (self._variance / self._frames))
        if not deviation.max() > 0:
            raise VultusError("regional_correlation: the face never moves in these sequences; expected motion")
        moving = np.flatnonzero(deviation >= STILL * deviation.max())
        matrix = correlations(self._covariance / self._frames, deviation)[np.ix_(moving, moving)]
        renumbered = np.full(len(deviation) + 1, -1)
        renumbered[moving] = np.arange(len(moving))
        of = renumbered[self.regions]  # -1: behind the face, or still
        strong = [(a, b) for a in range(len(moving)) for b in range(a) if matrix[a, b] >= THRESHOLD]
        note = (
            f"{request.data_name}: {self._frames} frames. Regions by place; two are joined where their motion "
            f"correlates by {THRESHOLD} or more, up to a fixed turn. {len(deviation) - len(moving)} regions hardly "
            "move and are left out."
        )
        png = self._plate(f"{note} The colour of a dot is the correlation inside its region.", of, matrix, strong)
        inside = (of >= 0)[None] * np.where(of >= 0, matrix[:, of], 0.0)
        layers = [Layer(f"region {i}", [Shown(values, 1.0)]) for i, values in enumerate(inside)]
        html = page(
            self._view, title=TITLE,
            note=f"{note} The face shows how each region correlates with the chosen one: click a region to choose it.",
            unit="correlation", panes=["correlation with the chosen region"], layers=layers, choose="region",
            first=int(np.argmax(deviation[moving])), regions=np.where(of < 0, 65535, of),
        )  # fmt: skip
        numbers = {
            "frames": self._frames, "regions": len(moving), "still_regions": len(deviation) - len(moving),
            "edges": len(strong), "pairs": len(moving) * (len(moving) - 1) // 2,
            "matrix": np.round(matrix, 4).tolist(),
            "vertices_of_region": [int((of == i).sum()) for i in range(len(moving))],
            "standard_deviation": (deviation[moving] * request.scale).tolist(), "unit": request.length_unit,
        }  # fmt: skip
        return Figure("regional_correlation", png, html, numbers)

    def _plate(self, note: str, of: np.ndarray, matrix: np.ndarray, strong: list[tuple[int, int]]) -> bytes:
        tall, edge, side = 560, 14, 400
        picture = self._view.draw(np.where(of[:, None] < 0, 240, np.array(_LIGHT_CLAY)).astype(np.uint8), tall)
        nearest = self._view.nearest_vertices(tall)
        shown = np.where(nearest < 0, -1, of[nearest])
        border = np.zeros(shown.shape, bool)
        border[:, 1:] |= shown[:, 1:] != shown[:, :-1]
        border[1:] |= shown[1:] != shown[:-1]
        picture[border & (nearest >= 0)] = _BORDER
        vertices = self._view.template.vertices
        middle = np.stack([vertices[of == i].mean(0) for i in range(len(matrix))])
        places = self._view.places(middle, tall)
        wide = picture.shape[1]
        width = edge + wide + 40 + side + 90
        height = heading_height(note, width) + tall + edge
        figure = new_page(width, height)
        write_heading(figure, TITLE, note, width, height)
        axes = figure.add_axes((edge / width, edge / height, wide / width, tall / height))
        axes.imshow(picture, interpolation="none")
        axes.axis("off")
        shades = _shades()
        for a, b in sorted(strong, key=lambda pair: matrix[pair]):
            axes.plot(*places[[a, b]].T, color=shades(matrix[a, b]), lw=0.6 + 5 * (matrix[a, b] - THRESHOLD), zorder=2)
        dots = [shades(min(value, 1.0)) for value in np.diag(matrix)]
        axes.scatter(*places.T, s=150, c=dots, edgecolors="white", linewidths=1.2, zorder=3)
        for i, place in enumerate(places):
            ink = "white" if matrix[i, i] > 0.45 else INK
            axes.text(*place, str(i), fontsize=6.5, color=ink, ha="center", va="center", zorder=4)
        axes.set_xlim(-0.5, wide - 0.5)
        axes.set_ylim(tall - 0.5, -0.5)
        left, bottom = edge + wide + 40, edge + (tall - side) / 2
        square = figure.add_axes((left / width, bottom / height, side / width, side / height))
        square.imshow(np.clip(matrix, 0, 1), cmap=shades, vmin=0, vmax=1, interpolation="none")
        marks = np.arange(0, len(matrix), max(1, len(matrix) // 12))
        square.set_xticks(marks)
        square.set_yticks(marks)
        square.tick_params(labelsize=8, colors=FAINT, length=2)
        square.set_xlabel("region", fontsize=9, color=INK)
        square.set_ylabel("region, from the top of the face down", fontsize=9, color=INK)
        bar = ((left + side + 14) / width, bottom / height, 14 / width, side / height)
        colour_bar(figure, bar, 1.0, "correlation")
        return page_png(figure)


def correlations(covariance: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """(R, R): |C_ab|_* / (s_a s_b) from covariances (R, 3, R, 3) and deviations (R,); 0 where nothing moves."""
    nuclear = np.linalg.svd(covariance.transpose(0, 2, 1, 3), compute_uv=False).sum(-1)
    scale = np.outer(deviation, deviation)
    return np.divide(nuclear, scale, out=np.zeros_like(nuclear), where=scale > 0)


def symmetric_regions(view: FaceView, patches: int, seed: int) -> np.ndarray:
    """Cuts the vertices that the camera sees into regions that mirror each other.

    k-means on places with left laid over right; a patch off the midline becomes two.

    Returns:
        (V,) numbers of regions from the top of the face down, -1 for vertices that the camera does not see.
    """
    seen = np.flatnonzero(view.visible())
    places = view.turned(view.template.vertices)[seen].astype(np.float64)
    across = places[:, 0] - view.middle[0]
    folded = np.column_stack([np.abs(across), places[:, 1:]])
    count = min(patches, len(np.unique(folded, axis=0)))
    patch = need("sklearn.cluster").KMeans(count, n_init=4, random_state=seed).fit_predict(folded)
    reach = np.array([np.abs(across[patch == i]).mean() for i in range(count)])
    width = np.array([np.ptp(np.abs(across[patch == i])) for i in range(count)])
    central = reach < 0.75 * width
    label = 2 * patch + ((across > 0) & ~central[patch])
    names = np.unique(label)
    order = sorted(names, key=lambda n: (-round(float(places[label == n, 1].mean()), 5), n))
    numbers = {name: place for place, name in enumerate(order)}
    regions = np.full(len(view.template.vertices), -1)
    regions[seen] = [numbers[name] for name in label]
    return regions


def _shades() -> Any:
    """The colour map of the plates as one of matplotlib's."""
    whole = need("matplotlib").colormaps["magma_r"]
    return need("matplotlib.colors").ListedColormap(whole(np.linspace(*MAP_RANGE, 256)))
