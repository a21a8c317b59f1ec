"""The exit test of a codec of weights on the clips of a data set; what is wanted: `probabilistic_codec.ExitTest`.

Letters: T motion frames, D motion dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.benchmark.examples import evenly
from vultus.errors import VultusError

if TYPE_CHECKING:
    from vultus.methods.probabilistic_codec import ExitTest


@dataclass(frozen=True)
class CodecFound:
    """What a codec lost on some clips.

    Attributes:
        test: see `ExitTest`.
        clips: how many were coded.
        seconds: of their motion, together.
        codes_per_second: numbers that stand for a second of motion.
    """

    test: ExitTest
    clips: int
    seconds: float
    codes_per_second: float


def measure_codec(
    run: str | Path, root: str | Path, *, split: str = "val", limit: int = 100, sync: str | Path | None = None
) -> CodecFound:
    """Codes clips of a split whole, decodes them from 1, 2 ... Q levels, and measures what is lost. Needs torch.

    Args:
        run: a finished run of stage "codec" on blendshape weights.
        root: folder of the data set that it was trained on.
        split: of clips that it was not trained on.
        limit: clips at most, evenly over the split; clips without speech are left out.
        sync: a sync network, by name or folder; without it sync is not scored.

    Raises:
        VultusError: no such run, one of another stage or kind of motion, no such split, a network that is none of sync.
    """
    from vultus.datasets import open_dataset
    from vultus.datasets.options import read_options, split_options
    from vultus.head import load_head
    from vultus.methods.probabilistic_codec import codec_exit_test, read_codec_run
    from vultus.scoring.runtime import SyncScorer, load_scorer
    from vultus.train.loop import load_run
    from vultus.train.recipe import DataConfig
    from vultus.train.sources import measure_functionals

    if limit < 1:
        raise VultusError(f"the codec's exit test: {limit} clips asked for; expected 1 or more")
    config = DataConfig(**read_codec_run(Path(run))["data"])
    if config.space != "weights":
        raise VultusError(
            f"{run}: a codec of {config.space}; expected one of blendshape weights (data.space 'weights')"
        )
    scorer = None if sync is None else load_scorer(sync)
    if not (scorer is None or isinstance(scorer, SyncScorer)):
        raise VultusError(f"{sync}: a network of kind {scorer.kind}; expected one of kind sync")
    head = load_head()
    model, _ = load_run(run, rig=head.rig.matrix, gaps=measure_functionals(config.measures))
    options = read_options(config.dataset, split_options(config.options))
    every: list[Any] = list(open_dataset(config.dataset, str(root), **options).split(split))
    clips: list[Any] = evenly([clip for clip in every if clip.is_speech], limit)
    layers = tuple(config.layers.split(","))
    motions = []
    for clip in clips:
        motion = clip.motion(layers, config.fps)
        motions.append(np.concatenate([motion, clip.head_rotation(config.fps)], 1) if config.head_rotation else motion)

    def score(number: int, motion: np.ndarray) -> float:
        clip = clips[number]
        vertices = head.rig.vertices(motion[:, : model.codec.moved], clip.template)
        assert scorer is not None
        lips = scorer.mesh(vertices, clip.template.vertices, config.fps, 1000.0)
        return float((scorer.audio(clip.speech(), len(lips)) * lips).sum(1).mean()) if len(lips) else 0.0

    found = codec_exit_test(model.codec, motions, None if scorer is None else score)
    sizes = model.config
    return CodecFound(
        found, len(clips), sum(len(motion) for motion in motions) / config.fps, sizes.levels * config.fps / sizes.stride
    )
