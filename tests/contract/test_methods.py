"""Every method of the table keeps the contract of docs/architecture.md, on the CPU, with a tiny random model."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vultus.clock import SAMPLE_RATE, num_motion_frames
from vultus.errors import VultusError
from vultus.features.mel import MelEncoder
from vultus.methods.base import Batch, Dimensions, Method
from vultus.speech import Speech
from vultus.topology import Template, Topology
from vultus.train.checkpoint import load_tensors, save_tensors
from vultus.train.recipe import METHODS

V, K = 30, 5
TINY: dict[str, dict[str, Any]] = {
    "composite_regional": {"channels": 16, "style_channels": 12, "decoder_units": 2, "encoder_depth": 10, "seed": 3},
    "probabilistic": {
        "stage": "prior",
        "codec": "run",
        "width": 32,
        "heads": 2,
        "coarse_layers": 2,
        "fine_layers": 1,
        "levels": 2,
        "codes": 16,
        "code_size": 8,
        "channels": 16,
        "style_size": 12,
        "style_width": 16,
        "style_layers": 1,
        "dropout": 0.0,
        "history_noise": 0.0,
        "history_dropout": 0.0,
        "seed": 3,
    },
}
DETERMINISTIC = {"composite_regional"}
STREAMING = {"composite_regional": {"audio_norm": "batch"}}
ENCODER = MelEncoder()


def make(name: str, **changes: Any) -> Any:
    module = importlib.import_module(METHODS[name][0])
    config = module.Config(**{**TINY[name], **changes})
    rig = np.random.default_rng(0).normal(0.0, 0.002, (K, 3 * V)).astype(np.float32)
    return getattr(module, METHODS[name][1])(config, Dimensions(V, ENCODER.dimension, 0.08), rig=rig)


def toy_batch() -> Batch:
    """Two sequences whose motion follows two of their features."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(2, 60, ENCODER.dimension)).astype(np.float32)
    smooth = np.apply_along_axis(lambda row: np.convolve(row, np.ones(5) / 5, "same"), 1, features[:, :, :K])
    template = rng.normal(0.0, 0.08, (2, 3 * V)).astype(np.float32)
    motion = torch.from_numpy(np.abs(smooth).astype(np.float32))
    return Batch(torch.from_numpy(features), motion, torch.from_numpy(template), motion, fps=30.0)


def template() -> Template:
    vertices = np.random.default_rng(2).normal(0.0, 0.08, (V, 3)).astype(np.float32)
    return Template(Topology(np.zeros((1, 3), np.int32), V), vertices)


def speech(seconds: float) -> Speech:
    noise = np.random.default_rng(5).normal(0.0, 0.1, round(seconds * SAMPLE_RATE))
    return Speech(noise.astype(np.float32), "noise")


def predict(model: Any, seconds: float, fps: float, seed: int = 0) -> np.ndarray:
    style = model.style_vector(np.abs(np.sin(np.arange(40 * K).reshape(40, K) / 9.0)).astype(np.float32))
    (motion,) = model.predict(speech(seconds), encoder=ENCODER, template=template(), fps=fps, style=style, seed=seed)
    vertices: np.ndarray = motion.rig.vertices(motion.values, template())
    assert vertices.shape == (len(motion), V, 3)
    return vertices.reshape(len(motion), 3 * V)


def test_every_method_has_a_tiny_config() -> None:
    assert set(TINY) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_losses_are_finite_and_fall(name: str) -> None:
    model, batch = make(name), toy_batch()
    assert isinstance(model, Method)
    weights = model.loss_weights()
    optimiser, totals = torch.optim.Adam(model.parameters(), 3e-3), []
    for _ in range(20):
        terms = model.loss(batch)
        assert terms.keys() == weights.keys() and all("/" in key for key in terms)
        assert all(value.ndim == 0 and bool(torch.isfinite(value)) for value in terms.values())
        total = sum(terms[key] * weight for key, weight in weights.items())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.8 * totals[0]


