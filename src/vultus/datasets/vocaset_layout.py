"""What the three layouts of VOCASET share: subjects, splits, sequences, and the lines of a check.

VOCASET (Cudeiro et al., Capture, Learning, and Synthesis of 3D Speaking Styles, CVPR 2019): 12 subjects, 40 sentences
each, FLAME topology (5023 vertices), metres, 60 frames per second, head pose removed.

Letters: T motion frames, V vertices (5023).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.datasets.base import Finding, RecordedSequence, SplitTable, by_reason, missing, shortened
from vultus.datasets.durations import compare_durations, sound_seconds
from vultus.errors import VultusError, unknown_name
from vultus.readers.mesh_files import read_mesh
from vultus.speech import Speech
from vultus.topology import Template, Topology

#: All subjects in the order of their one-hot numbers: eight of training, two of validation, two of the test.
SUBJECTS = (
    "FaceTalk_170728_03272_TA", "FaceTalk_170904_00128_TA", "FaceTalk_170725_00137_TA", "FaceTalk_170915_00223_TA",
    "FaceTalk_170811_03274_TA", "FaceTalk_170913_03279_TA", "FaceTalk_170904_03276_TA", "FaceTalk_170912_03278_TA",
    "FaceTalk_170811_03275_TA", "FaceTalk_170908_03277_TA",
    "FaceTalk_170809_00138_TA", "FaceTalk_170731_00024_TA",
)  # fmt: skip
SPLITS = {"train": SUBJECTS[:8], "val": SUBJECTS[8:10], "test": SUBJECTS[10:]}
#: Protocol -> split -> first and last sentence, as published (docs/datasets/vocaset.md).
PROTOCOLS = {
    "voca": {"train": (1, 40), "val": (21, 40), "test": (21, 40)},
    "faceformer": {"train": (1, 40), "val": (21, 40), "test": (21, 40)},
    "mm23": {"train": (1, 40), "val": (21, 40), "test": (1, 40)},
}
#: Protocol -> frames per second at which its papers train and score; the files have 60.
SCORED_FPS = {"voca": 60.0, "faceformer": 30.0, "mm23": 60.0}
SENTENCES = tuple(f"sentence{number:02d}" for number in range(1, 41))
NUM_VERTICES = 5023
FPS = 60.0
OBTAIN = (
    "sign up at https://voca.is.tue.mpg.de (licence: non-commercial research), download VOCASET and lay it out as "
    "docs/datasets/vocaset.md tells"
)
_MESHES = ("FLAME_sample.ply", "template/FLAME_sample.ply", "templates/FLAME_sample.ply")
_MAX_OFF = 0.05  # metres from the neutral face, mean over vertices of the first frame; speech moves a few millimetres
_FEW = 24  # skipped sequences that are no fault: the release itself lacks some of its 480
_MAX_GAP = 0.1  # seconds that sound and motion may differ before the check calls it a fault


@dataclass(frozen=True)
class Motion:
    """Where the motion of a sequence is: `count` -> T, `read` -> (T, V, 3)."""

    count: Callable[[], int]
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Sound:
    """Where the sound of a sequence is: `seconds` -> its length, `read` -> the samples."""

    seconds: Callable[[], float]
    read: Callable[[], Speech]

    @classmethod
    def file(cls, path: Path) -> Sound | None:
        """The sound in a file; None where it is not there."""
        return (
            cls(functools.partial(sound_seconds, path), functools.partial(Speech.load, path))
            if path.is_file()
            else None
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class VocasetSequence(RecordedSequence):
    """A RecordedSequence whose lengths are known without reading it.

    Attributes:
        count_frames: -> T as stored.
        count_seconds: -> length of the sound.
    """

    count_frames: Callable[[], int]
    count_seconds: Callable[[], float]


class VocasetLayout(SplitTable[VocasetSequence]):
    """VOCASET in some layout, by split; each class of a layout says where things are.

    Attributes:
        subjects: all subjects, in one-hot order (the first eight are those of training).
        protocol: whose splits these are.
        scored_fps: frames per second of the protocol; ask `vertices(fps=...)` for it.
        left_out: SUBJECT_SENTENCE -> what it lacks; sequences of the protocol that are not there.
        notes: remarks that `vultus data check` shows.
    """

    subjects = SUBJECTS

    def __init__(
        self,
        root: Path,
        protocol: str,
        motion: Callable[[str, str], Motion | None],
        sound: Callable[[str, str], Sound | None],
        templates: Mapping[str, Template],
    ) -> None:
        if protocol not in PROTOCOLS:
            raise unknown_name(f"protocol of {self.name}", protocol, PROTOCOLS)
        self.root, self.protocol, self.scored_fps = root, protocol, SCORED_FPS[protocol]
        self.left_out: dict[str, str] = {}
        self.notes: list[str] = []
        self._by_split: dict[str, tuple[VocasetSequence, ...]] = {}
        for split, (first, last) in PROTOCOLS[protocol].items():
            found = []
            for subject in SPLITS[split]:
                for sentence in SENTENCES[first - 1 : last]:
                    parts = (motion(subject, sentence), sound(subject, sentence), templates.get(subject))
                    names = ("motion", "sound", "neutral face")
                    lacks = [name for name, part in zip(names, parts, strict=True) if part is None]
                    if lacks:
                        self.left_out[f"{subject}_{sentence}"] = "no " + " and no ".join(lacks)
                    else:
                        found.append(self._sequence(split, subject, sentence, *parts))  # type: ignore[arg-type]
            self._by_split[split] = tuple(found)
        if not self.splits:
            raise missing(self.name, root, "no sequence with motion, sound and neutral face", "some of the release")

    def _sequence(
        self, split: str, subject: str, sentence: str, motion: Motion, sound: Sound, template: Template
    ) -> VocasetSequence:
        name = f"{subject}_{sentence}"
        read = functools.partial(_checked, f"{self.name}: {name}", motion.read, template.vertices)
        return VocasetSequence(
            name, subject, sentence, split, self.name, FPS, template, sound.read, read,
            count_frames=motion.count, count_seconds=sound.seconds,
        )  # fmt: skip


def text_keys(table: Any, what: str, step: str = OBTAIN) -> dict[str, Any]:
    """A dict of a pickle with its keys as text, also where Python 2 left bytes; VultusError where it is no dict."""
    if not isinstance(table, dict):
        raise VultusError(f"{what}: holds {type(table).__name__}; expected a dict by subject; {step}")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in table.items()}


def as_vertices(array: Any, what: str) -> np.ndarray:
    """Motion (T, V, 3) or (T, 3V) of any float type -> (T, V, 3), without a copy where the file allows it."""
    found = array if isinstance(array, np.ndarray) else np.empty(0, object)
    if found.dtype.kind != "f" or not found.size or found.shape[1:] not in ((NUM_VERTICES, 3), (3 * NUM_VERTICES,)):
        raise VultusError(
            f"{what}: holds {found.dtype} {found.shape}; expected floats (frames, {NUM_VERTICES}, 3) or (frames, "
            f"{3 * NUM_VERTICES}); {OBTAIN}"
        )
    return found.reshape(len(found), NUM_VERTICES, 3)


def as_template(array: Any, topology: Topology, what: str) -> Template:
    """A neutral face (V, 3) or flat -> Template; VultusError where it is no head in metres."""
    found = array if isinstance(array, np.ndarray) else np.empty(0, object)
    if found.dtype.kind != "f" or found.size != 3 * NUM_VERTICES or not np.isfinite(found).all():
        raise VultusError(
            f"{what}: is {found.dtype} {found.shape}; expected finite floats ({NUM_VERTICES}, 3); {OBTAIN}"
        )
    vertices = found.reshape(NUM_VERTICES, 3).astype(np.float32)
    height = float(np.ptp(vertices[:, 1]))
    if not 0.15 <= height <= 0.6:
        raise VultusError(
            f"{what}: is {height:.4g} high; expected a head in metres, 0.15 to 0.6; take the coordinates of the release"
        )
    return Template(topology, vertices)


def find_topology(name: str, root: Path, mesh: str | Path | None) -> Topology:
    """FLAME's triangles from the user's mesh: `mesh`, or a known place under the root; none where there is no mesh."""
    templates = root / "templates"
    found = sorted(templates.glob("*.ply")) if templates.is_dir() else []
    places = [Path(mesh)] if mesh else [p for f in _MESHES if (p := root / f).is_file()] + found
    if not places:
        return Topology(np.zeros((0, 3), np.int32), NUM_VERTICES, name="flame")
    vertices, faces = read_mesh(places[0])
    if len(vertices) != NUM_VERTICES:
        raise VultusError(
            f"{name}: '{places[0]}' has {len(vertices)} vertices; expected {NUM_VERTICES}, such as VOCA's "
            "FLAME_sample.ply; pass mesh=FILE"
        )
    return Topology(faces, NUM_VERTICES, name="flame")


def _checked(what: str, read: Callable[[], np.ndarray], template: np.ndarray) -> np.ndarray:
    vertices = read()
    off = float(np.linalg.norm(np.asarray(vertices[0], np.float32) - template, axis=-1).mean())
    if off > _MAX_OFF:  # a NaN is told by RecordedSequence
        raise VultusError(
            f"{what}: its first frame is {off * 1000:.4g} mm from the neutral face on average; expected metres in the "
            f"same place, under {_MAX_OFF * 1000:g} mm; take motion and neutral faces of one release"
        )
    return vertices


def check_layout(wanted: Mapping[str, bool], open_it: Callable[[], VocasetLayout], durations: bool) -> list[Finding]:
    """The lines of a check; raises nothing.

    Args:
        wanted: file or folder under the root -> whether it is there.
        open_it: opens the data set.
        durations: compare sound and motion of every sequence.
    """
    findings = [Finding(there, f"{'' if there else 'no '}{n}", "" if there else OBTAIN) for n, there in wanted.items()]
    if not all(wanted.values()):
        return findings
    try:
        data = open_it()
    except Exception as error:  # a bad root may fail in any way, and this function is there to tell about it
        return [*findings, Finding(False, str(error) or type(error).__name__, OBTAIN)]
    findings += [Finding(True, note) for note in data.notes]
    for split, (first, last) in PROTOCOLS[data.protocol].items():
        have, all_of_it = len(data._by_split[split]), len(SPLITS[split]) * (last - first + 1)
        what = f"split {split} (protocol {data.protocol}): {have} sequences of {all_of_it} possible"
        findings.append(Finding(have > 0, what, "" if have else OBTAIN))
    for why, names in by_reason(data.left_out).items():
        few = len(names) <= _FEW
        findings.append(Finding(few, f"{len(names)} skipped, {why}: {shortened(names)}", "" if few else OBTAIN))
    if not len(next(iter(data._by_split[data.splits[0]])).template.topology.faces):
        step = "put VOCA's template/FLAME_sample.ply into the folder or pass mesh=FILE"
        findings.append(Finding(False, "no mesh: the triangles are unknown, pictures cannot be drawn", step))
    for split in data.splits if durations else ():
        findings += compare_durations(f"split {split}", data.split(split), OBTAIN, allowed=_MAX_GAP)
    return findings
