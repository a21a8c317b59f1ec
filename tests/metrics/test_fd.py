"""fd_sync and fd_style: sums against windows laid side by side, and scipy's matrix root."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from examples import make_example
from vultus.metrics.fd import DIAGONAL, FdStyle, FdSync, frechet, size, sums


def slow(a: np.ndarray, b: np.ndarray) -> float:
    import scipy.linalg

    covariances = [np.cov(x.T, bias=True) + DIAGONAL * np.eye(x.shape[1]) for x in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root))


def test_equals_the_formula_however_the_windows_are_cut() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(300, 6)), rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + 0.3
    rows = np.stack([np.concatenate([sums(x), sums(y)]) for x, y in zip(np.split(a, 4), np.split(b, 4), strict=True)])
    expected = slow(a, b)
    np.testing.assert_allclose(FdSync().combine(rows, np.ones((1, 4))), [expected], rtol=1e-6)
    twice = slow(np.concatenate([a[:75], a[:75], a[150:225]]), np.concatenate([b[:50], b[:50], b[100:150]]))
    np.testing.assert_allclose(FdSync().combine(rows, np.array([[2.0, 0, 1, 0]])), [twice], rtol=1e-6)
    assert size(len(sums(a))) == 6


def test_equal_sets_are_at_zero_and_gaussians_at_their_closed_form() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(4000, 3))
    assert frechet(sums(a), sums(a)) == pytest.approx(0, abs=1e-9)
    b = 2 * rng.normal(size=(4000, 3)) + [1.0, 0, 0]  # 1 + 3 (2 - 1)^2
    assert frechet(sums(a), sums(b)) == pytest.approx(4.0, rel=0.05)
    assert np.isnan(frechet(sums(a[:0]), sums(b)))


def test_floor_and_note() -> None:
    rng = np.random.default_rng(2)
    recorded = [rng.normal(size=(50, 4)) for _ in range(20)]
    rows = np.stack([np.concatenate([sums(one), sums(one + 1.0)]) for one in recorded])
    floor = FdStyle().floor(rows)
    halves = np.random.default_rng(0).permutation(20)
    a, b = (np.concatenate([recorded[i] for i in half]) for half in (halves[:10], halves[10:]))
    assert floor == pytest.approx(slow(a, b), rel=1e-6)
    assert floor < float(FdStyle().combine(rows, np.ones((1, 20)))[0])
    assert FdStyle().note(rows) is None
    few = FdSync().note(rows[:0].reshape(0, rows.shape[1])) or ""
    assert few.startswith("fd_sync: 0 windows; under 40")


@pytest.mark.parametrize("metric", [FdSync(), FdStyle()])
def test_on_the_shipped_head(metric: FdSync | FdStyle) -> None:
    example = make_example(num_samples=1)
    rows = []
    for samples in (
        [example.reference],
        example.samples,
        [example.template + 3 * (example.reference - example.template)],
    ):
        rows.append(metric.measure(replace(example, samples=samples)))
    if isinstance(metric, FdSync):
        perfect, near, far = (float(metric.combine(row[None], np.ones((1, 1)))[0]) for row in rows)
        assert perfect == pytest.approx(0, abs=1e-6) and near > 0 and far > 0
    assert all(len(row) == 2 * (1 + 64 + 64 * 65 // 2) for row in rows)
