"""A run of `vultus train` on the synthetic corpus -> a bundle folder, with the named styles of the teacher.

    python tools/export_composite_regional.py --run RUN --data CORPUS --out src/vultus/bundles/base --name base

A second call with `--results docs/results.json` (after `make results`) puts the numbers on recordings into the card.

Every style is measured as a user's style clip is: the teacher performs some validation lines in it on the average head,
and the reference encoder turns the motion into 512 numbers, which are averaged over the lines. Then writes card.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bundle_parts import Manners, quality_table, results_of, trained, training_speed, validation_table

from vultus.datasets import open_dataset
from vultus.features import load_encoder
from vultus.head import load_head
from vultus.methods.export_onnx import export
from vultus.methods.onnx_graph import write_sums
from vultus.synthesis.style import PRESETS
from vultus.train.log import read_log
from vultus.train.loop import load_run

STYLES = tuple(name for name in PRESETS if name != "still")  # "still" differs in layers that the model does not make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--data", type=Path, required=True, help="the corpus it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--name", required=True, help="what users call the model")
    parser.add_argument("--summary", default="speech to 55 blendshape weights (Wu et al. 2023 on the open corpus)")
    parser.add_argument("--lines", type=int, default=24, help="lines performed for each style")
    parser.add_argument("--results", type=Path, help="docs/results.json with this model's numbers, for the card")
    options = parser.parse_args()

    head = load_head()
    model, settings = load_run(options.run, rig=head.rig.matrix)
    fps = settings["data"]["fps"]
    manners = Manners(options.data, options.lines, fps, ("speech", "expression"), head_rotation=False)
    styles = manners.measure(STYLES, model.style_vector)
    still = manners.still_shapes()
    encoder = load_encoder(settings["data"]["encoder"])
    options.out.mkdir(parents=True, exist_ok=True)
    lines = read_log(options.run)
    export(
        model, options.out, name=options.name, summary=options.summary, fps=fps, styles=styles, still_shapes=still,
        encoder={"name": settings["data"]["encoder"], "rate": encoder.rate, "offset": encoder.offset},
        extra={"trained": trained(settings, lines)},
    )  # fmt: skip
    subjects = {clip.subject for clip in open_dataset("synthetic", str(options.data)).split("train")}
    text = card(options.name, settings, lines, len(subjects), results_of(options.name, options.results))
    (options.out / "card.md").write_text(text, encoding="utf-8")
    write_sums(options.out)
    total = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{options.out}: {total / 1e6:.1f} MB, styles {', '.join(styles)}")


def card(name: str, settings: dict[str, Any], log: list[dict[str, Any]], subjects: int, real: dict[str, Any]) -> str:
    """The model card: what it is, what it was made from, how good it is, its limits."""
    method, train, data = settings["method"], settings["train"], settings["data"]
    newline = "\n"
    return f"""# {name}

Speech to blendshape weights of the shipped head at {data["fps"]:g} fps: the method of Wu et al. 2023 ("Speech-Driven
3D Face Animation with Composite and Regional Facial Movements", ACM Multimedia) on `{data["encoder"]}` features. It
predicts the head's vertices through the paper's tied embedding; the weights are solved from them.

## Data

The open **synthetic** corpus (`vultus data synthesize`, docs/corpus.md): {settings["hours"]:.2f} hours of motion with
augmented copies of the sound, {subjects} subjects (identity x voice x style), natural synthetic voices (Kokoro-82M)
under rule-made motion. No recording of a person and no captured motion was trained on.

## Licence

Weights: Apache-2.0. The graph of the features (Moonshine tiny-en, MIT) and the head (CC0) carry their own notices in
`vultus/assets`.

## Training log

{train["epochs"]} epochs, batches of {train["batch"]} cuts of {data["crop"]:g} s, Adam, peak learning rate
{train["lr"]:g}; composite part {"on" if method["composite"] else "off"}, regional part
{"on" if method["regional"] else "off"}; {train["threads"]} CPU thread, {training_speed(log):.0f} s of
speech a second. After each epoch, on voices, faces and styles that were not trained on:

{newline.join(validation_table(log))}

motion/l2 and motion/velocity are squared model units ({settings["dimensions"]["unit"]:.4f} m) summed over the mesh,
lips/gap is in mm squared, regional/l1 is the sum of |W|.

## Measured quality

On real recordings, as `vultus animate --no-life` gives it; docs/results.md says what each test is and sets baselines
and the teacher beside it.

{newline.join(quality_table(real))}

## Limits

- It moves as the rules of its teacher do, not as a person did. Emotion in the voice is not heard.
- Blinks, gaze and head motion are not its own: `animate` adds a seeded layer.
- The speech encoder was trained on English. Other languages look sane; only Mandarin was measured, and only in part.
- A frame depends on {16 / data["fps"]:.2f} s of sound before and after it, and on what the encoder hears beyond
  it (`moonshine`: at most 5 s, little beyond 1).
- Not for making anybody appear to say what they did not say.
"""


if __name__ == "__main__":
    main()
