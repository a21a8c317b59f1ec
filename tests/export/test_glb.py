"""GLB, read back by pygltflib and numpy: what a viewer would show is what the take says."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pygltflib
import pytest

from vultus.errors import VultusError
from vultus.export import save
from vultus.export.glb import vertex_normals
from vultus.export.rotation import matrix_from_axis_angle
from vultus.motion import ARKIT_NAMES, EXTRA_NAMES, Motion, Take
from vultus.version import __version__

PIVOT = (0.0, 0.02, -0.01)
DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTH = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


class Reader:
    """Accessors of a GLB as arrays, by the words of the specification."""

    def __init__(self, path: Path):
        self.gltf = pygltflib.GLTF2().load(str(path))
        self.blob = self.gltf.binary_blob()

    def _view(self, index: int, offset: int, dtype: type, count: int) -> np.ndarray:
        view = self.gltf.bufferViews[index]
        size = count * np.dtype(dtype).itemsize
        assert offset + size <= view.byteLength
        start = view.byteOffset + offset
        assert start % np.dtype(dtype).itemsize == 0
        return np.frombuffer(self.blob[start : start + size], dtype)

    def array(self, index: int) -> np.ndarray:
        accessor = self.gltf.accessors[index]
        width, dtype = WIDTH[accessor.type], DTYPES[accessor.componentType]
        if accessor.bufferView is None:
            values = np.zeros((accessor.count, width), dtype)
        else:
            count = accessor.count * width
            values = self._view(accessor.bufferView, accessor.byteOffset or 0, dtype, count).reshape(-1, width).copy()
        if accessor.sparse:
            sparse = accessor.sparse
            where = self._view(
                sparse.indices.bufferView, sparse.indices.byteOffset, DTYPES[sparse.indices.componentType], sparse.count
            )
            assert (np.diff(where.astype(int)) > 0).all()
            values[where] = self._view(
                sparse.values.bufferView, sparse.values.byteOffset, dtype, sparse.count * width
            ).reshape(-1, width)
        if accessor.min:
            np.testing.assert_array_equal(values.min(axis=0), np.float32(accessor.min))
            np.testing.assert_array_equal(values.max(axis=0), np.float32(accessor.max))
        return values

    def channel(self, node: str, path: str) -> tuple[np.ndarray, np.ndarray]:
        """Times (T,) and values (T, n) of one animated property."""
        (animation,) = self.gltf.animations
        for channel in animation.channels:
            if self.gltf.nodes[channel.target.node].name == node and channel.target.path == path:
                sampler = animation.samplers[channel.sampler]
                assert sampler.interpolation == "LINEAR"
                times = self.array(sampler.input)[:, 0]
                return times, self.array(sampler.output).reshape(len(times), -1)
        raise AssertionError(f"no channel for {path} of {node}")

    def mesh(self, name: str) -> pygltflib.Mesh:
        (found,) = [mesh for mesh in self.gltf.meshes if mesh.name == name]
        return found

    def triangles(self, frame: int) -> np.ndarray:
        """Every triangle's corners in the world at one key frame, (F, 3, 3) float64, sorted."""
        root = self.gltf.nodes[0]
        x, y, z, w = self.channel("Head", "rotation")[1][frame].astype(np.float64)
        turn = np.array([
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ])  # fmt: skip
        found = []
        for child in root.children:
            node = self.gltf.nodes[child]
            weights = self.channel(node.name, "weights")[1][frame]
            for primitive in self.gltf.meshes[node.mesh].primitives:
                points = self.array(primitive.attributes.POSITION).astype(np.float64)
                for weight, target in zip(weights, primitive.targets, strict=True):
                    points += float(weight) * self.array(target["POSITION"])
                points = (points + node.translation) @ turn.T + root.translation
                found.append(points[self.array(primitive.indices).reshape(-1, 3)])
        return sort_triangles(np.concatenate(found))


def sort_triangles(triangles: np.ndarray) -> np.ndarray:
    middle = triangles.mean(axis=1).round(5)
    return triangles[np.lexsort(middle.T)]


@pytest.mark.parametrize(("frames", "fps", "extras"), [(31, 30.0, True), (1, 25.0, True), (7, 60.0, False)])
def test_what_a_viewer_shows(
    make_take: Callable[..., Take], tmp_path: Path, frames: int, fps: float, extras: bool
) -> None:
    take = make_take(frames=frames, fps=fps, extras=extras)
    reader = Reader(save(take, tmp_path / "take.glb", pivot=PIVOT))
    names = ARKIT_NAMES + (EXTRA_NAMES if extras else ())
    for mesh in ("Face", "Teeth", "Eyes", "Tongue"):
        expected = names if mesh == "Tongue" else ARKIT_NAMES
        assert tuple(reader.mesh(mesh).extras["targetNames"]) == expected
        assert {len(primitive.targets) for primitive in reader.mesh(mesh).primitives} == {len(expected)}
        times, weights = reader.channel(mesh, "weights")
        np.testing.assert_allclose(times, np.arange(frames) / fps, atol=1e-6)
        np.testing.assert_array_equal(weights, take.motion.values[:, : len(expected)])
    assert len(reader.mesh("Face").primitives) == 3
    for frame in (0, frames - 1):
        turn = matrix_from_axis_angle(take.head_rotation[frame : frame + 1])[0]
        points = (take.vertices(frame, frame + 1)[0] - PIVOT) @ turn.T + PIVOT
        expected = sort_triangles(points[take.template.topology.faces])
        np.testing.assert_allclose(reader.triangles(frame), expected, atol=2e-6)


