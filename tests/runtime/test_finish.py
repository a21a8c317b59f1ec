"""Rest in silence, smoothing, gains."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.head import load_head
from vultus.motion import WEIGHT_NAMES
from vultus.runtime import finish
from vultus.synthesis.performance import contacts_of
from vultus.synthesis.prosody import analyse

RNG = np.random.default_rng(0)


def voice(seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * 16000)) / 16000
    return (0.1 * np.sign(np.sin(2 * np.pi * 120 * time)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))).astype(
        np.float32
    )


def test_every_shape_belongs_to_a_part() -> None:
    assert len(finish.PART_OF_COLUMN) == len(WEIGHT_NAMES)
    assert set(finish.PART_OF_COLUMN) == {"jaw", "lips", "tongue", "brows", "eyes"}


@pytest.mark.parametrize("text", ["jaw", "=1", "jaw=", "jaw=1,jaw=2", "jaw=4", "lips=inf", "nose=1", ""])
def test_malformed_gains(text: str) -> None:
    with pytest.raises(VultusError):
        finish.parse_gains(text)


def test_the_mouth_may_move_only_around_speech() -> None:
    sound = np.concatenate([np.zeros(16000, np.float32), voice(1.0), np.zeros(32000, np.float32)])
    gate = finish.speaking(analyse(sound), 120, 30.0)
    assert gate[33:60].min() == 1.0
    assert gate[:15].max() == 0.0
    assert gate[80:].max() == 0.0
    assert np.abs(np.diff(gate)).max() < 0.5  # it fades
    assert finish.speaking(analyse(np.zeros(16000, np.float32)), 30, 30.0).max() == 0.0


def test_smoothing_keeps_the_mean_and_lowers_the_peak() -> None:
    values = np.zeros((60, 2), np.float32)
    values[30] = 1.0
    smooth = finish.smooth_motion(values, 60.0, 30.0)
    assert smooth.sum() == pytest.approx(2.0, abs=1e-4)
    assert smooth[30, 0] == pytest.approx(1 / (np.sqrt(2 * np.pi) * 1.8), rel=0.02)
    assert finish.smooth_motion(values, 60.0, 0.0) is values


def finished(**options: object) -> tuple[np.ndarray, np.ndarray]:
    values = np.zeros((90, len(WEIGHT_NAMES)), np.float32)
    values[:, WEIGHT_NAMES.index("jawOpen")] = 0.3
    values[:, WEIGHT_NAMES.index("browInnerUp")] = 0.4
    settings = {"gains": {}, "smooth": 0.0, "life": False, "seed": 0, **options}
    return finish.finish(values, 30.0, head=load_head(), prosody=analyse(voice(3.0)), **settings)  # type: ignore[arg-type]


def test_gains_scale_their_part_only() -> None:
    jaw, brow = WEIGHT_NAMES.index("jawOpen"), WEIGHT_NAMES.index("browInnerUp")
    plain, _ = finished()
    scaled, _ = finished(gains={"jaw": 1.5, "brows": 0.0})
    np.testing.assert_allclose(scaled[20:60, jaw], 1.5 * plain[20:60, jaw], rtol=0.05)
    assert np.abs(scaled[:, brow]).max() == 0.0 and plain[:, brow].max() > 0.3


def test_life_moves_eyes_and_head_and_is_seeded() -> None:
    blink = WEIGHT_NAMES.index("eyeBlinkLeft")
    still, still_head = finished()
    eyes = ("eyeBlinkLeft", "eyeLookInLeft")
    first, first_head = finished(life=True, seed=3, still=eyes)
    again, again_head = finished(life=True, seed=3, still=eyes)
    other, other_head = finished(life=True, seed=4, still=eyes)
    assert np.abs(still[:, blink]).max() == 0.0 and np.abs(still_head).max() == 0.0
    assert np.abs(first_head).max() > 0.0
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first_head, again_head)
    assert not np.array_equal(first_head, other_head) and not np.array_equal(first, other)
    assert first.min() >= 0.0 and first.max() <= 1.0


def test_a_mouth_that_never_opens_comes_to_rest() -> None:
    values = np.zeros((120, len(WEIGHT_NAMES)), np.float32)
    values[:, WEIGHT_NAMES.index("tongueUp")] = 0.15  # what a model makes of a hum
    values[80:, WEIGHT_NAMES.index("jawOpen")] = 0.3
    sound = analyse(voice(4.0))
    out, _ = finish.finish(values, 30.0, head=load_head(), prosody=sound, gains={}, smooth=0.0, life=False, seed=0)
    assert np.abs(out[10:60]).max() < 0.01
    assert out[90:115, WEIGHT_NAMES.index("tongueUp")].min() > 0.14


def test_lips_that_nearly_touch_touch_and_open_ones_stay_open() -> None:
    head, jaw = load_head(), WEIGHT_NAMES.index("jawOpen")
    contacts = contacts_of(head)
    values = np.zeros((40, len(WEIGHT_NAMES)), np.float32)
    values[:, jaw] = np.linspace(0.0, 0.4, 40)
    values[:, WEIGHT_NAMES.index("mouthClose")] = np.linspace(0.0, 0.3, 40)
    values[35:, WEIGHT_NAMES.index("mouthClose")] = 0.0
    before = contacts.widest_gap(values)
    met = contacts.meet(values)
    after = contacts.widest_gap(met)
    assert after[before < 1.1].max() <= 0.25
    np.testing.assert_array_equal(met[before > 2.1], values[before > 2.1])
    assert (np.diff(after[np.argsort(before)]) > -0.15).all()  # gradually, without a jump back
    assert after.min() > -0.5
