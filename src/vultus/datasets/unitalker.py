"""One data set of the UniTalker release (Fan et al., ECCV 2024): seven sources brought to one folder shape.

    ROOT/train.json val.json test.json     {"info": {"id_list": [...]}, "data": [{annot_path, audio_path, id,
                                           annot_type, dataset, fps}, ...]}; paths relative to ROOT, id a row of id_list
    ROOT/id_template.npy                   one row for each identity

ROOT is one of the release's folders (D5_unitalker_faceforensics++, vocaset ...), since each has its own topology. What
a row of annotation holds is its annotation type's matter: see unitalker_types.py and docs/datasets/unitalker.md.

Letters: T motion frames, D numbers of a row, V vertices.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vultus._decode import one_line
from vultus.clock import check_fps
from vultus.datasets.base import Finding, missing, shortened
from vultus.datasets.durations import compare_durations
from vultus.datasets.flame_sequence import MAX_GAP, FlameSource
from vultus.datasets.unitalker_clip import UniTalkerSequence
from vultus.datasets.unitalker_types import PAGE, Annotation, Options, annotation
from vultus.errors import VultusError, unknown_name
from vultus.readers.numpy_files import read_npy
from vultus.rigs.flame import FlameModel

SPLITS = ("train", "val", "test")
#: Stored rate -> the published step: 60 becomes 30 and 100 becomes 25.
STEPS = {25.0: 1, 30.0: 1, 60.0: 2, 100.0: 4}
SHORTEST = 0.5  # seconds, as published
_FIELDS: dict[str, Any] = {"annot_path": str, "audio_path": str, "id": int, "annot_type": str, "fps": (int, float)}


class UniTalker:
    """A folder of the release.

    Args:
        root: the folder that holds train.json.
        flame: FLAME 2020 model file, for flame_params_from_dadhead; see `FlameSource`.
        resources: the unpacked resources.zip of the UniTalker repository, for triangles and for blendshape weights.
        metres_per_unit: unit of the blendshape meshes in `resources`; the release does not tell it.
        nominal_metres: multiply BIWI by 0.2 and call it metres, as the published code does; otherwise its unit is
            `area`, since every mesh was scaled to a surface of 1.
        published: thin 60 fps to 30 and 100 to 25, cut clips to 20 s and leave out those under 0.5 s, as the published
            code does; False gives all clips whole at their stored rate.

    Attributes:
        left_out: name of a clip -> why it is in no split; filled as splits are asked for.

    Raises:
        VultusError: nothing usable at `root`, or lists that cannot be true.
    """

    name = "unitalker"

    def __init__(
        self,
        root: str | Path,
        *,
        flame: str | Path | FlameModel | None = None,
        resources: str | Path | None = None,
        metres_per_unit: float | None = None,
        nominal_metres: bool = False,
        published: bool = True,
    ) -> None:
        self.root = Path(root)
        self.published = published
        self.flame = FlameSource(flame, self.root)
        folder = None if resources is None else Path(resources)
        self._options = Options(self.flame, folder, metres_per_unit, nominal_metres)
        self._types: dict[str, Annotation] = {}
        self.left_out: dict[str, str] = {}
        lists = [split for split in SPLITS if (self.root / f"{split}.json").is_file()]
        if not lists:
            inner = sorted(path.parent.name for path in self.root.glob("*/train.json"))
            found = f"no train.json itself but data sets {shortened(inner)}" if inner else "no train.json"
            raise missing(self.name, self.root, found, f"one folder of the release, see {PAGE}")
        rows = self._templates()
        self._clips: dict[str, list[UniTalkerSequence]] = {}
        seen: set[str] = set()
        for split in lists:
            self._clips[split] = self._read_list(split, rows, seen)
        self._kept: dict[str, tuple[UniTalkerSequence, ...]] = {}
        if not self.splits:
            raise missing(self.name, self.root, "no clip in its lists", "some")

    def _templates(self) -> np.ndarray:
        rows = read_npy(self.root / "id_template.npy", self.name, f"obtain it again, see {PAGE}", mapped=False)
        if rows.ndim < 2 or rows.dtype.kind not in "fiu" or not np.isfinite(rows).all():
            raise missing(
                self.name, self.root, f"id_template.npy of shape {rows.shape}", "finite (identities, numbers)"
            )
        return rows.reshape(len(rows), -1)

    def _read_list(self, split: str, rows: np.ndarray, seen: set[str]) -> list[UniTalkerSequence]:
        path = self.root / f"{split}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            people, entries = [str(person) for person in content["info"]["id_list"]], list(content["data"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VultusError(
                f"{self.name}: {path} cannot be read ({one_line(error)}); expected info.id_list and data; see {PAGE}"
            ) from None
        found = []
        for number, entry in enumerate(entries):
            where = f"{self.name}: {path}: clip {number}"
            bad = [
                k for k, kind in _FIELDS.items() if not isinstance(entry, dict) or not isinstance(entry.get(k), kind)
            ]
            if bad:
                raise VultusError(f"{where} has no usable {', '.join(bad)}; expected the fields of {PAGE}")
            if not 0 <= entry["id"] < min(len(people), len(rows)):
                raise VultusError(
                    f"{where} has id {entry['id']}; expected below {len(people)} names in id_list and {len(rows)} rows "
                    "of id_template.npy"
                )
            clip = self._clip(where, split, entry, people[entry["id"]], rows[entry["id"]])
            if clip.name in seen:
                raise VultusError(f"{where} is {clip.name} again; expected each annot_path once in all lists")
            seen.add(clip.name)
            found.append(clip)
        return found

    def _clip(self, where: str, split: str, entry: dict[str, Any], person: str, row: np.ndarray) -> UniTalkerSequence:
        rate = check_fps(entry["fps"])
        if rate not in STEPS and self.published:
            raise VultusError(f"{where} has {rate:g} fps; expected 25, 30, 60 or 100; pass published=False to take it")
        step = STEPS.get(rate, 1) if self.published else 1
        kind = entry["annot_type"]
        if kind not in self._types:
            self._types[kind] = annotation(kind, self._options)
        inner = PurePosixPath(entry["annot_path"]).with_suffix("")
        return UniTalkerSequence(
            name="_".join(inner.parts), subject=person, sentence=inner.name, split=split, source=self.name,
            fps=rate / step, type=self._types[kind], neutral_row=row, step=step, published=self.published,
            annotation_file=self._inside(where, entry["annot_path"]), sound=self._inside(where, entry["audio_path"]),
        )  # fmt: skip

    def _inside(self, where: str, text: str) -> Path:
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise VultusError(f"{where} names {text!r}; expected a path inside the data set's folder")
        return self.root / path

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits whose list names clips."""
        return tuple(split for split, clips in self._clips.items() if clips)

    def split(self, name: str) -> tuple[UniTalkerSequence, ...]:
        """The clips of a split in the order of its list; VultusError where the split is unknown."""
        if name not in self.splits:
            raise unknown_name(f"split of {self.name} at {self.root}", name, self.splits)
        if name not in self._kept:
            short = {clip for clip in self._clips[name] if self.published and clip.duration() < SHORTEST}
            self.left_out |= {clip.name: f"under {SHORTEST:g} s" for clip in short}
            self._kept[name] = tuple(clip for clip in self._clips[name] if clip not in short)
        return self._kept[name]


