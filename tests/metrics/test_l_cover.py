"""Coverage error: best sample of a sequence, and of a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import face_of, make_example, small_example
from vultus.metrics import Example, score


def lips(example: Example) -> np.ndarray:
    """(N, T): largest distance over the lips, frame by frame, in mm."""
    region = example.regions["lips"]
    chosen = region.vertices[region.weights > 0.5 * region.weights.max()]
    reference = example.reference[:, chosen].astype(float)
    return np.array(
        [
            [max(1000 * np.linalg.norm(p - r, axis=-1)) for p, r in zip(sample[:, chosen], reference, strict=True)]
            for sample in example.samples
        ]
    )


def test_against_the_formula() -> None:
    for example in (small_example(0), small_example(1, 30, 7), make_example()):
        errors = lips(example)
        assert score("l_cover", example) == pytest.approx(min(e.mean() for e in errors), rel=1e-5)
        assert score("l_cover_frame", example) == pytest.approx(np.mean([min(f) for f in errors.T]), rel=1e-5)


def test_by_hand() -> None:
    still = np.zeros((2, 3, 3))
    samples = [still.copy() for _ in range(2)]
    samples[0][:, 1, 0] = [0.001, 0.004]  # 2.5 mm in the mean
    samples[1][:, 1, 0] = [0.005, 0.002]  # 3.5
    example = face_of(still, samples)
    assert score("l_cover", example) == pytest.approx(2.5, rel=1e-6)
    assert score("l_cover_frame", example) == pytest.approx(1.5, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 8))
def test_properties(seed: int, count: int) -> None:
    example = small_example(seed, 6, count, 10)
    values = [score("l_cover", replace(example, samples=example.samples[:n])) for n in range(1, count + 1)]
    assert values == sorted(values, reverse=True)  # nested sets of samples
    assert score("l_cover_frame", example) <= values[-1] <= score("l_vertex", example)
    hit = replace(example, samples=[*example.samples, example.reference])
    assert score("l_cover", hit) == 0


def test_equal_samples_make_all_forms_equal() -> None:
    example = small_example(num_samples=1)
    same = replace(example, samples=[example.prediction] * 4)
    for name in ("l_cover", "l_cover_frame", "l_mean"):
        assert score(name, same) == pytest.approx(score("l_vertex", same), rel=1e-6)
