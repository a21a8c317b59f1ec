"""The annotation types of the UniTalker release: what a row of numbers is, its unit, and how it becomes vertices.

| type | row | unit of the vertices |
|---|---|---|
| BIWI_23370_vertices | 3V | `area`; with nominal_metres: metres after x 0.2, UniTalker's guess for all speakers |
| FLAME_5023_vertices, FLAME_SUB_2055_vertices | 3V | metres, as stored |
| meshtalk_6172_vertices | 3V | metres, stored millimetres x 0.001 |
| flame_params_from_dadhead | 413 | metres, through the user's FLAME file |
| 3DETF_blendshape_weight, inhouse_blendshape_weight | 52, 51 | metres, by the option metres_per_unit |

Letters: T frames, D numbers of a row, V vertices, K blendshapes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vultus.datasets.base import Finding, Unit
from vultus.datasets.flame_sequence import FlameSource
from vultus.errors import VultusError, unknown_name
from vultus.readers.mesh_files import read_mesh
from vultus.readers.numpy_files import read_npz
from vultus.topology import Template, Topology

PAGE = "docs/datasets/unitalker.md"
#: Type -> vertices, factor to the unit, unit.
_MESHES: dict[str, tuple[int, float, Unit]] = {
    "BIWI_23370_vertices": (23370, 1.0, "area"),
    "FLAME_5023_vertices": (5023, 1.0, "m"),
    "FLAME_SUB_2055_vertices": (2055, 1.0, "m"),
    "meshtalk_6172_vertices": (6172, 0.001, "m"),
}
NOMINAL_BIWI = 0.2
#: Type -> numbers in a row, file of the meshes in resources/binary_resources.
_WEIGHTS = {
    "3DETF_blendshape_weight": (52, "EmoTalk.npz"),
    "inhouse_blendshape_weight": (51, "inhouse_arkit.npz"),
}
_DADHEAD = "flame_params_from_dadhead"
_DADHEAD_WIDTH = 413  # 300 shape, 100 expression, 3 jaw, 6 rotation, 3 translation, 1 scale; the last ten are not used


@dataclass(frozen=True)
class Options:
    """What the caller of `UniTalker` gave; see there."""

    flame: FlameSource
    resources: Path | None
    metres_per_unit: float | None
    nominal_metres: bool


class Annotation(Protocol):
    """A type: rows in, vertices out."""

    name: str
    width: int

    @property
    def unit(self) -> Unit: ...

    def neutral(self, row: np.ndarray) -> Template:
        """A row of id_template.npy -> the neutral face."""
        ...

    def vertices(self, rows: np.ndarray) -> np.ndarray:
        """(T, D) -> (T, V, 3) in the type's unit."""
        ...

    def finding(self, number: int) -> Finding:
        """A line of the check about `number` clips of this type."""
        ...


def annotation(name: str, options: Options) -> Annotation:
    """A type by its name in the lists; VultusError where it is unknown."""
    if name in _MESHES:
        return _Meshes(name, options)
    if name in _WEIGHTS:
        return _Weights(name, options)
    if name == _DADHEAD:
        return _Parameters(options.flame)
    raise unknown_name("annotation type of UniTalker", name, (*_MESHES, *_WEIGHTS, _DADHEAD))


class _Meshes:
    """Rows are flattened vertices."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self._count, self._scale, self.unit = _MESHES[name]
        if self.unit == "area" and options.nominal_metres:
            self._scale, self.unit = NOMINAL_BIWI, "m"
        self.width = 3 * self._count
        self._resources = options.resources

    @functools.cached_property
    def _topology(self) -> Topology:
        return Topology(_faces(self._resources, self.name, self._count), self._count, name=self.name)

    def neutral(self, row: np.ndarray) -> Template:
        """See Annotation."""
        if row.shape != (self.width,):
            raise VultusError(
                f"unitalker: id_template.npy has rows of {row.size}; expected {self.width} for {self.name}"
            )
        return Template(self._topology, (row.reshape(-1, 3) * self._scale).astype(np.float32))

    def vertices(self, rows: np.ndarray) -> np.ndarray:
        """See Annotation."""
        return np.asarray(rows, np.float32).reshape(len(rows), -1, 3) * np.float32(self._scale)

    def finding(self, number: int) -> Finding:
        """See Annotation."""
        return Finding(True, f"{number} clips of {self.name}, unit {self.unit}, stored numbers x {self._scale:g}")


class _Parameters:
    """Rows are FLAME numbers of DAD-3DHeads, with a shape for every frame; the head's rotation is left out."""

    name, width = _DADHEAD, _DADHEAD_WIDTH
    unit: Unit = "m"

    def __init__(self, flame: FlameSource) -> None:
        self._flame = flame

    def neutral(self, row: np.ndarray) -> Template:
        """See Annotation; the row is either 413 numbers or the vertices themselves."""
        topology = self._flame().topology
        if row.shape == (self.width,):
            return Template(topology, self.vertices(row[None])[0])
        if row.shape == (3 * topology.num_vertices,):
            return Template(topology, row.reshape(-1, 3).astype(np.float32))
        raise VultusError(
            f"unitalker: id_template.npy has rows of {row.size}; expected {self.width} or {3 * topology.num_vertices} "
            f"for {self.name}"
        )

    def vertices(self, rows: np.ndarray) -> np.ndarray:
        """See Annotation."""
        return self._flame().vertices(rows[:, 300:400], {"jaw": rows[:, 400:403]}, shape=rows[:, :300])

    def finding(self, number: int) -> Finding:
        """See Annotation."""
        line = self._flame.finding()
        return Finding(line.good, f"{number} clips of {self.name}; {line.what}", line.remedy)


