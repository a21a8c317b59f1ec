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
from vultus.features.moonshine import AHEAD_STEPS, REACH, SPAN

HEADS, ROTARY = 8, 32
NORM_EPSILON = 1e-5
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
        self.constants.setdefault(name, self.numpy_helper.from_array(np.asarray(array, order="C"), name))
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
    g = _Graph(onnx, mode)
    w = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    x = g.node("Unsqueeze", "samples", g.integers(1))
    x = g.node("Tanh", g.node("Conv", x, g.half("conv1.weight", w["conv1.weight"]), strides=[64]))
    x = _rolling_norm(g, x) if local else _whole_norm(g, x)
    x = g.node("Mul", x, g.constant("norm.weight", w["norm.weight"][:, None]))
    x = g.node("Add", x, g.constant("norm.bias", w["norm.bias"][:, None]))
    for name, stride in (("conv2", 3), ("conv3", 2)):
        kernel, bias = g.half(f"{name}.weight", w[f"{name}.weight"]), g.constant(f"{name}.bias", w[f"{name}.bias"])
        x = g.node("Gelu", g.node("Conv", x, kernel, bias, strides=[stride]), domain="com.microsoft")
    x = g.node("Transpose", x, perm=[0, 2, 1])
    positions = _positions(g, x)
    cosine, sine = _rotary_tables(g, positions)
    band = _Band(g, positions, REACH) if local else None
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


def _whole_norm(g: _Graph, x: str) -> str:
    """The original's group norm of x (B, 288, N): one group over all channels and all time."""
    shape = g.node("Shape", x)
    x = g.node("Reshape", x, g.integers(0, 1, -1))
    one, nil = g.constant("one", np.ones(1, np.float32)), g.constant("nil", np.zeros(1, np.float32))
    return g.node("Reshape", g.node("InstanceNormalization", x, one, nil, epsilon=NORM_EPSILON), shape)


def _rolling_norm(g: _Graph, x: str) -> str:
    """The same with mean and variance over SPAN steps about each step, `history` counted in; gives out `levels`."""
    mean, square = (
        g.node("ReduceMean", x, g.integers(1), keepdims=0),
        g.node("ReduceSumSquare", x, g.integers(1), keepdims=0),
    )
    square = g.node("Div", square, g.constant("channels", np.asarray(288, np.float32)))
    columns = [g.node("Cast", g.node("Unsqueeze", part, g.integers(2)), to=11) for part in (mean, square)]
    levels = g.node("Concat", *columns, name="levels", axis=2)
    known = g.node("Concat", "history", levels, axis=1)
    sums = g.node("Pad", g.node("CumSum", known, g.integers(1)), g.integers(0, 1, 0, 0, 0, 0))
    past = g.node("Shape", "history", start=1, end=2)
    total = g.node("Shape", known, start=1, end=2)
    steps = g.node(
        "Range", g.node("Squeeze", past), g.node("Squeeze", total), g.constant("step", np.asarray(1, np.int64))
    )
    end = g.node("Max", g.node("Add", steps, g.integers(1 + AHEAD_STEPS)), g.integers(SPAN))
    end = g.node("Min", end, total)
    begin = g.node("Max", g.node("Sub", end, g.integers(SPAN)), g.integers(0))
    inside = g.node("Sub", g.node("Gather", sums, end, axis=1), g.node("Gather", sums, begin, axis=1))
    count = g.node("Unsqueeze", g.node("Cast", g.node("Sub", end, begin), to=11), g.integers(1))
    moments = g.node("Div", inside, count)  # (B, N, 2): mean and mean square
    mean, square = (
        g.node("Gather", moments, g.constant(f"column_{k}", np.asarray(k, np.int64)), axis=2) for k in (0, 1)
    )
    variance = g.node("Sub", square, g.node("Mul", mean, mean))
    # A mean square less a squared mean may fall below zero by rounding.
    variance = g.node("Max", variance, g.constant("nothing", np.asarray(0, np.float64)))
    deviation = g.node("Sqrt", g.node("Add", variance, g.constant("epsilon", np.asarray(NORM_EPSILON, np.float64))))
    mean, deviation = (g.node("Unsqueeze", g.node("Cast", part, to=1), g.integers(1)) for part in (mean, deviation))
    return g.node("Div", g.node("Sub", x, mean), deviation)


def _positions(g: _Graph, x: str) -> str:
    """0, 1, ... (F,) float32 for x (B, F, C), computed in the graph: no limit on F."""
    frames = g.node("Squeeze", g.node("Shape", x, start=1, end=2), g.integers(0))
    start, step = g.constant("first", np.asarray(0, np.int64)), g.constant("step", np.asarray(1, np.int64))
    return g.node("Cast", g.node("Range", start, frames, step), to=1)


