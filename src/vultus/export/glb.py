"""GLB (binary glTF 2.0): the head with its 52 ARKit morph targets, and the take as one animation.

    Head          turns about the neck joint (rotation channel); its children stand at minus the joint
      Face        skin, inner mouth, lashes     exactly the 52 ARKit targets
      Teeth       both rows                     the same 52
      Eyes        both                          the same 52
      Tongue      the tongue                    the 52, then the tongue shapes beyond ARKit

Every mesh carries all 52 names (`extras.targetNames`), so that a program that sets weights by name needs no table of
who moves what: a target that leaves a mesh alone is an accessor without data, a few bytes. Deltas of positions and
normals are sparse accessors. Weights are float32 and linear between frames; frame i stands at i / fps.

The file is written front to back; the weights of an hour are never copied as a whole.

Source: Khronos, glTF 2.0 specification (sections 3.6.2.3 sparse accessors, 3.7.2.2 morph targets, 3.11 animations).
Letters: T motion frames, K targets, V vertices, F triangles.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.export.json_weights import info_text
from vultus.export.rotation import quaternion_from_axis_angle
from vultus.motion import ARKIT_NAMES, Take
from vultus.topology import Topology
from vultus.version import __version__

#: Mesh -> the parts of the topology in it. A part that nobody names is skin.
MESHES: dict[str, tuple[str, ...]] = {
    "Face": ("skin", "mouth_inner", "lashes"),
    "Teeth": ("teeth_upper", "teeth_lower"),
    "Eyes": ("eye_left", "eye_right"),
    "Tongue": ("tongue",),
}
#: Part -> material, and material -> roughness (0 a mirror, 1 chalk). Nothing on a head is metal.
MATERIAL_OF = {
    "skin": "Skin",
    "mouth_inner": "MouthInner",
    "lashes": "Lashes",
    "teeth_upper": "Teeth",
    "teeth_lower": "Teeth",
    "eye_left": "Eye",
    "eye_right": "Eye",
    "tongue": "Tongue",
}
ROUGHNESS = {"Skin": 0.55, "MouthInner": 0.5, "Lashes": 0.9, "Teeth": 0.25, "Eye": 0.1, "Tongue": 0.4}
#: Opaque lash cards look like heavy make-up.
LASH_ALPHA = 0.45

_FLOAT, _UINT32, _UINT16 = 5126, 5125, 5123
_VERTICES, _INDICES = 34962, 34963
_SMALLEST_STEP = 2e-6  # metres; below it a delta is the rounding of its asset
_SMALLEST_TURN = 2e-3  # of a unit normal: a tenth of a degree
_BLOCK = 4096
_MAX_BYTES = 2**32 - 1  # a GLB counts its length in 32 bits


def write(
    take: Take,
    path: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    normals: bool = True,
    pivot: Sequence[float] | None = None,
) -> None:
    """Writes a take as GLB.

    Args:
        take: a take whose rig has ARKit weights.
        path: the file.
        progress: called with (frames done, frames in all).
        normals: False leaves out how shapes turn the normals: a smaller file, flatter shading of open mouths.
        pivot: (3,) metres, the point about which the head turns; without it the neck joint of our head, or for
            another mesh its low middle.

    Raises:
        VultusError: the rig has no ARKit weights or no deltas; the file would pass 4 GB.
    """
    _ = take.weights  # says why where there are none
    rig_deltas = getattr(take.motion.rig, "deltas", None)
    if rig_deltas is None:
        raise VultusError(f"a '{take.motion.rig.name}' rig has no blendshapes to put into a .glb; write .npz or .mp4")
    pivot_point = _pivot(take) if pivot is None else np.asarray(pivot, np.float64).reshape(3)

    gltf = _Document(take)
    shapes = _Shapes(take, np.asarray(rig_deltas, np.float32), normals)
    names = [*ARKIT_NAMES, *take.extra_weight_names]
    animated: list[tuple[int, int]] = []  # node, number of targets
    for mesh_name, parts in _group_parts(take.template.topology).items():
        count = len(names) if mesh_name == "Tongue" else len(ARKIT_NAMES)
        mesh = gltf.add_mesh(mesh_name, parts, shapes, names[:count])
        animated.append((gltf.add_node(mesh_name, mesh, -pivot_point), count))
    gltf.set_root(pivot_point, len(take.template.topology.faces))
    gltf.add_animation(take, animated)
    gltf.write(path, progress, len(take))


def _group_parts(topology: Topology) -> dict[str, dict[str, np.ndarray]]:
    """Mesh -> material -> triangle numbers, in a fixed order; meshes without triangles are left out."""
    mesh_of = {part: mesh for mesh, parts in MESHES.items() for part in parts}
    grouped: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in MESHES}
    left = np.ones(len(topology.faces), bool)
    for part, triangles in topology.parts.items():
        left[triangles] = False
        material = MATERIAL_OF.get(part, "Skin")
        grouped[mesh_of.get(part, "Face")].setdefault(material, []).append(np.asarray(triangles))
    if left.any():
        grouped["Face"].setdefault("Skin", []).append(np.flatnonzero(left))
    return {
        mesh: {material: np.concatenate(materials[material]) for material in ROUGHNESS if material in materials}
        for mesh, materials in grouped.items()
        if any(len(triangles) for lists in materials.values() for triangles in lists)
    }


def _pivot(take: Take) -> np.ndarray:
    """The joint about which the head turns, (3,) metres; for a foreign mesh its low middle, as in our pictures."""
    from vultus.head import load_head

    head = load_head()
    if head.topology.digest == take.template.topology.digest:
        return np.asarray(head.pivot, np.float64)
    low, high = take.template.vertices.min(axis=0), take.template.vertices.max(axis=0)
    return np.array([(low[0] + high[0]) / 2, low[1] + 0.2 * (high[1] - low[1]), (low[2] + high[2]) / 2])


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) float64, triangles weighed by area; +y where a vertex has no triangle."""
    corners = vertices[faces].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = faces.reshape(-1)
    spread = np.repeat(across, 3, axis=0)
    total = np.stack([np.bincount(flat, spread[:, axis], len(vertices)) for axis in range(3)], axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 1e-20, total / np.maximum(length, 1e-20), [0.0, 1.0, 0.0])


