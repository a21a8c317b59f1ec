"""One run of the exported coarse model along time: buffers that stay bound to its step graph.

Letters: N draws, A steps of a window, W width, H heads, d = W / H, L layers, K codes of a level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

NEVER = np.float32(-1e9)
"""Added to a score, it leaves a probability of exactly 0."""


@dataclass(frozen=True)
class CoarseSizes:
    """Sizes of the step graph.

    Attributes:
        width: W.
        heads: H.
        layers: L.
        kept: steps whose keys and values are kept, at least 1.
        remembers: False where a step sees itself alone, and what is kept is never looked at.
        around: steps to both sides that a window of conditions holds beyond its own.
        codes: K.
    """

    width: int
    heads: int
    layers: int
    kept: int
    remembers: bool
    around: int
    codes: int

    @property
    def head(self) -> int:
        """d."""
        return self.width // self.heads


class Lane:
    """N draws under one condition.

    Args:
        session: of the step graph.
        sizes: of it.
        draws: N.
    """

    def __init__(self, session: Any, sizes: CoarseSizes, draws: int) -> None:
        self._session, self._sizes, self._seen = session, sizes, 0
        # A lone row would be multiplied by other instructions than rows of many, and take 1 of 1 would differ from
        # take 1 of 4 in its last bits; so there are two at least.
        self._draws, rows = draws, max(2, draws)
        layers, heads, size, kept = sizes.layers, sizes.heads, sizes.head, sizes.kept
        self._keys = np.zeros((layers, rows, heads, size, kept), np.float32)
        self._values = np.zeros((layers, rows, heads, kept, size), np.float32)
        self._forgotten = np.full(kept, NEVER)
        self._past, self._step = np.zeros(rows, np.int64), np.zeros(1, np.int64)
        self._logits = np.empty((rows, sizes.codes), np.float32)
        new_shapes = (layers * rows, 1, sizes.width), (layers * rows, sizes.width)
        self._new = [np.empty(shape, np.float32) for shape in new_shapes]
        self._new_keys, self._new_values = (new.reshape(layers, rows, heads, size) for new in self._new)
        self._binding = session.io_binding()
        self._bind("past", self._past)
        self._bind("step", self._step)
        self._bind("forgotten", self._forgotten)
        for layer in range(layers):
            self._bind(f"keys_{layer}", self._keys[layer])
            self._bind(f"values_{layer}", self._values[layer])
        for name, buffer in (("logits", self._logits), ("new_keys", self._new[0]), ("new_values", self._new[1])):
            self._binding.bind_ortvalue_output(name, _wrap(buffer))
        self._names = {item.name for item in session.get_inputs()}

    def prepare(self, conditions: dict[str, np.ndarray]) -> None:
        """Conditions of a window (see `ProbabilisticGraphs`), whose first step stands in row `around`."""
        for name, values in conditions.items():
            if name in self._names:
                self._bind(name, values)

    def logits(self, step: int) -> np.ndarray:
        """(N, K) of a step of the window; overwritten by the next call."""
        self._step[0] = step + self._sizes.around
        self._session.run_with_iobinding(self._binding)
        if self._sizes.remembers:
            place = self._seen % self._sizes.kept
            self._keys[..., place] = self._new_keys
            self._values[..., place, :] = self._new_values
            self._forgotten[place] = 0.0
        self._seen += 1
        return self._logits[: self._draws]

    def went(self, codes: np.ndarray) -> None:
        """Tells which codes (N,) were drawn from the last logits."""
        self._past[: self._draws] = codes
        self._past[: self._draws] += 1

    def _bind(self, name: str, values: np.ndarray) -> None:
        self._binding.bind_ortvalue_input(name, _wrap(values))


def turns(places: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of rotary positions: (A,) -> (A, size / 2) float32 each; exact far into a long speech."""
    slowness = 10000.0 ** (np.arange(0, size, 2, dtype=np.float64) / size)
    angle = places.astype(np.float64)[:, None] / slowness
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _wrap(values: np.ndarray) -> Any:
    """A tensor that shares the array's memory."""
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(values)
