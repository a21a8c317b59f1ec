"""Lips that pass through each other."""

from __future__ import annotations

import numpy as np
import pytest
from mouths import frames, mouth, opened, talk

from vultus.metrics import Accumulator, load_metric, score


def test_by_hand() -> None:
    reference = np.array([0.0, 5, -0.4, 5])
    prediction = np.array([-0.45, -1.4, 5, -0.6])
    example = mouth(reference, prediction)
    # 0.4 mm is the speaker's own; 0.05 more is under the 0.1 mm that are seen; 1.0 and 0.2 more count.
    assert score("interpenetration", example) == pytest.approx(0.5)
    assert score("interpenetration_depth", example) == pytest.approx(1.0, abs=1e-3)


def test_pooling() -> None:
    share, depth = (Accumulator(load_metric(n)) for n in ("interpenetration", "interpenetration_depth"))
    for name, prediction in (("a", [-1.0, 0, 0, 0]), ("b", [-2.0, -2.0])):
        example = mouth(np.zeros(len(prediction)), np.array(prediction), name=name)
        share.update(example)
        depth.update(example)
    assert share.compute().value == pytest.approx(3 / 6)
    assert depth.compute().value == pytest.approx(1.5, abs=1e-3)


def test_crossing_beside_the_middle_is_seen() -> None:
    curve = talk(frames(4))
    crossed = opened(curve)
    crossed[30, 13, 1] += 0.03  # the lower lip's vertex 15 mm beside the middle
    crossed[30, 17, 1] += 0.03
    assert score("interpenetration", mouth(curve, crossed)) == pytest.approx(1 / 100)


def test_what_is_no_fault() -> None:
    curve = talk(frames(4))
    for prediction in (curve, 2 * curve, talk(frames(4), 5), 0 * curve):
        assert score("interpenetration", mouth(curve, prediction)) == 0
        assert score("interpenetration_depth", mouth(curve, prediction)) == pytest.approx(0, abs=1e-3)
    assert score("interpenetration", mouth(curve - 1, curve - 1)) == 0
    assert score("interpenetration", mouth(curve, curve - 1)) > 0.05
