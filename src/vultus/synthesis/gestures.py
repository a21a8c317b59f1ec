"""Phones -> what the mouth wants: trajectories of a few geometric quantities (tract variables that can be seen).

Each phone asks for *gestures*: a target for a quantity, a strength (how much it insists), a stiffness (how fast) and a
reach in time before and after the sound. Where gestures overlap their targets blend by strength, and the quantity
follows the blend as a critically damped second-order system (Saltzman and Munhall 1989, "A dynamical approach to
gestural patterning in speech production"), so that undershoot in fast speech, carry-over and bell-shaped velocities
arise by themselves. Complete contacts (lips at /p b m/, lip to teeth at /f v/) are separate gestures with a target
*beyond* contact: they arrive with speed, hold, and let go; nothing else can talk them out of it.

Letters: N phones, T frames at `RATE`, Q quantities. Units: mm for distances, 0..1 for tongue and contacts, seconds, Hz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vultus.synthesis.aims import AIMS
from vultus.synthesis.dynamics import contact_pulse, follow
from vultus.synthesis.phones import Phone
from vultus.synthesis.prosody import Prosody
from vultus.synthesis.style import Style

RATE = 120.0
"""Internal frames per second, Hz."""

QUANTITIES: tuple[str, ...] = ("jaw", "aperture", "width", "protrusion", "upper", "tip", "tip_out", "dorsum", "low")
"""Jaw opening at the incisors, mm; distance of the lips, mm; change of the mouth's width, mm; protrusion of the lips,
mm; rise of the upper lip, mm; tongue tip to the ridge, tongue out, back of the tongue up, tongue low (0..1)."""

_JAW, _APERTURE, _WIDTH, _PROTRUSION, _UPPER, _TIP, _OUT, _DORSUM, _LOW = range(9)
_STIFFNESS = np.array([44.0, 46.0, 36.0, 36.0, 38.0, 60.0, 45.0, 45.0, 34.0])
"""Natural frequencies in rad/s of the critically damped systems; 2 / w is their lag, which onsets make up for."""
_REST_STIFFNESS = 15.0
"""rad/s towards the rest pose in silence: 95 % of the way in 4.7 / 15 = 0.32 s."""

LIP_LEAD = 0.020
"""Seconds by which lips (not the jaw) are ahead of the sound."""
SEAL_STIFFNESS = 45.0
"""rad/s of a closing gesture: from 8 mm its peak speed is 8 * 1.4 * 45 / e = 185 mm/s."""

_UNSTRESSED = {"AC": 0.95, "EE": 0.95, "OO": 0.95, "AAN": 1.0, "EHN": 1.0, "AON": 1.0, "OEN": 1.0}  # no reduction
_VOWEL_AIM_JAW = 3.9  # vowels opening less than this are not made smaller where unstressed or short


@dataclass(frozen=True, eq=False)
class Gestures:
    """Trajectories at `RATE`: frame i stands at i / RATE.

    Attributes:
        values: (T, Q) float64 as QUANTITIES.
        seal: (T,) lip closure, 0 open, 1 contact, up to 1.4 pressed.
        teeth: (T,) contact of lower lip and upper teeth, 0 to 1.4.
        closures: (start, end) seconds in which the lips are closed.
        contacts: the same for lip and teeth.
    """

    values: np.ndarray
    seal: np.ndarray
    teeth: np.ndarray
    closures: tuple[tuple[float, float], ...]
    contacts: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class _Score:
    """The gestural score as arrays over aims: the parts of phones (N,)."""

    start: np.ndarray
    end: np.ndarray
    silent: np.ndarray
    target: np.ndarray  # (N, Q)
    strength: np.ndarray  # (N, 4): jaw, lips, shape, tongue
    lead: np.ndarray  # (N, 4) seconds
    carry: np.ndarray  # (N, 4) seconds


_GROUP = np.array([0, 1, 2, 2, 1, 3, 3, 3, 3])  # quantity -> column of strength


def _make_score(phones: Sequence[Phone], style: Style, rng: np.random.Generator) -> _Score:
    """Writes down what every phone asks for, after stress, duration, style and a little chance."""
    rows: list[tuple[float, float, bool, list[float], list[float], float]] = []
    reach = 1.0 + 0.16 * style.articulation
    for phone in phones:
        aims = AIMS[phone.symbol]
        chance = rng.standard_normal(7)
        vowel_size = 1.0
        if phone.is_vowel:
            stressed = {1: 1.1, 2: 1.02, 0: _UNSTRESSED.get(phone.symbol, 0.86)}.get(phone.stress, 1.0)
            vowel_size = stressed * float(np.clip(phone.duration / 0.10, 0.2, 1.6)) ** 0.16
        for index, aim in enumerate(aims):
            late = 0.006 * float(np.clip(chance[6], -2, 2))
            begin, end = phone.start + late, phone.end + late
            if len(aims) == 2:
                middle = begin + 0.55 * phone.duration
                begin, end = (begin, middle) if index == 0 else (middle, end)
            if phone.symbol in ("W", "HW") and end - begin < 0.07:  # a glide takes time, whatever the label says
                begin, end = (begin + end) / 2 - 0.035, (begin + end) / 2 + 0.035
            size = vowel_size * (1.0 + 0.10 * chance[0])
            size = size if aim.jaw > _VOWEL_AIM_JAW else 0.5 + 0.5 * size
            round_gain = style.rounding_gain * reach * (1.0 + 0.09 * chance[1]) * (1.0 if phone.stress else 0.9)
            lips = style.lip_gain ** (0.5 if aim.protrusion > 2 else 1.0)
            vowel_reach = reach if phone.is_vowel else 1.0
            held = 0.0 if phone.is_silence else 2.5 * style.width_bias
            target = [
                aim.jaw * size * vowel_reach,
                aim.aperture * (0.35 + 0.65 * size if phone.is_vowel else 1.0) * lips * vowel_reach,
                aim.width * (round_gain if aim.width < 0 else reach) + held,
                aim.protrusion * round_gain,
                aim.upper * (0.7 + 0.3 * style.lip_gain),
                aim.tip, aim.tip_out, aim.dorsum, aim.low,
            ]  # fmt: skip
            strength = [aim.jaw_strength, aim.lip_strength, aim.shape_strength, aim.tongue_strength]
            strength = [s * float(np.exp(0.10 * c)) for s, c in zip(strength, chance[2:6], strict=True)]
            if phone.is_silence:
                target[_APERTURE] = style.rest_opening
                target[_JAW] = 0.5 * style.rest_opening
                insist = float(np.clip(phone.duration / 0.25, 0.15, 1.3))
                strength = [s * insist for s in strength]
            rows.append((begin, end, phone.is_silence, target, strength, aim.lead))
    starts = np.maximum.accumulate([r[0] for r in rows])  # chance must not change the order
    ends = np.array([r[1] for r in rows])
    silent = np.array([r[2] for r in rows])
    lips = np.where(silent, 0.05, np.array([r[5] for r in rows]))
    lead = np.stack([np.where(silent, 0.05, 0.045), lips, lips, np.full(len(rows), 0.05)], axis=1)
    carry = np.stack([np.where(silent, 0.05, 0.045), np.where(silent, 0.05, 0.07), np.where(silent, 0.06, 0.09),
                      np.full(len(rows), 0.05)], axis=1)  # fmt: skip
    return _Score(starts, ends, silent, np.array([r[3] for r in rows]), np.array([r[4] for r in rows]), lead, carry)


def _blend(score: _Score, times: np.ndarray, near: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Blended targets (T, Q) and the share of silence in them (T, 4), at times (T,) per group (4 x T)."""
    count = len(score.start)
    targets = np.empty((times.shape[1], len(QUANTITIES)))
    quiet = np.empty((times.shape[1], 4))
    centre = np.searchsorted(score.start, times[0], side="right") - 1
    window = np.clip(centre[:, None] + np.arange(-near, near + 1)[None, :], 0, count - 1)
    # An aim at either end of the list appears several times in a window; only its first copy counts.
    first = np.concatenate([np.ones((len(window), 1), bool), window[:, 1:] != window[:, :-1]], axis=1)
    for group in range(4):
        t = times[group][:, None]
        start, end = score.start[window], score.end[window]
        core = 0.2 * (end - start)
        before, after = np.maximum(start + core - t, 0), np.maximum(t - end + core, 0)
        distance = before / score.lead[window, group] + after / score.carry[window, group]
        weight = score.strength[window, group] * np.exp(-(distance**1.3)) * first
        total = weight.sum(axis=1)
        rest = 1e-5  # far from everything the rest pose wins
        share = weight / (total + rest)[:, None]
        columns = np.flatnonzero(group == _GROUP)
        targets[:, columns] = np.einsum("tk,tkq->tq", share, score.target[window][:, :, columns])
        quiet[:, group] = (share * score.silent[window]).sum(axis=1) + rest / (total + rest)
    return targets, quiet


