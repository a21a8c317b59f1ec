"""Animations of morph targets back from .glb files: ours, other programs' layouts, and hostile ones."""

from __future__ import annotations

import base64
import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.export import save
from vultus.export.read import read_motion
from vultus.export.read_glb import arkit_name, read_glb
from vultus.motion import ARKIT_NAMES, EXTRA_NAMES, Take

NAMES = ["Basis2", "jawOpen", "mouthSmileLeft", "mouthSmileRight", "browInnerUp", "eyeBlinkLeft", "eyeBlinkRight"]
TYPES = {"f": 5126, "B": 5121, "b": 5120, "H": 5123, "h": 5122, "I": 5125}


class Document:
    """A small glTF document: one mesh under a node, one animation."""

    def __init__(self, names: list[str] | None = None, where: str = "mesh") -> None:
        names = NAMES if names is None else names
        self.data = b""
        self.json: dict[str, Any] = {"asset": {"version": "2.0"}, "accessors": [], "bufferViews": []}
        position = self.array(np.zeros((3, 3), "<f4"), "VEC3")
        targets = [{"POSITION": position} for _ in names]
        mesh: dict[str, Any] = {"primitives": [{"attributes": {"POSITION": position}, "targets": targets}]}
        if where == "mesh":
            mesh["extras"] = {"targetNames": names}
        elif where == "primitive":
            mesh["primitives"][0]["extras"] = {"targetNames": names}
        elif where == "accessor":
            for target, name in zip(targets, names, strict=True):
                target["POSITION"] = self.array(np.zeros((3, 3), "<f4"), "VEC3", name=name)
        self.json |= {
            "meshes": [mesh],
            "nodes": [{"name": "Head", "children": [1]}, {"name": "Face", "mesh": 0}],
            "animations": [{"channels": [], "samplers": []}],
        }

    def view(self, content: bytes) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)})
        self.data += content
        return len(self.json["bufferViews"]) - 1

    def array(self, values: np.ndarray, kind: str = "SCALAR", **fields: Any) -> int:
        told = {"bufferView": self.view(values.tobytes()), "componentType": TYPES[values.dtype.char], "type": kind}
        self.json["accessors"].append({**told, "count": len(values), **fields})
        return len(self.json["accessors"]) - 1

    def animate(self, times: np.ndarray, output: np.ndarray | int, mode: str | None = "LINEAR", node: int = 1) -> None:
        animation = self.json["animations"][0]
        if not isinstance(output, int):
            rotation = output.ndim == 2 and output.shape[1] == 4
            output = self.array(output if rotation else output.reshape(-1), "VEC4" if rotation else "SCALAR")
            path = "rotation" if rotation else "weights"
        else:
            path = "weights"
        sampler = {"input": self.array(np.asarray(times, "<f4")), "output": output}
        animation["samplers"].append(sampler if mode is None else {**sampler, "interpolation": mode})
        target = {"node": node, "path": path}
        animation["channels"].append({"sampler": len(animation["samplers"]) - 1, "target": target})

    def save(self, path: Path) -> Path:
        self.json.setdefault("buffers", [{"byteLength": len(self.data)}])
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        content = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(self.data))
        content += struct.pack("<I4s", len(text), b"JSON") + text
        path.write_bytes(content + struct.pack("<I4s", len(self.data), b"BIN\0") + self.data)
        return path


def wave(times: np.ndarray) -> np.ndarray:
    """(n, 7) float32 weights in [0, 1]."""
    return (0.5 + 0.5 * np.sin(np.outer(times, np.arange(2, 9)))).astype("<f4")


def columns(weights: np.ndarray) -> np.ndarray:
    return weights[:, [ARKIT_NAMES.index(name) for name in NAMES[1:]]]


TIMES = np.arange(61) / 30.0


