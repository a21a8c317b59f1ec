"""Predicted motion from a folder, found, read and refused as `vultus evaluate` does it.

Of a sequence that was predicted in the styles of several subjects its own subject's counts, else the first by name; of
several takes the first.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vultus.benchmark.prediction_files import PredictionFolder
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError


class FolderPredictions:
    """Predictions in a folder. All files are read once when it is opened, so that bad ones are known before any work.

    Args:
        folder: holds a prediction for each of the sequences.
        sequences: those that will be asked for.
        fps: rate of the predictions; None for each sequence's own.

    Raises:
        VultusError: no such folder, a sequence without a prediction, a file that cannot be right.
    """

    def __init__(self, folder: str | Path, sequences: Sequence[FaceSequence], fps: float | None) -> None:
        self._files = PredictionFolder(Path(folder), sequences, fps)
        missing = [sequence.name for sequence in sequences if not self._files.all_conditions(sequence)]
        if missing:
            raise VultusError(
                f"predictions {folder}: no file for {len(missing)} of {len(sequences)} sequences, such as "
                f"{missing[0]}.npy; expected one for each; predict them, or choose fewer with --subjects or --limit"
            )
        for sequence in sequences:
            self._files.check_files(sequence, self._condition(sequence))
        self.label = f"folder {self._files.folder.name}"

    def offsets(self, sequence: FaceSequence) -> np.ndarray:
        """(T, V, 3) offsets from the sequence's template, in the unit of the data."""
        makers, _ = self._files.takes(sequence, self._condition(sequence))
        moved: np.ndarray = makers[0]() - np.asarray(sequence.template.vertices, np.float32)
        return moved

    def _condition(self, sequence: FaceSequence) -> str:
        return (self._files.own_condition(sequence) or self._files.all_conditions(sequence))[0]
