"""Vertices and weights as .npz: opens with `np.load(path)`, no pickles, an hour (6 GB) in bounded memory.

    fps               () float64              frame i stands at i / fps
    vertices          (T, V, 3) float32       metres, without the head rotation (absent with vertices=False)
    template          (V, 3) float32          the neutral face, metres
    faces             (F, 3) int32            triangles, counter-clockwise from outside
    weights           (T, 52) float32         absent where the rig has no ARKit weights, as are the next three
    weight_names      (52,) text
    extra_weights     (T, E) float32          shapes beyond ARKit (tongue)
    extra_weight_names (E,) text
    head_rotation     (T, 3) float32          axis-angle, radians
    region_lips, region_upper_lip, region_lower_lip, region_upper_face, region_lower_face   (n,) int32 vertex numbers
    info              () text                 JSON: what made it

Entries are stored, not deflated: motion hardly compresses, and stored arrays can be memory-mapped.
"""

from __future__ import annotations

import io
import json
import math
import tokenize
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.clock import check_fps
from vultus.errors import VultusError
from vultus.export.json_weights import info_text
from vultus.motion import ARKIT_NAMES, Take
from vultus.topology import Topology

REGION_NAMES = ("lips", "upper_lip", "lower_lip", "upper_face", "lower_face")

_BLOCK = 256
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold: the same take gives the same bytes
_MAX_ENTRIES = 64
_MAX_IN_MEMORY = 2_000_000_000
"""Bytes that a reader takes from compressed entries or small arrays: a zip of a few kB can unpack to any size."""


def write(take: Take, path: Path, *, progress: Callable[[int, int], None] | None = None, vertices: bool = True) -> None:
    """Writes a take as .npz.

    Args:
        take: any take; one whose rig has no ARKit weights gives vertices only.
        path: the file.
        progress: called with (frames done, frames in all).
        vertices: False leaves out `vertices` (most of the file); only where there are weights.
    """
    if not vertices and not take.has_weights:
        raise VultusError(
            f"vertices=False leaves nothing: a '{take.motion.rig.name}' rig has no ARKit weights; keep the vertices"
        )
    topology, template = take.template.topology, np.asarray(take.template.vertices, "<f4")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        _add(archive, "fps", np.asarray(take.fps, "<f8"))
        if vertices:
            shape = (len(take), *template.shape)
            _add_blocks(archive, "vertices", shape, _vertex_blocks(take, progress))
        _add(archive, "template", template)
        _add(archive, "faces", np.asarray(topology.faces, "<i4"))
        if take.has_weights:
            _add(archive, "weights", np.asarray(take.weights, "<f4"))
            _add(archive, "weight_names", np.array(ARKIT_NAMES, dtype="<U32"))
            _add(archive, "extra_weights", np.asarray(take.extra_weights, "<f4"))
            _add(archive, "extra_weight_names", np.array(take.extra_weight_names, dtype="<U32"))
        _add(archive, "head_rotation", np.asarray(take.head_rotation, "<f4"))
        for name in REGION_NAMES:
            if name in topology.regions:
                _add(archive, f"region_{name}", np.asarray(topology.regions[name], "<i4"))
        _add(archive, "info", np.array(info_text(take.info)))
    if progress and not vertices:
        progress(len(take), len(take))


def _vertex_blocks(take: Take, progress: Callable[[int, int], None] | None) -> Iterator[np.ndarray]:
    done = 0
    for block in take.vertex_blocks(_BLOCK):
        done += len(block)
        yield np.asarray(block, "<f4")
        if progress:
            progress(done, len(take))


def _add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    _add_blocks(archive, name, array.shape, [array], array.dtype.str)


def _add_blocks(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], blocks: Iterable[np.ndarray], dtype: str = "<f4"
) -> None:
    """One array as one entry, written block by block along its first axis."""
    entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
    entry.create_system = 3  # unix, on every machine: the same bytes everywhere
    entry.external_attr = 0o644 << 16
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    with archive.open(entry, "w", force_zip64=True) as file:
        file.write(header.getvalue())
        for block in blocks:
            file.write(np.ascontiguousarray(block).data if block.size else b"")


