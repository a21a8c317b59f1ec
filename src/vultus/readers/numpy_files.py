""".npy and .npz files of strangers: no pickles inside, and one clear error whatever is wrong with them."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vultus._decode import one_line
from vultus.errors import VultusError

_DAMAGED = (
    OSError, ValueError, EOFError, MemoryError, KeyError, TypeError, SyntaxError, NotImplementedError, struct.error,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error, RuntimeError,
)  # fmt: skip


def read_npy(path: Path, source: str, remedy: str, *, mapped: bool = True) -> np.ndarray:
    """The array of an .npy, memory-mapped or in memory.

    Args:
        source: begins the message: the name of the data set.
        remedy: ends it: the next step.
    """
    try:
        if mapped:
            return np.lib.format.open_memmap(path, mode="r")
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except _DAMAGED as error:
        raise VultusError(f"{source}: {path} cannot be read ({one_line(error)}); {remedy}") from None


def read_npz(path: Path, source: str, remedy: str, keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Those of the named arrays that an .npz holds."""
    try:
        # np.load leaves a file open that it cannot read; this one is closed whatever comes.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in keys if key in arrays.files}
    except (*_DAMAGED, AttributeError) as error:  # an .npy under this name has no files
        raise VultusError(f"{source}: {path} cannot be read ({one_line(error)}); {remedy}") from None
