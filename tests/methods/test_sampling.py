"""Every strategy on a model whose draws are known, and the promises about seeds and requests that mean nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.methods import draws as drawing
from vultus.methods import sampling as module
from vultus.methods.draws import choose, lip_distance
from vultus.methods.sampling import Sampling, sample

STEPS, FRAMES, CODES = 6, 12, 8


class Dice:
    """Codes are the noise, cut to 8 faces; motion (T, 2) repeats each step twice: lips move by column 0, brows by 1."""

    num_levels = 2
    stride = 2
    context_steps = 0

    def __init__(self) -> None:
        self.batches: list[int] = []

    def num_steps(self, heard: Any) -> int:
        return STEPS

    def check_sampling(self, sampling: Sampling) -> None:
        if sampling.guidance != 1.0:
            raise VultusError("sampling: no guidance here")

    def draw(
        self, heard: Any, style: Any, sampling: Sampling, noise: np.ndarray, coarse: np.ndarray | None = None
    ) -> np.ndarray:
        self.batches.append(len(noise))
        codes = (noise * CODES).astype(np.int16)
        if coarse is not None:
            codes[..., 0] = coarse
        return codes

    def likeliest(self, heard: Any, style: Any, sampling: Sampling, noise: np.ndarray) -> np.ndarray:
        return np.median((noise[..., 0] * CODES).astype(int), 1).astype(np.int16)

    def latents(self, codes: np.ndarray) -> np.ndarray:
        return codes.astype(np.float32)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        return latents.repeat(2, 1) ** 2  # not linear: averages before and after it differ

    def lip_vertices(self, motion: np.ndarray) -> np.ndarray:
        moved = motion[..., :1] ** np.float32(0.9)  # so that no two draws are equally far from a third
        return np.stack([moved.repeat(3, -1), moved * np.eye(3, dtype=np.float32)[0]], -2)

    def mouth_columns(self) -> np.ndarray:
        return np.array([True, False])


class Echo(Dice):
    """Decodes with an echo of the steps around, so that windows without their context would be heard."""

    context_steps = 2

    def decode(self, latents: np.ndarray) -> np.ndarray:
        padded = np.pad(latents, ((0, 0), (2, 2), (0, 0)))
        return np.float32(0.5) * super().decode(padded[:, :-4] + padded[:, 2:-2] + np.float32(2) * padded[:, 4:])


def take(text: str, model: Dice | None = None, **changes: Any) -> np.ndarray:
    options = {key: changes.pop(key) for key in list(changes) if key in module.OPTIONS}
    given: dict[str, Any] = {"frames": FRAMES, "num_takes": 3, "seed": 7, **changes}
    return sample(model or Dice(), None, None, Sampling.parse(text, **options), **given)


def draws(number: int, count: int, seed: int = 7) -> np.ndarray:
    """The draws that take `number` is made of."""
    noise = np.stack([drawing.noise(seed, number, draw, STEPS, 2) for draw in range(count)])
    model = Dice()
    return model.decode(model.latents(model.draw(None, None, Sampling(), noise)))[:, :FRAMES]


def test_plain_is_one_draw_and_averages_are_means() -> None:
    plain, avg, latent = take("plain"), take("avg-5"), take("avg-5-latent")
    for number in range(3):
        np.testing.assert_allclose(plain[number], draws(number, 1)[0])
        np.testing.assert_allclose(avg[number], draws(number, 5).mean(0))
        np.testing.assert_allclose(latent[number], np.sqrt(draws(number, 5)).mean(0) ** 2)
    assert not np.allclose(avg, latent)


def test_knn_averages_the_nearest_and_lies_between_plain_and_average() -> None:
    every = draws(1, 6)
    lips = Dice().lip_vertices(every)
    distance = np.stack([lip_distance(lips[0], other) for other in lips])
    order = distance.argsort(kind="stable")
    assert int(order[0]) == 0
    np.testing.assert_allclose(take("knn-6-3")[1], every[order[:3]].mean(0))
    np.testing.assert_allclose(take("knn-6-1")[1], every[0])
    np.testing.assert_allclose(take("knn-6-6")[1], every.mean(0))


def test_medoid_is_the_draw_nearest_to_all() -> None:
    every = draws(2, 7)
    lips = Dice().lip_vertices(every)
    mean = [float(np.mean([lip_distance(one, other) for other in lips])) for one in lips]
    np.testing.assert_allclose(take("medoid-7")[2], every[int(np.argmin(mean))])


def test_lip_distance_is_the_largest_lip_vertex_averaged_over_frames() -> None:
    one, other = np.zeros((2, 3, 3)), np.zeros((2, 3, 3))
    other[0, 1], other[1, 2] = [3.0, 4.0, 0.0], [0.0, 1.0, 0.0]
    assert float(lip_distance(one, other)) == 3.0


def test_sync_takes_what_the_scorer_likes() -> None:
    asked: list[tuple[int, ...]] = []

    def scorer(motion: np.ndarray) -> float:
        asked.append(motion.shape)
        return float(motion[:, 0].sum())

    every = draws(0, 5)
    order = (-every[..., 0].sum(1)).argsort(kind="stable")
    np.testing.assert_allclose(take("sync-5", scorer=scorer)[0], every[order[0]])
    np.testing.assert_allclose(take("sync-5-2", scorer=scorer)[0], every[order[:2]].mean(0))
    assert asked == [(FRAMES, 2)] * 30
    with pytest.raises(VultusError, match="no number"):
        take("sync-5", scorer=lambda motion: float("nan"))


def test_coarse_average_fixes_level_one_and_keeps_the_fine_levels() -> None:
    moved = take("coarse-avg-9")
    plain = take("plain")
    assert np.array_equal(moved[..., 1], plain[..., 1]) and not np.array_equal(moved[..., 0], plain[..., 0])
    spread = [float(np.abs(np.sqrt(t[..., 0]) - 3.5).mean()) for t in (moved, plain)]
    assert spread[0] < 0.7 * spread[1]  # medians of nine are nearer to the middle


def test_region_joins_the_mouth_of_one_to_the_rest_of_another() -> None:
    joined, lips = take("region-avg-5"), take("avg-5")
    assert np.array_equal(joined[..., 0], lips[..., 0])
    assert not np.array_equal(joined[..., 1], lips[..., 1]) and not np.array_equal(
        joined[..., 1], take("plain")[..., 1]
    )
    assert set(np.sqrt(joined[..., 1]).ravel().tolist()) <= set(range(CODES))  # one draw, not a mean
    assert Sampling.parse("region") == Sampling.parse("region-avg-10")
    scored = take("region-sync-4", scorer=lambda motion: float(motion.sum()))
    assert np.array_equal(scored[..., 0], take("sync-4", scorer=lambda motion: float(motion.sum()))[..., 0])


@pytest.mark.parametrize(
    "text", ["plain", "avg-3", "avg-3-latent", "knn-4-2", "medoid-4", "sync-3", "coarse-avg-3", "region-avg-3"]
)
def test_same_seed_same_takes_whatever_their_number(text: str) -> None:
    scorer = (lambda motion: float(motion.sum())) if text == "sync-3" else None
    four, two = take(text, num_takes=4, scorer=scorer), take(text, num_takes=2, scorer=scorer)
    assert four.shape == (4, FRAMES, 2) and np.array_equal(four[:2], two)
    assert not np.array_equal(four, take(text, num_takes=4, seed=8, scorer=scorer))
    assert all(not np.array_equal(four[i], four[j]) for i in range(4) for j in range(i))


def test_draws_share_batches_and_numpy_keeps_its_random_state() -> None:
    model, before = Dice(), np.random.get_state()[1].copy()  # noqa: NPY002
    sample(model, None, None, Sampling.parse("avg-30"), frames=FRAMES, num_takes=4)
    assert model.batches == [64, 56] and np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_long_speech_is_drawn_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = take("avg-30")
    monkeypatch.setattr(module, "BATCH_STEPS", 20 * STEPS)
    model = Dice()
    np.testing.assert_array_equal(take("avg-30", model), whole)
    assert model.batches == [20, 20, 20, 20, 10]


@pytest.mark.parametrize("text", ["plain", "avg-5", "avg-5-latent", "knn-6-3", "medoid-7", "sync-5-2", "region-avg-3"])
def test_windows_and_groups_change_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = (lambda motion: float(motion.sum())) if "sync" in text else None
    whole = take(text, Echo(), scorer=scorer, frames=11)
    assert whole.shape == (3, 11, 2)
    for window, group, numbers in ((1, 1, 1), (2, 3, 100), (5, 2, 500)):
        monkeypatch.setattr(drawing, "WINDOW", window)
        monkeypatch.setattr(drawing, "GROUP", group)
        monkeypatch.setattr(drawing, "_LIP_NUMBERS", numbers)
        np.testing.assert_allclose(take(text, Echo(), scorer=scorer, frames=11), whole, rtol=1e-6)


def test_random_numbers_stay_below_one() -> None:
    class Highest:
        def random(self, shape: tuple[int, int]) -> np.ndarray:
            return np.full(shape, np.nextafter(1.0, 0.0))

    numbers = drawing.noise(1, 2, 3, 4, 2)
    np.testing.assert_allclose(numbers, np.random.default_rng([1, 2, 3]).random((4, 2)), atol=1e-7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda names: Highest())
        assert drawing.noise(1, 2, 3, 4, 2).max() < 1.0


def test_codes_come_as_often_as_their_probability() -> None:
    logits = np.array([2.0, 0.0, 1.0, -3.0, 1.0], np.float32)
    many, uniform = np.broadcast_to(logits, (20_000, 5)), (np.arange(20_000) + 0.5) / 20_000
    for temperature in (0.5, 1.0, 2.0):
        share = np.bincount(choose(many, uniform, temperature), minlength=5) / 20_000
        chance = np.exp(logits / temperature)
        np.testing.assert_allclose(share, chance / chance.sum(), atol=1e-3)
    assert int(choose(logits, np.array(0.99), 0.0)) == 0

    def kept(**options: Any) -> list[int]:
        return np.unique(choose(many, uniform, 1.0, **options)).tolist()

    assert kept(top_k=3) == [0, 2, 4]
    # 0.5, 0.18 and 0.18 hold 0.87: the smallest set over 0.8 is three of them, over 0.5 two.
    assert kept(top_p=0.8) == [0, 2, 4]
    assert kept(top_p=0.55) == [0, 2]
    assert kept(top_p=1e-9) == [0]


def test_torch_chooses_the_same_codes() -> None:
    torch = pytest.importorskip("torch")
    from vultus.methods.probabilistic_prior import choose as on_device

    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 2.0, (500, 3, 40)).astype(np.float32)
    logits[:, :, 7] = logits[:, :, 30]  # equally likely
    uniform = rng.random((500, 3)).astype(np.float32)
    for options in ((1.0,), (0.0,), (0.3,), (1.5, 5), (1.0, 0, 0.7), (0.8, 9, 0.9)):
        found = on_device(torch.from_numpy(logits), torch.from_numpy(uniform), *options).numpy()
        np.testing.assert_array_equal(choose(logits, uniform, *options), found)


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
        sample(model, None, None, chosen, frames=FRAMES, num_takes=num_takes, scorer=scorer)

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
