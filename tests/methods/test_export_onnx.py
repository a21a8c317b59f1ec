from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from vultus import clock
from vultus.errors import VultusError
from vultus.methods.base import Batch, Dimensions
from vultus.methods.composite_regional import CompositeRegional, Config
from vultus.methods.export_onnx import export
from vultus.methods.onnx_graph import write_sums
from vultus.runtime.bundle import verify
from vultus.runtime.composite_regional import CompositeRegional as Network

V, C = 30, 9
RATE, OFFSET = 16000 / 384, 447 / 16000
SMALL = Config(channels=16, style_channels=20, decoder_units=3, encoder_depth=10)


def trained(**changes: Any) -> CompositeRegional:
    """A network whose normalisation layers and slopes are off their start."""
    model = CompositeRegional(dataclasses.replace(SMALL, **changes), Dimensions(V, C, 0.08, (0.0, 0.01, 0.02)))
    torch.manual_seed(1)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(4):
        motion = 0.003 * torch.randn(3, 40, 3 * V)
        batch = Batch(3.0 * torch.randn(3, 40, C), motion, 0.08 * torch.randn(3, 3 * V), motion)
        optimiser.zero_grad()
        model.loss(batch)["motion/l2"].backward()
        optimiser.step()
    return model.eval()


def save(model: CompositeRegional, folder: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {
        "name": "toy", "summary": "a toy", "fps": 30.0, "rig": "vertices",
        "encoder": {"name": "moonshine", "rate": RATE, "offset": OFFSET},
        "styles": {"neutral": np.linspace(-1.0, 1.0, 32).astype(np.float32)},
        "template": np.zeros((V, 3), np.float32), "faces": np.zeros((1, 3), np.int32), **changes,
    }  # fmt: skip
    return export(model, folder, **settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"audio_norm": "batch"},
        {"audio_norm": "running", "style_statistics": "mean_std_delta", "reference_norm": "template"},
        {"audio_norm": "clip", "encoder_depth": 18},
        {"audio_norm": "none", "composite": False},
    ],
    ids=lambda changes: changes["audio_norm"],
)
def test_runtime_gives_what_the_module_gives(changes: dict[str, Any], tmp_path: Path) -> None:
    model, rng = trained(**changes), np.random.default_rng(0)
    network = Network.load(save(model, tmp_path))
    template = rng.normal(0.0, 0.08, (V, 3)).astype(np.float32)
    features = (3.0 * rng.normal(size=(400, C))).astype(np.float32)
    if model.config.composite:
        reference = (0.003 * rng.normal(size=(53, 3 * V))).astype(np.float32)
        style, vector = network.style_from_offsets(reference), model.style_vector(reference)
        np.testing.assert_allclose(style.vector, vector, atol=2e-3 * np.abs(vector).max())
        matrix, weights = rng.normal(0.0, 0.002, (4, 3 * V)).astype(np.float32), rng.random((30, 4), np.float32)
        by_weights = network.style_from_weights(weights, matrix).vector
        by_offsets = network.style_from_offsets((weights @ matrix).reshape(-1, V, 3)).vector
        np.testing.assert_allclose(by_weights, by_offsets, atol=1e-4 * np.abs(by_offsets).max())
    else:
        style = network.styles["neutral"]
        np.testing.assert_allclose(style.scale, model.scale.detach().numpy())
    frames = 287
    grid = clock.resample_at(features, RATE, OFFSET, clock.motion_times(frames, 30.0))
    with torch.no_grad():
        scale, shift = torch.from_numpy(style.scale)[None], torch.from_numpy(style.shift)[None]
        embedded = model.embed_template(torch.from_numpy(template.reshape(1, -1)))
        codes = model.decode(torch.from_numpy(grid)[None], scale, shift, embedded)
        offsets = model.offsets(codes[0]).numpy()
    blocks = np.split(features, [1, 2, 90, 333])
    streamed = np.concatenate(list(network.decode_stream(blocks, style, template, frames, chunk=40)))
    whole = network.decode(grid, style, network.embed_template(template))
    np.testing.assert_allclose(streamed, whole, atol=1e-5 * np.abs(whole).max())
    np.testing.assert_allclose(streamed @ network.offset_matrix, offsets, atol=3e-3 * np.abs(offsets).max())
    assert network.W.shape == (3 * V, 16)


def test_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    model = trained(audio_norm="batch")
    one, other = save(model, tmp_path / "a"), save(model, tmp_path / "b")
    names = sorted(path.name for path in one.iterdir())
    assert names == ["SHA256SUMS", "config.json", "model.onnx", "style.onnx", "weights.npz"]
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert verify(one) == []
    (one / "card.md").write_text("# toy\n")
    write_sums(one)
    assert hashlib.sha256(b"# toy\n").hexdigest() in (one / "SHA256SUMS").read_text() and verify(one) == []
    (one / "config.json").write_text("{}")
    assert verify(one) == ["config.json"]


def test_convolutions_are_stored_as_half_precision(tmp_path: Path) -> None:
    graph = onnx.load(save(trained(audio_norm="batch"), tmp_path) / "model.onnx").graph
    sizes = {onnx.TensorProto.FLOAT16: 0, onnx.TensorProto.FLOAT: 0, onnx.TensorProto.INT64: 0}
    for tensor in graph.initializer:
        sizes[tensor.data_type] += int(np.prod(tensor.dims))
    assert sizes[onnx.TensorProto.FLOAT16] == 6 * 16 * 16 * 3
    assert {node.op_type for node in graph.node} == {"MatMul", "Add", "Mul", "Transpose", "Cast", "Conv", "PRelu"}


def test_wrong_bundles_and_inputs_are_refused(tmp_path: Path) -> None:
    model = trained(audio_norm="batch")
    with pytest.raises(VultusError, match="every style must be 32 numbers"):
        save(model, tmp_path / "x", styles={"a": np.zeros(5)})
    with pytest.raises(VultusError, match="needs its template"):
        save(model, tmp_path / "x", template=None)
    network = Network.load(save(model, tmp_path / "y"))
    with pytest.raises(VultusError, match="11 frames; expected at least 12"):
        network.style_from_offsets(np.zeros((11, V, 3), np.float32))
    with pytest.raises(VultusError, match="moves 7 vertices"):
        network.style_from_offsets(np.zeros((20, 7, 3), np.float32))
    with pytest.raises(VultusError, match="template has shape"):
        network.embed_template(np.zeros((4, 3), np.float32))
    plain = Network.load(save(trained(composite=False, audio_norm="batch"), tmp_path / "z"))
    with pytest.raises(VultusError, match="no styles"):
        plain.style_from_offsets(np.zeros((20, V, 3), np.float32))
    (tmp_path / "y" / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(VultusError, match="onnxruntime cannot read it"):
        Network.load(tmp_path / "y")
    (tmp_path / "y" / "weights.npz").unlink()
    with pytest.raises(VultusError, match="not a whole bundle"):
        Network.load(tmp_path / "y")
