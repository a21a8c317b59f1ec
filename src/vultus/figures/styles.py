"""One speech in several styles, frames side by side.

Figure 6 of Wu et al. 2023. The speech is that of the first sequence chosen; the styles are the model's presets, or, for
a model with one at most, the manner of the subjects of the data: a sequence of each is the reference of equation 1. The
moments are those where the styles differ most, well apart. The last column is the standard deviation of the motion.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus.benchmark.styles import manner_of
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.figures.base import Figure, Request, Unavailable, squared_deviation
from vultus.figures.faces import CLAY, FaceView
from vultus.figures.html import Layer, Shown, page
from vultus.figures.models import runnable
from vultus.figures.plates import Cell, face_plate, heat_colours, same_size, top_of
from vultus.render.scene import Scene

TITLE = "One speech in several styles"
MOMENTS, PICTURED, MAX_STYLES = 4, 4, 6
"""Frames and styles on the picture; styles on the page."""
HEIGHT = 190
SECONDS = 10.0
"""Of speech that are looked at, so that memory stays small on long sequences."""
APART = 0.15
"""Seconds between two moments, at least."""
_SPAN = 24
"""Frames of the page, evenly over the speech."""


class Styles:
    """See the file."""

    reads_motion = False

    def __init__(self, request: Request) -> None:
        self._request = request
        self._model = runnable(request.model or "base", request.template.topology, asked=request.model is not None)
        if getattr(self._model, "styles", ()) in ((), ("default",)) and len(request.subjects) < 2:
            raise Unavailable(f"model '{self._model.name}' has no styles, and the data have one subject only")

    def add(self, sequence: FaceSequence, offsets: np.ndarray, prediction: np.ndarray | None) -> None:
        """Needs no motion but that of references, which it reads itself."""

    def finish(self) -> Figure:
        """See FigureMaker."""
        request, model = self._request, self._model
        chosen = next((s for s in request.sequences if getattr(s, "is_speech", True)), request.sequences[0])
        template = chosen.template
        references = self._references(chosen)
        offsets: dict[str, np.ndarray] = {}
        fps = 0.0
        for name, style in references.items():
            (motion,) = model.predict(chosen.speech(), style=style, template=template)
            values = motion.values[: round(SECONDS * motion.fps)]
            offsets[name] = motion.rig.vertices(values, template) - template.vertices
            fps = motion.fps
        deviation = {n: np.sqrt(squared_deviation(o) / len(o)) * request.scale for n, o in offsets.items()}
        moments = most_different(np.stack(list(offsets.values())), MOMENTS, max(1, round(APART * fps)))
        high = top_of([float(np.percentile(v, 99.8)) for v in deviation.values()])
        view = FaceView(template, request.turn)
        rows = []
        for name, moved in list(offsets.items())[:PICTURED]:
            frames = [self._frame(view, template.vertices + moved[t]) for t in moments]
            frames.append(view.draw(heat_colours(deviation[name], high), frames[0].shape[0]))
            titles = [f"{name}, {t / fps:.2f} s" if not i else f"{t / fps:.2f} s" for i, t in enumerate(moments)]
            cells = [Cell(picture, text) for picture, text in zip(frames, [*titles, "deviation"], strict=True)]
            rows.append(same_size(cells))
        note = (
            f"Speech of {chosen.name} ({request.data_name}), model '{model.name}', a row for each style: the moments "
            "where the styles differ most, and the standard deviation of the motion."
        )
        png = face_plate(rows, title=TITLE, note=note, bar=(high, f"standard deviation, {request.length_unit}"))
        html = self._page(view, offsets, fps, note)
        numbers = {
            "model": model.name, "speech": chosen.name, "unit": request.length_unit,
            "moments": [round(t / fps, 3) for t in moments],
            "mean_standard_deviation": {name: float(values.mean()) for name, values in deviation.items()},
        }  # fmt: skip
        return Figure("styles", png, html, numbers)

    def _references(self, chosen: FaceSequence) -> dict[str, Any]:
        presets = tuple(self._model.styles)
        if len(presets) > 1:
            return {name: name for name in presets[:MAX_STYLES]}
        found: dict[str, Any] = {}
        for sequence in self._request.sequences:
            if sequence.subject not in found and sequence is not chosen and getattr(sequence, "is_speech", True):
                found[sequence.subject] = manner_of(sequence)
            if len(found) == MAX_STYLES:
                break
        if len(found) < 2:
            raise VultusError("styles: the data have no two subjects to take a style from; expected two at least")
        return found

    def _frame(self, view: FaceView, vertices: np.ndarray) -> np.ndarray:
        """A head with eyes and teeth gets its portrait; any other face its shape."""
        parts = view.template.topology.parts
        if "eye_left" not in parts or any(self._request.turn):
            return view.draw(np.array(CLAY), HEIGHT, vertices)
        if not hasattr(self, "_scene"):
            self._scene = Scene(view.template, framing="face", background="#ffffff")
        picture = self._scene.render(vertices, None, HEIGHT)
        margin = (HEIGHT - view.size(HEIGHT)[0]) // 2 - 4
        return picture[:, margin : HEIGHT - margin] if margin > 0 else picture

    def _page(self, view: FaceView, offsets: dict[str, np.ndarray], fps: float, note: str) -> str:
        length = len(next(iter(offsets.values())))
        times = np.unique(np.linspace(0, length - 1, min(length, _SPAN)).round().astype(int))
        scale = self._request.scale
        away = {name: np.linalg.norm(moved, axis=2) * scale for name, moved in offsets.items()}
        high = top_of([float(np.percentile(values[times], 99.9)) for values in away.values()])
        rest = view.template.vertices
        layers = [
            Layer(f"{t / fps:.2f} s", [Shown(away[n][t], high, rest + offsets[n][t]) for n in offsets]) for t in times
        ]
        return page(
            view, title=TITLE, note=f"{note} Colours: distance from the neutral face.", unit=self._request.length_unit,
            panes=list(offsets), layers=layers, choose="time", heat=False, first=len(layers) // 2,
        )  # fmt: skip


def most_different(offsets: np.ndarray, count: int, apart: int) -> list[int]:
    """Frames of (S, T, V, 3) where S styles differ most, at least `apart` frames from each other, in order."""
    differing = np.zeros(offsets.shape[1])
    for t in range(offsets.shape[1]):
        differing[t] = offsets[:, t].var(0).sum()
    chosen: list[int] = []
    for t in np.argsort(-differing, kind="stable"):
        if all(abs(int(t) - other) >= apart for other in chosen):
            chosen.append(int(t))
        if len(chosen) == count:
            break
    return sorted(chosen)
