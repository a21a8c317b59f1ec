"""Error of the best of k samples: closed form against all subsets; samples read once, in little memory."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import small_example
from vultus.metrics import METRICS, Accumulator, Unavailable, load_metric, score
from vultus.metrics.coverage_curve import CoverageCurve, expected_best

FAMILY = ("l_vertex", "l_cover", "l_cover_frame", "l_mean", "rho", "coverage_curve")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=9))
def test_against_all_subsets(errors: list[float]) -> None:
    curve = expected_best(np.array(errors), 12)
    for k in range(1, len(errors) + 1):
        subsets = [min(some) for some in itertools.combinations(errors, k)]
        assert curve[k - 1] == pytest.approx(np.mean(subsets), rel=1e-9, abs=1e-12)
    assert np.isnan(curve[len(errors) :]).all()
    assert (np.diff(curve[: len(errors)]) <= 1e-9).all()


def test_hundred_of_hundred_and_of_three_hundred() -> None:
    errors = np.random.default_rng(0).uniform(1, 2, 100)
    assert expected_best(errors)[[0, -1]] == pytest.approx([errors.mean(), errors.min()])
    # The least of k uniform numbers is 1 / (k + 1) in the mean.
    even = expected_best((np.arange(300) + 0.5) / 300)
    np.testing.assert_allclose(even, 1 / (np.arange(1, 101) + 1), atol=2e-3)


def test_ends_are_the_other_metrics() -> None:
    example = small_example(num_samples=12)
    curve = CoverageCurve().measure(example)
    assert curve.shape == (100,)
    assert curve[0] == pytest.approx(score("l_vertex", example))
    assert curve[11] == pytest.approx(score("l_cover", example))
    assert np.isnan(curve[12:]).all()


def test_mean_over_sequences() -> None:
    scores = Accumulator(load_metric("coverage_curve"))
    rows = [scores.update(small_example(seed, num_samples=10 + seed)) for seed in range(3)]
    estimate = scores.compute()
    assert estimate.value == pytest.approx(np.mean([row[9] for row in rows]))
    assert estimate.low <= estimate.value <= estimate.high
    curve = CoverageCurve().curves(np.stack(rows), np.ones((1, 3)))[0]
    assert np.isfinite(curve[:10]).all() and np.isnan(curve[10:]).all()  # one sequence has ten samples only


def test_too_few_samples() -> None:
    with pytest.raises(Unavailable, match="3 samples"):
        score("coverage_curve", small_example(num_samples=3))
    assert CoverageCurve(at=3).measure(small_example(num_samples=3))[2] > 0


class Lazy(Sequence):  # type: ignore[type-arg]
    """Makes a sample when it is asked for and counts how often each was."""

    def __init__(self, reference: np.ndarray, count: int) -> None:
        self.reference, self.asked = reference, [0] * count

    def __len__(self) -> int:
        return len(self.asked)

    def __getitem__(self, n):  # type: ignore[no-untyped-def]
        self.asked[n] += 1
        noise = np.random.default_rng(n).normal(0, 0.001, self.reference.shape)
        return (self.reference + noise).astype(np.float32)


def test_samples_are_read_once_for_the_family_and_the_frame_errors() -> None:
    example = small_example()
    lazy = Lazy(example.reference, 100)
    example = replace(example, samples=lazy)
    for name in ("lve", "lip_mean", "face_mean", "mve", *FAMILY):
        assert name in METRICS
        score(name, example)
    assert lazy.asked == [1] * 100


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    peaks = []
    score("coverage_curve", small_example(num_samples=10))  # loads the loops
    for count in (10, 100):
        example = small_example(num_frames=60, num_samples=1, num_vertices=2000)
        example = replace(example, samples=Lazy(example.reference, count))
        tracemalloc.start()
        for name in FAMILY:
            score(name, example)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100 * 60 * 8 * 4  # a few numbers for each frame of each sample
