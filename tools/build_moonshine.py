"""Makes src/vultus/assets/moonshine_tiny_block5.onnx from the original encoder in the wheel moonshine-voice 0.1.0.

    python tools/build_moonshine.py                 # fetches the wheel with pip
    python tools/build_moonshine.py --wheel FILE    # uses a wheel at hand

The wheel's `encoder_model.ort` (tiny-en, MIT) holds uint8 matrices with one scale each. They are read with the reader
inside onnxruntime, de-quantised, put into our torch port, compared with the original, cut after block 5 and written as
ONNX: once as it is, to be compared again, and once with attention and normalisation bounded in time (see
vultus/features/moonshine.py), which is what we ship. The same input gives the same bytes. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = "moonshine-voice==0.1.0"
ENCODER = "moonshine_voice/assets/tiny-en/encoder_model.ort"
LICENSE = "moonshine_voice-0.1.0.dist-info/licenses/LICENSE"
ENCODER_SHA256 = "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221"
REPOSITORY = Path(__file__).resolve().parent.parent
ASSETS = REPOSITORY / "src" / "vultus" / "assets"
GOLDEN = REPOSITORY / "tests" / "golden" / "moonshine_original.npz"
NUM_BLOCKS, TAPS = 6, (3, 5)
#: Our names of a block's matrices -> the node of the original that multiplies by them.
MATRICES = {
    "query": "self_attn/q_proj/MatMul",
    "key": "self_attn/k_proj/MatMul",
    "value": "self_attn/v_proj/MatMul",
    "out": "self_attn/o_proj/MatMul",
    "fc1": "mlp/fc1/Add",
    "fc2": "mlp/fc2/Add",
}


def open_original(data: bytes) -> Any:
    """The graph inside an .ort file, through the reader that comes with onnxruntime."""
    import onnxruntime.tools.ort_format_model  # noqa: F401  (puts the reader on the path)
    from ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

    return InferenceSession.GetRootAsInferenceSession(bytearray(data), 0).Model().Graph()


def names(item: Any, what: str) -> list[str]:
    """The names of a node's "Inputs" or "Outputs"."""
    return [getattr(item, what)(k).decode() for k in range(getattr(item, what + "Length")())]


def read_arrays(graph: Any) -> dict[str, np.ndarray]:
    """All constants of the graph by name."""
    kinds: dict[int, Any] = {1: np.float32, 2: np.uint8, 7: np.int64}  # ONNX element types
    arrays = {}
    for i in range(graph.InitializersLength()):
        tensor = graph.Initializers(i)
        shape = [tensor.Dims(k) for k in range(tensor.DimsLength())]
        arrays[tensor.Name().decode()] = tensor.RawDataAsNumpy().view(kinds[tensor.DataType()]).reshape(shape)
    return arrays


def read_original(graph: Any) -> dict[str, np.ndarray]:
    """Weights of the .ort file, float32, by the names of `MoonshineNet(6).state_dict()` plus "final_norm.weight"."""
    raw = read_arrays(graph)
    nodes = [graph.Nodes(i) for i in range(graph.NodesLength())]
    inputs = {names(node, "Outputs")[0]: names(node, "Inputs") for node in nodes if node is not None}

    weights = {name: raw[name + "_add_tensor"] for name in ("conv1.weight", "conv2.weight", "conv3.weight")}
    weights |= {name: raw[name] for name in ("conv2.bias", "conv3.bias")}
    scale, shift = inputs["/groupnorm/Mul_output_0"][1], inputs["/groupnorm/Add_output_0"][1]
    weights |= {"norm.weight": raw[scale].squeeze(-1), "norm.bias": raw[shift].squeeze(-1)}
    for i in range(NUM_BLOCKS):
        weights[f"blocks.{i}.attention_norm.weight"] = raw[f"layers.{i}.input_layernorm.weight"]
        weights[f"blocks.{i}.mlp_norm.weight"] = raw[f"layers.{i}.post_attention_layernorm.weight"]
        for ours, theirs in MATRICES.items():
            stem = inputs[f"/layers.{i}/{theirs}_output_0"][1].removesuffix("_quantized")
            centred = raw[stem + "_quantized"].astype(np.float32) - np.float32(raw[stem + "_zero_point"])
            weights[f"blocks.{i}.{ours}.weight"] = np.ascontiguousarray((centred * raw[stem + "_scale"]).T)
        for layer in ("fc1", "fc2"):
            weights[f"blocks.{i}.{layer}.bias"] = raw[f"layers.{i}.mlp.{layer}.bias"]
    weights["final_norm.weight"] = raw["layer_norm.weight"]
    return weights


