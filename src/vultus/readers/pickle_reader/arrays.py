"""Arrays in pickles: numpy's arrays, types and scalars, scipy.sparse matrices and chumpy arrays, built by us.

Every size that a file states is checked against the bytes that it really holds before anything is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.readers.pickle_reader.base import Budget, Name, Refused, Unbuilt, shown

#: Arrays of fewer bytes are copied (writable, aligned); larger ones stay views of the file.
COPIED = 1 << 20
_MAX_DENSE = 1 << 30  # bytes of a sparse matrix written out; FLAME's has 200 kB
_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|f1[26]|c8|c16|c24|c32|[SU][1-9]\d{0,8}|O[48]?")


def unbuilt(told: str, finish: Callable[[Any, Budget], Any]) -> Callable[[tuple, Budget], Unbuilt]:
    """A builder that ignores its arguments and waits for the state."""
    return lambda arguments, budget: Unbuilt(told, finish, [])


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """What a scipy.sparse matrix holds; checked, without scipy.

    Attributes:
        layout: "csc" or "csr".
        data, indices, indptr: as in scipy.
    """

    layout: str
    shape: tuple[int, int]
    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray

    def toarray(self) -> np.ndarray:
        """The whole matrix, zeros included; VultusError where that takes more than 1 GiB."""
        if math.prod(self.shape) * self.data.itemsize > _MAX_DENSE:
            raise VultusError(f"sparse matrix of shape {self.shape}: is too large to write out; expected under 1 GiB")
        dense = np.zeros(self.shape, self.data.dtype)
        major = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))
        used = self.indices[: len(major)]
        place = (used, major) if self.layout == "csc" else (major, used)
        np.add.at(dense, place, self.data[: len(major)])
        return dense

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.toarray(), dtype)


@dataclass(frozen=True, eq=False)
class ChumpyArray:
    """The value of a chumpy array; `r` is chumpy's own word for it."""

    r: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.r.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.r, dtype, copy=copy)


def as_buffer(raw: object, budget: Budget) -> bytes | memoryview:
    """Bytes of an array; Python 2 wrote them as text."""
    if isinstance(raw, str):
        budget.take(len(raw))
        return raw.encode("latin1")
    if isinstance(raw, (bytes, memoryview)):
        return raw
    raise Refused(f"gives {type(raw).__name__} where the bytes of an array are expected")


def as_shape(value: object) -> tuple[int, ...]:
    """A tuple of sizes, none negative."""
    sizes = (value,) if isinstance(value, int) else value
    if not isinstance(sizes, tuple) or not all(isinstance(n, (int, np.integer)) and n >= 0 for n in sizes):
        raise Refused(f"gives {shown(value)} where the shape of an array is expected")
    return tuple(int(n) for n in sizes)


def as_type(value: object) -> np.dtype:
    """A finished dtype."""
    if not isinstance(value, np.dtype):
        raise Refused("gives an array no type")
    return value


def make_array(raw: object, dtype: np.dtype, shape: tuple[int, ...], order: Any, budget: Budget) -> np.ndarray:
    """Bytes -> array; Refused unless they are exactly as many as shape and type need."""
    if dtype.kind == "O":
        if not isinstance(raw, list) or len(raw) != math.prod(shape):
            raise Refused(f"gives an array of shape {shape} another number of objects")
        budget.take(8 * len(raw))
        objects = np.empty(len(raw), object)
        for index, item in enumerate(raw):
            objects[index] = item
        return objects.reshape(shape, order=order)
    data = as_buffer(raw, budget)
    if math.prod(shape) * dtype.itemsize != len(data):
        raise Refused(f"gives {len(data)} bytes for an array of shape {shape} and type {dtype}")
    array = np.frombuffer(data, dtype) if len(data) else np.empty(0, dtype)
    if dtype.kind == "U" and (array.view(dtype.byteorder + "u4").max(initial=0) > 0x10FFFF):
        raise Refused("holds text that is no Unicode")
    array = array.reshape(shape, order=order)
    if array.nbytes < COPIED:
        budget.take(array.nbytes + 128)
        array = array.copy(order="K")
    return array


