"""Heat maps of motion intensity: how far each vertex strays from its mean place, for each subject.

The bottom row of figure 4 of Wu et al. 2023: the standard deviation of the motion. With predictions each subject has
two faces, the recorded motion and the predicted one, on one scale; a model that smooths too much is paler.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import numpy as np

from vultus.datasets.base import FaceSequence
from vultus.figures.base import Figure, MotionSum, Request
from vultus.figures.faces import FaceView
from vultus.figures.html import Layer, Shown, page
from vultus.figures.plates import Cell, face_plate, heat_colours, in_rows, same_size, top_of

TITLE = "How much each face moves"
EVERYBODY = "all subjects"
MAX_FACES = 16
"""On the picture; the page has all subjects."""


class Intensity:
    """See the file."""

    reads_motion = True

    def __init__(self, request: Request) -> None:
        self._request = request
        kinds = ("recorded", "predicted") if request.predicted_by else ("recorded",)
        self._sums: dict[str, dict[str, MotionSum]] = {kind: {} for kind in kinds}

    def add(self, sequence: FaceSequence, offsets: np.ndarray, prediction: np.ndarray | None) -> None:
        """See FigureMaker."""
        for kind, motion in (("recorded", offsets), ("predicted", prediction)):
            if motion is not None:
                for name in (EVERYBODY, sequence.subject):
                    self._sums[kind].setdefault(name, MotionSum()).add(motion)

    def finish(self) -> Figure:
        """See FigureMaker."""
        request, unit = self._request, self._request.length_unit
        maps = {
            kind: {name: total.deviation() * request.scale for name, total in of.items()}
            for kind, of in self._sums.items()
        }
        names = list(maps["recorded"])
        if len(names) == 2:  # one subject is everybody
            names.remove(EVERYBODY)
        # One vertex in five hundred may be darker than the bar: a torn tongue or eyelash must not pale the face.
        high = top_of([float(np.percentile(values, 99.8)) for of in maps.values() for values in of.values()])
        pictured = names[: MAX_FACES // len(maps)]
        note = (
            f"{request.data_name}: standard deviation of each vertex about its mean place within a sequence, over the "
            f"three axes together."
        )
        if request.predicted_by:
            note += f" Predictions: {request.predicted_by}."
        more = f" {len(names) - len(pictured)} more subjects are on the page." if len(names) > len(pictured) else ""
        templates = request.templates()
        cells = []
        for name in pictured:
            view = FaceView(templates.get(name, request.template), request.turn)
            for kind, of in maps.items():
                title = name if len(maps) == 1 else f"{name}, {kind}"
                cells.append(Cell(view.draw(heat_colours(of[name], high), 240), title))
        bar = (high, f"standard deviation, {unit}")
        png = face_plate(in_rows(same_size(cells), 6), title=TITLE, note=note + more, bar=bar)
        layers = [Layer(name, [Shown(of[name], high) for of in maps.values()]) for name in names]
        view = FaceView(request.template, request.turn)
        html = page(view, title=TITLE, note=note, unit=unit, panes=list(maps), layers=layers, choose="subject")
        means = {kind: {name: float(of[name].mean()) for name in names} for kind, of in maps.items()}
        return Figure("intensity", png, html, {"unit": unit, "mean_standard_deviation": means})
