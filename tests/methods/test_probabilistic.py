"""The codec, the prior and what use of them promises, at the small size: width 64, 2 layers, 2 levels of 32 codes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vultus.errors import VultusError
from vultus.features.mel import MelEncoder
from vultus.methods.base import Batch, Dimensions
from vultus.methods.modules import clip_mean
from vultus.methods.probabilistic import Config, Probabilistic, complete
from vultus.methods.probabilistic_codec import codec_exit_test, whole_steps
from vultus.methods.probabilistic_prior import FineSequence
from vultus.methods.sampling import Sampling
from vultus.speech import Speech
from vultus.topology import Template, Topology

V, K, C = 40, 6, 10
LIPS = np.arange(12)
SMALL: dict[str, Any] = {
    "width": 64, "heads": 4, "coarse_layers": 2, "fine_layers": 2, "depth_layers": 2, "memory": 12, "fine_band": 3,
    "band": 2, "levels": 2, "codes": 32, "code_size": 16, "channels": 32, "stride": 2, "style_size": 16,
    "style_width": 32, "style_layers": 2, "dropout": 0.0, "codebook_decay": 0.9,
}  # fmt: skip
RIG = np.random.default_rng(0).normal(0.0, 0.002, (K, 3 * V)).astype(np.float32)
GAPS = (1000.0 * np.eye(3 * V)[:2] - 1000.0 * np.eye(3 * V)[3:5]).astype(np.float32)


def make(stage: str, *, rotation: bool = False, **changes: Any) -> Probabilistic:
    config = Config(**{**SMALL, "stage": stage, "codec": "run" if stage == "prior" else "", **changes})
    model = Probabilistic(config, Dimensions(V, C, 0.08, head_rotation=rotation), rig=RIG, gaps=GAPS)
    model.codec.lips = torch.from_numpy(RIG.reshape(K, V, 3)[:, LIPS].reshape(K, -1).copy())
    if stage == "prior":  # codes of one size, so that a test tells levels and codes apart
        for level in model.codec.levels:
            torch.nn.init.normal_(level._codebook.embed)  # type: ignore[union-attr, arg-type]
    return model


def batch(clips: int = 4, frames: int = 41, wide: int = K, seed: int = 1) -> Batch:
    """Motion that follows its features, and noise that does not."""
    rng = np.random.default_rng(seed)
    features = np.cumsum(rng.normal(size=(clips, frames, C)), 1).astype(np.float32) * 0.3
    motion = np.abs(np.sin(features[:, :, :1] + np.arange(wide) / 3.0)).astype(np.float32)
    reference = torch.from_numpy(motion[::-1].copy())
    return Batch(
        torch.from_numpy(features), torch.from_numpy(motion), torch.zeros(clips, 3 * V), reference, fps=30.0
    )  # fmt: skip


def total(model: Probabilistic, terms: dict[str, torch.Tensor]) -> torch.Tensor:
    weights = model.loss_weights()
    assert weights.keys() == terms.keys()
    return torch.stack([terms[key] * weight for key, weight in weights.items()]).sum()


def learn(model: Probabilistic, data: Batch, steps: int = 20, rate: float = 3e-3) -> list[float]:
    torch.manual_seed(0)
    model.codec.mean.copy_(data.motion.mean((0, 1)))
    model.codec.deviation.copy_(data.motion.std((0, 1)))
    optimiser, totals = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], rate), []
    for _ in range(steps):
        loss = total(model, model.loss(data))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        totals.append(float(loss.detach()))
    return totals


def heard(model: Probabilistic, steps: int, seed: int = 3) -> torch.Tensor:
    frames = np.random.default_rng(seed).normal(size=(1, 2 * steps, C)).astype(np.float32)
    model.eval()
    with torch.no_grad():
        return model.hearing(torch.from_numpy(frames), None)


def noise(copies: int, steps: int, levels: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).random((copies, steps, levels)).astype(np.float32))


# The codec


def test_codec_learns_and_every_level_brings_it_nearer() -> None:
    model, data = make("codec", quantizer_dropout=0.3), batch(8, 64)
    totals = learn(model, data, 60)
    assert totals[19] < 0.9 * totals[0] and totals[-1] < 0.5 * totals[0]
    model.eval()
    codes, _ = model.codec.encode(data.motion)
    errors = [
        float((model.codec.decode(model.codec.latents(codes[..., :n]), 64) - data.motion).pow(2).mean().detach())
        for n in (1, 2)
    ]
    assert codes.shape == (8, 32, 2) and errors[1] < errors[0] < 0.2 * float(data.motion.var())


def test_straight_through_gradient_reaches_the_encoder_once() -> None:
    """Through all levels together, not once for each: halving the decoder's view does not scale it."""
    grown = []
    for levels in (1, 3):
        model = make("codec", levels=levels, quantizer_dropout=0.0, dead_code=0.0)
        data = batch()
        model.loss(data)  # the start by k-means
        model.codec.decoder.requires_grad_(False)
        latents = torch.randn(2, 8, 16, requires_grad=True)
        parts, _, _ = model.codec.quantise(latents, None)
        passed = latents + (parts.sum(0) - latents).detach()
        passed.sum().backward()
        assert latents.grad is not None
        grown.append(float(latents.grad.mean()))
    assert grown == [1.0, 1.0]


