"""Rows over sequences: values, intervals, order, fewer draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from examples import face_of, small_example
from vultus.metrics import Accumulator, load_metric


def filled(name: str, order: list[int]) -> Accumulator:
    scores = Accumulator(load_metric(name))
    for seed in order:
        scores.update(small_example(seed, num_frames=3 + seed))
    return scores


def test_nothing_and_one() -> None:
    scores = Accumulator(load_metric("lve"))
    assert np.isnan(scores.compute().value) and scores.compute().n == 0
    scores.update(small_example())
    estimate = scores.compute()
    assert np.isfinite(estimate.value) and np.isnan(estimate.low) and estimate.n == 1


def test_order_does_not_matter() -> None:
    assert filled("lve", [0, 1, 2, 3]).compute(5) == filled("lve", [3, 1, 0, 2]).compute(5)


def test_each_sequence_alone() -> None:
    each = filled("lve", [2, 0]).each()
    assert list(each) == ["anna_s0", "anna_s2"]
    assert each["anna_s2"] == pytest.approx(filled("lve", [2]).compute().value)


def test_fewer_draws_where_the_metric_says_so() -> None:
    asked: list[int] = []

    class Costly(type(load_metric("lve"))):  # type: ignore[misc]
        info = replace(load_metric("lve").info, draws=60)

        def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
            asked.append(len(times))
            return super().combine(rows, times)

    scores = Accumulator(Costly())
    scores.update(small_example(0))
    scores.update(small_example(1))
    estimate = scores.compute()
    assert asked == [1, 60]
    assert estimate.low <= estimate.value <= estimate.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    still = np.zeros((1, 3, 3))
    hits = 0
    for trial in range(60):
        scores = Accumulator(load_metric("face_mean"))
        for n, error in enumerate(rng.normal(5, 1, 40)):
            scores.update(face_of(still, [still + np.array([error / 1000, 0, 0])], name=f"s{n}"))
        estimate = scores.compute(seed=trial)
        hits += estimate.low <= 5 <= estimate.high
    assert 50 <= hits <= 60
