"""Whose manner a model is asked for, when the manner of a test clip may not be looked at.

Blind choices look at names and a seed alone. The published oracles, which look at the very clip that is predicted, are
there to reproduce tables, and whoever uses one finds it named in the result:

- "self": the test clip is its own reference;
- "best-of-n": n training clips are tried, and the one whose prediction is nearest to the truth is kept.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vultus.benchmark.protocol import Protocol
from vultus.datasets.base import Dataset, FaceSequence
from vultus.errors import VultusError, unknown_name
from vultus.export.read import StyleClip

ORACLES = ("self", "best-of-n")
SHORTEST = 0.6
"""Seconds; a shorter clip shows no manner (statistics over time need some twelve frames)."""


class StyleChooser:
    """Chooses style references.

    Args:
        data: where clips are looked for.
        protocol: its rule.
        seed: of the choice.
        oracle: one of ORACLES, or None.
    """

    def __init__(self, data: Dataset, protocol: Protocol, seed: int = 0, oracle: str | None = None) -> None:
        if oracle is not None and oracle not in ORACLES:
            raise unknown_name("oracle", oracle, ORACLES)
        self.data, self.protocol, self.seed, self.oracle = data, protocol, seed, oracle
        self._of: dict[str, dict[str, list[FaceSequence]]] = {}

    @property
    def label(self) -> str:
        """How references are chosen, for results."""
        rules = {
            "other_clip": "another clip of the same subject, by seed",
            "training_clip": "one training clip for all, by seed",
            "none": "the model's default",
        }
        oracles = {
            "self": "ORACLE: the test clip itself",
            "best-of-n": "ORACLE: the best of n training clips, judged by the truth",
        }
        return rules[self.protocol.style] if self.oracle is None else oracles[self.oracle]

    def choose(self, sequence: FaceSequence) -> FaceSequence | None:
        """The clip that lends its manner; None where the rule gives none."""
        if self.oracle == "self":
            return sequence
        if self.protocol.style == "none":
            return None
        if self.protocol.style == "training_clip":
            return self.of_training(1)[0]
        reference = getattr(self.data, "reference", None)
        if reference is not None:  # the data set's own rule: other words, another source video
            try:
                found: FaceSequence = reference(sequence, self.seed)
            except VultusError:
                return None
            return found
        for split in ("train", self.protocol.split):
            clips = self._clips(split, sequence.subject)
            others = [c for c in clips if c.name != sequence.name and c.sentence != sequence.sentence]
            if others:
                return others[int(self._rng(sequence.name).integers(len(others)))]
        return None

    def of_subject(self, subject: str) -> FaceSequence | None:
        """A training clip of a subject (whose style a prediction was made in), None where there is none."""
        clips = self._clips("train", subject)
        return clips[int(self._rng(subject).integers(len(clips)))] if clips else None

    def of_training(self, count: int) -> list[FaceSequence]:
        """So many training clips, drawn without return."""
        clips = [clip for found in self._by_subject("train").values() for clip in found]
        if not clips:
            raise VultusError(
                f"protocol {self.protocol.name} takes its style from a training clip, and {self.data.name} has none "
                "here; bring the training split too, or a protocol with another rule"
            )
        clips.sort(key=lambda clip: clip.name)
        chosen = self._rng("training").choice(len(clips), min(count, len(clips)), replace=False)
        return [clips[int(i)] for i in chosen]

    def candidates(self) -> list[FaceSequence]:
        """Of best-of-n: a tenth of the training clips, as the published evaluation tried."""
        total = sum(len(found) for found in self._by_subject("train").values())
        return self.of_training(max(1, total // 10))

    def _clips(self, split: str, subject: str) -> list[FaceSequence]:
        return self._by_subject(split).get(subject, [])

    def _by_subject(self, split: str) -> dict[str, list[FaceSequence]]:
        if split not in self._of:
            self._of[split] = {}
            for clip in self.data.split(split) if split in self.data.splits else ():
                if getattr(clip, "is_speech", True):
                    self._of[split].setdefault(clip.subject, []).append(clip)
        return self._of[split]

    def _rng(self, text: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *text.encode()])


def style_clip(sequence: FaceSequence, fps: float) -> StyleClip:
    """The manner of a sequence, as a bundle takes it; VultusError where it is too short to show one."""
    clip = manner_of(sequence, fps)
    if clip.num_frames < SHORTEST * fps:
        raise VultusError(f"style clip {sequence.name} has {clip.num_frames} frames; expected {SHORTEST:g} s or more")
    return clip


def manner_of(sequence: FaceSequence, fps: float | None = None) -> StyleClip:
    """A sequence of any length as a style clip, at `fps` or its own rate."""
    vertices = sequence.vertices(fps=fps)
    return StyleClip(
        source=sequence.name,
        fps=sequence.fps if fps is None else fps,
        num_frames=len(vertices),
        weights=None,
        weight_names=(),
        head_rotation=np.zeros((len(vertices), 3), np.float32),
        topology_digest=sequence.template.topology.digest,
        template=sequence.template.vertices,
        mesh=vertices,
    )


def nearest(errors: Sequence[float]) -> int:
    """Index of the least error, the first of equal ones."""
    return int(np.argmin(errors))
