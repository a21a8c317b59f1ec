"""Layers of methods/probabilistic_prior.py as ONNX nodes: what its graphs are made of.

Rotary positions are onnxruntime's own operator, which is one node where standard ones of this opset take six.

Letters: N draws, A steps, W width, H heads, d = W / H, S style numbers.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from vultus.methods.onnx_graph import RUNTIME_DOMAIN, Graph, array
from vultus.methods.probabilistic_prior import Attention, Injection, Norm


class Layers(Graph):
    """Layers of a transformer over rows (..., W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.width, self.heads, self.size = width, heads, width // heads

    def linear(self, x: str, weight: np.ndarray, bias: np.ndarray, rows: bool = False) -> str:
        """x W^T + b; `rows` says that x has two dimensions."""
        kernel, shift = self.store(np.ascontiguousarray(weight.T, np.float32)), self.store(bias.astype(np.float32))
        return self.add("Gemm", x, kernel, shift) if rows else self.add("Add", self.add("MatMul", x, kernel), shift)

    def layer(self, x: str, layer: nn.Linear, rows: bool = False) -> str:
        return self.linear(x, array(layer.weight), array(layer.bias), rows)

    def normalise(self, x: str, norm: nn.LayerNorm, scale: str = "", shift: str = "") -> str:
        """`scale` holds 1 + the scale of the condition."""
        if scale:
            ones = np.ones(norm.normalized_shape, np.float32)
            x = self.add("LayerNormalization", x, self.store(ones), axis=-1, epsilon=norm.eps)
            return self.add("Add", self.add("Mul", x, scale), shift)
        gain, bias = self.store(array(norm.weight)), self.store(array(norm.bias))
        return self.add("LayerNormalization", x, gain, bias, axis=-1, epsilon=norm.eps)

    def turn(self, x: str, place: str) -> str:
        """Rotary positions of rows (N, A, heads x d), by rows `place`, `place` + 1 ... of "cosine" and "sine"."""
        return self.add("RotaryEmbedding", x, place, "cosine", "sine", domain=RUNTIME_DOMAIN)

    def query_key_value(self, x: str, own: Attention, rows: bool = False) -> str:
        """Queries, scaled by 1 / sqrt(d), keys and values: (..., 3 W)."""
        scale = np.float32(self.size**-0.5)
        weight = np.concatenate([array(own.query.weight) * scale, array(own.key_value.weight)])
        bias = np.concatenate([array(own.query.bias) * scale, array(own.key_value.bias)])
        return self.linear(x, weight, bias, rows)

    def attend(self, x: str, own: Attention, band: str = "") -> str:
        """Attention among rows (N, A, W) to all rows that `band` (A, A) does not forbid."""
        wide = self.width
        turned, values = self.split(self.query_key_value(x, own), [2 * wide, wide], -1)
        query, keys = self.split(self.turn(turned, self.integers(0)), [wide, wide], -1)
        shape = self.integers(0, 0, self.heads, self.size)
        query, values = (
            self.add("Transpose", self.add("Reshape", part, shape), perm=[0, 2, 1, 3]) for part in (query, values)
        )
        keys = self.add("Transpose", self.add("Reshape", keys, shape), perm=[0, 2, 3, 1])
        scores = self.add("MatMul", query, keys)
        chance = self.add("Softmax", self.add("Add", scores, band) if band else scores, axis=-1)
        found = self.add("Transpose", self.add("MatMul", chance, values), perm=[0, 2, 1, 3])
        return self.layer(self.add("Reshape", found, self.integers(0, 0, wide)), own.out)

    def feed(self, x: str, feed: nn.Sequential, rows: bool = False) -> str:
        inner = self.layer(x, feed[0], rows)  # type: ignore[arg-type]
        # x / 2 (1 + erf(x / sqrt 2)), in the form that onnxruntime joins into one node
        root, one, half = (self.store(np.array(v, np.float32)) for v in (np.sqrt(2.0), 1.0, 0.5))
        grown = self.add("Add", self.add("Erf", self.add("Div", inner, root)), one)
        inner = self.add("Mul", self.add("Mul", inner, grown), half)
        return self.layer(inner, feed[2], rows)  # type: ignore[arg-type]

    def silu(self, x: str) -> str:
        return self.add("Mul", x, self.add("Sigmoid", x))

    def convolve(self, x: str, conv: nn.Conv1d, gain: np.ndarray | None = None, shift: np.ndarray | None = None) -> str:
        """A convolution of (N, channels, A), then gain and shift of its channels."""
        weight, bias = array(conv.weight), array(conv.bias)  # type: ignore[arg-type]
        if gain is not None and shift is not None:
            weight, bias = weight * gain[:, None, None], bias * gain + shift
        pad, dilation = int(conv.padding[0]), int(conv.dilation[0])
        return self.add(
            "Conv", x, self.store(weight), self.store(bias),
            kernel_shape=[weight.shape[2]], pads=[pad, pad], dilations=[dilation],
        )  # fmt: skip

    def inject(self, injection: Injection) -> str:
        """Inputs "heard" (A, W) and "style" (1, S) -> what is added to the tokens, (A, W) or (1, W)."""
        added = self.layer("style", injection.style, rows=True)
        if injection.here is not None and injection.around is not None:
            over_time = self.add("Unsqueeze", self.add("Transpose", "heard", perm=[1, 0]), self.integers(0))
            near = self.add("Squeeze", self.convolve(over_time, injection.around), self.integers(0))
            here = self.add("Add", self.layer("heard", injection.here, rows=True), added)
            added = self.add("Add", here, self.add("Transpose", near, perm=[1, 0]))
        return added

    def shape_norms(self, norms: list[Norm], name: str = "") -> str:
        """Inputs "heard" and "style" -> for each normalisation 1 + scale and shift, (A, norms x 2 W)."""
        weight = np.concatenate([array(norm.shape.weight) for norm in norms if norm.shape is not None])
        bias = np.concatenate([array(norm.shape.bias) for norm in norms if norm.shape is not None])
        bias = (bias.reshape(-1, 2, self.width) + np.array([[1.0], [0.0]])).reshape(-1)
        by_style = self.linear("style", weight[:, self.width :], bias, rows=True)
        by_sound = self.add("MatMul", "heard", self.store(np.ascontiguousarray(weight[:, : self.width].T)))
        return self.add("Add", by_sound, by_style, name=name)
