"""What a mouth must do, measured on its geometry: tests on labelled speech, and on sound that is no speech.

A model is any `predict(source) -> (weights (T, 55), fps)`. Its weights are put on the shipped head and measured in
millimetres (`vultus.measures`) on a common grid of 60 frames a second:

    gap          largest distance of the lips over the whole lip line: closed means that this is small
    aperture     distance of the lips in the middle
    crossing     smallest distance over the lip line: under zero the lips pass through each other
    rounding     protrusion of the lips and half of what the mouth got narrower, without what the jaw alone does
    labiodental  how far the lower lip is rolled in (weight) while the lips are apart (in full from 1 mm)
    to_teeth     distance of the lower lip from the edge of the upper incisors, up or down
    jaw          drop of the lower incisors

Letters: T motion frames, N occurrences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vultus import statistics as stats
from vultus.clock import SAMPLE_RATE, motion_times, num_motion_frames, resample_motion
from vultus.errors import VultusError
from vultus.metrics.stillness import PAUSE, PAUSE_AFTER, PAUSE_BEFORE
from vultus.metrics.tracks import CLOSED
from vultus.motion import WEIGHT_NAMES
from vultus.speech import Speech, SpeechSource
from vultus.statistics import Estimate
from vultus.synthesis.inventory import BILABIALS, LABIODENTALS, VOWELS, nearest_arpabet
from vultus.synthesis.phones import Phone, in_speech, phones_at

Predict = Callable[[SpeechSource], tuple[np.ndarray, float]]

FPS = 60.0
FRAME = 1 / 30
"""Tolerance of "within one frame", seconds: a film frame; labels are no better than 10 to 20 ms."""
PIECE = 5.0
"""Length of the units that the bootstrap draws, seconds."""
OPEN = frozenset({"AA", "AE", "AO", "AH", "EH", "AY", "AW"})
OPEN_CENTRES = frozenset({"AA", "AE", "AO", "AY", "AW"})
CLOSE_VOWELS = frozenset({"IY", "IH", "UW", "UH"})
ROUND = frozenset({"UW", "W", "OW"})
HALF_ROUND = frozenset({"R", "SH", "AO", "ER"})
SEAL_LOW, SEAL_HIGH = -1.0, 0.5
REST_GAP, CONTACT = 1.0, 1.0  # mm
MOUTH = np.array([name.startswith(("jaw", "mouth", "cheekPuff", "tongue")) for name in WEIGHT_NAMES])


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording and its phones (none where they are not known)."""

    name: str
    source: SpeechSource
    phones: tuple[Phone, ...] = ()


@dataclass(frozen=True, eq=False)
class Track:
    """What a model's mouth does in one clip: (T,) curves at FPS, millimetres, as the file's head names them."""

    clip: Clip
    times: np.ndarray
    gap: np.ndarray
    crossing: np.ndarray
    aperture: np.ndarray
    rounding: np.ndarray
    labiodental: np.ndarray
    to_teeth: np.ndarray
    jaw: np.ndarray
    mouth: np.ndarray  # (T, mouth shapes) weights

    @property
    def closed(self) -> np.ndarray:
        """(T,) bool: the lips are closed."""
        return self.gap < CLOSED * np.percentile(self.gap, 95)


class Face:
    """The geometry that weights make on the shipped head."""

    def __init__(self) -> None:
        from vultus.head import load_head
        from vultus.measures import FaceMeasures

        head = load_head()
        self._measures = FaceMeasures(head.rig, head.template)

    def track(self, clip: Clip, predict: Predict) -> Track:
        """Runs a model on a clip and measures its mouth.

        Raises:
            VultusError: weights of another shape than (T, 55), not finite, or outside [0, 1].
        """
        weights, fps = predict(clip.source)
        weights = np.asarray(weights)
        if weights.ndim != 2 or weights.shape[1] != len(WEIGHT_NAMES) or len(weights) == 0:
            raise VultusError(
                f"prediction for '{clip.name}' has shape {weights.shape}; expected (T, {len(WEIGHT_NAMES)})"
            )
        if not (np.isfinite(weights).all() and weights.min() >= -1e-4 and weights.max() <= 1 + 1e-4):
            raise VultusError(
                f"prediction for '{clip.name}' leaves [0, 1] or is not finite; expected blendshape weights"
            )
        count = num_motion_frames(clip.source.num_samples, FPS)
        w = resample_motion(weights, fps, FPS, count).astype(np.float64)
        m = self._measures
        gap, crossing = m.lip_gap(w)
        values = m.measure(w)
        still = w.copy()
        still[:, [WEIGHT_NAMES.index("jawOpen"), WEIGHT_NAMES.index("mouthClose")]] = 0.0
        shape = m.measure(still) - m.rest
        rounding = (
            0.5 * (shape[:, m.index("upper_lip_protrusion")] + shape[:, m.index("lower_lip_protrusion")])
            - 0.5 * shape[:, m.index("lip_width")]
        )
        labiodental = w[:, WEIGHT_NAMES.index("mouthRollLower")] * np.clip(gap, 0, 1)
        to_teeth = np.abs(values[:, m.index("lower_lip_to_upper_incisor")])
        jaw = values[:, m.index("jaw_opening")] - m.rest[m.index("jaw_opening")]
        return Track(
            clip, motion_times(count, FPS), gap, crossing, values[:, m.index("aperture")], rounding, labiodental,
            to_teeth, jaw, w[:, MOUTH],
        )  # fmt: skip


