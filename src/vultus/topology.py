"""Topology (faces, named regions, what each part is made of) and Template (one neutral face on it).

Letters: V vertices, F triangles. Lengths in metres, +x the subject's left, +y up, +z out of the face.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from vultus.errors import unknown_name

#: Region names that every topology of ours carries where it can (docs/architecture.md, vocabulary).
REGIONS = ("lips", "upper_lip", "lower_lip", "upper_face", "lower_face", "eyelids", "jaw", "tongue", "teeth")


@dataclass(frozen=True, eq=False)
class Topology:
    """What stays the same for every face of a mesh.

    Attributes:
        faces: (F, 3) int32 triangles, counter-clockwise seen from outside.
        regions: name -> (n,) int32 sorted vertex numbers.
        parts: name -> (n,) int32 triangle numbers; every triangle belongs to exactly one part
            ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "tongue", "lashes", "mouth_inner").
        colours: (V, 3) float32 linear RGB base colour of each vertex in [0, 1], or None.
        name: short name ("head" for the shipped one).
    """

    faces: np.ndarray
    num_vertices: int
    regions: dict[str, np.ndarray] = field(default_factory=dict)
    parts: dict[str, np.ndarray] = field(default_factory=dict)
    colours: np.ndarray | None = None
    name: str = "mesh"

    def region(self, name: str) -> np.ndarray:
        """Vertex numbers of a region, (n,) int32; VultusError with near misses where it is unknown."""
        if name not in self.regions:
            raise unknown_name(f"region of topology '{self.name}'", name, self.regions)
        return self.regions[name]

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that tell one topology from another (vertex count and triangles)."""
        sha = hashlib.sha256(np.int64(self.num_vertices).tobytes())
        sha.update(np.ascontiguousarray(self.faces, dtype="<i4").tobytes())
        return sha.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Template:
    """One neutral face. vertices: (V, 3) float32, metres."""

    topology: Topology
    vertices: np.ndarray
