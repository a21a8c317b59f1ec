"""Rebuilds of VoxCeleb2 as FLAME numbers: the same clips reconstructed frame by frame, and as video.

    ROOT/dev/id00012/21Uxsk56VDQ/00001.npz     part, speaker, source video, utterance: the official names
    ROOT/dev/id00012/21Uxsk56VDQ/00001.wav     the sound, unless the .npz holds it or `audio` tells where it is
    ROOT/splits/train.txt ...                  optional lists of dev/id00012/21Uxsk56VDQ/00001, one a line
    ROOT/build.json                            optional: {"reconstruction": "framewise", "method": "DECA"}

A clip: exp (T, 50), jaw (T, 3), shape (100,), speaker, video, fps = 25; wav (640 T,), or a sound file
and `start`, the seconds at which the clip begins in it.
Yang et al. 2024, "Probabilistic Speech-Driven 3D Facial Motion Synthesis", made two such sets, not public;
layout, filters and the rule for splits are ours: docs/datasets/voxceleb2.md.

Letters: T motion frames.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from vultus._decode import one_line
from vultus.datasets.base import Finding
from vultus.datasets.durations import compare_durations
from vultus.datasets.flame_sequence import MAX_GAP, FlameSequence, FlameSource, check_neutral
from vultus.datasets.vox2_clip import FPS, PAGE, ClipFiles
from vultus.datasets.vox2_splits import SPARE, SPLITS, ClipName, check_lists, draw, split_by_rule
from vultus.errors import VultusError, unknown_name
from vultus.files import write_atomically
from vultus.rigs.flame import FlameModel


class VoxCeleb2:
    """A rebuild on disk. Open it as `vox2_framewise` or `vox2_videowise`.

    Args:
        root: folder of the rebuild.
        flame: model file of the FLAME release that the reconstruction used (2020 for DECA, EMOCA, SPECTRE and SMIRK);
            see `FlameSource`. Only vertices need it.
        audio: folder of VoxCeleb2's own sound (dev/aac/id00012/...), for clips without a sound of their own.
        neutral: "common", one face for all, as the benchmark scores; "own" uses each clip's shape.

    Raises:
        VultusError: nothing usable at `root`, lists that break a rule, or a rebuild of the other kind.
    """

    name = "vox2"
    reconstruction = ""

    def __init__(
        self,
        root: str | Path,
        *,
        flame: str | Path | FlameModel | None = None,
        audio: str | Path | None = None,
        neutral: str = "common",
    ) -> None:
        self.root = Path(root)
        self.audio = None if audio is None else Path(audio)
        if self.audio is not None and not self.audio.is_dir():
            raise VultusError(f"{self.name}: no folder {audio}; expected VoxCeleb2's sound, such as {audio}/dev/aac")
        self.neutral = check_neutral(neutral)
        self._check_kind()
        self.flame = FlameSource(flame, self.root)
        folder = self.root / "splits"
        if folder.is_dir():
            self.rule = f"lists in {folder}"
            self._names = check_lists(self._read_lists(folder), f"{self.name}: {folder}")
        else:
            self.rule = "the rule of the data set's page"
            self._names = split_by_rule(_scan(self.root))
        if not self.splits:
            raise VultusError(
                f"{self.name}: no clip under {self.root}; expected dev/id00012/21Uxsk56VDQ/00001.npz ..., see {PAGE}; "
                f"look at it with `vultus data check {self.name} {self.root}`"
            )

    def _check_kind(self) -> None:
        path = self.root / "build.json"
        if not path.is_file():
            return
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise VultusError(f"{self.name}: {path} cannot be read ({one_line(error)}); expected JSON") from None
        kind = info.get("reconstruction") if isinstance(info, dict) else None
        if kind != self.reconstruction:
            raise VultusError(
                f"{self.name}: {path} says reconstruction is {kind!r}; expected {self.reconstruction!r}; "
                "open the folder under the name of its own kind"
            )

    def _read_lists(self, folder: Path) -> dict[str, list[ClipName]]:
        found = {}
        for path in sorted(folder.glob("*.txt")):
            if path.stem not in (*SPLITS, SPARE):
                raise unknown_name(f"list in {folder}", path.stem, (*SPLITS, SPARE))
            try:
                lines = path.read_text(encoding="utf-8").split()
            except (OSError, UnicodeDecodeError) as error:
                raise VultusError(f"{self.name}: {path} cannot be read ({one_line(error)})") from None
            found[path.stem] = [ClipName.parse(line, f"{self.name}: {path}") for line in lines]
        return found

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold clips."""
        return tuple(split for split in SPLITS if self._names[split])

    def split(self, name: str) -> Sequence[FlameSequence]:
        """The clips of a split by name, made as they are indexed; VultusError where it is unknown or empty."""
        if name not in self.splits:
            raise unknown_name(f"split of {self.name} at {self.root}", name, self.splits)
        return _Clips(self, name, self._names[name])

    def write_splits(self) -> Path:
        """Writes ROOT/splits as it stands, so that it stays and opening needs no walk over the folders."""
        for split, names in self._names.items():
            text = "".join(f"{name}\n" for name in names)
            write_atomically(self.root / "splits" / f"{split}.txt", text.encode())
        return self.root / "splits"

    def reference(self, clip: FlameSequence, seed: int = 0) -> FlameSequence:
        """A clip of another source video of the same speaker, to take the manner of; the same for the same seed.

        Drawn from the clip's own split, the training clips and those in no split, so never from what another split
        scores; for a training clip from training clips alone.

        Raises:
            VultusError: the speaker has no other video there.
        """
        pool = {"train"} if clip.split == "train" else {clip.split, "train", SPARE}
        spoken = self._spoken_by.get(clip.subject, ())
        others = [(name, split) for name, split in spoken if split in pool and name.video != clip.video]
        if not others:
            raise VultusError(
                f"{self.name}: {clip.name}: speaker {clip.subject} has no clip of another video; expected two "
                "or more; give the speaker's other clips in splits/spare.txt, or drop the clip"
            )
        return self._clip(*others[int(draw(f"reference {seed} {clip.name}") * len(others))])

    @functools.cached_property
    def _spoken_by(self) -> dict[str, list[tuple[ClipName, str]]]:
        found: dict[str, list[tuple[ClipName, str]]] = {}
        for split, names in self._names.items():
            for name in names:
                found.setdefault(name.speaker, []).append((name, split))
        return found

    def _clip(self, name: ClipName, split: str) -> FlameSequence:
        files = ClipFiles(self.name, self.root, self.audio, name)
        return FlameSequence(
            name="_".join(name[1:]),
            subject=name.speaker,
            sentence="_".join(name[2:]),
            split=split,
            source=self.name,
            fps=FPS,
            read_speech=files.speech,
            read_motion=files.motion,
            read_shape=files.shape,
            flame=self.flame,
            neutral=self.neutral,
            video=name.video,
        )


