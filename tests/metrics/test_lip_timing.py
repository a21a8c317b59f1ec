"""Derivative time warping of the opening."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from mouths import frames, mouth, smoothed, talk

from vultus.metrics import load_metric, score
from vultus.metrics.lip_timing import RATE, REACH, STEP, derivative, resampled
from vultus.metrics.timing_kernels import warp


def slow_path(reference: np.ndarray, prediction: np.ndarray, reach: int, step: float) -> tuple[float, list]:
    """The cheapest path by plain recursion over all cells."""
    count = len(reference)

    @cache
    def best(i: int, j: int) -> tuple[float, tuple]:
        local = (reference[i] - prediction[j]) ** 2
        if i == 0 or j == 0:
            return local, ((i, j),)
        options = []
        for a, b, extra in ((i - 1, j - 1, 0.0), (i - 1, j, step), (i, j - 1, step)):
            if abs(a - b) <= reach:
                cost, path = best(a, b)
                options.append((cost + local + extra, (*path, (i, j))))
        return min(options, key=lambda option: option[0])

    ends = [(i, j) for i in range(count) for j in range(count) if count - 1 in (i, j) and abs(i - j) <= reach]
    return min((best(i, j) for i, j in ends), key=lambda option: option[0])


@pytest.mark.parametrize("step", [0.0, 0.4])
def test_the_path_is_the_cheapest(step: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        reference, prediction = rng.standard_normal((2, 14))
        path = warp(reference, prediction, 4, step)
        moves = np.diff(path, axis=0)
        assert set(map(tuple, moves)) <= {(1, 1), (1, 0), (0, 1)} and np.abs(path[:, 0] - path[:, 1]).max() <= 4
        assert 0 in path[0] and 13 in path[-1]
        cost = ((reference[path[:, 0]] - prediction[path[:, 1]]) ** 2).sum() + step * (moves.sum(1) == 1).sum()
        expected, slow = slow_path(reference, prediction, 4, step)
        assert cost == pytest.approx(expected)
        if step:
            assert path.tolist() == [list(cell) for cell in slow]


def test_derivative_by_hand() -> None:
    # ((3 - 1) + (7 - 1) / 2) / 2 = 2.5; ((7 - 3) + (6 - 3) / 2) / 2 = 2.75; the ends are copied.
    assert derivative(np.array([1.0, 3, 7, 6])).tolist() == [2.5, 2.5, 2.75, 2.75]


def test_resampling_keeps_the_frames_and_straight_lines() -> None:
    curve = talk(frames(3))
    np.testing.assert_allclose(resampled(curve, 25.0)[::4], curve, atol=1e-12)
    line = resampled(np.arange(10.0), 25.0)
    np.testing.assert_allclose(line[4:-4], np.arange(37)[4:-4] / 4)
    assert len(resampled(curve[:60], 60.0)) == 99  # 59 steps of 1/60 s are 0.983 s


def test_value_against_the_formula() -> None:
    reference, prediction = talk(frames(1.2)), talk(frames(1.2) * 1.05 - 0.02, 0)
    example = mouth(reference, prediction)
    d, e = (derivative(resampled(np.float64(c), 25.0)) for c in (reference, prediction))
    d, e = d / d.std(), e / e.std()
    _, path = slow_path(d, e, 30, STEP)
    counts = [abs(d[i]) + abs(e[j]) for i, j in path]
    expected = sum(c * abs(j - i) * 10 for c, (i, j) in zip(counts, path, strict=True)) / sum(counts)
    assert score("lip_timing", example) == pytest.approx(expected, rel=1e-3)
    signed = sum(c * (j - i) * 10 for c, (i, j) in zip(counts, path, strict=True)) / sum(counts)
    assert score("lip_offset", example) == pytest.approx(signed, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
@pytest.mark.parametrize("shift", [0.02, 0.04, 0.08, -0.08, 0.2])
def test_a_constant_shift_is_found_whole(fps: float, shift: float) -> None:
    times = frames(6, fps)
    example = mouth(talk(times), talk(times - shift), fps=fps)
    assert score("lip_timing", example) == pytest.approx(1000 * abs(shift), abs=4)
    assert score("lip_offset", example) == pytest.approx(1000 * shift, abs=4)


def test_what_is_not_timing_does_not_count() -> None:
    curve = talk(frames(8))
    tremor = np.random.default_rng(0).normal(0, 0.3, len(curve))
    for prediction in (curve, 0.3 * curve, 2 * curve + 1):
        assert score("lip_timing", mouth(curve, prediction)) == pytest.approx(0, abs=1e-6)
    assert score("lip_timing", mouth(curve, curve + tremor)) < 5
    assert score("lip_timing", mouth(curve, smoothed(curve, 25, 0.04))) < 10
    assert score("lip_timing", mouth(curve, talk(frames(8), seed=1))) > 60


def test_still_mouths() -> None:
    curve = talk(frames(4))
    assert score("lip_timing", mouth(curve, 0 * curve + 3)) == REACH
    assert np.isnan(score("lip_offset", mouth(curve, 0 * curve + 3)))
    for reference, prediction in ((0 * curve, curve), (curve[:2], curve[:2])):
        assert load_metric("lip_timing").measure(mouth(reference, prediction)).tolist() == [0, 0]
    assert RATE == 100
