"""The exported graphs against the method that they were written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from toy_prior import make, save

from vultus.errors import VultusError
from vultus.methods import export_probabilistic as module
from vultus.methods.base import Dimensions
from vultus.methods.probabilistic import Config, Probabilistic
from vultus.methods.sampling import Sampling, sample
from vultus.runtime.bundle import read_config, verify
from vultus.runtime.probabilistic_graphs import ProbabilisticGraphs

FRAMES = 61


def features(model: Probabilistic) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (-9.0 + 2.0 * rng.normal(size=(FRAMES, model.dims.feature_dimension))).astype(np.float32)


def whole_steps(frames: np.ndarray, stride: int) -> np.ndarray:
    return np.concatenate([frames, np.repeat(frames[-1:], -len(frames) % stride, 0)])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"conditioning": "A1"},
        {"conditioning": "A2", "levels": 1},
        {"conditioning": "A3", "stride": 1, "memory": 1},
        {"conditioning": "A2+A3", "levels": 2, "stride": 4, "band": 5},
        {"conditioning": "A1+A3", "memory": 2, "band": 1},
    ],
    ids=lambda changes: "-".join(str(value) for value in changes.values()) or "default",
)
def test_the_graphs_give_what_the_method_gives(changes: dict[str, Any], tmp_path: Path) -> None:
    model = make(**changes)
    graphs = ProbabilisticGraphs(save(model, tmp_path), read_config(tmp_path))
    reference = np.random.default_rng(2).random((53, model.codec.dimension)).astype(np.float32)
    style = graphs.style_vector(reference)
    np.testing.assert_allclose(style, model.style_vector(reference), atol=1e-5)
    given = features(model)
    with torch.no_grad():
        heard = model.hearing(torch.from_numpy(given)[None], None)
    found = graphs.hear(whole_steps(given, model.stride))
    np.testing.assert_allclose(found, heard[0], atol=1e-4)
    noise = np.random.default_rng(3).random((3, len(found), model.config.levels)).astype(np.float32)
    vector = torch.from_numpy(style)[None]
    for options in ({}, {"guidance": 2.5}, {"top_p": 0.7, "temperature": 0.8, "fine_temperature": 0.0}):
        sampling = Sampling(**options)
        codes = graphs.draw(found, style[None], sampling, noise)
        np.testing.assert_array_equal(codes, model.draw(heard, vector, sampling, noise))
    np.testing.assert_allclose(graphs.latents(codes), model.latents(codes), atol=1e-6)
    np.testing.assert_allclose(graphs.decode(graphs.latents(codes)), model.decode(model.latents(codes)), atol=1e-4)
    many = np.random.default_rng(4).random((2, 5, len(found), model.config.levels)).astype(np.float32)
    likeliest = graphs.likeliest(found, style[None], Sampling(), many)
    np.testing.assert_array_equal(likeliest, model.likeliest(heard, vector, Sampling(), many))


@pytest.mark.parametrize("text", ["avg-3", "avg-3-latent", "knn-4-2", "medoid-4", "coarse-avg-3", "region-avg-2"])
def test_every_strategy_gives_the_same_takes(text: str, tmp_path: Path) -> None:
    model = make()
    graphs = ProbabilisticGraphs(save(model, tmp_path), read_config(tmp_path))
    graphs.lips = np.pad(model.codec.lips.numpy(), ((0, 3), (0, 0)))
    given, style = features(model), graphs.styles["lively"][None]
    with torch.no_grad():
        heard = model.hearing(torch.from_numpy(given)[None], None)
    common: dict[str, Any] = {"frames": FRAMES, "num_takes": 2, "seed": 4}
    theirs = sample(model, heard, torch.from_numpy(style), Sampling.parse(text), **common)
    ours = sample(graphs, graphs.hear(whole_steps(given, 2)), style, Sampling.parse(text), **common)
    assert ours.shape == (2, FRAMES, 58) and not np.allclose(ours[0], ours[1])
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_same_model_same_bytes_and_no_weight_twice(tmp_path: Path) -> None:
    model = make()
    one, other = save(model, tmp_path / "a"), save(model, tmp_path / "b")
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(
        ["SHA256SUMS", "config.json", "weights.npz"]
        + [f"{name}.onnx" for name in ("conditions", "decoder", "fine", "hearing", "step", "style")]
    )
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert verify(one) == []
    # Every large weight of the parts that are used stands in one graph, once.
    stored = sum(
        numpy_helper.to_array(tensor).size
        for path in one.glob("*.onnx")
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    )
    used = [model.hearing, model.coarse, model.fine, model.style_encoder, model.codec.decoder]
    parameters = sum(p.numel() for part in used if part is not None for p in part.parameters())
    assert 0.97 * parameters < stored < 1.03 * parameters


def test_forms_that_are_not_exported_are_refused(tmp_path: Path) -> None:
    for changes, message in (
        ({"conditioning": "A4"}, "conditioning is A4; expected one of A1, A2 and A3"),
        ({"conditioning": "A5"}, "conditioning is A5"),
        ({"fine": "depth"}, "expected 'sequence'"),
    ):
        with pytest.raises(VultusError, match=message):
            save(make(**changes), tmp_path / "x")
    model = make()
    for given, message in (
        ({"styles": {}}, "one at least"),
        ({"styles": {"a": np.zeros(3)}}, "every style must be 12 numbers"),
        ({"default_sampling": "best-3"}, "unknown sampling strategy"),
    ):
        with pytest.raises(VultusError, match=message):
            save(model, tmp_path / "x", **given)
    other = Probabilistic(model.config, Dimensions(10, 80), rig=np.zeros((55, 30), np.float32))
    with pytest.raises(VultusError, match="another rig"):
        save(other, tmp_path / "x")
    with pytest.raises(VultusError, match="moves vertices"):
        save(Probabilistic(model.config, Dimensions(10, 80)), tmp_path / "x")
    with pytest.raises(VultusError, match="a codec alone"):
        save(Probabilistic(Config(stage="codec"), Dimensions(10, 80)), tmp_path / "x")
    assert not (tmp_path / "x").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_BYTES", 10_000)
        with pytest.raises(VultusError, match="expected at most"):
            save(model, tmp_path / "y")
