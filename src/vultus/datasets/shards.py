"""Our own form of any data set: what `vultus data convert` writes, made for training.

    DIR/shards.json                       version, data set, its options, fps, type of the offsets, state, splits
    DIR/index.jsonl                       a line for each sequence of each split
    DIR/motion/<subject>/<name>.npy       (T, V, 3) offsets from the template, float32 or float16; memory-mapped
    DIR/sound/<subject>/<name>.flac       16 kHz, 16 bits
    DIR/templates/<16 digits>.npy         (V, 3) float32 neutral faces, named by their content
    DIR/topologies/<16 digits>.npz        triangles, regions, parts

A line of the index: name, subject, sentence, split, source, fps, unit, frames, samples, the files above with their
bytes and sha256, how far the stored motion and sound are from the original at most (`motion_error` in the unit,
`sound_error` of full scale), and, where the data set tells them, `video`, `labels` and `is_speech`.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import functools
import hashlib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.datasets.base import Finding, Unit, vertices_at
from vultus.datasets.durations import compare_durations
from vultus.datasets.shard_index import REMEDY, read_index, read_settings
from vultus.errors import VultusError, unknown_name
from vultus.speech import Speech
from vultus.topology import Template, Topology


@dataclass(frozen=True, eq=False)
class ShardSequence:
    """One sequence (see FaceSequence).

    Attributes:
        source: the data set that it was converted from.
        frames: T as stored.
        num_samples: of its sound.
        audio_sha256: of the file of its sound.
        read_template: digests of template and topology -> the neutral face.
        video, labels, is_speech: as the original data set tells them.
    """

    name: str
    subject: str
    sentence: str
    split: str
    source: str
    fps: float
    unit: Unit
    frames: int
    num_samples: int
    audio_sha256: str
    motion_file: Path
    sound_file: Path
    digests: tuple[str, str]
    read_template: Callable[[str, str], Template]
    video: str
    labels: Mapping[str, str]
    is_speech: bool

    @property
    def template(self) -> Template:
        """The subject's neutral face."""
        return self.read_template(*self.digests)

    def speech(self) -> Speech:
        """The sound, as stored: the original rounded to 16 bits."""
        if not self.sound_file.is_file():
            raise VultusError(f"shards: no file '{self.sound_file}'; {REMEDY}")
        speech = Speech.load(self.sound_file)
        if speech.num_samples != self.num_samples:
            raise VultusError(
                f"shards: '{self.sound_file}': has {speech.num_samples} samples, {self.num_samples} in the index; "
                f"{REMEDY}"
            )
        return Speech(speech.samples, self.name)

    def offsets(self) -> np.ndarray:
        """(T, V, 3) vertices minus template at the stored rate, float32 or float16, memory-mapped."""
        try:
            values: np.ndarray = np.load(self.motion_file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise VultusError(f"shards: '{self.motion_file}': cannot be read ({reason}); {REMEDY}") from None
        good = values.ndim == 3 and values.shape[0] == self.frames and values.shape[2] == 3
        if not good or values.dtype not in (np.float32, np.float16):
            raise VultusError(
                f"shards: '{self.motion_file}': holds {values.dtype} {values.shape}, {self.frames} frames in the "
                f"index; {REMEDY}"
            )
        return values

    def vertices(self, *, fps: float | None = None) -> np.ndarray:
        """See FaceSequence."""
        return vertices_at(self, restore(self.offsets(), self.template.vertices), fps)


def restore(offsets: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Template plus offsets, (T, V, 3) float32."""
    if offsets.shape[1:] != template.shape:
        raise VultusError(f"shards: offsets of shape {offsets.shape} on {len(template)} vertices; {REMEDY}")
    return np.add(template, offsets, dtype=np.float32)


class Shards:
    """A converted data set on disk.

    Args:
        root: the folder.
        allow_partial: accept one whose conversion has not finished; it then holds the sequences converted so far.

    Attributes:
        origin: name of the data set that it was converted from.

    Raises:
        VultusError: no such folder, an unfinished one, or an index that cannot be true.
    """

    name = "shards"

    def __init__(self, root: str | Path, *, allow_partial: bool = False) -> None:
        self.root = Path(root)
        self.info = read_settings(self.root)
        if self.info["state"] != "complete" and not allow_partial:
            raise VultusError(
                f"shards: {self.root}: its conversion has not finished; run the same `vultus data convert` again"
            )
        self.origin = str(self.info["dataset"])
        self.records = read_index(self.root)
        self._by_split: dict[str, list[dict[str, Any]]] = {str(name): [] for name in self.info["splits"]}
        for record in self.records:
            self._by_split.setdefault(record["split"], []).append(record)
        if not self.records or (self.info["state"] == "complete" and len(self.records) != self.info["sequences"]):
            raise VultusError(
                f"shards: {self.root} has {len(self.records)} sequences in its index, {self.info['sequences']} in its "
                f"settings; {REMEDY}"
            )
        self._topology = functools.lru_cache(maxsize=None)(self._read_topology)
        self._template = functools.lru_cache(maxsize=256)(self._read_template)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold sequences."""
        return tuple(name for name, records in self._by_split.items() if records)

    def split(self, name: str) -> tuple[ShardSequence, ...]:
        """The sequences of a split in the order of the original data set; VultusError where it is unknown."""
        if name not in self.splits:
            raise unknown_name(f"split of {self.name} at {self.root}", name, self.splits)
        return tuple(self._sequence(record) for record in self._by_split[name])

    def verify(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Checks every file against the index; VultusError names the first that differs."""
        for done, record in enumerate(self.records, 1):
            for part in ("motion", "sound"):
                path = self.root / record[part]
                if not path.is_file() or _sha256(path) != record[f"{part}_sha256"]:
                    raise VultusError(f"shards: {path} is missing or changed; {REMEDY}")
            if progress is not None:
                progress(done, len(self.records))

    def _sequence(self, record: dict[str, Any]) -> ShardSequence:
        return ShardSequence(
            name=record["name"], subject=record["subject"], sentence=record["sentence"], split=record["split"],
            source=record["source"], fps=record["fps"], unit=record["unit"], frames=record["frames"],
            num_samples=record["samples"], audio_sha256=record["sound_sha256"],
            motion_file=self.root / record["motion"], sound_file=self.root / record["sound"],
            digests=(record["template"], record["topology"]), read_template=self._template,
            video=str(record.get("video", "")), labels=record.get("labels", {}),
            is_speech=bool(record.get("is_speech", True)),
        )  # fmt: skip

    def _read_template(self, digest: str, topology: str) -> Template:
        found = self._topology(topology)
        path = self.root / "templates" / f"{digest}.npy"
        try:
            vertices = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise VultusError(f"shards: '{path}': cannot be read ({type(error).__name__}); {REMEDY}") from None
        if vertices.shape != (found.num_vertices, 3) or vertices.dtype != np.float32:
            raise VultusError(f"shards: '{path}': holds {vertices.dtype} {vertices.shape}; {REMEDY}")
        return Template(found, vertices)

    def _read_topology(self, digest: str) -> Topology:
        path = self.root / "topologies" / f"{digest}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:  # numpy leaves a bad zip open
                arrays = {key: data[key] for key in data.files}
                count, name = int(arrays["num_vertices"]), str(arrays["name"])
                groups: dict[str, dict[str, np.ndarray]] = {"region": {}, "part": {}}
                for key, values in arrays.items():
                    kind, slash, what = key.partition("/")
                    if slash and kind in groups:
                        groups[kind][what] = values
                return Topology(arrays["faces"], count, groups["region"], groups["part"], arrays.get("colours"), name)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise VultusError(f"shards: '{path}': cannot be read ({type(error).__name__}); {REMEDY}") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(root: str | Path, *, durations: bool = True) -> list[Finding]:
    """What is at `root` and whether files are missing or cut short; raises nothing."""
    try:
        data = Shards(root)
    except Exception as error:  # a bad root may fail in any way, and this function is there to tell about it
        return [Finding(False, str(error) or type(error).__name__, "see docs/datasets/README.md")]
    told = f"{data.origin}, {data.info.get('offsets')} offsets: {len(data.records)} sequences"
    wrong = []
    for record in data.records:
        for part in ("motion", "sound"):
            path = data.root / record[part]
            if not path.is_file() or path.stat().st_size != record[f"{part}_bytes"]:
                wrong.append(Finding(False, f"{record[part]} is missing or cut short", REMEDY))
    findings = [Finding(True, told), *wrong]
    for split in data.splits if durations else ():
        findings += compare_durations(f"split {split}", data.split(split), REMEDY)
    return findings