def test_ours_comes_back(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take(frames=121, fps=60.0)
    weights, names, fps, head = read_glb(save(take, tmp_path / "take.glb"))
    assert fps == 60.0 and names == (*ARKIT_NAMES, *EXTRA_NAMES)
    np.testing.assert_allclose(weights, take.motion.values, atol=2e-5)
    np.testing.assert_allclose(head, take.head_rotation, atol=1e-6)


@pytest.mark.parametrize("where", ["mesh", "primitive", "accessor"])
def test_names_are_found_where_programs_put_them(tmp_path: Path, where: str) -> None:
    document = Document(where=where)
    document.animate(TIMES + 1 / 24, wave(TIMES), None)  # Blender starts at its frame 1
    weights, names, fps, head = read_glb(document.save(tmp_path / "x.glb"))
    assert (fps, len(weights), names, float(np.abs(head).max())) == (30.0, 61, ARKIT_NAMES, 0.0)
    np.testing.assert_allclose(columns(weights), wave(TIMES)[:, 1:], atol=1e-4)
    assert np.abs(weights).sum() == pytest.approx(np.abs(columns(weights)).sum())  # all others stay at zero


def test_spellings_of_names() -> None:
    meant = {
        "jawOpen": "jawOpen", "JawOpen": "jawOpen", "blendShape1.eyeBlink_L": "eyeBlinkLeft", "mouth_R": "mouthRight",
        "eyeBlinkLeft": "eyeBlinkLeft", "tongueup": "tongueUp", "Basis": None, "": None, "viseme_aa": None,
    }  # fmt: skip
    assert {name: arkit_name(name) for name in meant} == meant


def test_step_and_spline(tmp_path: Path) -> None:
    keys = np.array([0.0, 0.5, 1.5, 2.0])
    step = Document()
    step.animate(keys, wave(keys), "STEP")
    weights, _, fps, _ = read_glb(step.save(tmp_path / "step.glb"))
    assert fps == 60.0 and len(weights) == 121
    np.testing.assert_allclose(columns(weights)[[0, 29, 30, 89, 90, 119, 120]], wave(keys)[[0, 0, 1, 1, 2, 2, 3], 1:])
    # A parabola is its own spline: exact between keys that are far apart.
    spline = Document()
    parabola, slope = 0.2 * keys**2, 0.4 * keys
    packed = np.repeat(np.stack([slope, parabola, slope], 1)[:, :, None], len(NAMES), axis=2).astype("<f4")
    spline.animate(keys, packed.reshape(-1), "CUBICSPLINE")
    weights, _, _, _ = read_glb(spline.save(tmp_path / "spline.glb"))
    np.testing.assert_allclose(columns(weights)[:, 0], 0.2 * (np.arange(121) / 60) ** 2, atol=1e-6)


def test_uneven_times_become_even(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.005, 0.05, 200))
    document = Document()
    document.animate(times, wave(times))
    weights, _, fps, _ = read_glb(document.save(tmp_path / "x.glb"))
    assert fps == 60.0
    grid = times[0] + np.arange(len(weights)) / 60.0
    assert grid[-1] <= times[-1] + 1e-3 < grid[-1] + 2 / 60
    np.testing.assert_allclose(columns(weights)[:, 1], np.interp(grid, times, wave(times)[:, 2]), atol=1e-4)


@pytest.mark.parametrize(("letter", "scale"), [("B", 255), ("b", 127), ("H", 65535), ("h", 32767)])
def test_whole_numbers_count_when_normalised(tmp_path: Path, letter: str, scale: int) -> None:
    values = np.rint(wave(TIMES) * scale).astype(letter).reshape(-1)
    document = Document()
    document.animate(TIMES, document.array(values, normalized=True))
    weights, *_ = read_glb(document.save(tmp_path / "x.glb"))
    np.testing.assert_allclose(columns(weights), wave(TIMES)[:, 1:], atol=0.6 / scale + 1e-4)
    plain = Document()
    plain.animate(TIMES, plain.array(values))
    with pytest.raises(VultusError, match="not normalised"):
        read_glb(plain.save(tmp_path / "y.glb"))