def test_padding_changes_neither_codes_nor_terms() -> None:
    model, data = make("codec"), batch(2, 41)
    model.loss(data)
    model.eval()
    padded = dataclasses.replace(
        data,
        motion=torch.cat([data.motion, torch.full((2, 9, K), 7.0)], 1),
        features=torch.cat([data.features, torch.zeros(2, 9, C)], 1),
        mask=torch.arange(50).expand(2, -1) < 41,
    )
    codes, mask = model.codec.encode(padded.motion, padded.mask)
    assert mask is not None and mask.sum(1).tolist() == [21, 21]
    assert torch.equal(codes[:, :21], model.codec.encode(data.motion)[0]) and bool((codes[:, 21:] == -1).all())
    one, other = model.loss(data), model.loss(padded)
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], rtol=1e-4, atol=1e-6)


def test_decoding_in_windows_equals_decoding_at_once() -> None:
    for stride in (1, 2, 4):
        model = make("codec", stride=stride).eval()
        latents = torch.randn(2, 90, 16)
        whole = model.codec.decode(latents, 90 * stride - 1)
        for window in (1, 7, 40):
            torch.testing.assert_close(model.codec.decode(latents, 90 * stride - 1, window=window), whole)
        assert whole.shape == (2, 90 * stride - 1, K)


def test_dead_codes_move_onto_data() -> None:
    model, data = make("codec", codes=8, codebook_decay=0.5), batch(8, 64)
    model.loss(data)
    book = model.codec.levels[0]._codebook  # type: ignore[union-attr]
    book.embed.data[0, 3] = 1e3  # type: ignore[index, union-attr]
    book.embed_avg.data[0, 3] = 1e3 * book.cluster_size[0, 3]  # type: ignore[index, union-attr]
    for _ in range(12):
        model.loss(data)
    codes, _ = model.codec.encode(data.motion)
    assert 3 in codes[..., 0].unique() or float(book.embed[0, 3].abs().max()) < 100.0  # type: ignore[index, union-attr]


def test_terms_over_vertices_are_those_of_the_vertices() -> None:
    model, data = make("codec"), batch(2, 20)
    model.loss(data)
    model.eval()
    terms = model.loss(data)
    codes, _ = model.codec.encode(data.motion)
    back = model.codec.decode(model.codec.latents(codes), 20).detach()
    error = ((back - data.motion) @ torch.from_numpy(RIG)).view(2, 20, V, 3)
    root = 100.0 * error.pow(2).sum(3).mean(2).sqrt()
    torch.testing.assert_close(terms["codec/vertices"], root.mean(), rtol=1e-3, atol=1e-4)
    on_lips = 100.0 * error[:, :, LIPS].pow(2).sum(3).mean(2).sqrt()
    torch.testing.assert_close(terms["codec/lips"], on_lips.mean(), rtol=1e-3, atol=1e-4)
    gaps = 0.1 * (error.flatten(2) @ torch.from_numpy(GAPS).T).abs().mean()
    torch.testing.assert_close(terms["lips/gap"], gaps, rtol=1e-3, atol=1e-4)


