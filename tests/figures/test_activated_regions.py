"""W is read from bundles and runs, and the picture tells patches from spread."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from toy_data import ToyData, request_of

from vultus.errors import VultusError
from vultus.figures.activated_regions import ActivatedRegions, spread
from vultus.figures.base import Unavailable
from vultus.figures.embeddings import read_embedding
from vultus.runtime.bundle import load

safetensors = pytest.importorskip("safetensors.numpy", reason="runs are read with the extra 'train'")


def write_run(folder: Path, W: np.ndarray, l1: float, *, regional: bool = True, file: str = "model") -> Path:
    folder.mkdir(parents=True)
    settings = {
        "method": {"name": "composite_regional", "alpha": 0.1, "regional": regional, "l1": 1e-4},
        "loss": {"regional/l1": l1}, "dimensions": {"unit": 0.04},
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    safetensors.save_file({"model.W": W.astype(np.float32)}, folder / f"{file}.safetensors")
    return folder


def patches(vertices: int, elements: int = 20) -> np.ndarray:
    """(Z, 3V): element k moves ten vertices."""
    W = np.zeros((elements, vertices, 3))
    for k in range(elements):
        W[k, 10 * k : 10 * k + 10] = 1 + k
    return W.reshape(elements, -1)


def test_spread_is_the_share_of_vertices_that_move() -> None:
    activation = np.zeros((3, 50))
    activation[0] = 2
    activation[1, :5] = 7
    np.testing.assert_allclose(spread(activation), [1, 0.1, 0])


def test_two_models_side_by_side(tmp_path: Path) -> None:
    data = ToyData(triangles=True)
    count = len(data.template.vertices)
    sparse = write_run(tmp_path / "sparse", patches(count), 1e-4)
    dense = write_run(tmp_path / "dense", np.random.default_rng(0).normal(size=(20, 3 * count)), 0.0, file="state")
    figure = ActivatedRegions(request_of(data, model=sparse, compare=dense)).finish()
    one, two = figure.numbers["models"]
    assert one["median_spread"] == pytest.approx(10 / count) and two["median_spread"] > 0.7
    assert (one["l1"], two["l1"]) == (1e-4, 0) and one["share_of_weights_under_1_percent"] > 0.9
    assert "element 19 | element" in figure.html and "no L1 penalty" in figure.html
    alone = ActivatedRegions(request_of(data, model=sparse)).finish()
    assert len(alone.numbers["models"]) == 1 and alone.png != figure.png


def test_matrix_of_a_run_and_of_a_bundle_are_metres(tmp_path: Path) -> None:
    W = np.arange(24, dtype=np.float32).reshape(2, 12)
    run = read_embedding(write_run(tmp_path / "run", W, 0.5))
    np.testing.assert_allclose(run.matrix, W.reshape(2, 4, 3) * 0.004, rtol=1e-6)
    assert run.penalty == 0.5 and read_embedding(write_run(tmp_path / "no", W, 0.5, regional=False)).penalty == 0
    bundle = read_embedding("base")
    network = load("base").network  # type: ignore[attr-defined]
    np.testing.assert_array_equal(bundle.matrix.reshape(len(bundle.matrix), -1), network.offset_matrix)


def test_other_models_are_refused(tmp_path: Path) -> None:
    toy = ToyData()
    with pytest.raises(Unavailable, match="--model"):
        ActivatedRegions(request_of(toy))
    with pytest.raises(VultusError, match=r"moves 5946 vertices; the data have \d+"):
        ActivatedRegions(request_of(toy, model="base"))
    with pytest.raises(VultusError, match="no matrix W"):
        read_embedding("loudness")
    run = write_run(tmp_path / "run", np.zeros((2, 12)), 0)
    (run / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(VultusError, match="not a run of composite_regional"):
        read_embedding(run)
    (run / "model.safetensors").unlink()
    with pytest.raises(VultusError, match=r"no model\.safetensors"):
        read_embedding(run)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "settings.json").write_text("[]")
    safetensors.save_file({"x": np.zeros(1)}, tmp_path / "other" / "model.safetensors")
    with pytest.raises(VultusError, match="not a run"):
        read_embedding(tmp_path / "other")
