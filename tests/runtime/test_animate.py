"""From a recording to takes, with a made-up model that gives several."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from several_takes import BLINKS, BROWS, GAZE, JAW, SeveralTakes

import vultus
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.motion import WEIGHT_NAMES, Motion
from vultus.runtime import animate as module
from vultus.runtime.animate import animate, animate_takes, each_take
from vultus.runtime.base import one_take_only
from vultus.runtime.bundle import load
from vultus.runtime.defaults import DEFAULT_MODEL, TAKES_MODEL, default_model


def voice(seconds: float = 2.0) -> np.ndarray:
    time = np.arange(int(seconds * 16000)) / 16000
    return (0.1 * np.sign(np.sin(2 * np.pi * 120 * time)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))).astype(
        np.float32
    )


def test_takes_differ_and_do_not_depend_on_their_number() -> None:
    model = SeveralTakes()
    four = animate_takes(voice(), model=model, num_takes=4, seed=7, life=False)
    two = animate_takes(voice(), model=model, num_takes=2, seed=7, life=False)
    one = animate(voice(), model=model, seed=7, life=False)
    assert [len(four), len(two), len(model.asked)] == [4, 2, 3]  # one listening each
    for first, second in zip(four, [*two, *two], strict=True):
        same = first is four[0] or first is four[1]
        assert np.array_equal(first.motion.values, second.motion.values) == same
    np.testing.assert_array_equal(one.motion.values, four[0].motion.values)
    np.testing.assert_array_equal(one.head_rotation, four[0].head_rotation)
    assert not np.array_equal(four[0].head_rotation, four[1].head_rotation)
    assert [take.info["take"] for take in four] == [1, 2, 3, 4]
    assert four[2].info["model"] == "several" and four[2].info["seed"] == 7
    assert four[2].info["sampling"] == "plain" and four[2].info["style"] is None
    named = animate(voice(), model=model, sampling="avg-10", style="calm+wild")
    assert (named.info["sampling"], named.info["style"]) == ("avg-10", "calm+wild")
    assert "take" not in animate(voice(), model="loudness").info


def test_life_adds_nothing_that_the_model_makes() -> None:
    plain = animate(voice(), model=SeveralTakes(), life=False)
    lively = animate(voice(), model=SeveralTakes(), life=True)
    np.testing.assert_array_equal(plain.motion.values, lively.motion.values)
    np.testing.assert_array_equal(plain.head_rotation, lively.head_rotation)
    assert np.abs(plain.head_rotation).max() > 0.05


@pytest.mark.parametrize("made", ["blinks", "gaze", "brows", "head"])
def test_life_adds_what_the_model_leaves_still(made: str) -> None:
    columns = {"blinks": BLINKS, "gaze": GAZE, "brows": BROWS, "head": []}[made]
    model = SeveralTakes(tuple(WEIGHT_NAMES[i] for i in columns), turns=made != "head")
    first, second = animate_takes(voice(8.0), model=model, num_takes=2, seed=3)
    without = animate(voice(8.0), model=model, seed=3, life=False)
    if made == "head":
        assert np.abs(without.head_rotation).max() == 0.0 < np.abs(first.head_rotation).max()
        assert not np.array_equal(first.head_rotation, second.head_rotation)
    else:
        assert without.motion.values[:, columns].max() == 0.0 < first.motion.values[:, columns].max()
        assert not np.array_equal(first.motion.values[:, columns], second.motion.values[:, columns])
        np.testing.assert_array_equal(first.head_rotation, without.head_rotation)
    kept = {"blinks": BROWS, "gaze": BLINKS, "brows": GAZE, "head": BLINKS}[made]
    np.testing.assert_allclose(first.motion.values[:, kept], without.motion.values[:, kept], atol=1e-6)


def test_head_rotation_is_scaled_smoothed_and_resampled() -> None:
    def turn(**options: Any) -> np.ndarray:
        return animate(voice(), model=SeveralTakes(), life=False, **options).head_rotation

    plain = turn()
    assert plain.shape == (60, 3)
    np.testing.assert_allclose(turn(gain="head=0.5"), 0.5 * plain, atol=1e-7)
    np.testing.assert_allclose(turn(fps=60)[:119:2], plain, atol=1e-6)
    assert np.abs(np.diff(turn(smooth=200.0), axis=0)).max() < 0.8 * np.abs(np.diff(plain, axis=0)).max()


def test_only_the_mouth_rests_in_silence() -> None:
    take = animate(np.zeros(32000, np.float32), model=SeveralTakes(), life=False)
    assert take.motion.values[:, JAW].max() == 0.0
    assert take.motion.values[:, BLINKS].max() > 0.2 and take.motion.values[:, BROWS].max() > 0.2


@pytest.mark.parametrize("number", [0, -1, 101, 10**9, 2.5, True, "4"])
def test_numbers_of_takes_that_cannot_be(number: Any) -> None:
    with pytest.raises(VultusError, match="expected 1 to 100"):
        each_take(voice(), num_takes=number, model="base")


def test_a_deterministic_model_gives_one_take_and_draws_nothing() -> None:
    for name in ("base", "loudness"):
        model = load(name)
        assert not model.takes_apart and model.default_sampling is None
        with pytest.raises(VultusError, match="deterministic and gives 1 take, not 4"):
            animate_takes(voice(), model=model, num_takes=4)
        with pytest.raises(VultusError, match="draws nothing by sampling 'avg-10'"):
            animate(voice(), model=model, sampling="avg-10")
    one_take_only("base", 1, None)


def test_the_model_follows_the_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_model() == DEFAULT_MODEL and default_model(2) == default_model(1, "plain") == TAKES_MODEL
    asked: list[str] = []

    def fake(name: str) -> SeveralTakes:
        asked.append(name)
        return SeveralTakes()

    monkeypatch.setattr(module, "load", fake)
    animate_takes(voice(0.5), num_takes=2)
    animate(voice(0.5), sampling="plain")
    animate(voice(0.5))
    animate_takes(voice(0.5), num_takes=3, model="other")
    assert asked == [TAKES_MODEL, TAKES_MODEL, DEFAULT_MODEL, "other"]


def test_both_fronts_take_the_same_options() -> None:
    one, each = (inspect.signature(function).parameters for function in (animate, each_take))
    assert {**one} == {name: told for name, told in each.items() if name != "num_takes"}
    assert vultus.animate_takes is animate_takes


def test_a_style_given_as_a_path_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="no such file"):
        animate(voice(), model=SeveralTakes(), style=tmp_path / "none.glb")


def test_head_rotation_of_a_motion_has_a_row_for_each_frame() -> None:
    rig = load_head().rig
    with pytest.raises(VultusError, match="head_rotation has shape"):
        Motion(np.zeros((5, 55), np.float32), 30.0, rig, np.zeros((4, 3), np.float32))
