"""A prior of `vultus train` on the synthetic corpus -> a bundle folder, with the named styles of the teacher.

    python tools/export_probabilistic.py --run RUN --data CORPUS --out src/vultus/bundles/takes --name takes

A second call with `--results docs/results.json` (after `make results`) puts the numbers on recordings into the card.

Every style is measured as a user's style clip is: the teacher performs some validation lines in it on the average head,
with all layers that the model makes, and the style encoder's vectors are averaged over the lines. Then writes card.md.
"""

from __future__ import annotations

import argparse
import json
import math
import textwrap
from pathlib import Path
from typing import Any

from bundle_parts import Manners, quality_table, results_of, trained, training_speed, validation_table

from vultus.datasets import open_dataset
from vultus.features import load_encoder
from vultus.head import load_head
from vultus.methods.export_probabilistic import export
from vultus.methods.onnx_graph import write_sums
from vultus.synthesis.style import PRESETS
from vultus.train.log import read_log
from vultus.train.loop import load_run

LIFE = {"speech", "expression", "random"}
"""A model of these layers and of head rotation makes all that the style "still" differs in."""
TRAINING_CLIPS = 200
"""Clips of the training split in which moving shapes are looked for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder of the prior")
    parser.add_argument("--data", type=Path, required=True, help="the corpus it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--name", required=True, help="what users call the model")
    parser.add_argument(
        "--summary", default="several takes of a line, in the manner of a clip; blinks, brows, gaze, head"
    )
    parser.add_argument("--sampling", default="plain", help="how takes are drawn by default (default %(default)s)")
    parser.add_argument("--lines", type=int, default=24, help="lines performed for each style")
    parser.add_argument(
        "--codec", type=Path, help="run folder of its codec, for the card (default: as the run names it)"
    )
    parser.add_argument("--results", type=Path, help="docs/results.json with this model's numbers, for the card")
    options = parser.parse_args()

    model, settings = load_run(options.run, rig=load_head().rig.matrix)
    data, log = settings["data"], read_log(options.run)
    layers = tuple(data["layers"].split(","))
    alive = set(layers) >= LIFE and data["head_rotation"]
    manners = Manners(options.data, options.lines, data["fps"], layers, head_rotation=data["head_rotation"])
    names = [name for name in PRESETS if alive or name != "still"]
    styles = manners.measure(names, model.style_vector)
    clips = open_dataset("synthetic", str(options.data)).split("train")
    seen = clips[:: max(1, len(clips) // TRAINING_CLIPS)][:TRAINING_CLIPS]
    still = manners.still_shapes(*(clip.motion(layers, data["fps"]) for clip in seen))
    encoder = load_encoder(data["encoder"])
    options.out.mkdir(parents=True, exist_ok=True)
    export(
        model, options.out, name=options.name, summary=options.summary, styles=styles, still_shapes=still,
        default_sampling=options.sampling,
        encoder={"name": data["encoder"], "rate": encoder.rate, "offset": encoder.offset},
        extra={"trained": trained(settings, log)},
    )  # fmt: skip
    codec = options.codec or Path(settings["method"]["codec"])
    coded = (codec_settings(codec), read_log(codec)) if (codec / "settings.json").is_file() else None
    real = results_of(options.name, options.results)
    size = sum(parameter.numel() for parameter in model.parameters())
    text = card(options.name, options.sampling, settings, log, coded, len({clip.subject for clip in clips}), size, real)
    (options.out / "card.md").write_text(text, encoding="utf-8")
    write_sums(options.out)
    total = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{options.out}: {total / 1e6:.1f} MB, styles {', '.join(styles)}; still: {', '.join(still) or 'none'}")


def codec_settings(run: Path) -> dict[str, Any]:
    """settings.json of a run."""
    found: dict[str, Any] = json.loads((run / "settings.json").read_text(encoding="utf-8"))
    return found


def _trained_how(settings: dict[str, Any], log: list[dict[str, Any]]) -> str:
    train = settings["train"]
    told = (
        f"{train['epochs']} epochs, {log[-1]['step']} steps, batches of {train['batch']} cuts of "
        f"{settings['data']['crop']:g} s, {train['optimizer']}, peak learning rate {train['lr']:g}, "
        f"{train['precision']}, {train['threads']} CPU thread, {training_speed(log):.0f} s of speech a second."
    )
    return textwrap.fill(told, 118)


def card(
    name: str,
    sampling: str,
    settings: dict[str, Any],
    log: list[dict[str, Any]],
    codec: tuple[dict[str, Any], list[dict[str, Any]]] | None,
    subjects: int,
    parameters: int,
    real: dict[str, Any],
) -> str:
    """The model card: what it is, what it was made from, how good it is, its limits."""
    method, data = settings["method"], settings["data"]
    frames = method["stride"]
    ahead = (max(2, method["band"]) + 2) * frames / data["fps"]
    coded = ["(its run was not at hand)"]
    if codec is not None:
        coded = [_trained_how(*codec), "", *validation_table(codec[1])]
    newline = "\n"
    return f"""# {name}

Speech to takes: blendshape weights of the shipped head and its rotation at {data["fps"]:g} fps, drawn from a
distribution. The method is that of Yang et al. 2024 ("Probabilistic Speech-Driven 3D Facial Motion Synthesis", CVPR) as
far as it is known; docs/probabilistic.md tells what is the paper's and what ours. {method["levels"]} levels of
{method["codes"]} codes, {data["fps"] / frames:g} steps a second, {parameters / 1e6:.1f} M parameters, on
`{data["encoder"]}` features. Default sampling: `{sampling}`.

## Data

The open **synthetic** corpus (`vultus data synthesize`, docs/corpus.md): {settings["hours"]:.2f} hours of motion,
{subjects} subjects (identity x voice x style), natural synthetic voices (Kokoro-82M) under rule-made motion; layers
{data["layers"]}{" and head rotation" if data["head_rotation"] else ""}. No recording of a person and no captured
motion was trained on.

## Licence

Weights: Apache-2.0. The graph of the features (Moonshine tiny-en, MIT) and the head (CC0) carry their own notices in
`vultus/assets`.

## Training log

The codec:
{newline.join(coded)}

codec/parameters is half the squared error of standardised motion; all others but commitment are in cm. What the codes
lose: the codec's exit test in docs/results.md.

The prior:
{_trained_how(settings, log)}

{newline.join(validation_table(log))}

prior/coarse and prior/fine are cross-entropies, nats a code; guessing gives {math.log(method["codes"]):.2f}.

## Measured quality

On real recordings, as `vultus animate --no-life` gives it; docs/results.md says what each test is and sets baselines
and the teacher beside it.

{newline.join(quality_table(real))}

## Limits

- It moves as the rules of its teacher do, not as a person did. Emotion in the voice is not heard.
- Takes differ as the teacher's takes do: blinks, brows, gaze, head, mood and how a sound is shaped.
- The speech encoder was trained on English. Other languages look sane; only Mandarin was measured, and only in part.
- A step depends on {ahead:.2f} s of sound after it, and on what the encoder hears beyond it (`moonshine`: at most 5 s,
  little beyond 1); it remembers {method["memory"] * frames / data["fps"]:.1f} s of its own motion.
- Not for making anybody appear to say what they did not say.
"""


if __name__ == "__main__":
    main()
