"""Vertices -> weights: exact in the span, equal to an independent solver outside it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from vultus.head import load_head
from vultus.motion import WEIGHT_NAMES
from vultus.rigs.solve import WeightSolver


@pytest.fixture(scope="module")
def shapes() -> np.ndarray:
    return load_head().rig.matrix.astype(np.float64)


@pytest.fixture(scope="module")
def solver(shapes: np.ndarray) -> WeightSolver:
    return WeightSolver(shapes)


def test_weights_in_the_span_come_back(shapes: np.ndarray, solver: WeightSolver) -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 1, (40, len(shapes))) * (rng.uniform(size=(40, len(shapes))) < 0.4)
    found = solver.solve(true @ shapes @ shapes.T)
    np.testing.assert_allclose(found, true, atol=1e-3)


def test_all_at_the_bounds(shapes: np.ndarray, solver: WeightSolver) -> None:
    true = np.stack([np.zeros(len(shapes)), np.ones(len(shapes))])
    np.testing.assert_allclose(solver.solve(true @ shapes @ shapes.T), true, atol=1e-3)


def test_jaw_and_mouth_close_are_told_apart(shapes: np.ndarray, solver: WeightSolver) -> None:
    jaw, close = WEIGHT_NAMES.index("jawOpen"), WEIGHT_NAMES.index("mouthClose")
    true = np.zeros((3, len(shapes)))
    true[0, jaw] = 0.6  # open
    true[1, [jaw, close]] = 0.6  # open jaw, sealed lips
    true[2, [jaw, close]] = 0.5, 0.2
    found = solver.solve(true @ shapes @ shapes.T)
    np.testing.assert_allclose(found[:, [jaw, close]], true[:, [jaw, close]], atol=1e-3)


def test_outside_the_span_equals_an_independent_solver(shapes: np.ndarray, solver: WeightSolver) -> None:
    rng = np.random.default_rng(1)
    true = rng.uniform(-0.3, 1.3, (12, len(shapes)))  # outside the box
    target = true @ shapes + rng.normal(0, 2e-4, (12, shapes.shape[1]))  # and outside the span
    found = solver.solve(target @ shapes.T)
    assert found.min() >= 0.0 and found.max() <= 1.0
    gram, scale = shapes @ shapes.T, 1e3
    root = np.linalg.cholesky(gram + 1e-12 * np.trace(gram) * np.eye(len(gram))).T * scale
    for row, wanted in zip(found, target, strict=True):
        reduced = np.linalg.solve(root.T, shapes @ wanted * scale**2)
        best = lsq_linear(root, reduced, bounds=(0, 1), tol=1e-12).x
        cost = np.linalg.norm(row @ shapes - wanted)
        assert cost <= np.linalg.norm(best @ shapes - wanted) * (1 + 1e-6)


def test_a_shape_that_moves_nothing_stays_at_zero() -> None:
    shapes = np.array([[1.0, 0, 0], [0, 0, 0], [0, 1.0, 0]])
    found = WeightSolver(shapes).solve(np.array([[0.5, 0.3, 2.0]]))
    np.testing.assert_allclose(found, [[0.5, 0.0, 1.0]], atol=1e-4)


def test_code_space_equals_vertex_space(shapes: np.ndarray, solver: WeightSolver) -> None:
    """The right-hand side made in a method's code space is that of the vertices."""
    rng = np.random.default_rng(2)
    embedding = rng.normal(0, 1e-3, (16, shapes.shape[1]))  # alpha W^T, transposed
    codes = rng.normal(size=(5, 16))
    by_code = solver.solve(codes @ (embedding @ shapes.T))
    by_vertex = solver.solve_offsets((codes @ embedding).reshape(5, -1, 3), shapes)
    np.testing.assert_allclose(by_code, by_vertex, atol=2e-4)
