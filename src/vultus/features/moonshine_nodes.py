"""The parts of Moonshine's ONNX graph that are more than one node: quantised matrices, norms, positions, attention.

Letters: B batch, N steps of the first convolution, F feature frames, C channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus.features.moonshine import AHEAD_STEPS, SPAN

CHANNELS, HEADS, ROTARY = 288, 8, 32
NORM_EPSILON = 1e-5


def quantize(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matrix -> (uint8 values, float32 scale, uint8 zero point); value = (q - zero) * scale.

    The range always holds zero, as onnxruntime's own quantiser does it, so a matrix that came from there stays itself.
    """
    low, high = min(0.0, float(matrix.min())), max(0.0, float(matrix.max()))
    scale = np.float32((high - low) / 255 or 1.0)
    zero = np.uint8(np.clip(round(-low / float(scale)), 0, 255))
    values = np.clip(np.rint(matrix / scale) + float(zero), 0, 255).astype(np.uint8)
    return values, np.asarray(scale), np.asarray(zero)


class Graph:
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


def whole_norm(g: Graph, x: str) -> str:
    """The original's group norm of x (B, 288, N): one group over all channels and all time."""
    shape = g.node("Shape", x)
    x = g.node("Reshape", x, g.integers(0, 1, -1))
    one, nil = g.constant("one", np.ones(1, np.float32)), g.constant("nil", np.zeros(1, np.float32))
    return g.node("Reshape", g.node("InstanceNormalization", x, one, nil, epsilon=NORM_EPSILON), shape)


def rolling_norm(g: Graph, x: str) -> str:
    """The same with mean and variance over SPAN steps about each step, `history` counted in; gives out `levels`."""
    mean, square = (
        g.node("ReduceMean", x, g.integers(1), keepdims=0),
        g.node("ReduceSumSquare", x, g.integers(1), keepdims=0),
    )
    square = g.node("Div", square, g.constant("channels", np.asarray(CHANNELS, np.float32)))
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


def frame_positions(g: Graph, x: str) -> str:
    """0, 1, ... (F,) float32 for x (B, F, C), computed in the graph: no limit on F."""
    frames = g.node("Squeeze", g.node("Shape", x, start=1, end=2), g.integers(0))
    start, step = g.constant("first", np.asarray(0, np.int64)), g.constant("step", np.asarray(1, np.int64))
    return g.node("Cast", g.node("Range", start, frames, step), to=1)


def rotary_tables(g: Graph, positions: str) -> tuple[str, str]:
    """Cosines and sines (F, 16) of the positions (F,)."""
    g.constant("position", np.zeros(1, np.int64))
    frequencies = (10_000.0 ** -(np.arange(0, ROTARY, 2) / ROTARY)).astype(np.float32)
    angles = g.node("Mul", g.node("Unsqueeze", positions, g.integers(1)), g.constant("frequencies", frequencies))
    return g.node("Cos", angles), g.node("Sin", angles)


class Band:
    """Attention of each frame to those within `reach` of it, at a cost that grows with F and not with its square.

    Frames are cut into blocks of `reach`; the queries of a block meet the keys of their own block and of its two
    neighbours. Letters: N blocks, R = reach, H heads, E dimensions of a head.
    """

    def __init__(self, g: Graph, positions: str, reach: int) -> None:
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
        scale = g.constant("head_scale", np.asarray((CHANNELS // HEADS) ** -0.5, np.float32))
        scores = g.node("Add", g.node("MatMul", g.node("Mul", query, scale), key), self.bias)
        y = g.node("Transpose", g.node("MatMul", g.node("Softmax", scores, axis=-1), value), perm=[0, 2, 3, 1, 4])
        y = g.node("Reshape", y, g.integers(0, -1, CHANNELS))
        return g.node("Slice", y, g.integers(0), self.frames, g.integers(1))

    def _pad(self, x: str, after: str, before: int = 0) -> str:
        """Zeros before and after the frames of x (B, F, C)."""
        sizes = self.g.node("Concat", self.g.integers(0, before, 0, 0), after, self.g.integers(0), axis=0)
        return self.g.node("Pad", x, sizes)

    def _heads(self, x: str, rows: int) -> str:
        """(B, N x rows, 288) -> (B, N, rows, H, E)."""
        return self.g.node("Reshape", x, self.g.integers(0, -1, rows, HEADS, CHANNELS // HEADS))

    def _neighbours(self, x: str) -> str:
        """(B, F, 288) -> (B, N, 3R, H, E): each block between its neighbours."""
        g, reach = self.g, self.reach
        x = self._pad(x, g.node("Add", self.missing, g.integers(reach)), reach)
        parts = []
        for k in range(3):
            end = g.node("Add", self.padded, g.integers(k * reach))
            part = g.node("Slice", x, g.integers(k * reach), end, g.integers(1))
            parts.append(g.node("Reshape", part, g.integers(0, -1, reach, CHANNELS)))
        return g.node("Reshape", g.node("Concat", *parts, axis=2), g.integers(0, 0, 0, HEADS, CHANNELS // HEADS))