@dataclass(frozen=True)
class _Delta:
    """What one target does to one mesh: the vertices that move, (n,), and by how much, (n, 3) float32."""

    index: np.ndarray
    value: np.ndarray


class _Shapes:
    """The template, and each target's deltas of positions and normals over the whole mesh."""

    def __init__(self, take: Take, deltas: np.ndarray, normals: bool):
        topology = take.template.topology
        self.topology = topology
        self.positions = np.asarray(take.template.vertices, np.float32)
        base = vertex_normals(self.positions, topology.faces)
        self.normals = base.astype(np.float32)
        self.moves: list[np.ndarray] = []
        self.turns: list[np.ndarray] | None = [] if normals else None
        for delta in deltas:
            still = np.abs(delta).max(axis=1) < _SMALLEST_STEP
            self.moves.append(np.where(still[:, None], np.float32(0), delta))
            if self.turns is not None:
                turn = (vertex_normals(self.positions + delta, topology.faces) - base).astype(np.float32)
                turn[np.abs(turn).max(axis=1) < _SMALLEST_TURN] = 0
                self.turns.append(turn)


class _Document:
    """A glTF document in the making: its JSON, and the pieces of its binary chunk in order."""

    def __init__(self, take: Take):
        self.json: dict[str, Any] = {
            "asset": {
                "version": "2.0",
                "generator": f"vultus {__version__}",
                "extras": {"fps": take.fps, "frames": len(take), "info": json.loads(info_text(take.info))},
            },
            "scene": 0,
            "scenes": [{"name": "Scene", "nodes": [0]}],
            "nodes": [{"name": "Head"}],
            "meshes": [],
            "materials": [],
            "accessors": [],
            "bufferViews": [],
        }
        self.length = 0
        self.pieces: list[tuple[int, Iterable[bytes]]] = []
        self.materials: dict[str, int] = {}

    def view(self, length: int, blocks: Iterable[bytes], **fields: int) -> int:
        """A buffer view of `length` bytes; every view starts at a multiple of 4."""
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": self.length, "byteLength": length, **fields})
        self.pieces.append((length, blocks))
        self.length += length + -length % 4
        return len(self.json["bufferViews"]) - 1

    def accessor(self, **fields: Any) -> int:
        self.json["accessors"].append(fields)
        return len(self.json["accessors"]) - 1

    def array(self, values: np.ndarray, kind: str, component: int, target: int, **fields: Any) -> int:
        """An accessor over an array held in memory."""
        data = values.tobytes()
        stride = {"byteStride": len(data) // len(values)} if target == _VERTICES else {}
        view = self.view(len(data), [data], target=target, **stride)
        return self.accessor(bufferView=view, componentType=component, count=len(values), type=kind, **fields)

    def material(self, name: str) -> int:
        if name not in self.materials:
            material: dict[str, Any] = {
                "name": name,
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": ROUGHNESS[name]},
                # Closed skin shows its outside only, and a tooth row is an open strip whose back would show as a
                # grey wedge in the mouth's corner. Lashes are cards, seen from both sides in the course of a blink.
                "doubleSided": name == "Lashes",
            }
            if name == "Lashes":
                material["alphaMode"] = "BLEND"
                material["pbrMetallicRoughness"]["baseColorFactor"] = [1.0, 1.0, 1.0, LASH_ALPHA]
            self.json["materials"].append(material)
            self.materials[name] = len(self.json["materials"]) - 1
        return self.materials[name]

    def add_mesh(self, name: str, parts: dict[str, np.ndarray], shapes: _Shapes, names: list[str]) -> int:
        primitives = [self.primitive(material, shapes, parts[material], len(names)) for material in parts]
        self.json["meshes"].append(
            {
                "name": name,
                "primitives": primitives,
                "weights": [0.0] * len(names),
                "extras": {"targetNames": names},
            }
        )
        return len(self.json["meshes"]) - 1

    def primitive(self, material: str, shapes: _Shapes, triangles: np.ndarray, num_targets: int) -> dict[str, Any]:
        """One material's triangles with their own vertices, as most engines split a mesh by material anyway."""
        used, corners = np.unique(shapes.topology.faces[triangles], return_inverse=True)
        short = len(used) < 65_535  # 65535 itself means "restart" to a GPU
        index_type, index_code = (np.dtype("<u2"), _UINT16) if short else (np.dtype("<u4"), _UINT32)
        positions = shapes.positions[used].astype("<f4")
        attributes = {
            "POSITION": self.array(positions, "VEC3", _FLOAT, _VERTICES, **_bounds(positions)),
            "NORMAL": self.array(shapes.normals[used].astype("<f4"), "VEC3", _FLOAT, _VERTICES),
        }
        if shapes.topology.colours is not None:
            colours = _colours(shapes.topology.colours[used])
            attributes["COLOR_0"] = self.array(colours, "VEC4", _UINT16, _VERTICES, normalized=True)
        indices = self.array(corners.reshape(-1).astype(index_type), "SCALAR", index_code, _INDICES)

        sets = {"POSITION": shapes.moves} | ({} if shapes.turns is None else {"NORMAL": shapes.turns})
        targets = [
            {key: self.delta(deltas[k][used], index_type) for key, deltas in sets.items()} for k in range(num_targets)
        ]
        return {
            "attributes": attributes,
            "indices": indices,
            "material": self.material(material),
            "targets": self.place(targets, len(used), index_type, index_code),
        }

    @staticmethod
    def delta(values: np.ndarray, index_type: np.dtype) -> _Delta:
        moving = np.flatnonzero(values.any(axis=1))
        return _Delta(moving.astype(index_type), values[moving].astype("<f4"))

    def place(
        self, targets: list[dict[str, _Delta]], count: int, index_type: np.dtype, index_code: int
    ) -> list[dict[str, int]]:
        """The targets' deltas as sparse accessors over two views; what moves nothing shares one accessor of zeros."""
        deltas = [delta for target in targets for delta in target.values() if len(delta.index)]
        index_bytes = b"".join(delta.index.tobytes() for delta in deltas)
        value_bytes = b"".join(delta.value.tobytes() for delta in deltas)
        index_view = self.view(len(index_bytes), [index_bytes]) if deltas else -1
        value_view = self.view(len(value_bytes), [value_bytes]) if deltas else -1
        zero, done = -1, 0
        placed: list[dict[str, int]] = []
        for target in targets:
            placed.append({})
            for key, delta in target.items():
                if not len(delta.index):
                    if zero < 0:
                        nothing = {"min": [0.0] * 3, "max": [0.0] * 3}
                        zero = self.accessor(componentType=_FLOAT, count=count, type="VEC3", **nothing)
                    placed[-1][key] = zero
                    continue
                whole = delta.value if len(delta.index) == count else np.vstack([delta.value, np.zeros((1, 3), "<f4")])
                placed[-1][key] = self.accessor(
                    componentType=_FLOAT,
                    count=count,
                    type="VEC3",
                    **_bounds(whole),
                    sparse={
                        "count": len(delta.index),
                        "indices": {
                            "bufferView": index_view,
                            "byteOffset": done * index_type.itemsize,
                            "componentType": index_code,
                        },
                        "values": {"bufferView": value_view, "byteOffset": done * 12},
                    },
                )
                done += len(delta.index)
        return placed

    def add_node(self, name: str, mesh: int, translation: np.ndarray) -> int:
        self.json["nodes"].append({"name": name, "mesh": mesh, "translation": _plain(translation)})
        return len(self.json["nodes"]) - 1

    def set_root(self, pivot: np.ndarray, num_faces: int) -> None:
        if num_faces == 0:
            raise VultusError("the template has no triangles; a .glb needs a surface, write .npz instead")
        children = list(range(1, len(self.json["nodes"])))
        self.json["nodes"][0] = {"name": "Head", "translation": _plain(pivot), "children": children}

    def add_animation(self, take: Take, animated: list[tuple[int, int]]) -> None:
        """Channels for the head's rotation and each node's weights; times and equal weights are stored once."""
        frames = len(take)
        times = (np.arange(frames, dtype=np.float64) / take.fps).astype("<f4")
        span = {"min": [float(times[0])], "max": [float(times[-1])]}
        clock = self.accessor(
            bufferView=self.view(frames * 4, [times.tobytes()]),
            componentType=_FLOAT,
            count=frames,
            type="SCALAR",
            **span,
        )
        quaternions = quaternion_from_axis_angle(take.head_rotation).astype("<f4")
        rotation = self.accessor(
            bufferView=self.view(frames * 16, [quaternions.tobytes()]), componentType=_FLOAT, count=frames, type="VEC4"
        )
        samplers = [{"input": clock, "interpolation": "LINEAR", "output": rotation}]
        channels = [{"sampler": 0, "target": {"node": 0, "path": "rotation"}}]
        outputs: dict[int, int] = {}
        for node, count in animated:
            if count not in outputs:
                view = self.view(frames * count * 4, _weight_blocks(take.motion.values, count))
                outputs[count] = self.accessor(
                    bufferView=view, componentType=_FLOAT, count=frames * count, type="SCALAR"
                )
            samplers.append({"input": clock, "interpolation": "LINEAR", "output": outputs[count]})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": "weights"}})
        self.json["animations"] = [{"name": "Take", "channels": channels, "samplers": samplers}]

    def write(self, path: Path, progress: Callable[[int, int], None] | None, frames: int) -> None:
        self.json["buffers"] = [{"byteLength": self.length}]
        text = json.dumps(self.json, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self.length
        if total > _MAX_BYTES:
            raise VultusError(
                f"{frames} frames make a .glb of {total / 1e9:.1f} GB; it can hold 4.2, cut the recording"
            )
        done = 0
        with open(path, "wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, total))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", self.length, b"BIN\0"))
            for length, blocks in self.pieces:
                for block in blocks:
                    file.write(block)
                    done += len(block)
                    if progress:
                        progress(frames * done // max(self.length, 1), frames)
                file.write(b"\0" * (-length % 4))
        if progress:
            progress(frames, frames)


def _weight_blocks(values: np.ndarray, count: int) -> Iterator[bytes]:
    for start in range(0, len(values), _BLOCK):
        yield values[start : start + _BLOCK, :count].astype("<f4").tobytes()


def _colours(colours: np.ndarray) -> np.ndarray:
    """Linear RGB or RGBA in [0, 1] -> (n, 4) normalised uint16: 8 bit of linear light would band in the shadows."""
    opaque = np.ones((len(colours), 4))
    opaque[:, : colours.shape[1]] = colours
    return np.rint(np.clip(opaque, 0, 1) * 65_535).astype("<u2")


def _bounds(values: np.ndarray) -> dict[str, list[float]]:
    return {"min": _plain(values.min(axis=0)), "max": _plain(values.max(axis=0))}


def _plain(values: np.ndarray) -> list[float]:
    """JSON numbers of float32 values; -0 as 0."""
    return [float(value) + 0.0 for value in np.asarray(values, np.float32)]
