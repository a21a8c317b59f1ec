"""The region of the face that each element of the motion features activates; two models side by side.

Figure 7 of Wu et al. 2023: with the sparsity regulariser each element of a code moves a patch of the face, without it
elements spread over all of it. An element's activation at a vertex is the length of the vertex' displacement for one
unit of the element (equation 3), relative to the largest of the element. Elements come in the order of how much they
can move, the sum of squared activations. Spread is the participation ratio of an element's activations a over the
vertices, (sum a)^2 / (V sum a^2): 1 where all vertices move alike, k / V where k of them do.

Letters: V vertices, Z elements.
"""

from __future__ import annotations

import numpy as np

from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.figures.base import Figure, Request, Unavailable
from vultus.figures.embeddings import Embedding, read_embedding
from vultus.figures.faces import FaceView
from vultus.figures.html import Layer, Shown, page
from vultus.figures.plates import Cell, face_plate, heat_colours, in_rows

TITLE = "What each element of the motion features moves"
COLUMNS, ROWS = 7, 2
"""Elements on the picture, of one model or of two; the page has all of them."""


class ActivatedRegions:
    """See the file."""

    reads_motion = False

    def __init__(self, request: Request) -> None:
        self._request = request
        vertices = len(request.template.vertices)
        self.models: list[Embedding] = []
        for source in (request.model or "base", request.compare):
            if source is None:
                continue
            model = read_embedding(source)
            if model.matrix.shape[1] != vertices:
                text = f"model '{model.name}' moves {model.matrix.shape[1]} vertices; the data have {vertices}"
                if request.model is None and request.compare is None:
                    raise Unavailable(f"{text}; name a model for this topology with --model")
                raise VultusError(f"{text}; expected a model of this topology")
            self.models.append(model)

    def add(self, sequence: FaceSequence, offsets: np.ndarray, prediction: np.ndarray | None) -> None:
        """Needs no motion."""

    def finish(self) -> Figure:
        """See FigureMaker."""
        view = FaceView(self._request.template, self._request.turn)
        rows: list[list[Cell]] = []
        sorted_maps, numbers = [], []
        for model in self.models:
            activation = np.linalg.norm(model.matrix.astype(np.float64), axis=2)
            energy = (activation**2).sum(1)
            order = np.argsort(-energy, kind="stable")
            spreads = spread(activation)
            relative = activation / np.maximum(activation.max(1, keepdims=True), 1e-30)
            middle = float(np.median(spreads[energy > 0])) if (energy > 0).any() else 0.0
            sorted_maps.append((order, relative))
            numbers.append(
                {
                    "model": model.name, "l1": model.penalty, "elements": len(order),
                    "median_spread": middle, "spread_weighed_by_motion": float((spreads * energy).sum() / energy.sum()),
                    "share_of_weights_under_1_percent": float((relative < 0.01).mean()),
                }
            )  # fmt: skip
            cells = [
                Cell(view.draw(heat_colours(relative[k], 1.0), 160), f"element {k}: {spreads[k]:.0%}")
                for k in order[: COLUMNS * ROWS // len(self.models)]
            ]
            rows += in_rows(cells, COLUMNS)
        labels = [model.label for model in self.models]
        spreads_text = "; ".join(
            f"{label}: median spread {entry['median_spread']:.0%}" for label, entry in zip(labels, numbers, strict=True)
        )
        order_text = f"{labels[0]} above, {labels[1]} below. " if len(labels) == 2 else ""
        note = (
            "Length of a vertex' displacement for one unit of an element, relative to the element's "
            "largest; the elements that can move most come first. The number above a face is the share of the vertices "
            f"that the element is spread over. {spreads_text}."
        )
        png = face_plate(rows, title=TITLE, note=order_text + note, bar=(1.0, "relative activation"))
        count = min(len(order) for order, _ in sorted_maps)
        layers = []
        for place in range(count):
            name = " | ".join(f"element {order[place]}" for order, _ in sorted_maps)
            layers.append(Layer(name, [Shown(relative[order[place]], 1.0) for order, relative in sorted_maps]))
        html = page(view, title=TITLE, note=note, unit="of its largest", panes=labels, layers=layers, choose="element")
        return Figure("activated_regions", png, html, {"models": numbers})


def spread(activation: np.ndarray) -> np.ndarray:
    """(Z,) participation ratio of activations (Z, V), from 1 / V to 1; 0 for an element that moves nothing."""
    squares = (activation**2).sum(1)
    total = activation.sum(1) ** 2
    return np.divide(total, squares * activation.shape[1], out=np.zeros(len(squares)), where=squares > 0)