def test_exit_test_measures_lips_and_codes() -> None:
    model, data = make("codec"), batch(8, 64)
    learn(model, data, 60)
    model.eval()
    clips = [clip.numpy() for clip in data.motion]
    found = codec_exit_test(model.codec, clips, scores=lambda number, motion: float(number + motion.mean() * 0.0))
    assert len(found.l_vertex) == 2 and found.l_vertex[1] < found.l_vertex[0] and found.sync_loss == 0.0
    codes, _ = model.codec.encode(data.motion)
    back = model.codec.decode(model.codec.latents(codes), 64).detach()
    moved = ((back - data.motion) @ torch.from_numpy(RIG)).view(8, 64, V, 3)[:, :, LIPS]
    assert found.l_vertex[1] == pytest.approx(1000.0 * float(moved.norm(dim=3).amax(2).mean()), rel=1e-3)
    assert found.code_use[0] == len(codes[..., 0].unique()) / 32
    assert not dataclasses.replace(found, code_use=(0.5, 0.9)).passed
    assert dataclasses.replace(found, l_vertex=(3.0, 1.0), code_use=(0.9, 0.9)).passed
    assert not dataclasses.replace(found, l_vertex=(3.0, 1.0), code_use=(0.9, 0.9), sync_loss=0.05).passed
    frozen = dataclasses.replace(found, l_vertex=(3.0, 1.0), code_use=(0.9, 0.9), explained={"upper_face": 0.1})
    assert not frozen.passed  # lips alone are no face
    with pytest.raises(VultusError, match="no clips"):
        codec_exit_test(model.codec, [])


def test_exit_test_tells_how_much_of_upper_face_and_head_is_kept() -> None:
    model, data = make("codec", rotation=True), batch(8, 64, K + 3)
    upper = torch.from_numpy(RIG.reshape(K, V, 3)[:, 20:].reshape(K, -1)).double()
    model.codec.upper.copy_(upper @ upper.T / 20)
    learn(model, data, 60)
    model.eval()
    found = codec_exit_test(model.codec, [clip.numpy() for clip in data.motion])
    codes, _ = model.codec.encode(data.motion)
    error = model.codec.decode(model.codec.latents(codes), 64).detach() - data.motion
    moved, missed = data.motion[..., :K].double() @ upper, error[..., :K].double() @ upper
    variance = (moved - moved.mean((0, 1))).square().sum()
    assert found.explained["upper_face"] == pytest.approx(1.0 - float(missed.square().sum() / variance), abs=1e-4)
    turned = (data.motion[..., K:] - data.motion[..., K:].mean((0, 1))).square().sum()
    assert found.explained["head"] == pytest.approx(1.0 - float(error[..., K:].square().sum() / turned), abs=1e-4)


def test_first_steps_are_free_of_codes() -> None:
    model, data = make("codec", free_steps=3), batch(4, 32)
    with pytest.raises(VultusError, match="free of codes"):
        model.codec.encode(data.motion)
    for step in range(5):
        terms = model.loss(data)
        assert (float(terms["codec/commitment"].detach()) == 0.0) == (step < 3)
    assert int(model.codec.steps_done) == 5
    model.eval()
    model.loss(data)
    assert int(model.codec.steps_done) == 5
    with pytest.raises(VultusError, match="free_steps"):
        make("codec", free_steps=-1)


