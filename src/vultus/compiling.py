"""Compiled loops: numba with a disk cache wherever there is a place for it. Importing this file imports numba.

The cache lies beside the compiled file or in the user's cache folder; where no folder can be written every process
compiles anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(*signatures: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles for fixed types, with the disk cache where there is a place for it."""
    options = {"nogil": True, "error_model": "numpy", **options}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(list(signatures), cache=True, **options)(function)
        except (RuntimeError, OSError):  # no cache folder can be written, or the disk is full
            return numba.njit(list(signatures), **options)(function)

    return decorate