class FramewiseVoxCeleb2(VoxCeleb2):
    """Each frame reconstructed by itself (DECA): more jitter, weaker lips."""

    name, reconstruction = "vox2_framewise", "framewise"


class VideowiseVoxCeleb2(VoxCeleb2):
    """Reconstructed by a method that watches the video and its words (SPECTRE)."""

    name, reconstruction = "vox2_videowise", "videowise"


class _Clips(Sequence[FlameSequence]):
    """Clips made when they are asked for: a million of them are a list of names until then."""

    def __init__(self, data: VoxCeleb2, split: str, names: Sequence[ClipName]) -> None:
        self._data, self._split, self._names = data, split, names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> FlameSequence: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FlameSequence]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Clips(self._data, self._split, self._names[index])
        return self._data._clip(self._names[index], self._split)


def _scan(root: Path) -> Iterator[ClipName]:
    """Names of all clips; other files and folders are passed over."""
    for part in ("dev", "test"):
        for folder, _, files in os.walk(root / part):
            for file in files:
                stem, suffix = os.path.splitext(file)
                if suffix == ".npz":
                    name = Path(folder).relative_to(root).as_posix() + "/" + stem
                    yield ClipName.parse(name, f"vox2: {root}")


def check(root: str | Path, *, durations: bool = True, **options: Any) -> list[Finding]:
    """What is at `root`, of either kind; reads a few clips of each split. Never raises on a bad folder."""
    kind: type[VoxCeleb2] = FramewiseVoxCeleb2
    try:
        told = json.loads((Path(root) / "build.json").read_text(encoding="utf-8"))
        kind = VideowiseVoxCeleb2 if told["reconstruction"] == "videowise" else kind
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        data = kind(root, **options)
    except Exception as error:  # a bad root may fail in any way, and this function is there to tell about it
        return [Finding(False, str(error) or type(error).__name__, f"see {PAGE}")]
    counts = ", ".join(f"{split} {len(data.split(split))}" for split in data.splits)
    findings = [Finding(True, f"{data.name}, splits by {data.rule}: {counts}")]
    for split in SPLITS:
        if split not in data.splits:
            findings.append(Finding(False, f"split {split} is empty", f"see {PAGE} for what each split needs"))
        elif durations:
            findings += compare_durations(f"split {split}", data.split(split), f"see {PAGE}", allowed=MAX_GAP, most=8)
    return [*findings, data.flame.finding()]
