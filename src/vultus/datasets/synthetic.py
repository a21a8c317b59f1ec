"""Reads a corpus made by `vultus data synthesize` (vultus.synthesis.build tells its layout).

    corpus = SyntheticCorpus("my-corpus")
    for clip in corpus.split("train"):
        clip.speech(), clip.motion(fps=30)

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.clock import check_fps, num_motion_frames, resample_motion
from vultus.datasets.base import Unit
from vultus.errors import VultusError, unknown_name
from vultus.head import Head, load_head
from vultus.motion import WEIGHT_NAMES
from vultus.speech import Speech
from vultus.synthesis.clipfile import LAYERS, read_clip
from vultus.synthesis.manifest import file_sha256, read_json, read_manifest, read_subjects
from vultus.synthesis.phones import Phone
from vultus.synthesis.plan import CORPUS_VERSION, SPLITS, Subject
from vultus.synthesis.style import Style
from vultus.topology import Template

_REMEDY = "expected a folder made by `vultus data synthesize --out DIR`; run it again, it keeps what is good"


@functools.lru_cache(maxsize=16)
def _head(identity: int) -> Head:
    return load_head(identity)


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip: a line spoken by a subject in one take, or a sound without speech (`kind` other than "speech").

    Attributes:
        fps: rate of the stored layers; `motion` and `vertices` give any other.
        take: 0 for the first performance of the line.
        seed: of the performance.
        num_samples: length of the sound at 16 kHz.
    """

    root: Path
    name: str
    file: str
    audio: str
    split: str
    line: str
    take: int
    kind: str
    seed: int
    fps: float
    voice: str
    language: str
    text: str
    num_samples: int
    frames: int
    sha256: str
    audio_sha256: str
    person: Subject
    source: str = "synthetic"
    unit: Unit = "m"

    @property
    def sentence(self) -> str:
        """The line."""
        return self.line

    @property
    def subject(self) -> str:
        """Name of the subject."""
        return self.person.name

    @property
    def style(self) -> Style:
        """How the subject moves."""
        return Style.from_dict(self.person.style)

    @property
    def is_speech(self) -> bool:
        return self.kind == "speech"

    @property
    def duration(self) -> float:
        """Seconds of sound."""
        return self.num_samples / 16_000

    @property
    def head(self) -> Head:
        """The subject's head (kept for the few used last)."""
        return _head(self.person.identity)

    @property
    def template(self) -> Template:
        """The subject's neutral face."""
        return self.head.template

    def speech(self) -> Speech:
        """The sound, fitted to the length that was measured when it was made (codecs may differ by a block)."""
        path = self.root / self.audio
        if not path.is_file():
            raise VultusError(f"clip {self.name}: no {self.audio} under {self.root}; {_REMEDY}")
        samples = Speech.load(path).samples
        off = len(samples) - self.num_samples
        if abs(off) > 1600:
            raise VultusError(
                f"clip {self.name}: {self.audio} is {off / 16:+.0f} ms off its length in the manifest; {_REMEDY}"
            )
        return Speech(np.pad(samples, (0, max(0, -off)))[: self.num_samples], self.name)

    @functools.cached_property
    def phones(self) -> tuple[Phone, ...]:
        """Who says what when, in seconds; covers the clip."""
        data = read_clip(self.root / self.file, ("phone_symbols", "phone_times", "phone_stress"))
        rows = zip(data["phone_symbols"], data["phone_times"], data["phone_stress"], strict=True)
        return tuple(Phone(str(symbol), float(a), float(b), int(stress)) for symbol, (a, b), stress in rows)

    @property
    def layers(self) -> dict[str, np.ndarray]:
        """The three layers as stored: "speech", "expression", "random", each (T, 55) float32 at `fps`."""
        return self._layers(LAYERS)

    def _layers(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        for name in names:
            if name not in LAYERS:
                raise unknown_name("layer of a clip", name, LAYERS)
        data = read_clip(self.root / self.file, tuple(names))
        for name, values in data.items():
            if values.shape != (self.frames, len(WEIGHT_NAMES)) or not np.isfinite(values).all():
                raise VultusError(
                    f"clip {self.name}: layer '{name}' has shape {values.shape} or bad numbers; {_REMEDY}"
                )
        return {name: values.astype(np.float32) for name, values in data.items()}

    def motion(self, layers: Sequence[str] = ("speech", "expression"), fps: float = 30.0) -> np.ndarray:
        """Weights of some layers put together, contacts kept.

        Args:
            layers: some of "speech", "expression", "random". Blinks and gaze (`random`) are not told by the sound, so a
                model that averages is not to see them.
            fps: frames per second.

        Returns:
            (T, 55) float32 in [0, 1], columns as WEIGHT_NAMES, T = num_motion_frames(num_samples, fps).
        """
        from vultus.synthesis.performance import combine

        found = self._layers(tuple(layers))
        if not found:
            raise VultusError(f"clip {self.name}: no layer asked for; expected some of {', '.join(LAYERS)}")
        speech = found.pop("speech", None)
        if speech is None:  # a resting mouth under the other layers
            speech = np.zeros((self.frames, len(WEIGHT_NAMES)), np.float32)
        weights = combine(speech, *found.values(), head=self.head)
        return resample_motion(weights, self.fps, check_fps(fps), num_motion_frames(self.num_samples, fps))

    def vertices(self, *, fps: float | None = None, layers: Sequence[str] = ("speech", "expression")) -> np.ndarray:
        """The moving face without head rotation, (T, V, 3) float32 metres."""
        return self.head.rig.vertices(self.motion(layers, self.fps if fps is None else fps), self.template)

    def head_rotation(self, fps: float | None = None) -> np.ndarray:
        """Axis-angle about the neck, (T, 3) float32 radians, at `fps` or the clip's own rate."""
        head = read_clip(self.root / self.file, ("head",))["head"]
        if head.shape != (self.frames, 3):
            raise VultusError(f"clip {self.name}: head has shape {head.shape}; expected ({self.frames}, 3); {_REMEDY}")
        rate = self.fps if fps is None else check_fps(fps)
        return resample_motion(head, self.fps, rate, num_motion_frames(self.num_samples, rate))


class SyntheticCorpus:
    """A synthetic corpus on disk.

    Args:
        root: the corpus folder.
        allow_partial: accept a corpus whose build has not finished; it then holds the clips made so far.

    Raises:
        VultusError: no corpus there, an unfinished one, or a manifest that cannot be true.
    """

    name = "synthetic"

    def __init__(self, root: str | Path, *, allow_partial: bool = False) -> None:
        self.root = Path(root)
        self.info = read_json(self.root, "corpus.json")
        if self.info.get("version") != CORPUS_VERSION:
            raise VultusError(
                f"corpus {self.root}: format version is {self.info.get('version')!r}; expected {CORPUS_VERSION!r}; "
                "make it anew with this version of vultus"
            )
        if self.info.get("state") != "complete" and not allow_partial:
            raise VultusError(
                f"corpus {self.root}: its build has not finished; run the same `vultus data synthesize` again"
            )
        self.subjects = read_subjects(self.root)
        records = read_manifest(self.root, self.info.get("num_clips"), self.subjects, allow_partial)
        self.clips = tuple(self._clip(record) for record in records)

    def _clip(self, record: dict[str, Any]) -> Clip:
        fields = {key: value for key, value in record.items() if key != "subject"}
        return Clip(root=self.root, person=self.subjects[record["subject"]], **fields)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold clips."""
        present = {clip.split for clip in self.clips}
        return tuple(name for name in SPLITS if name in present)

    def split(self, name: str) -> tuple[Clip, ...]:
        """The clips of a split in manifest order.

        Raises:
            VultusError: no such split in this corpus.
        """
        if name not in self.splits:
            raise unknown_name(f"split of corpus {self.root.name}", name, self.splits)
        return tuple(clip for clip in self.clips if clip.split == name)

    def take_groups(self) -> tuple[tuple[Clip, ...], ...]:
        """Clips that are takes of the same line by the same subject, at least two each, by take."""
        groups: dict[tuple[str, str], list[Clip]] = {}
        for clip in self.clips:
            groups.setdefault((clip.line, clip.subject), []).append(clip)
        return tuple(tuple(sorted(g, key=lambda c: c.take)) for g in groups.values() if len(g) > 1)

    @functools.cached_property
    def _spoken_by(self) -> dict[tuple[str, str], list[Clip]]:
        found: dict[tuple[str, str], list[Clip]] = {}
        for clip in self.clips:
            if clip.is_speech:
                found.setdefault((clip.subject, clip.split), []).append(clip)
        return found

    def reference(self, clip: Clip, seed: int = 0) -> Clip:
        """Another clip of the same subject and split speaking other words; VultusError where there is none."""
        others = [c for c in self._spoken_by.get((clip.subject, clip.split), ()) if c.line != clip.line]
        if not others:
            raise VultusError(
                f"clip {clip.name}: subject {clip.subject} speaks no other line; expected two lines or more"
            )
        return others[int(np.random.default_rng([seed, clip.seed]).integers(len(others)))]

    def verify(self) -> None:
        """Checks every file against the manifest's sha256; VultusError names the first that differs."""
        seen: set[str] = set()
        for clip in self.clips:
            for file, wanted in ((clip.file, clip.sha256), (clip.audio, clip.audio_sha256)):
                path = self.root / file
                if file in seen:
                    continue
                seen.add(file)
                if not path.is_file() or file_sha256(path) != wanted:
                    raise VultusError(f"corpus {self.root}: {file} is missing or changed; {_REMEDY}")
