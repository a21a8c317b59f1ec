"""Blinks, brows, gaze and head of made takes."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.benchmark.takes_curves import UNITS, curves, model_curves, true_curves
from vultus.benchmark.takes_life import AGREEMENTS, MEASURES, blinks, life
from vultus.benchmark.takes_spread import ratio_of_sums
from vultus.clock import num_motion_frames
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.metrics import Region
from vultus.motion import WEIGHT_NAMES, Motion
from vultus.rigs.offsets import OffsetsRig

FPS, FRAMES = 30.0, 120
HEAD = load_head()
REGIONS = {
    name: Region(name, np.sort(np.asarray(v, np.int64)), np.ones(len(v), np.float32), "topology")
    for name, v in HEAD.template.topology.regions.items()
}


def take(blinks_at: tuple[float, ...] = (), left: float = 0.0, turns: float = 0.0, jaw: float = 0.3, head: bool = True):  # type: ignore[no-untyped-def]
    """Curves of 4 s with blinks of 0.2 s, eyes to the left, a head that swings and a jaw that beats."""
    weights = np.zeros((FRAMES, len(WEIGHT_NAMES)), np.float32)
    times = np.arange(FRAMES) / FPS
    column = {name: i for i, name in enumerate(WEIGHT_NAMES)}
    for at in blinks_at:
        lid = np.clip(1 - np.abs(times - at) / 0.2, 0, 1)
        for side in ("Left", "Right"):
            weights[:, column[f"eyeBlink{side}"]] = np.maximum(weights[:, column[f"eyeBlink{side}"]], lid)
    weights[:, column["eyeLookOutLeft"]] = weights[:, column["eyeLookInRight"]] = left
    weights[:, column["jawOpen"]] = jaw * np.abs(np.sin(np.pi * times))
    turn = np.stack([turns * np.sin(np.pi * times), np.zeros(FRAMES), np.zeros(FRAMES)], 1)
    vertices = HEAD.rig.vertices(weights, HEAD.template)
    return curves(vertices, weights, turn if head else None, HEAD.template, REGIONS)


def found(takes: list[dict[str, np.ndarray]]) -> dict[str, float]:
    return {name: ratio_of_sums(pair[None]).value for name, pair in life(takes, FPS).items()}


def test_how_much_there_is_of_each() -> None:
    one = take((1.0, 2.5), left=0.5, turns=0.1)
    values = found([one])
    assert values.keys() == {*MEASURES, *AGREEMENTS}
    assert values["blinks a minute"] == pytest.approx(30.0)
    assert values["depth of a blink"] == pytest.approx(1.0)
    assert values["length of a blink, at half depth"] == pytest.approx(200, abs=40)
    assert values["frames with the gaze away"] == 1.0 and one["gaze"][0, 0, 0] == pytest.approx(10.0)
    assert values["gaze, deviation over time"] == pytest.approx(0.0, abs=1e-6)
    assert values["head, deviation over time"] == pytest.approx(np.degrees(0.1) / np.sqrt(2), rel=0.02)
    assert one["lip gap"].max() > 3.0 and one["lips"].shape[1:] == (len(one["lips"][0]), 3)


def test_takes_that_agree_in_lips_and_differ_in_the_rest() -> None:
    values = found([take((1.0,), turns=0.1), take((2.5,), turns=-0.1), take((1.05,), turns=0.1)])
    assert values["lip gap, frame by frame"] == pytest.approx(1.0)
    assert values["head, frame by frame"] == pytest.approx(-1 / 3)
    assert values["lids, frame by frame"] < 0.5
    assert values["blinks within 0.1 s of one in another take"] == pytest.approx(2 / 6)


def test_what_a_model_does_not_make_is_not_measured() -> None:
    still = take(head=False)
    assert "head" not in still and set(still) == {*UNITS, "lip gap"} - {"head"}
    values = found([still, still])
    assert np.isnan(values["head, speed"]) and np.isnan(values["depth of a blink"])
    assert values["blinks a minute"] == 0.0


def test_half_a_blink_and_the_ends() -> None:
    lids = np.array([0.9, 1.0, 0.9, 0.2, 0.0, 0.25, 0.2, 0.0, 0.5, 0.5])
    shut = blinks(lids, 10.0)
    assert [blink.at for blink in shut] == [0.1, 0.8] and shut[0].seconds == pytest.approx(0.3)


def test_curves_of_a_model_are_those_of_the_truth_where_it_moves_so() -> None:
    class Made:
        head, template, num_samples = HEAD, HEAD.template, 16_000 * 2

        def motion(self, layers: tuple[str, ...], fps: float) -> np.ndarray:
            rng = np.random.default_rng(0)
            return rng.random((num_motion_frames(self.num_samples, fps), len(WEIGHT_NAMES))).astype(np.float32)

        def head_rotation(self, fps: float) -> np.ndarray:
            return np.full((num_motion_frames(self.num_samples, fps), 3), 0.1, np.float32)

    clip = Made()
    truth = true_curves(clip, FPS, REGIONS)
    motion = Motion(clip.motion((), FPS), FPS, HEAD.rig, clip.head_rotation(FPS))
    own = model_curves(motion, clip, FPS, REGIONS)
    assert all(np.allclose(own[name], truth[name], atol=1e-4) for name in truth) and own.keys() == truth.keys()
    faster = Motion(clip.motion((), 60.0), 60.0, HEAD.rig, clip.head_rotation(60.0))
    assert len(model_curves(faster, clip, FPS, REGIONS)["head"]) == len(truth["head"])
    vertices = Motion(
        np.zeros((4, 3 * HEAD.topology.num_vertices), np.float32), FPS, OffsetsRig(HEAD.topology.num_vertices)
    )
    with pytest.raises(VultusError, match="needs the 55 weights of the head"):
        model_curves(vertices, clip, FPS, REGIONS)