def _contact_stiffness(intervals: Sequence[tuple[float, float]], aperture: np.ndarray, tempo: float) -> np.ndarray:
    """(n, 2) rad/s: wide lips take a little longer to meet, so that their speed grows less than their distance."""
    moments = np.array([[start - 0.06, end + 0.05] for start, end in intervals]).reshape(-1, 2)
    at = np.clip(np.round(moments * RATE), 0, len(aperture) - 1).astype(np.int64)
    return SEAL_STIFFNESS * tempo * np.clip(np.sqrt(8.0 / np.maximum(aperture[at], 1.0)), 0.65, 1.0)


def lip_closures(phones: Sequence[Phone], style: Style, rng: np.random.Generator) -> list[tuple[float, float]]:
    """When the lips are closed, from the labels of /p b m/: (start, end) seconds, 55 to 130 ms, neighbours merged."""
    out: list[tuple[float, float]] = []
    for phone in phones:
        if phone.symbol not in ("P", "B", "M"):
            continue
        share = {"P": 0.72, "B": 0.85, "M": 0.97}[phone.symbol]
        start = phone.start - 0.012
        end = phone.start + share * phone.duration
        least = 0.056 * (1 + 0.1 * style.articulation) * float(np.exp(0.08 * rng.standard_normal()))
        if end - start < least:
            middle = (start + end) / 2
            start, end = middle - least / 2, middle + least / 2
        end = min(end, start + 0.13)
        if out and start - out[-1][1] < 0.05:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def teeth_contacts(phones: Sequence[Phone]) -> list[tuple[float, float]]:
    """When the lower lip touches the upper teeth, from the labels of /f v/: (start, end) seconds."""
    out: list[tuple[float, float]] = []
    for phone in phones:
        if phone.symbol not in ("F", "V"):
            continue
        start, end = phone.start - 0.008, phone.start + 0.85 * phone.duration
        if end - start < 0.045:
            middle = (start + end) / 2
            start, end = middle - 0.0225, middle + 0.0225
        if out and start - out[-1][1] < 0.05:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _inhalations(phones: Sequence[Phone], rng: np.random.Generator) -> list[tuple[float, float]]:
    """Breaths: (start, end) seconds within pauses of at least 0.3 s before phrases of at least 1.2 s."""
    out = []
    for index, phone in enumerate(phones):
        if not phone.is_silence or phone.duration < 0.3:
            continue
        stop = next((p.start for p in phones[index + 1 :] if p.is_silence and p.duration >= 0.2), phones[-1].end)
        draw = rng.random()
        if stop - phone.end >= 1.2 and draw < 0.75:
            length = min(0.45, 0.8 * phone.duration)
            out.append((phone.end - length, phone.end - 0.06))
    return out


