"""A finished run -> a shipped bundle: exported graphs, style presets, card.

    vultus train recipes/composite_regional_base.toml --data CORPUS --out runs/base
    python tools/build_bundle.py runs/base --data CORPUS --name base --out src/vultus/bundles/base

A style preset is what the reference encoder says of performances with the preset's numbers
(`vultus.synthesis.style.PRESETS`) of lines that were not trained on; its vector is the mean over those lines.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from vultus import clock
from vultus.datasets import open_dataset
from vultus.head import load_head
from vultus.methods.export_onnx import export, write_sums
from vultus.motion import WEIGHT_NAMES
from vultus.synthesis.performance import combine, perform
from vultus.synthesis.style import PRESETS, Style
from vultus.train.loop import load_run

LINES_PER_PRESET = 16


def style_presets(model: Any, clips: list[Any], fps: float) -> dict[str, np.ndarray]:
    """Preset name -> (512,) float32."""
    if not model.config.composite:
        return {}
    head = load_head()
    vectors = {}
    for name in PRESETS:
        made = []
        for seed, clip in enumerate(clips):
            speech = clip.speech()
            take = perform(clip.phones, speech.samples, Style.preset(name), head, seed)
            weights = combine(take.speech, take.expression, head=head)
            frames = clock.num_motion_frames(len(speech.samples), fps)
            made.append(model.style_vector(clock.resample_motion(weights, take.fps, fps, frames)))
        vectors[name] = np.mean(made, axis=0).astype(np.float32)
    return vectors


def still_shapes(clips: list[Any], fps: float) -> tuple[str, ...]:
    """Shapes that never move in the layers that were learnt: somebody else's to move."""
    top = np.zeros(len(WEIGHT_NAMES), np.float32)
    for clip in clips:
        top = np.maximum(top, np.abs(clip.motion(layers=("speech", "expression"), fps=fps)).max(axis=0))
    return tuple(name for name, value in zip(WEIGHT_NAMES, top, strict=True) if value < 1e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the corpus that it was trained on")
    parser.add_argument("--name", required=True)
    parser.add_argument("--summary", default="")
    parser.add_argument("--card", type=Path, help="card.md to put beside the model")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    head = load_head()
    model, settings = load_run(options.run, rig=head.rig.matrix)
    fps, data = settings["data"]["fps"], settings["data"]
    every = [clip for clip in open_dataset(data["dataset"], str(options.data)).split("val") if clip.is_speech]
    lines = every[:: max(1, len(every) // LINES_PER_PRESET)][:LINES_PER_PRESET]
    last = [json.loads(line) for line in (options.run / "log.jsonl").read_text().splitlines()]
    measured = [row for row in last if "val/loss" in row][-1]
    export(
        model,
        options.out,
        name=options.name,
        summary=options.summary or f"{settings['method']['name']} on {data['encoder']}, open synthetic corpus",
        encoder=settings["encoder"],
        fps=fps,
        styles=style_presets(model, lines, fps),
        still_shapes=still_shapes(every[:80], fps),
        extra={
            "head_digest": head.digest,
            "layers": data["layers"].split(","),
            "run": {key: settings[key] for key in ("method", "data", "train", "loss")},
            "validation": {key: round(float(value), 5) for key, value in measured.items() if key.startswith("val/")},
        },
    )
    if options.card:
        shutil.copyfile(options.card, options.out / "card.md")
    write_sums(options.out)
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{options.out}: {size / 1e6:.1f} MB, styles {', '.join(PRESETS) if model.config.composite else 'none'}")


if __name__ == "__main__":
    main()
