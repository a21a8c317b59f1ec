"""The contract of every encoder in the table."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.features import ENCODERS, Encoder, load_encoder
from vultus.features.windows import Windows
from vultus.speech import Speech

# name -> (options, samples that a frame sees, samples between frames); windows are short so that a few seconds need
# several of them.
SHORT = Windows(length=1.2, hop=0.5, margin=0.2, fade=0.1)
CASES = {
    "moonshine": ({"windows": SHORT}, 895, 384),
    "mel": ({}, 400, 160),
    "hubert": ({"windows": SHORT}, 400, 320),
    "wav2vec2": ({"windows": SHORT}, 400, 320),
    "wavlm": ({"windows": SHORT}, 400, 320),
    "ctc_logits": ({"windows": SHORT}, 400, 320),
}
ARCHITECTURES = {
    "hubert": "HubertModel", "wav2vec2": "Wav2Vec2Model", "wavlm": "WavLMModel", "ctc_logits": "Wav2Vec2ForCTC",
}  # fmt: skip


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    swell = 0.02 + 0.1 * np.sin(np.arange(num_samples) / 3000) ** 2
    return (swell * rng.standard_normal(num_samples)).astype(np.float32)


@pytest.fixture(scope="module", params=sorted(ENCODERS))
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    name = request.param
    options = dict(CASES[name][0])
    if name in ARCHITECTURES:
        if importlib.util.find_spec("transformers") is None:
            pytest.skip("needs transformers (pip install 'vultus[train]')")
        options["checkpoint"] = save_tiny(name, tmp_path_factory.mktemp(name))
    return load_encoder(name, **options)


def save_tiny(name: str, folder: Path) -> Path:
    """A checkpoint with random weights, two blocks of 16 channels."""
    import torch
    import transformers

    torch.manual_seed(0)
    kind = getattr(transformers, ARCHITECTURES[name])
    config = kind.config_class(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=11,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    kind(config).save_pretrained(folder)
    return folder


def chopped(samples: np.ndarray, low: int, high: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(low)
    start = 0
    while start < len(samples):
        size = int(rng.integers(low, high))
        yield samples[start : start + size]
        start += size


@pytest.mark.parametrize(("low", "high"), [(1, 900), (0, 4001), (7777, 7778), (10**6, 10**6 + 1)])
def test_stream_equals_one_shot(encoder: Encoder, low: int, high: int) -> None:
    samples = noise(3 * SAMPLE_RATE + 123)
    whole = encoder(Speech(samples)).values
    blocks = list(encoder.stream(chopped(samples, low, high)))
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_stream_yields_before_the_end_and_reads_no_further_than_it_must(encoder: Encoder) -> None:
    read = 0

    def source() -> Iterator[np.ndarray]:
        nonlocal read
        for block in chopped(noise(10 * SAMPLE_RATE), 1600, 1601):
            read += len(block)
            yield block

    first = next(iter(encoder.stream(source())))
    assert len(first) > 0
    assert read <= 1.5 * SAMPLE_RATE


@pytest.mark.parametrize("num_samples", [1, 100, 894, 895, 896, 1278, 1279, 5000, 16_000, 19_999, 33_333])
def test_number_of_frames_and_times(encoder: Encoder, num_samples: int) -> None:
    _, sees, stride = CASES[encoder.name]
    features = encoder(Speech(noise(num_samples)))
    expected = max(1, (num_samples - sees) // stride + 1)
    assert features.values.shape == (expected, encoder.dimension)
    assert features.values.dtype == np.float32
    assert np.isfinite(features.values).all()
    assert features.rate == encoder.rate == SAMPLE_RATE / stride
    assert features.offset == encoder.offset == (sees // 2) / SAMPLE_RATE
    np.testing.assert_allclose(features.times, (np.arange(expected) * stride + sees // 2) / SAMPLE_RATE)


def test_a_frame_stands_where_its_sound_is(encoder: Encoder) -> None:
    samples = np.zeros(SAMPLE_RATE, np.float32)
    samples[:] = noise(len(samples), seed=1) * 0.01
    base = encoder(Speech(samples))
    clicked = samples.copy()
    clicked[8000:8040] += noise(40, seed=2) * 20
    change = np.abs(encoder(Speech(clicked)).values - base.values).sum(1)
    centre = float((change * base.times).sum() / change.sum())
    loudest = float(base.times[np.argmax(change)])
    # Attention spreads a click over all frames, but evenly; the frame that sees it changes most.
    assert abs(loudest - 0.5) <= 0.03 or abs(centre - 0.5) <= 0.03


def test_silence_is_finite(encoder: Encoder) -> None:
    values = encoder(Speech(np.zeros(SAMPLE_RATE, np.float32))).values
    assert np.isfinite(values).all()


def test_same_input_same_output(encoder: Encoder) -> None:
    speech = Speech(noise(20_000))
    np.testing.assert_array_equal(encoder(speech).values, encoder(speech).values)


def test_a_bad_block_is_refused(encoder: Encoder) -> None:
    with pytest.raises(VultusError, match=r"expected \(samples,\)"):
        list(encoder.stream([np.zeros((100, 2), np.float32)]))
    with pytest.raises(VultusError, match="NaN"):
        list(encoder.stream([np.full(100, np.nan, np.float32)]))


def test_it_fulfils_the_protocol(encoder: Encoder) -> None:
    assert isinstance(encoder, Encoder)
    assert encoder.name in ENCODERS
