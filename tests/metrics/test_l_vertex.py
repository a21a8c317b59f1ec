"""Lip error of all samples."""

from __future__ import annotations

import numpy as np
import pytest

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
        assert score("l_vertex", example) == pytest.approx(np.mean([e.mean() for e in lips(example)]), rel=1e-5)


def test_by_hand() -> None:
    still = np.zeros((2, 3, 3))
    samples = [still + np.array([0.001, 0, 0]), still + np.array([0, 0.002, 0]), still + np.array([0, 0, 0.006])]
    assert score("l_vertex", face_of(still, samples)) == pytest.approx(3.0, rel=1e-6)


def test_one_sample_is_the_lip_vertex_error_of_the_sequence() -> None:
    example = small_example(num_samples=1)
    assert score("l_vertex", example) == pytest.approx(score("lve", example))
