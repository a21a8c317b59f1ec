"""Mean distance over a region, every sequence counting the same: lip_mean, upper_mean, face_mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from examples import face_of, make_example, region_of, small_example
from vultus.metrics import Accumulator, Example, load_metric, score

REGION_OF = {"lip_mean": "lips", "upper_mean": "upper_face", "face_mean": "face"}

pytestmark = pytest.mark.parametrize("name", REGION_OF)


def slow(name: str, example: Example) -> float:
    region = example.regions[REGION_OF[name]]
    total = 0.0
    for t in range(len(example.reference)):
        numerator = denominator = 0.0
        for vertex, weight in zip(region.vertices, region.weights, strict=True):
            difference = example.prediction[t, vertex].astype(float) - example.reference[t, vertex].astype(float)
            numerator += float(weight) * float(difference @ difference) ** 0.5
            denominator += float(weight)
        total += numerator / denominator
    return 1000 * total / len(example.reference)


def test_against_the_formula(name: str) -> None:
    for seed in range(3):
        example = small_example(seed)
        assert score(name, example) == pytest.approx(slow(name, example), rel=1e-5)
    head = make_example(num_samples=1)
    example = replace(head, reference=head.reference[20:26], samples=[head.prediction[20:26]])
    assert score(name, example) == pytest.approx(slow(name, example), rel=1e-5)


def test_by_hand(name: str) -> None:
    still = np.zeros((2, 3, 3))
    moved = still.copy()
    moved[0, 0, 0] = 0.002  # 2 mm with weight 1
    moved[1, 1, 2] = 0.004  # 4 mm with weight 0.5
    region = region_of(REGION_OF[name], [0, 1], [1, 0.5])
    # frames: 2 x 1 / 1.5 and 4 x 0.5 / 1.5
    assert score(name, face_of(still, [moved], {REGION_OF[name]: region})) == pytest.approx(4 / 3, rel=1e-6)


def test_every_sequence_counts_the_same(name: str) -> None:
    scores = Accumulator(load_metric(name))
    for sequence, frames, error in (("short", 2, 0.001), ("long", 30, 0.003)):
        still = np.zeros((frames, 3, 3))
        scores.update(face_of(still, [still + np.array([error, 0, 0])], name=sequence))
    assert scores.compute().value == pytest.approx(2.0, rel=1e-5)
