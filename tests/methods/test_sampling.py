"""Every strategy on a model whose draws are known, and the promises about seeds and requests that mean nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vultus.errors import VultusError
from vultus.methods import sampling as module
from vultus.methods.sampling import Sampling, choose, lip_distance, sample

STEPS, FRAMES, CODES = 6, 12, 8


class Dice:
    """Codes are the noise, cut to 8 faces; motion (T, 2) repeats each step twice: lips move by column 0, brows by 1."""

    num_levels = 2
    regional = True

    def __init__(self) -> None:
        self.batches: list[int] = []

    def num_steps(self, heard: Any) -> int:
        return STEPS

    def check_sampling(self, sampling: Sampling) -> None:
        if sampling.guidance != 1.0:
            raise VultusError("sampling: no guidance here")

    def draw(
        self, heard: Any, style: Tensor, sampling: Sampling, noise: Tensor, coarse: Tensor | None = None
    ) -> Tensor:
        self.batches.append(len(noise))
        codes = (noise * CODES).long()
        if coarse is not None:
            codes[..., 0] = coarse
        return codes

    def likeliest(self, heard: Any, style: Tensor, sampling: Sampling, noise: Tensor) -> Tensor:
        return (noise[..., 0] * CODES).long().median(1).values

    def latents(self, codes: Tensor) -> Tensor:
        return codes.float()

    def decode(self, latents: Tensor, frames: int) -> Tensor:
        return latents.repeat_interleave(2, 1)[:, :frames] ** 2  # not linear: averages before and after it differ

    def lip_vertices(self, motion: Tensor) -> Tensor:
        return torch.stack([motion[..., :1].expand(*motion.shape[:-1], 3), motion[..., :1] * torch.eye(3)[0]], -2)

    def mouth_columns(self) -> Tensor:
        return torch.tensor([True, False])


def take(text: str, **changes: Any) -> Tensor:
    options = {key: changes.pop(key) for key in list(changes) if key in module.OPTIONS}
    given: dict[str, Any] = {"frames": FRAMES, "num_takes": 3, "seed": 7, **changes}
    return sample(Dice(), None, torch.zeros(1, 1), Sampling.parse(text, **options), **given)


def draws(number: int, count: int, seed: int = 7) -> Tensor:
    """The draws that take `number` is made of."""
    noise = torch.stack([module._noise(seed, number, draw, STEPS, 2) for draw in range(count)])
    model = Dice()
    return model.decode(model.latents(model.draw(None, torch.zeros(1), Sampling(), noise)), FRAMES)


def test_plain_is_one_draw_and_averages_are_means() -> None:
    plain, avg, latent = take("plain"), take("avg-5"), take("avg-5-latent")
    for number in range(3):
        torch.testing.assert_close(plain[number], draws(number, 1)[0])
        torch.testing.assert_close(avg[number], draws(number, 5).mean(0))
        torch.testing.assert_close(latent[number], draws(number, 5).sqrt().mean(0) ** 2)
    assert not torch.allclose(avg, latent)


def test_knn_averages_the_nearest_and_lies_between_plain_and_average() -> None:
    every = draws(1, 6)
    lips = Dice().lip_vertices(every)
    distance = torch.stack([lip_distance(lips[0], other) for other in lips])
    order = distance.argsort()
    assert int(order[0]) == 0
    torch.testing.assert_close(take("knn-6-3")[1], every[order[:3]].mean(0))
    torch.testing.assert_close(take("knn-6-1")[1], every[0])
    torch.testing.assert_close(take("knn-6-6")[1], every.mean(0))


def test_medoid_is_the_draw_nearest_to_all() -> None:
    every = draws(2, 7)
    lips = Dice().lip_vertices(every)
    mean = [float(torch.stack([lip_distance(one, other) for other in lips]).mean()) for one in lips]
    torch.testing.assert_close(take("medoid-7")[2], every[int(np.argmin(mean))])


def test_lip_distance_is_the_largest_lip_vertex_averaged_over_frames() -> None:
    one = torch.zeros(2, 3, 3)
    other = one.clone()
    other[0, 1], other[1, 2] = torch.tensor([3.0, 4.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    assert float(lip_distance(one, other)) == 3.0


def test_sync_takes_what_the_scorer_likes() -> None:
    asked: list[tuple[int, ...]] = []

    def scorer(motion: np.ndarray) -> float:
        asked.append(motion.shape)
        return float(motion[:, 0].sum())

    every = draws(0, 5)
    order = every[..., 0].sum(1).argsort(descending=True)
    torch.testing.assert_close(take("sync-5", scorer=scorer)[0], every[order[0]])
    torch.testing.assert_close(take("sync-5-2", scorer=scorer)[0], every[order[:2]].mean(0))
    assert asked == [(FRAMES, 2)] * 30
    with pytest.raises(VultusError, match="no number"):
        take("sync-5", scorer=lambda motion: float("nan"))


def test_coarse_average_fixes_level_one_and_keeps_the_fine_levels() -> None:
    moved = take("coarse-avg-9")
    plain = take("plain")
    assert torch.equal(moved[..., 1], plain[..., 1]) and not torch.equal(moved[..., 0], plain[..., 0])
    spread = [float((t[..., 0].sqrt() - 3.5).abs().mean()) for t in (moved, plain)]
    assert spread[0] < 0.7 * spread[1]  # medians of nine are nearer to the middle


def test_region_joins_the_mouth_of_one_to_the_rest_of_another() -> None:
    joined, lips = take("region-avg-5"), take("avg-5")
    assert torch.equal(joined[..., 0], lips[..., 0])
    assert not torch.equal(joined[..., 1], lips[..., 1]) and not torch.equal(joined[..., 1], take("plain")[..., 1])
    assert set(joined[..., 1].sqrt().flatten().tolist()) <= set(range(CODES))  # one draw, not a mean
    assert Sampling.parse("region") == Sampling.parse("region-avg-10")
    scored = take("region-sync-4", scorer=lambda motion: float(motion.sum()))
    assert torch.equal(scored[..., 0], take("sync-4", scorer=lambda motion: float(motion.sum()))[..., 0])


@pytest.mark.parametrize(
    "text", ["plain", "avg-3", "avg-3-latent", "knn-4-2", "medoid-4", "sync-3", "coarse-avg-3", "region-avg-3"]
)
def test_same_seed_same_takes_whatever_their_number(text: str) -> None:
    scorer = (lambda motion: float(motion.sum())) if text == "sync-3" else None
    four, two = take(text, num_takes=4, scorer=scorer), take(text, num_takes=2, scorer=scorer)
    assert four.shape == (4, FRAMES, 2) and torch.equal(four[:2], two)
    assert not torch.equal(four, take(text, num_takes=4, seed=8, scorer=scorer))
    assert all(not torch.equal(four[i], four[j]) for i in range(4) for j in range(i))


def test_draws_share_batches_and_torch_keeps_its_random_state() -> None:
    model, before = Dice(), torch.get_rng_state()
    sample(model, None, torch.zeros(1), Sampling.parse("avg-30"), frames=FRAMES, num_takes=4)
    assert model.batches == [64, 56] and torch.equal(before, torch.get_rng_state())


def test_codes_come_as_often_as_their_probability() -> None:
    logits = torch.tensor([2.0, 0.0, 1.0, -3.0, 1.0])
    uniform = (torch.arange(20_000) + 0.5) / 20_000
    for temperature in (0.5, 1.0, 2.0):
        codes = choose(logits.expand(20_000, -1), uniform, temperature)
        share = torch.bincount(codes, minlength=5) / 20_000
        torch.testing.assert_close(share, torch.softmax(logits / temperature, 0), atol=1e-3, rtol=0.0)
    assert int(choose(logits, torch.tensor(0.99), 0.0)) == 0
    kept = choose(logits.expand(20_000, -1), uniform, 1.0, top_k=3)
    assert kept.unique().tolist() == [0, 2, 4]
    # 0.5, 0.18 and 0.18 hold 0.87: the smallest set over 0.8 is three of them, over 0.5 two.
    assert choose(logits.expand(20_000, -1), uniform, 1.0, top_p=0.8).unique().tolist() == [0, 2, 4]
    assert choose(logits.expand(20_000, -1), uniform, 1.0, top_p=0.55).unique().tolist() == [0, 2]
    assert choose(logits.expand(20_000, -1), uniform, 1.0, top_p=1e-9).unique().tolist() == [0]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("average-5", {}, "unknown sampling strategy 'average-5'"),
        ("avg-1", {}, "avg of 1 draws; expected 2 to 1000"),
        ("avg-5000", {}, "expected 2 to 1000"),
        ("knn-4-5", {}, "5 nearest of 4 draws"),
        ("region-region-avg-3", {}, "region within region"),
        ("region-median", {}, "unknown sampling strategy 'median'"),
        ("plain", {"temprature": 1.0}, "did you mean 'temperature'"),
        ("plain", {"temperature": -1.0}, "temperature is -1"),
        ("plain", {"top_p": 0.0}, "top_p is 0"),
        ("plain", {"top_k": -2}, "top_k is -2"),
        ("plain", {"temperature": 0.0, "top_k": 5}, "choose nothing at temperature 0"),
        ("avg-5", {"temperature": 0.0, "fine_temperature": 0.0}, "makes all draws equal"),
        ("plain", {"draws": 3}, "unknown option of sampling 'draws'"),
    ],
)
def test_impossible_samplings_are_refused(text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(VultusError, match=message) as error:
        Sampling.parse(text, **options)
    assert "\n" not in str(error.value)


def test_impossible_requests_are_refused_before_any_draw() -> None:
    model = Dice()

    def ask(text: str, num_takes: int = 1, scorer: Any = None, **options: Any) -> None:
        chosen = Sampling.parse(text, **options)
        sample(model, None, torch.zeros(1), chosen, frames=FRAMES, num_takes=num_takes, scorer=scorer)

    for message, call in (
        ("0 takes asked for", lambda: ask("plain", 0)),
        ("5000 takes asked for", lambda: ask("plain", 5000)),
        ("sync needs a scorer", lambda: ask("sync-4")),
        ("region needs a scorer", lambda: ask("region-sync-4")),
        ("which avg does not use", lambda: ask("avg-4", scorer=lambda motion: 0.0)),
        ("makes all 2 takes equal", lambda: ask("plain", 2, temperature=0.0, fine_temperature=0.0)),
        ("no guidance here", lambda: ask("plain", guidance=2.0)),
    ):
        with pytest.raises(VultusError, match=message):
            call()
    assert not model.batches
    with pytest.raises(VultusError, match="seed is -1"):
        take("plain", seed=-1)
    assert dataclasses.replace(Sampling.parse("plain"), temperature=0.0).temperature == 0.0
