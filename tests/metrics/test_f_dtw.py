"""Time warping of faces: the exact form and the published one."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import face_of, make_example, region_of, small_example
from vultus.errors import VultusError
from vultus.metrics import Example, score, warping


def slow(example: Example, published: bool) -> float:
    """The recursion, cell by cell, on all differences at once; in mm, not divided."""
    face = example.regions["face"]
    weights = face.weights / face.weights.sum()
    r = example.reference[:, face.vertices].astype(float)
    p = example.prediction[:, face.vertices].astype(float)
    cost = np.linalg.norm(r[:, None] - p[None], axis=-1) @ weights
    total = np.full(cost.shape, np.inf)
    for i in range(len(r)):
        for j in range(len(p)):
            if i == 0 and j == 0:
                before = 0.0
            elif i == 0:
                before = total[0, j - 1]
            else:
                before = min(total[i - 1, j], total[i, j - 1] if j else np.inf, total[i - 1, j - 1] if j else np.inf)
            total[i, j] = 0.0 if published and i == 0 and j > 0 else before + cost[i, j]
    return 1000 * float(total[-1, -1])


def pair(seed: int, frames: int, predicted: int, vertices: int) -> Example:
    example = small_example(seed, max(frames, predicted), 1, vertices)
    return replace(example, reference=example.reference[:frames], samples=[example.prediction[:predicted]])


@pytest.mark.parametrize(("frames", "predicted"), [(1, 1), (1, 4), (4, 1), (9, 9), (12, 7), (7, 12)])
def test_against_the_recursion(frames: int, predicted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warping, "ROWS", 5)  # several strips
    for vertices in (40, 600):
        example = pair(0, frames, predicted, vertices)
        assert score("f_dtw", example) == pytest.approx(slow(example, False) / frames, rel=1e-5)
        assert score("f_dtw_mm23", example) == pytest.approx(slow(example, True), rel=1e-5, abs=1e-9)


def test_weights_and_gaps_in_the_face() -> None:
    face = region_of("face", [0, 3, 4, 9, 30], [1, 0.5, 0.25, 1, 2])
    example = small_example(3, 11, 1)
    example = replace(example, regions={**example.regions, "face": face})
    assert score("f_dtw", example) == pytest.approx(slow(example, False) / 11, rel=1e-5)


def test_by_hand() -> None:
    # All vertices at x = 0, 3, 0 mm against 0, 0, 3, 0: the extra frame waits, nothing is left to pay.
    reference = np.zeros((3, 3, 3))
    reference[1, :, 0] = 0.003
    longer = reference[[0, 0, 1, 2]]
    assert score("f_dtw", face_of(reference, [longer])) == 0.0
    # Against 1, 3, 0: 1 mm for the first frame; as published that frame is left out.
    other = reference.copy()
    other[0, :, 0] = 0.001
    example = face_of(reference, [other])
    assert score("f_dtw", example) == pytest.approx(1 / 3, rel=1e-5)
    assert score("f_dtw_mm23", example) == 0.0
    # Against 1, 3, 1 from the end: the last frame is paid by both.
    other[2, :, 0] = 0.001
    example = face_of(reference, [other])
    assert score("f_dtw", example) == pytest.approx(2 / 3, rel=1e-5)
    assert score("f_dtw_mm23", example) == pytest.approx(1.0, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), frames=st.integers(1, 15), predicted=st.integers(1, 15))
def test_bounds(seed: int, frames: int, predicted: int) -> None:
    example = pair(seed, frames, predicted, 12)
    total = score("f_dtw", example) * frames
    assert score("f_dtw_mm23", example) <= total * (1 + 1e-9)
    back = replace(example, reference=example.prediction, samples=[example.reference])
    assert score("f_dtw", back) * predicted == pytest.approx(total, rel=1e-5)  # the sum is symmetric
    if frames == predicted:
        assert total / frames <= score("face_mean", example) * (1 + 1e-5)  # the diagonal is one of the paths


def test_free_of_frame_rate() -> None:
    example = make_example(num_samples=1)
    twice = replace(example, reference=example.reference.repeat(2, 0), samples=[example.prediction.repeat(2, 0)])
    assert score("f_dtw", twice) == pytest.approx(score("f_dtw", example), rel=1e-5)
    assert score("f_dtw_mm23", twice) > 1.5 * score("f_dtw_mm23", example)


def test_differences_of_all_pairs_never_lie_in_memory() -> None:
    example = small_example(0, 60, 1, 5000)  # 216 MB of them
    score("f_dtw", pair(0, 3, 3, 12))  # loads the loops
    tracemalloc.start()
    score("f_dtw", example)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_bad_input() -> None:
    still = np.zeros((2, 3, 3))
    broken = still.copy()
    broken[1, 1, 1] = np.nan
    with pytest.raises(VultusError, match="NaN"):
        score("f_dtw", face_of(still, [broken]))
    with pytest.raises(VultusError, match=r"\(2, 4, 3\)"):
        score("f_dtw", face_of(still, [np.zeros((2, 4, 3))]))