def test_rare_event_is_coded() -> None:
    """A blink moves few vertices in few frames: what a mean of lengths over frames would trade for the rest."""
    rng = np.random.default_rng(0)
    motion = 0.5 + 0.1 * rng.normal(size=(16, 64, K)).cumsum(1) / 8.0
    motion[..., 5] = 0.0
    for clip in range(16):
        place = int(rng.integers(8, 52))
        motion[clip, place : place + 4, 5] = (0.6, 1.0, 1.0, 0.6)
    data = batch(16, 64)
    data = dataclasses.replace(data, motion=torch.from_numpy(motion.astype(np.float32)))
    model = make("codec", free_steps=120)
    upper = torch.from_numpy(RIG.reshape(K, V, 3)[5, 20:30].reshape(1, -1))
    model.codec.upper[5, 5] = float((upper @ upper.T) / 10)
    learn(model, data, 260)
    model.eval()
    codes, _ = model.codec.encode(data.motion)
    back = model.codec.decode(model.codec.latents(codes), 64).detach()[..., 5]
    assert float(back.amax(1).median()) > 0.6


# The prior


WAYS = ("A1", "A2", "A3", "A4", "A5", "A1+A2", "A1+A2+A3", "A1+A4")


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("fine", ["sequence", "depth"])
def test_prior_loss_falls(ways: str, fine: str) -> None:
    if fine == "depth" and ways not in ("A1+A2+A3", "A5"):
        pytest.skip("the depth form does not look at the conditioning")
    model = make("prior", conditioning=ways, fine=fine, history_noise=0.0, history_dropout=0.0)
    totals = learn(model, batch(4, 32), 20)
    assert np.isfinite(totals).all() and np.mean(totals[-3:]) < 0.9 * totals[0]
    assert all(p.grad is None for p in model.codec.parameters())
    unused = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not [name for name in unused if name not in ("no_sound", "no_style")], unused


def test_training_leaves_the_codec_alone() -> None:
    model, data = make("prior"), batch(4, 32)
    learn(model, data, 1)
    before = {key: value.clone() for key, value in model.codec.state_dict().items()}
    learn(model, data, 3)
    assert all(torch.equal(before[key], value) for key, value in model.codec.state_dict().items())
    assert model.training and not model.codec.training


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("fine", ["sequence", "depth"])
def test_cached_steps_equal_full_decoding(ways: str, fine: str) -> None:
    """Draws of the incremental model are what the full model would have drawn, with the same numbers."""
    limit = 40 if "A4" in ways or ways == "A5" else 12  # those two have a window of their own
    model = make("prior", conditioning=ways, fine=fine, memory=limit)
    sound, style = heard(model, 30), torch.randn(1, 16)
    for parameter in model.coarse.parameters():  # zero starts hide mistakes
        torch.nn.init.normal_(parameter, std=0.15) if parameter.ndim == 2 else None
    chance = noise(3, 30)
    with torch.no_grad():
        codes = torch.from_numpy(model.draw(sound, style, Sampling(fine_temperature=1.0), chance.numpy())).long()
        past = torch.nn.functional.pad(codes[:, :-1, : model.coarse.history_levels], (0, 0, 1, 0), value=-1)
        hidden, logits = model.coarse(past, sound.expand(3, -1, -1), style.expand(3, -1), None)
        cumulated = torch.softmax(logits.double(), -1).cumsum(-1)
        drawn = (cumulated <= chance[..., :1]).sum(-1)
        assert torch.equal(drawn, codes[..., 0])
        if fine == "depth":
            assert model.fine is not None
            fine_logits = model.fine(hidden.flatten(0, 1), codes[..., :1].flatten(0, 1)).view(3, 30, -1)
        else:
            assert isinstance(model.fine, FineSequence)
            ones = torch.ones(3, dtype=torch.long)
            fine_logits = model.fine(codes, ones, sound.expand(3, -1, -1), style.expand(3, -1), None)
        wanted = (torch.softmax(fine_logits.double(), -1).cumsum(-1) <= chance[..., 1:]).sum(-1)
        assert torch.equal(wanted, codes[..., 1])
    assert len({tuple(row) for row in codes[..., 0].tolist()}) == 3


