"""sync_cos, lse_d, lse_c, offset_accuracy against embeddings that a test chooses, and on the shipped head."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from examples import make_example
from vultus.metrics import Example, load_metric, score
from vultus.metrics.base import Unavailable
from vultus.metrics.sync import LseC, LseD, OffsetAccuracy, SyncCos
from vultus.scoring.signals import unit_rows


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[int | str, np.ndarray]:
    """Embeddings that the metrics are handed: "sound", and the lips of each sample by its number."""
    chosen: dict[int | str, np.ndarray] = {}
    monkeypatch.setattr("vultus.metrics.sync.sound", lambda example: chosen["sound"])
    monkeypatch.setattr("vultus.metrics.sync.lips", lambda example, number: chosen[number])
    return chosen


def value(metric: SyncCos | LseD | LseC | OffsetAccuracy, example: Example) -> float:
    return float(metric.combine(metric.measure(example)[None], np.ones((1, 1)))[0])


def test_formulas(given: dict[int | str, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    sound = unit_rows(rng.normal(size=(60, 8)))
    given.update({"sound": sound, 0: np.roll(sound, 1, 0), 1: np.roll(sound, -4, 0)})  # the lips late by 1, early by 4
    example = make_example(num_samples=2)
    distance = np.array([
        [
            np.mean([np.linalg.norm(sound[t + o] - given[n][t]) for t in range(15, 45)])
            for o in range(-15, 16)
        ]
        for n in (0, 1)
    ])  # fmt: skip
    assert value(LseD(), example) == pytest.approx(distance.min(1).mean())
    assert value(LseC(), example) == pytest.approx((np.median(distance, 1) - distance.min(1)).mean())
    assert value(OffsetAccuracy(), example) == 0.5
    assert value(SyncCos(), example) == pytest.approx(np.mean([(sound * given[n]).sum(1).mean() for n in (0, 1)]))
    given[1] = sound
    assert value(OffsetAccuracy(), example) == 1.0


def test_short_sequences_do_not_count(given: dict[int | str, np.ndarray]) -> None:
    given.update({"sound": np.ones((39, 1)), 0: np.ones((39, 1))})
    example = make_example(num_samples=1)
    for metric in (LseD(), LseC(), OffsetAccuracy()):
        assert metric.measure(example).tolist() == [0.0, 0.0]
    assert SyncCos().measure(example).tolist() == [1.0, 1.0]


def test_needs_speech() -> None:
    with pytest.raises(Unavailable, match="no speech"):
        SyncCos().measure(replace(make_example(), speech=None))


def test_on_the_shipped_head_worse_timing_scores_worse() -> None:
    example = make_example(num_samples=1, perfect=True)
    late = {frames: np.roll(example.reference, frames, 0) for frames in (0, 2, 5, 10)}  # 0, 67, 167, 333 ms
    shifted = [replace(example, samples=[moving]) for moving in late.values()]
    cosines = [score("sync_cos", one) for one in shifted]
    assert cosines[0] > cosines[1] > max(cosines[2:]), cosines
    assert score("lse_c", shifted[0]) > 0
    still = replace(example, samples=[np.repeat(example.template[None], len(example.reference), 0)])
    assert score("sync_cos", still) < cosines[0]


def test_values_are_json(given: dict[int | str, np.ndarray]) -> None:
    given.update({"sound": np.eye(50), 0: np.eye(50)})
    row = load_metric("offset_accuracy").measure(make_example(num_samples=1))
    assert json.loads(json.dumps(row.tolist())) == [1.0, 1.0]
