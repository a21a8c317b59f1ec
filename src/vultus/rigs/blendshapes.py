"""Blendshapes: vertices = template + sum over k of weight_k x delta_k.

Letters: T motion frames, K blendshapes, V vertices. Lengths in metres; weights without unit, in [0, 1].
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from vultus.errors import VultusError, unknown_name
from vultus.topology import Template, Topology


class BlendshapeRig:
    """A linear rig whose motion is one weight for each named shape.

    Attributes:
        name: short name of the rig.
        names: the K shapes, in the order of the motion's columns.
        deltas: (K, V, 3) float32, metres; what weight 1 adds to the template.
        topology: the mesh that the deltas are for.
    """

    def __init__(self, name: str, names: tuple[str, ...], deltas: np.ndarray, topology: Topology) -> None:
        expected = (len(names), topology.num_vertices, 3)
        if deltas.shape != expected:
            raise VultusError(f"deltas of rig '{name}' have shape {deltas.shape}; expected {expected}")
        if len(set(names)) != len(names):
            raise VultusError(f"rig '{name}' names a shape twice; expected distinct names")
        self.name = name
        self.names = tuple(names)
        self.deltas = np.ascontiguousarray(deltas, np.float32)
        self.topology = topology
        self.dimension = len(self.names)

    @property
    def matrix(self) -> np.ndarray:
        """(K, 3V) float32: the deltas flattened; a view, not a copy."""
        return self.deltas.reshape(self.dimension, -1)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def index(self, shape: str) -> int:
        """The column of a shape; VultusError with near misses where it is unknown."""
        if shape not in self._index:
            raise unknown_name("blendshape", shape, self.names)
        return self._index[shape]

    def weights(self, **values: float) -> np.ndarray:
        """(K,) float32 with the named weights set: `rig.weights(jawOpen=0.5)`."""
        out = np.zeros(self.dimension, np.float32)
        for shape, value in values.items():
            out[self.index(shape)] = value
        return out

    def vertices(self, motion: np.ndarray, template: Template) -> np.ndarray:
        """(T, K) weights -> (T, V, 3) float32 metres.

        Raises:
            VultusError: the motion or the template is of another size.
        """
        motion = np.asarray(motion, np.float32)
        if motion.ndim != 2 or motion.shape[1] != self.dimension:
            raise VultusError(f"motion has shape {motion.shape}; rig '{self.name}' expects (frames, {self.dimension})")
        if template.vertices.shape != self.deltas.shape[1:]:
            raise VultusError(
                f"template has vertices of shape {template.vertices.shape}; rig '{self.name}' expects "
                f"{self.deltas.shape[1:]}; use a template of the same topology"
            )
        out = motion @ self.matrix  # one BLAS call for all frames
        out += template.vertices.reshape(1, -1)
        return out.reshape(len(motion), *self.deltas.shape[1:])