def phone_tests(tracks: Sequence[Track]) -> dict[str, Estimate]:
    """The tests on labelled speech.

    Returns:
        closed: share of /p b m/ with the lips closed at some frame of the phone, FRAME more at both ends.
        closed_by_mistake: share of open vowels (AA AE AO AH EH AY AW, over 70 ms) with the lips closed all along.
        closure_auc: frames of /p b m/ against other speech, by the gap.
        rounding_auc: frames of UW W OW against other speech but R SH AO ER, by the rounding.
        labiodental_auc: frames of /f v/ against other speech, by the labiodental measure.
        labiodental_contact: share of /f v/ with the lower lip within 1 mm of the incisors' edge at some frame.
        open_centre_auc: centres of AA AE AO AY AW against those of IY IH UW UH and consonants, by the aperture.
        seal_in_range: share of the closed /p b m/ whose lips, where they are closest, are between -1 and +0.5 mm apart
            along their whole line; seal_gap, seal_crossing: means of the largest and smallest distance then, mm.
        timing_ms, timing_sd_ms: middle of the closed stretch minus middle of the label, where no silence is beside it.
        pause_at_rest: share of silences (0.5 s and longer, without their first 0.3 s and last 0.15 s) in which the gap
            is under 1 mm most of the time (a breath before a phrase may open the lips); pause_step: largest change of a
            mouth weight from one frame to the next there, mean.
        All AUCs are inside speech; intervals are drawn over pieces of clips of at most five seconds.
    """
    frames: dict[str, list[np.ndarray]] = {k: [] for k in ("unit", "symbol", "gap", "rounding", "labiodental")}
    rows = [row for number, track in enumerate(tracks) for row in _occurrences(number, track, frames)]
    out = {
        "closed": _share(rows, "closed"),
        "closed_by_mistake": _share(rows, "mistake"),
    }
    if frames["unit"]:
        f = {k: np.concatenate(v) for k, v in frames.items()}
        bilabial, labiodental = np.isin(f["symbol"], list(BILABIALS)), np.isin(f["symbol"], list(LABIODENTALS))
        keep = ~np.isin(f["symbol"], list(HALF_ROUND))
        out["closure_auc"] = stats.auc(-f["gap"], bilabial, f["unit"])
        out["rounding_auc"] = stats.auc(f["rounding"][keep], np.isin(f["symbol"], list(ROUND))[keep], f["unit"][keep])
        out["labiodental_auc"] = stats.auc(f["labiodental"], labiodental, f["unit"])
    out["labiodental_contact"] = _share(rows, "contact")
    centres = [r for r in rows if r[0] == "centre"]
    if centres:
        scores, units = np.array([r[2] for r in centres]), np.array([r[1] for r in centres])
        out["open_centre_auc"] = stats.auc(scores, np.array([r[3] for r in centres]) > 0, units)
    out["seal_in_range"] = _share(rows, "seal")
    out |= {name: _mean(rows, name) for name in ("seal_gap", "seal_crossing")}
    times = [r for r in rows if r[0] == "timing"]
    out["timing_ms"] = _mean(rows, "timing")
    if len(times) > 1:
        off = np.array([r[2] for r in times])
        spread = stats.mean((off - off.mean()) ** 2, np.array([r[1] for r in times]))
        value, low, high = (float(np.sqrt(v)) for v in (spread.value, spread.low, spread.high))
        out["timing_sd_ms"] = Estimate(value, low, high, spread.n)
    out["pause_at_rest"] = _share(rows, "rest")
    out["pause_step"] = _mean(rows, "pause_step")
    return out


Row = tuple[str, int, float, float]  # test, unit, value, class


