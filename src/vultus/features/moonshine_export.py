"""Writes the Moonshine encoder as an ONNX graph and reads its weights back. Needs the package `onnx` (extra `train`).

The graph is written node by node, not traced: so its names are ours, its bytes depend on nothing but the weights, and
`read_weights` gives back what fine-tuning starts from.

Storage: convolutions as float16, matrices as uint8 with a scale and a zero point for each matrix (that is how the
original file holds them, so nothing is lost), all else as float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import VultusError

HEADS, ROTARY = 8, 32
LINEAR = ("query", "key", "value", "out", "fc1", "fc2")


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise VultusError(
            "package 'onnx' is missing; it reads and writes graphs; pip install 'vultus[train]'"
        ) from None
    return onnx


def quantize(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matrix -> (uint8 values, float32 scale, uint8 zero point); value = (q - zero) * scale.

    The range always holds zero, as onnxruntime's own quantiser does it, so a matrix that came from there stays itself.
    """
    low, high = min(0.0, float(matrix.min())), max(0.0, float(matrix.max()))
    scale = np.float32((high - low) / 255 or 1.0)
    zero = np.uint8(np.clip(round(-low / float(scale)), 0, 255))
    values = np.clip(np.rint(matrix / scale) + float(zero), 0, 255).astype(np.uint8)
    return values, np.asarray(scale), np.asarray(zero)


