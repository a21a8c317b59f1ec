"""Metrics where their value follows from a formula or was put in: made-up samplers, waves, warps, lips and sounds.

Every function gives Checks. Nothing here needs a corpus. Positions are made in millimetres and handed over in metres.

Letters: T motion frames, V vertices, N samples, n lip vertices, chi the length of a vector of three standard normals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vultus.benchmark.proof_check import Check, check
from vultus.benchmark.proof_clips import FPS, head_regions
from vultus.clock import SAMPLE_RATE
from vultus.head import load_head
from vultus.metrics import Accumulator, Example, load_metric
from vultus.speech import Speech
from vultus.statistics import Estimate
from vultus.synthesis.inventory import SILENCE
from vultus.synthesis.phones import Phone

MM = 0.001
CHI_MEAN = math.sqrt(8 / math.pi)
_GRID = np.linspace(0.0, 14.0, 4001)
_erf = np.vectorize(math.erf)


def largest_chi(count: int, power: int = 1) -> float:
    """Expected power of the largest of `count` independent chi: integral of power x^(power - 1) (1 - F(x)^count).

    >>> round(largest_chi(1), 4), round(largest_chi(1, 2), 4)
    (1.5958, 3.0)
    """
    below = _erf(_GRID / math.sqrt(2)) - math.sqrt(2 / math.pi) * _GRID * np.exp(-(_GRID**2) / 2)
    return float(np.trapezoid(power * _GRID ** (power - 1) * (1 - below**count), _GRID))


def nearest_sample(count: int) -> float:
    """Expected distance of a truth to the nearest of `count` samples, all of them standard normal vectors of three.

    The truth stands r from the middle with the density of chi; the distance of a sample from it is noncentral chi.

    >>> round(nearest_sample(1) / math.sqrt(2), 4)
    1.5958
    """
    x, r = _GRID[::4], np.linspace(0.005, 7.0, 700)[:, None]
    bells = np.exp(-((x - r) ** 2) / 2) - np.exp(-((x + r) ** 2) / 2)
    below = 0.5 * (_erf((x + r) / math.sqrt(2)) + _erf((x - r) / math.sqrt(2))) - bells / (r * math.sqrt(2 * math.pi))
    least = np.trapezoid((1 - np.clip(below, 0, 1)) ** count, x, axis=1)
    density = math.sqrt(2 / math.pi) * r[:, 0] ** 2 * np.exp(-(r[:, 0] ** 2) / 2)
    return float(np.trapezoid(density * least, r[:, 0]))


def sampler_checks(seed: int = 0, num_samples: int = 10, count: int = 400) -> list[Check]:
    """One vertex, truth and samples normal about the same place, 1 mm each way: a calibrated sampler."""

    def world(frames: int, samples: int, number: int) -> list[Example]:
        rng = np.random.default_rng([seed, 1, number])
        drawn = MM * rng.standard_normal((count, samples + 1, frames, 1, 3))
        regions = {"lips": [0], "upper_face": [0]}
        return [
            Example.from_arrays(truth[0], list(truth[1:]), np.zeros((1, 3)), regions, name=f"{k:04d}")
            for k, truth in enumerate(drawn)
        ]

    n, pair = num_samples, math.sqrt(2) * CHI_MEAN
    many, one, twice = world(20, n, 0), world(1, n, 1), world(1, 2 * n, 2)
    case = f"one vertex, {n} samples and the truth normal about one place, 1 mm"
    values = {
        "l_vertex": (pair, many), "l_mean": (math.sqrt(1 + 1 / n) * CHI_MEAN, many), "rho": (math.sqrt(2 * n / (n + 1)),
        many), "l_cover": (nearest_sample(n), one), "l_cover_frame": (nearest_sample(n), many), "div_lips": (pair,
        many), "div_upper": (pair, many), "div_face": (pair, many),
    }  # fmt: skip
    out = [check(name, case, "closed form", e, x, chance=True, seed=seed) for name, (e, x) in values.items()]
    case = f"the same with {2 * n} samples, best of 10"
    return [*out, check("coverage_curve", case, "closed form", nearest_sample(10), twice, chance=True, seed=seed)]


def distance_checks(seed: int = 0) -> list[Check]:
    """Every vertex of the head off by normal noise of 0.3 mm each way."""
    rng, deviation = np.random.default_rng([seed, 2]), 0.3
    still = _still(25)
    off = [still + MM * deviation * rng.standard_normal(still.shape) for _ in range(8)]
    examples = [_on_head(still, one, f"{k}") for k, one in enumerate(off)]
    lips = len(head_regions()["lips"].vertices)
    expected = dict.fromkeys(("lip_mean", "upper_mean", "face_mean", "mve"), deviation * CHI_MEAN)
    expected |= dict.fromkeys(("lip_max", "lve"), deviation * largest_chi(lips))
    expected["lve_sq"] = deviation**2 * largest_chi(lips, 2)
    case = "noise of 0.3 mm on every vertex"
    return [
        check(name, case, "closed form", value, examples, chance=True, tolerance=0.001 * value, seed=seed)
        for name, value in expected.items()
    ]


def warping_checks(seed: int = 0) -> list[Check]:
    """Identity, frames held, a beginning that is too long, and a face that is off by the same everywhere."""
    rng = np.random.default_rng([seed, 3])
    walk = MM * rng.standard_normal((60, 40, 3)).cumsum(0)
    held = walk[np.repeat(np.arange(60), rng.integers(1, 4, 60))]
    ramp = MM * np.arange(1, 31)[:, None, None] * np.array([1.0, 0, 0]) * np.ones((30, 40, 3))
    early = np.concatenate([np.repeat(ramp[:1] - [3 * MM, 0, 0], 5, 0), ramp])
    still = np.zeros((30, 40, 3))
    cases = [
        ("the truth itself", walk, walk, 0.0, 0.0),
        ("the truth with frames held 1 to 3 times", walk, held, 0.0, 0.0),
        ("5 frames 3 mm away, then the truth of 30 frames", ramp, early, 5 * 3 / 30, 0.0),
        ("2 mm away in all of 30 frames", still, still + np.array([0, 2 * MM, 0]), 2.0, 29 * 2.0),
    ]
    out = []
    for case, truth, moved, exact, published in cases:
        example = Example.from_arrays(truth, [moved], np.zeros((40, 3)))
        for name, value in (("f_dtw", exact), ("f_dtw_mm23", published)):
            out.append(check(name, case, "construction", value, [example], tolerance=1e-4 * max(1.0, value)))
    return out


def dynamics_checks(seed: int = 0) -> list[Check]:
    """Waves and noise of known power."""
    rng = np.random.default_rng([seed, 4])
    times, count, fps = np.arange(100) / FPS, 200, FPS
    names = ("lips", "upper_face", "face")

    def moving(curve: np.ndarray) -> np.ndarray:
        return MM * curve[:, None, None] * np.array([1.0, 0, 0]) * np.ones((len(curve), count, 3))

    def example(truth: np.ndarray, moved: np.ndarray) -> Example:
        regions = {name: np.arange(count) for name in names[:2]}
        return Example.from_arrays(truth, [moved], np.zeros((count, 3)), regions, fps=fps)

    still, swing = moving(0 * times), moving(2 * np.sin(2 * np.pi * 2 * times))
    of_wave = 2**2 / math.sqrt(8)  # deviation of the square of a sine of amplitude 2
    out = [
        check(n, "a wave of 2 mm, the truth is still", "closed form", e, [example(still, swing)], tolerance=1e-3)
        for n, e in (("fdd", -of_wave), ("fdd_abs", of_wave))
    ]
    # Third differences: a sine's have the amplitude (2 sin(pi f / fps))^3, white noise's the variance 1 + 9 + 9 + 1.
    whole = np.arange(103) / fps
    wave = moving(np.sin(2 * np.pi * 2 * whole))
    noise = 0.3 * MM * rng.standard_normal(wave.shape)
    jerk = 0.3 * math.sqrt(20) * CHI_MEAN / ((2 * math.sin(math.pi * 2 / fps)) ** 3 * 2 / math.pi)
    sigma = 0.04
    long = np.arange(200) / fps
    mixed = moving(np.sin(2 * np.pi * 2 * long) + np.sin(2 * np.pi * 6 * long))
    from vultus.benchmark.proof_faults import smoothed

    soft = smoothed(mixed, sigma * 1000, fps)[50:150]
    slow, fast = (math.exp(-2 * (math.pi * f * sigma) ** 2) ** 2 for f in (2, 6))
    for name in names:
        case = "noise of 0.3 mm, the truth a wave of 1 mm and 2 Hz"
        out.append(
            check(f"jerk_ratio_{name}", case, "closed form", jerk, [example(wave, noise)], tolerance=0.01 * jerk)
        )
        case = "waves of 2 and 6 Hz under a Gaussian low-pass filter of 40 ms"
        filtered, expected = example(mixed[50:150], soft), 2 * fast / (slow + fast)
        out.append(check(f"high_frequency_{name}", case, "closed form", expected, [filtered], tolerance=0.005))
    return out


def lip_checks(seed: int = 0) -> list[Check]:
    """Lips of the head moved by known lengths."""
    still, regions = _still(50), head_regions()
    open_, pressed = still.copy(), still.copy()
    open_[:, regions["lower_lip"].vertices, 1] -= 2 * MM
    pressed[10:20, regions["upper_lip"].vertices, 1] -= 0.5 * MM
    out = [check("mod", "lower lip 2 mm lower", "construction", 2.0, [_on_head(still, open_)], tolerance=1e-3)]
    case, through = "upper lip 0.5 mm into the lower one in 10 of 50 frames", [_on_head(still, pressed)]
    out.append(check("interpenetration", case, "construction", 0.2, through, tolerance=1e-6))
    out.append(check("interpenetration_depth", case, "construction", 0.5, through, tolerance=1e-3))
    rng, frames = np.random.default_rng([seed, 5]), 100
    pause = (Phone(SILENCE, 0.0, frames / FPS),)
    still = _still(frames)
    noisy = [
        _on_head(still, still + 0.3 * MM * rng.standard_normal(still.shape), f"{k}", phones=pause) for k in range(6)
    ]
    expected = 0.3 * math.sqrt(3 * (frames - 1) / frames)
    case = "noise of 0.3 mm in a pause of 4 s, the truth is still"
    return [*out, check("stillness", case, "closed form", expected, noisy, chance=True, tolerance=1e-3, seed=seed)]


def sound_checks(seed: int = 0, lag: float = 80.0) -> list[Check]:
    """A buzz whose level in dB is a known curve, and lips that follow the curve, late or upside down."""
    late, answers, against = [], [], []
    for number in range(8):
        rng = np.random.default_rng([seed, 6, number])
        seconds, knots = 8.0, rng.uniform(-18, 0, 8 * 4 + 8)

        def level(at: np.ndarray, knots: np.ndarray = knots) -> np.ndarray:
            position = at * 4 + 2
            whole = np.floor(position).astype(int)
            mix = 0.5 - 0.5 * np.cos(np.pi * (position - whole))  # smooth from knot to knot
            return np.asarray(knots[whole] * (1 - mix) + knots[whole + 1] * mix)

        samples = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        buzz = sum(np.sin(2 * np.pi * 200 * k * samples + k * k) for k in range(1, 11))
        speech = Speech((0.02 * 10 ** (level(samples) / 20) * buzz).astype(np.float32), f"{number}")
        frames = np.arange(round(seconds * FPS)) / FPS
        follow, delayed = _opened(20 + level(frames)), _opened(20 + level(frames - lag / 1000))
        upside = _opened(2 - level(frames))
        late.append(_on_head(follow, delayed, f"{number}", speech=speech))
        answers.append(_on_head(follow, follow, f"{number}", speech=speech))
        against.append(_on_head(follow, upside, f"{number}", speech=speech))
    case = f"lips follow the level {lag:g} ms late"
    out = [check(n, case, "construction", lag, late, tolerance=3.0) for n in ("audio_lag", "audio_lag_gap")]
    case = "lips follow the level in dB"
    out.append(check("loudness_response", case, "construction", 1.0, answers, tolerance=0.01))
    case = "lips close as the level rises"
    out.append(check("loudness_response", case, "construction", -1.0, against, tolerance=0.01))
    out.append(check("loudness_gap", case + ", the truth opens them", "construction", 2.0, against, tolerance=0.02))
    return out


def frechet_checks(seed: int = 0) -> list[Check]:
    """Normal embeddings of known means and deviations: |m - m'|^2 + sum (s - s')^2."""
    from vultus.metrics.fd import sums

    rng, size = np.random.default_rng([seed, 7]), 8
    means, spreads = rng.normal(0, 1, (2, size)), rng.uniform(0.5, 2, (2, size))
    expected = float(np.square(means[0] - means[1]).sum() + np.square(spreads[0] - spreads[1]).sum())
    drawn = rng.standard_normal((2, 40, 500, size)) * spreads[:, None, None] + means[:, None, None]
    out = []
    for name in ("fd_sync", "fd_style"):
        accumulator = Accumulator(load_metric(name))
        accumulator.rows = {f"{k:02d}": np.concatenate([sums(drawn[0, k]), sums(drawn[1, k])]) for k in range(40)}
        found: Estimate = accumulator.compute(seed)
        case = "normal embeddings of 8 numbers, 20,000 windows"
        out.append(Check(name, case, "closed form", expected, found, tolerance=0.01 * expected))
    return out


def made_up(seed: int = 0) -> list[Check]:
    """All checks of this file."""
    parts: Sequence[list[Check]] = (
        distance_checks(seed), warping_checks(seed), sampler_checks(seed), dynamics_checks(seed), lip_checks(seed),
        sound_checks(seed), frechet_checks(seed),
    )  # fmt: skip
    return [one for part in parts for one in part]


def _still(frames: int) -> np.ndarray:
    return np.repeat(np.asarray(load_head().template.vertices, np.float32)[None], frames, 0)


def _opened(opening: np.ndarray) -> np.ndarray:
    """The head with its lower lip lowered by (T,) tenths of a millimetre."""
    moved = _still(len(opening))
    lower = head_regions()["lower_lip"].vertices
    moved[:, lower, 1] -= (0.1 * MM * opening)[:, None].astype(np.float32)
    return moved


def _on_head(truth: np.ndarray, moved: np.ndarray, name: str = "sequence", **more: object) -> Example:
    head = load_head()
    template = np.asarray(head.template.vertices, np.float32)
    fields = {"name": name, "topology": head.topology, "fps": FPS, **more}
    return Example.from_arrays(truth, [moved.astype(np.float32)], template, dict(head_regions()), **fields)
