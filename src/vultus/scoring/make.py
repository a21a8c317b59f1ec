"""From a data set to a scoring bundle: prepare, train, export, gate, card. Needs torch.

Letters: L lip vertices, n sequences.
"""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError, unknown_name
from vultus.scoring import style_net, sync_net, train_style, train_sync
from vultus.scoring.card import card
from vultus.scoring.export import write_bundle, write_card, write_config
from vultus.scoring.gate import GateReport, check_style, check_sync
from vultus.scoring.prepare import Prepared, example, is_speech, prepare, spread
from vultus.scoring.runtime import StyleScorer, SyncScorer, load_scorer
from vultus.scoring.signals import FPS
from vultus.version import __version__


@dataclass(frozen=True)
class Request:
    """What is to be made; fields as the options of `vultus scorer train`."""

    kind: str
    out: Path
    name: str
    data: str
    split: str
    held_out: str
    use: str = "score"
    folds: str = "0/1"
    seed: int = 0
    settings: tuple[str, ...] = ()
    lips: Path | None = None
    cache: Path | None = None
    resume: bool = False


def make(request: Request, sequences: Sequence[FaceSequence], held_out: Sequence[FaceSequence]) -> GateReport:
    """Trains on `sequences`, gates on `held_out`, writes the bundle and returns the gate's report.

    Raises:
        VultusError: bad settings, mixed topologies or units, subjects in both sets, or too little to train on.
    """
    spoken, unseen = [s for s in sequences if is_speech(s)], [s for s in held_out if is_speech(s)]
    _check(spoken, unseen)
    template = spoken[0].template
    lips = lip_vertices(request.lips, spoken[0]) if request.kind == "sync" else np.zeros(0, np.int64)
    config: Any = configure(sync_net.Config() if request.kind == "sync" else style_net.Config(), request.settings)
    run = request.out / "run"
    run.mkdir(parents=True, exist_ok=True)
    with _bar(request.kind) as show:
        components = getattr(config, "components", 0)
        data = prepare(request.kind, spoken, request.cache or run / "cache", lips, components, show)
    data = fold(data, request.folds)
    arrays: dict[str, np.ndarray] = {"lips": lips.astype(np.int32)}
    if isinstance(config, sync_net.Config):
        sync, seconds = train_sync.train(data, config, run, seed=request.seed, resume=request.resume)
        net: Any = sync
    else:
        net, seconds = train_style.train(data, config, run, seed=request.seed, resume=request.resume)
        with np.load(data.folder / "basis.npz", allow_pickle=False) as stored:
            arrays = {key: stored[key].astype(np.float16 if key == "basis" else np.float32) for key in stored.files}
    settings = {
        "kind": request.kind, "name": request.name, "use": request.use, "made_by": f"vultus {__version__}",
        "topology": template.topology.digest, "num_vertices": template.topology.num_vertices,
        "unit": spoken[0].unit, "fps": FPS, "embedding": config.embedding,
        "training": {
            "data": request.data, "split": request.split, "folds": request.folds, "seed": request.seed,
            "clips": len(data.clips), "subjects": len({clip[1] for clip in data.clips}),
            "seconds": round(seconds), "settings": dataclasses.asdict(config),
        },
        "gate": {"passed": False, "reason": "not measured yet"},
    }  # fmt: skip
    write_bundle(request.out, net, settings, arrays)
    report = _gate(request.out, unseen)
    write_config(request.out, {**settings, "gate": {**report.to_dict(), "held_out": request.held_out}})
    write_card(request.out, card(settings, report, request))
    return report


def lip_vertices(file: Path | None, sequence: FaceSequence) -> np.ndarray:
    """(L,) int64: of a file of vertex numbers (commas, spaces or lines between them), else the topology's lips."""
    topology = sequence.template.topology
    if file is None:
        if "lips" not in topology.regions:
            raise VultusError(f"topology '{topology.name}' names no lips; give their vertex numbers with --lips FILE")
        return np.unique(topology.region("lips")).astype(np.int64)
    try:
        numbers = np.unique(np.array(file.read_text(encoding="utf-8").replace(",", " ").split(), np.int64))
    except (OSError, ValueError, OverflowError) as error:
        raise VultusError(f"{file}: not a list of vertex numbers ({error})") from None
    if len(numbers) < 4 or numbers[0] < 0 or numbers[-1] >= topology.num_vertices:
        raise VultusError(
            f"{file}: {len(numbers)} vertex numbers; expected four or more, from 0 to {topology.num_vertices - 1}"
        )
    return numbers


def configure(config: Any, settings: Sequence[str]) -> Any:
    """A configuration with KEY=VALUE settings; VultusError for an unknown key or a value of another type."""
    for setting in settings:
        key, _, text = setting.partition("=")
        if key not in (known := {field.name for field in dataclasses.fields(config)}):
            raise unknown_name("setting", key, sorted(known))
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        old = getattr(config, key)
        if type(value) is int and isinstance(old, float):
            value = float(value)
        if type(value) is not type(old):
            raise VultusError(f"setting {key} is {text!r}; expected one as {old!r}")
        config = dataclasses.replace(config, **{key: value})
    return config


def fold(data: Prepared, folds: str) -> Prepared:
    """The clips of some subjects: "0,1/3" are those whose place in the sorted list is 0 or 1 modulo 3."""
    wanted, _, total = folds.partition("/")
    try:
        modulus, kept = int(total), {int(part) for part in wanted.split(",")}
    except ValueError:
        modulus, kept = 0, set()
    if modulus < 1 or not kept or min(kept) < 0 or max(kept) >= modulus:
        raise VultusError(f"folds are '{folds}'; expected K,K/N with every K from 0 to N - 1, such as 0,1/3")
    subjects = sorted({clip[1] for clip in data.clips})
    mine = {subject for place, subject in enumerate(subjects) if place % modulus in kept}
    return dataclasses.replace(data, clips=[clip for clip in data.clips if clip[1] in mine])


def _check(spoken: Sequence[FaceSequence], unseen: Sequence[FaceSequence]) -> None:
    if not spoken or not unseen:
        raise VultusError("no sequence with speech to train on, or none held out; expected some of each")
    digest, unit = spoken[0].template.topology.digest, spoken[0].unit
    for sequence in (*spoken, *unseen):
        if sequence.template.topology.digest != digest or sequence.unit != unit:
            raise VultusError(f"{sequence.name}: another topology or unit than {spoken[0].name}; expected one of each")
    twice = {s.name for s in spoken} & {s.name for s in unseen}
    if twice:
        raise VultusError(f"sequence {min(twice)} is trained on and held out; expected splits without common sequences")


def _gate(folder: Path, unseen: Sequence[FaceSequence]) -> GateReport:
    scorer = load_scorer(folder)
    examples = (example(sequence) for sequence in spread(unseen))
    if isinstance(scorer, SyncScorer):
        return check_sync(scorer, examples)
    assert isinstance(scorer, StyleScorer)
    return check_style(scorer, examples)


class _bar:
    """A progress bar on a terminal, as a callback (done, total)."""

    def __init__(self, label: str) -> None:
        self.bar = tqdm(desc=f"reading for {label}", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True)

    def __enter__(self) -> Any:
        def show(done: int, total: int) -> None:
            self.bar.total = total
            self.bar.update(done - self.bar.n)

        return show

    def __exit__(self, *_: object) -> None:
        self.bar.close()
