"""The exit test of a codec: what its codes lose, before a prior is trained on them.

    OMP_NUM_THREADS=1 python benchmarks/codec_exit_test.py RUN --data ROOT [--split val] [--limit 100] [--sync BUNDLE]

RUN is a finished run of `vultus train recipes/probabilistic_codec.toml`. Each clip of the split is coded whole and
decoded from 1, 2 ... Q levels. Wanted: lip error under 1.5 mm with all levels and under 4 mm with the first alone, more
than 80 % of the codes of each level used, and a sync score (`--sync`, a scoring bundle) within 0.03 of the motion.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from vultus.datasets import open_dataset
from vultus.head import load_head
from vultus.methods.probabilistic_codec import codec_exit_test
from vultus.scoring.runtime import SyncScorer, load_scorer
from vultus.train.loop import load_run
from vultus.train.recipe import DataConfig
from vultus.train.sources import measure_functionals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=100, help="clips, evenly spaced; default %(default)s")
    parser.add_argument("--sync", type=Path, help="folder of a sync network")
    options = parser.parse_args()
    torch.set_num_threads(1)

    head = load_head()
    measures = measure_functionals(DataConfig().measures)
    model, settings = load_run(options.run, rig=head.rig.matrix, gaps=measures)
    if settings["data"]["space"] != "weights":
        raise SystemExit("this script measures codecs of blendshape weights")
    config = DataConfig(**{**settings["data"], "split": options.split, "encoder": "none"})
    every = [c for c in open_dataset(config.dataset, str(options.data)).split(options.split) if c.is_speech]  # type: ignore[attr-defined]
    places = np.linspace(0, len(every) - 1, min(options.limit, len(every))).round().astype(int)
    clips = [every[place] for place in places]
    layers = tuple(config.layers.split(","))
    motions = []
    for clip in clips:
        motion = clip.motion(layers, config.fps)
        motions.append(np.concatenate([motion, clip.head_rotation(config.fps)], 1) if config.head_rotation else motion)

    scores = None
    if options.sync:
        scorer = load_scorer(options.sync)
        assert isinstance(scorer, SyncScorer)

        def scores(number: int, motion: np.ndarray) -> float:
            clip = clips[number]
            vertices = head.rig.vertices(motion[:, : model.codec.moved], clip.template)
            lips = scorer.mesh(vertices, clip.template.vertices, config.fps, 1000.0)
            return float((scorer.audio(clip.speech(), len(lips)) * lips).sum(1).mean()) if len(lips) else 0.0

    found = codec_exit_test(model.codec, motions, scores)
    seconds = sum(len(motion) for motion in motions) / config.fps
    print(f"{options.run.name}: {len(clips)} clips of {options.split}, {seconds:.0f} s")
    for level, (error, use) in enumerate(zip(found.l_vertex, found.code_use, strict=True), 1):
        print(f"levels 1..{level}: l_vertex {error:.2f} mm; level {level} uses {100 * use:.0f} % of its codes")
    if found.sync_loss is not None:
        print(f"sync score lost: {found.sync_loss:+.3f}")
    print("passed" if found.passed else "FAILED")


if __name__ == "__main__":
    main()
