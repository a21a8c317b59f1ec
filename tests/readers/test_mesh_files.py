"""Meshes from .ply and .obj: vertices in the order of the file, polygons as triangles, damage as one line."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.head import load_head
from vultus.readers.mesh_files import read_mesh

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5], [2, 0.5, -1e-3]])
TRIANGLES = [[0, 1, 2], [0, 2, 3], [1, 4, 2]]  # a square, cut at its first corner, and a triangle
HEADER = """ply
format {form} 1.0
comment made for a test
obj_info {lines}
element vertex 5
property {real} x
property {real} y
property {real} z
property uchar red
property float quality
element face 2
property list {small} {index} {corners}
property uchar flag
element edge 1
property int vertex1
property int vertex2
end_header
"""


def binary_ply(order: str, real: str = "f4", small: str = "u1", index: str = "i4") -> bytes:
    vertex = np.dtype([("xyz", order + real, (3,)), ("red", "u1"), ("quality", order + "f4")])
    rows = np.zeros(5, vertex)
    rows["xyz"], rows["red"], rows["quality"] = SQUARE, 7, 0.25
    body = rows.tobytes()
    for corners in ([0, 1, 2, 3], [1, 4, 2]):
        body += np.array(len(corners), order + small).tobytes() + np.array(corners, order + index).tobytes() + b"\x05"
    return body + np.array([0, 1], order + "i4").tobytes()


TYPES = {"f4": "float", "f8": "float64", "u1": "uchar", "i4": "int", "u2": "ushort", "i1": "int8"}


def header(form: str, real: str = "f4", small: str = "u1", index: str = "i4", corners: str = "vertex_indices") -> bytes:
    names = {"real": TYPES[real], "small": TYPES[small], "index": TYPES[index]}
    return HEADER.format(form=form, lines="x y", corners=corners, **names).encode()


@pytest.mark.parametrize(("form", "order"), [("binary_little_endian", "<"), ("binary_big_endian", ">")])
@pytest.mark.parametrize(("real", "small", "index"), [("f4", "u1", "i4"), ("f8", "u2", "u2"), ("f4", "i1", "u1")])
def test_binary_ply(form: str, order: str, real: str, small: str, index: str, tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(header(form, real, small, index) + binary_ply(order, real, small, index))
    vertices, faces = read_mesh(tmp_path / "a.ply")
    assert vertices.dtype == np.float64 and faces.dtype == np.int32
    np.testing.assert_allclose(vertices, SQUARE, atol=1e-9 if real == "f8" else 1e-7)
    assert faces.tolist() == TRIANGLES


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("corners", ["vertex_indices", "vertex_index"])
def test_ascii_ply(newline: str, corners: str, tmp_path: Path) -> None:
    lines = [f"{x} {y} {z} 7 0.25" for x, y, z in SQUARE] + ["4 0 1 2 3 5", "3 1 4 2 5", "0 1"]
    content = header("ascii", corners=corners).decode() + "\n".join(lines) + "\n"
    (tmp_path / "a.ply").write_bytes(content.replace("\n", newline).encode())
    vertices, faces = read_mesh(tmp_path / "a.ply")
    np.testing.assert_array_equal(vertices, SQUARE)
    assert faces.tolist() == TRIANGLES


def test_obj(tmp_path: Path) -> None:
    content = (
        "# made\nmtllib a.mtl\no face\n"
        "v 0 0 0\nv 1 0 0 0.5 0.5 0.5\nv 1 1 0 \nvt 0 0\nvn 0 0 1\nv 0 1 0.5\r\n"
        "usemtl skin\ns off\nf 1/1/1 2/1 3//1 -1\n"
        "v 2 0.5 -1e-3\nf -4 \\\n5 3\n"
    )
    (tmp_path / "a.obj").write_text(content, newline="")
    vertices, faces = read_mesh(tmp_path / "a.obj")
    np.testing.assert_array_equal(vertices, SQUARE)
    assert faces.tolist() == TRIANGLES and faces.dtype == np.int32


def test_a_large_mesh_of_triangles_comes_back(tmp_path: Path) -> None:
    head = load_head(0).template
    vertices, faces = head.vertices, head.topology.faces
    rows = np.empty(len(faces), np.dtype([("n", "u1"), ("corners", "<i4", (3,))]))
    rows["n"], rows["corners"] = 3, faces
    content = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()
    (tmp_path / "a.ply").write_bytes(content + vertices.tobytes() + rows.tobytes())
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
    (tmp_path / "a.obj").write_text("\n".join(lines))
    for name in ("a.ply", "a.obj"):
        found, triangles = read_mesh(tmp_path / name)
        np.testing.assert_array_equal(found.astype(np.float32), vertices)
        np.testing.assert_array_equal(triangles, faces)


def test_a_cloud_of_points_has_no_triangles(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 1 1\n")
    vertices, faces = read_mesh(tmp_path / "a.obj")
    assert vertices.shape == (2, 3) and faces.shape == (0, 3) and faces.dtype == np.int32


SHORT = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "has no vertex"),
    "text": (b"hello\nworld\n", "has no vertex"),
    "picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\x00", "neither ply nor obj"),
    "header without end": (b"ply\nformat ascii 1.0\n", "no end"),
    "no format": (b"ply\nelement vertex 0\nend_header\n", "format line"),
    "unknown format": (b"ply\nformat binary_middle 1.0\nend_header\n", "header line"),
    "unknown type": (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty quad x\nend_header\n", "header line"),
    "property of nothing": (b"ply\nformat ascii 1.0\nproperty float x\nend_header\n", "header line"),
    "no vertices": (b"ply\nformat ascii 1.0\nend_header\n", "without vertices"),
    "no z": (SHORT.replace("property float z\n", "").encode() + b"1 2\n", "x, y, z"),
    "too few numbers": (SHORT.encode() + b"1 2\n", "ends before"),
    "bad number": (SHORT.encode() + b"1 2 a\n", "no numbers"),
    "nan": (SHORT.encode() + b"1 2 nan\n", "not finite"),
    "4 billion vertices": (
        SHORT.replace("ascii", "binary_little_endian").replace("vertex 1", "vertex 999999999").encode() + b"1234",
        "ends before",
    ),
    "12 digits of vertices": (SHORT.replace("vertex 1", "vertex 999999999999").encode(), "header line"),
    "long header": (b"ply\n" + b"comment\n" * 1000 + b"end_header\n", "1001 lines"),
    "binary cut short": (header("binary_little_endian") + binary_ply("<")[:-12], "ends before"),
    "face out of range": (
        header("binary_little_endian") + binary_ply("<").replace(b"\x04\0\0\0\x02", b"\x09\0\0\0\x02"), "not there",
    ),
    "face without corners": (
        header("ascii", corners="other") + b"0 " * 25 + b"3 0 1 2 5 3 0 1 2 5 0 1", "vertex_indices",
    ),
    "list of negative length": (
        header("binary_little_endian", small="i1")
        + binary_ply("<", small="i1").replace(b"\x03\x01\0\0\0", b"\xff\x01\0\0\0"),
        "ends before",
    ),
    "obj: short vertex": (b"v 1 2\n", "no vertex"),
    "obj: word as number": (b"v 1 2 x\n", "no numbers"),
    "obj: vertex 0": (b"v 1 2 3\nf 0 1 1\n", "vertex 0"),
    "obj: before the first": (b"v 1 2 3\nf -2 1 1\n", "not there"),
    "obj: after the last": (b"v 1 2 3\nf 1 1 2\n", "not there"),
    "obj: two corners": (b"v 1 2 3\nf 1 1\n", "fewer than three"),
    "obj: one very long word": (b"v 1 2 3\n" * 1000 + b"v 1 2 " + b"1" * 1000 + b"\n", "no numbers"),
    "obj: word as corner": (b"v 1 2 3\nf 1 1 x\n", "no numbers"),
    "obj: huge corner": (b"v 1 2 3\nf 1 1 99999999999999999999999\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(DAMAGED))
def test_damage_is_one_line(kind: str, tmp_path: Path) -> None:
    content, part = DAMAGED[kind]
    path = tmp_path / "a.mesh"
    path.write_bytes(content)
    with pytest.raises(VultusError) as caught:
        read_mesh(path)
    message = str(caught.value)
    assert message.startswith(f"mesh: '{path}'") and part in message and "\n" not in message, message


def test_random_damage_never_breaks_out(tmp_path: Path) -> None:
    rng = random.Random(5)
    lines = "\n".join([f"{x} {y} {z} 7 0.25" for x, y, z in SQUARE] + ["4 0 1 2 3 5", "3 1 4 2 5", "0 1"])
    obj = b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1/2/3 2 3 -1\n"
    valid = [header("binary_big_endian") + binary_ply(">"), header("ascii") + lines.encode(), obj]
    refused = 0
    for _ in range(600):
        content = bytearray(rng.choice(valid))
        for _ in range(rng.choice((1, 2, 4))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / "a.ply").write_bytes(content)
        try:
            vertices, faces = read_mesh(tmp_path / "a.ply")
        except VultusError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert np.isfinite(vertices).all() and faces.max(initial=0) < len(vertices)
    assert refused > 80


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.ply"):
        with pytest.raises(VultusError, match="no file"):
            read_mesh(path)
