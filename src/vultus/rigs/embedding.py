"""The rig of a tied linear mesh embedding: vertices = template + alpha W^T z (Wu et al. 2023, equation 3)."""

from __future__ import annotations

import numpy as np

from vultus.topology import Template


class EmbeddingRig:
    """Codes z (T, C) -> vertices, for faces of any topology.

    Args:
        matrix: alpha W^T, transposed: (C, 3V), metres for each unit of z.
    """

    name = "embedding"

    def __init__(self, matrix: np.ndarray):
        self.matrix = np.asarray(matrix, np.float32)
        self.dimension = len(self.matrix)

    def vertices(self, motion: np.ndarray, template: Template) -> np.ndarray:
        """(T, C) -> (T, V, 3) float32, metres."""
        offsets = np.asarray(motion, np.float32) @ self.matrix
        return offsets.reshape(len(motion), -1, 3) + template.vertices
