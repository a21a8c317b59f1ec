"""What the metrics of timing, contact and dynamics read of a sequence: taken once from prediction and reference.

Of the motion only the rims of the lips and a sample of each region are kept, so that memory does not grow with the
mesh, and a prediction that is read from disk is read once. Of the sound the level in the speech band is kept.

Letters: T motion frames, V vertices, C columns of the mouth, n vertices of a region, L levels. Lengths are in the unit
of results (`Example.scale`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from vultus.clock import SAMPLE_RATE, motion_times
from vultus.metrics.base import Example, Unavailable, check_shapes
from vultus.metrics.frames import blocks, checked_region
from vultus.metrics.mouth import Mouth, find_mouth
from vultus.synthesis.phones import Phone, frame_loudness

REGIONS = ("lips", "upper_face", "face")
MOST = 1000
"""Vertices kept of a region, evenly spaced in their order: neighbours move alike, so ratios of means over a thousand
are those over all vertices within a percent."""
LEVEL_RATE, LEVEL_WINDOW = 200.0, 0.05
"""Levels per second; seconds that each one covers, centred: long enough for two periods of a deep voice."""
BAND = (100.0, 4000.0)
"""Speech band, Hz: without rumble and hum below, and without the hiss of /s/, which moves no jaw."""
RANGE = 50.0
"""dB below the loud parts (95th percentile) at which levels are held, so that digital silence weighs no more."""
BLOCK = 16 << 20
"""Bytes of motion read at a time."""
TOLERANCE = 0.04
"""Seconds by which an interval of a phone is widened at both ends: one frame at 25 fps; labels are no better."""
CLOSED = 0.15
"""The lips count as closed below this share of the reference's 95th percentile of the opening: 1 to 2 mm, within which
lips of scans and of fitted models stand when they touch."""


@dataclass(frozen=True, eq=False)
class Track:
    """One motion: opening (T,) and gaps (T, C) of the lips, height and depth of the lower lip (T, 2), offsets of each
    region's sample from the template (T, n, 3) float32."""

    opening: np.ndarray
    gaps: np.ndarray
    lower_lip: np.ndarray
    offsets: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Tracks:
    """Both motions of an example.

    Attributes:
        missing: why there is no mouth to measure; "" where there is one.
        width: of the lips.
        weights: (n,) of each region's sample, summing to 1.
    """

    prediction: Track
    reference: Track
    missing: str
    width: float
    weights: dict[str, np.ndarray]


def tracks(example: Example) -> Tracks:
    """Both motions; VultusError for shapes that differ and for coordinates that are not finite."""
    if "tracks" not in example.cache:
        example.cache["tracks"] = _read(example)
    found: Tracks = example.cache["tracks"]
    return found


def mouth_tracks(example: Example) -> tuple[Track, Track, float]:
    """(prediction, reference, width of the lips); Unavailable where the lips cannot be told apart."""
    both = tracks(example)
    if both.missing:
        raise Unavailable(both.missing)
    return both.prediction, both.reference, both.width


