from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.features.mel import MelEncoder, mel_bands
from vultus.speech import Speech


def test_each_band_has_its_peak_and_they_share_the_spectrum() -> None:
    bands = mel_bands(80)
    assert bands.shape == (257, 80)
    assert (bands.max(0) > 0).all()
    # Between the first and the last peak neighbouring triangles add up to one.
    inside = slice(int(bands[:, 0].argmax()) + 1, int(bands[:, -1].argmax()))
    np.testing.assert_allclose(bands[inside].sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 3000.0, 7000.0])
def test_a_tone_is_loudest_in_its_band(hertz: float) -> None:
    tone = 0.3 * np.sin(2 * np.pi * hertz * np.arange(8000) / 16000)
    values = MelEncoder()(Speech(tone.astype(np.float32))).values
    mel = 2595 * np.log10(1 + np.array([20.0, 8000.0, hertz]) / 700)
    expected = (mel[2] - mel[0]) / (mel[1] - mel[0]) * 81 - 1
    assert np.abs(values.argmax(1) - expected).max() <= 1


def test_against_the_formula_frame_by_frame() -> None:
    samples = np.random.default_rng(0).standard_normal(6000).astype(np.float32)
    values = MelEncoder()(Speech(samples)).values
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    for i in range(len(values)):
        frame = samples[160 * i : 160 * i + 400].astype(np.float64) * window
        spectrum = np.abs(np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512) @ frame) ** 2
        np.testing.assert_allclose(values[i], np.log(spectrum @ mel_bands(80)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_samples", [100, 560, 9999, 16_000])
def test_stacking_sets_neighbours_side_by_side(num_samples: int) -> None:
    speech = Speech(np.random.default_rng(0).standard_normal(num_samples).astype(np.float32))
    plain, stacked = MelEncoder()(speech), MelEncoder(stack=2)(speech)
    assert stacked.rate == 50.0
    assert stacked.values.shape == (-(-len(plain) // 2), 160)
    pairs = np.concatenate([plain.values, plain.values[-1:]])[: 2 * len(stacked)].reshape(-1, 160)
    np.testing.assert_allclose(stacked.values, pairs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(stacked.times[0], np.mean([200 / 16000, 360 / 16000]))


def test_bad_options_are_refused() -> None:
    with pytest.raises(VultusError, match="bands is 200"):
        MelEncoder(bands=200)
    with pytest.raises(VultusError, match="stack is 0"):
        MelEncoder(stack=0)
