"""What a face does besides speaking, as seeded random processes: brows, mood, blinks, gaze, head.

Each process has a generator of its own, made from (seed, name): changing one leaves the others as they are. Events are
drawn in seconds, so a seed gives the same life at any frame rate. Rates and durations follow what is commonly reported:
blinks 15 to 30 a minute while talking, 60-100 ms down and 120-250 ms up; fixations 0.3 to 2 s, saccades of 2-15 degrees
in 20-60 ms; nods of a few degrees on stressed syllables; posture shifts at phrase boundaries.

Letters: T motion frames. Head rotations are axis-angle vectors in radians: +x nods down, +y turns to the subject's
left, +z tilts the top of the head to the subject's right.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vultus.clock import motion_times
from vultus.motion import WEIGHT_NAMES
from vultus.synthesis.prosody import Prosody
from vultus.synthesis.style import Style

INDEX: dict[str, int] = {name: i for i, name in enumerate(WEIGHT_NAMES)}

EYE_SIDE, EYE_UP, EYE_DOWN = 20.0, 10.5, 16.0
"""Degrees by which weight 1 of eyeLookIn/Out, eyeLookUp and eyeLookDown turns the eyes of the shipped head."""


def child(seed: int, name: str) -> np.random.Generator:
    """The generator of one process; it depends on nothing but the seed and the name."""
    return np.random.default_rng([int(seed) & 0xFFFFFFFFFFFF, zlib.crc32(name.encode())])


def ease(x: np.ndarray) -> np.ndarray:
    """Minimum-jerk step: 0 up to x = 0, 1 from x = 1, bell-shaped speed between (Flash and Hogan 1985)."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (10.0 + x * (6.0 * x - 15.0))


