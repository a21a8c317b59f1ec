"""The contract of a rig: one motion space and its map to vertices."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from vultus.topology import Template


@runtime_checkable
class Rig(Protocol):
    """Motion (T, D) + Template -> vertices (T, V, 3) metres. Zero motion gives the template."""

    name: str
    dimension: int

    def vertices(self, motion: np.ndarray, template: Template) -> np.ndarray:
        """(T, D) -> (T, V, 3) float32."""
        ...
