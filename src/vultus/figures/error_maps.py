"""Error heat maps: how far predictions are from the recorded motion, vertex by vertex.

The mean over frames of the distance between predicted and recorded vertex; over its vertices this map averages to the
metric face_mean of a sequence. A face for all sequences, then one for each subject; the page has each sequence too.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import numpy as np

from vultus.datasets.base import FaceSequence
from vultus.figures.base import Figure, Request, Unavailable
from vultus.figures.faces import FaceView
from vultus.figures.html import Layer, Shown, page
from vultus.figures.plates import Cell, face_plate, heat_colours, in_rows, same_size, top_of

TITLE = "Where predictions miss"
ALL = "all sequences"
MAX_FACES = 12
"""On the picture."""
MAX_SEQUENCES = 100
"""The page has at most so many single sequences: those with the largest mean error."""


class ErrorMaps:
    """See the file."""

    reads_motion = True

    def __init__(self, request: Request) -> None:
        if not request.predicted_by:
            raise Unavailable("it needs predictions: --predictions DIR, or --model BUNDLE for this topology")
        self._request = request
        self._sums: dict[str, tuple[np.ndarray, int]] = {}
        self._single: dict[str, tuple[float, np.ndarray]] = {}

    def add(self, sequence: FaceSequence, offsets: np.ndarray, prediction: np.ndarray | None) -> None:
        """See FigureMaker."""
        assert prediction is not None
        distance = np.zeros(offsets.shape[1])
        for start in range(0, len(offsets), 256):
            away = prediction[start : start + 256] - offsets[start : start + 256]
            distance += np.sqrt(np.einsum("tvx,tvx->tv", away, away)).sum(0, dtype=np.float64)
        for name in (ALL, sequence.subject):
            total, frames = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + distance, frames + len(offsets))
        mean = distance / len(offsets)
        self._single[sequence.name] = (float(mean.mean()), mean.astype(np.float32))
        if len(self._single) > MAX_SEQUENCES:
            del self._single[min(self._single, key=lambda name: (self._single[name][0], name))]

    def finish(self) -> Figure:
        """See FigureMaker."""
        request, unit = self._request, self._request.length_unit
        maps = {name: total / frames * request.scale for name, (total, frames) in self._sums.items()}
        if len(maps) == 2:  # one subject
            del maps[[*maps][1]]
        high = top_of([float(np.percentile(values, 99.8)) for values in maps.values()])
        note = (
            f"{request.data_name}; predictions: {request.predicted_by}. Mean distance between predicted and recorded "
            "vertex over the frames."
        )
        pictured = list(maps)[:MAX_FACES]
        more = f" {len(maps) - len(pictured)} more subjects are on the page." if len(maps) > len(pictured) else ""
        templates = request.templates()
        cells = []
        for name in pictured:
            view = FaceView(templates.get(name, request.template), request.turn)
            title = f"{name}: {maps[name].mean():.3g} {unit}"
            cells.append(Cell(view.draw(heat_colours(maps[name], high), 260), title))
        bar = (high, f"mean error, {unit}")
        heads = " The number above a face is its mean over all vertices."
        png = face_plate(in_rows(same_size(cells), 6), title=TITLE, note=note + heads + more, bar=bar)
        worst = sorted(self._single, key=lambda name: (-self._single[name][0], name))
        layers = [Layer(name, [Shown(values, high)]) for name, values in maps.items()]
        layers += [Layer(f"sequence {name}", [Shown(self._single[name][1] * request.scale, high)]) for name in worst]
        html = page(
            FaceView(request.template, request.turn),
            title=TITLE, note=note, unit=unit, panes=["mean error"], layers=layers, choose="sequences",
        )  # fmt: skip
        numbers = {
            "unit": unit, "predictions": request.predicted_by,
            "mean_error": {name: float(values.mean()) for name, values in maps.items()},
            "largest_mean_errors_of_sequences": [[n, self._single[n][0] * request.scale] for n in worst[:10]],
        }  # fmt: skip
        return Figure("error_maps", png, html, numbers)
