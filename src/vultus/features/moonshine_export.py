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
from vultus.features.moonshine import REACH
from vultus.features.moonshine_nodes import (
    HEADS,
    ROTARY,
    Band,
    Graph,
    frame_positions,
    rolling_norm,
    rotary_tables,
    whole_norm,
)

LINEAR = ("query", "key", "value", "out", "fc1", "fc2")


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise VultusError(
            "package 'onnx' is missing; it reads and writes graphs; pip install 'vultus[train]'"
        ) from None
    return onnx


def write_graph(
    weights: Mapping[str, np.ndarray],
    path: Path,
    *,
    taps: Sequence[int] = (3, 5),
    local: bool = True,
    mode: str = "weights",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes the graph: `samples` (B, S) float32 at 16 kHz -> `states` (B, F, 288 x taps) float32.

    Args:
        weights: by the names of `MoonshineNet.state_dict()`, float32.
        path: where the .onnx goes.
        taps: blocks whose residual states are returned, counted from 1; blocks after the last are left out.
        local: attention and the first normalisation are bounded in time (see moonshine.py). The graph then has a second
            input, `history` (B, H, 2) float64, and a second output, `levels` (B, N, 2): mean and mean square over the
            channels of each step of the first convolution, of the last H steps before this sound and of its own N.
            False: unbounded, as in the original.
        mode: "dynamic" (uint8 matrices, uint8 products), "weights" (uint8 matrices, float32 products) or "float32".
        metadata: texts stored in the file.
    """
    onnx = _onnx()
    g = Graph(onnx, mode)
    w = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    x = g.node("Unsqueeze", "samples", g.integers(1))
    x = g.node("Tanh", g.node("Conv", x, g.half("conv1.weight", w["conv1.weight"]), strides=[64]))
    x = rolling_norm(g, x) if local else whole_norm(g, x)
    x = g.node("Mul", x, g.constant("norm.weight", w["norm.weight"][:, None]))
    x = g.node("Add", x, g.constant("norm.bias", w["norm.bias"][:, None]))
    for name, stride in (("conv2", 3), ("conv3", 2)):
        kernel, bias = g.half(f"{name}.weight", w[f"{name}.weight"]), g.constant(f"{name}.bias", w[f"{name}.bias"])
        x = g.node("Gelu", g.node("Conv", x, kernel, bias, strides=[stride]), domain="com.microsoft")
    x = g.node("Transpose", x, perm=[0, 2, 1])
    positions = frame_positions(g, x)
    cosine, sine = rotary_tables(g, positions)
    band = Band(g, positions, REACH) if local else None
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
        value = linear(y, "value")
        if band is None:
            y = g.node("MultiHeadAttention", query, key, value, domain="com.microsoft", num_heads=HEADS)
        else:
            y = band.attention(query, key, value)
        x = g.node("Add", x, linear(y, "out"))
        y = g.node("Gelu", linear(norm(x, "mlp_norm"), "fc1"), domain="com.microsoft")
        x = g.node("Add", x, linear(y, "fc2"))
        if number in taps:
            states.append(x)
    g.node("Concat", *states, name="states", axis=-1)
    _save(onnx, g, path, metadata or {}, local)


def _save(onnx: Any, g: Graph, path: Path, metadata: Mapping[str, str], local: bool) -> None:
    helper, kinds = onnx.helper, onnx.TensorProto
    inputs = [helper.make_tensor_value_info("samples", kinds.FLOAT, ["batch", "samples"])]
    outputs = [helper.make_tensor_value_info("states", kinds.FLOAT, ["batch", "frames", "channels"])]
    if local:
        inputs.append(helper.make_tensor_value_info("history", kinds.DOUBLE, ["batch", "past", 2]))
        outputs.append(helper.make_tensor_value_info("levels", kinds.DOUBLE, ["batch", "steps", 2]))
    graph = helper.make_graph(g.nodes, "moonshine", inputs, outputs, list(g.constants.values()))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="vultus")
    helper.set_model_props(model, dict(sorted(metadata.items())))
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(model.SerializeToString(deterministic=True))
    partial.replace(path)


def read_local(path: Path) -> bool:
    """Whether a graph of `write_graph` is bounded in time."""
    return len(_load(path).graph.input) == 2


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Weights of a graph made by `write_graph`, float32, by the names of `MoonshineNet.state_dict()`."""
    model, to_array = _load(path), _onnx().numpy_helper.to_array
    arrays = {tensor.name: to_array(tensor) for tensor in model.graph.initializer}
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


def _load(path: Path) -> Any:
    onnx = _onnx()
    try:
        return onnx.load(str(path))
    except Exception as error:
        raise VultusError(f"moonshine: cannot read {path} ({error}); expected a graph of moonshine_export") from None
