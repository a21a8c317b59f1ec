"""A trained scoring network -> a bundle that runs without torch (see runtime.py). Needs torch and onnx.

    config.json   kind, topology, sizes, gate values, how it was trained
    arrays.npz    lips (L,) vertex numbers; or mean (3V,), basis (3V, D), deviation (D,) of the components
    mesh.onnx     lips (B, 5, 3L) mm -> embedding (B, E)          } sync
    audio.onnx    mel (B, 80, 20) -> embedding (B, E)             }
    style.onnx    motion (B, T, D), T at most 100 -> embedding (B, E)
    SHA256SUMS    of all of them and of card.md

Graphs are written node by node, as those of methods/export_onnx.py: normalisations folded into convolutions, weights
kept as float16.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import nn

from vultus.files import write_atomically
from vultus.methods.export_onnx import _Graph
from vultus.methods.onnx_graph import array, write_graph, write_sums
from vultus.scoring.style_net import Block, StyleNet
from vultus.scoring.sync_net import AudioEncoder, MeshEncoder, SyncNet


def write_bundle(
    folder: Path, net: SyncNet | StyleNet, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Writes graphs, config.json and arrays.npz; `write_card` adds the rest. Files that are there are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(net, SyncNet):
        write_graph(folder / "mesh.onnx", _mesh_graph(net.mesh))
        write_graph(folder / "audio.onnx", _audio_graph(net.audio))
    else:
        write_graph(folder / "style.onnx", _style_graph(net))
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    write_atomically(folder / "arrays.npz", stream.getvalue())
    write_config(folder, config)


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """config.json, and SHA256SUMS of what is in the folder."""
    write_atomically(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    write_sums(folder)


def write_card(folder: Path, text: str) -> None:
    """card.md, and SHA256SUMS of what is in the folder."""
    write_atomically(folder / "card.md", text.encode())
    write_sums(folder)


class _Net(_Graph):
    """The layers that the scoring networks are made of."""

    def linear(self, x: str, layer: nn.Linear) -> str:
        x = self.add("MatMul", x, self.store(array(layer.weight).T, half=True))
        return self.add("Add", x, self.store(array(layer.bias)))

    def norm(self, x: str, layer: nn.LayerNorm) -> str:
        scale, bias = self.store(array(layer.weight)), self.store(array(layer.bias))
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=layer.eps)

    def gelu(self, x: str) -> str:
        inner = self.add("Erf", self.add("Mul", x, self.number(2**-0.5)))
        half = self.add("Mul", x, self.number(0.5))
        return self.add("Mul", half, self.add("Add", inner, self.number(1.0)))

    def number(self, value: float) -> str:
        return self.store(np.array([value], np.float32))

    def reshape(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, self.integers(*shape))

    def unit_length(self, x: str, name: str) -> None:
        length = self.add("Max", self.add("ReduceL2", x, axes=[1], keepdims=1), self.number(1e-12))
        self.add("Div", x, length, name=name)


def _mesh_graph(net: MeshEncoder) -> onnx.GraphProto:
    graph = _Net()
    x = graph.linear(graph.add("Div", "lips", graph.number(float(net.deviation))), net.inner)
    for conv, norm in zip(net.convs, net.norms, strict=True):
        assert isinstance(conv, nn.Conv1d) and isinstance(norm, nn.LayerNorm)
        reach = conv.dilation[0]
        x = graph.add("Transpose", x, perm=[0, 2, 1])
        x = graph.add(
            "Conv", x, graph.store(array(conv.weight), half=True), graph.store(array(conv.bias)),  # type: ignore[arg-type]
            kernel_shape=[3], dilations=[reach], pads=[reach, reach],
        )  # fmt: skip
        x = graph.norm(graph.add("Transpose", graph.gelu(x), perm=[0, 2, 1]), norm)
    if net.keep_time:
        x = graph.reshape(x, 0, -1)
    else:
        x = graph.add("ReduceMean", x, axes=[1], keepdims=0)
    graph.unit_length(graph.linear(x, net.out), "embedding")
    frames = {"lips": ["B", 5, net.inner.in_features]}
    return graph.finish("mesh", frames, {"embedding": ["B", net.out.out_features]})


def _audio_graph(net: AudioEncoder) -> onnx.GraphProto:
    graph = _Net()
    x = graph.add("Sub", "mel", graph.store(array(net.mean)))
    x = graph.add("Unsqueeze", graph.add("Div", x, graph.store(array(net.deviation))), graph.integers(1))
    for conv, norm in zip(net.convs, net.norms, strict=True):
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None and norm.running_var is not None
        gain = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
        bias = array(norm.bias) - array(norm.running_mean) * gain
        weight = array(conv.weight) * gain[:, None, None, None]
        x = graph.add(
            "Conv", x, graph.store(weight.astype(np.float32), half=True), graph.store(bias.astype(np.float32)),
            kernel_shape=[3, 3], strides=list(conv.stride), pads=[1, 1, 1, 1],
        )  # fmt: skip
        x = graph.add("Relu", x)
    if net.keep_time:
        x = graph.reshape(graph.add("ReduceMean", x, axes=[2], keepdims=0), 0, -1)
    else:
        x = graph.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    graph.unit_length(graph.linear(graph.add("Relu", graph.linear(x, net.hidden)), net.out), "embedding")
    return graph.finish("audio", {"mel": ["B", 80, 20]}, {"embedding": ["B", net.out.out_features]})


def _style_graph(net: StyleNet) -> onnx.GraphProto:
    graph, config = _Net(), net.config
    x = graph.linear("motion", net.inner)
    length = graph.add("Slice", graph.add("Shape", x), graph.integers(1), graph.integers(2), graph.integers(0))
    place = graph.add(
        "Slice", graph.store(array(net.place), half=True), graph.integers(0), length, graph.integers(0)
    )  # fmt: skip
    x = graph.add("Add", x, place)
    for block in net.blocks:
        assert isinstance(block, Block)
        x = _block(graph, x, block, config.width // config.heads)
    x = graph.add("ReduceMean", graph.norm(x, net.norm), axes=[1], keepdims=0)
    graph.unit_length(graph.linear(x, net.out), "embedding")
    inputs = {"motion": ["B", "T", config.components]}
    return graph.finish("style", inputs, {"embedding": ["B", config.embedding]})


def _block(graph: _Net, x: str, block: Block, size: int) -> str:
    joined = graph.linear(graph.norm(x, block.norm1), block.query_key_value)
    parts = graph.add("Transpose", graph.reshape(joined, 0, 0, 3, block.heads, size), perm=[2, 0, 3, 1, 4])
    picked = [graph.add("Gather", parts, graph.integers(i), axis=0) for i in range(3)]
    query, key, value = (graph.add("Squeeze", one, graph.integers(0)) for one in picked)
    scores = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 1, 3, 2]))
    share = graph.add("Softmax", graph.add("Mul", scores, graph.number(size**-0.5)), axis=-1)
    seen = graph.add("Transpose", graph.add("MatMul", share, value), perm=[0, 2, 1, 3])
    x = graph.add("Add", x, graph.linear(graph.reshape(seen, 0, 0, block.heads * size), block.mix))
    inner = graph.gelu(graph.linear(graph.norm(x, block.norm2), block.up))
    return graph.add("Add", x, graph.linear(inner, block.down))
