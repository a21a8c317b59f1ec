"""Upper-face dynamics deviation, signed and absolute."""

from __future__ import annotations

import numpy as np
import pytest

from examples import face_of, make_example, region_of, small_example
from vultus.errors import VultusError
from vultus.metrics import Accumulator, Example, load_metric, score


def slow(example: Example) -> float:
    upper = example.regions["upper_face"]

    def moves(motion: np.ndarray) -> float:
        deviations = []
        for vertex in upper.vertices:
            squares = [sum((f.astype(float) - example.template[vertex]) ** 2) for f in motion[:, vertex]]
            mean = sum(squares) / len(squares)
            deviations.append((sum((s - mean) ** 2 for s in squares) / len(squares)) ** 0.5)
        return sum(deviations) / len(deviations)

    return 1e6 * (moves(example.reference) - moves(example.prediction))


def test_against_the_formula() -> None:
    for example in (small_example(0), small_example(1, 400, num_vertices=900), make_example(num_samples=1)):
        expected = slow(example)
        assert score("fdd", example) == pytest.approx(expected, rel=1e-4)
        assert score("fdd_abs", example) == pytest.approx(abs(expected), rel=1e-4)


def test_by_hand() -> None:
    # Vertex 0 of the reference is 0 and 2 mm from the template: squares 0 and 4, deviation 2. The prediction is still.
    still = np.zeros((2, 3, 3))
    reference = still.copy()
    reference[1, 0, 2] = 0.002
    example = face_of(reference, [still], {"upper_face": region_of("upper_face", [0, 1])})
    assert score("fdd", example) == pytest.approx(1.0, rel=1e-6)  # mean of 2 and 0


def test_positive_where_the_prediction_moves_too_little() -> None:
    example = make_example(num_samples=1)
    half = example.template + 0.5 * (example.reference - example.template)
    damped = face_of(example.reference, [half], example.regions, template=example.template)
    assert score("fdd", damped) > 0


def test_signs_cancel_only_where_published() -> None:
    still = np.zeros((2, 3, 3))
    moved = still.copy()
    moved[1] = [0.001, 0, 0]
    signed, absolute = Accumulator(load_metric("fdd")), Accumulator(load_metric("fdd_abs"))
    for name, pair in (("more", (still, moved)), ("less", (moved, still))):
        for scores in (signed, absolute):
            scores.update(face_of(pair[0], [pair[1]], name=name))
    assert signed.compute().value == pytest.approx(0, abs=1e-9)
    assert absolute.compute().value == pytest.approx(0.5, rel=1e-5)


def test_template_of_another_mesh_is_refused() -> None:
    still = np.zeros((2, 3, 3))
    with pytest.raises(VultusError, match="template has shape"):
        score("fdd", face_of(still, [still], template=np.zeros((4, 3), np.float32)))
