"""One HTML page for each figure: a small viewer and its data in one file, no network, nothing to install.

Faces stand side by side in panes and turn together; what they show is chosen among layers (subjects, elements, times).
All arrays lie in one deflated block, written as base64, beside JSON that says where each begins.

Letters: V vertices, F triangles.
"""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from vultus.figures.faces import FaceView
from vultus.figures.plates import colour_table

_SCRIPTS = ("viewer_gl.js", "viewer.js")
_FEW_VALUES = 4_000_000
"""Up to so many values are kept to 1/65535 of the colour bar; beyond, to 1/255, so that pages stay small."""


@dataclass(frozen=True)
class Shown:
    """What one pane shows in one layer.

    Attributes:
        values: (V,) from 0 to `high`, in the page's unit; larger ones are shown as `high`.
        high: upper end of the colour bar.
        vertices: (V, 3) in the unit of the data; None for the template.
    """

    values: np.ndarray
    high: float
    vertices: np.ndarray | None = None


@dataclass(frozen=True)
class Layer:
    """One choice of the menu: what every pane then shows."""

    label: str
    panes: Sequence[Shown]


@dataclass(frozen=True)
class PointMap:
    """A map of points beside the face; clicking a point shows its layer.

    Attributes:
        points: (n, 2).
        labels: n texts.
        colours: n colours, "#rrggbb".
        layers: n numbers of layers.
    """

    title: str
    points: np.ndarray
    labels: Sequence[str]
    colours: Sequence[str]
    layers: Sequence[int]


def page(
    view: FaceView,
    *,
    title: str,
    note: str,
    unit: str,
    panes: Sequence[str],
    layers: Sequence[Layer],
    choose: str,
    first: int = 0,
    heat: bool = True,
    regions: np.ndarray | None = None,
    maps: Sequence[PointMap] = (),
) -> str:
    """A page.

    Args:
        view: the face on which all is shown.
        title: of the page.
        note: one paragraph under the title.
        unit: of the values.
        panes: their labels.
        layers: at least one, each with as many `Shown` as there are panes.
        choose: what a layer is, in one word ("subject").
        first: number of the layer that is shown first.
        heat: begin with colours; without, the bare shape.
        regions: (V,) number of the layer that clicking a vertex shows; other numbers than layers' show nothing.
        maps: of points, beside the face.

    Returns:
        HTML. The same input gives the same text.
    """
    arrays = _Arrays()
    few = sum(len(shown.values) for layer in layers for shown in layer.panes) <= _FEW_VALUES
    vertices = view.turned(view.template.vertices)
    points = not len(view.faces)
    data = {
        "unit": unit, "choose": choose, "first": first, "heat": heat, "panes": list(panes),
        "colours": arrays.add(colour_table().ravel()),
        "mesh": {
            "places": arrays.add(_places(view, vertices)),
            "triangles": None if points else arrays.add(view.faces.ravel().astype("<u4")),
            "normals": arrays.add(_normals(vertices)) if points else None,
            "spacing": view.spacing if points else 0.0, "aspect": round(view.aspect, 4),
        },
        "layers": [
            {"label": layer.label, "fields": [_field(arrays, view, shown, few) for shown in layer.panes]}
            for layer in layers
        ],
        "regions": None if regions is None else arrays.add(regions.astype("<u2")),
        "maps": [_map(one) for one in maps],
    }  # fmt: skip
    folder = resources.files("vultus") / "figures"
    text = (folder / "viewer.html").read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(title), "NOTE": html.escape(note),
        # "<" never stands in the JSON, so that no text of the data can end the script or begin a tag
        "DATA": json.dumps(data, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c"),
        "ARRAYS": arrays.packed(),
        "SCRIPT": "".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS).strip(),
    }  # fmt: skip
    pieces = text.split("@")  # names stand between the odd and the even @
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


class _Arrays:
    """One block of little-endian numbers; every array begins at a multiple of 4."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, values: np.ndarray) -> dict[str, Any]:
        """Appends a flat array; where it lies, for the JSON."""
        array = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        content = array.tobytes() + bytes(-array.nbytes % 4)
        place = {"kind": f"{array.dtype.kind}{array.dtype.itemsize}", "at": self._size, "count": array.size}
        self._parts.append(content)
        self._size += len(content)
        return place

    def packed(self) -> str:
        """The block, deflated, as base64."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 9)).decode()


def _field(arrays: _Arrays, view: FaceView, shown: Shown, fine: bool) -> dict[str, Any]:
    top = 65535 if fine else 255
    share = np.clip(np.nan_to_num(shown.values / (shown.high or 1.0)), 0, 1)
    places = None if shown.vertices is None else arrays.add(_places(view, view.turned(shown.vertices)))
    values = arrays.add(np.round(share * top).astype("<u2" if fine else "u1"))
    return {"values": values, "high": float(shown.high), "places": places}


def _places(view: FaceView, turned: np.ndarray) -> np.ndarray:
    """(3V,) int16: places about the middle of the picture, one picture half being 32767 / 4."""
    share = (turned - view.middle) / view.half / 4
    return np.round(np.clip(share, -1, 1) * 32767).astype("<i2").ravel()


def _normals(vertices: np.ndarray) -> np.ndarray:
    from vultus.figures.faces import point_normals

    return np.round(point_normals(vertices) * 127).astype("i1").ravel()


def _map(one: PointMap) -> dict[str, Any]:
    low, high = one.points.min(0), one.points.max(0)
    share = np.round((one.points - low) / np.maximum(high - low, 1e-12), 4)
    return {
        "title": one.title, "x": share[:, 0].tolist(), "y": share[:, 1].tolist(), "label": list(one.labels),
        "colour": list(one.colours), "layer": [int(number) for number in one.layers],
    }  # fmt: skip
