"""Windows, offsets and their conventions."""

from __future__ import annotations

import numpy as np

from vultus.scoring import signals
from vultus.speech import Speech


def test_columns_stand_around_their_frames() -> None:
    mel = np.repeat(np.arange(300.0)[:, None], 80, 1)
    windows = signals.mel_windows(mel, np.array([10, 50]))
    assert windows.shape == (2, 80, 20)
    seconds = 0.01 * windows[0, 0] + 0.0125  # where column j stands
    frames = (10 + np.arange(5)) / 25
    assert abs(seconds.mean() - frames.mean()) < 0.003
    np.testing.assert_array_equal(windows[1] - windows[0], 160.0)


def test_a_click_is_in_the_window_of_its_frame() -> None:
    samples = np.zeros(32_000, np.float32)
    samples[16_000:16_020] = 0.5  # at 1 s, motion frame 25
    loudest = signals.mel_windows(signals.log_mel(Speech(samples, "click")), np.arange(40)).sum(1)
    columns = loudest[23].argmax()  # frame 25 is the middle of the window from 23 on
    assert 8 <= columns <= 11
    assert loudest[25].argmax() < loudest[23].argmax() < loudest[21].argmax()


def test_mel_is_held_at_the_ends() -> None:
    mel = np.random.default_rng(0).normal(size=(40, 80)).astype(np.float32)
    first, last = signals.mel_windows(mel, np.array([0, 9]))
    np.testing.assert_array_equal(first[:, :3], np.repeat(mel[:1].T, 3, 1))
    np.testing.assert_array_equal(last[:, -1], mel[39])


def test_resampling_keeps_time() -> None:
    for fps in (25.0, 30.0, 60.0):
        ramp = (np.arange(round(4 * fps)) / fps)[:, None]
        at_25 = signals.at_25(ramp, fps)
        assert len(at_25) == 100
        np.testing.assert_allclose(at_25[:99, 0], np.arange(99) / 25, atol=1e-5)


def test_distances_find_the_offset_and_its_sign() -> None:
    rng = np.random.default_rng(1)
    motion = signals.unit_rows(rng.normal(size=(80, 16)))
    for late in (-7, 0, 3):
        audio = np.roll(motion, late, 0)  # the sound that fits frame t stands at t + late
        found = signals.distances(audio, motion)
        assert signals.OFFSETS[found.argmin()] == late
        slow = [np.mean([np.linalg.norm(audio[t + o] - motion[t]) for t in range(15, 65)]) for o in range(-15, 16)]
        np.testing.assert_allclose(found, slow)
        likeness = [np.mean([audio[t + o] @ motion[t] for t in range(15, 65)]) for o in range(-15, 16)]
        np.testing.assert_allclose(signals.cosines(audio, motion), likeness)


def test_a_still_face_in_a_clip_between_pauses_is_not_in_time() -> None:
    rng = np.random.default_rng(3)
    speaking = signals.unit_rows(rng.normal(size=(80, 8)))
    quiet = np.eye(8)[0]
    speaking[:12] = speaking[-12:] = quiet
    found = signals.distances(speaking, np.repeat(quiet[None], 80, 0))
    assert abs(signals.OFFSETS[found.argmin()]) > 1


def test_style_windows_cover_a_clip() -> None:
    assert signals.style_starts(39).tolist() == []
    assert signals.style_starts(40).tolist() == [0]
    assert signals.style_starts(100).tolist() == [0]
    assert signals.style_starts(180).tolist() == [0, 50, 80]
    assert signals.style_starts(200).tolist() == [0, 50, 100]
