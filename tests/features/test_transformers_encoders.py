from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'vultus[train]')")
transformers = pytest.importorskip("transformers", reason="needs transformers (pip install 'vultus[train]')")

from vultus.errors import VultusError  # noqa: E402
from vultus.features import load_encoder, load_torch_encoder  # noqa: E402
from vultus.speech import Speech  # noqa: E402

ARCHITECTURES = {
    "hubert": "HubertModel", "wav2vec2": "Wav2Vec2Model", "wavlm": "WavLMModel", "ctc_logits": "Wav2Vec2ForCTC",
}  # fmt: skip


def tiny(name: str, folder: Path, *, large: bool, **changes: Any) -> Path:
    """A checkpoint with random weights; `large` has the layer norms of the large sizes."""
    torch.manual_seed(1)
    kind = getattr(transformers, ARCHITECTURES[name])
    options = dict(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=11,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
        do_stable_layer_norm=large, feat_extract_norm="layer" if large else "group", conv_bias=large,
    )  # fmt: skip
    model = kind(kind.config_class(**(options | changes)))
    # Norms that do nothing would hide a norm that is left out.
    for parameter_name, parameter in model.named_parameters():
        if "layer_norm" in parameter_name:
            torch.nn.init.normal_(parameter, 1.0, 0.3)
    model.save_pretrained(folder)
    return folder


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return (0.05 * np.random.default_rng(seed).standard_normal(num_samples) + 0.01).astype(np.float32)


def standardised(samples: np.ndarray) -> Any:
    return torch.from_numpy((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7))[None]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", ["wav2vec2", "wavlm"])
def test_the_feature_is_the_last_hidden_state(name: str, large: bool, tmp_path: Path) -> None:
    folder = tiny(name, tmp_path, large=large)
    samples = noise(9000)
    model = getattr(transformers, ARCHITECTURES[name]).from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model(standardised(samples)).last_hidden_state[0].numpy()
    found = load_encoder(name, checkpoint=folder)(Speech(samples)).values
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("large", [False, True])
def test_hubert_stops_before_the_final_norm(large: bool, tmp_path: Path) -> None:
    folder = tiny("hubert", tmp_path, large=large)
    samples = noise(9000)
    model = transformers.HubertModel.from_pretrained(folder).eval()
    caught = []
    model.encoder.layers[-1].register_forward_hook(
        lambda module, inputs, output: caught.append(output[0] if isinstance(output, tuple) else output)
    )
    with torch.inference_mode():
        last = model(standardised(samples)).last_hidden_state[0].numpy()
    found = load_encoder("hubert", checkpoint=folder)(Speech(samples)).values
    np.testing.assert_allclose(found, caught[0].reshape(last.shape).numpy(), atol=1e-5)
    assert np.allclose(found, last, atol=1e-4) == (not large)
    normed = load_encoder("hubert", checkpoint=folder, final_norm=True)(Speech(samples)).values
    np.testing.assert_allclose(normed, last, atol=1e-5)


@pytest.mark.parametrize("large", [False, True])
def test_an_earlier_block(large: bool, tmp_path: Path) -> None:
    folder = tiny("wavlm", tmp_path, large=large, num_hidden_layers=3)
    samples = noise(9000)
    model = transformers.WavLMModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        states = model(standardised(samples), output_hidden_states=True).hidden_states
    found = load_encoder("wavlm", checkpoint=folder, layer=2)(Speech(samples)).values
    np.testing.assert_allclose(found, states[2][0].numpy(), atol=1e-5)
    with pytest.raises(VultusError, match="blocks 1 to 3"):
        load_encoder("wavlm", checkpoint=folder, layer=4)


def test_ctc_logits(tmp_path: Path) -> None:
    folder = tiny("ctc_logits", tmp_path, large=False)
    samples = noise(9000)
    model = transformers.Wav2Vec2ForCTC.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model(standardised(samples)).logits[0].numpy()
    encoder = load_encoder("ctc_logits", checkpoint=folder)
    assert encoder.dimension == 11
    np.testing.assert_allclose(encoder(Speech(samples)).values, expected, atol=1e-5)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_a_padded_batch_equals_single_items(name: str, large: bool, tmp_path: Path) -> None:
    module = load_torch_encoder(name, checkpoint=tiny(name, tmp_path, large=large))
    items = [torch.from_numpy(noise(n, seed=n)) for n in (9000, 5001, 300)]
    batch = torch.nn.utils.rnn.pad_sequence(items, batch_first=True)
    with torch.inference_mode():
        together = module(batch, torch.tensor([len(item) for item in items]))
        assert together.shape == (3, 27, module.dimension)
        for row, item in zip(together[:2], items[:2], strict=True):
            alone = module(item[None])[0]
            torch.testing.assert_close(row[: len(alone)], alone, rtol=1e-4, atol=1e-4)
            assert not row[len(alone) :].any()
        assert together[2, :1].any() and not together[2, 1:].any()


def test_warm_up_freezes_weights_and_dropout(tmp_path: Path) -> None:
    module = load_torch_encoder("hubert", checkpoint=tiny("hubert", tmp_path, large=True, hidden_dropout=0.5))
    samples = torch.from_numpy(noise(6000))[None]
    module.freeze()
    module.train()
    torch.testing.assert_close(module(samples), module(samples))
    assert not module(samples).requires_grad
    module.unfreeze()
    module.train()
    assert not torch.equal(module(samples), module(samples))
    module(samples).square().mean().backward()
    assert all(weight.grad is not None for weight in module.parameters() if weight.requires_grad)


def test_each_clip_is_standardised(tmp_path: Path) -> None:
    encoder = load_encoder("wav2vec2", checkpoint=tiny("wav2vec2", tmp_path, large=False))
    samples = noise(9000)
    np.testing.assert_allclose(
        encoder(Speech(3 * samples + np.float32(0.1))).values, encoder(Speech(samples)).values, atol=1e-3
    )


def test_a_checkpoint_can_say_that_it_wants_raw_sound(tmp_path: Path) -> None:
    folder = tiny("wav2vec2", tmp_path, large=True)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    assert not load_torch_encoder("wav2vec2", checkpoint=folder).normalize


def test_what_cannot_be_loaded_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(VultusError, match="hubert: cannot load") as caught:
        load_encoder("hubert", checkpoint=tmp_path / "nothing")
    assert "\n" not in str(caught.value)
    with pytest.raises(VultusError, match="holds a 'hubert' network; expected 'wavlm'"):
        load_encoder("wavlm", checkpoint=tiny("hubert", tmp_path, large=False))