@pytest.mark.parametrize("base", [False, True])
def test_sparse_values(tmp_path: Path, base: bool) -> None:
    values = wave(TIMES).reshape(-1)
    places = np.arange(1, len(values), 3, dtype="<u2")
    document = Document()
    sparse = {
        "count": len(places),
        "indices": {"bufferView": document.view(places.tobytes()), "componentType": 5123},
        "values": {"bufferView": document.view(values[places].tobytes())},
    }
    output = document.array(np.full(len(values), 0.125, "<f4"), sparse=sparse)
    if not base:
        del document.json["accessors"][output]["bufferView"]
    document.animate(TIMES, output)
    weights, *_ = read_glb(document.save(tmp_path / "x.glb"))
    expected = np.full(len(values), 0.125 if base else 0.0, np.float32)
    expected[places] = values[places]
    np.testing.assert_allclose(columns(weights), expected.reshape(-1, 7)[:, 1:], atol=1e-4)


def test_the_animation_with_most_shapes_and_the_mesh_that_moves(tmp_path: Path) -> None:
    document = Document()
    document.json["nodes"].append({"name": "Teeth", "mesh": 0})
    document.animate(TIMES, np.zeros((61, 7), "<f4"), node=2)
    document.animate(TIMES, wave(TIMES))
    first = document.json["animations"][0]
    document.json["animations"] = [{"channels": [], "samplers": []}, first]
    weights, *_ = read_glb(document.save(tmp_path / "x.glb"))
    np.testing.assert_allclose(columns(weights), wave(TIMES)[:, 1:], atol=1e-4)


def test_animations_of_one_object_each_belong_together(tmp_path: Path) -> None:
    document = Document()
    document.json["nodes"][0]["children"] = [1, 2]
    document.json["nodes"].append({"name": "Lower", "mesh": 0})
    document.animate(TIMES, np.zeros((61, 7), "<f4"))
    document.animate(TIMES, quaternions(0.1 * TIMES), node=0)
    document.animate(TIMES, wave(TIMES), node=2)
    document.animate(TIMES, wave(TIMES[::-1]))  # another performance of the same face
    told = document.json["animations"][0]
    document.json["animations"] = [
        {"channels": [{**channel, "sampler": 0}], "samplers": [told["samplers"][i]]}
        for i, channel in enumerate(told["channels"])
    ]
    weights, _, _, head = read_glb(document.save(tmp_path / "x.glb"))
    np.testing.assert_allclose(columns(weights), wave(TIMES)[:, 1:], atol=1e-4)
    np.testing.assert_allclose(head[:, 1], 0.1 * TIMES, atol=1e-4)


def quaternions(angle: np.ndarray, axis: int = 1) -> np.ndarray:
    out = np.zeros((len(angle), 4), "<f4")
    out[:, axis], out[:, 3] = np.sin(angle / 2), np.cos(angle / 2)
    return out


def test_head_rotation_where_it_is_clear(tmp_path: Path) -> None:
    turn = 0.3 * np.sin(TIMES)

    def head(change: Callable[[Document], None] = lambda document: None, **options: Any) -> np.ndarray:
        document = Document()
        document.animate(TIMES, wave(TIMES))
        rotation = quaternions(options.get("turn", turn))
        rotation[::2] *= -1  # the same rotations: neighbours of opposite sign
        document.animate(TIMES, rotation, node=options.get("node", 0))
        change(document)
        return read_glb(document.save(tmp_path / "x.glb"))[3]

    for node in (0, 1):
        found = head(node=node)
        np.testing.assert_allclose(found[:, 1], turn, atol=1e-4)
        assert np.abs(found[:, [0, 2]]).max() < 1e-6

    def add_turned_parent(document: Document) -> None:
        document.json["nodes"].append({"rotation": [0.7071, 0, 0, 0.7071], "children": [0]})

    def add_second(document: Document) -> None:
        document.animate(TIMES, quaternions(turn), node=1)

    def add_cycle(document: Document) -> None:
        document.json["nodes"][1]["children"] = [0]

    assert np.abs(head(add_turned_parent)).max() == 0.0
    assert np.abs(head(add_second)).max() == 0.0
    assert np.abs(head(turn=turn + 2.0)).max() == 0.0
    np.testing.assert_allclose(head(add_cycle)[:, 1], turn, atol=1e-4)
    assert np.abs(head(lambda document: document.json["nodes"][0].update(children=[]))).max() == 0.0