class _Graph:
    """Collects nodes and constants; each method returns the name of its output."""

    def __init__(self, onnx: Any, mode: str) -> None:
        self.helper, self.numpy_helper, self.mode = onnx.helper, onnx.numpy_helper, mode
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.setdefault(name, self.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant("int_" + "_".join(map(str, values)), np.asarray(values, np.int64))

    def node(self, op: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        name = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(op, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def half(self, name: str, array: np.ndarray) -> str:
        """A constant kept as float16; onnxruntime widens it once, when the session starts."""
        if self.mode == "float32":
            return self.constant(name, array)
        return self.node("Cast", self.constant(name, array.astype(np.float16)), to=1)

    def linear(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray | None = None) -> str:
        """x @ weight.T + bias, the matrix kept as uint8."""
        if self.mode == "float32":
            y = self.node("MatMul", x, self.constant(name + ".weight", weight.T))
        else:
            values, scale, zero = quantize(weight.T)
            w = self.constant(name + ".weight_quantized", values)
            s, z = self.constant(name + ".scale", scale), self.constant(name + ".zero", zero)
            if self.mode == "dynamic":
                inputs = [x, w, s, z] + ([] if bias is None else [self.constant(name + ".bias", bias)])
                return self.node("DynamicQuantizeMatMul", *inputs, domain="com.microsoft")
            centred = self.node("Sub", self.node("Cast", w, to=1), self.node("Cast", z, to=1))
            y = self.node("MatMul", x, self.node("Mul", centred, s))
        return y if bias is None else self.node("Add", y, self.constant(name + ".bias", bias))


def write_graph(
    weights: Mapping[str, np.ndarray],
    path: Path,
    *,
    taps: Sequence[int] = (3, 5),
    mode: str = "weights",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes the graph: `samples` (B, S) float32 at 16 kHz -> `states` (B, F, 288 x taps) float32.

    Args:
        weights: by the names of `MoonshineNet.state_dict()`, float32.
        path: where the .onnx goes.
        taps: blocks whose residual states are returned, counted from 1; blocks after the last are left out.
        mode: "dynamic" (uint8 matrices, uint8 products), "weights" (uint8 matrices, float32 products) or "float32".
        metadata: texts stored in the file.
    """
    onnx = _onnx()
    g = _Graph(onnx, mode)
    w = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    x = g.node("Unsqueeze", "samples", g.integers(1))
    x = g.node("Tanh", g.node("Conv", x, g.half("conv1.weight", w["conv1.weight"]), strides=[64]))
    # One group over all channels and all time: an instance norm of one long row.
    shape = g.node("Shape", x)
    x = g.node("Reshape", x, g.integers(0, 1, -1))
    one, nil = g.constant("one", np.ones(1, np.float32)), g.constant("nil", np.zeros(1, np.float32))
    x = g.node("Reshape", g.node("InstanceNormalization", x, one, nil, epsilon=1e-5), shape)
    x = g.node("Mul", x, g.constant("norm.weight", w["norm.weight"][:, None]))
    x = g.node("Add", x, g.constant("norm.bias", w["norm.bias"][:, None]))
    for name, stride in (("conv2", 3), ("conv3", 2)):
        kernel, bias = g.half(f"{name}.weight", w[f"{name}.weight"]), g.constant(f"{name}.bias", w[f"{name}.bias"])
        x = g.node("Gelu", g.node("Conv", x, kernel, bias, strides=[stride]), domain="com.microsoft")
    x = g.node("Transpose", x, perm=[0, 2, 1])
    cosine, sine = _rotary_tables(g, x)
    states = []
    for number in range(1, max(taps) + 1):
        block = f"blocks.{number - 1}."

        def linear(y: str, layer: str, block: str = block) -> str:
            return g.linear(y, block + layer, w[f"{block}{layer}.weight"], w.get(f"{block}{layer}.bias"))

        def norm(y: str, layer: str, block: str = block) -> str:
            scale = g.constant(f"{block}{layer}.weight", w[f"{block}{layer}.weight"])
            return g.node("LayerNormalization", y, scale, axis=-1, epsilon=1e-5)

        y = norm(x, "attention_norm")
        query, key = (
            g.node("RotaryEmbedding", linear(y, layer), "position", cosine, sine, domain="com.microsoft",
                   num_heads=HEADS, rotary_embedding_dim=ROTARY, interleaved=1)
            for layer in ("query", "key")
        )  # fmt: skip
        y = g.node("MultiHeadAttention", query, key, linear(y, "value"), domain="com.microsoft", num_heads=HEADS)
        x = g.node("Add", x, linear(y, "out"))
        y = g.node("Gelu", linear(norm(x, "mlp_norm"), "fc1"), domain="com.microsoft")
        x = g.node("Add", x, linear(y, "fc2"))
        if number in taps:
            states.append(x)
    g.node("Concat", *states, name="states", axis=-1)
    _save(onnx, g, path, metadata or {})


def _rotary_tables(g: _Graph, x: str) -> tuple[str, str]:
    """Cosines and sines (F, 16) of the positions of x (B, F, C), computed in the graph: no limit on F."""
    g.constant("position", np.zeros(1, np.int64))
    frames = g.node("Squeeze", g.node("Shape", x, start=1, end=2), g.integers(0))
    start, step = g.constant("first", np.asarray(0, np.int64)), g.constant("step", np.asarray(1, np.int64))
    positions = g.node("Cast", g.node("Range", start, frames, step), to=1)
    frequencies = (10_000.0 ** -(np.arange(0, ROTARY, 2) / ROTARY)).astype(np.float32)
    angles = g.node("Mul", g.node("Unsqueeze", positions, g.integers(1)), g.constant("frequencies", frequencies))
    return g.node("Cos", angles), g.node("Sin", angles)


def _save(onnx: Any, g: _Graph, path: Path, metadata: Mapping[str, str]) -> None:
    helper = onnx.helper
    graph = helper.make_graph(
        g.nodes,
        "moonshine",
        [helper.make_tensor_value_info("samples", onnx.TensorProto.FLOAT, ["batch", "samples"])],
        [helper.make_tensor_value_info("states", onnx.TensorProto.FLOAT, ["batch", "frames", "channels"])],
        list(g.constants.values()),
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="vultus")
    helper.set_model_props(model, dict(sorted(metadata.items())))
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(model.SerializeToString(deterministic=True))
    partial.replace(path)


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Weights of a graph made by `write_graph`, float32, by the names of `MoonshineNet.state_dict()`."""
    onnx = _onnx()
    try:
        model = onnx.load(str(path))
    except Exception as error:
        raise VultusError(f"moonshine: cannot read {path} ({error}); expected a graph of moonshine_export") from None
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if name.endswith(".weight_quantized"):
            layer = name.removesuffix(".weight_quantized")
            centred = array.astype(np.float32) - np.float32(arrays[layer + ".zero"])
            weights[layer + ".weight"] = np.ascontiguousarray((centred * arrays[layer + ".scale"]).T)
        elif name.endswith(".weight") and name.split(".")[-2] in LINEAR:
            weights[name] = np.ascontiguousarray(array.T)
        elif name.endswith((".weight", ".bias")):
            weights[name] = np.array(array.squeeze(-1) if name.startswith("norm.") else array, np.float32)
    if "conv1.weight" not in weights:
        raise VultusError(f"moonshine: {path} holds no conv1.weight; expected a graph of moonshine_export")
    return weights
