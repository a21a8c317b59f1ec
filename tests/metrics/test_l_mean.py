"""Lip error of the mean of the samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import face_of, make_example, small_example
from vultus.metrics import score


def test_against_the_formula() -> None:
    for example in (small_example(0), small_example(1, 30, 7), make_example()):
        mean = np.mean(np.asarray(example.samples, np.float64), 0)
        region = example.regions["lips"]
        chosen = region.vertices[region.weights > 0.5 * region.weights.max()]
        distance = np.linalg.norm(mean[:, chosen] - example.reference[:, chosen], axis=-1)
        assert score("l_mean", example) == pytest.approx(1000 * distance.max(1).mean(), rel=1e-5)


def test_by_hand() -> None:
    still = np.zeros((1, 3, 3))
    samples = [still + np.array([0.004, 0, 0]), still + np.array([-0.002, 0, 0])]
    assert score("l_mean", face_of(still, samples)) == pytest.approx(1.0, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 8))
def test_never_above_the_error_of_the_samples(seed: int, count: int) -> None:
    example = small_example(seed, 6, count, 10)
    assert score("l_mean", example) <= score("l_vertex", example) * (1 + 1e-6)
    shuffled = replace(example, samples=example.samples[::-1])
    assert score("l_mean", shuffled) == pytest.approx(score("l_mean", example), rel=1e-5)
