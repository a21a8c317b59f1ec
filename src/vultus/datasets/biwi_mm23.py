"""BIWI as the code of "Speech-Driven 3D Face Animation with Composite and Regional Facial Movements" (MM'23) lays it
out.

    ROOT/audio/F1_e37_cut.wav
    ROOT/mesh_sequences/F1/e37.npy    (T, 23370, 3) or (T, 70110), 25 frames per second
    ROOT/templates/F1.ply

The code takes the three folders as options, so other names may be passed. Its meshes are published nowhere; the size of
the paper's numbers says that they were area-normalised, hence unit `area` where the template's surface is 1. Else the
unit is told by the head's height and the coordinates are given in metres, not turned.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding, Unit
from vultus.datasets.biwi import FPS, HEIGHTS, PAGE, PUBLISHED, SPEAKERS, SPLITS, read_neutral, split_of
from vultus.datasets.biwi_area import read_area, surface_area
from vultus.datasets.biwi_vl import NUM_VERTICES, sentence_of
from vultus.datasets.recorded import (
    FileSequence,
    ThreeFolders,
    check_recorded,
    file_sequence,
    metres_per_unit,
    read_array,
    read_scaled,
)
from vultus.topology import Template, Topology

MESH_FOLDERS = ("mesh_sequences", "meshes", "vertices_npy")
TEMPLATE_FOLDERS = ("templates", "template_regen", "template")


class BiwiMM23(ThreeFolders):
    """The MM'23 layout on disk. train, val and test_b are the paper's training, validation and test lists; the other
    splits, which that code leaves aside, are as in `Biwi`.

    Args:
        root: the code's --root_data_dir.
        audio: folder of sound under the root; by default audio.
        meshes: folder of motion; by default mesh_sequences, meshes or vertices_npy, whichever is there.
        templates: folder of neutral faces; by default templates, template_regen or template.

    Raises:
        VultusError: nothing usable at the root; a template whose size is plausible in no unit.
    """

    name = "biwi_mm23"
    mesh_folders, template_folders, order = MESH_FOLDERS, TEMPLATE_FOLDERS, SPLITS

    def _sequences(
        self, sounds: Path, meshes: Path, templates: Path, left_out: dict[str, str]
    ) -> Iterator[FileSequence]:
        topology: Topology | None = None
        for speaker in SPEAKERS:
            arrays = [a for a in sorted((meshes / speaker).glob("*.npy")) if sentence_of(a.with_suffix(""))]
            path = templates / f"{speaker}.ply"
            if not path.is_file():
                left_out |= {f"{speaker}_{array.stem}": "no neutral face of the speaker" for array in arrays}
                continue
            if not arrays:
                continue
            vertices, faces = read_neutral(path, NUM_VERTICES)
            topology = topology or Topology(faces, NUM_VERTICES, name="biwi")
            unit: Unit = "area" if abs(surface_area(vertices, faces) - 1) < 0.02 else "m"
            scale = 1.0
            if unit == "m":
                scale = metres_per_unit(f"biwi_mm23: '{path}'", vertices, *HEIGHTS, ("mm", "cm", "m"))
            template = Template(topology, (vertices * scale).astype(np.float32))
            for array in arrays:
                name = f"{speaker}_{array.stem}"
                if not (sound := sounds / f"{name}_cut.wav").is_file():
                    left_out[name] = "no sound"
                    continue
                yield file_sequence(
                    self.name, speaker, array.stem, split_of(speaker, array.stem),
                    fps=FPS, unit=unit, template=template, sound=sound,
                    read_vertices=functools.partial(read_area, array, faces) if unit == "area"
                    else functools.partial(read_scaled, array, NUM_VERTICES, scale, template.vertices),
                    count_frames=functools.partial(lambda p: len(read_array(p, NUM_VERTICES)), array),
                )  # fmt: skip


def check(
    root: str | Path,
    audio: str | None = None,
    meshes: str | None = None,
    templates: str | None = None,
    *,
    durations: bool = True,
) -> list[Finding]:
    """What is at `root`, what is missing, and durations against motion; never raises."""
    return check_recorded(
        lambda: BiwiMM23(root, audio=audio, meshes=meshes, templates=templates),
        {split: count for split, count in PUBLISHED.items() if split != "test_a"},
        PAGE,
        durations,
    )
