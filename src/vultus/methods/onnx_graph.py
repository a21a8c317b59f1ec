"""ONNX graphs written node by node, and bundles' sums: what the exporters share. Needs onnx.

What is in a graph is what its method says, and the same weights give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from vultus.files import write_atomically

OPSET, IR = 17, 8
RUNTIME_DOMAIN = "com.microsoft"
"""Operators that only onnxruntime has."""
Shapes = Mapping[str, Sequence[Any]]
"""Name -> shape; a text in it is a dimension that may vary."""


class Graph:
    """Nodes and stored tensors under construction; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"node_{name}", **attributes))
        return name

    def split(self, x: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Parts of x along an axis."""
        names = [f"split{len(self.nodes)}_{part}" for part in range(len(sizes))]
        inputs = [x, self.integers(*sizes)]
        self.nodes.append(helper.make_node("Split", inputs, names, name=f"node_{names[0]}", axis=axis))
        return names

    def store(self, values: np.ndarray, *, half: bool = False) -> str:
        name = f"stored{len(self.stored)}"
        array = np.asarray(values, np.float16 if half else values.dtype)
        self.stored.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return self.add("Cast", name, to=TensorProto.FLOAT) if half else name

    def integers(self, *values: int) -> str:
        return self.store(np.array(values, np.int64))

    def finish(self, name: str, inputs: Shapes, outputs: Shapes, integers: Sequence[str] = ()) -> onnx.GraphProto:
        """The graph; inputs and outputs are float32, and int64 where `integers` names them."""

        def describe(shapes: Shapes) -> list[onnx.ValueInfoProto]:
            kinds = {key: TensorProto.INT64 if key in integers else TensorProto.FLOAT for key in shapes}
            return [helper.make_tensor_value_info(key, kinds[key], list(shape)) for key, shape in shapes.items()]

        return helper.make_graph(self.nodes, name, describe(inputs), describe(outputs), self.stored)


def write_graph(path: Path, graph: onnx.GraphProto) -> None:
    """Checks a graph and writes it whole."""
    opsets = [helper.make_opsetid("", OPSET)]
    own = any(node.domain == RUNTIME_DOMAIN for node in graph.node)
    if own:
        opsets.append(helper.make_opsetid(RUNTIME_DOMAIN, 1))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="vultus")
    onnx.checker.check_model(model, full_check=not own)  # shapes cannot be told through onnxruntime's operators
    write_atomically(path, model.SerializeToString(deterministic=True))


def write_sums(folder: Path) -> None:
    """SHA256SUMS of every file of a bundle; call it again after adding card.md."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    write_atomically(folder / "SHA256SUMS", "".join(lines).encode())


def array(tensor: Tensor) -> np.ndarray:
    """A tensor's values."""
    values: np.ndarray = tensor.detach().cpu().numpy()
    return values