def test_windows_may_be_cut_anywhere() -> None:
    """Aligned conditioning keeps its history: long speech is the same for any window, also with guidance."""
    model = make("prior", conditioning="A1+A2+A3")
    sound, style, chance = heard(model, 70), torch.randn(1, 16), noise(2, 70)
    both = (torch.cat([sound, model.no_sound.detach().expand_as(sound)]), style.expand(2, -1))
    assert isinstance(model.fine, FineSequence)
    with torch.no_grad():
        for sampling, kinds in ((Sampling(), (sound, style)), (Sampling(guidance=2.0), both)):
            whole = model.coarse.generate(*kinds, sampling, chance, None, window=1000)
            for window in (1, 9, 32):
                assert torch.equal(model.coarse.generate(*kinds, sampling, chance, None, window=window), whole)
        every = model.fine.generate(whole, sound, style, Sampling(), chance, window=1000)
        for window in (5, 33):
            assert torch.equal(model.fine.generate(whole, sound, style, Sampling(), chance, window=window), every)


def test_the_end_of_speech_does_not_change_its_beginning_but_for_what_is_heard_ahead() -> None:
    model = make("prior", conditioning="A1+A2+A3")
    sound, style, chance = heard(model, 60), torch.randn(1, 16), noise(1, 60)
    with torch.no_grad():
        whole = model.coarse.generate(sound, style, Sampling(), chance, None)
        part = model.coarse.generate(sound[:, :40], style, Sampling(), chance[:, :40], None)
    assert torch.equal(whole[:, :38], part[:, :38])  # two steps ahead: A1 and the band


def test_free_and_prefix_conditioning_run_in_windows_with_kept_history() -> None:
    for ways in ("A4", "A5"):
        model = make("prior", conditioning=ways, memory=16)
        sound, style, chance = heard(model, 50), torch.randn(1, 16), noise(2, 50)
        with torch.no_grad():
            codes = model.coarse.generate(sound, style, Sampling(), chance, None)
            # The second window: 4 forced steps, then 12 drawn, as if it were a speech of 16 with those codes known.
            again = model.coarse.generate(sound[:, :12], style, Sampling(), chance[:, :12], None)
        assert codes.shape == (2, 50, 1) and int(codes.min()) >= 0
        assert torch.equal(codes[:, :12], again)


def test_padded_clips_give_the_terms_of_single_ones() -> None:
    for ways in WAYS:
        for fine in ("sequence", "depth"):
            model = make("prior", conditioning=ways, fine=fine).eval()
            long, short = batch(1, 40, seed=1), batch(1, 27, seed=2)
            both = dataclasses.replace(
                long,
                features=torch.cat([long.features, torch.nn.functional.pad(short.features, (0, 0, 0, 13))]),
                motion=torch.cat([long.motion, torch.nn.functional.pad(short.motion, (0, 0, 0, 13))]),
                reference=torch.cat([long.reference, torch.nn.functional.pad(short.reference, (0, 0, 0, 13))]),
                mask=torch.arange(40) < torch.tensor([[40], [27]]),
                reference_mask=torch.arange(40) < torch.tensor([[40], [27]]),
            )
            alone = [model.loss(data) for data in (long, short)]
            together = model.loss(both)
            for key, value in together.items():
                mean = (alone[0][key] + alone[1][key]) / 2
                torch.testing.assert_close(value, mean, rtol=2e-4, atol=2e-4, msg=f"{ways} {fine} {key}")


def test_head_rotation_is_coded_with_the_rest() -> None:
    model = make("prior", rotation=True)
    assert model.codec.dimension == K + 3
    features = np.random.default_rng(0).normal(size=(30, C)).astype(np.float32)
    motion = np.random.default_rng(1).random((40, K + 3), np.float32)
    style = model.style_vector(motion)
    assert style.shape == (16,) and model.style_vector(motion[:, :K]).shape == (16,)  # a clip may lack it
    takes = model.perform(features, style=style, num_takes=2)
    assert takes.shape == (2, 30, K + 3) and not np.allclose(takes[0], takes[1])
    assert np.isfinite(model.loss(batch(2, 30, K + 3))["prior/coarse"].detach().numpy())