def with_states(graph: Any) -> bytes:
    """The original graph, node for node, as ONNX with the states after the tapped blocks as outputs."""
    import onnx

    helper = onnx.helper
    nodes = []
    for node in filter(None, (graph.Nodes(i) for i in range(graph.NodesLength()))):
        attributes = {}
        for k in range(node.AttributesLength()):
            attribute = node.Attributes(k)
            kind = attribute.Type()
            value: Any
            if kind == 1:
                value = attribute.F()
            elif kind == 2:
                value = attribute.I()
            elif kind == 3:
                value = attribute.S()
            elif kind == 6:
                value = [attribute.Floats(j) for j in range(attribute.FloatsLength())]
            elif kind == 7:
                value = [attribute.Ints(j) for j in range(attribute.IntsLength())]
            else:  # a tensor: the one value of a ConstantOfShape
                tensor = attribute.T()
                content = tensor.RawDataAsNumpy().view({1: np.float32, 7: np.int64}[tensor.DataType()])
                value = onnx.numpy_helper.from_array(content.copy())
            attributes[attribute.Name().decode()] = value
        domain = node.Domain().decode() if node.Domain() else ""
        nodes.append(
            helper.make_node(
                node.OpType().decode(), names(node, "Inputs"), names(node, "Outputs"), domain=domain, **attributes
            )
        )
    made = helper.make_graph(
        nodes,
        "original",
        [
            helper.make_tensor_value_info("input_values", onnx.TensorProto.FLOAT, ["batch", "samples"]),
            helper.make_tensor_value_info("attention_mask", onnx.TensorProto.INT64, ["batch", "samples"]),
        ],
        [
            helper.make_tensor_value_info(f"/layers.{tap - 1}/Add_1_output_0", onnx.TensorProto.FLOAT, None)
            for tap in TAPS
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in read_arrays(graph).items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString()


def probe(seconds: float = 3.0) -> np.ndarray:
    """A made sound with a voice's traits: gliding harmonics, moving resonances, pauses, hiss. (S,) float32."""
    rng = np.random.default_rng(20240)
    t = np.arange(round(seconds * 16000)) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * t)) / 16000
    formants = (500 + 250 * np.sin(2 * np.pi * 1.9 * t), 1500 + 600 * np.sin(2 * np.pi * 1.3 * t + 1), 2600 + 0 * t)
    voice = np.zeros_like(t)
    for k in range(1, 28):
        pitch = k * (120 + 30 * np.sin(2 * np.pi * 0.7 * t))
        gain = sum(np.exp(-(((pitch - formant) / 180) ** 2)) for formant in formants)
        voice += (gain + 0.02) / np.sqrt(k) * np.sin(k * phase)
    syllables = np.clip(1.4 * np.sin(2 * np.pi * 2.3 * t) + 0.5, 0, 1)
    hiss = np.diff(rng.standard_normal(len(t) + 1)) * (1 - syllables) * np.clip(np.sin(2 * np.pi * 0.9 * t), 0, 1)
    sound = voice * syllables + 0.1 * hiss + 1e-4 * rng.standard_normal(len(t))
    return (np.rint(8192 * sound / np.abs(sound).max()) / 32768).astype(np.float32)  # as from a file of 16 bits


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def build(wheel: Path) -> None:
    import onnxruntime
    import torch

    from vultus.features.moonshine_export import write_graph
    from vultus.features.moonshine_torch import MoonshineNet

    with zipfile.ZipFile(wheel) as archive:
        data, licence = archive.read(ENCODER), archive.read(LICENSE).decode()
    found = hashlib.sha256(data).hexdigest()
    if found != ENCODER_SHA256:
        sys.exit(f"{wheel}: {ENCODER} has sha256 {found}; expected {ENCODER_SHA256}; use {PACKAGE}")
    graph = open_original(data)
    weights = read_original(graph)
    final_norm = torch.from_numpy(weights.pop("final_norm.weight"))
    net = MoonshineNet(NUM_BLOCKS, (*TAPS, NUM_BLOCKS), local=False)
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    net.eval()
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1

    def open_session(model: str | bytes) -> Any:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    samples = probe()
    original = open_session(data)
    feed = {"input_values": samples[None], "attention_mask": np.ones((1, len(samples)), np.int64)}
    (theirs,) = original.run(None, feed)
    tapped = open_session(with_states(graph))
    their_states = np.concatenate(tapped.run(None, feed), axis=-1)
    with torch.inference_mode():
        states = net(torch.from_numpy(samples)[None])
        net.local = True
        bounded = net(torch.from_numpy(samples)[None])[..., :-288].numpy()
        last = states[..., -288:]
        ours = torch.nn.functional.layer_norm(last, (288,), final_norm, eps=1e-5)
    agreement = correlation(ours.numpy(), theirs)
    print(f"torch port against the original, final output: correlation {agreement:.5f}")
    if agreement < 0.999:
        sys.exit("the port does not reproduce the original; expected a correlation of 0.999 or more")

    ASSETS.mkdir(parents=True, exist_ok=True)
    asset = ASSETS / "moonshine_tiny_block5.onnx"
    metadata = {"source": PACKAGE, "source_sha256": ENCODER_SHA256, "licence": "MIT, see MOONSHINE-LICENSE.txt"}
    with tempfile.TemporaryDirectory() as folder:  # without the band it has to be the original
        whole_path = Path(folder) / "whole.onnx"
        write_graph(weights, whole_path, taps=TAPS, local=False)
        (whole,) = open_session(str(whole_path)).run(None, {"samples": samples[None]})
    write_graph(weights, asset, taps=TAPS, metadata=metadata)
    shipped, _ = open_session(str(asset)).run(None, {"samples": samples[None], "history": np.zeros((1, 0, 2))})
    pairs = {
        "unbounded graph against the port": (whole, states[..., :-288].numpy()),
        "unbounded graph against the original": (whole, their_states),
        "shipped graph against the port so bounded": (shipped, bounded),
    }
    for what, (ours, theirs) in pairs.items():
        for k, tap in enumerate(TAPS):
            part = slice(288 * k, 288 * (k + 1))
            agreement = correlation(ours[..., part], theirs[..., part])
            print(f"{what}, block {tap}: correlation {agreement:.6f}")
            if agreement < 0.999:
                sys.exit("the graph does not reproduce it; expected a correlation of 0.999 or more")
    print(f"shipped graph against the original: correlation {correlation(shipped, their_states):.4f}")
    digest = hashlib.sha256(asset.read_bytes()).hexdigest()
    print(f"{asset.name}: {asset.stat().st_size / 1e6:.2f} MB, sha256 {digest}")
    text = (
        f"moonshine_tiny_block5.onnx holds the encoder of Moonshine tiny-en up to its fifth block, attention and\n"
        f"normalisation bounded in time, converted by tools/build_moonshine.py from {ENCODER}\nof {PACKAGE}.\n"
        f"sha256 of the original {ENCODER_SHA256}\nsha256 of the result   {digest}\n\n{licence}"
    )
    (ASSETS / "MOONSHINE-LICENSE.txt").write_text(text)
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    whole = np.rint(samples * 32768).astype(np.int16)  # each third frame is enough to tell a fault
    np.savez_compressed(GOLDEN, samples=whole, states=their_states[0, ::3].astype(np.float16))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {PACKAGE}; default: fetched with pip")
    arguments = parser.parse_args()
    if arguments.wheel:
        build(arguments.wheel)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder, PACKAGE]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
        build(next(Path(folder).glob("*.whl")))


if __name__ == "__main__":
    main()