@pytest.mark.parametrize("name", METHODS)
def test_frames_for_several_durations_and_rates(name: str) -> None:
    model = make(name)
    for seconds, fps in ((0.06, 30.0), (1.0, 30.0), (2.37, 25.0), (1.9, 59.94)):
        frames = num_motion_frames(round(seconds * SAMPLE_RATE), fps)
        assert predict(model, seconds, fps).shape == (frames, 3 * V)


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_motion_and_predict_leaves_no_trace(name: str) -> None:
    model = make(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first = predict(model, 1.5, 30.0, seed=4)
    np.testing.assert_array_equal(first, predict(make(name), 1.5, 30.0, seed=4))
    assert model.training and all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", sorted(set(METHODS) - DETERMINISTIC))
def test_takes_differ_and_do_not_depend_on_their_number(name: str) -> None:
    model = make(name)
    common: dict[str, Any] = {"encoder": ENCODER, "template": template(), "fps": 30.0, "seed": 4}
    three = model.predict(speech(2.0), num_takes=3, **common)
    (first,) = model.predict(speech(2.0), num_takes=1, **common)
    np.testing.assert_allclose(three[0].values, first.values, atol=1e-5)
    assert not np.allclose(three[0].values, three[1].values) and not np.allclose(three[1].values, three[2].values)
    assert not np.allclose(first.values, model.predict(speech(2.0), num_takes=1, **{**common, "seed": 5})[0].values)


@pytest.mark.parametrize("name", METHODS)
def test_impossible_requests_are_refused(name: str) -> None:
    model = make(name)
    common: dict[str, Any] = {"encoder": ENCODER, "fps": 30.0}
    style = model.style_vector(np.random.default_rng(0).random((20, K), np.float32))
    if name in DETERMINISTIC:
        with pytest.raises(VultusError, match="one take"):
            model.predict(speech(1.0), template=template(), style=style, num_takes=3, **common)
    else:
        with pytest.raises(VultusError, match="0 takes"):
            model.predict(speech(1.0), template=template(), style=style, num_takes=0, **common)
    with pytest.raises(VultusError, match="style"):
        model.predict(speech(1.0), template=template(), style=style[:9], **common)
    other = Template(Topology(np.zeros((1, 3), np.int32), 4), np.zeros((4, 3), np.float32))
    with pytest.raises(VultusError, match="4 vertices"):
        model.predict(speech(1.0), template=other, style=style, **common)


@pytest.mark.parametrize("name", METHODS)
def test_save_and_load_give_the_same_motion(name: str, tmp_path: Path) -> None:
    model = make(name)
    model.loss(toy_batch())  # so that running statistics are not at their start
    save_tensors(tmp_path / "m.safetensors", model.state_dict(), {"note": 1})
    other = make(name, seed=99)
    tensors, header = load_tensors(tmp_path / "m.safetensors")
    other.load_state_dict(tensors)
    assert header == {"note": 1}
    np.testing.assert_array_equal(predict(model, 1.2, 30.0), predict(other, 1.2, 30.0))


@pytest.mark.parametrize("name", STREAMING)
def test_streaming_equals_one_shot(name: str, tmp_path: Path) -> None:
    from vultus.methods.export_onnx import export
    from vultus.runtime.composite_regional import CompositeRegional

    model = make(name, **STREAMING[name])
    model.loss(toy_batch())
    style = model.style_vector(np.random.default_rng(0).random((20, K), np.float32))
    folder = export(
        model.eval(), tmp_path, name="t", summary="t", fps=30.0, styles={"a": style}, rig="vertices",
        encoder={"name": "mel", "rate": ENCODER.rate, "offset": ENCODER.offset},
        template=template().vertices, faces=np.zeros((1, 3), np.int32),
    )  # fmt: skip
    network = CompositeRegional.load(folder)
    sound = speech(3.1)
    blocks = np.split(sound.samples, [700, 701, 9000, 30000])
    streamed = np.concatenate(
        list(network.decode_stream(ENCODER.stream(blocks), network.styles["a"], template().vertices, 93, chunk=11))
    )
    (whole,) = model.predict(sound, encoder=ENCODER, template=template(), fps=30.0, style=style)
    offsets = streamed @ network.offset_matrix
    assert offsets.shape == whole.values.shape
    np.testing.assert_allclose(offsets, whole.values, atol=2e-3 * np.abs(whole.values).max())  # float16 weights
    once = np.concatenate(
        list(network.decode_stream([ENCODER(sound).values], network.styles["a"], template().vertices, 93))
    )
    np.testing.assert_allclose(streamed, once, atol=1e-5 * np.abs(once).max())