def test_predict_follows_rates_and_leaves_no_trace() -> None:
    class Encoder(MelEncoder):
        dimension = C

        def __call__(self, speech: Speech) -> Any:
            found = super().__call__(speech)
            return type(found)(found.values[:, :C], found.rate, found.offset)

    model = make("prior")
    template = Template(Topology(np.zeros((1, 3), np.int32), V), np.zeros((V, 3), np.float32))
    sound = Speech(np.random.default_rng(5).normal(0.0, 0.1, 20_000).astype(np.float32), "noise")
    before = torch.get_rng_state()
    common: dict[str, Any] = {"encoder": Encoder(), "template": template, "seed": 3}
    slow = model.predict(sound, fps=25.0, num_takes=2, **common)
    fast = model.predict(sound, fps=60.0, num_takes=1, **common)
    assert torch.equal(before, torch.get_rng_state()) and model.training
    assert [len(motion) for motion in slow] == [31, 31] and len(fast[0]) == 75
    np.testing.assert_allclose(slow[0].values[25], fast[0].values[60], atol=1e-5)  # one second in, the same take
    assert slow[0].rig.vertices(slow[0].values, template).shape == (31, V, 3)
    with pytest.raises(VultusError, match=r"expected 12 or more|at least 12"):
        model.style_vector(np.zeros((5, K), np.float32))
    with pytest.raises(VultusError, match="expected finite"):
        model.style_vector(np.zeros((50, 3 * V), np.float32))
    with pytest.raises(VultusError, match="a codec alone"):
        make("codec").perform(np.zeros((9, C), np.float32))


# Settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 3}, "method.stride is 3"),
        ({"stage": "both"}, "unknown method.stage"),
        ({"stage": "prior", "codec": ""}, "method.codec is empty"),
        ({"conditioning": "A1+A6"}, "unknown method.conditioning 'A6'"),
        ({"conditioning": "A3+A4"}, "expected A5 alone"),
        ({"conditioning": "A5+A1"}, "expected A5 alone"),
        ({"width": 60, "heads": 8}, "multiple of 2 x 8 heads"),
        ({"audio_dropout": 1.0}, "method.audio_dropout is 1"),
        ({"levels": 0}, "method.levels is 0"),
        ({"fine": "deep"}, "unknown method.fine"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(VultusError, match=message):
        Config(**{**SMALL, **change})


def test_a_prior_takes_its_sizes_from_the_codec_it_names(tmp_path: Path) -> None:
    table = {"stage": "prior", "codec": str(tmp_path)}
    with pytest.raises(VultusError, match=r"no readable settings.json"):
        complete(table)
    settings = {"method": {"name": "probabilistic", **dataclasses.asdict(Config(levels=3, codes=64))}}
    (tmp_path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(VultusError, match="has not finished"):
        complete(table)
    (tmp_path / "model.safetensors").touch()
    full = complete(table)
    assert (full["levels"], full["codes"], full["stage"]) == (3, 64, "prior")
    with pytest.raises(VultusError, match=r"method.levels is 4; the codec in .* has 3"):
        complete({**table, "levels": 4})
    settings["method"]["stage"] = "prior"
    (tmp_path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(VultusError, match="expected one of stage codec"):
        complete(table)
    assert complete(full) == full  # a finished prior needs its codec's run no more


def test_helpers_hold_the_last_frame_and_average_by_clip() -> None:
    frames = torch.arange(10.0).view(1, 5, 2)
    held, mask = whole_steps(frames, None, 4)
    assert mask is None and held[0, :, 0].tolist() == [0, 2, 4, 6, 8, 8, 8, 8]
    held, mask = whole_steps(frames, torch.tensor([[True, True, True, False, False]]), 2)
    assert mask is not None and mask.tolist() == [[True, True, False]]
    assert held[0, :, 0].tolist() == [0, 2, 4, 4, 4, 4]
    assert float(clip_mean(torch.tensor([[1.0, 9.0], [2.0, 4.0]]), torch.tensor([[True, False], [True, True]]))) == 2.0
