"""Multiface (Meta, 2022) as released: tracked meshes of 13 subjects and the sound of their 50 sentences. Metres.

    ROOT/m--20180227--0000--6795937--GHS/tracked_mesh/SEN_.../000102.bin    7306 x 3 float32, millimetres
                                                             000102.obj     for the triangles; one is enough
                                         audio/SEN_....wav                  30 frames per second
                                         tracked_mesh/E001_Neutral_Eyes_Open or EXP_neutral_peak
                                         vert_mean.bin                      where neither neutral sequence is there

Only sequences with sound (named SEN_*) are read. Head pose is not in the meshes: NNNNNN_transform.txt holds it, a
rotation and a translation for each frame, and is not applied. Source: Wuu et al., arXiv 2207.11243.

Frames are numbered by the camera's clock (every third number in some captures), the first stands at the start of the
sound, and some are missing (issues 15 and 31 of facebookresearch/multiface). Short holes are bridged by straight lines
so that sound and motion stay together; sequences with longer ones are left out.

Letters: T motion frames, V vertices, K vertices kept.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding, missing
from vultus.datasets.biwi import read_neutral
from vultus.datasets.multiface_meshes import NUM_VERTICES, Reduction, frame_slots, read_bin, read_frames, reduce
from vultus.datasets.recorded import (
    FileSequence,
    RecordedDataset,
    check_recorded,
    file_sequence,
    metres_per_unit,
)
from vultus.errors import VultusError
from vultus.readers.mesh_files import read_mesh
from vultus.topology import Template, Topology

FPS = 30.0
PAGE = "docs/datasets/multiface.md"
HEIGHTS = (0.2, 0.6)
"""Plausible heights of the tracked head with neck, metres (about 0.4)."""
NEUTRAL = ("E001_Neutral_Eyes_Open", "EXP_neutral_peak")
MAX_HOLE = 6
"""Frames in a row that may be missing, 0.2 s."""

SPLITS = ("train", "val", "test", "rest")
TRAIN = (
    "6795937", "7889059", "8870559", "002914589", "002757580", "2183941", "5067077", "002539136", "002645310",
)  # fmt: skip
VAL = ("6674443", "5372021")
TEST = ("002643814", "002421669")
"""Subjects of the MM'23 paper's splits (`dataset.py` of its code). Its validation list is VAL and TEST together."""
EXPECTED = dict.fromkeys(("train", "val", "test"), 1)
"""Least numbers of sequences for a check; no list of what the release holds is published (at most 50 a subject)."""


def subject_id(folder: str) -> str:
    """The number in a subject's folder name.

    >>> subject_id("m--20180227--0000--6795937--GHS"), subject_id("002643814")
    ('6795937', '002643814')
    """
    named = re.fullmatch(r"m--\d+--\d+--(\w+)--GHS", folder)
    return named[1] if named else folder


def splits_of(folder: str, published_val: bool) -> tuple[str, ...]:
    """The splits of a subject: one, or val and test for the test subjects where `published_val` is set."""
    number = subject_id(folder)
    if number in TEST:
        return ("val", "test") if published_val else ("test",)
    return ("train",) if number in TRAIN else ("val",) if number in VAL else ("rest",)


class Multiface(RecordedDataset):
    """The release on disk.

    Args:
        root: folder of the subjects' folders.
        templates: folder of <subject>.obj or .ply with neutral faces, millimetres, to be taken instead of the subjects'
            own neutral sequences.
        mesh: a .obj or .ply with the triangles, where no frame lies as .obj.
        published_val: the MM'23 validation list, which contains the test subjects; by default val is without them.

    Raises:
        VultusError: nothing usable at the root, no triangles, a neutral face that is not in millimetres.
    """

    name = "multiface"

    def __init__(
        self,
        root: str | Path,
        *,
        templates: str | Path | None = None,
        mesh: str | Path | None = None,
        published_val: bool = False,
    ) -> None:
        folder = Path(root)
        reduction = self._reduction(folder)
        subjects = sorted(p.parent for p in folder.glob("*/tracked_mesh") if p.is_dir())
        if not subjects:
            raise missing(self.name, folder, "no SUBJECT/tracked_mesh/", f"the subjects' folders, see {PAGE}")
        self._templates = Path(templates) if templates else None
        self._published_val = published_val
        topology = _topology(self.name, folder, subjects, mesh, reduction)
        left_out: dict[str, str] = {}
        notes: list[str] = []
        sequences = self._sequences(subjects, topology, reduction, left_out, notes)
        super().__init__(folder, sequences, SPLITS, left_out)
        self.notes += notes

    def _reduction(self, root: Path) -> Reduction | None:
        return None

    def _sequences(
        self, subjects: list[Path], topology: Topology, reduction: Reduction | None, left_out: dict[str, str],
        notes: list[str],
    ) -> Iterator[FileSequence]:  # fmt: skip
        for folder in subjects:
            found = {path.name: path for path in sorted(folder.glob("tracked_mesh/SEN_*")) if path.is_dir()}
            found_source = self._neutral(folder, topology, reduction)
            if found_source is None:
                left_out |= {f"{folder.name}_{sentence}": "no neutral face of the subject" for sentence in found}
                continue
            template, source = found_source
            notes.append(f"neutral face of {folder.name}: {source}")
            for sentence, path in found.items():
                sound = folder / "audio" / f"{sentence}.wav"
                reason = _unusable(path) if sound.is_file() else "no sound"
                if reason:
                    left_out[f"{folder.name}_{sentence}"] = reason
                    continue
                for split in splits_of(folder.name, self._published_val):
                    yield file_sequence(
                        self.name, folder.name, sentence, split,
                        fps=FPS, unit="m", template=template, sound=sound,
                        read_vertices=functools.partial(read_frames, path, reduction),
                        count_frames=functools.partial(lambda p: int(frame_slots(p)[1][-1]) + 1, path),
                    )  # fmt: skip

    def _neutral(self, folder: Path, topology: Topology, reduction: Reduction | None) -> tuple[Template, str] | None:
        """The subject's neutral face and where it is from."""
        own = [folder / "tracked_mesh" / name for name in NEUTRAL if any(folder.glob(f"tracked_mesh/{name}/*.bin"))]
        given = [] if self._templates is None else [self._templates / f"{folder.name}{s}" for s in (".obj", ".ply")]
        path = next((p for p in given if p.is_file()), None)
        if path is not None:
            count = len(read_mesh(path)[0])
            reduced = reduction is not None and count == topology.num_vertices
            raw = read_neutral(path, topology.num_vertices if reduced else NUM_VERTICES)[0]
            raw = raw if reduced else reduce(raw, reduction)
        elif own:
            files = sorted(own[0].glob("*.bin"))
            path = own[0]
            raw = np.median([reduce(read_bin(f), reduction) for f in files[:: max(1, len(files) // 15)]], axis=0)
        elif (folder / "vert_mean.bin").is_file():
            path = folder / "vert_mean.bin"
            raw = reduce(read_bin(path), reduction)
        else:
            return None
        scale = metres_per_unit(f"{self.name}: '{path}'", raw, *HEIGHTS)
        return Template(topology, (raw * scale).astype(np.float32)), path.name


def _topology(
    name: str, root: Path, subjects: list[Path], mesh: str | Path | None, reduction: Reduction | None
) -> Topology:
    meshes = (p for s in subjects for p in s.glob("tracked_mesh/*/*.obj"))
    path = Path(mesh) if mesh else next(meshes, None)
    if path is None or not path.is_file():
        found = f"no {mesh}" if mesh else "no frame as .obj"
        raise missing(name, root, found, "one for the triangles, among the frames or by the option mesh=FILE")
    _, faces = read_neutral(path, NUM_VERTICES)
    if reduction is None:
        return Topology(faces, NUM_VERTICES, name="multiface")
    return Topology(reduction.faces(faces), len(reduction.kept), name=reduction.name)


def _unusable(folder: Path) -> str:
    """Why a sequence cannot be used, "" where it can."""
    try:
        _, slots = frame_slots(folder)
    except VultusError as error:
        return str(error)
    hole = int(np.diff(slots).max(initial=1)) - 1
    return f"more than {MAX_HOLE} frames in a row missing" if hole > MAX_HOLE else ""


def check(
    root: str | Path, templates: str | None = None, mesh: str | None = None, *, durations: bool = True
) -> list[Finding]:
    """What is at `root`, what is missing, and durations against motion; never raises."""
    return check_recorded(lambda: Multiface(root, templates=templates, mesh=mesh), EXPECTED, PAGE, durations)