def wander(rng: np.random.Generator, times: np.ndarray, seconds: float, columns: int) -> np.ndarray:
    """Slow random curves of zero mean and about unit spread, (T, columns).

    An AR(1) process with time constant `seconds` on a grid of a third of that, drawn through cubic B-splines:
    continuous in speed and acceleration, and the same for every frame rate.
    """
    step = seconds / 3.0
    count = int(np.ceil((times[-1] if len(times) else 0.0) / step)) + 5
    keep = float(np.exp(-step / seconds))
    knots = rng.standard_normal((count, columns))
    for i in range(1, count):
        knots[i] = keep * knots[i - 1] + np.sqrt(1 - keep * keep) * knots[i]
    position = times / step
    base = position.astype(np.int64)
    u = (position - base)[:, None]
    out = np.zeros((len(times), columns))
    for k, weight in enumerate(((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)):
        out += weight * knots[base + k]
    return out * (1.15 / 6.0)


@dataclass(frozen=True)
class Bump:
    """A rise, a hold and a fall: begins at `start` s, lasts rise + hold + fall seconds, reaches `height`."""

    start: float
    rise: float
    hold: float
    fall: float
    height: float


def paint(times: np.ndarray, bumps: Sequence[Bump]) -> np.ndarray:
    """The largest of the bumps at each time, (T,); times ascend."""
    out = np.zeros(len(times))
    for bump in bumps:
        low, high = np.searchsorted(times, [bump.start, bump.start + bump.rise + bump.hold + bump.fall])
        t = times[low:high] - bump.start
        shape = ease(t / bump.rise) * ease((bump.rise + bump.hold + bump.fall - t) / bump.fall)
        out[low:high] = np.maximum(out[low:high], bump.height * shape)
    return out


def steps(times: np.ndarray, starts: np.ndarray, durations: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A path that stands on values[k] from starts[k] + durations[k] on and gets there by a minimum-jerk step, (T, C).

    Args:
        times: (T,) seconds.
        starts: (K,) ascending; the first value holds before its start too.
        durations: (K,) seconds; a step must end before the next one starts.
        values: (K, C).
    """
    index = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
    before = values[np.maximum(index - 1, 0)]
    done = ease((times - starts[index]) / durations[index])[:, None]
    return before + done * (values[index] - before)


# ------------------------------------------------------------------------------------------------ brows and mood


def questions(prosody: Prosody) -> list[tuple[float, float]]:
    """Phrase ends with rising pitch: (time of the end, rise in semitones over the last 0.3 s)."""
    out = []
    for start, end in prosody.phrases(0.3):
        if end - start < 0.6:
            continue
        last = slice(max(0, round((end - 0.32) * 100)), round(end * 100))
        before = slice(max(0, round((end - 0.8) * 100)), last.start)
        voiced = prosody.voiced
        if voiced[last].sum() < 5 or voiced[before].sum() < 5:
            continue
        tail = prosody.semitones[last][voiced[last]]
        rise = float(np.mean(tail[len(tail) // 2 :]) - np.median(prosody.semitones[before][voiced[before]]))
        if rise > 2.5:
            out.append((end, rise))
    return out


def expression_layer(prosody: Prosody, num_frames: int, fps: float, seed: int, style: Style) -> np.ndarray:
    """Brows and mood: what is tied to the prosody or drifts slowly, (T, 55) float32 weights in [0, 1]."""
    times = motion_times(num_frames, fps)
    rng = child(seed, "brows")
    bumps: list[Bump] = []
    for at, strength in prosody.accents():
        draw = rng.random(4)
        if draw[0] < 0.38 * style.brow_activity * (0.5 + strength):
            height = (0.16 + 0.34 * draw[1]) * (0.5 + 0.5 * strength) * min(1.5, style.brow_activity)
            rise = 0.14 + 0.12 * draw[2]
            bumps.append(Bump(at - 0.6 * rise, rise, 0.05 + 0.2 * draw[3], 0.3 + 0.2 * draw[2], height))
    for end, rise_st in questions(prosody):
        draw = rng.random(3)
        if draw[0] < 0.75 * min(1.3, style.brow_activity):
            height = min(0.8, 0.25 + 0.05 * rise_st + 0.2 * draw[1]) * min(1.4, style.brow_activity)
            bumps.append(Bump(end - 0.55, 0.25, 0.35 + 0.3 * draw[2], 0.45, height))
    for start, end in prosody.phrases(0.4):
        draw = rng.random(3)
        if end - start > 1.0 and draw[0] < 0.3 * style.brow_activity:
            bumps.append(
                Bump(start - 0.2, 0.25, 0.15 + 0.3 * draw[1], 0.5, (0.15 + 0.2 * draw[2]) * style.brow_activity)
            )
    raised = paint(times, bumps)
    slow = wander(child(seed, "mood"), times, 5.0, 4) * style.mood_drift
    active = prosody.at(prosody.activity, times).astype(np.float64)
    effort = np.clip(0.22 * max(style.effort, 0.0) + 0.05 * slow[:, 1] * active, 0, 0.5)
    lift = np.clip(raised + 0.05 * np.maximum(slow[:, 0], 0) * style.brow_activity, 0, 1)
    smile = np.clip(max(style.smile, 0.0) * (1 + 0.35 * slow[:, 2]) + 0.025 * np.maximum(slow[:, 2], 0), 0, 0.6)
    frown = np.clip(-min(style.smile, 0.0) * (1 + 0.3 * slow[:, 3]) + 0.015 * np.maximum(slow[:, 3], 0), 0, 0.4)
    out = np.zeros((num_frames, len(WEIGHT_NAMES)), np.float32)
    tilt = 0.15 * style.asymmetry
    for side, factor in (("Left", 1 + tilt), ("Right", 1 - tilt)):
        out[:, INDEX["browOuterUp" + side]] = 0.8 * lift * factor
        out[:, INDEX["browDown" + side]] = effort * (1 - lift) * factor
        out[:, INDEX["eyeWide" + side]] = 0.28 * lift * factor
        out[:, INDEX["eyeSquint" + side]] = np.clip(0.25 * smile + 0.25 * effort, 0, 1) * factor
        out[:, INDEX["mouthSmile" + side]] = smile * factor
        out[:, INDEX["cheekSquint" + side]] = 0.55 * smile * factor
        out[:, INDEX["mouthFrown" + side]] = frown * factor
        out[:, INDEX["mouthPress" + side]] = 0.25 * effort * factor * (1 - active)
    out[:, INDEX["browInnerUp"]] = lift
    return np.clip(out, 0, 1, out=out)


# ------------------------------------------------------------------------------------------------ blinks and gaze


def blink_times(prosody: Prosody, seconds: float, seed: int, style: Style) -> list[tuple[float, float]]:
    """Blinks as (time at which the lids begin to fall, depth 0..1), ascending."""
    rng = child(seed, "blinks")
    ends = np.array([end for _, end in prosody.phrases(0.25)])
    out: list[tuple[float, float]] = []
    sigma = 0.55
    now = -2.0  # starts before the clip, so that its first seconds are like all others
    while now < seconds:
        draw = rng.random(6)
        gap = float(rng.standard_normal())
        index = min(max(round(now * 100), 0), len(prosody) - 1)
        rate = style.blink_rate * (1.0 if prosody.activity[index] > 0.5 else 0.8) * 0.88  # the rest are doubles
        now += max(0.5, 60.0 / rate * float(np.exp(sigma * gap - sigma**2 / 2)))
        if len(ends) and draw[0] < 0.5:
            nearest = float(ends[np.argmin(np.abs(ends - now))]) + 0.08 * (draw[1] - 0.3)
            if abs(nearest - now) < 0.6 and (not out or nearest > out[-1][0] + 0.5):
                now = nearest
        depth = 0.4 + 0.3 * draw[2] if draw[3] < 0.1 else 0.93 + 0.07 * draw[2]
        out.append((now, depth))
        if draw[4] < 0.12:
            now += 0.34 + 0.12 * draw[5]
            out.append((now, depth))
    return [b for b in out if -0.3 < b[0] < seconds]


def _lids(times: np.ndarray, blinks: Sequence[tuple[float, float]], rng: np.random.Generator) -> np.ndarray:
    """Closure of the lids, (T,): down in 60-100 ms, up in 120-250 ms."""
    bumps = []
    for start, depth in blinks:
        draw = rng.random(3)
        bumps.append(Bump(start, 0.06 + 0.04 * draw[0], 0.02 + 0.02 * draw[1], 0.12 + 0.13 * draw[2], depth))
    return paint(times, bumps)


def gaze_path(
    prosody: Prosody, times: np.ndarray, seed: int, style: Style
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Where the eyes look relative to the listener, degrees (T, 2): to the subject's left, up; and the saccades
    (time, size in degrees)."""
    rng = child(seed, "gaze")
    seconds = float(times[-1]) if len(times) else 0.0
    phrases = [p for p in prosody.phrases(0.35)]
    away = []  # spans of looking away: planning before and into long phrases
    for start, end in phrases:
        draw = rng.random(3)
        if end - start > 1.5 and draw[0] < 0.5 * style.gaze_activity:
            away.append((start - 0.35 - 0.4 * draw[1], start + 0.2 + 0.7 * draw[2]))
    targets = [(-1.0, 0.0, 0.0)]
    now = 0.0
    while now < seconds:
        draw = rng.random(5)
        pair = rng.standard_normal(2)
        averted = any(a <= now < b for a, b in away)
        roaming = draw[0] < 0.10 * style.gaze_activity
        if averted or roaming:
            size = (6.0 + 8.0 * draw[1]) * min(1.2, 0.6 + 0.4 * style.gaze_activity)
            angle = draw[2] * 2 * np.pi
            x, y = size * np.cos(angle), 0.6 * size * np.sin(angle) + (1.0 if draw[3] < 0.6 else -1.0)
        else:
            # Looking at a face means moving between its eyes and its mouth: a few degrees.
            x, y = 1.6 * pair[0] * min(1.3, style.gaze_activity), 1.0 * pair[1] - 0.4
            x, y = float(np.clip(x, -4, 4)), float(np.clip(y, -3, 2))
        targets.append((now, float(x), float(y)))
        dwell = float(np.clip(0.75 * np.exp(0.6 * rng.standard_normal()), 0.3, 2.0)) / (0.6 + 0.4 * style.gaze_activity)
        following = now + max(0.25, dwell)
        for edge in (e for span in away for e in span):  # leave and return on time
            if now + 0.15 < edge < following:
                following = edge
        now = following
    points = np.array(targets)
    sizes = np.hypot(*np.diff(points[:, 1:], axis=0).T)
    durations = np.concatenate([[0.02], np.clip(0.020 + 0.0025 * sizes, 0.02, 0.06)])
    out = steps(times, points[:, 0], durations, points[:, 1:])
    saccades = list(zip(points[1:, 0].tolist(), sizes.tolist(), strict=True))
    out += wander(child(seed, "drift"), times, 0.4, 2) * 0.15
    return out, saccades


def random_layer(
    prosody: Prosody, num_frames: int, fps: float, seed: int, style: Style, head: np.ndarray | None = None
) -> np.ndarray:
    """Blinks and gaze: what no sound tells, (T, 55) float32 weights in [0, 1].

    Args:
        prosody: of the speech.
        num_frames, fps: of the motion.
        seed, style: whose life it is.
        head: (T, 3) head rotation in radians; the eyes make up for it and stay with the listener.
    """
    times = motion_times(num_frames, fps)
    gaze, saccades = gaze_path(prosody, times, seed, style)
    if head is not None:
        gaze = gaze - 0.85 * np.degrees(np.stack([head[:, 1], -head[:, 0]], axis=1))
    rng = child(seed, "lids")
    blinks = blink_times(prosody, num_frames / fps, seed, style)
    starts = np.array([b[0] for b in blinks])
    for at, size in saccades:  # large gaze shifts often take a blink with them
        if rng.random() < 0.3 and size > 9 and (not len(starts) or np.abs(starts - at).min() > 0.8):
            blinks.append((at - 0.02, 0.9))
    lids = _lids(times, sorted(blinks), rng)
    left = np.clip(gaze[:, 0] / EYE_SIDE, -0.95, 0.95)
    up, down = np.clip(gaze[:, 1] / EYE_UP, 0, 0.95), np.clip(-gaze[:, 1] / EYE_DOWN, 0, 0.95)
    out = np.zeros((num_frames, len(WEIGHT_NAMES)), np.float32)
    tilt = 0.03 * style.asymmetry
    for side, factor, outward in (("Left", 1 + tilt, left), ("Right", 1 - tilt, -left)):
        out[:, INDEX["eyeLookOut" + side]] = np.maximum(outward, 0)
        out[:, INDEX["eyeLookIn" + side]] = np.maximum(-outward, 0)
        out[:, INDEX["eyeLookUp" + side]] = up
        out[:, INDEX["eyeLookDown" + side]] = down
        follow = 0.12 * down  # the upper lid rides on the eye, a little more than the shape itself has it
        out[:, INDEX["eyeBlink" + side]] = np.clip(lids * factor + follow * (1 - lids), 0, 1)
        out[:, INDEX["eyeWide" + side]] = 0.3 * up * (1 - lids)
    return np.clip(out, 0, 1, out=out)