def _rotary_tables(g: _Graph, positions: str) -> tuple[str, str]:
    """Cosines and sines (F, 16) of the positions (F,)."""
    g.constant("position", np.zeros(1, np.int64))
    frequencies = (10_000.0 ** -(np.arange(0, ROTARY, 2) / ROTARY)).astype(np.float32)
    angles = g.node("Mul", g.node("Unsqueeze", positions, g.integers(1)), g.constant("frequencies", frequencies))
    return g.node("Cos", angles), g.node("Sin", angles)


class _Band:
    """Attention of each frame to those within `reach` of it, at a cost that grows with F and not with its square.

    Frames are cut into blocks of `reach`; the queries of a block meet the keys of their own block and of its two
    neighbours. Letters: N blocks, R = reach, H heads, E dimensions of a head.
    """

    def __init__(self, g: _Graph, positions: str, reach: int) -> None:
        self.g, self.reach = g, reach
        self.frames = g.node("Shape", positions)
        whole = g.integers(reach)
        self.blocks = g.node("Div", g.node("Add", self.frames, g.integers(reach - 1)), whole)
        self.padded = g.node("Mul", self.blocks, whole)
        self.missing = g.node("Sub", self.padded, self.frames)
        # What is added to the scores, (N, R, 3R): as good as -infinity for keys beyond reach or outside the sound.
        rows, columns = np.arange(reach)[:, None], np.arange(3 * reach) - reach
        out = np.float32(-1e9)
        near = g.constant("band", np.where(np.abs(rows - columns) <= reach, np.float32(0), out))
        numbers = g.node("Range", g.constant("first", np.asarray(0, np.int64)), g.node("Squeeze", self.blocks),
                         g.constant("step", np.asarray(1, np.int64)))  # fmt: skip
        starts = g.node("Unsqueeze", g.node("Mul", numbers, whole), g.integers(1))
        keys = g.node("Add", starts, g.constant("band_columns", columns.astype(np.int64)))
        outside = g.node("Or", g.node("Less", keys, g.integers(0)), g.node("GreaterOrEqual", keys, self.frames))
        zero, far = g.constant("nil_score", np.asarray(0, np.float32)), g.constant("far", np.asarray(out))
        kept = g.node("Unsqueeze", g.node("Where", outside, far, zero), g.integers(1))
        self.bias = g.node("Add", near, kept)

    def attention(self, query: str, key: str, value: str) -> str:
        """Queries, keys, values (B, F, 288) -> (B, F, 288)."""
        g = self.g
        query = g.node("Transpose", self._heads(self._pad(query, self.missing), self.reach), perm=[0, 3, 1, 2, 4])
        key = g.node("Transpose", self._neighbours(key), perm=[0, 3, 1, 4, 2])
        value = g.node("Transpose", self._neighbours(value), perm=[0, 3, 1, 2, 4])
        scale = g.constant("head_scale", np.asarray((288 // HEADS) ** -0.5, np.float32))
        scores = g.node("Add", g.node("MatMul", g.node("Mul", query, scale), key), self.bias)
        y = g.node("Transpose", g.node("MatMul", g.node("Softmax", scores, axis=-1), value), perm=[0, 2, 3, 1, 4])
        y = g.node("Reshape", y, g.integers(0, -1, 288))
        return g.node("Slice", y, g.integers(0), self.frames, g.integers(1))

    def _pad(self, x: str, after: str, before: int = 0) -> str:
        """Zeros before and after the frames of x (B, F, C)."""
        sizes = self.g.node("Concat", self.g.integers(0, before, 0, 0), after, self.g.integers(0), axis=0)
        return self.g.node("Pad", x, sizes)

    def _heads(self, x: str, rows: int) -> str:
        """(B, N x rows, 288) -> (B, N, rows, H, E)."""
        return self.g.node("Reshape", x, self.g.integers(0, -1, rows, HEADS, 288 // HEADS))

    def _neighbours(self, x: str) -> str:
        """(B, F, 288) -> (B, N, 3R, H, E): each block between its neighbours."""
        g, reach = self.g, self.reach
        x = self._pad(x, g.node("Add", self.missing, g.integers(reach)), reach)
        parts = []
        for k in range(3):
            end = g.node("Add", self.padded, g.integers(k * reach))
            part = g.node("Slice", x, g.integers(k * reach), end, g.integers(1))
            parts.append(g.node("Reshape", part, g.integers(0, -1, reach, 288)))
        return g.node("Reshape", g.node("Concat", *parts, axis=2), g.integers(0, 0, 0, HEADS, 288 // HEADS))


def _save(onnx: Any, g: _Graph, path: Path, metadata: Mapping[str, str], local: bool) -> None:
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