def test_a_long_animation_is_read_for_a_minute(tmp_path: Path) -> None:
    times = np.arange(30 * 300) / 30.0
    document = Document()
    document.animate(times, wave(times))
    weights, _, fps, _ = read_glb(document.save(tmp_path / "x.glb"))
    assert (len(weights), fps) == (1801, 30.0)


def test_a_buffer_inside_the_json(tmp_path: Path) -> None:
    document = Document()
    document.animate(TIMES, wave(TIMES))
    uri = "data:application/octet-stream;base64," + base64.b64encode(document.data).decode()
    document.json["buffers"] = [{"byteLength": len(document.data), "uri": uri}]
    document.data = b""
    weights, *_ = read_glb(document.save(tmp_path / "x.glb"))
    np.testing.assert_allclose(columns(weights), wave(TIMES)[:, 1:], atol=1e-4)


def refused(path: Path) -> str:
    with pytest.raises(VultusError) as error:
        read_motion(path)
    assert "\n" not in str(error.value) and path.name in str(error.value) and len(str(error.value)) < 400
    return str(error.value)


def test_files_without_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "x.glb"
    assert "no animation of morph targets" in refused(Document().save(path))
    few = Document(["jawOpen", "mouthFunnel", "A", "B", "C", "D", "E"])
    few.animate(TIMES, wave(TIMES))
    assert "animates 2 of the 52 ARKit shapes" in refused(few.save(path))
    foreign = Document([f"shape{i}" for i in range(7)])
    foreign.animate(TIMES, wave(TIMES))
    assert "its meshes have 0 of the 52" in refused(foreign.save(path))
    still = Document()
    still.animate(TIMES, np.full((61, 7), 0.5, "<f4"))
    assert "never moves" in refused(still.save(path))
    short = Document()
    short.animate(TIMES[:12], wave(TIMES[:12]))
    assert "0.40 s of motion" in refused(short.save(path))
    percent = Document()
    percent.animate(TIMES, 100 * wave(TIMES))
    assert "expected 0 to 1" in refused(percent.save(path))


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "huge count": lambda j: j["accessors"][-2].update(count=2**31),
    "huge count without data": lambda j: (
        j["accessors"][-2].pop("bufferView"),
        j["accessors"][-2].update(count=2**31, sparse={"count": 0, "indices": {}, "values": {}}),
    ),
    "count beyond all": lambda j: j["accessors"][-2].update(count=10**30),
    "negative count": lambda j: j["accessors"][-2].update(count=-1),
    "no count": lambda j: j["accessors"][-2].pop("count"),
    "true count": lambda j: j["accessors"][-2].update(count=True),
    "negative offset": lambda j: j["bufferViews"][-2].update(byteOffset=-4),
    "offset beyond": lambda j: j["bufferViews"][-2].update(byteOffset=10**9),
    "negative accessor offset": lambda j: j["accessors"][-2].update(byteOffset=-4),
    "view beyond": lambda j: j["bufferViews"][-2].update(byteLength=10**9),
    "stride zero": lambda j: j["bufferViews"][-2].update(byteStride=0),
    "view that is not there": lambda j: j["accessors"][-2].update(bufferView=99),
    "accessor that is not there": lambda j: j["animations"][0]["samplers"][0].update(output=99),
    "sampler that is not there": lambda j: j["animations"][0]["channels"][0].update(sampler=99),
    "node that is not there": lambda j: j["animations"][0]["channels"][0]["target"].update(node=99),
    "mesh that is not there": lambda j: j["nodes"][1].update(mesh=5),
    "unknown component": lambda j: j["accessors"][-2].update(componentType=5130),
    "component in a list": lambda j: j["accessors"][-2].update(componentType=[5126]),
    "whole numbers": lambda j: j["accessors"][-2].update(componentType=5125, normalized=True),
    "other type": lambda j: j["accessors"][-2].update(type="MAT4"),
    "interpolation": lambda j: j["animations"][0]["samplers"][0].update(interpolation="MAGIC"),
    "interpolation in a list": lambda j: j["animations"][0]["samplers"][0].update(interpolation=[]),
    "too few values": lambda j: j["animations"][0]["samplers"][0].update(interpolation="CUBICSPLINE"),
    "packed": lambda j: j["bufferViews"][-2].update(extensions={"EXT_meshopt_compression": {}}),
    "other file": lambda j: j.update(buffers=[{"byteLength": 10, "uri": "face.bin"}]),
    "no base64": lambda j: j.update(buffers=[{"byteLength": 10, "uri": "data:a;base64,%%%"}]),
    "no buffers": lambda j: j.update(buffers=[]),
    "nodes no list": lambda j: j.update(nodes={"0": {}}),
    "nodes no objects": lambda j: j.update(nodes=[1, 2]),
    "target no object": lambda j: j["animations"][0]["channels"][0].update(target=3),
    "names no text": lambda j: j["meshes"][0].update(extras={"targetNames": [1, None, {}]}),
    "no primitives": lambda j: j["meshes"][0].update(primitives=[]),
    "nan": lambda j: j.update(extra=float("nan")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_one_line_and_little_memory(tmp_path: Path, name: str) -> None:
    document = Document()
    document.animate(TIMES, wave(TIMES))
    document.json["buffers"] = [{"byteLength": len(document.data)}]
    HOSTILE[name](document.json)
    path = document.save(tmp_path / "x.glb")
    tracemalloc.start()
    refused(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_bad_values_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.glb"
    for change, said in (
        (lambda times, values: (times, np.where(np.arange(7) == 3, np.nan, values)), "not a finite"),
        (lambda times, values: (np.where(times == 1.0, np.inf, times), values), "not a finite"),
        (lambda times, values: (times[::-1], values), "do not rise"),
        (lambda times, values: (times * 0, values), "do not rise"),
        (lambda times, values: (times[:0], values[:0]), "do not rise"),
    ):
        document = Document()
        times, values = change(TIMES, wave(TIMES))
        document.animate(times, values.astype("<f4"))
        assert said in refused(document.save(path))
    dense = Document()
    times = np.arange(20_100) / 1000
    dense.animate(times, wave(times))
    assert "more than 20000 keys" in refused(dense.save(path))
    sparse = Document()
    places = np.array([5, 5, 9], "<u2")
    told = {
        "count": 3,
        "indices": {"bufferView": sparse.view(places.tobytes()), "componentType": 5123},
        "values": {"bufferView": sparse.view(np.zeros(3, "<f4").tobytes())},
    }
    sparse.animate(TIMES, sparse.array(wave(TIMES).reshape(-1), sparse=told))
    assert "out of order" in refused(sparse.save(path))


def test_bad_containers_are_one_line(tmp_path: Path) -> None:
    document = Document()
    document.animate(TIMES, wave(TIMES))
    whole = document.save(tmp_path / "whole.glb").read_bytes()
    path = tmp_path / "x.glb"
    for content in (
        b"", b"glTF", b"not a glb at all, only text", whole[:200], whole[:-100], whole[:4] + b"\1" + whole[5:],
        whole[:12] + struct.pack("<I", 2**32 - 1) + whole[16:], whole[:20] + b"[" * 1000 + whole[1020:],
        whole[:20] + b"\xff" + whole[21:],
    ):  # fmt: skip
        path.write_bytes(content)
        refused(path)
    for text in (b"[" * 400_000, b"[1, 2]", b"{" + b'"a":' * 100, b"{}"):
        text += b" " * (-len(text) % 4)
        path.write_bytes(struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text)
        refused(path)


def test_random_damage_never_does_more_than_refuse(tmp_path: Path) -> None:
    document = Document()
    document.animate(TIMES, wave(TIMES))
    document.animate(TIMES, quaternions(0.2 * TIMES), node=0)
    whole = bytearray(document.save(tmp_path / "whole.glb").read_bytes())
    rng, path = np.random.default_rng(3), tmp_path / "x.glb"
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(12, len(whole), rng.integers(1, 6)):
            damaged[place] = int(rng.integers(32, 127)) if rng.random() < 0.7 else int(rng.integers(256))
        path.write_bytes(bytes(damaged[: len(whole) - int(rng.integers(3)) * 50]))
        try:
            clip = read_motion(path)
        except VultusError as error:
            assert "\n" not in str(error)
        else:
            assert clip.weights is not None and np.isfinite(clip.weights).all()
