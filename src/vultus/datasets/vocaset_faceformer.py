"""VOCASET in the layout of FaceFormer, which CodeTalker, SelfTalk, FaceDiffuser and others share.

    ROOT/vertices_npy/<subject>_<sentence>.npy    (T, 15069), x y z of each vertex; stored at 60 frames per second
    ROOT/wav/<subject>_<sentence>.wav
    ROOT/templates.pkl                            subject -> (5023, 3) or flat
    ROOT/templates/FLAME_sample.ply               optional, for the triangles (or mesh=FILE)

ROOT is the folder of the data set (FaceFormer's vocaset/); a folder that holds it is taken as well. The published code
keeps every second frame on loading; here `vertices(fps=30)` does that. See docs/datasets/vocaset.md.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding, missing
from vultus.datasets.vocaset import read_templates
from vultus.datasets.vocaset_layout import (
    OBTAIN,
    Motion,
    Sound,
    VocasetLayout,
    as_vertices,
    check_layout,
    find_topology,
)
from vultus.readers.safe_pickle import load_npy

PARTS = ("vertices_npy", "wav", "templates.pkl")


class VocasetFaceFormer(VocasetLayout):
    """The folder on disk.

    Args:
        root: folder that holds vertices_npy/, wav/ and templates.pkl.
        protocol: whose splits: "faceformer" (test: sentences 21 to 40, scored at 30 frames per second), "voca" (the
            same at 60), "mm23" (test: sentences 1 to 40).
        mesh: a .ply or .obj of FLAME's topology, for the triangles.

    Raises:
        VultusError: a part is missing or damaged, a pickle holds more than data, nothing usable, unknown protocol.
    """

    name = "vocaset_faceformer"

    def __init__(self, root: str | Path, *, protocol: str = "faceformer", mesh: str | Path | None = None) -> None:
        folder = _folder(Path(root))
        absent = [part for part in PARTS if not (folder / part).exists()]
        if absent:
            expected = f"vertices_npy/, wav/ and templates.pkl, made by FaceFormer's process_voca_data.py ({OBTAIN})"
            raise missing(self.name, folder, f"no {', no '.join(absent)}", expected)
        self._folder = folder
        templates = read_templates(self.name, folder / "templates.pkl", find_topology(self.name, folder, mesh))
        super().__init__(folder, protocol, self._motion, self._sound, templates)

    def _motion(self, subject: str, sentence: str) -> Motion | None:
        path = self._folder / "vertices_npy" / f"{subject}_{sentence}.npy"
        read = functools.partial(_read, path)
        return Motion(lambda: len(read()), read) if path.is_file() else None

    def _sound(self, subject: str, sentence: str) -> Sound | None:
        return Sound.file(self._folder / "wav" / f"{subject}_{sentence}.wav")


def _folder(root: Path) -> Path:
    """The root itself, or the folder vocaset/ in it that FaceFormer's own tree has."""
    inner = root / "vocaset"
    return inner if not (root / "vertices_npy").exists() and (inner / "vertices_npy").exists() else root


def _read(path: Path) -> np.ndarray:
    return as_vertices(load_npy(path, what=VocasetFaceFormer.name), f"{VocasetFaceFormer.name}: '{path}'")


def check(
    root: str | Path, protocol: str = "faceformer", mesh: str | Path | None = None, *, durations: bool = True
) -> list[Finding]:
    """What is at `root`, what is missing and how to obtain it, durations against motion; raises nothing."""
    folder = _folder(Path(root))
    there = {
        "vertices_npy/": (folder / "vertices_npy").is_dir(),
        "wav/": (folder / "wav").is_dir(),
        "templates.pkl": (folder / "templates.pkl").is_file(),
    }
    return check_layout(there, lambda: VocasetFaceFormer(root, protocol=protocol, mesh=mesh), durations)