def region_tracks(example: Example, region: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets (T, n, 3) of prediction and reference, weights (n,); Unavailable without the region."""
    example.region(region)
    both = tracks(example)
    return both.prediction.offsets[region], both.reference.offsets[region], both.weights[region]


def closed_below(reference: Track, width: float) -> float:
    """The opening under which lips are closed; 0 where the reference hardly opens the mouth (half a millimetre)."""
    top = float(np.percentile(reference.opening, 95))
    return CLOSED * top if top > 0.01 * width else 0.0


def phones(example: Example) -> tuple[Phone, ...]:
    """The phones; Unavailable without."""
    if not example.phones:
        raise Unavailable("no phones: the data say not what is spoken when")
    return example.phones


def frames_of(phone: Phone, example: Example, margin: float = 0.0) -> np.ndarray:
    """Numbers of the motion frames in [start - margin, end + margin)."""
    times = motion_times(len(example.reference), example.fps)
    return np.flatnonzero((times >= phone.start - margin - 1e-6) & (times < phone.end + margin - 1e-6))


def speech_level(example: Example) -> np.ndarray:
    """Level in the speech band at i / LEVEL_RATE, dB, (L,); Unavailable without sound, or with nothing but silence."""
    if example.speech is None:
        raise Unavailable("no speech: the sound is not at hand")
    if "level" not in example.cache:
        sound = example.speech.samples.astype(np.float64)
        spectrum = np.fft.rfft(sound)
        hertz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
        spectrum[(hertz < BAND[0]) | (hertz > BAND[1])] = 0
        level = frame_loudness(np.fft.irfft(spectrum, len(sound)), LEVEL_RATE, LEVEL_WINDOW)
        top = float(np.percentile(level, 95))
        example.cache["level"] = np.maximum(level, top - RANGE) if top > -90 else np.zeros(0)
    found: np.ndarray = example.cache["level"]
    if not len(found):
        raise Unavailable("the sound is silent")
    return found


def level_at(level: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Levels at any seconds; the ends are held."""
    return np.interp(times, np.arange(len(level)) / LEVEL_RATE, level)


@cache
def _head_digest() -> str:
    from vultus.head import load_head

    return load_head().topology.digest


def _on_head(example: Example) -> bool:
    from vultus.measures import head_terms

    same = example.unit == "m" and example.topology.num_vertices == head_terms().num_vertices
    return same and example.topology.digest == _head_digest()


def _read(example: Example) -> Tracks:
    from vultus.measures import measure_vertices

    prediction, reference, template = example.prediction, example.reference, np.asarray(example.template)
    check_shapes(prediction, reference)
    samples, weights = {}, {}
    for name in REGIONS:
        if name in example.regions:
            region = checked_region(example.regions[name], reference.shape[1])
            step = -(-len(region.vertices) // MOST)
            samples[name] = region.vertices[::step]
            weights[name] = region.weights[::step].astype(np.float64) / region.weights[::step].sum(dtype=np.float64)
    missing, mouth = "", None
    try:
        mouth = find_mouth(template, example.topology, example.regions)
    except Unavailable as reason:
        missing = str(reason)
    on_head = mouth is not None and _on_head(example)

    def track(motion: np.ndarray, what: str) -> Track:
        parts: list[tuple[np.ndarray, ...]] = []
        offsets: dict[str, list[np.ndarray]] = {name: [] for name in samples}
        for _, block in blocks(motion, what, BLOCK):
            for name, chosen in samples.items():
                offsets[name].append((block[:, chosen] - template[chosen]) * np.float32(example.scale))
            if mouth is not None:
                gaps = mouth.gaps(block, template) * example.scale
                opening = gaps[:, mouth.middle].mean(1)
                if on_head:
                    names, values = measure_vertices(np.concatenate([block, template[None]]))
                    values = values[:-1] - values[-1]
                    gaps = values[:, [n.startswith("aperture_") for n in names]]
                    opening = values[:, names.index("aperture")]
                parts.append((opening, gaps, mouth.lower_lip(block, template) * example.scale))
        opening, gaps, lower = (
            (np.concatenate(columns) for columns in zip(*parts, strict=True)) if parts else (np.zeros(0),) * 3
        )
        return Track(opening, gaps, lower, {name: np.concatenate(blocks) for name, blocks in offsets.items()})

    width = 0.0 if mouth is None else mouth.width * example.scale
    return Tracks(track(prediction, "prediction"), track(reference, "reference"), missing, width, weights)


__all__ = ["CLOSED", "LEVEL_RATE", "TOLERANCE", "Mouth", "Track", "Tracks", "closed_below", "frames_of", "level_at",
           "mouth_tracks", "phones", "region_tracks", "speech_level", "tracks"]  # fmt: skip
