"""Third differences against the reference's."""

from __future__ import annotations

import numpy as np
import pytest
from mouths import FOREHEAD, LIPS, frames, mouth, opened, smoothed, talk

from examples import region_of
from vultus.metrics import Accumulator, Unavailable, load_metric, score


def slow(motion: np.ndarray, vertices: list[int], weights: np.ndarray) -> float:
    total = 0.0
    for t in range(len(motion) - 3):
        for v, w in zip(vertices, weights, strict=True):
            x = motion[:, v].astype(float)
            total += w * np.sqrt(sum((x[t + 3] - 3 * x[t + 2] + 3 * x[t + 1] - x[t]) ** 2))
    return total / (len(motion) - 3) / weights.sum()


def test_against_the_formula_with_weights() -> None:
    weights = np.random.default_rng(0).uniform(0.2, 1, len(LIPS))
    scores, top, bottom = Accumulator(load_metric("jerk_ratio_lips")), 0.0, 0.0
    for seed in range(2):
        example = mouth(talk(frames(2 + seed), seed), talk(frames(2 + seed), 7 + seed), name=str(seed))
        example.regions["lips"] = region_of("lips", LIPS, weights.tolist())  # type: ignore[index]
        scores.update(example)
        top += slow(example.prediction, LIPS, weights)
        bottom += slow(example.reference, LIPS, weights)
    assert scores.compute().value == pytest.approx(top / bottom, rel=1e-4)


def test_by_hand() -> None:
    ramp = np.arange(6.0)
    # Third differences: 6 for cubes, 12 for twice those; straight lines and parabolas have none.
    assert score("jerk_ratio_lips", mouth(ramp**3, 2 * ramp**3)) == pytest.approx(2, rel=1e-3)
    assert score("jerk_ratio_lips", mouth(ramp**3, ramp**3 + 5 * ramp**2 + ramp)) == pytest.approx(1, rel=1e-3)


def test_faults() -> None:
    curve = talk(frames(6))
    tremble = curve + np.random.default_rng(0).normal(0, 0.5, len(curve))
    assert score("jerk_ratio_lips", mouth(curve, curve)) == 1
    assert score("jerk_ratio_lips", mouth(curve, smoothed(curve, 25, 0.08))) < 0.4
    assert score("jerk_ratio_lips", mouth(curve, tremble)) > 1.1
    assert score("jerk_ratio_lips", mouth(curve, 0 * curve)) == 0
    assert score("jerk_ratio_face", mouth(curve, tremble)) > 1.1
    assert np.isnan(score("jerk_ratio_upper_face", mouth(curve, tremble)))  # nothing moves there, nothing to compare


def test_regions_are_apart() -> None:
    curve = talk(frames(6))
    reference = opened(curve)
    reference[:, FOREHEAD, 1] += (curve / 1000).astype(np.float32)[:, None]
    frozen = reference.copy()
    frozen[:, FOREHEAD] = frozen[:1, FOREHEAD]
    assert score("jerk_ratio_upper_face", mouth(reference, frozen)) == 0
    assert score("jerk_ratio_lips", mouth(reference, frozen)) == pytest.approx(1)
    assert 0 < score("jerk_ratio_face", mouth(reference, frozen)) < 1


def test_too_short_or_no_region() -> None:
    assert load_metric("jerk_ratio_lips").measure(mouth(np.arange(3.0), np.arange(3.0))).tolist() == [0, 0]
    with pytest.raises(Unavailable, match="upper_face"):
        score("jerk_ratio_upper_face", mouth(np.arange(9.0), np.arange(9.0), regions={}))
