"""A trained `composite_regional` run -> a bundle that runs without torch (see `vultus/runtime/composite_regional.py`).

    config.json    what the runtime needs to know, plain JSON
    model.onnx     features on motion frames (1, T, C), scale (Z), shift (Z), template (Z) -> codes (1, T, Z)
    style.onnx     embedded reference (1, R, Z) -> scale (1, Z), shift (1, Z)
    weights.npz    W (Z, 3V) and the style presets (S, 2 Z); template and faces where the mesh is not the shipped head
    SHA256SUMS     of all of them

Normalisation layers are folded into the convolutions. Weights are stored as float16 and cast to float32 when the graph
is loaded: half the size, and the arithmetic stays in float32. The graphs are written node by node: what is in them is
what the method says, and the same run gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from torch import nn

from vultus.errors import VultusError
from vultus.methods.composite_regional import CompositeRegional, ResidualUnit
from vultus.methods.onnx_graph import Graph, array, write_graph, write_sums
from vultus.version import __version__

MAX_BYTES = 30_000_000


def export(
    model: CompositeRegional,
    out: str | Path,
    *,
    name: str,
    summary: str,
    encoder: Mapping[str, Any],
    fps: float,
    styles: Mapping[str, np.ndarray],
    rig: str = "head",
    still_shapes: tuple[str, ...] = (),
    template: np.ndarray | None = None,
    faces: np.ndarray | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a bundle folder.

    Args:
        model: a trained module (`vultus.train.loop.load_run`).
        out: the folder; made where it is missing, its files replaced.
        name: what users call the model.
        summary: one line for `vultus models`.
        encoder: {"name", "rate", "offset", "options"} of the speech encoder.
        fps: motion frames per second it was trained at.
        styles: preset name -> (2 Z,) numbers (`style_vector`); the first is the default. At least one.
        rig: "head" for the shipped head, "vertices" for any other mesh (then `template` (V, 3) and `faces` too).
        still_shapes: names of shapes that never moved in training.
        extra: more keys for config.json (settings of the run, measured quality), plain JSON.

    Returns:
        The folder.

    Raises:
        VultusError: no style, or a bundle of more than 30 MB.
    """
    config, size = model.config, 2 * model.config.channels
    if not model.config.composite:
        styles = {"neutral": np.concatenate([model.scale.detach().numpy(), model.shift.detach().numpy()])}
    if not styles or any(np.shape(vector) != (size,) for vector in styles.values()):
        raise VultusError(f"export: every style must be {size} numbers, and there must be one at least")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_graph(folder / "model.onnx", _decoder_graph(model))
    files = ["config.json", "model.onnx", "weights.npz"]
    if config.composite:
        write_graph(folder / "style.onnx", _style_graph(model))
        files.append("style.onnx")
    arrays = {"W": model.W.detach().numpy().astype(np.float16), "styles": np.stack(list(styles.values())).astype("<f4")}
    if rig != "head":
        if template is None or faces is None:
            raise VultusError("export: a mesh that is not the shipped head needs its template and faces")
        arrays |= {"template": np.asarray(template, np.float32), "faces": np.asarray(faces, np.int32)}
    np.savez_compressed(folder / "weights.npz", **arrays)  # type: ignore[arg-type]
    settings = {
        "method": "composite_regional", "name": name, "summary": summary, "made_by": f"vultus {__version__}",
        "encoder": {"options": {}, **encoder}, "fps": fps, "rig": rig, "channels": config.channels,
        "context_frames": model.context_frames, "streams": config.audio_norm != "clip",
        "composite": config.composite, "reference_norm": config.reference_norm, "alpha": config.alpha,
        "unit": model.dims.unit, "centre": list(model.dims.centre), "vertices": model.dims.num_vertices,
        "styles": list(styles), "still_shapes": list(still_shapes), **(extra or {}),
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    if (folder / "card.md").is_file():
        files.append("card.md")
    total = sum((folder / file).stat().st_size for file in files)
    if total > MAX_BYTES:
        raise VultusError(f"export: the bundle has {total / 1e6:.1f} MB; expected at most {MAX_BYTES / 1e6:.0f}")
    write_sums(folder)
    return folder


class _Graph(Graph):
    """Convolutional units, and statistics over time."""

    def convolve(self, x: str, conv: nn.Conv1d, norm: nn.BatchNorm1d) -> str:
        weight, bias = _fold(conv, norm)
        pad, stride = int(conv.padding[0]), int(conv.stride[0])
        return self.add(
            "Conv", x, self.store(weight, half=True), self.store(bias),
            kernel_shape=[weight.shape[2]], strides=[stride], pads=[pad, pad],
        )  # fmt: skip

    def unit(self, x: str, unit: ResidualUnit) -> str:
        inner = self.convolve(x, unit.conv1, unit.norm1)
        inner = self.add("PRelu", inner, self.store(array(unit.act.weight)[:, None]))
        inner = self.convolve(inner, unit.conv2, unit.norm2)
        if unit.project is not None:
            x = self.convolve(x, unit.project, unit.project_norm)
        elif unit.stride != 1:
            everything = np.iinfo(np.int64).max
            step = (self.integers(0), self.integers(everything), self.integers(2), self.integers(unit.stride))
            x = self.add("Slice", x, *step)
        return self.add("Add", x, inner)

    def mean_and_deviation(self, x: str, axis: int, epsilon: float) -> tuple[str, str]:
        """Over `axis` of a three-dimensional tensor, kept; n - 1 as in training."""
        mean = self.add("ReduceMean", x, axes=[axis], keepdims=1)
        away = self.add("Sub", x, mean)
        total = self.add("ReduceSum", self.add("Mul", away, away), self.integers(axis), keepdims=1)
        count = self.add("Gather", self.add("Shape", x), self.integers(axis), axis=0)
        count = self.add("Cast", self.add("Sub", count, self.integers(1)), to=TensorProto.FLOAT)
        count = self.add("Max", count, self.store(np.array([1.0], np.float32)))
        variance = self.add("Add", self.add("Div", total, count), self.store(np.array([epsilon], np.float32)))
        return mean, self.add("Sqrt", variance)


def _decoder_graph(model: CompositeRegional) -> onnx.GraphProto:
    graph, config, size = _Graph(), model.config, model.config.channels
    weight, bias = array(model.speech_in.weight).T.astype(np.float64), array(model.speech_in.bias).astype(np.float64)
    if model.audio_norm is not None:  # statistics are fixed after training: one affine map
        scale = 1.0 / np.sqrt(array(model.audio_norm.running_var).astype(np.float64) + model.audio_norm.eps)  # type: ignore
        weight, bias = weight * scale, (bias - array(model.audio_norm.running_mean)) * scale  # type: ignore
    # This matrix stays float32: features reach tens, and it is small.
    x = graph.add("Add", graph.add("MatMul", "features", graph.store(weight.astype(np.float32))),
                  graph.store(bias.astype(np.float32)))  # fmt: skip
    if config.audio_norm == "clip":
        mean, deviation = graph.mean_and_deviation(x, 1, 1e-8)
        deviation = graph.add("Add", deviation, graph.store(np.array([1e-5], np.float32)))
        x = graph.add("Div", graph.add("Sub", x, mean), deviation)
    x = graph.add("Add", graph.add("Mul", x, "scale"), graph.add("Add", "shift", "template"))
    x = graph.add("Transpose", x, perm=[0, 2, 1])
    for unit in model.decoder.units:
        x = graph.unit(x, unit)  # type: ignore[arg-type]
    graph.add("Transpose", x, perm=[0, 2, 1], name="codes")
    vector = {"scale": [size], "shift": [size], "template": [size]}
    inputs: dict[str, list[Any]] = {"features": [1, "T", model.dims.feature_dimension], **vector}
    return graph.finish("decoder", inputs, {"codes": [1, "T", size]})


def _style_graph(model: CompositeRegional) -> onnx.GraphProto:
    graph, size, encoder = _Graph(), model.config.channels, model.reference_encoder
    x = graph.add("Transpose", "reference", perm=[0, 2, 1])
    for unit in encoder.units:
        x = graph.unit(x, unit)  # type: ignore[arg-type]
    statistics = [*graph.mean_and_deviation(x, 2, 1e-8)]
    if encoder.delta:
        end = np.iinfo(np.int64).max
        later = graph.add("Slice", x, graph.integers(1), graph.integers(end), graph.integers(2))
        earlier = graph.add("Slice", x, graph.integers(0), graph.integers(-1), graph.integers(2))
        statistics.append(graph.mean_and_deviation(graph.add("Sub", later, earlier), 2, 1e-8)[1])
    joined = graph.add("Squeeze", graph.add("Concat", *statistics, axis=1), graph.integers(2))
    out = graph.add("MatMul", joined, graph.store(array(encoder.head.weight).T, half=True))
    out = graph.add("Add", out, graph.store(array(encoder.head.bias)))
    graph.nodes.append(helper.make_node("Split", [out], ["scale", "shift"], name="node_split", axis=1))
    outputs = {"scale": [1, size], "shift": [1, size]}
    return graph.finish("style", {"reference": [1, "R", size]}, outputs)


def _fold(conv: nn.Conv1d, norm: nn.BatchNorm1d) -> tuple[np.ndarray, np.ndarray]:
    """A convolution without bias and the normalisation after it -> one convolution with bias."""
    assert norm.running_mean is not None and norm.running_var is not None
    gain = array(norm.weight).astype(np.float64) / np.sqrt(array(norm.running_var).astype(np.float64) + norm.eps)
    bias = array(norm.bias) - array(norm.running_mean) * gain
    return (array(conv.weight) * gain[:, None, None]).astype(np.float32), bias.astype(np.float32)
