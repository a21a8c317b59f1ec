"""Models that figures run: found by name or folder, checked against the topology of the data, given a reference.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.styles import manner_of
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.figures.base import Unavailable
from vultus.runtime.bundle import load
from vultus.topology import Topology


def runnable(source: str | Path, topology: Topology, *, asked: bool) -> Any:
    """A model that speaks with faces of this topology.

    Raises:
        VultusError: no such model; or one of another topology that was asked for by name.
        Unavailable: the default model is of another topology.
    """
    if (Path(source) / "settings.json").is_file():
        raise Unavailable(f"{source} is a training run; it needs a bundle, as `vultus train` runs are exported to")
    model = load(source)
    theirs = model.template.topology
    if theirs.num_vertices != topology.num_vertices:
        text = f"model '{model.name}' speaks with {theirs.num_vertices} vertices; the data have {topology.num_vertices}"
        if asked:
            raise VultusError(f"{text}; expected a model of this topology")
        raise Unavailable(f"{text}; name a model for this topology with --model")
    return model


class ModelPredictions:
    """Predictions made on the way, in the manner of another sequence of the same subject: never of the one predicted.

    Where the subject has no other sequence the model's default style speaks.

    Args:
        source: name or folder of a bundle.
        sequences: among which references are looked for.
        fps: rate of the predictions; None for each sequence's own.
    """

    def __init__(self, source: str | Path, sequences: Sequence[FaceSequence], fps: float | None) -> None:
        self._fps = fps
        self._model = runnable(source, sequences[0].template.topology, asked=True)
        self._of: dict[str, list[FaceSequence]] = {}
        for sequence in sequences:
            if getattr(sequence, "is_speech", True):
                self._of.setdefault(sequence.subject, []).append(sequence)
        self.label = f"model '{self._model.name}', style of another sequence of the subject"

    def offsets(self, sequence: FaceSequence) -> np.ndarray:
        """(T, V, 3) offsets from the sequence's template, in the unit of the data; no longer than the recording."""
        from vultus.benchmark.examples import count_frames
        from vultus.clock import resample_motion

        style = None
        others = [s for s in self._of.get(sequence.subject, []) if s.name != sequence.name]
        others = [s for s in others if s.sentence != sequence.sentence] or others
        composite = getattr(getattr(self._model, "network", None), "config", {}).get("composite", False)
        if others and composite:
            style = manner_of(others[hash_of(sequence.name) % len(others)], self._fps)
        template = sequence.template
        (motion,) = self._model.predict(sequence.speech(), style=style, template=template)
        rate = sequence.fps if self._fps is None else self._fps
        count = max(1, round(len(motion.values) / motion.fps * rate))
        values = resample_motion(motion.values, motion.fps, rate, count)[: count_frames(sequence, rate)]
        moved: np.ndarray = motion.rig.vertices(values, template) - template.vertices
        return moved


def hash_of(name: str) -> int:
    """A number that is the same for a name on every machine."""
    import zlib

    return zlib.crc32(name.encode())
