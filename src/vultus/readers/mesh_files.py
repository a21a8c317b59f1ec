"""Reads the vertices and triangles of a mesh: .ply (ASCII and binary, either byte order) and .obj.

Colours, normals and texture are passed over. Vertices keep the order of the file, on which data sets rely; polygons are
cut into triangles that share their first corner.

Letters: V vertices, F triangles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from vultus.errors import VultusError

_PLY_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_Order = Literal["", "<", ">"]  # "" is ASCII
_PLY_FORMATS: dict[str, _Order] = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_PLY_LINES = 256  # of a header
_LONGEST = 64  # characters of a number
_STEP = "export the mesh again or obtain it anew"


class _Damaged(Exception):
    """Why a file is no mesh; `read_mesh` makes a VultusError of it."""


@dataclass(frozen=True)
class _Property:
    """A value (`length` empty) or a list of a ply element; numpy type codes."""

    name: str
    type: str
    length: str = ""


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]


def read_mesh(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """The mesh of a .ply or .obj file.

    Args:
        path: the file; its content tells ply, everything else is read as obj.

    Returns:
        vertices (V, 3) float64 in the unit of the file, triangles (F, 3) int32; F is 0 for a cloud of points.

    Raises:
        VultusError: no such file, another format, a damaged file, vertices that are not finite, a face of vertices
            that are not there.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise VultusError(f"mesh: no file '{path}'; expected a .ply or .obj")
        content = path.read_bytes()
        is_ply = content[:4] in (b"ply\n", b"ply\r")
        vertices, corners, sizes = _read_ply(content) if is_ply else _read_obj(content)
        return _checked(vertices, corners, sizes)
    except OSError as error:
        raise VultusError(f"mesh: '{path}' cannot be read ({error.strerror}); check its permissions") from None
    except _Damaged as damage:
        raise VultusError(f"mesh: '{path}' {damage}; expected a .ply or .obj of a face; {_STEP}") from None


