"""From a sequence and its prediction to Examples that metrics measure, and the row of what they measured.

Letters: T motion frames, V vertices, N samples.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vultus.benchmark.predictions import LazySamples, Prediction
from vultus.benchmark.protocol import Protocol
from vultus.benchmark.rows import Row
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.metrics import Example, Metric, Region, Unavailable
from vultus.metrics.frames import mean_errors

TOLERANCE = 2
"""Frames by which a prediction may be longer or shorter: published programs end a frame or two early."""
UNEQUAL = ("f_dtw", "f_dtw_mm23")
"""Metrics that take a prediction of another length as it is."""
RATES = (24.0, 25.0, 30.0, 50.0, 60.0, 100.0, 120.0)


@dataclass(frozen=True)
class Bench:
    """What all examples of an evaluation share.

    Attributes:
        metrics: name -> metric, in the order of the table; those of variants under METRIC@VARIANT.
        extras: for `Example.extras`.
        takes: name of a sequence -> its other true takes, where the data set has such.
    """

    protocol: Protocol
    regions: Mapping[str, Region]
    metrics: Mapping[str, Metric]
    extras: Mapping[str, Any]
    takes: Mapping[str, tuple[FaceSequence, ...]]

    def reference(self, sequence: FaceSequence) -> np.ndarray:
        """(T, V, 3) float32 at the protocol's rate."""
        return np.require(sequence.vertices(fps=self.protocol.fps), np.float32, ["C", "W"])

    def example(self, sequence: FaceSequence, reference: np.ndarray, samples: Any) -> Example:
        """An example without a style reference."""
        return Example(
            name=sequence.name,
            subject=sequence.subject,
            fps=self.protocol.fps,
            unit=sequence.unit,
            reference=reference,
            samples=samples,
            template=np.asarray(sequence.template.vertices, np.float32),
            topology=sequence.template.topology,
            regions=self.regions,
            speech=sequence.speech(),
            phones=getattr(sequence, "phones", None),
        )

    def measure(self, sequence: FaceSequence, prediction: Prediction, reference: np.ndarray, stamp: str) -> Row:
        """All metrics of one prediction.

        Raises:
            VultusError: a length or shape that does not fit, coordinates that are not finite.
        """
        name = sequence.name + (f"_condition_{prediction.condition}" if prediction.condition else "")
        frames = common_length(name, prediction.lengths, len(reference), self.protocol.fps)
        notes = list(prediction.notes)
        whole = self.example(sequence, reference, prediction.samples)
        if prediction.style is not None:
            style = _style_offsets(prediction.style, self.protocol.fps)  # type: ignore[arg-type]
            whole = replace(whole, style_reference=style, style_subject=prediction.style.subject)
        extras = dict(self.extras)
        if sequence.name in self.takes:
            makers = [functools.partial(_vertices, take, self.protocol.fps) for take in self.takes[sequence.name]]
            extras["true_samples"] = LazySamples(makers, frames)
        whole = replace(whole, name=name, extras=extras)
        cut = whole
        if frames != len(reference) or any(length != frames for length in prediction.lengths):
            cut = replace(whole, reference=reference[:frames], samples=prediction.samples.cut(frames))
        if set(prediction.lengths) != {len(reference)}:
            found = ", ".join(str(length) for length in sorted(set(prediction.lengths)))
            notes.append(f"{found} frames predicted, {len(reference)} recorded: cut to {frames}")
        examples = {"": (cut, whole)}
        for variant in self.protocol.variants:
            other = sequence.vertices(fps=self.protocol.fps, layers=variant.layers)  # type: ignore[call-arg]
            examples[variant.name] = (replace(cut, reference=other[:frames]), replace(whole, reference=other))
        values: dict[str, np.ndarray] = {}
        unavailable: dict[str, str] = {}
        for label, metric in self.metrics.items():
            plain, _, variant_name = label.partition("@")
            example = examples[variant_name][plain in UNEQUAL]
            try:
                values[label] = np.asarray(metric.measure(example), np.float64)
            except Unavailable as reason:
                unavailable[label] = str(reason)
        return Row(
            name, sequence.name, frames, len(prediction.samples), values, unavailable, tuple(notes), _error(cut), stamp
        )


def common_length(name: str, lengths: tuple[int, ...], frames: int, fps: float) -> int:
    """Frames that predictions and reference share; VultusError where they differ by more than TOLERANCE."""
    for length in lengths:
        if abs(length - frames) > TOLERANCE:
            off = {rate: abs(length - frames * rate / fps) for rate in RATES if rate != fps}
            near = min(off, key=lambda rate: (off[rate], max(rate, fps) % min(rate, fps)))
            hint = f"it looks like {near:g} fps; " if off[near] <= TOLERANCE else ""
            raise VultusError(
                f"prediction of {name} has {length} frames, its recording {frames} at {fps:g} fps; expected at most "
                f"{TOLERANCE} more or fewer; {hint}predict at {fps:g} fps from the whole sound"
            )
    return min(frames, *lengths)


def count_frames(sequence: FaceSequence, fps: float) -> int:
    """T at a rate, without reading coordinates where the data set can tell."""
    from vultus.clock import num_motion_frames

    if hasattr(sequence, "num_samples"):
        return num_motion_frames(sequence.num_samples, fps)
    if hasattr(sequence, "count_frames"):
        stored = int(sequence.count_frames())
        step = sequence.fps / fps
        return -(-stored // int(step)) if step == round(step) else max(1, round(stored / step))
    return len(sequence.vertices(fps=fps))


def evenly(sequences: Sequence[FaceSequence], limit: int | None) -> list[FaceSequence]:
    """`limit` of the sequences, evenly over their order, so that all subjects have a share."""
    if limit is None or limit >= len(sequences):
        return list(sequences)
    return [sequences[i * len(sequences) // limit] for i in range(limit)]


@functools.lru_cache(maxsize=2)
def _style_offsets(sequence: FaceSequence, fps: float) -> np.ndarray:
    return sequence.vertices(fps=fps) - np.asarray(sequence.template.vertices, np.float32)


def _vertices(sequence: FaceSequence, fps: float) -> np.ndarray:
    return sequence.vertices(fps=fps)


def _error(example: Example) -> np.ndarray:
    try:
        return np.asarray(mean_errors(example, "lips"), np.float32)
    except Unavailable:
        return np.zeros(0, np.float32)
