"""MeshTalk's data as the code of "Speech-Driven 3D Face Animation with Composite and Regional Facial Movements" (MM'23)
lays it out. Metres, 30 frames per second.

    ROOT/audio/SUBJECT/SEQUENCE.wav
    ROOT/mesh_sequences/SUBJECT/SEQUENCE.npy    (T, 6172, 3) or (T, 18516), millimetres
    ROOT/template_regen/SUBJECT.obj             or templates/

SUBJECT is a full name such as m--20180426--0000--002643814--GHS. The splits are exactly the published ones: val holds
four subjects, two of which are those of test.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding
from vultus.datasets.biwi import read_neutral
from vultus.datasets.meshtalk import KEPT
from vultus.datasets.multiface import EXPECTED, FPS, HEIGHTS, PAGE, SPLITS, splits_of
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

TEMPLATE_FOLDERS = ("template_regen", "templates", "template")


class MeshTalkMM23(ThreeFolders):
    """The MM'23 layout on disk.

    Args:
        root: the code's --root_data_dir.
        audio: folder of sound under the root; by default audio.
        meshes: folder of motion; by default mesh_sequences.
        templates: folder of neutral faces; by default template_regen, templates or template, whichever is there.

    Raises:
        VultusError: nothing usable at the root; a neutral face whose size is plausible in no unit.
    """

    name = "meshtalk_mm23"
    mesh_folders, template_folders, order = ("mesh_sequences",), TEMPLATE_FOLDERS, SPLITS

    def _sequences(
        self, sounds: Path, meshes: Path, templates: Path, left_out: dict[str, str]
    ) -> Iterator[FileSequence]:
        topology: Topology | None = None
        for folder in sorted(path for path in meshes.iterdir() if path.is_dir()):
            subject = folder.name
            arrays = sorted(folder.glob("*.npy"))
            path = templates / f"{subject}.obj"
            if not path.is_file():
                left_out |= {f"{subject}_{array.stem}": "no neutral face of the subject" for array in arrays}
                continue
            if not arrays:
                continue
            vertices, faces = read_neutral(path, KEPT)
            scale = metres_per_unit(f"meshtalk_mm23: '{path}'", vertices, *HEIGHTS, ("mm", "m"))
            topology = topology or Topology(faces, KEPT, name="meshtalk")
            template = Template(topology, (vertices * scale).astype(np.float32))
            for array in arrays:
                sound = sounds / subject / f"{array.stem}.wav"
                if not sound.is_file():
                    left_out[f"{subject}_{array.stem}"] = "no sound"
                    continue
                for split in splits_of(subject, published_val=True):
                    yield file_sequence(
                        self.name, subject, array.stem, split,
                        fps=FPS, unit="m", template=template, sound=sound,
                        read_vertices=functools.partial(read_scaled, array, KEPT, scale, template.vertices),
                        count_frames=functools.partial(lambda p: len(read_array(p, KEPT)), array),
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
        lambda: MeshTalkMM23(root, audio=audio, meshes=meshes, templates=templates), EXPECTED, PAGE, durations
    )