class _Weights:
    """Rows are blendshape weights; the meshes come with the UniTalker repository's resources."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self.width, self._file = _WEIGHTS[name]
        self._resources, self._metres = options.resources, options.metres_per_unit
        if self._metres is not None and not 0 < self._metres < float("inf"):
            raise VultusError(f"unitalker: metres_per_unit is {self._metres}; expected a number above 0")

    @property
    def unit(self) -> Unit:
        """Metres, once the option says how long a unit of the meshes is."""
        if self._resources is None or self._metres is None:
            raise VultusError(
                f"unitalker: {self.name} holds weights; vertices need resources=FOLDER (resources.zip of the UniTalker "
                f"repository, unpacked) and metres_per_unit=NUMBER, the size of a unit of its {self._file}; see {PAGE}"
            )
        return "m"

    @functools.cached_property
    def _basis(self) -> tuple[Topology, np.ndarray, np.ndarray]:
        """Topology, neutral (3V,) and shapes (K, 3V), metres."""
        assert self.unit == "m" and self._resources is not None and self._metres is not None
        path = self._resources / "binary_resources" / self._file
        arrays = read_npz(path, "unitalker", f"obtain it again, see {PAGE}", ("meanshape", "blendshape"))
        mean, shapes = (arrays.get(key, np.zeros(0)) for key in ("meanshape", "blendshape"))
        if not mean.size or mean.size % 3 or shapes.size != self.width * mean.size:
            raise VultusError(
                f"unitalker: {path} has meanshape {mean.shape} and blendshape {shapes.shape}; expected {self.width} "
                f"shapes of as many numbers; see {PAGE}"
            )
        mean, shapes = mean.reshape(-1), shapes.reshape(self.width, -1)
        count = len(mean) // 3
        topology = Topology(_faces(self._resources, self.name, count), count, name=self.name)
        return topology, (mean * self._metres).astype(np.float32), (shapes * self._metres).astype(np.float32)

    def neutral(self, row: np.ndarray) -> Template:
        """See Annotation; the row (weights at rest) is part of the face."""
        return Template(self._basis[0], self.vertices(row[None])[0])

    def vertices(self, rows: np.ndarray) -> np.ndarray:
        """See Annotation."""
        _, mean, shapes = self._basis
        return (mean + np.asarray(rows, np.float32) @ shapes).reshape(len(rows), -1, 3)

    def finding(self, number: int) -> Finding:
        """See Annotation."""
        try:
            _ = self._basis
        except VultusError as error:
            return Finding(False, f"{number} clips of {self.name}: weights but no vertices", str(error))
        return Finding(True, f"{number} clips of {self.name}, {self.width} weights, meshes of {self._file}")


def _faces(resources: Path | None, name: str, num_vertices: int) -> np.ndarray:
    """(F, 3) int32 of resources/obj_template; none where the folder was not given."""
    if resources is None:
        return np.zeros((0, 3), np.int32)
    path = resources / "obj_template" / f"{name}.obj"
    if not path.is_file():
        raise VultusError(f"unitalker: no {path}; expected the unpacked resources.zip of the UniTalker repository")
    vertices, faces = read_mesh(path)
    if len(vertices) != num_vertices:
        raise VultusError(f"unitalker: {path} has {len(vertices)} vertices; expected {num_vertices}")
    return faces
