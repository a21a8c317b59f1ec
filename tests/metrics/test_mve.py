"""Mean distance over the whole face, frames pooled."""

from __future__ import annotations

import numpy as np
import pytest

from examples import face_of, make_example, small_example
from vultus.metrics import Accumulator, load_metric, score


def test_against_the_formula() -> None:
    examples = [small_example(0, 5), small_example(1, 31), make_example(num_samples=1)]
    for example in examples:
        direct = np.linalg.norm(example.prediction.astype(float) - example.reference, axis=-1).mean()
        assert score("mve", example) == pytest.approx(1000 * direct, rel=1e-5)
    scores = Accumulator(load_metric("mve"))
    pooled = []
    for example in examples[:2]:
        scores.update(example)
        pooled += list(np.linalg.norm(example.prediction.astype(float) - example.reference, axis=-1).mean(1))
    assert scores.compute().value == pytest.approx(1000 * np.mean(pooled), rel=1e-5)


def test_by_hand() -> None:
    still = np.zeros((2, 3, 3))
    moved = still.copy()
    moved[1] = [[0.001, 0, 0], [0, 0.002, 0], [0, 0, 0.009]]
    assert score("mve", face_of(still, [moved])) == pytest.approx((0 + 4) / 2, rel=1e-6)