def test_surface_and_materials(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take()
    reader = Reader(save(take, tmp_path / "take.glb", pivot=PIVOT))
    materials = {material.name: material for material in reader.gltf.materials}
    assert set(materials) == {"Skin", "MouthInner", "Lashes", "Teeth", "Eye", "Tongue"}
    assert [name for name, material in materials.items() if material.doubleSided] == ["Lashes"]
    assert [name for name, material in materials.items() if material.alphaMode == "BLEND"] == ["Lashes"]
    topology, template = take.template.topology, take.template.vertices
    normals = vertex_normals(template, topology.faces)
    seen = 0
    for mesh in reader.gltf.meshes:
        for primitive in mesh.primitives:
            positions = reader.array(primitive.attributes.POSITION)
            number = [int(np.flatnonzero((template == point).all(axis=1))[0]) for point in positions]
            np.testing.assert_allclose(reader.array(primitive.attributes.NORMAL), normals[number], atol=1e-6)
            colours = reader.array(primitive.attributes.COLOR_0) / 65_535
            np.testing.assert_allclose(colours[:, :3], topology.colours[number], atol=1e-5)
            assert (colours[:, 3] == 1).all()
            seen += len(number)
    assert seen == len(template)


def test_normals_turn_with_the_shapes(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take()
    reader = Reader(save(take, tmp_path / "take.glb", pivot=PIVOT))
    (primitive,) = reader.mesh("Tongue").primitives
    jaw = ARKIT_NAMES.index("jawOpen")
    topology = take.template.topology
    moved = vertex_normals(take.template.vertices + take.motion.rig.deltas[jaw], topology.faces)
    used = np.unique(topology.faces[topology.parts["tongue"]])
    found = reader.array(primitive.attributes.NORMAL) + reader.array(primitive.targets[jaw]["NORMAL"])
    np.testing.assert_allclose(found, moved[used], atol=3e-3)
    plain = Reader(save(take, tmp_path / "plain.glb", pivot=PIVOT, normals=False))
    assert set(plain.mesh("Tongue").primitives[0].targets[jaw]) == {"POSITION"}


def test_targets_that_move_nothing_cost_nothing(make_take: Callable[..., Take], tmp_path: Path) -> None:
    reader = Reader(save(make_take(), tmp_path / "take.glb", pivot=PIVOT))
    (primitive,) = reader.mesh("Eyes").primitives  # nothing moves the toy's eyes
    assert len({index for target in primitive.targets for index in target.values()}) == 1
    assert reader.gltf.accessors[primitive.targets[0]["POSITION"]].bufferView is None


def test_chunks_and_asset(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take()
    data = save(take, tmp_path / "take.glb", pivot=PIVOT).read_bytes()
    magic, version, total, length, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON")
    document = json.loads(data[20 : 20 + length])
    assert document["asset"]["generator"] == f"vultus {__version__}"
    assert document["asset"]["extras"] == {"fps": 30.0, "frames": 31, "info": take.info}
    binary, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert (kind, binary, 20 + length + 8 + binary) == (b"BIN\0", document["buffers"][0]["byteLength"], len(data))


def test_quaternions_take_the_short_way(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take(frames=200)
    take.head_rotation[:] = 0
    take.head_rotation[:, 1] = np.linspace(-4, 4, 200)  # more than half a turn to both sides
    _, rotation = Reader(save(take, tmp_path / "take.glb", pivot=PIVOT)).channel("Head", "rotation")
    np.testing.assert_allclose(np.linalg.norm(rotation, axis=1), 1, atol=1e-6)
    assert (np.einsum("ij,ij->i", rotation[1:], rotation[:-1]) > 0.99).all()


def test_an_hour_is_streamed(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take(frames=36_000)
    tracemalloc.start()
    path = save(take, tmp_path / "take.glb", pivot=PIVOT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6  # of which the hour's share is head rotation only; the weights alone are 15 MB in the file
    reader = Reader(path)
    np.testing.assert_array_equal(reader.channel("Tongue", "weights")[1][[0, -1]], take.motion.values[[0, -1]])


def test_other_rigs_are_refused(make_take: Callable[..., Take], tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="no ARKit weights"):
        save(make_take(blendshapes=False), tmp_path / "take.glb")
    assert not list(tmp_path.iterdir())


def test_the_shipped_head(tmp_path: Path) -> None:
    """10 s of the real head: size, targets, and the point about which it turns."""
    from vultus.head import load_head

    head = load_head()
    rng = np.random.default_rng(0)
    time = np.arange(300)[:, None] / 30
    values = 0.5 + 0.5 * np.sin(time * rng.uniform(1, 9, head.rig.dimension))
    rotation = (0.1 * np.sin(time * [1, 2, 3])).astype(np.float32)
    take = Take(Motion(values.astype(np.float32), 30.0, head.rig), head.template, rotation)
    path = save(take, tmp_path / "take.glb")
    assert path.stat().st_size < 2.5e6
    reader = Reader(path)
    np.testing.assert_allclose(reader.gltf.nodes[0].translation, head.pivot, atol=1e-6)
    assert [mesh.name for mesh in reader.gltf.meshes] == ["Face", "Teeth", "Eyes", "Tongue"]
    turn = matrix_from_axis_angle(rotation[-1:])[0]
    points = (take.vertices(299, 300)[0] - head.pivot) @ turn.T + head.pivot
    expected = sort_triangles(points[head.topology.faces])
    found = reader.triangles(299)
    # Deltas under 2 micrometres are left out; 55 of them at full weight stay under a tenth of a millimetre.
    np.testing.assert_allclose(found.mean(axis=(0, 1)), expected.mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(
        np.sort(found.reshape(-1, 3), axis=0), np.sort(expected.reshape(-1, 3), axis=0), atol=1e-4
    )
