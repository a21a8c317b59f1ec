"""Draws that several sampling strategies share, made once.

Draw d of take n depends on the seed, on n and on d alone (`methods/sampling.py`). So avg-10, knn-10-3, medoid-10 and
sync-10 of one speech and style are made of the same hundred draws, and a table of strategies need not make them anew.

Letters: n draws, T' steps, Q levels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

MOST = 100_000
"""Draws kept; a draw of 4 s takes about 1 kB."""
Draw = Callable[..., np.ndarray]


class RememberedDraws:
    """`Sampled.draw` that looks up what it has made.

    Args:
        draw: the model's own.
    """

    def __init__(self, draw: Draw) -> None:
        self.draw, self.made = draw, 0
        self._kept: dict[bytes, np.ndarray] = {}

    def __call__(
        self, heard: Any, style: Any, sampling: Any, noise: np.ndarray, coarse: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Sampled.draw`; with a coarse level given it is the model's own."""
        if coarse is not None:
            return self.draw(heard, style, sampling, noise, coarse)
        heat = (sampling.temperature, sampling.fine_temperature, sampling.top_k, sampling.top_p, sampling.guidance)
        common = hashlib.sha256(repr(heat).encode())
        for value in (heard, style):
            common.update(_bytes(value))
        keys = []
        for row in noise:
            own = common.copy()
            own.update(np.ascontiguousarray(row).tobytes())
            keys.append(own.digest())
        wanted = [place for place, key in enumerate(keys) if key not in self._kept]
        if len(self._kept) + len(wanted) > MOST:
            self._kept, wanted = {}, list(range(len(keys)))
        if wanted:
            for place, codes in zip(wanted, self.draw(heard, style, sampling, noise[wanted]), strict=True):
                self._kept[keys[place]] = np.asarray(codes)
            self.made += len(wanted)
        return np.stack([self._kept[key] for key in keys])


def remember_draws(network: Any) -> None:
    """Lets whatever `sampling.sample` is given as its model remember its draws."""
    if not isinstance(network.draw, RememberedDraws):
        network.draw = RememberedDraws(network.draw)


def _bytes(value: Any) -> bytes:
    """The content of an array, a tensor, or a tuple of such."""
    if isinstance(value, tuple | list):
        return b"".join(_bytes(part) for part in value)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.ascontiguousarray(value)
    if array.dtype == object:
        raise TypeError(f"{type(value).__name__}: not an array; its draws cannot be told from others")
    return repr((array.shape, array.dtype.str)).encode() + array.tobytes()
