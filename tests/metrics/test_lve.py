"""Lip vertex error: the distance and its square, frames of all sequences pooled."""

from __future__ import annotations

import numpy as np
import pytest

from examples import face_of, make_example, region_of, small_example
from vultus.metrics import Accumulator, Example, load_metric, score


def slow(examples: list[Example], power: int) -> float:
    largest = []
    for example in examples:
        lips = example.regions["lips"]
        chosen = [v for v, w in zip(lips.vertices, lips.weights, strict=True) if w > 0.5 * max(lips.weights)]
        for p, r in zip(example.prediction.astype(float), example.reference.astype(float), strict=True):
            largest.append(max(sum((p[v] - r[v]) ** 2) for v in chosen) ** (power / 2))
    return 1000**power * sum(largest) / len(largest)


@pytest.mark.parametrize(("name", "power"), [("lve", 1), ("lve_sq", 2)])
def test_against_the_formula(name: str, power: int) -> None:
    examples = [small_example(0, 5), small_example(1, 31), make_example(num_samples=1)]
    scores = Accumulator(load_metric(name))
    for example in examples:
        assert score(name, example) == pytest.approx(slow([example], power), rel=1e-5)
        scores.update(example)
    assert scores.compute().value == pytest.approx(slow(examples, power), rel=1e-5)


def test_by_hand() -> None:
    still = np.zeros((2, 3, 3))
    moved = still.copy()
    moved[0, 1] = [0.002, 0.001, 0.002]  # 3 mm
    moved[1, :2, 0] = [0.001, 0.005]
    example = face_of(still, [moved], {"lips": region_of("lips", [0, 1])})
    assert score("lve", example) == pytest.approx((3 + 5) / 2, rel=1e-6)
    assert score("lve_sq", example) == pytest.approx((9 + 25) / 2, rel=1e-6)


def test_long_sequences_weigh_more() -> None:
    scores = Accumulator(load_metric("lve"))
    for name, frames, error in (("short", 10, 0.001), ("long", 30, 0.003)):
        still = np.zeros((frames, 3, 3))
        scores.update(face_of(still, [still + np.array([error, 0, 0])], name=name))
    assert scores.compute().value == pytest.approx((10 * 1 + 30 * 3) / 40, rel=1e-5)


def test_fractional_weights_make_a_plain_set() -> None:
    still = np.zeros((1, 3, 3))
    moved = still.copy()
    moved[0, :, 0] = [0.001, 0.002, 0.009]
    lips = region_of("lips", [0, 1, 2], [1.0, 0.6, 0.4])
    assert score("lve", face_of(still, [moved], {"lips": lips})) == pytest.approx(2.0, rel=1e-6)


def test_only_the_first_sample_counts() -> None:
    example = small_example(num_samples=3)
    alone = small_example(num_samples=1)
    assert score("lve", example) == score("lve", alone)
