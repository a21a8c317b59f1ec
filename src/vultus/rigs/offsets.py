"""Offsets: the motion is the vertices minus the template, flattened. Letters: T motion frames, V vertices."""

from __future__ import annotations

import numpy as np

from vultus.errors import VultusError
from vultus.topology import Template


class OffsetsRig:
    """The rig of methods that predict vertices: motion (T, 3V), metres, in the order x0 y0 z0 x1 ...

    Args:
        num_vertices: V.
    """

    name = "offsets"

    def __init__(self, num_vertices: int) -> None:
        if num_vertices < 1:
            raise VultusError(f"rig 'offsets' has {num_vertices} vertices; expected at least 1")
        self.num_vertices = num_vertices
        self.dimension = 3 * num_vertices

    def vertices(self, motion: np.ndarray, template: Template) -> np.ndarray:
        """(T, 3V) offsets -> (T, V, 3) float32 metres.

        Raises:
            VultusError: the motion or the template is of another size.
        """
        motion = np.asarray(motion, np.float32)
        if motion.ndim != 2 or motion.shape[1] != self.dimension:
            raise VultusError(f"motion has shape {motion.shape}; rig 'offsets' expects (frames, {self.dimension})")
        if template.vertices.shape != (self.num_vertices, 3):
            raise VultusError(
                f"template has vertices of shape {template.vertices.shape}; rig 'offsets' expects "
                f"({self.num_vertices}, 3); use a template of the same topology"
            )
        return motion.reshape(len(motion), self.num_vertices, 3) + np.asarray(template.vertices, np.float32)

    def motion(self, vertices: np.ndarray, template: Template) -> np.ndarray:
        """The inverse: (T, V, 3) vertices -> (T, 3V) float32 offsets."""
        vertices = np.asarray(vertices, np.float32)
        if vertices.ndim != 3 or vertices.shape[1:] != (self.num_vertices, 3):
            raise VultusError(
                f"vertices have shape {vertices.shape}; rig 'offsets' expects (frames, {self.num_vertices}, 3)"
            )
        return (vertices - np.asarray(template.vertices, np.float32)).reshape(len(vertices), self.dimension)
