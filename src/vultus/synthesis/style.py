"""Style: how one person moves while talking, as named numbers.

Gains have the neutral value 1; biases have the neutral value 0. `RANGES` gives for each number the neutral value, the
lowest and highest admissible value, the spread of random people, and what it means. A style is data: it goes into
manifests and files as a plain dict, and into models as a vector scaled so that the ranges are comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

import numpy as np

from vultus.errors import VultusError, unknown_name


class StyleRange(NamedTuple):
    """What one number of a style may be."""

    neutral: float
    low: float
    high: float
    spread: float
    meaning: str


RANGES: dict[str, StyleRange] = {
    "jaw_gain": StyleRange(1.0, 0.45, 1.6, 0.16, "opening of the jaw in vowels, factor"),
    "lip_gain": StyleRange(1.0, 0.5, 1.5, 0.14, "opening of the lips beyond what the jaw gives, factor"),
    "rounding_gain": StyleRange(1.0, 0.5, 1.5, 0.14, "protrusion and narrowing of rounded sounds, factor"),
    "width_bias": StyleRange(0.0, -1.0, 1.0, 0.35, "mouth held narrower (-1) or wider (+1) while talking, 1 = 2.5 mm"),
    "tempo": StyleRange(1.0, 0.7, 1.5, 0.12, "sharpness of gestures: stiffness of the lips and the jaw, factor"),
    "articulation": StyleRange(0.0, -1.0, 1.0, 0.35, "mumbled (-1) to over-articulated (+1)"),
    "compression": StyleRange(1.0, 0.0, 2.0, 0.35, "pressing of the lips at /p b m/ and in pauses, factor"),
    "rest_opening": StyleRange(0.0, 0.0, 3.0, 0.5, "lips apart at rest, mm"),
    "smile": StyleRange(0.0, -0.3, 0.4, 0.08, "corners of the mouth up (or, negative, down) throughout, weight"),
    "brow_activity": StyleRange(1.0, 0.0, 2.5, 0.3, "how often and how far the brows move, factor"),
    "blink_rate": StyleRange(20.0, 8.0, 35.0, 4.0, "blinks a minute while talking"),
    "gaze_activity": StyleRange(1.0, 0.0, 2.0, 0.25, "how often and how far the eyes leave the listener, factor"),
    "head_gain": StyleRange(1.0, 0.0, 2.2, 0.3, "turning and nodding of the head, factor"),
    "asymmetry": StyleRange(0.0, -1.0, 1.0, 0.3, "stronger right (-) or left (+) side, 1 = 15 % of a weight"),
    "mood_drift": StyleRange(1.0, 0.0, 2.5, 0.35, "slow wandering of the mood, factor"),
    "effort": StyleRange(0.0, -0.5, 1.0, 0.2, "tension: brows lowered, lids and lips tight (+), relaxed (-)"),
    "loudness_slope": StyleRange(4.5, 2.0, 6.5, 0.5, "how the jaw follows loudness, per cent per dB"),
}


@dataclass(frozen=True)
class Style:
    """How one person moves. The meaning, the unit and the range of each number stand in `RANGES`.

    Raises:
        VultusError: a number is out of its range or is not finite.
    """

    jaw_gain: float = 1.0
    lip_gain: float = 1.0
    rounding_gain: float = 1.0
    width_bias: float = 0.0
    tempo: float = 1.0
    articulation: float = 0.0
    compression: float = 1.0
    rest_opening: float = 0.0
    smile: float = 0.0
    brow_activity: float = 1.0
    blink_rate: float = 20.0
    gaze_activity: float = 1.0
    head_gain: float = 1.0
    asymmetry: float = 0.0
    mood_drift: float = 1.0
    effort: float = 0.0
    loudness_slope: float = 4.5

    def __post_init__(self) -> None:
        for name, known in RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
                raise VultusError(f"style {name} is {value!r}; expected a number ({known.meaning})")
            if not known.low - 1e-6 <= value <= known.high + 1e-6:  # also false for NaN
                raise VultusError(
                    f"style {name} is {value:g}; expected {known.low:g} to {known.high:g} ({known.meaning})"
                )
            object.__setattr__(self, name, float(value))

    @classmethod
    def random(cls, rng: np.random.Generator) -> Style:
        """A plausible person, drawn from `rng`: normal about neutral, clipped to the ranges."""
        values = {}
        for name, known in RANGES.items():
            drawn = known.neutral + known.spread * float(rng.standard_normal())
            if name == "rest_opening":
                drawn = max(0.0, drawn - 0.3)  # most people rest with closed lips
            values[name] = float(np.clip(round(drawn, 4), known.low, known.high))
        return cls(**values)

    @classmethod
    def preset(cls, name: str) -> Style:
        """One of `PRESETS`; VultusError with near misses for an unknown name."""
        if name not in PRESETS:
            raise unknown_name("style", name, PRESETS)
        return cls(**PRESETS[name])

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Style:
        """A style from named numbers; those not named are neutral. VultusError for an unknown name."""
        for name in values:
            if name not in RANGES:
                raise unknown_name("style number", str(name), RANGES)
        return cls(**dict(values))

    def to_dict(self) -> dict[str, float]:
        """Name -> number, in the order of STYLE_NAMES."""
        return asdict(self)

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> Style:
        """The inverse of `to_vector`; values outside the ranges are an error."""
        vector = np.asarray(vector, np.float64)
        if vector.shape != (len(STYLE_NAMES),):
            raise VultusError(f"style vector has shape {vector.shape}; expected ({len(STYLE_NAMES)},)")
        pairs = zip(STYLE_NAMES, vector, strict=True)
        return cls(**{n: float(RANGES[n].neutral + RANGES[n].spread * v) for n, v in pairs})

    def to_vector(self) -> np.ndarray:
        """(17,) float64: (value - neutral) / spread of random people, in the order of STYLE_NAMES; neutral is zero."""
        return np.array([(getattr(self, n) - RANGES[n].neutral) / RANGES[n].spread for n in STYLE_NAMES])


STYLE_NAMES: tuple[str, ...] = tuple(f.name for f in fields(Style))

PRESETS: dict[str, dict[str, float]] = {
    "neutral": {},
    "lively": {"jaw_gain": 1.15, "lip_gain": 1.1, "tempo": 1.1, "articulation": 0.3, "brow_activity": 1.8,
               "head_gain": 1.6, "gaze_activity": 1.3, "smile": 0.08, "mood_drift": 1.5},
    "articulate": {"jaw_gain": 1.1, "lip_gain": 1.2, "rounding_gain": 1.2, "tempo": 1.2, "articulation": 0.8},
    "mumbled": {"jaw_gain": 0.65, "lip_gain": 0.7, "rounding_gain": 0.75, "tempo": 0.85, "articulation": -0.8,
                "brow_activity": 0.5, "head_gain": 0.6},
    "warm": {"smile": 0.18, "width_bias": 0.3, "brow_activity": 1.2, "head_gain": 1.2, "effort": -0.3},
    "stern": {"smile": -0.12, "effort": 0.7, "compression": 1.5, "brow_activity": 0.6, "head_gain": 0.6,
              "blink_rate": 13.0, "width_bias": -0.2},
    "soft": {"jaw_gain": 0.8, "tempo": 0.9, "articulation": -0.2, "rest_opening": 0.8, "smile": 0.06,
             "effort": -0.4, "head_gain": 0.8},
    "still": {"brow_activity": 0.3, "gaze_activity": 0.4, "head_gain": 0.25, "mood_drift": 0.3},
}  # fmt: skip
"""Named styles; a number not named is neutral."""