def _finish_array(state: Any, budget: Budget) -> np.ndarray:
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise Refused("gives an array a state that is none")
    shape, dtype, fortran, raw = state[-4:]
    return make_array(raw, as_type(dtype), as_shape(shape), "F" if fortran else "C", budget)


def from_buffer(arguments: tuple, budget: Budget) -> np.ndarray:
    raw, dtype, shape, order, *axes = arguments
    dtype = as_type(dtype)
    if dtype.kind == "O" or order not in ("C", "F", "K"):
        raise Refused("makes an array of bytes in an unknown way")
    array = make_array(raw, dtype, as_shape(shape), "F" if order == "F" else "C", budget)
    return array.transpose(as_shape(axes[0])) if order == "K" and axes and axes[0] is not None else array


def reconstruct(arguments: tuple, budget: Budget) -> Unbuilt:
    kind = arguments[0]
    if not isinstance(kind, Name) or kind.told not in ("numpy.ndarray", "numpy.memmap"):
        raise Refused(f"names {getattr(kind, 'told', 'no class')} as the class of an array")
    return Unbuilt("an array without content", _finish_array, [])


def dtype(arguments: tuple, budget: Budget) -> Unbuilt:
    code = arguments[0]
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise Refused(f"names the array type {shown(code)}")

    def finish(state: Any, budget: Budget) -> np.dtype:
        plain = isinstance(state, tuple) and len(state) >= 5 and state[1] in ("<", ">", "=", "|")
        if not plain or any(part is not None for part in state[2:5]) or any(state[8:]):
            raise Refused("names an array type that is not plain")
        return np.dtype("O" if code[0] == "O" else code).newbyteorder(state[1])

    return Unbuilt("an array type", finish, [])


def scalar(arguments: tuple, budget: Budget) -> Any:
    dtype, raw = arguments
    dtype = as_type(dtype)
    if dtype.kind == "O":
        raise Refused("holds a numpy scalar of any object")
    return make_array(raw, dtype, (1,), "C", budget)[0]


def sparse(layout: str) -> Callable[[Any, Budget], SparseMatrix]:
    def finish(state: Any, budget: Budget) -> SparseMatrix:
        shape = as_shape(state["_shape"] if "_shape" in state else state["shape"])
        data, indices, starts = (state[key] for key in ("data", "indices", "indptr"))
        arrays = all(isinstance(a, np.ndarray) and a.ndim == 1 for a in (data, indices, starts))
        if not arrays or data.dtype.kind not in "biuf" or any(a.dtype.kind not in "iu" for a in (indices, starts)):
            raise Refused("holds a sparse matrix without numbers")
        major, minor = shape if layout == "csr" else shape[::-1]
        good = len(starts) == major + 1 and starts[0] == 0 and (np.diff(starts.astype(np.int64)) >= 0).all()
        good = good and int(starts[-1]) <= min(len(data), len(indices))
        if not good or indices.min(initial=0) < 0 or indices.max(initial=-1) >= minor:
            raise Refused("holds a sparse matrix whose indices are out of range")
        return SparseMatrix(layout, (shape[0], shape[1]), data, indices, starts)

    return finish


def _number_array(value: object) -> np.ndarray:
    array = value.r if isinstance(value, ChumpyArray) else value
    if not isinstance(array, (np.ndarray, np.generic, int, float)) or np.asarray(array).dtype.kind not in "biuf":
        raise Refused("holds a chumpy object without an array of numbers")
    return np.asarray(array)


def finish_chumpy(state: Any, budget: Budget) -> ChumpyArray:
    return ChumpyArray(_number_array(state["x"]))


def finish_select(state: Any, budget: Budget) -> ChumpyArray:
    source, places = _number_array(state["a"]), _number_array(state["idxs"])
    budget.take(source.itemsize * places.size + source.nbytes)
    chosen = source.ravel()[places.ravel()]
    return ChumpyArray(chosen.reshape(as_shape(state["preferred_shape"])) if "preferred_shape" in state else chosen)
