from __future__ import annotations

import numpy as np
import pytest

from vultus.features.loudness import AHEAD, FALL, FLOOR, WIDTH, Loudness

STRIDE, CENTRE, RECEPTIVE = 384, 447, 895


def loudness(samples: np.ndarray) -> np.ndarray:
    run = Loudness(STRIDE, CENTRE, RECEPTIVE)
    return np.concatenate([run.feed(samples.astype(np.float32)), run.finish()])


def slow_reference(samples: np.ndarray) -> np.ndarray:
    """The head of loudness.py, frame by frame."""
    samples = samples.astype(np.float32).astype(np.float64)
    count = (len(samples) - RECEPTIVE) // STRIDE + 1
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WIDTH) / WIDTH)
    power = []
    for i in range(count):
        start = STRIDE * i + CENTRE - WIDTH // 2
        power.append((samples[start : start + WIDTH] ** 2 * window).sum() / window.sum() + 1e-9)
    level = [10 * np.log10(p) for p in power]
    rows, reference = [], -np.inf
    for i in range(count):
        ahead = 10 * np.log10(np.mean(power[i : i + AHEAD + 1]))
        reference = max(reference - FALL * STRIDE / 16000, ahead)
        shown = max(reference, FLOOR)
        before = max(level[max(i - 1, 0)], shown - 60)
        after = max(level[min(i + 1, count - 1)], shown - 60)
        rows.append([max(level[i] - shown, -60) / 20, np.clip((after - before) / 10, -3, 3)])
    return np.asarray(rows)


def speechlike(seconds: float = 4.0) -> np.ndarray:
    t = np.arange(round(seconds * 16000)) / 16000
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0, 1) * (t % 2 < 1.4)
    return 0.2 * syllables * np.sin(2 * np.pi * 180 * t)


@pytest.mark.parametrize("num_samples", [895, 1300, 20_000, 64_000])
def test_it_equals_the_slow_reference(num_samples: int) -> None:
    samples = speechlike()[:num_samples] + 1e-3 * np.random.default_rng(0).standard_normal(num_samples)
    np.testing.assert_allclose(loudness(samples), slow_reference(samples), atol=1e-5)


def test_blocks_of_any_size_agree_to_the_bit() -> None:
    samples = speechlike().astype(np.float32)
    whole = loudness(samples)
    for size in (1, 383, 1000, 50_000):
        run = Loudness(STRIDE, CENTRE, RECEPTIVE)
        parts = [run.feed(samples[i : i + size]) for i in range(0, len(samples), size)]
        np.testing.assert_array_equal(np.concatenate([*parts, run.finish()]), whole)


def test_the_level_of_a_recording_does_not_matter() -> None:
    # Noise at -40 dB of full scale, so that the softer copy stays well above the -90 dB at which a level ends.
    samples = speechlike() + 0.01 * np.random.default_rng(0).standard_normal(64_000)
    np.testing.assert_allclose(loudness(0.1 * samples), loudness(samples), atol=5e-3)


def test_silence_and_noise_under_the_floor_stay_low() -> None:
    np.testing.assert_allclose(loudness(np.zeros(16_000)), np.tile([-2.0, 0.0], (40, 1)), atol=1e-6)
    quiet = loudness(1e-4 * np.random.default_rng(0).standard_normal(16_000))
    assert quiet[:, 0].max() < -1.3


def test_speech_after_silence_is_judged_by_itself_from_its_first_syllable() -> None:
    speech = speechlike(2.0)
    late = loudness(np.concatenate([np.zeros(STRIDE * 50), speech]))[50:]
    np.testing.assert_allclose(late[1:, 0], loudness(speech)[1:, 0], atol=0.05)
