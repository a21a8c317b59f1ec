"""Calibration: error of the samples over error of their mean."""

from __future__ import annotations

import numpy as np
import pytest

from examples import face_of, make_example, small_example
from vultus.metrics import Accumulator, load_metric, score


def test_against_the_formula() -> None:
    for example in (small_example(0), small_example(1, 30, 7), make_example()):
        assert score("rho", example) == pytest.approx(score("l_vertex", example) / score("l_mean", example))


def test_a_deterministic_model_has_one() -> None:
    assert score("rho", small_example(num_samples=1)) == 1.0


@pytest.mark.parametrize(("spread", "count"), [(1.0, 2), (1.0, 10), (1.0, 40), (0.5, 10)])
def test_closed_form(spread: float, count: int) -> None:
    """Truth and samples of one normal distribution: sqrt(1 + s^2) over sqrt(1 + s^2 / N), s the samples' spread."""
    rng = np.random.default_rng(0)
    frames = 20_000
    truth = rng.normal(0, 0.001, (frames, 1, 3))
    samples = [spread * rng.normal(0, 0.001, (frames, 1, 3)) for _ in range(count)]
    expected = np.sqrt((1 + spread**2) / (1 + spread**2 / count))
    example = face_of(truth, samples, template=np.zeros((1, 3), np.float32))
    assert score("rho", example) == pytest.approx(expected, rel=0.01)


def test_ratio_of_sums_with_an_interval() -> None:
    scores = Accumulator(load_metric("rho"))
    for seed in range(6):
        scores.update(small_example(seed, num_frames=3 + seed))
    rows = np.stack([scores.rows[name] for name in sorted(scores.rows)])
    estimate = scores.compute()
    assert estimate.value == pytest.approx(rows[:, 0].sum() / rows[:, 1].sum())
    assert estimate.low < estimate.value < estimate.high
    ratios = rows[:, 0] / rows[:, 1]
    assert ratios.min() <= estimate.low and estimate.high <= ratios.max()


def test_nothing_to_divide() -> None:
    still = np.zeros((2, 3, 3))
    assert np.isnan(score("rho", face_of(still, [still, still])))
