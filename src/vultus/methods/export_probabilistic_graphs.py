"""The graphs of an exported `probabilistic` prior, written node by node (see methods/export_probabilistic.py).

Two things keep a step of the coarse model cheap. All that does not depend on a draw is made for many steps at once by
"conditions", so a step is told only where it stands. And its keys and values of earlier steps come in as they lie in
the caller's ring buffers: the new ones go out, and nothing is copied.

Letters: N draws, A steps of sound, R reference frames, C feature channels, W width, H heads, d = W / H, S style
numbers, K codes of a level, Q levels, L layers, D motion dimension, Z numbers of a code.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx
from torch import nn

from vultus.methods.onnx_graph import array
from vultus.methods.onnx_layers import Layers
from vultus.methods.probabilistic import Probabilistic
from vultus.methods.probabilistic_codec import Codec, ResidualBlock
from vultus.methods.probabilistic_prior import REFERENCE_STRIDE, Block, FineSequence, Norm, _blocks


def _norms(block: Block) -> list[Norm]:
    return cast("list[Norm]", list(block.norms))


def _all_norms(blocks: nn.ModuleList) -> list[Norm]:
    return [norm for block in _blocks(blocks) for norm in _norms(block)]


def hearing_graph(model: Probabilistic) -> onnx.GraphProto:
    """Features of whole steps (A, stride x C) -> heard (A, W)."""
    config, hearing = model.config, model.hearing
    graph = Layers(config.width, config.heads)
    scale = np.tile(1.0 / array(hearing.deviation).astype(np.float64), config.stride)
    weight = array(hearing.enter.weight).astype(np.float64) * scale
    bias = array(hearing.enter.bias) - weight @ np.tile(array(hearing.mean), config.stride)
    x = graph.linear("features", weight, bias, rows=True)
    over_time = graph.add("Unsqueeze", graph.add("Transpose", graph.silu(x), perm=[1, 0]), graph.integers(0))
    near = graph.add("Squeeze", graph.convolve(over_time, hearing.near), graph.integers(0))
    x = graph.add("Add", x, graph.add("Transpose", near, perm=[1, 0]))
    gain, shift = graph.store(array(hearing.norm.weight)), graph.store(array(hearing.norm.bias))
    graph.add("LayerNormalization", x, gain, shift, axis=-1, epsilon=hearing.norm.eps, name="heard")
    wide = config.stride * model.dims.feature_dimension
    return graph.finish("hearing", {"features": ["A", wide]}, {"heard": ["A", config.width]})


def conditions_graph(model: Probabilistic) -> onnx.GraphProto:
    """heard (A, W), style, cosine, sine -> injected, and where the model has them shaped, cross keys, values."""
    config, coarse = model.config, model.coarse
    wide, heads, size, layers = config.width, config.heads, config.width // config.heads, config.coarse_layers
    graph = Layers(wide, heads)
    injected = graph.inject(coarse.inject)
    shape = graph.add("Shape", "heard")
    graph.add("Expand", injected, shape, name="injected")
    outputs: dict[str, list[Any]] = {"injected": ["A", wide]}
    if coarse.modulated:
        norms = _all_norms(coarse.blocks)
        graph.shape_norms(norms, "shaped")
        outputs["shaped"] = ["A", 2 * wide * len(norms)]
    if coarse.banded:
        pairs = [block.cross.key_value for block in _blocks(coarse.blocks) if block.cross is not None]
        weight = np.concatenate([array(p.weight)[:wide] for p in pairs] + [array(p.weight)[wide:] for p in pairs])
        bias = np.concatenate([array(p.bias)[:wide] for p in pairs] + [array(p.bias)[wide:] for p in pairs])
        keys, values = graph.split(graph.linear("heard", weight, bias, rows=True), [layers * wide] * 2, 1)
        alone, together = graph.integers(0), graph.integers(-1, layers * wide)
        keys = graph.add("Reshape", graph.turn(graph.add("Unsqueeze", keys, alone), alone), together)
        apart = graph.integers(0, layers, heads, size)
        graph.add("Transpose", graph.add("Reshape", keys, apart), perm=[1, 2, 3, 0], name="cross_keys")
        graph.add("Transpose", graph.add("Reshape", values, apart), perm=[1, 2, 0, 3], name="cross_values")
        outputs |= {"cross_keys": [layers, heads, size, "A"], "cross_values": [layers, heads, "A", size]}
    inputs: dict[str, list[Any]] = {"heard": ["A", wide], "style": [1, config.style_size], **_turn_shapes(size)}
    return graph.finish("conditions", inputs, outputs)


def step_graph(model: Probabilistic) -> onnx.GraphProto:
    """One step of all draws; `step` is its row in what "conditions" gave, `past` 1 + the codes before it, or 0."""
    config, coarse = model.config, model.coarse
    wide, heads, size, layers = config.width, config.heads, config.width // config.heads, config.coarse_layers
    graph, kept = Layers(wide, heads), max(1, config.memory - 1)
    table = np.concatenate([array(coarse.nothing)[None], array(coarse.codes[0].weight)])  # type: ignore[arg-type]
    x = graph.add("Gather", graph.store(table), "past", axis=0)
    x = graph.add("Add", x, graph.add("Gather", "injected", "step", axis=0))
    inputs: dict[str, list[Any]] = {
        "past": ["N"], "step": [1], "injected": ["A", wide], "forgotten": [kept], **_turn_shapes(size)
    }  # fmt: skip
    norms = _all_norms(coarse.blocks)
    shaped = [""] * (2 * len(norms))
    if coarse.modulated:
        row = graph.add("Gather", "shaped", "step", axis=0)
        shaped = graph.split(row, [wide] * (2 * len(norms)), 1)
        inputs["shaped"] = ["A", 2 * wide * len(norms)]
    near: list[tuple[str, str]] = []
    if coarse.banded:
        inputs |= {"cross_keys": [layers, heads, size, "A"], "cross_values": [layers, heads, "A", size]}
        inputs["silent"] = ["A"]
        start = graph.add("Sub", "step", graph.integers(config.band))
        stop = graph.add("Add", "step", graph.integers(config.band + 1))
        keys, values, silent = (
            graph.add("Slice", part, start, stop, graph.integers(axis))
            for part, axis in (("cross_keys", 3), ("cross_values", 2), ("silent", 0))
        )
        near = list(
            zip(graph.split(keys, [1] * layers, 0), graph.split(values, [1] * layers, 0), strict=True)
        )  # fmt: skip
    rows, lone = graph.integers(-1, wide), graph.integers(-1, heads, 1, size)
    standing, spread = graph.integers(-1, heads, size, 1), graph.integers(-1, heads, size)
    new_keys, new_values, place = [], [], 0
    for number, block in enumerate(_blocks(coarse.blocks)):
        scale = iter(shaped[2 * place : 2 * (place + len(block.norms))])
        place += len(block.norms)
        norm = iter(_norms(block))
        inner = graph.normalise(x, next(norm).norm, next(scale), next(scale))
        turned, values = graph.split(graph.query_key_value(inner, block.own, rows=True), [2 * wide, wide], 1)
        turned = graph.turn(graph.add("Reshape", turned, graph.integers(-1, 1, 2 * wide)), "step")
        query, keys = graph.split(turned, [wide, wide], 2)
        new_keys.append(keys)
        new_values.append(values)
        inputs |= {f"keys_{number}": ["N", heads, size, kept], f"values_{number}": ["N", heads, kept, size]}
        query = graph.add("Reshape", query, lone)
        before = graph.add("Add", graph.add("MatMul", query, f"keys_{number}"), "forgotten")
        now = graph.add("MatMul", query, graph.add("Reshape", keys, standing))
        chance = graph.add("Softmax", graph.add("Concat", before, now, axis=-1), axis=-1)
        before, now = graph.split(chance, [kept, 1], -1)
        found = graph.add("MatMul", before, f"values_{number}")
        found = graph.add("Add", found, graph.add("Mul", graph.add("Reshape", values, lone), now))
        x = graph.add("Add", x, graph.layer(graph.add("Reshape", found, rows), block.own.out, rows=True))
        if block.cross is not None:
            inner = graph.normalise(x, next(norm).norm, next(scale), next(scale))
            factor = np.float32(size**-0.5)
            weight, bias = array(block.cross.query.weight) * factor, array(block.cross.query.bias) * factor
            query = graph.add("Reshape", graph.linear(inner, weight, bias, rows=True), graph.integers(-1, 1, wide))
            query = graph.turn(query, "step")
            query = graph.add("Transpose", graph.add("Reshape", query, spread), perm=[1, 0, 2])
            scores = graph.add("Add", graph.add("MatMul", query, near[number][0]), silent)
            found = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), near[number][1])
            found = graph.add("Reshape", graph.add("Transpose", found, perm=[0, 2, 1, 3]), rows)
            x = graph.add("Add", x, graph.layer(found, block.cross.out, rows=True))
        inner = graph.normalise(x, next(norm).norm, next(scale), next(scale))
        x = graph.add("Add", x, graph.feed(inner, block.feed, rows=True))
    graph.add("Concat", *new_keys, axis=0, name="new_keys")
    graph.add("Concat", *new_values, axis=0, name="new_values")
    last = graph.layer(graph.normalise(x, coarse.norm), coarse.head, rows=True)
    graph.add("Identity", last, name="logits")
    outputs = {"logits": ["N", config.codes], "new_keys": ["LN", 1, wide], "new_values": ["LN", wide]}
    return graph.finish("step", inputs, outputs, ("past", "step"))


def fine_graph(model: Probabilistic, fine: FineSequence) -> onnx.GraphProto:
    """Tokens (N, A, Q - 1) of the levels so far, 0 for none, else 1 + K x level + code -> logits of the next level."""
    config, wide = model.config, model.config.width
    graph = Layers(wide, config.heads)
    tables = [np.zeros((1, wide), np.float32), *(array(table.weight) for table in fine.codes)]  # type: ignore[arg-type]
    known = graph.add("Gather", graph.store(np.concatenate(tables)), "tokens", axis=0)
    x = graph.add("ReduceSum", known, graph.integers(2), keepdims=0)
    level = graph.add("Gather", graph.store(array(fine.level.weight)), "level", axis=0)
    x = graph.add("Add", x, graph.add("Add", graph.inject(fine.inject), level))
    norms = _all_norms(fine.blocks)
    shaped = iter(graph.split(graph.shape_norms(norms), [wide] * (2 * len(norms)), 1))
    for block in _blocks(fine.blocks):
        first, last = _norms(block)
        inner = graph.normalise(x, first.norm, next(shaped), next(shaped))
        x = graph.add("Add", x, graph.attend(inner, block.own, "band"))
        inner = graph.normalise(x, last.norm, next(shaped), next(shaped))
        x = graph.add("Add", x, graph.feed(inner, block.feed))
    number = graph.add("Sub", "level", graph.integers(1))
    head = graph.add("Squeeze", graph.add("Gather", graph.store(array(fine.heads)), number, axis=0), graph.integers(0))
    graph.add("MatMul", graph.normalise(x, fine.norm), head, name="logits")
    inputs: dict[str, list[Any]] = {
        "tokens": ["N", "A", config.levels - 1], "level": [1], "heard": ["A", wide], "style": [1, config.style_size],
        "band": ["A", "A"], **_turn_shapes(wide // config.heads),
    }  # fmt: skip
    return graph.finish("fine", inputs, {"logits": ["N", "A", config.codes]}, ("tokens", "level"))


def decoder_graph(codec: Codec) -> onnx.GraphProto:
    """Latents (N, A, Z) -> motion (N, A stride, D)."""
    graph, decoder = Layers(1, 1), codec.decoder
    x = graph.convolve(graph.add("Transpose", "latents", perm=[0, 2, 1]), decoder.enter)
    for block in decoder.blocks:
        assert isinstance(block, ResidualBlock)
        inner = graph.convolve(graph.silu(x), block.wide)
        x = graph.add("Add", x, graph.convolve(graph.silu(inner), block.mix))
    for up in decoder.up:
        single = graph.add("Unsqueeze", graph.silu(x), graph.integers(3))
        twice = graph.add("Reshape", graph.add("Concat", single, single, axis=3), graph.integers(0, 0, -1))
        x = graph.convolve(twice, up)  # type: ignore[arg-type]
    x = graph.convolve(graph.silu(x), decoder.inner)
    x = graph.convolve(graph.silu(x), decoder.leave, array(codec.deviation), array(codec.mean))
    graph.add("Transpose", x, perm=[0, 2, 1], name="motion")
    shapes = {"latents": ["N", "A", codec.config.code_size]}
    return graph.finish("decoder", shapes, {"motion": ["N", "T", codec.dimension]})


def style_graph(model: Probabilistic) -> onnx.GraphProto:
    """Pieces of reference motion (A, 4 D) -> style (1, S)."""
    encoder, codec = model.style_encoder, model.codec
    wide, heads = model.config.style_width, model.config.heads
    graph = Layers(wide, heads)
    weight = array(encoder.enter.weight) / np.tile(array(codec.deviation), REFERENCE_STRIDE)
    bias = array(encoder.enter.bias) - weight @ np.tile(array(codec.mean), REFERENCE_STRIDE)
    x = graph.linear(graph.add("Unsqueeze", "pieces", graph.integers(0)), weight, bias)
    for block in _blocks(encoder.blocks):
        first, last = _norms(block)
        x = graph.add("Add", x, graph.attend(graph.normalise(x, first.norm), block.own))
        x = graph.add("Add", x, graph.feed(graph.normalise(x, last.norm), block.feed))
    mean = graph.add("ReduceMean", graph.normalise(x, encoder.norm), axes=[1], keepdims=0)
    graph.add("Identity", graph.layer(mean, encoder.leave, rows=True), name="style")
    inputs: dict[str, list[Any]] = {"pieces": ["A", REFERENCE_STRIDE * codec.dimension], **_turn_shapes(wide // heads)}
    return graph.finish("style", inputs, {"style": [1, model.config.style_size]})


def _turn_shapes(size: int) -> dict[str, list[Any]]:
    return {"cosine": ["A", size // 2], "sine": ["A", size // 2]}
