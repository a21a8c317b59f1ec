"""Prosody: level, pitch, activity; independence of block sizes."""

import numpy as np
import pytest

from vultus.synthesis.prosody import ProsodyTracker, analyse

RATE = 16000


def voice(hertz: float, seconds: float, gain: float = 0.2) -> np.ndarray:
    """A buzz with twelve harmonics."""
    t = np.arange(round(seconds * RATE)) / RATE
    return gain * sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 13)).astype(np.float32)


@pytest.mark.parametrize("hertz", [85.0, 120.0, 210.0, 330.0])
def test_pitch_of_a_buzz(hertz: float) -> None:
    prosody = analyse(voice(hertz, 0.6))
    inner = prosody.pitch[8:-8]
    assert (inner > 0).all()
    assert np.abs(12 * np.log2(inner / hertz)).max() < 0.3


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    assert (analyse(noise).pitch > 0).mean() < 0.05
    silent = analyse(np.zeros(RATE, np.float32))
    assert not silent.pitch.any()
    assert not silent.activity.any()
    assert silent.phrases() == []
    assert silent.accents() == []


def test_level_is_in_decibels() -> None:
    t = np.arange(RATE) / RATE
    prosody = analyse((0.5 * np.sin(2 * np.pi * 200 * t)).astype(np.float32))
    assert prosody.level[50] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.2)


def test_activity_and_phrases_find_the_speech() -> None:
    silence = np.zeros(RATE, np.float32)
    prosody = analyse(np.concatenate([silence, voice(120, 1.0), silence, voice(150, 0.8), silence]))
    (a, b), (c, d) = prosody.phrases(0.3)
    np.testing.assert_allclose([a, b, c, d], [1.0, 2.0, 3.0, 3.8], atol=0.08)
    assert len(prosody) == 481


def test_loudness_does_not_depend_on_gain() -> None:
    samples = voice(130, 1.0)
    one, two = analyse(samples), analyse(samples * 0.1)
    np.testing.assert_allclose(one.loudness, two.loudness, atol=0.05)


def test_blocks_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    samples = np.concatenate([voice(110, 3.1), rng.standard_normal(30011).astype(np.float32) * 0.05])
    whole = analyse(samples)
    for size in (1, 7919, 64000):
        tracker = ProsodyTracker()
        part = samples if size > 1 else samples[:3000]
        for start in range(0, len(part), size):
            tracker.feed(part[start : start + size])
        streamed, expected = tracker.finish(), whole if size > 1 else analyse(part)
        assert np.array_equal(streamed.level, expected.level)
        assert np.array_equal(streamed.pitch, expected.pitch)


def test_nothing_is_one_silent_frame() -> None:
    prosody = analyse(np.zeros(0, np.float32))
    assert len(prosody) == 1
    assert prosody.seconds == 0
