"""The inside of a stranger's .glb: its JSON, and its accessors as arrays, each checked before a byte is allocated.

The binary chunk is mapped, not read, and every reading names which elements it wants, so that no count in the file
decides about memory.

Source: Khronos, glTF 2.0 specification, sections 3.6 (buffers, accessors, sparse accessors) and 4 (GLB).
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from vultus.errors import VultusError

_MAX_JSON = 16_000_000
"""Bytes of JSON: a head with 55 shapes has one of about a megabyte; Python's objects take forty times as much."""

_BLOCK = 1 << 16
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_INDICES = {5121: "<u1", 5123: "<u2", 5125: "<u4"}
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class GlbFile:
    """A .glb, open for reading.

    Attributes:
        path: for errors.
        json: the document.

    Raises:
        VultusError: no GLB of version 2, a cut or damaged one, JSON that is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: dict[int, list[dict[str, Any]]] = {}
        try:
            size = path.stat().st_size
            with open(path, "rb") as file:
                text, start, length = self._chunks(file, size)
            self._bin = np.memmap(path, np.uint8, "r", start, (length,)) if length else np.zeros(0, np.uint8)
        except OSError as error:
            raise VultusError(f"{path}: cannot be read ({error.strerror or error}); check the name") from None
        try:
            self.json = json.loads(text.decode("utf-8"), parse_constant=self._no_number)
        except (ValueError, RecursionError) as error:
            if isinstance(error, VultusError):
                raise
            self.refuse("its JSON chunk is not JSON")
        if not isinstance(self.json, dict):
            self.refuse("its JSON chunk is no object")

    def _chunks(self, file: Any, size: int) -> tuple[bytes, int, int]:
        """The JSON text, and where the binary chunk starts and how long it is (0 where there is none)."""
        header = file.read(20)
        if len(header) < 20 or header[:4] != b"glTF":
            self.refuse("is no .glb (it does not start with 'glTF')")
        version, total, length, kind = struct.unpack("<IIII", header[4:])
        if version != 2:
            self.refuse(f"has glTF version {version}; expected 2")
        if total > size or kind != 0x4E4F534A or 20 + length > total:
            self.refuse(f"is cut or damaged ({size} bytes of {max(total, 20 + length)})")
        if length > _MAX_JSON:
            self.refuse(f"has {length / 1e6:.0f} MB of JSON; at most {_MAX_JSON / 1e6:.0f} are read")
        text = file.read(length)
        rest = file.read(8)
        if len(rest) < 8:
            return text, 0, 0
        long, kind = struct.unpack("<II", rest)
        if kind != 0x004E4942:
            return text, 0, 0
        if 28 + length + long > total:
            self.refuse("is cut or damaged: its binary chunk reaches beyond the file")
        return text, 28 + length, long

    def refuse(self, why: str) -> NoReturn:
        """Raises VultusError: the file, what is wrong, what is expected."""
        if ";" not in why:
            why += "; expected a whole .glb with an animation of morph targets"
        raise VultusError(f"{self.path}: {why}")

    def _no_number(self, name: str) -> NoReturn:
        self.refuse(f"its JSON holds {name}, which is no number")

    def objects(self, holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
        """A list of objects under a key, empty where it is missing."""
        found = holder.get(key, [])
        if id(found) in self._seen:  # looked through once: a file may point to a long list from everywhere
            return self._seen[id(found)]
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self.refuse(f"'{key}' is no list of objects")
        if key in holder:
            self._seen[id(found)] = found
        return found

    def number(self, holder: dict[str, Any], key: str, top: int, default: int | None = None) -> int:
        """A whole number in [0, top) under a key."""
        value = holder.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < top:
            self.refuse(f"'{key}' is {str(value)[:20]}; expected a whole number from 0 to {top - 1}")
        return value

    def child(self, holder: dict[str, Any], key: str) -> dict[str, Any]:
        """An object under a key."""
        value = holder.get(key)
        if not isinstance(value, dict):
            self.refuse(f"'{key}' is missing or no object")
        return value

    def count(self, index: int) -> int:
        """How many elements an accessor says it has."""
        accessors = self.objects(self.json, "accessors")
        if not 0 <= index < len(accessors):
            self.refuse(f"accessor {index} is not there")
        return self.number(accessors[index], "count", 1 << 32)

    def read(self, index: int, kind: str, stop: int, start: int = 0) -> np.ndarray:
        """Elements start .. stop - 1 of an accessor as float64: (n,) for SCALAR, else (n, width).

        Raises:
            VultusError: another type than `kind`; whole numbers that are not normalised; anything beyond its buffer;
                values that are not finite.
        """
        total = self.count(index)
        accessor = self.objects(self.json, "accessors")[index]
        if accessor.get("type") != kind:
            self.refuse(f"accessor {index} has type {str(accessor.get('type'))[:20]}; expected {kind}")
        width, component = _WIDTH[kind], accessor.get("componentType")
        dtype = self._dtype(component, _COMPONENTS)
        if dtype.kind != "f" and accessor.get("normalized") is not True:
            self.refuse(f"accessor {index} holds whole numbers that are not normalised; expected floats")
        if dtype.itemsize == 4 and dtype.kind == "u":
            self.refuse(f"accessor {index} has component type {component}; expected floats or normalised short numbers")
        stop = min(total, stop)
        if "bufferView" in accessor:
            values = np.array(self._view(accessor, dtype, width, total)[start:stop])
        elif "sparse" in accessor:
            values = np.zeros((stop - start, width), dtype)
        else:
            self.refuse(f"accessor {index} has no data")
        if "sparse" in accessor:
            self._fill(values, start, self.child(accessor, "sparse"), total)
        out = values.astype(np.float64)
        if dtype.kind != "f":
            out = np.maximum(out / np.iinfo(dtype).max, -1.0)
        if not np.isfinite(out).all():
            self.refuse(f"accessor {index} holds a value that is not a finite number; expected finite ones")
        return out[:, 0] if kind == "SCALAR" else out

    def _dtype(self, component: Any, known: dict[int, str]) -> np.dtype:
        if not isinstance(component, int) or component not in known:
            self.refuse(f"component type {str(component)[:20]} is none of {', '.join(map(str, known))}")
        return np.dtype(known[component])

    def _fill(self, values: np.ndarray, first: int, sparse: dict[str, Any], total: int) -> None:
        """Puts in what a sparse accessor of `total` elements replaces; `values` are its elements from `first` on."""
        count = self.number(sparse, "count", total + 1)
        indices, told = self.child(sparse, "indices"), self.child(sparse, "values")
        places = self._view(indices, self._dtype(indices.get("componentType"), _INDICES), 1, count)[:, 0]
        new = self._view(told, values.dtype, values.shape[1], count)
        for start in range(0, count, _BLOCK):
            here = places[start : start + _BLOCK].astype(np.int64)
            if here.max() >= total or (np.diff(here) <= 0).any():
                self.refuse("a sparse accessor names elements that are not there, or out of order")
            here -= first
            inside = (here >= 0) & (here < len(values))
            values[here[inside]] = new[start : start + _BLOCK][inside]

    def _view(self, holder: dict[str, Any], dtype: np.dtype, width: int, total: int) -> np.ndarray:
        """(total, width): the elements that `holder` (an accessor or a part of one) has in its view, not copied."""
        views = self.objects(self.json, "bufferViews")
        view = views[self.number(holder, "bufferView", len(views))]
        if isinstance(view.get("extensions"), dict) and view["extensions"]:
            self.refuse(f"its data are packed with {', '.join(view['extensions'])[:60]}; export it without compression")
        buffer = self._buffer(self.number(view, "buffer", len(self.objects(self.json, "buffers"))))
        start = self.number(view, "byteOffset", len(buffer) + 1, 0)
        length = self.number(view, "byteLength", len(buffer) - start + 1)
        offset = self.number(holder, "byteOffset", length + 1, 0)
        size = dtype.itemsize * width
        stride = self.number(view, "byteStride", 1 << 16, size)
        if stride < size or (total and offset + (total - 1) * stride + size > length):
            self.refuse(f"{total} elements reach beyond their buffer view of {length} bytes")
        return np.ndarray((total, width), dtype, buffer, start + offset, (stride, dtype.itemsize))

    def _buffer(self, index: int) -> np.ndarray:
        buffer = self.objects(self.json, "buffers")[index]
        uri = buffer.get("uri")
        if uri is None and index == 0:
            return self._bin
        if isinstance(uri, str) and uri.startswith("data:") and ";base64," in uri[:100]:
            try:
                return np.frombuffer(base64.b64decode(uri.partition(",")[2], validate=True), np.uint8)
            except (binascii.Error, ValueError):
                self.refuse(f"buffer {index} is not base64")
        self.refuse(f"keeps its data in another file ({str(uri)[:40]}); export it as one self-contained .glb")
