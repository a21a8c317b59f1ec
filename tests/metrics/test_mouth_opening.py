"""Mouth opening difference."""

from __future__ import annotations

import numpy as np
import pytest
from mouths import frames, mouth, smoothed, talk

from vultus.metrics import Accumulator, Unavailable, load_metric, score


def test_by_hand() -> None:
    assert score("mod", mouth(np.array([0.0, 2, 6]), np.array([1.0, 2, 4]))) == pytest.approx(1.0, abs=1e-4)


def test_against_the_formula_over_sequences() -> None:
    scores, slow = Accumulator(load_metric("mod")), []
    for seed, seconds in enumerate((2, 5)):
        reference, prediction = talk(frames(seconds), seed), talk(frames(seconds), seed + 10)
        scores.update(mouth(reference, prediction, name=f"s{seed}"))
        slow.append(sum(abs(p - r) for p, r in zip(prediction, reference, strict=True)) / len(reference))
    assert scores.compute().value == pytest.approx(np.mean(slow), rel=1e-4)


def test_faults_are_ranked() -> None:
    times = frames(8)
    curve = talk(times)
    faults = [curve, talk(times - 0.04), talk(times - 0.08), talk(times - 0.2)]
    values = [score("mod", mouth(curve, fault)) for fault in faults]
    assert values[0] == 0 and values == sorted(values)
    assert score("mod", mouth(curve, smoothed(curve, 25, 0.08))) > 0.5
    assert score("mod", mouth(curve, 2 * curve)) == pytest.approx(curve.mean(), rel=1e-3)


def test_without_lips() -> None:
    with pytest.raises(Unavailable):
        score("mod", mouth(np.zeros(3), np.zeros(3), regions={}))
