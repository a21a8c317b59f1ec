"""What the exporters of trained runs share: lines performed in the teacher's manners, and parts of a model card."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.clock import resample_motion
from vultus.datasets import open_dataset
from vultus.head import load_head
from vultus.motion import WEIGHT_NAMES
from vultus.synthesis.performance import combine, perform
from vultus.synthesis.style import Style

STILL = 0.01
"""A shape that stays below this weight in all motion that is looked at is not the model's."""
PERFORMED_FPS = 60.0


class Manners:
    """Validation lines of the corpus, performed in named styles on the average head.

    Attributes:
        largest: (55,) the largest weight of each shape in all that was performed so far.
    """

    def __init__(self, corpus: Path, lines: int, fps: float, layers: Sequence[str], *, head_rotation: bool) -> None:
        clips = [clip for clip in open_dataset("synthetic", str(corpus)).split("val") if clip.is_speech]
        chosen = clips[:: max(1, len(clips) // lines)][:lines]
        self._spoken = [(clip.phones, clip.speech().samples) for clip in chosen]
        self._fps, self._layers, self._head_rotation = fps, layers, head_rotation
        self.largest = np.zeros(len(WEIGHT_NAMES))

    def perform(self, style: str) -> Iterator[np.ndarray]:
        """Motion (T, 55), or (T, 58) with head rotation, of every line in one style."""
        head = load_head()
        for number, (phones, samples) in enumerate(self._spoken):
            taken = perform(phones, samples, Style.preset(style), head, seed=number, fps=PERFORMED_FPS)
            others = [getattr(taken, layer) for layer in self._layers if layer != "speech"]
            motion = combine(taken.speech, *others, head=head)
            if self._head_rotation:
                motion = np.concatenate([motion, taken.head], 1)
            motion = resample_motion(motion, PERFORMED_FPS, self._fps, round(len(motion) / PERFORMED_FPS * self._fps))
            self.largest = np.maximum(self.largest, motion[:, : len(WEIGHT_NAMES)].max(0))
            yield motion

    def measure(self, names: Sequence[str], vector: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
        """The mean style vector of each manner."""
        return {name: np.mean([vector(motion) for motion in self.perform(name)], 0) for name in names}

    def still_shapes(self, *also: np.ndarray) -> tuple[str, ...]:
        """Names of shapes that moved in nothing performed so far, nor in these motions (T, 55 or more)."""
        largest = self.largest
        for motion in also:
            largest = np.maximum(largest, motion[:, : len(WEIGHT_NAMES)].max(0))
        return tuple(name for name, most in zip(WEIGHT_NAMES, largest, strict=True) if most < STILL)


def validation_table(log: list[dict[str, Any]]) -> list[str]:
    """A row for each epoch that was validated: the terms, unweighted."""
    epochs = [row for row in log if "val/loss" in row]
    if not epochs:
        return ["(not validated in training)"]
    keys = [key for key in epochs[0] if key.startswith("val/") and key != "val/loss"]
    return [
        "| step | " + " | ".join(key.removeprefix("val/") for key in keys) + " |",
        "|---" * (len(keys) + 1) + "|",
        *(f"| {row['step']} | " + " | ".join(f"{row[key]:.4g}" for key in keys) + " |" for row in epochs),
    ]


def trained(settings: dict[str, Any], log: list[dict[str, Any]]) -> dict[str, Any]:
    """What config.json says of the training."""
    return {
        "dataset": "synthetic", "hours": settings["hours"], "steps": log[-1]["step"],
        "validation": {key: round(value, 5) for key, value in log[-1].items() if key.startswith("val/")},
    }  # fmt: skip


def training_speed(log: list[dict[str, Any]]) -> float:
    """Mean seconds of speech a second."""
    speed = [row["speech_seconds_per_second"] for row in log if "speech_seconds_per_second" in row]
    return sum(speed) / max(len(speed), 1)


def results_of(name: str, results: Path | None) -> dict[str, Any]:
    """This model's numbers in docs/results.json."""
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))["results"] if results else {}
    return dict(found.get(name, {}))


def quality_table(real: dict[str, Any]) -> list[str]:
    """Measured quality on recordings, a row for each test."""
    if not real:
        return ["Not measured yet: run `make results`, then export again with `--results docs/results.json`."]
    lines = ["| recordings | test | value | 95 % interval | n |", "|---|---|---|---|---|"]
    for group, tests in real.items():
        for test, found in tests.items():
            if found["value"] is not None and found["value"] == found["value"]:
                low, high = found.get("low"), found.get("high")
                interval = f"{low:.3g} to {high:.3g}" if low is not None and low == low else "-"
                lines.append(f"| {group} | {test} | {found['value']:.3g} | {interval} | {found['n']} |")
    return lines
