from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.features.moonshine import ASSET, MoonshineEncoder
from vultus.features.windows import Windows
from vultus.speech import Speech

GOLDEN = Path(__file__).parent.parent / "golden" / "moonshine_original.npz"


@pytest.fixture(scope="module")
def encoder() -> MoonshineEncoder:
    return MoonshineEncoder(loudness=False)


def golden() -> tuple[np.ndarray, np.ndarray]:
    """A made sound, and what the original file gives for it: states after blocks 3 and 5, each third frame."""
    with np.load(GOLDEN) as data:
        return (data["samples"] / 32768).astype(np.float32), data["states"].astype(np.float32)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_bounded_in_time_it_stays_near_the_original(encoder: MoonshineEncoder) -> None:
    """That it is the original where it is not bounded: test_moonshine_torch.py."""
    samples, states = golden()
    ours = encoder(Speech(samples)).values[::3]
    assert ours.shape == states.shape
    for part in (slice(0, 288), slice(288, 576)):
        assert correlation(ours[:, part], states[:, part]) >= 0.97


def test_the_licence_names_the_shipped_file() -> None:
    text = (ASSET.parent / "MOONSHINE-LICENSE.txt").read_text()
    assert "MIT License" in text
    found = re.search(r"sha256 of the result +([0-9a-f]{64})", text)
    assert found is not None
    assert found[1] == hashlib.sha256(ASSET.read_bytes()).hexdigest()


@pytest.mark.parametrize("gain", [0.1, 0.3, 3.0])
def test_the_level_of_the_recording_changes_little(encoder: MoonshineEncoder, gain: float) -> None:
    samples, _ = golden()
    plain, other = encoder.states(samples), encoder.states((gain * samples).astype(np.float32))
    assert correlation(plain, other) >= 0.997


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Relative L2 norm, the larger of the two blocks'."""
    parts = (slice(0, 288), slice(288, 576))
    return float(max(np.linalg.norm(a[:, p] - b[:, p]) / np.linalg.norm(b[:, p]) for p in parts))


def test_sound_up_to_a_window_is_one_pass(encoder: MoonshineEncoder) -> None:
    samples, _ = golden()
    sound = np.tile(samples, 7)[: 384 * 832 + 895]
    np.testing.assert_array_equal(encoder(Speech(sound)).values, encoder.states(sound))


@pytest.mark.parametrize("seconds", [21, 50])
def test_long_sound_in_windows_is_one_pass_within_a_hundredth(encoder: MoonshineEncoder, seconds: int) -> None:
    samples, _ = golden()
    rng = np.random.default_rng(0)
    # Levels that differ by 20 dB, and silence: what a normalisation over a window would stumble on.
    pieces = [10 ** rng.uniform(-1, 0) * samples[rng.integers(16_000) :] for _ in range(24)]
    pieces.insert(9, np.zeros(5 * 16_000))
    sound = np.concatenate(pieces)[: seconds * 16_000].astype(np.float32)
    whole = encoder.states(sound)
    windowed = encoder(Speech(sound)).values
    assert difference(windowed, whole) <= 0.01
    # No seam shows: the step from frame to frame is no larger than elsewhere.
    steps = np.linalg.norm(np.diff(windowed, axis=0), axis=1)
    assert steps.max() <= 1.01 * np.linalg.norm(np.diff(whole, axis=0), axis=1).max()


def test_loudness_stands_beside_the_states(encoder: MoonshineEncoder) -> None:
    samples, _ = golden()
    values = MoonshineEncoder()(Speech(samples)).values
    assert values.shape[1] == 578
    np.testing.assert_array_equal(values[:, :576], encoder(Speech(samples)).values)
    assert values[:, 576].std() > 0.2


def test_short_windows_serve_a_live_stream(encoder: MoonshineEncoder) -> None:
    samples, _ = golden()
    live = MoonshineEncoder(windows=Windows(length=1.5, hop=0.1, margin=0.2, fade=0.0, first=0.4))
    lag, fed, done = 0.0, 0, 0
    for start in range(0, len(samples), 160):
        fed = start + 160
        blocks = list(live.stream([samples[:fed]]))[:-1] if fed % 4000 == 0 else None
        if blocks:
            done = sum(map(len, blocks))
            lag = max(lag, fed / 16_000 - (live.offset + (done - 1) / live.rate))
    assert done > 100
    assert lag <= 0.1 + 0.2 + 3 * 0.028
    assert correlation(live(Speech(samples)).values[:, :576], encoder(Speech(samples)).values) >= 0.9


def test_bad_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="threads is 0"):
        MoonshineEncoder(threads=0)
    with pytest.raises(VultusError, match="no graph at"):
        MoonshineEncoder(path=tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a graph")
    with pytest.raises(VultusError, match="cannot load"):
        MoonshineEncoder(path=tmp_path / "bad.onnx")
    with pytest.raises(VultusError, match="the loudness needs"):
        MoonshineEncoder(windows=Windows(length=1.5, hop=0.1, margin=0.1, fade=0.0))


@pytest.mark.needs_data
def test_real_speech_in_windows_is_one_pass_within_a_hundredth(encoder: MoonshineEncoder, real_data: Path) -> None:
    import soundfile

    sound, rate = soundfile.read(real_data / "facegood_mandarin/1114_2_01.flac", dtype="float32", stop=60 * 16_000)
    assert rate == 16_000
    assert difference(encoder(Speech(sound)).values, encoder.states(sound)) <= 0.01
    assert correlation(encoder.states(sound), encoder.states(0.1 * sound)) >= 0.997
