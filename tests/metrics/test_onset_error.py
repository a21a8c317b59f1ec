"""Times at which the lips part."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from mouths import frames, mouth, smoothed, talk

from vultus.metrics import Accumulator, load_metric, score
from vultus.metrics.onset_error import MISSED, match, openings

BUMPS = np.array([0, 0, 0, 10, 10, 10, 0, 0, 0, 0, 0, 10, 10, 0, 0], np.float64)


def test_by_hand() -> None:
    # 15 % of 10 mm is crossed 0.15 frames after frames 2 and 10.
    np.testing.assert_allclose(openings(BUMPS, 1.5, 25.0), [2.15 * 40, 10.15 * 40])
    late = np.concatenate([[0.0], BUMPS[:-1]])
    assert score("onset_error", mouth(BUMPS, late)) == pytest.approx(40, abs=0.01)
    assert score("onset_offset", mouth(BUMPS, late)) == pytest.approx(40, abs=0.01)
    assert score("onset_offset", mouth(late, BUMPS)) == pytest.approx(-40, abs=0.01)
    one = BUMPS.copy()
    one[8:] = 0  # the second opening is missing
    assert score("onset_error", mouth(BUMPS, one)) == pytest.approx(MISSED / 2, abs=0.01)
    assert load_metric("onset_offset").measure(mouth(BUMPS, one)).tolist() == [0, 1]


def test_tremor_about_the_limit_is_one_opening() -> None:
    assert len(openings(np.array([0, 1.6, 1.4, 1.6, 1.4, 2.9, 1.4, 5, 5]), 1.5, 25.0)) == 1
    assert len(openings(np.full(9, 5.0), 1.5, 25.0)) == 0  # open from the start: no opening
    assert len(openings(np.array([5.0, 5, 0, 0, 2, 2, 0, 5]), 1.5, 25.0)) == 1


def test_matching_is_the_best_in_order() -> None:
    rng = np.random.default_rng(0)

    def slow(reference: np.ndarray, prediction: np.ndarray) -> float:
        best = MISSED * len(reference)
        for size in range(1, min(len(reference), len(prediction)) + 1):
            for a in combinations(range(len(reference)), size):
                for b in combinations(range(len(prediction)), size):
                    off = np.abs(prediction[list(b)] - reference[list(a)]).sum()
                    best = min(best, off + MISSED * (len(reference) - size))
        return best

    for _ in range(60):
        reference, prediction = (np.sort(rng.uniform(0, 1500, rng.integers(0, 6))) for _ in range(2))
        found = match(reference, prediction)
        assert np.where(np.isnan(found), MISSED, np.abs(found)).sum() == pytest.approx(slow(reference, prediction))
        assert not (np.abs(found) >= MISSED).any()


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
@pytest.mark.parametrize("shift", [0.04, 0.08, -0.08])
def test_shifts_are_found_at_any_frame_rate(fps: float, shift: float) -> None:
    error, offset = (Accumulator(load_metric(name)) for name in ("onset_error", "onset_offset"))
    for seed in range(4):
        times = frames(10, fps)
        example = mouth(talk(times, seed), talk(times - shift, seed), fps=fps, name=str(seed))
        error.update(example)
        offset.update(example)
    assert error.compute().value == pytest.approx(1000 * abs(shift), abs=8)
    assert offset.compute().value == pytest.approx(1000 * shift, abs=6)


def test_mouths_that_never_part() -> None:
    curve = talk(frames(10))
    for still in (0 * curve, 0 * curve + 5):
        assert score("onset_error", mouth(curve, still)) == MISSED
        assert np.isnan(score("onset_offset", mouth(curve, still)))
    assert np.isnan(score("onset_error", mouth(0 * curve, curve)))  # the reference never does: nothing to measure
    assert score("onset_error", mouth(curve, smoothed(curve, 25, 0.12))) > 60
