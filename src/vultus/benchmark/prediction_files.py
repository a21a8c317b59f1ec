"""Predictions in a folder, as published programs and ours write them.

For a sequence NAME (SUBJECT_SENTENCE where the data set has no name of its own):

    NAME.npy                       (T, 3V) or (T, V, 3), or N takes as (N, T, V, 3); the data's own unit and fps
    NAME_condition_SUBJECT.npy     predicted in the style of a training subject
    NAME_take_00.npy               one of several takes; after a condition too
    NAME.npz ...                   of ours: vertices, or weights of the shipped head; knows its fps

.npy are memory-mapped; nothing is ever unpickled.

Letters: N takes, T motion frames, V vertices.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.prediction_scale import check_scale
from vultus.benchmark.predictions import LazySamples, Prediction
from vultus.benchmark.protocol import Protocol
from vultus.benchmark.styles import StyleChooser
from vultus.datasets.base import FaceSequence, shortened
from vultus.errors import VultusError, unknown_name
from vultus.topology import Template

_NAME = re.compile(r"(?P<name>.+?)(?:_condition_(?P<condition>.+?))?(?:_take_(?P<take>\d+))?")
_BLOCK = 64
_SUFFIXES = (".npy", ".npz")
SAME_FACE = 0.001
"""Metres that the neutral face of an .npz may lie off that of the sequence, mean over vertices."""


class PredictionFolder:
    """Finds and reads the predictions in a folder; what evaluation and figures share.

    Args:
        folder: of the files.
        sequences: of the split.
        fps: rate of the predictions; None for each sequence's own.

    Attributes:
        unused: names of the files that belong to no sequence.

    Raises:
        VultusError: no such folder, no file that belongs to a sequence, two files for one take.
    """

    def __init__(self, folder: Path, sequences: Sequence[FaceSequence], fps: float | None) -> None:
        if not folder.is_dir():
            raise VultusError(f"predictions {folder}: no such folder; expected one with SUBJECT_SENTENCE.npy files")
        self.folder, self.fps = folder, fps
        names = {sequence.name: sequence.name for sequence in sequences}
        names |= {f"{s.subject}_{s.sentence}": s.name for s in sequences}
        self._files: dict[str, dict[str, dict[int, Path]]] = {}
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
        for path in paths:
            self._add(path, names)
        if not self._files:
            found = f"{len(paths)} files such as {paths[0].name}" if paths else "no .npy or .npz file"
            raise VultusError(
                f"predictions {folder}: {found}, none of them named after a sequence; expected names such as "
                f"{sequences[0].name}.npy or {sequences[0].name}_condition_SUBJECT.npy"
            )
        used = {path for of in self._files.values() for takes in of.values() for path in takes.values()}
        self.unused = tuple(path.name for path in paths if path not in used)

    def _add(self, path: Path, names: dict[str, str]) -> None:
        matched = _NAME.fullmatch(path.stem)
        parts = {"name": path.stem, "condition": None, "take": None}
        if path.stem not in names and matched is not None:
            parts = matched.groupdict()
        name = names.get(str(parts["name"]))
        if name is None:
            return
        takes = self._files.setdefault(name, {}).setdefault(parts["condition"] or "", {})
        take = int(parts["take"] or 0)
        if take in takes:
            raise VultusError(f"predictions {self.folder}: {takes[take].name} and {path.name} are one take; keep one")
        takes[take] = path

    def all_conditions(self, sequence: FaceSequence) -> tuple[str, ...]:
        """Conditions in which a sequence was predicted, "" for one that names none; () where it was not predicted."""
        return tuple(sorted(self._files.get(sequence.name, {})))

    def own_condition(self, sequence: FaceSequence) -> tuple[str, ...]:
        """The subject's own condition, or the one prediction that names none; () where there is neither."""
        return tuple(c for c in (sequence.subject, "") if c in self._files.get(sequence.name, {}))[:1]

    def paths(self, sequence: FaceSequence, condition: str) -> list[Path]:
        """The files of a prediction, a take or several in each."""
        takes = self._files[sequence.name][condition]
        return [takes[number] for number in sorted(takes)]

    def check_files(self, sequence: FaceSequence, condition: str, *, scale: bool = False) -> None:
        """Reads every file once.

        Args:
            sequence: what was predicted.
            condition: one of `all_conditions`.
            scale: whether to look at size and place too, see `check_scale`.

        Raises:
            VultusError: names the first that is damaged, not finite, of another mesh, in another unit, or offsets.
        """
        for path in self.paths(sequence, condition):
            for take in self._open(path, sequence):
                for start in range(0, len(take), _BLOCK):
                    if not np.isfinite(take[start : start + _BLOCK]).all():
                        raise VultusError(f"{path}: holds NaN or infinite numbers; expected finite coordinates")
                if scale and take.ndim == 3:  # weights of the shipped head know no unit
                    check_scale(path, take, sequence)

    def takes(self, sequence: FaceSequence, condition: str) -> tuple[list[Callable[[], np.ndarray]], tuple[int, ...]]:
        """What reads each take, (T, V, 3) float32, and T of each by the headers of the files."""
        makers: list[Callable[[], np.ndarray]] = []
        lengths = []
        for path in self.paths(sequence, condition):
            for number, take in enumerate(self._open(path, sequence)):
                makers.append(partial(self._vertices, path, number, sequence))
                lengths.append(len(take))
        return makers, tuple(lengths)

    def _vertices(self, path: Path, number: int, sequence: FaceSequence) -> np.ndarray:
        values = np.array(self._open(path, sequence)[number], np.float32)
        if values.ndim == 2:  # weights
            from vultus.head import load_head

            values = load_head().rig.vertices(values, sequence.template)
        return values

    def _open(self, path: Path, sequence: FaceSequence) -> list[np.ndarray]:
        """The takes of a file, each (T, V, 3), or (T, K) weights of the shipped head."""
        if path.suffix.lower() == ".npz":
            return [_from_npz(path, sequence.template, sequence.fps if self.fps is None else self.fps)]
        count = len(sequence.template.vertices)
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise VultusError(f"{path}: cannot be read ({reason}); expected a .npy of coordinates") from None
        if not values.size:
            raise VultusError(f"{path}: is empty (shape {values.shape}); expected floating-point motion")
        if values.dtype.kind != "f":
            raise VultusError(f"{path}: holds {values.dtype} of shape {values.shape}; expected floating-point motion")
        if values.ndim == 2 and values.shape[1] == 3 * count:
            values = values.reshape(len(values), count, 3)
        if values.ndim not in (3, 4) or values.shape[-2:] != (count, 3):
            raise VultusError(
                f"{path}: has shape {values.shape}; expected (frames, {3 * count}) or (frames, {count}, 3), the "
                f"{count} vertices of {sequence.source}"
            )
        return list(values) if values.ndim == 4 else [values]


