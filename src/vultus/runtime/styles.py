"""Manners that a user names: presets, recorded clips, and mixtures of both, for every model.

    lively                      a preset
    clip.csv                    the manner of a clip (.npz .csv .json .glb)
    lively*0.3+warm*0.7         a mixture; weights need not sum to one, none means 1
    lively+clip.glb*2           parts may be files

A mixture is the weighted mean of its parts' style vectors. A name that exists as a file is that file, whatever `+` and
`*` it holds.

Letters: S numbers of a style vector, R reference frames, T motion frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vultus import clock
from vultus.errors import VultusError, unknown_name
from vultus.motion import WEIGHT_NAMES

if TYPE_CHECKING:
    from vultus.export.read import StyleClip
    from vultus.runtime.base import Model
    from vultus.synthesis.style import Style as CorpusStyle
    from vultus.topology import Topology

MIN_REFERENCE_FRAMES = 12
MAX_REFERENCE_SECONDS = 60.0
"""A style is taken from the first minute of a clip: its statistics have settled by then, and memory stays small."""


class Part(NamedTuple):
    """A part of a mixture: the name of a preset or of a file, and its share of the whole."""

    name: str
    weight: float


def parse_mixture(text: str) -> tuple[Part, ...]:
    """The parts that a text names; their weights sum to 1.

    >>> parse_mixture("lively*0.3+warm*0.9")
    (Part(name='lively', weight=0.25), Part(name='warm', weight=0.75))

    Raises:
        VultusError: an empty part; a weight that is no number, negative, or all of them zero.
    """
    found: list[Part] = []
    pieces = text.split("+")
    while pieces:
        # The longest run of pieces that is a file: names may hold a plus sign.
        for count in range(len(pieces), 0, -1):
            name, weight = _split_weight("+".join(pieces[:count]))
            if count == 1 or (_is_file(name) and "+" not in (weight or "")):
                break
        found.append(Part(name.strip(), _number(text, weight)))
        if not found[-1].name:
            raise VultusError(f"style '{text}' has a part without a name; expected NAME, or NAME*WEIGHT+NAME*WEIGHT")
        del pieces[:count]
    total = sum(part.weight for part in found)
    if not 0.0 < total < math.inf:
        raise VultusError(f"style '{text}': its weights sum to {total:g}; expected more than 0, such as lively*0.3")
    return tuple(Part(part.name, part.weight / total) for part in found)


def _split_weight(piece: str) -> tuple[str, str | None]:
    name, star, weight = piece.rpartition("*")
    return (piece, None) if not star or _is_file(piece) else (name, weight)


def _number(text: str, weight: str | None) -> float:
    if weight is None:
        return 1.0
    try:
        value = float(weight)
    except ValueError:
        raise VultusError(f"style '{text}': weight '{weight}' is not a number; expected such as lively*0.3") from None
    if not 0.0 <= value < math.inf:  # also false for NaN
        raise VultusError(f"style '{text}': weight {weight.strip()} cannot be; expected 0 or more, such as lively*0.3")
    return value


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a zero in it
        return False


def files_of(text: str, presets: Collection[str] = ()) -> tuple[Path, ...]:
    """Files that a style names and that exist."""
    return tuple(Path(part.name) for part in parse_mixture(text) if part.name not in presets and _is_file(part.name))


def style_vector(
    wish: str, model_name: str, presets: Mapping[str, np.ndarray], measure: Callable[[StyleClip], np.ndarray]
) -> np.ndarray:
    """The style vector (S,) float32 of what a user names.

    Args:
        wish: see the module's docstring.
        model_name: for errors.
        presets: name -> (S,).
        measure: a clip -> (S,).

    Raises:
        VultusError: an unknown name, a malformed mixture, a clip that shows no style.
    """
    from vultus.export.read import READABLE, read_motion

    vectors, parts = [], parse_mixture(wish) if wish not in presets else (Part(wish, 1.0),)
    for part in parts:
        if part.name in presets:
            vectors.append(np.asarray(presets[part.name], np.float32))
        elif Path(part.name).suffix.lower() in READABLE or _is_file(part.name):
            vectors.append(np.asarray(measure(read_motion(part.name)), np.float32))
        else:
            raise unknown_name(f"style of model '{model_name}'", part.name, presets)
    if len(parts) == 1:
        return vectors[0]
    weights = np.array([part.weight for part in parts])
    return (weights[:, None] * np.stack(vectors)).sum(0).astype(np.float32)


def reference_frames(clip: StyleClip, fps: float) -> tuple[int, int]:
    """How many frames of a clip show its style (at most its first minute), and how many these are at `fps`.

    Raises:
        VultusError: fewer than MIN_REFERENCE_FRAMES at `fps`.
    """
    frames = min(clip.num_frames, int(MAX_REFERENCE_SECONDS * clip.fps))
    count = max(1, round(frames / clip.fps * fps))
    if min(frames, count) < MIN_REFERENCE_FRAMES:
        raise VultusError(
            f"{clip.source}: {frames} frames at {clip.fps:g} fps are too few to show a style; expected at least "
            f"{MIN_REFERENCE_FRAMES}, also at the model's {fps:g} fps"
        )
    return frames, count


def reference_weights(clip: StyleClip, fps: float) -> np.ndarray:
    """The weights of a clip's first minute at `fps`: (R, 55) float32, columns as WEIGHT_NAMES, 0 where it has none.

    Raises:
        VultusError: a clip without weights; too few frames; values that are not finite.
    """
    if clip.weights is None:
        raise VultusError(f"{clip.source}: has no weights; expected the weights of ARKit shapes")
    frames, count = reference_frames(clip, fps)
    weights = np.zeros((frames, len(WEIGHT_NAMES)), np.float32)
    for column, name in enumerate(clip.weight_names):
        if name in WEIGHT_NAMES:
            weights[:, WEIGHT_NAMES.index(name)] = clip.weights[:frames, column]
    if not np.isfinite(weights).all():
        raise VultusError(f"{clip.source}: its weights hold a value that is not a finite number")
    return clock.resample_motion(weights, clip.fps, fps, count)


def reference_head_rotation(clip: StyleClip, fps: float) -> np.ndarray:
    """The head rotation of a clip's first minute at `fps`: (R, 3) float32, radians."""
    frames, count = reference_frames(clip, fps)
    return clock.resample_motion(clip.head_rotation[:frames], clip.fps, fps, count)


