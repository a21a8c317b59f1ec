"""A trained prior of `probabilistic` -> a bundle that runs without torch (see vultus/runtime/probabilistic.py).

    config.json        what the runtime needs to know, plain JSON
    hearing.onnx       features -> one vector a step
    conditions.onnx    these and a style -> all that the coarse model needs of them, for many steps at once
    step.onnx          one step of the coarse model for all draws, with the keys and values of earlier steps
    fine.onnx          levels so far -> the next level, a window of steps at once; none where there is one level
    decoder.onnx       sums of code vectors -> motion
    style.onnx         a reference clip -> style vector
    weights.npz        codebooks, style presets, what stands for no sound and no style
    SHA256SUMS         of all of them

Weights are float32: a code is chosen by comparing numbers, and rounding them would change takes. No weight is stored
twice. Aligned conditioning (A1, A2, A3) with the sequence form is exported; the other ways exist to be compared with.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.files import write_atomically
from vultus.head import load_head
from vultus.methods import export_probabilistic_graphs as graphs
from vultus.methods.onnx_graph import array, write_graph, write_sums
from vultus.methods.probabilistic import Probabilistic
from vultus.methods.probabilistic_prior import FineSequence
from vultus.methods.sampling import Sampling
from vultus.version import __version__

MAX_BYTES = 20_000_000


def export(
    model: Probabilistic,
    out: str | Path,
    *,
    name: str,
    summary: str,
    styles: Mapping[str, np.ndarray],
    default_sampling: str,
    encoder: Mapping[str, Any],
    still_shapes: tuple[str, ...] = (),
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a bundle folder.

    Args:
        model: a trained prior on the shipped head's weights (`vultus.train.loop.load_run`).
        out: the folder; made where it is missing, its files replaced.
        name: what users call the model.
        summary: one line for `vultus models`.
        styles: preset name -> (S,) numbers (`style_vector`); the first is the default. At least one.
        default_sampling: how takes are drawn unless told otherwise, such as "plain" (`vultus.methods.sampling`).
        encoder: {"name", "rate", "offset", "options"} of the speech encoder.
        still_shapes: names of shapes that never moved in training.
        extra: more keys for config.json (settings of the run, measured quality), plain JSON.

    Returns:
        The folder.

    Raises:
        VultusError: a model of a form that is not exported, styles of another size, or a bundle over 20 MB.
    """
    config, folder = model.config, Path(out)
    fine = _check(model)
    sampling = Sampling.parse_text(default_sampling)
    if not styles or any(np.shape(vector) != (config.style_size,) for vector in styles.values()):
        raise VultusError(f"export: every style must be {config.style_size} numbers, and there must be one at least")
    model.check_sampling(sampling)
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "hearing.onnx": graphs.hearing_graph(model),
        "conditions.onnx": graphs.conditions_graph(model),
        "step.onnx": graphs.step_graph(model),
        "decoder.onnx": graphs.decoder_graph(model.codec),
        "style.onnx": graphs.style_graph(model),
    }
    if fine is not None:
        written["fine.onnx"] = graphs.fine_graph(model, fine)
    for file, graph in written.items():
        write_graph(folder / file, graph)
    arrays = {
        "codebooks": np.stack([array(level.codebook) for level in model.codec.levels]),  # type: ignore[arg-type]
        "styles": np.stack(list(styles.values())), "no_sound": array(model.no_sound), "no_style": array(model.no_style),
        "mean": array(model.codec.mean),
    }  # fmt: skip
    stream = io.BytesIO()
    np.savez_compressed(stream, **{key: value.astype("<f4") for key, value in arrays.items()})  # type: ignore[arg-type]
    write_atomically(folder / "weights.npz", stream.getvalue())
    settings = {
        "method": "probabilistic", "name": name, "summary": summary, "made_by": f"vultus {__version__}",
        "encoder": {"options": {}, **encoder}, "fps": float(model.codec.fps), "rig": "head",
        "channels": model.dims.feature_dimension, "head_rotation": model.dims.head_rotation,
        "vertices": model.dims.num_vertices, "mouth": array(model.codec.mouth).tolist(),
        "stride": config.stride, "levels": config.levels, "codes": config.codes, "width": config.width,
        "heads": config.heads, "coarse_layers": config.coarse_layers, "fine_layers": config.fine_layers,
        "memory": config.memory, "band": config.band, "fine_band": config.fine_band, "style_width": config.style_width,
        "conditioning": config.conditioning, "guidance": config.audio_dropout > 0.0,
        "context_steps": model.codec.decoder.context_steps, "styles": list(styles),
        "default_sampling": default_sampling, "still_shapes": list(still_shapes), **(extra or {}),
    }  # fmt: skip
    write_atomically(folder / "config.json", (json.dumps(settings, indent=2) + "\n").encode())
    names = ["config.json", "weights.npz", *written, *(["card.md"] if (folder / "card.md").is_file() else [])]
    total = sum((folder / file).stat().st_size for file in names)
    if total > MAX_BYTES:
        raise VultusError(f"export: the bundle has {total / 1e6:.1f} MB; expected at most {MAX_BYTES / 1e6:.0f}")
    write_sums(folder)
    return folder


def _check(model: Probabilistic) -> FineSequence | None:
    """The fine model; VultusError in a word where the form is not exported."""
    config, rig = model.config, load_head().rig.matrix
    if config.stage != "prior":
        raise VultusError("export: this run holds a codec alone; expected a prior trained on it")
    if not model.coarse.aligned:
        raise VultusError(f"export: method.conditioning is {config.conditioning}; expected one of A1, A2 and A3 only")
    if config.levels > 1 and not isinstance(model.fine, FineSequence):
        raise VultusError(f"export: method.fine is '{config.fine}'; expected 'sequence'")
    if model.codec.rig is None:
        raise VultusError("export: this prior moves vertices; expected one trained on the weights of the shipped head")
    if model.codec.rig.shape != rig.shape or not np.allclose(array(model.codec.rig), rig, atol=1e-7):
        raise VultusError("export: this prior was trained on another rig; expected one of the shipped head's weights")
    return model.fine if isinstance(model.fine, FineSequence) else None
