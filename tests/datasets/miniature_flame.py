"""A made-up FLAME model file with the true names, shapes and quirks, and few vertices.

Letters: V vertices.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

NUM_VERTICES = 120
EYES = {3: slice(0, 10), 4: slice(10, 20)}
"""Vertices that the left and the right eye joint hold alone."""
STILL = slice(20, 50)
"""Vertices that neither jaw nor eyes hold."""


def flame_arrays(num_vertices: int = NUM_VERTICES, seed: int = 0) -> dict[str, Any]:
    """Plain arrays under the names of the release, of its types."""
    rng = np.random.default_rng(seed)
    ball = rng.normal(size=(num_vertices, 3))
    ball *= np.array([0.08, 0.12, 0.1]) / np.linalg.norm(ball, axis=1, keepdims=True)
    weights = rng.random((num_vertices, 5)) ** 3
    weights[:, 3:] = 0
    weights[weights < 0.01] = 0
    weights[:, 0] += 0.01
    weights[STILL, 2] = 0
    for joint, vertices in EYES.items():
        weights[vertices] = np.eye(5)[joint]
    weights /= weights.sum(1, keepdims=True)
    regressor = rng.random((5, num_vertices)) * (rng.random((5, num_vertices)) < 0.2)
    regressor[:, -1] += 0.1
    regressor /= regressor.sum(1, keepdims=True)
    return {
        "v_template": ball,
        "shapedirs": 0.001 * rng.normal(size=(num_vertices, 3, 400)),
        "posedirs": 0.01 * rng.normal(size=(num_vertices, 3, 36)),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "f": np.concatenate(
            [np.arange(num_vertices - 2)[:, None] + np.arange(3), [[0, 1, 2]]]
        ).astype(np.uint32),
    }  # fmt: skip


@contextmanager
def _chumpy() -> Iterator[type]:
    """A stand-in for the array class of chumpy, only while a file is written."""

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.__dict__.update(x=x, _dirty_vars=set(), _itr=None, _cache={}, _status="new")

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")
    module.Ch = Ch  # type: ignore[attr-defined]
    sys.modules |= {"chumpy": package, "chumpy.ch": module}
    try:
        yield Ch
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


def write_flame(path: Path, arrays: dict[str, Any] | None = None) -> Path:
    """Writes .npz, or .pkl as FLAME 2020 is: protocol 2, old module names, chumpy arrays and a scipy matrix."""
    arrays = flame_arrays() if arrays is None else arrays
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return path
    with _chumpy() as ch:
        content: dict[str, Any] = dict(arrays)
        for key in ("v_template", "shapedirs"):
            if key in content:
                content[key] = ch(content[key])
        content["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
        content["J"] = ch(np.zeros((5, 3)))
        content |= {"bs_style": "lbs", "bs_type": "lrotmin"}
        data = pickle.dumps(content, protocol=2)
    for new, old in ((b"numpy._core", b"numpy.core"), (b"scipy.sparse._csc", b"scipy.sparse.csc")):
        data = data.replace(b"c" + new, b"c" + old)
    path.write_bytes(data)
    return path
