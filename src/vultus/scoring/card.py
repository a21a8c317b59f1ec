"""card.md of a scoring bundle: what it is, what it was trained on, what its gate measured, how to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vultus.scoring.gate import GateReport
    from vultus.scoring.make import Request

_WHAT = {
    "sync": """A sync network for meshes, after SyncNet: 0.2 s of lips and 0.2 s of log-mel sound become embeddings of
length 1, alike where they fit. `sync_cos`, `lse_d`, `lse_c`, `offset_accuracy` and `fd_sync` are computed with it.""",
    "style": """A style network: 4 s of vertex offsets, as principal components, become an embedding of length 1 that
tells subjects apart by how they move. `style_cos`, `style_top1` and `fd_style` are computed with it.""",
}
_HOW = {
    "sync": """Symmetric InfoNCE with a learned temperature over batches of {clips} clips x {windows} windows. The
windows of a clip are at least 5 frames apart, so that the same speaker's other moments are always among the negatives.
The level of the sound and its noise floor are varied; every second clip's motion passes through 30 fps. Widths of the
audio encoder are half of the usual ones and the embedding has {embedding} numbers instead of 256: it trains on one CPU
core in minutes, and a Frechet distance needs a quarter of the windows. The last layers see every moment of the window
instead of their mean over time: on the synthetic corpus (`--set steps=250 --set warmup=40`) the last batch had a loss
of 2.01 with it and 2.48 with the mean (`--set keep_time=False`). The gate lets a cosine rise again within the last
tenth of its fall: the rhythm of syllables brings like mouths back after 8 frames.""",
    "style": """NT-Xent plus {subject_weight} x subject cross-entropy; a positive pair is two windows of two different
clips of one subject. Windows of {lengths} frames at 25 fps, the first length as often as all others, so that clips
shorter than 4 s can be scored too. The components are normalised by their deviation, those that move less than 2 % of
the first one less than that; all moving vertices take part, blinks and gaze included.""",
}
_SYNTHETIC = """It is synthetic: natural synthetic voices under rule-made motion of the shipped head. What it says about
recorded motion holds as far as its gate passes there.
"""


def card(settings: Mapping[str, Any], report: GateReport, request: Request) -> str:
    """The text of card.md."""
    training, kind = settings["training"], str(settings["kind"])
    options = [f"--folds {request.folds}"] if request.folds != "0/1" else []
    options += [f"--use {request.use}"] if request.use != "score" else []
    options += [f"--seed {request.seed}"] if request.seed else []
    options += [f"--set {setting}" for setting in request.settings]
    command = " ".join([f"vultus scorer train {kind} --data {request.data}:ROOT --out {request.name}", *options])
    role = "" if request.use == "score" else "\n**For samplers that choose among takes; it never scores.**\n"
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in report.values.items())
    steps = training["settings"]["steps"]
    synthetic = _SYNTHETIC if request.data == "synthetic" else ""
    return f"""# {request.name}

{_WHAT[kind]}
{role}
It is for one topology (digest {settings["topology"]}, {settings["num_vertices"]} vertices, unit {settings["unit"]}).

## Data

Split `{request.split}` of the data set `{request.data}`: {training["clips"]} clips of {training["subjects"]} subjects.
{synthetic}
## Training

{_HOW[kind].format(**training["settings"])}

{steps} steps of AdamW, {training["seconds"]} s with one thread of a CPU that other work shared. Again:

    {command}

## Gate

On {report.clips} held-out reference clips (splits {request.held_out}), evenly drawn:
**{"passed" if report.passed else "failed"}**.

| value | measured |
|---|---|
{rows}

`vultus scorer check BUNDLE --data NAME:ROOT` measures it on other data; a network that fails refuses to score.

## Licence

Weights: Apache-2.0.
"""
