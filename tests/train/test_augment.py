from __future__ import annotations

import numpy as np
import pytest

from vultus.clock import SAMPLE_RATE
from vultus.train.augment import NOISES, Plan, apply_plan, draw_plan, make_noise


def clicks(seconds: float = 2.0, at: tuple[float, ...] = (0.5, 1.2)) -> np.ndarray:
    sound = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    for time in at:
        start = round(time * SAMPLE_RATE)
        sound[start : start + 160] = np.hanning(160) * np.sin(2 * np.pi * 1000 * np.arange(160) / SAMPLE_RATE)
    return sound


def click_times(sound: np.ndarray) -> list[float]:
    """Centres of the two loudest 10 ms, seconds."""
    energy = np.convolve(sound.astype(np.float64) ** 2, np.ones(160), "same")
    first = int(np.argmax(energy))
    energy[max(0, first - 1600) : first + 1600] = 0.0
    return sorted([first / SAMPLE_RATE, int(np.argmax(energy)) / SAMPLE_RATE])


def test_copy_zero_is_the_clip_and_others_are_repeatable() -> None:
    sound = clicks()
    np.testing.assert_array_equal(apply_plan(sound, draw_plan(1, "a", 0)), sound)
    plans = [draw_plan(1, "a", copy) for copy in range(1, 40)]
    assert plans == [draw_plan(1, "a", copy) for copy in range(1, 40)]
    assert len({*plans, *(draw_plan(2, "a", copy) for copy in range(1, 40))}) == 78
    assert {plan.noise for plan in plans} == set(NOISES)
    assert all(0.88 <= plan.speed <= 1.14 and 0.0 <= plan.snr <= 30.0 for plan in plans)
    np.testing.assert_array_equal(apply_plan(sound, plans[0]), apply_plan(sound, plans[0]))


@pytest.mark.parametrize(
    "plan",
    [
        Plan(speed=1.1),
        Plan(speed=0.9, lead=0.3),
        Plan(room=0.4),
        Plan(band=(300.0, 3400.0)),
        Plan(codec=True, gain=-10.0),
        Plan(noise="pink", snr=20.0, lead=0.5),
    ],
)
def test_sound_and_labels_stay_together(plan: Plan) -> None:
    copy = apply_plan(clicks(), plan)
    assert len(copy) / SAMPLE_RATE == pytest.approx(plan.duration(2.0), abs=1e-3)
    heard = plan.source_times(np.array(click_times(copy)))
    np.testing.assert_allclose(heard, [0.505, 1.205], atol=0.004)


@pytest.mark.parametrize("kind", NOISES[1:])
def test_noise_has_unit_level_and_the_asked_distance_from_speech(kind: str) -> None:
    rng = np.random.default_rng(0)
    assert np.sqrt(np.mean(make_noise(kind, 16000, rng) ** 2)) == pytest.approx(1.0, rel=1e-6)
    tone = (0.1 * np.sin(2 * np.pi * 440 * np.arange(32000) / SAMPLE_RATE)).astype(np.float32)
    noise = apply_plan(tone, Plan(noise=kind, snr=10.0, seed=3)) - tone
    assert 20 * np.log10(np.std(tone) / np.std(noise)) == pytest.approx(10.0, abs=0.3)


def test_output_never_exceeds_full_scale() -> None:
    loud = apply_plan(clicks(), Plan(gain=6.0, noise="white", snr=0.0))
    assert loud.dtype == np.float32 and np.abs(loud).max() <= 1.0
    assert len(apply_plan(np.zeros(800, np.float32), Plan(noise="hum", room=0.2))) == 800
