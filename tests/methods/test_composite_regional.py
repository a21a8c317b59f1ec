"""composite_regional against its formulas, written out slowly, and against itself by other ways."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vultus.errors import VultusError
from vultus.methods.base import Batch, Dimensions, make_config
from vultus.methods.composite_regional import BatchNorm, CompositeRegional, Config, RunningNorm

V, K, C, Z = 30, 6, 7, 8
SMALL = Config(channels=Z, style_channels=10, decoder_units=2, encoder_depth=10)
DIMS = Dimensions(V, C, unit=0.07, centre=(0.01, -0.02, 0.005))
RNG = np.random.default_rng(3)
RIG = RNG.normal(0.0, 0.002, (K, 3 * V)).astype(np.float32)
GAPS = RNG.normal(0.0, 100.0, (4, 3 * V)).astype(np.float32)


def random_batch(frames: int = 40, clips: int = 3, *, short: bool = False, vertices: bool = False) -> Batch:
    rng = np.random.default_rng(11)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32))

    features, template = tensor(clips, frames, C), 0.07 * tensor(clips, 3 * V)
    motion, reference = tensor(clips, frames, K).abs(), tensor(clips, 31, K).abs()
    mask = torch.ones(clips, frames, dtype=torch.bool)
    reference_mask = torch.ones(clips, 31, dtype=torch.bool)
    if short:
        mask[1, 25:] = False
        reference_mask[2, 17:] = False
        motion, features = motion * mask[..., None], features * mask[..., None]
        reference = reference * reference_mask[..., None]
    if vertices:
        motion, reference = motion @ torch.from_numpy(RIG), reference @ torch.from_numpy(RIG)
    masks = (mask, reference_mask) if short else (None, None)
    return Batch(features, motion, template, reference, *masks, fps=25.0)


@pytest.mark.parametrize("loss_form", ["norm", "squared"])
@pytest.mark.parametrize("reference_norm", ["sequence_mean", "template"])
@pytest.mark.parametrize("short", [False, True])
def test_products_path_equals_vertex_path(loss_form: str, reference_norm: str, short: bool) -> None:
    config = dataclasses.replace(SMALL, loss_form=loss_form, reference_norm=reference_norm)
    results = []
    for rig in (RIG, None):
        model = CompositeRegional(config, DIMS, rig=rig, gaps=GAPS)
        terms = model.loss(random_batch(short=short, vertices=rig is None))
        weights = {"motion/l2": 1.0, "motion/velocity": 0.3, "lips/gap": 0.01, "lips/closure": 0.1, "regional/l1": 1e-3}
        sum(terms[key] * weight for key, weight in weights.items()).backward()
        results.append((terms, {name: parameter.grad for name, parameter in model.named_parameters()}))
    (fast, fast_gradients), (slow, slow_gradients) = results
    for key in slow:
        assert float(fast[key].detach()) == pytest.approx(float(slow[key].detach()), rel=1e-4)
    scale = max(float(gradient.norm()) for gradient in slow_gradients.values())
    for name, gradient in slow_gradients.items():
        error = float((gradient - fast_gradients[name]).norm())
        assert error <= 1e-4 * float(gradient.norm()) + 1e-6 * scale, name


@pytest.mark.parametrize("loss_form", ["norm", "squared"])
def test_loss_is_equation_4(loss_form: str) -> None:
    config = dataclasses.replace(SMALL, loss_form=loss_form, loss_scale=0.5)
    model = CompositeRegional(config, DIMS, rig=RIG, gaps=GAPS).eval()
    batch = random_batch(short=True)
    with torch.no_grad():
        terms = model.loss(batch)
        scale, shift = model.style(batch.reference, batch.reference_mask)
        embedded = model.embed_template(batch.template)
        codes = model.decode(batch.features, scale, shift, embedded, batch.mask)
        offsets = model.offsets(codes).double().numpy() / DIMS.unit
    wanted = (batch.motion.numpy() @ RIG) / DIMS.unit
    length, steps, gaps, shut = [], [], [], []

    def closedness(gap: np.ndarray) -> np.ndarray:
        return np.where(gap < 0, gap, gap / (1 + np.abs(gap) / 1.5))

    for clip, frames in enumerate((40, 25, 40)):
        error = offsets[clip, :frames] - wanted[clip, :frames]
        norm = np.sqrt((error**2).sum(1))
        length.append((norm if loss_form == "norm" else norm**2).mean())
        steps.append((np.diff(error, axis=0) ** 2).sum(1).mean() * (25 / 30) ** 2)
        gaps.append(((error * DIMS.unit) @ GAPS.T.astype(np.float64)) ** 2)
        predicted, true = (x[clip, :frames] * DIMS.unit @ GAPS.T.astype(np.float64) for x in (offsets, wanted))
        shut.append((closedness(predicted) - closedness(true)) ** 2)
    assert float(terms["motion/l2"]) == pytest.approx(0.5 * np.mean(length), rel=1e-4)
    assert float(terms["motion/velocity"]) == pytest.approx(0.5 * np.mean(steps), rel=1e-4)
    assert float(terms["lips/gap"]) == pytest.approx(np.mean([gap.mean() for gap in gaps]), rel=1e-4)
    assert float(terms["lips/closure"]) == pytest.approx(np.mean([error.mean() for error in shut]), rel=1e-4)
    assert float(terms["regional/l1"]) == pytest.approx(np.abs(model.W.detach().numpy()).sum(), rel=1e-5)
    assert model.loss_weights() == {
        "motion/l2": 1.0, "motion/velocity": 0.0, "lips/gap": 0.0, "lips/closure": 0.0, "regional/l1": 1e-4,
    }  # fmt: skip


def test_one_matrix_embeds_and_decodes() -> None:
    model = CompositeRegional(SMALL, DIMS)
    matrix = model.W.detach().numpy().T  # 3V x Z, as in the paper
    template = np.random.default_rng(0).normal(0.0, 0.1, (V, 3)).astype(np.float32)
    code = np.random.default_rng(1).normal(size=Z).astype(np.float32)
    normal = ((template - np.array(DIMS.centre)) / DIMS.unit).reshape(-1)
    with torch.no_grad():
        embedded = model.embed_template(torch.from_numpy(template.reshape(1, -1)))[0].numpy()
        offsets = model.offsets(torch.from_numpy(code)).numpy()
    np.testing.assert_allclose(embedded, matrix.T @ normal, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(offsets, 0.1 * DIMS.unit * (matrix @ code), rtol=1e-4, atol=1e-8)


def test_equation_2_gives_each_clip_the_predicted_mean_and_deviation() -> None:
    model = CompositeRegional(SMALL, DIMS)
    seen: list[torch.Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    scale, shift = torch.rand(3, Z) + 0.5, torch.randn(3, Z)
    model.decode(3.0 + 5.0 * torch.randn(3, 50, C), scale, shift, torch.zeros(3, Z))
    torch.testing.assert_close(seen[0].mean(1), shift, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen[0].std(1), scale, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("audio_norm", ["clip", "batch", "running", "none"])
@pytest.mark.parametrize("style_statistics", ["mean_std", "mean_std_delta"])
@pytest.mark.parametrize("depth", [10, 18])
def test_padded_batch_equals_single_items(audio_norm: str, style_statistics: str, depth: int) -> None:
    config = dataclasses.replace(SMALL, audio_norm=audio_norm, style_statistics=style_statistics, encoder_depth=depth)
    model = CompositeRegional(config, DIMS, rig=RIG)
    batch = random_batch(short=True)
    model.loss(batch)  # moves the running statistics off their start
    model.eval()
    with torch.no_grad():
        scale, shift = model.style(batch.reference, batch.reference_mask)
        together = model.decode(batch.features, scale, shift, model.embed_template(batch.template), batch.mask)
        for clip, (frames, reference) in enumerate(((40, 31), (25, 31), (40, 17))):
            one = slice(clip, clip + 1)
            alone = model.style(batch.reference[one, :reference])
            torch.testing.assert_close(alone[0][0], scale[clip], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(alone[1][0], shift[clip], rtol=1e-4, atol=1e-5)
            codes = model.decode(batch.features[one, :frames], *alone, model.embed_template(batch.template[one]))
            torch.testing.assert_close(codes[0], together[clip, :frames], rtol=1e-3, atol=1e-4)


def test_batch_norm_sees_real_frames_only() -> None:
    x = torch.randn(2, 5, 9)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 4:] = False
    masked, plain = BatchNorm(5), torch.nn.BatchNorm1d(5)
    out = masked(x, mask)
    expected = plain(torch.cat([x[0], x[1, :, :4]], 1)[None])[0]
    torch.testing.assert_close(torch.cat([out[0], out[1, :, :4]], 1), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(masked.running_mean, plain.running_mean)
    torch.testing.assert_close(masked.running_var, plain.running_var)


def test_running_norm_treats_a_clip_alike_whatever_is_beside_it() -> None:
    norm = RunningNorm(4)
    for _ in range(50):
        norm(2.0 + 3.0 * torch.randn(2, 4, 100))
    torch.testing.assert_close(norm.running_mean, torch.full((4,), 2.0), atol=0.3, rtol=0)
    x = torch.randn(1, 4, 20)
    norm.eval()
    beside = norm(torch.cat([x, 100.0 * torch.randn(1, 4, 20)]))
    torch.testing.assert_close(norm(x)[0], beside[0])


def test_reference_mean_is_taken_out_as_equation_1_says() -> None:
    reference, still = torch.rand(1, 30, 3 * V) * 0.01, torch.rand(1, 1, 3 * V) * 0.01
    for norm, same in (("sequence_mean", True), ("template", False)):
        model = CompositeRegional(dataclasses.replace(SMALL, reference_norm=norm), DIMS).eval()
        with torch.no_grad():
            one, other = model.style(reference)[0], model.style(reference + still)[0]
        assert torch.allclose(one, other, atol=1e-4) is same


def test_ablations() -> None:
    batch = random_batch()
    without = CompositeRegional(dataclasses.replace(SMALL, composite=False), DIMS, rig=RIG)
    assert not any(name.startswith("reference_encoder") for name, _ in without.named_parameters())
    torch.testing.assert_close(without.style(batch.reference)[0][0], without.scale)
    without.loss(batch)["motion/l2"].backward()
    assert without.shift.grad is not None and float(without.shift.grad.abs().sum()) > 0.0
    dense = CompositeRegional(dataclasses.replace(SMALL, regional=False), DIMS, rig=RIG)
    assert "regional/l1" not in dense.loss(batch) and "regional/l1" not in dense.loss_weights()


def test_l1_makes_w_sparse() -> None:
    shares = []
    for weight in (0.0, 1e-2):
        model = CompositeRegional(dataclasses.replace(SMALL, loss_form="squared"), DIMS, rig=RIG)
        optimiser, batch = torch.optim.Adam(model.parameters(), 2e-3), random_batch()
        for _ in range(60):
            terms = model.loss(batch)
            optimiser.zero_grad()
            (terms["motion/l2"] + weight * terms["regional/l1"]).backward()
            optimiser.step()
        shares.append(float((model.W.abs() < 1e-2).float().mean()))
    assert shares[1] > shares[0] + 0.2


def test_receptive_field_is_what_context_frames_says() -> None:
    model = CompositeRegional(dataclasses.replace(SMALL, audio_norm="batch"), DIMS).eval()
    features = torch.randn(1, 40, C)
    changed = features.clone()
    changed[0, 20] += 1.0
    ones, zeros = torch.ones(1, Z), torch.zeros(1, Z)
    with torch.no_grad():
        moved = (model.decode(changed, ones, zeros, zeros) - model.decode(features, ones, zeros, zeros)).abs().sum(2)[0]
    where = torch.nonzero(moved > 1e-6)[:, 0]
    assert (int(where.min()), int(where.max())) == (20 - model.context_frames, 20 + model.context_frames)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"audio_norm": "bach"}, "did you mean 'batch'"),
        ({"encoder_depth": 12}, "expected 10 or 18"),
        ({"channels": 0}, "at least 1"),
        ({"chanels": 16}, "did you mean 'channels'"),
        ({"composite": 1}, "expected bool"),
        ({"l1": "small"}, "expected float"),
    ],
)
def test_wrong_settings_stop(table: dict[str, object], message: str) -> None:
    with pytest.raises(VultusError, match=message):
        make_config(Config, table, "method")


def test_wrong_inputs_stop() -> None:
    model = CompositeRegional(SMALL, DIMS, rig=RIG)
    with pytest.raises(VultusError, match="11 frames; expected at least 12"):
        model.style(torch.zeros(1, 11, K))
    with pytest.raises(VultusError, match="rig has 9 columns"):
        CompositeRegional(SMALL, DIMS, rig=np.zeros((K, 9), np.float32))


def test_mixed_precision_stays_close() -> None:
    model = CompositeRegional(dataclasses.replace(SMALL, audio_norm="batch"), DIMS, rig=RIG, gaps=GAPS)
    batch = random_batch(short=True)
    with torch.no_grad():
        exact = model.loss(batch)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model.loss(batch)
    for key, value in exact.items():
        assert mixed[key].dtype == torch.float32
        assert float(mixed[key]) == pytest.approx(float(value), rel=0.05)