def loudness_gain(prosody: Prosody, times: np.ndarray, style: Style) -> np.ndarray:
    """How loudness scales the jaw at times (T,): 4-5 % per dB, clipped to 0.25 .. 1.35."""
    kernel = np.hanning(11)[1:-1]
    floor = np.maximum(prosody.loudness.astype(np.float64), -40.0)
    smooth = np.convolve(np.pad(floor, 4, mode="edge"), kernel / kernel.sum(), mode="valid")
    gain = np.clip(1.0 + 0.01 * style.loudness_slope * (smooth + 1.0), 0.25, 1.35)
    return prosody.at(gain.astype(np.float32), times).astype(np.float64)


def plan(phones: Sequence[Phone], prosody: Prosody, style: Style, seed: int, num_frames: int) -> Gestures:
    """The trajectories of one performance.

    Args:
        phones: tidy, covering the speech.
        prosody: of the same speech.
        style: how this person moves.
        seed: of the small chances (targets 10 %, strengths 10 %, times 6 ms, a slow drift): takes differ.
        num_frames: frames at RATE.
    """
    rng = np.random.default_rng([seed, 0xA27])
    phones = list(phones) or [Phone("SIL", 0.0, num_frames / RATE)]
    score = _make_score(phones, style, rng)
    times = np.arange(num_frames) / RATE
    tempo = style.tempo * (1 + 0.1 * style.articulation)
    w = _STIFFNESS * tempo
    # Every system lags by 2 / w; its targets come that much earlier, and the lips' another 20 ms.
    ahead = np.array([2 / w[_JAW], 2 / w[_APERTURE] + LIP_LEAD, 2 / w[_WIDTH] + LIP_LEAD, 2 / w[_TIP]])
    targets, quiet = _blend(score, times[None, :] + ahead[:, None])
    gain = loudness_gain(prosody, times + ahead[0], style)
    drift = _drift(num_frames, rng)
    targets[:, _JAW] *= gain * style.jaw_gain * (1 + 0.08 * drift[:, 0])
    # A jaw opens ever more reluctantly: wishes beyond 11 mm are met less and less, none beyond 16 mm.
    wide = np.maximum(targets[:, _JAW] - 11.0, 0.0)
    targets[:, _JAW] += 5.0 * np.tanh(wide / 5.0) - wide
    targets[:, _APERTURE] *= 1 + (0.6 * (gain * style.jaw_gain - 1) + 0.05 * drift[:, 1]) * (1 - quiet[:, 1])
    for start, end in _inhalations(phones, rng):
        size = float(np.exp(0.25 * rng.standard_normal()))
        bump = np.clip(np.minimum(times - start, end - times) / 0.1, 0, 1)
        targets[:, _JAW] = np.maximum(targets[:, _JAW], 2.2 * size * bump)
        targets[:, _APERTURE] = np.maximum(targets[:, _APERTURE], 3.0 * size * bump)
    stiffness = w[None, :] + (_REST_STIFFNESS - w[None, :]) * quiet[:, _GROUP] ** 2
    values = follow(targets, stiffness, RATE)
    closures = lip_closures(phones, style, rng)
    contacts = teeth_contacts(phones)
    aperture = values[:, _APERTURE]
    seal = contact_pulse(times, closures, _contact_stiffness(closures, aperture, tempo))
    teeth = contact_pulse(times, contacts, _contact_stiffness(contacts, aperture, tempo))
    return Gestures(values, seal, teeth, tuple(closures), tuple(contacts))


def _drift(num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Two slow random curves of about unit spread, one knot every 0.8 s, (T, 2)."""
    knots = np.arange(0, num_frames / RATE + 1.6, 0.8)
    values = rng.standard_normal((len(knots), 2))
    times = np.arange(num_frames) / RATE
    return np.stack([np.interp(times, knots, values[:, i]) for i in range(2)], axis=1)