def fits_mesh(clip: StyleClip, topology: Topology, on_head: bool) -> None:
    """Refuses a clip whose vertices are not those of a model's mesh; `on_head`: whether that is our head."""
    if clip.template is None or clip.mesh is None:
        found = (
            "neither weights nor vertices" if clip.weights is None else "no vertices, and this model takes no weights"
        )
        raise VultusError(f"{clip.source}: has {found}; expected an .npz with {topology.num_vertices} vertices")
    other = on_head and clip.topology_digest not in (None, topology.digest)
    if clip.template.shape[0] != topology.num_vertices or other:
        instead = "; weights of ARKit shapes (.csv, .json or .glb) fit any face" if on_head else ""
        mesh = "our head (docs/head.md)" if on_head else "this model's mesh"
        raise VultusError(
            f"{clip.source}: its {clip.template.shape[0]} vertices move another mesh; expected the "
            f"{topology.num_vertices} vertices of {mesh}{instead}"
        )


# ------------------------------------------------------------------------------------------------ what presets are


def manner_of(wish: str | None) -> CorpusStyle:
    """The manner of presets of the corpus, or of a mixture of them; neutral for anything else."""
    from vultus.synthesis.style import PRESETS, Style

    parts = parse_mixture(wish) if wish else ()
    if not parts or any(part.name not in PRESETS for part in parts):
        return Style()
    if len(parts) == 1:
        return Style.preset(parts[0].name)
    return Style.from_vector(np.sum([part.weight * Style.preset(part.name).to_vector() for part in parts], axis=0))


_SAID = {
    "jaw_gain": ("jaw opens wide", "jaw opens little"),
    "lip_gain": ("lips open wide", "lips open little"),
    "rounding_gain": ("strong rounding", "weak rounding"),
    "width_bias": ("wide mouth", "narrow mouth"),
    "tempo": ("quick", "slow"),
    "articulation": ("over-articulated", "mumbled"),
    "compression": ("pressed lips", "loose lips"),
    "rest_opening": ("lips apart at rest", ""),
    "smile": ("smiling", "mouth corners down"),
    "brow_activity": ("lively brows", "quiet brows"),
    "blink_rate": ("blinks often", "blinks seldom"),
    "gaze_activity": ("roaming gaze", "steady gaze"),
    "head_gain": ("lively head", "quiet head"),
    "asymmetry": ("stronger left side", "stronger right side"),
    "mood_drift": ("changing mood", "even mood"),
    "effort": ("tense", "relaxed"),
    "loudness_slope": ("jaw follows loudness", "jaw heeds loudness little"),
}
_MOST_SAID = 5


def describe_preset(name: str) -> str:
    """A preset of the corpus in words, what stands out most first; empty for another name.

    >>> describe_preset("warm")
    'smiling, relaxed, wide mouth, lively brows, lively head'
    """
    from vultus.synthesis.style import PRESETS, RANGES

    if name not in PRESETS:
        return ""
    away = {k: (value - RANGES[k].neutral) / RANGES[k].spread for k, value in PRESETS[name].items()}
    ordered = sorted(away, key=lambda k: -abs(away[k]))
    return ", ".join(_SAID[k][0 if away[k] > 0 else 1] for k in ordered[:_MOST_SAID]) or "an average speaker"


def describe_styles(model: Model) -> list[str]:
    """One line for each preset of a model: name, manner; the first is the default."""
    told = getattr(getattr(model, "network", None), "config", {}).get("style_descriptions", {})
    lines = []
    for number, name in enumerate(model.styles):
        manner = str(told.get(name) or describe_preset(name))
        lines.append(f"{name:<12} {manner}{' (default)' if number == 0 else ''}".rstrip())
    return lines


def nearest_presets(model: Model, clip: str) -> list[tuple[str, float]]:
    """Presets of a model and how alike a clip is to each, most alike first.

    Alike is the cosine of style vectors.
    """
    wanted = _vector(model.style(clip))
    cosines = []
    for name in model.styles:
        preset = _vector(model.style(name))
        cosines.append((name, float(wanted @ preset / max(np.linalg.norm(wanted) * np.linalg.norm(preset), 1e-12))))
    return sorted(cosines, key=lambda pair: -pair[1])


def _vector(style: object) -> np.ndarray:
    return np.asarray(getattr(style, "vector", style), np.float64).reshape(-1)
