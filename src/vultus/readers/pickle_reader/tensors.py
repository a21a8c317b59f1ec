"""torch tensors as plain `pickle.dump` writes them, read without torch: they become numpy arrays.

Such a tensor is a call of `_rebuild_tensor_v2` with a storage, an offset, sizes and strides. The storage is a bytes
object, the old form of a torch.save file: five pickles (a magic number, a version, facts of the machine, the storage by
a persistent id, the list of keys), then a count and the numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vultus.readers.pickle_reader.arrays import COPIED, as_buffer, as_shape
from vultus.readers.pickle_reader.base import Budget, Name, Refused, Unfinished
from vultus.readers.pickle_reader.machine import Machine

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1",
    "Byte": "u1", "Bool": "?", "ComplexFloat": "<c8", "ComplexDouble": "<c16",
}  # fmt: skip
#: Names inside the bytes of a storage: classes of storages alone.
_STORAGES = {("torch", f"{kind}Storage"): Name(f"torch.{kind}Storage") for kind in _TYPES}


@dataclass(frozen=True, slots=True, eq=False)
class Storage(Unfinished):
    """The numbers of one or several tensors, in a row."""

    values: np.ndarray
    told: str = "a torch storage without a tensor"


def _by_persistent_id(found: Any) -> Storage:
    if not isinstance(found, tuple) or len(found) not in (5, 6) or found[0] != "storage":
        raise Refused("refers to an object outside itself that is no torch storage")
    kind, count = found[1], found[4]
    if not isinstance(kind, Name) or not isinstance(count, int) or any(part is not None for part in found[5:]):
        raise Refused("holds a torch storage of an unknown form")
    dtype = np.dtype(_TYPES[kind.told.removeprefix("torch.").removesuffix("Storage")])
    return Storage(np.empty(0, dtype))


def load_from_bytes(arguments: tuple, budget: Budget) -> Storage:
    """The storage in a bytes object."""
    data = memoryview(as_buffer(arguments[0], budget))
    parts, position = [], 0
    for _ in range(5):
        machine = Machine(data, _STORAGES, budget, position, _by_persistent_id)
        parts.append(machine.run())
        position = machine.position
    magic, version, system, storage, keys = parts
    if magic != _MAGIC or version != _VERSION or not isinstance(system, dict) or not system.get("little_endian"):
        raise Refused("holds a torch storage of an unknown form")
    if not isinstance(storage, Storage) or not isinstance(keys, list) or len(keys) != 1:
        raise Refused("holds something else where a torch storage is expected")
    dtype = storage.values.dtype
    count = int.from_bytes(data[position : position + 8], "little", signed=True)
    body = data[position + 8 :]
    if count < 0 or count * dtype.itemsize != len(body):
        raise Refused(f"holds a torch storage of {len(body)} bytes that says it has {count} numbers of {dtype}")
    return Storage(np.frombuffer(body, dtype) if count else storage.values)


def rebuild_tensor(arguments: tuple, budget: Budget) -> np.ndarray:
    """A tensor of a storage as an array; views that overlap or reach outside of the storage are refused."""
    storage, offset, size, stride = arguments[:4]
    if not isinstance(storage, Storage) or not isinstance(offset, int) or offset < 0:
        raise Refused("makes a torch tensor of something that is no storage")
    shape, steps, values = as_shape(size), as_shape(stride), storage.values
    count = math.prod(shape)
    if len(shape) != len(steps) or count > len(values):
        raise Refused("holds a torch tensor that is larger than its storage")
    if count == 0:
        return np.empty(shape, values.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if last >= len(values):
        raise Refused("holds a torch tensor that reaches outside of its storage")
    strides = tuple(step * values.itemsize for step in steps)
    array = np.lib.stride_tricks.as_strided(values[offset:], shape, strides, writeable=False)
    if array.nbytes < COPIED:
        budget.take(array.nbytes + 128)
        array = array.copy()
    return array