class PredictionFiles(PredictionFolder):
    """A folder of predictions as a Source of an evaluation.

    Args:
        folder: see PredictionFolder, which also tells the errors.
        sequences: of the split.
        protocol: tells fps, unit and what to do with conditions.
        styles: finds the clip that stands for a condition or for the protocol's rule.
        num_samples: takes at most; None for all.

    Attributes:
        flags: what a reader of the results must know of the folder.

    Raises:
        VultusError: see PredictionFolder; a condition that names no subject of the data.
    """

    def __init__(
        self,
        folder: Path,
        sequences: Sequence[FaceSequence],
        protocol: Protocol,
        styles: StyleChooser,
        num_samples: int | None = None,
    ) -> None:
        super().__init__(folder, sequences, protocol.fps)
        self.protocol, self.styles, self.num_samples = protocol, styles, num_samples
        self.about: dict[str, Any] = {
            "kind": "predictions", "name": folder.resolve().name, "samples": num_samples,
            "condition": protocol.condition,
        }  # fmt: skip
        self.flags: tuple[str, ...] = ()
        if self.unused:
            self.flags = (f"{len(self.unused)} files belong to no sequence, left out: {shortened(self.unused)}",)
        self._check_conditions()

    def _check_conditions(self) -> None:
        """Conditions are subjects of the data, where the data hold the subjects that models are trained on."""
        data = self.styles.data
        if self.protocol.trained_on or "train" not in data.splits:
            return
        asked = {condition for of in self._files.values() for condition in of} - {""}
        subjects = {sequence.subject for split in data.splits for sequence in data.split(split)} if asked else set()
        for condition in sorted(asked - subjects):
            of = next(of for of in self._files.values() if condition in of)
            raise unknown_name(f"subject in the name of {next(iter(of[condition].values()))}:", condition, subjects)

    def conditions(self, sequence: FaceSequence) -> tuple[str, ...]:
        """See Source; under the rule "own" the subject's own, or the one prediction that names no condition."""
        return self.own_condition(sequence) if self.protocol.condition == "own" else self.all_conditions(sequence)

    def stamp(self, sequence: FaceSequence, condition: str) -> str:
        """See Source."""
        digests = []
        for path in self.paths(sequence, condition):
            with open(path, "rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        return " ".join(digests)

    def check(self, sequences: Sequence[FaceSequence]) -> None:
        """Reads all files at once, so that bad ones are known before any work; see `check_files`."""
        for sequence in sequences:
            for condition in self.conditions(sequence):
                self.check_files(sequence, condition, scale=True)

    def lengths(self, sequence: FaceSequence, condition: str) -> tuple[int, ...]:
        """Frames of each take, by the headers of the files."""
        return self.takes(sequence, condition)[1][: self.num_samples]

    def predict(self, sequence: FaceSequence, condition: str, reference: np.ndarray) -> Prediction:
        """See Source."""
        makers, lengths = self.takes(sequence, condition)
        style = self.styles.of_subject(condition) if condition else None
        if not condition and self.protocol.style == "other_clip":
            style = self.styles.choose(sequence)
        return Prediction(condition, LazySamples(makers[: self.num_samples]), lengths[: self.num_samples], style)


def _from_npz(path: Path, template: Template, fps: float) -> np.ndarray:
    from vultus.export.npz import read_npz
    from vultus.head import load_head
    from vultus.motion import WEIGHT_NAMES

    data = read_npz(path)
    if data.fps != fps:
        raise VultusError(
            f"{path}: is at {data.fps:g} fps; the motion is compared at {fps:g}; predict it again at {fps:g}"
        )
    if data.weights is not None and template.topology.digest == load_head().topology.digest:
        values = np.zeros((len(data), len(WEIGHT_NAMES)), np.float32)
        values[:, : data.weights.shape[1]] = data.weights
        for column, name in enumerate(data.extra_weight_names):
            if name in WEIGHT_NAMES and data.extra_weights is not None:
                values[:, WEIGHT_NAMES.index(name)] = data.extra_weights[:, column]
        return values
    if data.vertices is None:
        raise VultusError(f"{path}: holds weights of the shipped head; these data need vertices of their own mesh")
    expected = template.vertices.shape
    if data.vertices.shape[1:] != expected:
        raise VultusError(f"{path}: moves {data.vertices.shape[1]} vertices; expected the {expected[0]} of the data")
    off = float(np.linalg.norm(data.template - template.vertices, axis=1).mean())
    if off > SAME_FACE:
        raise VultusError(
            f"{path}: its neutral face lies {off * 1000:.1f} mm off the subject's on average; expected the subject's; "
            "predict it on the template of the data"
        )
    return data.vertices
