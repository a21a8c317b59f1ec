"""Reads pickles of plain data and runs nothing: the files of official releases are pickles from strangers.

    templates = load_pickle("templates.pkl", what="vocaset: templates.pkl")

A pickle is a program for a small stack machine that may call anything that it names. Here a machine of our own reads
it: where a program names a class, a builder of ours makes plain data in its place, or the file is refused. Read are
None, numbers, text, bytes, list, tuple, set, dict, OrderedDict, defaultdict, numpy arrays and scalars (old and new
names, protocols 0 to 5, Python 2 as latin1), torch tensors written by plain pickle (they become numpy arrays; torch is
not needed), scipy.sparse csc and csr matrices (SparseMatrix), chumpy arrays (ChumpyArray).

Arrays of 1 MiB and more are read-only views of the file, so a pickle of many gigabytes opens at once.
"""

from __future__ import annotations

import math
import mmap
import struct
import tokenize
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.readers.pickle_reader.arrays import ChumpyArray, SparseMatrix
from vultus.readers.pickle_reader.base import Budget, Refused
from vultus.readers.pickle_reader.machine import Machine, finished
from vultus.readers.pickle_reader.names import NAMES

__all__ = ["ChumpyArray", "SparseMatrix", "load_npy", "load_pickle", "to_array"]

_MAPPED = 16 << 20  # bytes from which a file is mapped, not read
_DAMAGED = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RecursionError, SyntaxError,
    TypeError, ValueError, struct.error, tokenize.TokenError,
)  # fmt: skip
_STEP = "nothing in it was run; obtain the file anew from its official source"


def load_pickle(path: str | Path, *, what: str) -> Any:
    """The object of a pickle file, made of plain data.

    Args:
        path: the file.
        what: the subject of error messages, such as "vocaset: templates.pkl".

    Returns:
        Containers, numbers and text as they were written (a bytearray as bytes); numpy arrays and torch tensors as
        numpy arrays, read-only views of the file where they have 1 MiB or more; SparseMatrix and ChumpyArray, see
        `to_array`.

    Raises:
        VultusError: no such file, no pickle, a damaged one, one that names anything else (the message tells the name),
            one that would unpack to far more than its size. Nothing that the file names is imported or run.
    """
    path = Path(path)
    return _run(_content(path, what), f"{what}: '{path}'")


def load_npy(path: str | Path, *, what: str) -> np.ndarray:
    """The array of a .npy file: memory-mapped, or, where it holds objects, read by the rules of `load_pickle`.

    Args:
        path: the file.
        what: the subject of error messages.

    Raises:
        VultusError: no such file, no .npy, a damaged one, or objects that are no plain data.
    """
    path = Path(path)
    subject = f"{what}: '{path}'"
    if not path.is_file():
        raise VultusError(f"{what}: no file '{path}'; expected a .npy of the official release")
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            start = file.tell()
        if not dtype.hasobject:
            array: np.ndarray = np.load(path, mmap_mode="r" if math.prod(shape) else None, allow_pickle=False)
            return array
    except _DAMAGED as error:
        raise VultusError(f"{subject}: cannot be read as .npy ({_reason(error)}); {_STEP}") from None
    if dtype != np.dtype(object):
        raise VultusError(f"{subject}: holds fields of objects; expected an array; {_STEP}")
    found = _run(_content(path, what)[start:], subject)
    if not isinstance(found, np.ndarray) or found.dtype != dtype or found.shape != shape:
        raise VultusError(f"{subject}: holds another array than its header says; {_STEP}")
    return found


def to_array(value: Any, what: str) -> np.ndarray:
    """A number, an array, a ChumpyArray or a SparseMatrix of a pickle as a plain array of numbers.

    Args:
        value: what `load_pickle` gave.
        what: the subject of the error message.

    Raises:
        VultusError: it is no array of numbers.
    """
    plain = isinstance(value, (np.ndarray, np.generic, ChumpyArray, SparseMatrix, int, float))
    array = np.asarray(value) if plain else np.empty(0, object)
    if array.dtype.kind not in "biufc":
        found = f"an array of {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise VultusError(f"{what}: is {found}; expected an array of numbers")
    return array


def _content(path: Path, what: str) -> memoryview:
    """The bytes of a file, mapped where they are many."""
    try:
        if not path.is_file():
            raise VultusError(f"{what}: no file '{path}'; expected a pickle or .npy of the official release")
        size = path.stat().st_size
        if size < _MAPPED:
            return memoryview(path.read_bytes())
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise VultusError(f"{what}: '{path}' cannot be read ({_reason(error)}); check its permissions") from None


def _run(data: memoryview, subject: str) -> Any:
    if data[:4] == b"PK\x03\x04":
        raise VultusError(f"{subject}: is an archive (of torch.save or numpy); expected a plain pickle of the release")
    budget = Budget(len(data))
    try:
        return finished(Machine(data, NAMES, budget).run(), budget)
    except Refused as refusal:
        raise VultusError(f"{subject}: {_reason(refusal)}; expected a pickle of plain data; {_STEP}") from None
    except _DAMAGED as error:
        raise VultusError(f"{subject}: is damaged or no pickle ({_reason(error)}); {_STEP}") from None


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:300] or type(error).__name__
