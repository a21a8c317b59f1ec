"""The lag of motion behind sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mouths import frames, mouth, sound_of, talk

from vultus.metrics import Accumulator, Example, Unavailable, load_metric, score
from vultus.metrics.audio_lag import LAGS, best_lag
from vultus.metrics.tracks import level_at, speech_level


def pair(shift: float, seed: int = 0, fps: float = 25.0, seconds: float = 6.0, sound_late: float = 0.0) -> Example:
    times = frames(seconds, fps)
    curve = talk(times, seed)
    sound = sound_of(talk(frames(seconds, 200), seed), 200, sound_late)
    return mouth(curve, talk(times - shift, seed), fps=fps, speech=sound, name=f"s{seed}")


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
@pytest.mark.parametrize("shift", [0.0, 0.08, -0.08, 0.2])
def test_shifts_are_found_with_their_sign(fps: float, shift: float) -> None:
    example = pair(shift, fps=fps)
    assert score("audio_lag", example) == pytest.approx(1000 * shift, abs=8)
    assert score("audio_lag_gap", example) == pytest.approx(1000 * shift, abs=6)


def test_a_late_sound_makes_motion_early_but_no_gap() -> None:
    example = pair(0.0, sound_late=0.1)
    assert score("audio_lag", example) == pytest.approx(-100, abs=8)
    assert score("audio_lag_gap", example) == 0


def test_against_plain_correlations() -> None:
    example = pair(0.06)
    level = speech_level(example)
    times = frames(6)
    opening = talk(times - 0.06)
    used = [t for t in range(len(times)) if 0.4 <= times[t] <= min(times[-1], (len(level) - 1) / 200) - 0.4]
    slow = [
        np.corrcoef([level_at(level, times[t] - lag / 1000) for t in used], opening[used])[0, 1] for lag in LAGS[::16]
    ]
    row = load_metric("audio_lag").measure(example)
    np.testing.assert_allclose(row[:-1:16] / row[-1], slow, atol=1e-4)
    assert row[-1] == pytest.approx(len(used) / 25)


def test_sequences_are_averaged_before_the_peak_is_sought() -> None:
    scores = Accumulator(load_metric("audio_lag"))
    for seed in range(5):
        scores.update(pair(0.1, seed, seconds=3))
    found = scores.compute()
    assert found.value == pytest.approx(100, abs=10) and found.low <= found.value <= found.high
    rows = np.stack([scores.rows[f"s{k}"] for k in range(5)])
    assert best_lag(rows[:, :-1].sum(0)[None])[0] == pytest.approx(found.value)


def test_nothing_to_find() -> None:
    example = pair(0.0)
    still = replace(example, samples=[np.repeat(example.prediction[:1], len(example.reference), 0)])
    assert np.isnan(score("audio_lag", still)) and np.isnan(score("audio_lag_gap", still))
    assert np.isnan(score("audio_lag", pair(0.0, seconds=1.5)))  # under a second between the reaches
    with pytest.raises(Unavailable, match="no speech"):
        score("audio_lag", replace(example, speech=None))
