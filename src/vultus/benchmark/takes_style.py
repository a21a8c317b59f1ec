"""Style matching of unseen subjects: whose clip lends the manner, and how long it has to be.

The subjects of the test split were never trained on. A clip of the right subject says other words; the wrong clip is
another subject's; the null style is what the model learnt for nobody; the mean style is that of training subjects. A
manner that changed what is heard in the lips would show in sync_cos.

Letters: N takes of each clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vultus.benchmark.evaluations import Evaluation
from vultus.benchmark.open_model import OpenModel
from vultus.benchmark.predictions import Baseline
from vultus.benchmark.takes_setting import SAMPLES, Asked, Setting, Side, contrast, value
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.statistics import Estimate

METRICS = ("style_cos", "style_top1", "sync_cos", "div_lips", "div_upper", "fd_style")
SHORT_METRICS = ("style_cos", "style_top1", "sync_cos")
LENGTHS = (1.0, 2.0, 4.0, 8.0)
"""Seconds of the reference clip."""
MEAN_OF = 60
"""Training subjects that the mean style is made of."""
MOST_LOSS = 0.05
"""Of sync_cos, from the right reference to the wrong one."""


@dataclass(frozen=True)
class Condition:
    """One row: who lends the manner, whom style metrics ask for, and what was measured."""

    lender: str
    asked_for: str
    evaluation: Evaluation


@dataclass(frozen=True)
class StyleMatch:
    """All rows, by key, and the loss of sync_cos from right to wrong as a ratio."""

    conditions: dict[str, Condition]
    sync: Estimate

    @property
    def keeps_sync(self) -> bool:
        """Whether the loss is at most MOST_LOSS."""
        return bool(self.sync.value >= 1 - MOST_LOSS)

    def to_dict(self, seed: int) -> dict[str, Any]:
        """JSON values."""
        rows = {
            key: {
                "lender": row.lender, "asked_for": row.asked_for, "clips": len(row.evaluation.rows),
                "metrics": {name: value(row.evaluation, name, seed).to_dict()
                            for name in row.evaluation.results["metrics"]},
            }
            for key, row in self.conditions.items()
        }  # fmt: skip
        return {"conditions": rows, "sync_wrong_over_right": self.sync.to_dict()}


class Lenders:
    """Who lends a manner, chosen by names and the seed alone.

    Args:
        setting: gives corpus and seed.
        model: shown the clips.
    """

    def __init__(self, setting: Setting, model: OpenModel) -> None:
        self.setting, self.model = setting, model

    def right(self, sequence: FaceSequence) -> FaceSequence:
        """Another clip of the same subject; VultusError where there is none."""
        found = self.setting.styles.choose(sequence)
        if found is None:
            raise VultusError(f"clip {sequence.name}: its subject speaks no other line; expected two lines or more")
        return found

    def wrong(self, sequence: FaceSequence) -> FaceSequence:
        """A clip of another subject of the split, with other words."""
        others = [
            clip
            for clip in self.setting.split
            if clip.subject != sequence.subject and clip.sentence != sequence.sentence
        ]
        if not others:
            raise VultusError(f"split '{self.setting.protocol.split}': one subject alone; expected two or more")
        rng = np.random.default_rng([self.setting.seed, 1, *sequence.name.encode()])
        return others[int(rng.integers(len(others)))]

    def lasting(self, sequence: FaceSequence, seconds: float) -> list[FaceSequence]:
        """The right clip, followed by others of its subject until they last so long."""
        first = self.right(sequence)
        rest = [c for c in self.setting.split
                if c.subject == sequence.subject and c.sentence != sequence.sentence and c is not first]  # fmt: skip
        found = [first]
        while rest and sum(_seconds(clip) for clip in found) < seconds:
            found.append(rest.pop(0))
        return found

    def mean(self) -> Any:
        """The mean manner of training subjects; None where the model cannot take one."""
        if self.model.mean is None:
            return None
        first: dict[str, FaceSequence] = {}
        for clip in self.setting.dataset.split("train"):
            if getattr(clip, "is_speech", True):
                first.setdefault(clip.subject, clip)
        chosen = [first[name] for name in sorted(first)]
        some = chosen[:: -(-len(chosen) // MEAN_OF)]
        return self.model.mean([self.model.manner([clip], None) for clip in some])


def match(setting: Setting, model: OpenModel, clips: Sequence[FaceSequence], sampling: str) -> StyleMatch:
    """All rows: right, wrong, null, mean, lengths, and the recorded motion as ceiling and floor."""
    lenders = Lenders(setting, model)
    rows: dict[str, Condition] = {}

    def ask(key: str, lender: str, asked_for: str, how: Any, metrics: Sequence[str] = METRICS) -> None:
        source = Asked(setting, model, how, f"{lender}; asked for: {asked_for}", SAMPLES, sampling)
        rows[key] = Condition(lender, asked_for, setting.evaluation(f"style_{key}", source, clips, metrics))

    def manner(clip: FaceSequence) -> Any:
        return model.manner([clip], None)

    own = "own subject"
    right, wrong = lenders.right, lenders.wrong
    ask("right", "own subject, another clip", own, lambda s: (manner(right(s)), right(s)))
    ask("wrong", "another subject", own, lambda s: (manner(wrong(s)), right(s)))
    ask("wrong_asked", "another subject", "that subject", lambda s: (manner(wrong(s)), wrong(s)), SHORT_METRICS[:2])
    if model.null is not None:
        ask("null", "nobody (null style)", own, lambda s: (model.null, right(s)))
    if model.mean is not None:
        mean = lenders.mean()
        ask("mean", f"mean of up to {MEAN_OF} training subjects", own, lambda s: (mean, right(s)))
    for seconds in LENGTHS:
        ask(
            f"{seconds:g}s", f"own subject, {seconds:g} s", own,
            lambda s, seconds=seconds: (model.manner(lenders.lasting(s, seconds), seconds), right(s)),
            SHORT_METRICS,
        )  # fmt: skip
    for key, target, asked_for in (
        ("recorded", right, own),
        ("recorded_wrong", wrong, "another subject"),
    ):
        source = Baseline("recorded", setting.dataset, setting.protocol.fps, target)
        source.about["style"] = asked_for
        rows[key] = Condition("the recorded motion", asked_for,
                              setting.evaluation(f"style_{key}", source, clips, SHORT_METRICS))  # fmt: skip
    sync = contrast(
        Side(rows["right"].evaluation, "sync_cos"), Side(rows["wrong"].evaluation, "sync_cos"), "ratio", setting.seed
    )
    return StyleMatch(rows, sync)


def _seconds(clip: FaceSequence) -> float:
    return float(getattr(clip, "duration", 0.0) or len(clip.vertices()) / clip.fps)
