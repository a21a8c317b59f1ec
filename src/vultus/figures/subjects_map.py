"""A map of sequences by the statistics of their motion, coloured by subject.

Figure 2 of Wu et al. 2023: the standard deviation of every vertex over a sequence, laid out in two dimensions by t-SNE
(van der Maaten and Hinton 2008). Where who speaks shapes how the face moves, the points of a subject lie together.
Beside it the same map of deviations together with mean offsets from the template, which also know the resting face. The
number in a map's title is the share of sequences whose nearest neighbour (before t-SNE) is of the same subject.

Letters: V vertices, n sequences, S subjects.
"""

from __future__ import annotations

import colorsys

import numpy as np

from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.figures.base import Figure, MotionSum, Request, Unavailable, need, squared_deviation
from vultus.figures.faces import FaceView
from vultus.figures.html import Layer, PointMap, Shown, page
from vultus.figures.plates import FAINT, INK, heading_height, new_page, page_png, top_of, write_heading

TITLE = "Sequences by how their faces move"
KEPT_VERTICES = 1500
"""Motion of neighbouring vertices says the same: an even choice of so many keeps memory small on any mesh."""
MAX_SEQUENCES = 4000
MIN_SEQUENCES = 5
LEGEND = 20
_SHAPES = "os^DvPX*"


class SubjectsMap:
    """See the file."""

    reads_motion = True

    def __init__(self, request: Request) -> None:
        if len(request.sequences) < MIN_SEQUENCES:
            raise Unavailable(f"it needs {MIN_SEQUENCES} sequences or more; {len(request.sequences)} were chosen")
        if len(request.sequences) > MAX_SEQUENCES:
            raise Unavailable(
                f"it draws at most {MAX_SEQUENCES} sequences; {len(request.sequences)} were chosen; give --limit"
            )
        need("sklearn.manifold")
        self._request = request
        count = len(request.template.vertices)
        self._kept = np.unique(np.linspace(0, count - 1, min(count, KEPT_VERTICES)).round().astype(int))
        self._rows: list[tuple[FaceSequence, np.ndarray, np.ndarray]] = []
        self._sums: dict[str, MotionSum] = {}

    def add(self, sequence: FaceSequence, offsets: np.ndarray, prediction: np.ndarray | None) -> None:
        """See FigureMaker."""
        kept = offsets[:, self._kept]
        deviation = np.sqrt(squared_deviation(kept) / len(kept)) * self._request.scale
        mean = kept.mean(0, dtype=np.float64).ravel() * self._request.scale
        self._rows.append((sequence, deviation.astype(np.float32), mean.astype(np.float32)))
        self._sums.setdefault(sequence.subject, MotionSum()).add(offsets)

    def finish(self) -> Figure:
        """See FigureMaker."""
        request, unit = self._request, self._request.length_unit
        deviation = np.stack([row[1] for row in self._rows])
        features = {
            "standard deviation": deviation,
            "standard deviation and mean offset": np.hstack([deviation, np.stack([row[2] for row in self._rows])]),
        }
        subjects = list(dict.fromkeys(row[0].subject for row in self._rows))
        of = np.array([subjects.index(row[0].subject) for row in self._rows])
        chance = _chance(of)
        places, shares = {}, {}
        for name, values in features.items():
            shares[name] = _same_subject(values, of)
            places[name] = _tsne(values, request.seed)
        note = (
            f"{request.data_name}: {len(self._rows)} sequences of {len(subjects)} subjects, a colour for "
            "each subject; t-SNE of the statistics of every vertex over a sequence. Above each map: how many sequences "
            f"have a sequence of the same subject as nearest neighbour ({chance:.0%} by chance)."
        )
        colours = [_colour(i, len(subjects)) for i in range(len(subjects))]
        titles = {name: f"{name}: {share:.0%}" for name, share in shares.items()}
        png = _plate(note, places, titles, of, subjects, colours)
        heat = {name: total.deviation() * request.scale for name, total in self._sums.items()}
        high = top_of([float(np.percentile(v, 99.8)) for v in heat.values()])
        layers = [Layer(name, [Shown(heat[name], high)]) for name in subjects]
        labels = [f"{row[0].name}\nsubject {row[0].subject}" for row in self._rows]
        maps = [PointMap(titles[n], places[n], labels, [colours[i] for i in of], of.tolist()) for n in places]
        html = page(
            FaceView(request.template, request.turn),
            title=TITLE, note=note + " The face shows the standard deviation of the chosen subject's motion.",
            unit=unit, panes=["standard deviation"], layers=layers, choose="subject", maps=maps,
        )  # fmt: skip
        numbers = {"nearest_is_same_subject": shares, "chance": chance, "sequences": len(of), "subjects": len(subjects)}
        return Figure("subjects_map", png, html, numbers)


def _tsne(values: np.ndarray, seed: int) -> np.ndarray:
    """(n, 2) places; the same for the same values and seed."""
    if not np.ptp(values, axis=0).any():
        raise VultusError("subjects_map: all sequences move alike; expected motion that differs")
    perplexity = float(np.clip((len(values) - 1) / 3, 2, 30))
    tsne = need("sklearn.manifold").TSNE(perplexity=perplexity, init="pca", random_state=seed)
    places: np.ndarray = tsne.fit_transform(values).astype(np.float64)
    return places


def _same_subject(values: np.ndarray, of: np.ndarray) -> float:
    search = need("sklearn.neighbors").NearestNeighbors(n_neighbors=1).fit(values)
    return float((of[search.kneighbors()[1][:, 0]] == of).mean())


def _chance(of: np.ndarray) -> float:
    """Share of the other sequences that are of one's own subject, on average."""
    counts = np.bincount(of)
    return float((counts * (counts - 1)).sum() / (len(of) * (len(of) - 1)))


def _colour(place: int, count: int) -> str:
    """Colours as far apart as so many can be: hues go round, lightness alternates."""
    hue = place / max(count, 1)
    red, green, blue = colorsys.hls_to_rgb(hue, (0.42, 0.62)[place % 2], 0.72)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _plate(
    note: str,
    places: dict[str, np.ndarray],
    titles: dict[str, str],
    of: np.ndarray,
    subjects: list[str],
    colours: list[str],
) -> bytes:
    legend = len(subjects) <= LEGEND
    side, edge, key = 430, 14, 130 if legend else 0
    width = edge + len(places) * (side + edge) + key
    height = heading_height(note, width) + 22 + side + edge
    figure = new_page(width, height)
    top = write_heading(figure, TITLE, note, width, height)
    for number, (name, points) in enumerate(places.items()):
        left = edge + number * (side + edge)
        axes = figure.add_axes((left / width, edge / height, side / width, side / height))
        for i, subject in enumerate(subjects):
            mine = points[of == i]
            axes.scatter(
                mine[:, 0], mine[:, 1], s=26, c=colours[i], marker=_SHAPES[i % len(_SHAPES)],
                linewidths=0.4, edgecolors="white", label=subject,
            )  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color("#cfcfd2")
        figure.text((left + side / 2) / width, top - 4 / height, titles[name], fontsize=9.5, color=INK,
                    ha="center", va="top")  # fmt: skip
    if legend:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="center left", bbox_to_anchor=(1 - key / width, 0.45), frameon=False, fontsize=8.5,
            labelcolor=FAINT,
        )  # fmt: skip
    return page_png(figure)
