"""The model as `animate` uses it, and the decoding of long recordings in bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.clock import num_motion_frames
from vultus.errors import VultusError
from vultus.export.read import StyleClip
from vultus.features import load_encoder
from vultus.motion import WEIGHT_NAMES
from vultus.runtime.bundle import load
from vultus.runtime.composite_regional import CompositeRegional, CompositeRegionalModel, Style
from vultus.runtime.decoding import Decoding
from vultus.speech import Speech
from vultus.topology import Topology

pytest.importorskip("torch", reason="exporting a toy bundle needs the train extra")


def bundle(folder: Path, *, on_head: bool, **changes: Any) -> Path:
    """An untrained network behind mel features, on the shipped head or on a mesh of its own."""
    from vultus.head import load_head
    from vultus.methods import composite_regional as method
    from vultus.methods.base import Dimensions
    from vultus.methods.export_onnx import export

    encoder, head = load_encoder("mel"), load_head()
    vertices = len(head.template.vertices) if on_head else 30
    settings = {"channels": 16, "style_channels": 8, "decoder_units": 2, "encoder_depth": 10, "audio_norm": "batch"}
    model = method.CompositeRegional(method.Config(**{**settings, **changes}), Dimensions(vertices, encoder.dimension))
    rng = np.random.default_rng(0)
    mesh = {"template": rng.normal(0.0, 0.1, (30, 3)), "faces": np.zeros((1, 3), np.int32)}
    return export(
        model.eval(), folder, name="toy", summary="toy", fps=30.0, rig="head" if on_head else "vertices",
        encoder={"name": "mel", "rate": encoder.rate, "offset": encoder.offset}, still_shapes=("eyeBlinkLeft",),
        styles={"neutral": rng.normal(size=32), "lively": rng.normal(size=32)}, **({} if on_head else mesh),
    )  # fmt: skip


def noise(seconds: float) -> Speech:
    samples = np.random.default_rng(1).normal(0.0, 0.1, round(16000 * seconds))
    return Speech(samples.astype(np.float32), "noise")


def style_clip(weights: np.ndarray | None = None, **changes: Any) -> StyleClip:
    frames = 60 if weights is None else len(weights)
    values: dict[str, Any] = {
        "source": "clip.csv", "fps": 60.0, "num_frames": frames, "weights": weights, "weight_names": WEIGHT_NAMES,
        "head_rotation": np.zeros((frames, 3), np.float32), **changes,
    }  # fmt: skip
    return StyleClip(**values)


def test_on_the_head_motion_is_weights(tmp_path: Path) -> None:
    model = load(bundle(tmp_path, on_head=True))
    assert isinstance(model, CompositeRegionalModel) and model.styles == ("neutral", "lively")
    for seconds in (0.2, 1.0, 12.34):
        speech, calls = noise(seconds), []
        (motion,) = model.predict(speech, progress=lambda done, total, calls=calls: calls.append((done, total)))
        assert motion.values.shape == (num_motion_frames(len(speech.samples), 30), len(WEIGHT_NAMES))
        assert motion.values.min() >= 0.0 and motion.values.max() <= 1.0
        assert calls[-1] == (len(speech.samples), len(speech.samples))
    (again,) = model.predict(noise(12.34), seed=5)
    np.testing.assert_array_equal(motion.values, again.values)
    (lively,) = model.predict(noise(12.34), style="lively")
    assert np.abs(lively.values - motion.values).max() > 1e-3


def test_weights_are_those_of_the_decoded_vertices(tmp_path: Path) -> None:
    from vultus.rigs.solve import WeightSolver

    model = load(bundle(tmp_path, on_head=True))
    assert isinstance(model, CompositeRegionalModel)
    speech = noise(1.0)
    (motion,) = model.predict(speech)
    network = model.network
    codes = np.concatenate(
        list(
            network.decode_stream(
                [model.encoder(speech).values], network.styles["neutral"], model.template.vertices, len(motion)
            )
        )
    )
    moving = np.array([name not in model.still_shapes for name in WEIGHT_NAMES])
    assert 0 < (~moving).sum() < len(moving)
    matrix = motion.rig.matrix[moving]  # type: ignore[attr-defined]
    offsets = (codes @ network.offset_matrix).reshape(len(codes), -1, 3)
    np.testing.assert_allclose(motion.values[:, moving], WeightSolver(matrix).solve_offsets(offsets, matrix), atol=1e-3)
    assert np.abs(motion.values[:, ~moving]).max() == 0.0


def test_style_of_a_clip_leaves_blinks_out(tmp_path: Path) -> None:
    model = load(bundle(tmp_path, on_head=True))
    assert isinstance(model, CompositeRegionalModel)
    weights = np.zeros((60, len(WEIGHT_NAMES)), np.float32)
    weights[:, WEIGHT_NAMES.index("jawOpen")] = 0.5 + 0.4 * np.sin(np.arange(60) / 3.0)
    jaw = model.style(style_clip(weights)).vector
    weights[:, WEIGHT_NAMES.index("eyeBlinkLeft")] = np.sin(np.arange(60)) ** 2
    np.testing.assert_array_equal(model.style(style_clip(weights)).vector, jaw)
    weights[:, WEIGHT_NAMES.index("mouthPucker")] = np.sin(np.arange(60)) ** 2
    assert np.abs(model.style(style_clip(weights)).vector - jaw).max() > 1e-5
    with pytest.raises(VultusError, match="did you mean 'lively'"):
        model.style("livly")
    with pytest.raises(VultusError, match="neither weights nor vertices"):
        model.style(style_clip(None))


def test_on_another_mesh_motion_is_vertices(tmp_path: Path) -> None:
    model = load(bundle(tmp_path, on_head=False))
    assert isinstance(model, CompositeRegionalModel)
    (motion,) = model.predict(noise(1.0))
    assert motion.rig.vertices(motion.values, model.template).shape == (30, 30, 3)
    assert isinstance(model.template.topology, Topology)
    moving = model.template.vertices + np.random.default_rng(0).normal(0.0, 0.002, (60, 30, 3))
    clip = style_clip(None, weight_names=(), template=model.template.vertices, mesh=moving.astype(np.float32))
    (styled,) = model.predict(noise(1.0), style=clip)
    assert np.abs(styled.values - motion.values).max() > 1e-3
    with pytest.raises(VultusError, match="deterministic"):
        model.predict(noise(1.0), num_takes=2)


def test_an_hour_needs_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    network = CompositeRegional.load(bundle(tmp_path, on_head=False))
    style = Style.from_vector(np.zeros(32, np.float32))
    decoding = Decoding(network, style, np.zeros((30, 3), np.float32), chunk=64)
    block, frames, largest = np.zeros((200, 80), np.float32), 0, 0
    for _ in range(100):  # 200 s at 100 Hz
        frames += sum(len(codes) for codes in decoding.feed(block))
        largest = max(largest, decoding._frames.held + (0 if decoding._grid is None else len(decoding._grid)))
    assert frames > 5900 and largest < 64 + 2 * network.context + 200
    assert frames + sum(len(codes) for codes in decoding.finish(6000)) == 6000


def test_frames_are_as_many_as_asked_for_whatever_the_features_say(tmp_path: Path) -> None:
    network = CompositeRegional.load(bundle(tmp_path, on_head=False))
    style, face = network.styles["neutral"], np.zeros((30, 3), np.float32)
    features = np.random.default_rng(0).normal(size=(55, 80)).astype(np.float32)
    for frames in (1, 5, 16, 17, 40):
        codes = np.concatenate(list(network.decode_stream([features], style, face, frames)))
        assert codes.shape == (frames, 16)
    with pytest.raises(VultusError, match="no speech features"):
        list(network.decode_stream([], style, face))