def _occurrences(number: int, track: Track, frames: dict[str, list[np.ndarray]]) -> Iterator[Row]:
    """Outcomes of one clip; its frames inside speech are added to `frames`."""
    phones, times, closed = track.clip.phones, track.times, track.closed
    if not phones:
        return
    symbols = np.array([nearest_arpabet(p.symbol) for p in phones] + ["SIL"])
    units = number * 10_000 + (times // PIECE).astype(np.int64)
    talking = in_speech(phones, times)
    for name, values in (
        ("unit", units), ("symbol", symbols[phones_at(phones, times)]), ("gap", track.gap),
        ("rounding", track.rounding), ("labiodental", track.labiodental),
    ):  # fmt: skip
        frames[name].append(values[talking])
    for k, phone in enumerate(phones):
        middle = (phone.start + phone.end) / 2
        centre = min(round(middle * FPS), len(times) - 1)
        unit, symbol = int(units[centre]), symbols[k]
        if phone.is_silence:
            end = phone.end if k == len(phones) - 1 else phone.end - PAUSE_BEFORE
            inside = (times >= phone.start + (PAUSE_AFTER if k else 0)) & (times < end)
            if phone.duration >= PAUSE and inside.sum() > 1:
                yield "rest", unit, float(np.median(track.gap[inside]) < REST_GAP), 0
                yield "pause_step", unit, float(np.abs(np.diff(track.mouth[inside], axis=0)).max()), 0
            continue
        if symbol in BILABIALS:
            near = np.flatnonzero((times >= phone.start - FRAME) & (times <= phone.end + FRAME))
            yield "closed", unit, float(closed[near].any()), 0
            if closed[near].any():
                yield from _seal(track, phones, k, near[np.argmin(track.gap[near])], unit)
        inside = (times >= phone.start - 1e-6) & (times < phone.end - 1e-6)
        if symbol in OPEN and phone.duration > 0.07 and inside.any():
            yield "mistake", unit, float(closed[inside].all()), 0
        if symbol in LABIODENTALS and inside.any():
            yield "contact", unit, float(track.to_teeth[inside].min() <= CONTACT), 0
        if symbol in OPEN_CENTRES:
            yield "centre", unit, float(track.aperture[centre]), 1
        elif symbol in CLOSE_VOWELS or symbol not in VOWELS:
            yield "centre", unit, float(track.aperture[centre]), 0


def _seal(track: Track, phones: Sequence[Phone], k: int, at: int, unit: int) -> Iterator[Row]:
    gap, crossing = float(track.gap[at]), float(track.crossing[at])
    yield "seal", unit, float(gap <= SEAL_HIGH and crossing >= SEAL_LOW), 0
    yield "seal_gap", unit, gap, 0
    yield "seal_crossing", unit, crossing, 0
    beside = [phones[i] for i in (k - 1, k + 1) if 0 <= i < len(phones)]
    if any(p.is_silence or p.symbol in BILABIALS for p in beside) or len(beside) < 2:
        return  # lips that were closed anyway tell nothing about time
    apart = np.flatnonzero(~track.closed)
    before, after = apart[apart < at], apart[apart > at]
    if len(before) and len(after):
        middle = (track.times[before[-1]] + track.times[after[0]]) / 2
        yield "timing", unit, 1000 * float(middle - (phones[k].start + phones[k].end) / 2), 0


def _share(rows: Sequence[Row], test: str) -> Estimate:
    chosen = [r for r in rows if r[0] == test]
    return stats.proportion(np.array([r[2] for r in chosen]) > 0, np.array([r[1] for r in chosen]))


def _mean(rows: Sequence[Row], test: str) -> Estimate:
    chosen = [r for r in rows if r[0] == test]
    return stats.mean(np.array([r[2] for r in chosen]), np.array([r[1] for r in chosen]))


def stillness_tests(face: Face, predict: Predict, seconds: float = 6.0) -> dict[str, Estimate]:
    """Largest mouth weight on sound that is no speech: digital silence, faint noise, mains hum, loud hiss."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    white = rng.standard_normal(len(t))
    hum = np.sum([np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3, 5)], axis=0)
    sounds = {
        "silence": 0 * t,
        "noise_-60_dB": 1e-3 * white,
        "hum_-30_dB": 0.03 * hum / np.std(hum),
        "hiss_-30_dB": 0.03 * white,
    }
    out = {}
    for name, samples in sounds.items():
        track = face.track(Clip(name, Speech(samples.astype(np.float32), name)), predict)
        out[name] = Estimate(float(track.mouth.max()), np.nan, np.nan, len(track.times))
    return out
