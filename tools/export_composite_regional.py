"""A run of `vultus train` on the synthetic corpus -> a bundle folder, with the named styles of the teacher.

    python tools/export_composite_regional.py --run RUN --data CORPUS --out src/vultus/bundles/base --name base

Every style is measured as a user's style clip is: the teacher performs some validation lines in it on the average head,
and the reference encoder turns the motion into 512 numbers, which are averaged over the lines. Then writes card.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vultus.clock import resample_motion
from vultus.datasets import open_dataset
from vultus.features import load_encoder
from vultus.head import load_head
from vultus.methods.export_onnx import export, write_sums
from vultus.motion import WEIGHT_NAMES
from vultus.synthesis.performance import combine, perform
from vultus.synthesis.style import PRESETS, Style
from vultus.train.log import read_log
from vultus.train.loop import load_run

STYLES = tuple(name for name in PRESETS if name != "still")  # "still" differs in layers that the model does not make
STILL = 0.01
"""A shape that stays below this weight in all performances is not the model's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--data", type=Path, required=True, help="the corpus it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--name", required=True, help="what users call the model")
    parser.add_argument("--summary", default="speech to 55 blendshape weights (Wu et al. 2023 on the open corpus)")
    parser.add_argument("--lines", type=int, default=24, help="lines performed for each style")
    options = parser.parse_args()

    head = load_head()
    model, settings = load_run(options.run, rig=head.rig.matrix)
    fps = settings["data"]["fps"]
    clips = [clip for clip in open_dataset("synthetic", str(options.data)).split("val") if clip.is_speech]
    chosen = clips[:: max(1, len(clips) // options.lines)][: options.lines]
    spoken = [(clip.phones, clip.speech().samples) for clip in chosen]
    styles, largest = {}, np.zeros(len(WEIGHT_NAMES))
    for name in STYLES:
        vectors = []
        for number, (phones, samples) in enumerate(spoken):
            taken = perform(phones, samples, Style.preset(name), head, seed=number, fps=60.0)
            weights = combine(taken.speech, taken.expression, head=head)
            weights = resample_motion(weights, 60.0, fps, round(len(weights) / 60.0 * fps))
            largest = np.maximum(largest, weights.max(0))
            vectors.append(model.style_vector(weights))
        styles[name] = np.mean(vectors, 0)
    still = tuple(shape for shape, most in zip(WEIGHT_NAMES, largest, strict=True) if most < STILL)
    encoder = load_encoder(settings["data"]["encoder"])
    options.out.mkdir(parents=True, exist_ok=True)
    lines = read_log(options.run)
    validation = {key: round(value, 5) for key, value in lines[-1].items() if key.startswith("val/")}
    export(
        model, options.out, name=options.name, summary=options.summary, fps=fps, styles=styles, still_shapes=still,
        encoder={"name": settings["data"]["encoder"], "rate": encoder.rate, "offset": encoder.offset},
        extra={"trained": {"hours": settings["hours"], "steps": lines[-1]["step"], "validation": validation}},
    )  # fmt: skip
    (options.out / "card.md").write_text(card(options.name, settings, validation), encoding="utf-8")
    write_sums(options.out)
    total = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{options.out}: {total / 1e6:.1f} MB, styles {', '.join(styles)}")


def card(name: str, settings: dict, validation: dict[str, float]) -> str:
    """The model card: what it is, what it was made from, its limits."""
    method, train, data = settings["method"], settings["train"], settings["data"]
    rows = "\n".join(f"| {key.removeprefix('val/')} | {value:g} |" for key, value in validation.items())
    return f"""# {name}

Speech to blendshape weights of the shipped head at {data["fps"]:g} fps: the method of Wu et al. 2023 ("Speech-Driven 3D
Face Animation with Composite and Regional Facial Movements", ACM Multimedia) on `{data["encoder"]}` features.

- Data: the open synthetic corpus (`vultus data synthesize`), {settings["hours"]:g} hours with augmented copies: natural
  synthetic voices under rule-made motion. No recording of a person was used.
- Training: {train["epochs"]} epochs, batches of {train["batch"]}, learning rate {train["lr"]:g}; composite part
  {"on" if method["composite"] else "off"}, regional part {"on" if method["regional"] else "off"}.
- Terms: weights Apache-2.0. The features' graph and the head carry their own notices in `vultus/assets`.
- Limits: it moves as the rules of its teacher do. Blinks, gaze and head motion are not its own: `animate` adds them.
  Quality on real recordings is told in docs/results.md.

| on unseen voices of the corpus | value |
|---|---|
{rows}

motion/l2 and motion/velocity are squared model units ({settings["dimensions"]["unit"]:.4f} m) summed over the mesh;
lips/gap is in mm squared.
"""


if __name__ == "__main__":
    main()
