"""Predictions that a model makes on the way: a bundle, or the folder of a training run.

Letters: N samples, T motion frames, V vertices.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.open_model import OpenModel, open_model
from vultus.benchmark.predictions import LazySamples, Prediction
from vultus.benchmark.protocol import Protocol
from vultus.benchmark.styles import StyleChooser, nearest
from vultus.clock import num_motion_frames, resample_motion
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.topology import Topology


class ModelSource:
    """A model as a Source.

    Args:
        model: name or folder of a bundle, a training run, or a model that is open.
        topology: of the data.
        protocol: see there.
        styles: whose manner is asked for.
        num_samples: takes; a deterministic model gives one only.
        seed: of its takes.
        sampling: how takes are drawn, as "avg-10" or "plain,temperature=0.8"; None for the model's own way.

    Raises:
        VultusError: no such model, one for another mesh or trained on other data than the protocol asks for, a sampling
            that there is none of, or any sampling of a deterministic model.
    """

    def __init__(
        self,
        model: str | Path | OpenModel,
        topology: Topology,
        protocol: Protocol,
        styles: StyleChooser,
        num_samples: int = 1,
        seed: int = 0,
        sampling: str | None = None,
    ) -> None:
        self.protocol, self.styles, self.num_samples, self.seed = protocol, styles, num_samples, seed
        made = self.model = model if isinstance(model, OpenModel) else open_model(model, protocol.fps)
        if made.num_vertices != topology.num_vertices:
            raise VultusError(
                f"model '{made.name}' speaks with {made.num_vertices} vertices; the data have {topology.num_vertices}; "
                "expected a model trained on this topology"
            )
        if protocol.trained_on and made.trained_on and made.trained_on != protocol.trained_on:
            raise VultusError(
                f"model '{made.name}' was trained on {made.trained_on}; protocol {protocol.name} is for "
                f"{protocol.trained_on}"
            )
        if sampling is not None and made.default_sampling is None:
            raise VultusError(
                f"model '{made.name}' is deterministic and draws no takes; expected no --sampling, found '{sampling}'"
            )
        if num_samples > 1 and made.default_sampling is None:
            raise VultusError(
                f"model '{made.name}' is deterministic and gives 1 take, not {num_samples}; expected no --samples or 1"
            )
        from vultus.methods.sampling import Sampling

        text = made.default_sampling if sampling is None else sampling
        self.sampling = None if text is None else Sampling.parse_text(text)
        self.about: dict[str, Any] = {
            "kind": made.kind, "name": made.name, "digest": made.digest, "trained_on": made.trained_on or None,
            "samples": num_samples, "fps": made.fps,
            "style": styles.label if made.takes_style else "none: the model has no styles",
            **({} if text is None else {"sampling": text}),
        }  # fmt: skip
        if styles.oracle is not None and not made.takes_style:
            raise VultusError(f"model '{made.name}' takes no style reference; --oracle does not apply")

    def conditions(self, sequence: FaceSequence) -> tuple[str, ...]:
        """See Source."""
        return ("",)

    def stamp(self, sequence: FaceSequence, condition: str) -> str:
        """See Source."""
        return ""

    def predict(self, sequence: FaceSequence, condition: str, reference: np.ndarray) -> Prediction:
        """See Source."""
        if self.styles.oracle == "best-of-n":
            return self._best(sequence, reference)
        style = self.styles.choose(sequence) if self.model.takes_style else None
        notes = []
        if self.model.takes_style and style is None and self.protocol.style != "none":
            notes.append("no other clip of the subject: the model's default style")
        samples = self._samples(sequence, style, len(reference))
        lengths = tuple(len(sample) for sample in samples)
        return Prediction("", samples, lengths, style, tuple(notes))

    def _best(self, sequence: FaceSequence, reference: np.ndarray) -> Prediction:
        """The published oracle: the training clip whose prediction has the lowest mean vertex error."""
        tried = self.styles.candidates()
        made = [self._samples(sequence, clip, len(reference)) for clip in tried]
        errors = []
        for samples in made:
            count = min(len(samples[0]), len(reference))
            errors.append(float(np.linalg.norm(samples[0][:count] - reference[:count], axis=-1).mean()))
        best = nearest(errors)
        samples = made[best]
        note = f"ORACLE: {tried[best].name} of {len(tried)} training clips"
        return Prediction("", samples, tuple(len(sample) for sample in samples), tried[best], (note,))

    def _samples(self, sequence: FaceSequence, style: FaceSequence | None, count: int) -> LazySamples:
        return self.say(sequence, None if style is None else self.model.manner([style], None), count)

    def say(self, sequence: FaceSequence, manner: Any, count: int) -> LazySamples:
        """The takes in a manner, at the protocol's rate, no longer than the reference: its length is an input."""
        motions = self.model.speak(sequence, manner, self.num_samples, self.seed, self.sampling)
        template, fps = sequence.template, self.protocol.fps
        makers = []
        for motion in motions:
            values = motion.values
            if motion.fps != fps:
                frames = num_motion_frames(sequence.speech().num_samples, fps)
                values = resample_motion(values, motion.fps, fps, frames)
            makers.append(partial(motion.rig.vertices, values[:count], template))
        return LazySamples(makers)
