"""Spread, energy and agreement of takes where they are known."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.benchmark.takes_spread import (
    correlation_of_takes,
    distances,
    energy,
    ratio_of_sums,
    row,
    spread_ratio,
    true_spread,
    variance,
)

LINES, TAKES, FRAMES, POINTS = 12, 20, 60, 5


def lines(scale: float, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    """Rows of lines whose true takes are Gaussian about a curve, and whose takes are so with another width."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(LINES):
        middle = rng.normal(0, 3, (FRAMES, POINTS, 3))
        truth, takes = (middle + rng.normal(0, 0.5, (TAKES, FRAMES, POINTS, 3)) for _ in range(2))
        rows.append(row(middle + scale * (takes - middle) + shift, truth))
    return np.stack(rows)


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0, 0.0])
def test_the_ratio_is_that_of_the_spreads(scale: float) -> None:
    found = spread_ratio(lines(scale))
    assert found.value == pytest.approx(scale, abs=0.02) and found.low <= found.value <= found.high
    assert found.n == LINES and true_spread(lines(scale)) == pytest.approx(0.5 * np.sqrt(3), rel=0.02)


def test_energy_tells_alike_sets_from_others() -> None:
    same, narrow, wide, moved = (energy(lines(*case)).value for case in ((1.0,), (0.5,), (2.0,), (1.0, 1.0)))
    assert abs(same) < 0.01
    assert narrow > 0.03 and wide > 0.03
    # Distances of takes are about s sqrt(6); between the sets sqrt(6 s^2 + 3) with a shift of 1 in each coordinate.
    assert moved == pytest.approx(1 - np.sqrt(1.5) / np.sqrt(1.5 + 3), abs=0.01)
    still = np.zeros((3, 4, 1, 1))
    assert energy(row(still, still)[None]).value == 0.0  # nothing moves in either: alike


def test_variance_and_distances_of_a_few_numbers() -> None:
    takes = np.array([[[[0.0, 0.0]]], [[[6.0, 8.0]]]])
    assert variance(takes) == pytest.approx(18.0 + 32.0)
    assert distances(takes, takes).tolist() == [[0.0, 10.0], [10.0, 0.0]]
    assert row(takes, takes).tolist() == [50.0, 50.0, 10.0, 10.0, 5.0]


def test_agreement_is_the_mean_correlation_of_pairs() -> None:
    wave = np.sin(np.arange(FRAMES) / 4)
    takes = np.stack([wave, 2 * wave + 1, -wave])[:, :, None, None]
    total, pairs = correlation_of_takes(takes)
    assert (total, pairs) == (pytest.approx(1 - 1 - 1), 3)
    still = np.zeros_like(takes[:1])
    assert correlation_of_takes(np.concatenate([takes[:2], still]))[1] == 1  # one that does not move has no r


def test_ratio_of_sums_weighs_lines_by_their_length() -> None:
    assert ratio_of_sums(np.array([[2.0, 1.0], [0.0, 3.0]])).value == 0.5
    assert np.isnan(ratio_of_sums(np.zeros((3, 2))).value)
    assert np.isnan(ratio_of_sums(np.ones((1, 2))).low)  # one line has no interval
