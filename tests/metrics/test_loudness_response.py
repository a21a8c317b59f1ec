"""Correlation of level and lip displacement, and its gap to the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mouths import frames, mouth, sound_of, talk

from vultus.metrics import Accumulator, Example, Unavailable, load_metric, score
from vultus.metrics.loudness_response import responses
from vultus.metrics.tracks import level_at, region_tracks, speech_level


def speaking(prediction: np.ndarray, seed: int = 0, **more: object) -> Example:
    curve = talk(frames(8), seed)
    return mouth(curve, prediction, speech=sound_of(curve, 25, range_db=15), **more)


def test_against_plain_loops() -> None:
    example = speaking(talk(frames(8), 4))
    level = speech_level(example)
    loud = [float(level_at(level, np.array([i / 25]))[0]) for i in range(200)]

    def mean_over(values: list[float], i: int) -> float:
        near = [values[k] for k in range(i - 2, i + 3) if 0 <= k < len(values)]
        return sum(near) / len(near)

    spoken = [float(v > np.percentile(level, 95) - 25) for v in loud]
    used = [i for i in range(200) if mean_over(spoken, i) > 0.5]
    assert 150 < len(used) <= 200
    for found, offsets in zip(responses(example), region_tracks(example, "lips"), strict=False):
        moved = [float(np.mean([np.linalg.norm(v) for v in frame])) for frame in offsets]
        expected = np.corrcoef([mean_over(loud, i) for i in used], [mean_over(moved, i) for i in used])[0, 1]
        assert found == pytest.approx(expected, abs=1e-6)


def test_mouths_that_answer_and_that_do_not() -> None:
    curve = talk(frames(8))
    answers = score("loudness_response", speaking(curve))
    assert answers > 0.95
    assert score("loudness_response", speaking(0.3 * curve)) == pytest.approx(answers, abs=1e-4)  # size does not matter
    assert score("loudness_response", speaking(0 * curve + 3)) == 0
    assert score("loudness_gap", speaking(curve)) == 0
    assert score("loudness_gap", speaking(0 * curve + 3)) == pytest.approx(answers)
    assert score("loudness_gap", speaking(talk(frames(8), 9))) > 0.4


def test_the_gap_is_that_of_the_means() -> None:
    gap, own = (Accumulator(load_metric(name)) for name in ("loudness_gap", "loudness_response"))
    differences = []
    for seed in range(4):
        example = speaking(talk(frames(8), seed + 20), seed, name=str(seed))
        prediction, reference = responses(example)
        differences.append(prediction - reference)
        gap.update(example)
        own.update(example)
    assert gap.compute().value == pytest.approx(abs(np.mean(differences)))
    assert gap.compute().low >= 0
    assert own.compute().n == 4


def test_nothing_to_answer_to() -> None:
    curve = talk(frames(8))
    tone = sound_of(np.ones(200), 25)
    short = mouth(curve[:20], curve[:20], speech=sound_of(curve[:20], 25))
    still = mouth(0 * curve, curve, speech=tone)
    for example in (short, still):
        assert load_metric("loudness_gap").measure(example).tolist() == [0, 0]
        assert load_metric("loudness_response").measure(example).tolist() == [0, 0]
    with pytest.raises(Unavailable, match="no speech"):
        score("loudness_gap", replace(short, speech=None))
