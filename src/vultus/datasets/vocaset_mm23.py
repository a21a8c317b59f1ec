"""VOCASET in the layout that the code of MM'23 reads (Wu et al., Speech-Driven 3D Face Animation with Composite and
Regional Facial Movements, ACM Multimedia 2023).

    ROOT/verts_data.pkl                     subject -> sentence -> torch tensor (T, 5023, 3), 60 frames per second
    ROOT/audio/<subject>/<sentence>.wav
    ROOT/templates/<subject>.ply            neutral face and triangles

The coordinates are in metres. Beside them lie face_axis_mean.npy and face_axis_std.npy, by which that code normalises
while training, and masks; both are not needed to read the data. The tensors are read without torch and are views of
the file: it has several gigabytes and opens at once. See docs/datasets/vocaset.md.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from vultus.datasets.base import Finding, missing
from vultus.datasets.vocaset_layout import (
    OBTAIN,
    SUBJECTS,
    Motion,
    Sound,
    VocasetLayout,
    as_template,
    as_vertices,
    check_layout,
    find_topology,
    text_keys,
)
from vultus.readers.mesh_files import read_mesh
from vultus.readers.safe_pickle import load_pickle
from vultus.topology import Template

PARTS = ("verts_data.pkl", "audio", "templates")
MASKS = ("mouth_weight_mask.npy", "upper_weight_mask.npy")
"""Regions of the paper, in its author's download alone; where they lie in the folder, the check says so."""


class VocasetMM23(VocasetLayout):
    """The folder on disk.

    Args:
        root: folder that holds verts_data.pkl, audio/ and templates/.
        protocol: whose splits: "mm23" (test: sentences 1 to 40), "voca" (test: 21 to 40), "faceformer" (the same,
            scored at 30 frames per second).
        mesh: a .ply or .obj of FLAME's topology, for the triangles; by default the first neutral face.

    Raises:
        VultusError: a part is missing or damaged, the pickle holds more than data, nothing usable, unknown protocol.
    """

    name = "vocaset_mm23"

    def __init__(self, root: str | Path, *, protocol: str = "mm23", mesh: str | Path | None = None) -> None:
        folder = Path(root)
        absent = [part for part in PARTS if not (folder / part).exists()]
        if absent:
            expected = f"verts_data.pkl, audio/ and templates/, the layout of the MM'23 code (data: {OBTAIN})"
            raise missing(self.name, folder, f"no {', no '.join(absent)}", expected)
        table = text_keys(load_pickle(folder / "verts_data.pkl", what=self.name), f"{self.name}: verts_data.pkl")
        self._tensors = {s: text_keys(table[s], f"{self.name}: verts_data.pkl: {s}") for s in SUBJECTS if s in table}
        self._folder = folder
        topology = find_topology(self.name, folder, mesh)
        templates: dict[str, Template] = {}
        for subject in SUBJECTS:
            path = folder / "templates" / f"{subject}.ply"
            if path.is_file():
                templates[subject] = as_template(read_mesh(path)[0], topology, f"{self.name}: '{path}'")
        super().__init__(folder, protocol, self._motion, self._sound, templates)
        masks = [mask for mask in MASKS if (folder / mask).is_file()]
        if masks:
            self.notes.append(f"{', '.join(masks)}: the paper's regions; a benchmark can take them as its regions")

    def _motion(self, subject: str, sentence: str) -> Motion | None:
        tensor = self._tensors.get(subject, {}).get(sentence)
        if tensor is None:
            return None
        what = f"{self.name}: verts_data.pkl: {subject}_{sentence}"
        return Motion(lambda: len(as_vertices(tensor, what)), functools.partial(_read, tensor, what))

    def _sound(self, subject: str, sentence: str) -> Sound | None:
        return Sound.file(self._folder / "audio" / subject / f"{sentence}.wav")


def _read(tensor: Any, what: str) -> np.ndarray:
    """The tensor; a copy where its place in the file is no multiple of four bytes, which compiled code needs."""
    return np.require(as_vertices(tensor, what), requirements="A")


def check(
    root: str | Path, protocol: str = "mm23", mesh: str | Path | None = None, *, durations: bool = True
) -> list[Finding]:
    """What is at `root`, what is missing and how to obtain it, durations against motion; raises nothing."""
    folder = Path(root)
    there = {
        "verts_data.pkl": (folder / "verts_data.pkl").is_file(),
        "audio/": (folder / "audio").is_dir(),
        "templates/": (folder / "templates").is_dir(),
    }
    return check_layout(there, lambda: VocasetMM23(root, protocol=protocol, mesh=mesh), durations)