@dataclass(frozen=True, eq=False)
class NpzMotion:
    """What an .npz of ours holds.

    Attributes:
        vertices: (T, V, 3) float32, a read-only memory map of the file where possible, or None.
        weights: (T, 52) float32 or None; extra_weights (T, E) float32 or None.
        regions: name -> (n,) int32 vertex numbers.
    """

    fps: float
    vertices: np.ndarray | None
    template: np.ndarray
    faces: np.ndarray
    weights: np.ndarray | None
    extra_weights: np.ndarray | None
    extra_weight_names: tuple[str, ...]
    head_rotation: np.ndarray
    regions: dict[str, np.ndarray]
    info: dict[str, Any]

    def __len__(self) -> int:
        return len(self.head_rotation)

    @property
    def topology_digest(self) -> str:
        """As `Topology.digest` of the mesh that moved."""
        return Topology(self.faces, len(self.template)).digest


def read_npz(path: str | Path) -> NpzMotion:
    """Reads an .npz of ours. Nothing in it is ever unpickled, and nothing is allocated before its size is checked.

    Raises:
        VultusError: no zip, a damaged or hostile one; missing arrays; wrong shapes or types; values that are
            no numbers.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive)
    except OSError as error:
        raise VultusError(f"{path}: cannot be read ({error.strerror or error}); check the name") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, zipfile.LargeZipFile) as error:
        raise VultusError(f"{path}: is no sound .npz ({error}); expected one that vultus wrote") from None
    except (ValueError, SyntaxError, TypeError, KeyError, tokenize.TokenError, OverflowError, RuntimeError) as error:
        if isinstance(error, VultusError):
            raise
        raise VultusError(f"{path}: holds an array that cannot be read ({error}); expected an .npz of ours") from None


def _read(path: Path, archive: zipfile.ZipFile) -> NpzMotion:
    entries = archive.infolist()
    names = [entry.filename.removesuffix(".npy") for entry in entries]
    if len(entries) > _MAX_ENTRIES or len(set(names)) != len(names):
        raise VultusError(f"{path}: {len(entries)} entries, some twice or too many; expected an .npz of ours")
    arrays = _Arrays(path, archive, dict(zip(names, entries, strict=True)))

    fps = check_fps(float(arrays.take("fps", "f", ())))
    template = arrays.take("template", "f", (None, 3))
    head_rotation = arrays.take("head_rotation", "f", (None, 3))
    count, num_vertices = len(head_rotation), len(template)
    faces = arrays.take("faces", "iu", (None, 3))
    _check_indices(path, "faces", faces, num_vertices)
    regions = {}
    for name in names:
        if name.startswith("region_"):
            regions[name.removeprefix("region_")] = region = arrays.take(name, "iu", (None,)).astype(np.int32)
            _check_indices(path, name, region, num_vertices)
    vertices = arrays.take("vertices", "f", (count, num_vertices, 3), mapped=True) if "vertices" in names else None
    weights = extra = None
    extra_names: tuple[str, ...] = ()
    if "weights" in names:
        weights = arrays.take("weights", "f", (count, len(ARKIT_NAMES))).astype(np.float32)
        if tuple(arrays.take("weight_names", "U", (len(ARKIT_NAMES),)).tolist()) != ARKIT_NAMES:
            raise VultusError(f"{path}: 'weight_names' are not the 52 ARKit names in Live Link Face's order")
        if "extra_weights" in names:
            extra = arrays.take("extra_weights", "f", (count, None)).astype(np.float32)
            extra_names = tuple(arrays.take("extra_weight_names", "U", (extra.shape[1],)).tolist())
        for name, values in (("weights", weights), ("extra_weights", extra)):
            if values is not None and values.size and (values.min() < -1e-3 or values.max() > 1 + 1e-3):
                raise VultusError(f"{path}: '{name}' reach from {values.min():g} to {values.max():g}; expected 0 to 1")
    if vertices is None and weights is None:
        raise VultusError(f"{path}: neither 'vertices' nor 'weights'; expected at least one of them")
    info = json.loads(str(arrays.take("info", "U", ()))) if "info" in names else {}
    return NpzMotion(
        fps=fps,
        vertices=vertices,
        template=template.astype(np.float32),
        faces=faces.astype(np.int32),
        weights=weights,
        extra_weights=extra,
        extra_weight_names=extra_names,
        head_rotation=head_rotation.astype(np.float32),
        regions=regions,
        info=info if isinstance(info, dict) else {},
    )


class _Arrays:
    """Arrays of an open .npz, each checked against what it has to be before a byte of it is allocated."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]):
        self.path, self.archive, self.entries = path, archive, entries
        self.left = _MAX_IN_MEMORY

    def take(self, name: str, kinds: str, shape: tuple[int | None, ...], mapped: bool = False) -> np.ndarray:
        """One array; `kinds` are numpy's letters of allowed types, None in `shape` is any length."""
        entry = self.entries.get(name)
        if entry is None:
            raise VultusError(f"{self.path}: no array '{name}'; expected an .npz that vultus wrote")
        with self.archive.open(entry) as file:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                found, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=10_000)
            else:
                found, fortran, dtype = np.lib.format.read_array_header_2_0(file, max_header_size=10_000)
            start = file.tell()
            if dtype.hasobject or dtype.kind not in kinds:
                raise VultusError(f"{self.path}: '{name}' has type {dtype}, which is not read; expected plain numbers")
            fits = len(found) == len(shape) and all(
                want is None or have == want for have, want in zip(found, shape, strict=True)
            )
            size = math.prod(found) * dtype.itemsize
            if not fits or min(found, default=0) < 0 or fortran or start + size != entry.file_size:
                wanted = ", ".join("any" if want is None else str(want) for want in shape)
                raise VultusError(f"{self.path}: '{name}' has shape {found}; expected ({wanted}) and its full length")
            if mapped and entry.compress_type == zipfile.ZIP_STORED and size:
                array: np.ndarray = np.memmap(self.path, dtype, "r", self._offset(entry) + start, found)
            else:
                self.left -= size
                if self.left < 0:
                    raise VultusError(f"{self.path}: unpacks to over 2 GB in memory; save it uncompressed or cut it")
                data = file.read(size)
                if len(data) != size:
                    raise VultusError(f"{self.path}: '{name}' ends early; the file is damaged, write it again")
                array = np.frombuffer(data, dtype).reshape(found)
        if dtype.kind == "f":
            # By blocks: an hour of vertices is not to be loaded for its check.
            for first in range(0, len(array) if found else 1, _BLOCK):
                if not np.isfinite(array[first : first + _BLOCK] if found else array).all():
                    raise VultusError(f"{self.path}: '{name}' holds a value that is not a finite number")
        return array

    def _offset(self, entry: zipfile.ZipInfo) -> int:
        """Where the bytes of a stored entry begin: the local header repeats the name and has its own extra field."""
        with open(self.path, "rb") as file:
            file.seek(entry.header_offset)
            header = file.read(30)
            end = entry.header_offset + 30 + int.from_bytes(header[26:28], "little")
            offset = end + int.from_bytes(header[28:30], "little")
            file.seek(0, io.SEEK_END)
            if offset + entry.file_size > file.tell() or entry.file_size != entry.compress_size:
                raise VultusError(f"{self.path}: '{entry.filename}' reaches beyond the file; write it again")
        return offset


def _check_indices(path: Path, name: str, indices: np.ndarray, num_vertices: int) -> None:
    if indices.size and (indices.min() < 0 or indices.max() >= num_vertices):
        raise VultusError(f"{path}: '{name}' names vertices beyond the {num_vertices} of the template")
