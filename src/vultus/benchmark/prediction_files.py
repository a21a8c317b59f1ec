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

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.predictions import LazySamples, Prediction
from vultus.benchmark.protocol import Protocol
from vultus.benchmark.styles import StyleChooser
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.topology import Template

_NAME = re.compile(r"(?P<name>.+?)(?:_condition_(?P<condition>.+?))?(?:_take_(?P<take>\d+))?")
_BLOCK = 64
SAME_FACE = 0.001
"""Metres that the neutral face of an .npz may lie off that of the sequence, mean over vertices."""


class PredictionFiles:
    """A folder of predictions. All files are looked through at once, so that bad ones are known before any work.

    Args:
        folder: of the files.
        sequences: of the split.
        protocol: tells fps, unit and what to do with conditions.
        styles: finds the clip that stands for a condition or for the protocol's rule.
        num_samples: takes at most; None for all.

    Raises:
        VultusError: no such folder, no file that belongs to a sequence, two files for one take.
    """

    def __init__(
        self,
        folder: Path,
        sequences: Sequence[FaceSequence],
        protocol: Protocol,
        styles: StyleChooser,
        num_samples: int | None = None,
    ) -> None:
        if not folder.is_dir():
            raise VultusError(f"predictions {folder}: no such folder; expected one with SUBJECT_SENTENCE.npy files")
        self.folder, self.protocol, self.styles, self.num_samples = folder, protocol, styles, num_samples
        names = {sequence.name: sequence.name for sequence in sequences}
        names |= {f"{s.subject}_{s.sentence}": s.name for s in sequences}
        self._files: dict[str, dict[str, dict[int, Path]]] = {}
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".npy", ".npz"))
        for path in paths:
            self._add(path, names)
        if not self._files:
            found = f"{len(paths)} files such as {paths[0].name}" if paths else "no .npy or .npz file"
            raise VultusError(
                f"predictions {folder}: {found}, none of them named after a sequence; expected names such as "
                f"{sequences[0].name}.npy or {sequences[0].name}_condition_SUBJECT.npy"
            )
        used = sum(len(takes) for of in self._files.values() for takes in of.values())
        self.unused = len(paths) - used
        self.about: dict[str, Any] = {
            "kind": "predictions", "name": folder.resolve().name, "samples": num_samples,
            "condition": protocol.condition,
        }  # fmt: skip

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

    def conditions(self, sequence: FaceSequence) -> tuple[str, ...]:
        """See Source; under the rule "own" the subject's own, or the one prediction that names no condition."""
        found = self._files.get(sequence.name, {})
        if self.protocol.condition == "own":
            return tuple(c for c in (sequence.subject, "") if c in found)[:1]
        return tuple(sorted(found))

    def stamp(self, sequence: FaceSequence, condition: str) -> str:
        """See Source."""
        stats = [path.stat() for path in self._paths(sequence, condition)]
        return " ".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)

    def check(self, sequences: Sequence[FaceSequence]) -> None:
        """Reads every file once; VultusError names the first that is damaged, not finite or of another mesh."""
        for sequence in sequences:
            for condition in self.conditions(sequence):
                for path in self._paths(sequence, condition):
                    for take in self._open(path, sequence):
                        for start in range(0, len(take), _BLOCK):
                            if not np.isfinite(take[start : start + _BLOCK]).all():
                                raise VultusError(f"{path}: holds NaN or infinite numbers; expected finite coordinates")

    def lengths(self, sequence: FaceSequence, condition: str) -> tuple[int, ...]:
        """Frames of each take, by the headers of the files."""
        found = [len(take) for path in self._paths(sequence, condition) for take in self._open(path, sequence)]
        return tuple(found[: self.num_samples])

    def predict(self, sequence: FaceSequence, condition: str, reference: np.ndarray) -> Prediction:
        """See Source."""
        makers, lengths = [], []
        for path in self._paths(sequence, condition):
            for number, take in enumerate(self._open(path, sequence)):
                makers.append(partial(self._vertices, path, number, sequence))
                lengths.append(len(take))
        style = self.styles.of_subject(condition) if condition else None
        if not condition and self.protocol.style == "other_clip":
            style = self.styles.choose(sequence)
        return Prediction(condition, LazySamples(makers[: self.num_samples]), tuple(lengths[: self.num_samples]), style)

    def _paths(self, sequence: FaceSequence, condition: str) -> list[Path]:
        takes = self._files[sequence.name][condition]
        return [takes[number] for number in sorted(takes)]

    def _vertices(self, path: Path, number: int, sequence: FaceSequence) -> np.ndarray:
        values = np.array(self._open(path, sequence)[number], np.float32)
        if values.ndim == 2:  # weights
            from vultus.head import load_head

            values = load_head().rig.vertices(values, sequence.template)
        return values

    def _open(self, path: Path, sequence: FaceSequence) -> list[np.ndarray]:
        """The takes of a file, each (T, V, 3), or (T, K) weights of the shipped head."""
        if path.suffix == ".npz":
            return [_from_npz(path, sequence.template, self.protocol.fps)]
        count = len(sequence.template.vertices)
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise VultusError(f"{path}: cannot be read ({reason}); expected a .npy of coordinates") from None
        if values.dtype.kind != "f" or not values.size:
            raise VultusError(f"{path}: holds {values.dtype} of shape {values.shape}; expected floating-point motion")
        if values.ndim == 2 and values.shape[1] == 3 * count:
            values = values.reshape(len(values), count, 3)
        if values.ndim not in (3, 4) or values.shape[-2:] != (count, 3):
            raise VultusError(
                f"{path}: has shape {values.shape}; expected (frames, {3 * count}) or (frames, {count}, 3), the "
                f"{count} vertices of {sequence.source}"
            )
        return list(values) if values.ndim == 4 else [values]


def _from_npz(path: Path, template: Template, fps: float) -> np.ndarray:
    from vultus.export.npz import read_npz
    from vultus.head import load_head
    from vultus.motion import WEIGHT_NAMES

    data = read_npz(path)
    if data.fps != fps:
        raise VultusError(
            f"{path}: is at {data.fps:g} fps; the protocol scores at {fps:g}; predict it again at {fps:g}"
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