def _checked(vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(vertices):
        raise _Damaged("has no vertex")
    if not np.isfinite(vertices).all():
        raise _Damaged("has vertices that are not finite")
    if sizes.min(initial=3) < 3:
        raise _Damaged("has a face of fewer than three vertices")
    if corners.min(initial=0) < 0 or corners.max(initial=0) >= len(vertices):
        raise _Damaged(f"has a face of vertices that are not there; it has {len(vertices)} vertices")
    return vertices, _triangles(corners, sizes)


def _triangles(corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Polygons, one after another in `corners`, -> (F, 3) int32 in the order of the file."""
    counts = sizes - 2
    first = np.repeat(np.cumsum(sizes) - sizes, counts)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return corners[np.stack([first, first + step + 1, first + step + 2], axis=1)].astype(np.int32)


def _read_ply(content: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    end = re.search(rb"(?:\n|\r)end_header[ \t]*(?:\r\n|\n|\r)", content)
    if end is None:
        raise _Damaged("begins as ply but its header has no end")
    order, elements = _ply_header(content[: end.start()].decode("ascii", "replace").splitlines())
    body = content[end.end() :]
    tokens = body.split() if order == "" else []
    vertices, corners, sizes, position = None, np.empty(0, np.int64), np.empty(0, np.int64), 0
    for element in elements:
        reader = _TextRows(tokens, position) if order == "" else _BinaryRows(body, position, order)
        if element.name == "vertex":
            vertices = reader.values(element)
        elif element.name == "face":
            corners, sizes = reader.lists(element)
        else:
            reader.lists(element)
        position = reader.position
    if vertices is None:
        raise _Damaged("is a ply without vertices")
    return vertices, corners, sizes


def _ply_header(lines: list[str]) -> tuple[_Order, list[_Element]]:
    order: _Order | None = None
    elements: list[_Element] = []
    if len(lines) > _PLY_LINES:
        raise _Damaged(f"has a header of {len(lines)} lines")
    for words in (line.split() for line in lines[1:]):
        match words:
            case [] | ["comment" | "obj_info", *_]:
                pass
            case ["format", form, _] if form in _PLY_FORMATS:
                order = _PLY_FORMATS[form]
            case ["element", name, count] if count.isdecimal() and len(count) < 10:
                elements.append(_Element(name, int(count), ()))
            case ["property", "list", length, kind, name] if elements and {length, kind} <= _PLY_TYPES.keys():
                _add(elements, _Property(name, _PLY_TYPES[kind], _PLY_TYPES[length]))
            case ["property", kind, name] if elements and kind in _PLY_TYPES:
                _add(elements, _Property(name, _PLY_TYPES[kind]))
            case _:
                raise _Damaged(f"has the header line {' '.join(words)[:80]!a}, which is no ply")
    if order is None:
        raise _Damaged("is a ply without a format line")
    return order, elements


def _add(elements: list[_Element], new: _Property) -> None:
    elements[-1] = replace(elements[-1], properties=(*elements[-1].properties, new))


def _columns(element: _Element) -> list[int]:
    """Where x, y and z are among the properties of a vertex."""
    names = [p.name for p in element.properties]
    if any(p.length for p in element.properties) or not {"x", "y", "z"} <= set(names):
        raise _Damaged("is a ply whose vertices are not x, y, z and further single values")
    return [names.index(axis) for axis in "xyz"]


def _corner_list(element: _Element) -> int:
    """Which list holds the corners: vertex_indices, or vertex_index as some programs write."""
    lists = [i for i, p in enumerate(element.properties) if p.length and p.name in ("vertex_indices", "vertex_index")]
    if element.name == "face" and element.count and not lists:
        raise _Damaged("is a ply whose faces have no vertex_indices")
    return lists[0] if lists else -1


class _TextRows:
    """Elements of an ASCII ply, from a list of words."""

    def __init__(self, words: list[bytes], position: int) -> None:
        self.words, self.position = words, position

    def _take(self, count: int) -> list[bytes]:
        self.position += count
        if count < 0 or self.position > len(self.words):
            raise _Damaged("ends before all that its header tells")
        return self.words[self.position - count : self.position]

    def values(self, element: _Element) -> np.ndarray:
        columns, width = _columns(element), len(element.properties)
        return _numbers(self._take(element.count * width)).reshape(element.count, width)[:, columns]

    def lists(self, element: _Element) -> tuple[np.ndarray, np.ndarray]:
        wanted = _corner_list(element)
        corners: list[bytes] = []
        sizes: list[int] = []
        for _ in range(element.count if element.properties else 0):
            for index, item in enumerate(element.properties):
                if not item.length:
                    self._take(1)
                    continue
                (size,) = self._take(1)
                if not size.isdigit() or len(size) > 9:
                    raise _Damaged("has a list whose length is no number")
                found = self._take(int(size))
                if index == wanted:
                    corners += found
                    sizes.append(len(found))
        return _indices(corners), np.array(sizes, np.int64)


class _BinaryRows:
    """Elements of a binary ply."""

    def __init__(self, body: bytes, position: int, order: Literal["<", ">"]) -> None:
        self.body, self.position, self.order = body, position, order

    def _read(self, kind: str | np.dtype, count: int) -> np.ndarray:
        dtype = np.dtype(kind).newbyteorder(self.order)
        start, self.position = self.position, self.position + count * dtype.itemsize
        if count < 0 or self.position > len(self.body):
            raise _Damaged("ends before all that its header tells")
        return np.frombuffer(self.body, dtype, count, start)

    def values(self, element: _Element) -> np.ndarray:
        columns = _columns(element)
        rows = self._read(np.dtype([(f"p{i}", p.type) for i, p in enumerate(element.properties)]), element.count)
        return np.stack([rows[f"p{i}"] for i in columns], axis=1).astype(np.float64)

    def lists(self, element: _Element) -> tuple[np.ndarray, np.ndarray]:
        wanted = _corner_list(element)
        none = np.empty(0, np.int64), np.empty(0, np.int64)
        if not element.count or not element.properties:
            return none
        equal = self._equal_rows(element)
        if equal is not None:
            if wanted < 0:
                return none
            found = equal[f"p{wanted}"]
            return found.astype(np.int64).ravel(), np.full(len(found), found.shape[1], np.int64)
        corners, sizes = [], []
        for _ in range(element.count):
            for index, item in enumerate(element.properties):
                size = int(self._read(item.length, 1)[0]) if item.length else 1
                values = self._read(item.type, size)
                if index == wanted:
                    corners.append(values)
                    sizes.append(size)
        return np.concatenate(corners or [np.empty(0)]).astype(np.int64), np.array(sizes, np.int64)

    def _equal_rows(self, element: _Element) -> np.ndarray | None:
        """All rows at once where every list is as long as in the first row, as in meshes of triangles."""
        start = self.position
        fields: list[tuple] = []
        for index, item in enumerate(element.properties):
            size = int(self._read(item.length, 1)[0]) if item.length else 1
            self._read(item.type, size)
            fields += [(f"n{index}", item.length)] if item.length else []
            fields += [(f"p{index}", item.type, (size,))]
        row = self.position - start
        self.position = start
        if start + row * element.count > len(self.body):
            return None
        rows = self._read(np.dtype(fields), element.count)
        lengths = [(rows[f"n{i}"], rows[f"p{i}"].shape[1]) for i, p in enumerate(element.properties) if p.length]
        if all((found == expected).all() for found, expected in lengths):
            return rows
        self.position = start
        return None


def _read_obj(content: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if b"\x00" in content[:1000]:
        raise _Damaged("is neither ply nor obj")
    points: list[bytes] = []
    corners: list[bytes] = []
    sizes: list[int] = []
    seen: list[int] = []  # vertices above each face: negative numbers count back from there
    for line in content.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == b"v":
            if len(words) < 4:
                raise _Damaged(f"has the line {line[:80]!a}, which is no vertex")
            points += words[1:4]
        elif words[0] == b"f":
            corners += [word.partition(b"/")[0] for word in words[1:]]
            sizes.append(len(words) - 1)
            seen.append(len(points) // 3)
    numbers, counts = _indices(corners), np.array(sizes, np.int64)
    if (numbers == 0).any():
        raise _Damaged("has a face of vertex 0; obj counts from 1")
    above = np.repeat(np.array(seen, np.int64), counts)
    return _numbers(points).reshape(-1, 3), np.where(numbers > 0, numbers - 1, above + numbers), counts


def _numbers(words: list[bytes]) -> np.ndarray:
    return _parsed(words, np.dtype(np.float64), "has coordinates that are no numbers")


def _indices(words: list[bytes]) -> np.ndarray:
    return _parsed(words, np.dtype(np.int64), "has a face whose corners are no numbers")


def _parsed(words: list[bytes], dtype: np.dtype, otherwise: str) -> np.ndarray:
    if max(map(len, words), default=0) > _LONGEST:  # an array of words is as wide as the longest
        raise _Damaged(otherwise)
    try:
        return np.array(words, "S").astype(dtype) if words else np.empty(0, dtype)
    except (ValueError, OverflowError):
        raise _Damaged(otherwise) from None
