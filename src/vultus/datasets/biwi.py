"""BIWI, the Biwi 3D Audiovisual Corpus of Affective Communication B3D(AC)^2, as released: .vl files in metres.

    ROOT/faces/F1/e01/frame_001.vl, or ROOT/faces/F1/e01.tar or .tgz with the same files
    ROOT/rigid_scans/F1.obj     the speaker's neutral face (or beside the speakers' folders, ROOT/faces/F1.obj)
    ROOT/audio/F1_e01_cut.wav   or ROOT/videos/F1_e01.flv

14 speakers say 40 sentences neutrally (01 to 40) and with emotion (e01 to e40); 25 frames per second, 23,370 vertices,
head pose removed. Source: Fanelli et al., A 3-D Audio-Visual Corpus of Affective Communication, IEEE TMM 2010. The
splits are those of FaceFormer (CVPR 2022), made of emotional sentences only.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding, missing
from vultus.datasets.biwi_vl import ARCHIVES, NUM_VERTICES, count_frames, read_frames, sentence_of
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

SPEAKERS = ("F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "M1", "M2", "M3", "M4", "M5", "M6")
SEEN = ("F2", "F3", "F4", "M3", "M4", "M5")
"""Speakers of train, val and test_a; the other eight are those of test_b."""
SPLITS = ("train", "val", "test_a", "test_b", "rest")
PUBLISHED = {"train": 192, "val": 24, "test_a": 24, "test_b": 32}
"""Sequences of each published split."""
FPS = 25.0
PAGE = "docs/datasets/biwi.md"

HEIGHTS = (0.12, 0.35)
"""Plausible heights of the scanned face, metres: about 0.94 times the square root of its area, 0.16 to 0.19 m."""
MAX_OFF = 0.05
"""How far a first frame may be from the template, mean over vertices, metres; beyond it they do not belong together."""


def split_of(speaker: str, sentence: str) -> str:
    """The published split of a sequence, "rest" where it is in none (neutral sentences; e01 to e36 of unseen speakers).

    >>> split_of("F2", "e36"), split_of("F1", "e37"), split_of("F2", "36")
    ('val', 'test_b', 'rest')
    """
    if not sentence.startswith("e"):
        return "rest"
    number = int(sentence[1:])
    if speaker in SEEN:
        return "train" if number <= 32 else "val" if number <= 36 else "test_a"
    return "test_b" if number >= 37 else "rest"


class Biwi(RecordedDataset):
    """The release on disk.

    Splits: train, val, test_a (speakers of train), test_b (unseen speakers), and rest for what is in none of them.
    Coordinates are turned by pi about x, as the published preprocessing does, so that y is up and z out of the face.

    Args:
        root: folder that holds faces/, rigid_scans/ and audio/.
        templates: folder of <speaker>.obj under the root; by default rigid_scans, else faces.

    Raises:
        VultusError: nothing usable at the root; a template whose height is plausible in no unit; the npy form.
    """

    name = "biwi"

    def __init__(self, root: str | Path, *, templates: str | None = None) -> None:
        folder = Path(root)
        if not (folder / "faces").is_dir():
            raise self._no_faces(folder)
        self._templates = (templates,) if templates else ("rigid_scans", "faces")
        left_out: dict[str, str] = {}
        super().__init__(folder, self._sequences(folder, left_out), SPLITS, left_out)

    def _no_faces(self, root: Path) -> VultusError:
        if (root / "vertices_npy").is_dir():
            return VultusError(
                f"biwi: {root} holds vertices_npy/, the npy form; expected the released .vl files in faces/; open it "
                "as `biwi_area`"
            )
        found = "no faces/"
        if any(root.glob("faces0*.tgz")):
            found = "no faces/ but the packed faces01.tgz to faces05.tgz; unpack them and rest.tgz there"
        return missing(self.name, root, found, f"faces/F1/e01/frame_001.vl and so on (how to obtain it: {PAGE})")

    def _sequences(self, root: Path, left_out: dict[str, str]) -> Iterator[FileSequence]:
        topology: Topology | None = None
        for speaker in SPEAKERS:
            places = _places(root / "faces" / speaker)
            template_file = next(
                (p for t in self._templates if (p := root / t / f"{speaker}.obj").is_file()), None
            )  # fmt: skip
            if template_file is None:
                left_out |= {f"{speaker}_{sentence}": "no neutral face of the speaker" for sentence in places}
                continue
            if not places:
                continue
            raw, faces = read_neutral(template_file, NUM_VERTICES)
            scale = metres_per_unit(f"biwi: '{template_file}'", raw, *HEIGHTS, ("mm", "cm", "m"))
            if topology is None:  # one object for all: the same scan topology
                topology = Topology(faces, NUM_VERTICES, name="biwi")
            template = Template(topology, _upright(raw, scale))
            for sentence, place in places.items():
                sound = find_sound(root, f"{speaker}_{sentence}")
                if sound is None:
                    left_out[f"{speaker}_{sentence}"] = "no sound"
                    continue
                yield file_sequence(
                    self.name, speaker, sentence, split_of(speaker, sentence),
                    fps=FPS, unit="m", template=template, sound=sound,
                    read_vertices=functools.partial(_read, place, scale, template.vertices),
                    count_frames=functools.partial(count_frames, place),
                )  # fmt: skip


def read_neutral(path: Path, num_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """A neutral face from .obj or .ply: vertices (V, 3) float64 as stored, triangles (F, 3) int32."""
    vertices, faces = read_mesh(path)
    if len(vertices) != num_vertices or not len(faces) or not np.isfinite(vertices).all():
        kind = "vertices" if np.isfinite(vertices).all() else "vertices, some not finite,"
        raise VultusError(
            f"'{path}': has {len(vertices)} {kind} and {len(faces)} triangles; expected {num_vertices} finite vertices "
            "and triangles; take the neutral face of the release"
        )
    return vertices, faces


def find_sound(root: Path, name: str) -> Path | None:
    """The sound of a sequence: the cut wav of the release, else the track of its video; None where neither is there."""
    files = (root / "audio" / f"{name}_cut.wav", root / "videos" / f"{name}.flv")
    return next((path for path in files if path.is_file()), None)


def _places(folder: Path) -> dict[str, Path]:
    """Sentence -> where its frames are: a folder of .vl files before archives, a .tar before compressed ones."""
    found: dict[str, tuple[int, Path]] = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        sentence = sentence_of(entry)
        if sentence is None:
            continue
        if entry.is_dir():
            if not any(path.suffix == ".vl" for path in entry.iterdir()):
                continue
            rank = 0
        else:
            rank = next((1 + i for i, suffix in enumerate(ARCHIVES) if entry.name.endswith(suffix)), 0)
            if not rank:
                continue
        if sentence not in found or rank < found[sentence][0]:
            found[sentence] = (rank, entry)
    return {sentence: found[sentence][1] for sentence in sorted(found)}


def _upright(raw: np.ndarray, scale: float) -> np.ndarray:
    """Turns by pi about x and brings to metres, float32."""
    return (raw * np.array([scale, -scale, -scale], raw.dtype)).astype(np.float32, copy=False)


def _read(place: Path, scale: float, template: np.ndarray) -> np.ndarray:
    vertices = _upright(read_frames(place), scale)
    off = float(np.linalg.norm(vertices[0] - template, axis=-1).mean())
    if off > MAX_OFF:
        raise VultusError(
            f"biwi: '{place}': its first frame is {off * 1000:.0f} mm from the speaker's neutral face on average; "
            f"expected the same unit and place, under {MAX_OFF * 1000:g} mm; pass templates=FOLDER to take other ones"
        )
    return vertices


def check(root: str | Path, templates: str | None = None, *, durations: bool = True) -> list[Finding]:
    """What is at `root`, what is missing, and durations against motion; never raises."""
    return check_recorded(lambda: Biwi(root, templates=templates), PUBLISHED, PAGE, durations)
