"""Share of motion power above 4 Hz against the reference's."""

from __future__ import annotations

import numpy as np
import pytest
from mouths import LIPS, frames, mouth, smoothed, talk

from vultus.metrics import Accumulator, load_metric, score
from vultus.metrics.high_frequency import share_above


def slow(motion: np.ndarray, fps: float) -> float:
    """By the sums of the discrete Fourier transform."""
    count = len(motion)
    window = [0.5 - 0.5 * np.cos(2 * np.pi * t / count) for t in range(count)]
    high = total = 0.0
    for curve in motion.reshape(count, -1).T.astype(float):
        faded = (curve - curve.mean()) * window
        for k in range(count):
            term = sum(faded[t] * np.exp(-2j * np.pi * k * t / count) for t in range(count))
            total += abs(term) ** 2
            high += abs(term) ** 2 * (min(k, count - k) * fps / count > 4)
    return high / total


@pytest.mark.parametrize("count", [25, 30])
def test_against_the_plain_transform(count: int) -> None:
    reference, prediction = talk(frames(2))[:count], talk(frames(2), 3)[:count]
    example = mouth(reference, prediction)
    lips = [motion[:, LIPS] for motion in (example.prediction, example.reference)]
    assert score("high_frequency_lips", example) == pytest.approx(slow(lips[0], 25) / slow(lips[1], 25), rel=1e-3)


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_by_hand(fps: float) -> None:
    times = frames(4, fps)
    slow_wave, fast_wave = (np.sin(2 * np.pi * hertz * times) for hertz in (2, 7))
    both = (slow_wave + fast_wave)[:, None, None] * np.eye(3)[:1]
    assert share_above(both, np.ones(1), fps) == pytest.approx(0.5, abs=0.01)
    # Half the amplitude of the fast part is a quarter of its power: a share of 0.2 of 0.5.
    example = mouth(slow_wave + fast_wave, slow_wave + 0.5 * fast_wave, fps=fps)
    assert score("high_frequency_lips", example) == pytest.approx(0.4, abs=0.01)


def test_faults_are_ranked() -> None:
    curve = talk(frames(8))
    noise = np.random.default_rng(0).normal(0, 1, len(curve))
    faults = [0 * curve, *(smoothed(curve, 25, s) for s in (0.12, 0.08, 0.04)), curve, curve + noise]
    values = [score("high_frequency_lips", mouth(curve, fault)) for fault in faults]
    assert values[0] == 0 and values[4] == 1 and values == sorted(values) and values[3] < 0.7 and values[5] > 1.2
    assert score("high_frequency_lips", mouth(curve, 2 * curve + 3)) == pytest.approx(1, rel=1e-4)
    assert score("high_frequency_lips", mouth(curve, talk(frames(8) - 0.08))) == pytest.approx(1, abs=0.1)


def test_shares_are_summed_before_they_are_divided() -> None:
    scores = Accumulator(load_metric("high_frequency_face"))
    rows = []
    for seed in range(3):
        curve = talk(frames(3), seed)
        example = mouth(curve, smoothed(curve, 25, 0.03 * (seed + 1)), name=str(seed))
        rows.append(scores.update(example))
    assert scores.compute().value == pytest.approx(sum(r[0] for r in rows) / sum(r[1] for r in rows))


def test_less_than_a_second_is_too_short() -> None:
    assert load_metric("high_frequency_lips").measure(mouth(np.arange(24.0), np.arange(24.0))).tolist() == [0, 0]
