"""Models of both kinds, a bundle or the folder of a training run, asked in one way.

A style comes from clips of a subject. A model that learnt the whole performance (it draws takes) gets all layers of a
synthetic clip and its head rotation, as its style encoder saw them in training; any other gets what it was trained on.

Letters: T motion frames, D numbers of a motion frame, K of its columns that the rig moves, C feature channels.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.benchmark.styles import SHORTEST, style_clip
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.export.read import StyleClip
from vultus.features.base import at_motion_frames
from vultus.motion import WEIGHT_NAMES, Motion
from vultus.synthesis.clipfile import LAYERS

if TYPE_CHECKING:
    from vultus.methods.sampling import Sampling

Speak = Callable[[FaceSequence, Any, int, int, "Sampling | None"], list[Motion]]
"""(what is said, a manner or None, takes, seed, how they are drawn) -> one Motion for each take."""
REMEMBERED = 64
"""Clips whose speech features are kept: a table of samplings asks for each of them again."""


@dataclass(frozen=True)
class OpenModel:
    """A model ready to be asked.

    Attributes:
        kind: "model" or "training run".
        name: of the bundle or of the folder.
        digest: 12 hexadecimal digits of its files; "" for code alone.
        trained_on: name of a data set, "" where nobody knows.
        fps: of its motion; None where a bundle does not say.
        num_vertices: V.
        takes_style: whether it can be asked for a manner.
        default_sampling: how it draws takes unless told otherwise; None where it is deterministic.
        speak: see Speak; the manner is what `manner` or `mean` gave, None the model's own default.
        manner: clips of one subject -> their manner; only the first so many seconds where a number is given.
        mean: several manners -> the one in the middle; None where the model has no such thing.
        null: the manner of nobody, which a model that draws takes has learnt as well; None where it has none.
        network: what draws, a `sampling.Sampled`; None where the model is deterministic.
    """

    kind: str
    name: str
    digest: str
    trained_on: str
    fps: float | None
    num_vertices: int
    takes_style: bool
    default_sampling: str | None
    speak: Speak
    manner: Callable[[Sequence[FaceSequence], float | None], Any]
    mean: Callable[[Sequence[Any]], Any] | None = None
    null: Any = None
    network: Any = None


def open_model(model: str | Path, fps: float) -> OpenModel:
    """A bundle by name or folder, or a training run; `fps` is the rate at which a bundle is shown style clips."""
    folder = Path(model)
    return open_run(folder) if (folder / "settings.json").is_file() else open_bundle(model, fps)


def open_bundle(model: str | Path, fps: float) -> OpenModel:
    """A bundle, run without torch."""
    from vultus.runtime.bundle import BUNDLES, bundle_names, load

    text = str(model)
    loaded: Any = load(model)
    folder = BUNDLES / text if text in bundle_names() else Path(model)
    network: Any = getattr(loaded, "network", None)
    config = getattr(network, "config", {})
    draws = bool(getattr(loaded, "takes_apart", False))

    def manner(clips: Sequence[FaceSequence], seconds: float | None) -> Any:
        return loaded.style(whole_manner(clips, fps, seconds)) if draws else style_clip(clips[0], fps)

    def speak(sequence: FaceSequence, style: Any, takes: int, seed: int, sampling: Sampling | None) -> list[Motion]:
        more = {} if sampling is None else {"sampling": sampling}
        found: list[Motion] = loaded.predict(
            sequence.speech(), style=style, template=sequence.template, num_takes=takes, seed=seed, **more
        )
        return found

    sums = folder / "SHA256SUMS"
    told = config.get("trained")
    return OpenModel(
        kind="model",
        name=folder.name or text,
        digest=hashlib.sha256(sums.read_bytes()).hexdigest()[:12] if sums.is_file() else "",
        trained_on=str(told.get("dataset", "")) if isinstance(told, dict) else "",
        fps=config.get("fps"),
        num_vertices=loaded.template.topology.num_vertices,
        takes_style=bool(loaded.styles) and bool(config.get("composite", True)),
        default_sampling=str(getattr(loaded, "default_sampling", None) or "plain") if draws else None,
        speak=speak,
        manner=manner,
        mean=_mean if draws else None,
        null=network.no_style if draws else None,
        network=network if draws else None,
    )


def open_run(folder: Path) -> OpenModel:
    """A training run, read with torch.

    Raises:
        VultusError: no run, one that has not finished, or torch is missing.
    """
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
    rig = gaps = None
    if data.space == "weights":
        from vultus.head import load_head

        rig, gaps = load_head().rig.matrix, measure_functionals(data.measures)
    method, settings = load_run(folder, rig=rig, gaps=gaps)
    encoder: Any = encoder_maker(data)()
    if settings["train"]["finetune"]:
        tensors, _ = load_tensors(folder / MODEL)
        own = {k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")}
        encoder.module.load_state_dict(own)
    draws = hasattr(method, "perform")
    styled = bool(settings["method"].get("composite", True))

    def manner(clips: Sequence[FaceSequence], seconds: float | None) -> np.ndarray | None:
        if not styled:
            return None
        vector: np.ndarray = method.style_vector(_motion_of(clips, data, seconds))
        return vector

    def speak(sequence: FaceSequence, style: Any, takes: int, seed: int, sampling: Sampling | None) -> list[Motion]:
        if styled and style is None:
            raise VultusError(f"{folder}: a training run has no default style and {sequence.name} no style clip")
        found: list[Motion] = method.predict(
            sequence.speech(), encoder=encoder, template=sequence.template, fps=data.fps, style=style,
            num_takes=takes, seed=seed,
        )  # fmt: skip
        return found

    return OpenModel(
        kind="training run",
        name=folder.name,
        digest=hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()[:12],
        trained_on=trained_on,
        fps=data.fps,
        num_vertices=int(settings["dimensions"]["num_vertices"]),
        takes_style=styled,
        default_sampling="plain" if draws else None,
        speak=_performer(method, encoder, data.fps) if draws else speak,
        manner=manner,
        mean=_mean if draws else None,
        network=method if draws else None,
        null=method.no_style.detach().cpu().numpy() if draws and hasattr(method, "no_style") else None,
    )


def _performer(method: Any, encoder: Any, fps: float) -> Speak:
    """How a run that draws takes speaks: with head rotation, and with features that are made once for each clip."""
    from vultus.rigs.embedding import EmbeddingRig

    moved = method.codec.moved
    rig = EmbeddingRig(method.codec.matrix.float().cpu().numpy())

    @functools.lru_cache(maxsize=REMEMBERED)
    def heard(sequence: FaceSequence) -> np.ndarray:
        return at_motion_frames(encoder, sequence.speech(), fps)

    def speak(sequence: FaceSequence, style: Any, takes: int, seed: int, sampling: Sampling | None) -> list[Motion]:
        scorer = None
        if sampling is not None and sampling.needs_scorer:
            scorer = functools.partial(_choice(sequence).score, fps=fps)
        values = method.perform(
            heard(sequence),  # type: ignore[arg-type]  # sequences are told apart by identity
            style=style,
            num_takes=takes,
            seed=seed,
            sampling=sampling or "plain",
            scorer=scorer,
        )
        turns = values[..., moved:] if values.shape[-1] == moved + 3 else [None] * takes
        return [Motion(take[:, :moved], fps, rig, turn) for take, turn in zip(values, turns, strict=True)]

    return speak


def _choice(sequence: FaceSequence) -> Any:
    """How well motion goes with a sound, by the network that may choose and never scores."""
    from vultus.head import load_head
    from vultus.runtime.sync_choice import SyncChoice

    head = load_head()
    if sequence.template.topology.digest != head.topology.digest:
        raise VultusError(
            "sampling: sync chooses by a network for the shipped head alone; expected another sampling on this mesh"
        )
    choice = SyncChoice(head)
    choice.feed(sequence.speech().samples)
    choice.finish()
    return choice


def whole_manner(clips: Sequence[FaceSequence], fps: float, seconds: float | None = None) -> StyleClip:
    """All that a face did: weights with blinks and gaze, and head rotation, where clips have them; else vertices.

    Args:
        clips: of one subject, laid one after the other.
        fps: of the result.
        seconds: only the first so many.

    Raises:
        VultusError: less than 0.6 s.
    """
    if not all(hasattr(clip, "motion") and hasattr(clip, "head_rotation") for clip in clips):
        return style_clip(clips[0], fps)
    count = None if seconds is None else round(seconds * fps)
    weights = np.concatenate([clip.motion(LAYERS, fps) for clip in clips])[:count]  # type: ignore[attr-defined]
    turn = np.concatenate([clip.head_rotation(fps) for clip in clips])[:count]  # type: ignore[attr-defined]
    _long_enough(clips, len(weights), fps)
    return StyleClip(
        source=clips[0].name,
        fps=fps,
        num_frames=len(weights),
        weights=weights,
        weight_names=WEIGHT_NAMES,
        head_rotation=turn,
        topology_digest=clips[0].template.topology.digest,
        template=clips[0].template.vertices,
    )


def _mean(manners: Sequence[np.ndarray]) -> np.ndarray:
    """The middle of style vectors."""
    return np.asarray(np.mean(manners, 0), np.float32)


def _motion_of(clips: Sequence[FaceSequence], data: Any, seconds: float | None) -> np.ndarray:
    """(T, D) of style clips, as the run saw clips in training."""
    if data.space == "weights":
        if not all(hasattr(clip, "motion") for clip in clips):
            raise VultusError("a run trained on weights takes its style from the synthetic corpus only; export it")
        layers = tuple(name.strip() for name in data.layers.split(","))
        parts = [clip.motion(layers, data.fps) for clip in clips]  # type: ignore[attr-defined]
        if data.head_rotation:
            turns = [clip.head_rotation(data.fps) for clip in clips]  # type: ignore[attr-defined]
            parts = [np.concatenate(pair, axis=1) for pair in zip(parts, turns, strict=True)]
    else:
        shown = [style_clip(clip, data.fps) for clip in clips]
        parts = [(clip.vertices() - clip.template).reshape(clip.num_frames, -1) for clip in shown]
    values: np.ndarray = np.concatenate(parts)[: None if seconds is None else round(seconds * data.fps)]
    _long_enough(clips, len(values), data.fps)
    return values


def _long_enough(clips: Sequence[FaceSequence], frames: int, fps: float) -> None:
    if frames < SHORTEST * fps:
        raise VultusError(f"style clip {clips[0].name} has {frames} frames; expected {SHORTEST:g} s or more")