def check(root: str | Path, *, durations: bool = True, **options: Any) -> list[Finding]:
    """What is at `root`; reads a few clips of each split. Never raises on a bad folder."""
    try:
        data = UniTalker(root, **options)
        everything = {split: data._clips[split] for split in data.splits}
    except Exception as error:  # a bad root may fail in any way, and this function is there to tell about it
        return [Finding(False, str(error) or type(error).__name__, f"see {PAGE}")]
    clips = [clip for split in everything.values() for clip in split]
    findings = [Finding(True, f"{len({clip.subject for clip in clips})} identities")]
    for split in SPLITS:
        here = everything.get(split, [])
        gone = [c.name for c in here if not (c.annotation_file.is_file() and c.sound.is_file())]
        if gone:
            what = f"split {split}: {len(gone)} of {len(here)} clips lack a file: {shortened(gone)}"
            findings.append(Finding(False, what, f"obtain them, see {PAGE}"))
        elif not here:
            findings.append(Finding(False, f"no {split}.json, or none in it", f"obtain it, see {PAGE}"))
        whole = [clip for clip in here if clip.name not in set(gone)] if durations else []
        findings += compare_durations(f"split {split}", whole, f"see {PAGE}", allowed=MAX_GAP, most=8)
    for kind, number in Counter(clip.type.name for clip in clips).items():
        findings.append(next(clip.type for clip in clips if clip.type.name == kind).finding(number))
    return findings
