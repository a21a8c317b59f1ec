"""Predictions that a model makes on the way: a bundle, or the folder of a training run.

Letters: N samples, T motion frames, V vertices, D numbers of a motion frame.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.predictions import LazySamples, Prediction
from vultus.benchmark.protocol import Protocol
from vultus.benchmark.styles import StyleChooser, nearest, style_clip
from vultus.clock import num_motion_frames, resample_motion
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.motion import Motion
from vultus.topology import Topology

Speak = Callable[[FaceSequence, FaceSequence | None, int, int], list[Motion]]
"""(what is said, who lends the manner, takes, seed) -> one Motion for each take."""


class ModelSource:
    """A model as a Source.

    Args:
        model: name or folder of a bundle, or a training run.
        topology: of the data.
        protocol: see there.
        styles: whose manner is asked for.
        num_samples: takes; a deterministic model gives one only.
        seed: of its takes.

    Raises:
        VultusError: no such model, or one for another mesh or trained on other data than the protocol asks for.
    """

    def __init__(
        self,
        model: str | Path,
        topology: Topology,
        protocol: Protocol,
        styles: StyleChooser,
        num_samples: int = 1,
        seed: int = 0,
    ) -> None:
        self.protocol, self.styles, self.num_samples, self.seed = protocol, styles, num_samples, seed
        folder = Path(model)
        is_run = (folder / "settings.json").is_file()
        made = open_run(folder, protocol.fps) if is_run else open_bundle(model, protocol.fps)
        self.speak, self.takes_style, self.fps, vertices, trained_on, digest = made
        if vertices != topology.num_vertices:
            raise VultusError(
                f"model '{model}' speaks with {vertices} vertices; the data have {topology.num_vertices}; expected a "
                "model trained on this topology"
            )
        if protocol.trained_on and trained_on and trained_on != protocol.trained_on:
            raise VultusError(
                f"model '{model}' was trained on {trained_on}; protocol {protocol.name} is for {protocol.trained_on}"
            )
        self.about: dict[str, Any] = {
            "kind": "training run" if is_run else "model", "name": folder.name or str(model), "digest": digest,
            "trained_on": trained_on or None, "samples": num_samples, "fps": self.fps,
            "style": styles.label if self.takes_style else "none: the model has no styles",
        }  # fmt: skip
        if styles.oracle is not None and not self.takes_style:
            raise VultusError(f"model '{model}' takes no style reference; --oracle does not apply")

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
        style = self.styles.choose(sequence) if self.takes_style else None
        notes = []
        if self.takes_style and style is None and self.protocol.style != "none":
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
        """The takes at the protocol's rate, no longer than the reference: its length is an input."""
        motions = self.speak(sequence, style, self.num_samples, self.seed)
        template, fps = sequence.template, self.protocol.fps
        makers = []
        for motion in motions:
            values = motion.values
            if motion.fps != fps:
                frames = num_motion_frames(sequence.speech().num_samples, fps)
                values = resample_motion(values, motion.fps, fps, frames)
            makers.append(partial(motion.rig.vertices, values[:count], template))
        return LazySamples(makers)


def open_bundle(model: str | Path, fps: float) -> tuple[Speak, bool, float | None, int, str, str]:
    """A bundle: how it speaks, whether it takes a style, its fps, V, what it was trained on, a digest."""
    from vultus.runtime.bundle import BUNDLES, bundle_names, load

    text = str(model)
    loaded = load(model)
    folder = BUNDLES / text if text in bundle_names() else Path(model)
    config = getattr(getattr(loaded, "network", None), "config", {})
    takes_style = bool(loaded.styles) and bool(config.get("composite", True))

    def speak(sequence: FaceSequence, style: FaceSequence | None, takes: int, seed: int) -> list[Motion]:
        clip = None if style is None else style_clip(style, fps)
        return loaded.predict(
            sequence.speech(), style=clip, template=sequence.template, num_takes=takes, seed=seed
        )  # fmt: skip

    sums = folder / "SHA256SUMS"
    digest = hashlib.sha256(sums.read_bytes()).hexdigest()[:12] if sums.is_file() else ""
    told = config.get("trained")
    trained = told.get("dataset", "") if isinstance(told, dict) else ""
    rate = config.get("fps")
    return speak, takes_style, rate, loaded.template.topology.num_vertices, str(trained), digest


def open_run(folder: Path, fps: float) -> tuple[Speak, bool, float | None, int, str, str]:
    """A training run, read with torch; see `open_bundle`."""
    import importlib.util

    for package in ("torch", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise VultusError(
                f"{folder} is a training run and needs {package}; pip install 'vultus[train]', or export it"
            )
    from vultus.train.checkpoint import load_tensors
    from vultus.train.loop import MODEL, load_run
    from vultus.train.recipe import DataConfig
    from vultus.train.sources import encoder_maker, measure_functionals

    try:
        told = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        data = DataConfig(**told["data"])
        trained_on = str(told.get("trained_on") or data.dataset)  # of shards, the data set that they were made from
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VultusError(
            f"{folder}: settings.json is no run's ({error!r}); expected a run of `vultus train`"
        ) from None
    if not (folder / MODEL).is_file():
        raise VultusError(f"{folder}: no {MODEL}; the run has not finished; go on with `vultus train ... --resume`")
    by_weights = data.space == "weights"
    rig = gaps = None
    if by_weights:
        from vultus.head import load_head

        rig, gaps = load_head().rig.matrix, measure_functionals(data.measures)
    method, settings = load_run(folder, rig=rig, gaps=gaps)
    encoder: Any = encoder_maker(data)()
    if settings["train"]["finetune"]:
        tensors, _ = load_tensors(folder / MODEL)
        own = {k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")}
        encoder.module.load_state_dict(own)
    composite = bool(settings["method"].get("composite", True))

    def speak(sequence: FaceSequence, style: FaceSequence | None, takes: int, seed: int) -> list[Motion]:
        vector = None
        if composite:
            if style is None:
                raise VultusError(f"{folder}: a training run has no default style and {sequence.name} no style clip")
            motion = _motion(style, data, by_weights)
            vector = method.style_vector(motion)
        found: list[Motion] = method.predict(
            sequence.speech(), encoder=encoder, template=sequence.template, fps=data.fps, style=vector,
            num_takes=takes, seed=seed,
        )  # fmt: skip
        return found

    digest = hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()[:12]
    return speak, composite, data.fps, int(settings["dimensions"]["num_vertices"]), trained_on, digest


def _motion(style: Any, data: Any, by_weights: bool) -> np.ndarray:
    """(T, D) of a style clip, as the run saw clips in training."""
    if by_weights:
        if not hasattr(style, "motion"):
            raise VultusError("a run trained on weights takes its style from the synthetic corpus only; export it")
        values: np.ndarray = style.motion(tuple(data.layers.split(",")), data.fps)
        return values
    clip = style_clip(style, data.fps)
    assert clip.template is not None
    return (clip.vertices() - clip.template).reshape(clip.num_frames, -1)
