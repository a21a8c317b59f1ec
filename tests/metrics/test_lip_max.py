"""Largest weighted distance over the lips."""

from __future__ import annotations

import numpy as np
import pytest

from examples import face_of, make_example, region_of, small_example
from vultus.metrics import Accumulator, Example, load_metric, score


def slow(example: Example) -> float:
    lips = example.regions["lips"]
    largest = []
    for t in range(len(example.reference)):
        difference = (example.prediction[t] - example.reference[t]).astype(np.float64)
        largest.append(max(w * np.linalg.norm(difference[v]) for v, w in zip(lips.vertices, lips.weights, strict=True)))
    return 1000 * sum(largest) / len(largest)


def test_against_the_formula() -> None:
    for example in (small_example(0), small_example(1), make_example(num_samples=1)):
        assert score("lip_max", example) == pytest.approx(slow(example), rel=1e-5)


def test_by_hand() -> None:
    still = np.zeros((1, 3, 3))
    moved = still.copy()
    moved[0, :, 1] = [0.002, 0.003, 0.009]  # the third is no lip; 2 x 1 beats 3 x 0.5
    assert score("lip_max", face_of(still, [moved], {"lips": region_of("lips", [0, 1], [1, 0.5])})) == pytest.approx(
        2.0
    )


def test_every_sequence_counts_the_same() -> None:
    scores = Accumulator(load_metric("lip_max"))
    for name, frames, error in (("short", 2, 0.001), ("long", 30, 0.003)):
        still = np.zeros((frames, 3, 3))
        scores.update(face_of(still, [still + np.array([error, 0, 0])], name=name))
    assert scores.compute().value == pytest.approx(2.0, rel=1e-5)
