"""Measures of a face in millimetres, each linear in the vertices and so in the blendshape weights.

A measure is a sum of weight x coordinate over a few vertices: a height of lips, a width of a mouth, a distance of a
tongue tip. For a blendshape rig it is `rest + weights @ matrix.T`, so that thousands of frames cost one small product.
docs/head.md lists them.

Letters: M measures, K blendshapes, T motion frames, V vertices.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from vultus.errors import VultusError, unknown_name
from vultus.rigs.blendshapes import BlendshapeRig
from vultus.topology import Template

MM = 1000.0  # millimetres in a metre


@dataclass(frozen=True, eq=False)
class _Terms:
    names: tuple[str, ...]
    rows: np.ndarray  # (n, 3) int32: measure, vertex, axis
    weights: np.ndarray  # (n,) float64
    num_vertices: int


@cache
def head_terms() -> _Terms:
    """The measures of the shipped head, chosen by its geometry in tools/head/measures.py."""
    with np.load(str(resources.files("vultus") / "assets" / "head.npz"), allow_pickle=False) as archive:
        meta = json.loads(archive["meta"].tobytes())
        return _Terms(
            tuple(meta["measures"]), archive["measure_rows"], archive["measure_weights"], len(archive["vertices"])
        )


def measure_vertices(vertices: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Measures of vertices of the shipped head, whatever moved them.

    Args:
        vertices: (T, V, 3) metres.

    Returns:
        (names, (T, M) float64 millimetres).
    """
    terms = head_terms()
    if vertices.ndim != 3 or vertices.shape[1:] != (terms.num_vertices, 3):
        raise VultusError(
            f"vertices have shape {vertices.shape}; measures need those of the shipped head, "
            f"(frames, {terms.num_vertices}, 3)"
        )
    picked = vertices[:, terms.rows[:, 1], terms.rows[:, 2]].astype(np.float64) * terms.weights * MM
    sums = np.zeros((len(vertices), len(terms.names)))
    np.add.at(sums.T, terms.rows[:, 0], picked.T)
    return terms.names, sums


class FaceMeasures:
    """The measures of one person on one blendshape rig.

    Attributes:
        names: M names.
        matrix: (M, K) float64, millimetres for weight 1.
        rest: (M,) float64, millimetres of the template.
    """

    def __init__(self, rig: BlendshapeRig, template: Template) -> None:
        self.names, rest = measure_vertices(np.asarray(template.vertices)[None])
        self.rest = rest[0]
        self.matrix = measure_vertices(rig.deltas)[1].T.copy()
        self._columns = np.array([i for i, name in enumerate(self.names) if name.startswith("aperture_")])

    def index(self, name: str) -> int:
        """The row of a measure; VultusError with near misses where it is unknown."""
        if name not in self.names:
            raise unknown_name("measure", name, self.names)
        return self.names.index(name)

    def measure(self, weights: np.ndarray) -> np.ndarray:
        """(T, K) weights -> (T, M) millimetres."""
        weights = np.asarray(weights)
        if weights.ndim != 2 or weights.shape[1] != self.matrix.shape[1]:
            raise VultusError(f"weights have shape {weights.shape}; expected (frames, {self.matrix.shape[1]})")
        return self.rest + weights @ self.matrix.T

    def lip_gap(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How open and how crossed the lips are, along the whole lip line.

        Args:
            weights: (T, K).

        Returns:
            (largest, smallest) aperture over the columns, (T,) millimetres each. The lips are closed where the largest
            is about 0, and cross each other where the smallest is below 0.
        """
        columns = self.measure(weights)[:, self._columns]
        return columns.max(1), columns.min(1)
