"""Grids of faces on the shipped head."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.head import load_head
from vultus.motion import ARKIT_NAMES
from vultus.render.figures import FACE_NAMES, MOUTH_NAMES, MOUTH_SHAPES, grid, pose_grid, quieten
from vultus.render.scene import Scene


def test_every_arkit_shape_is_shown_once() -> None:
    assert sorted(FACE_NAMES + MOUTH_NAMES) == sorted(ARKIT_NAMES)


def test_a_grid_puts_pictures_in_reading_order_with_labels_below() -> None:
    pictures = [np.full((20, 30, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = grid(pictures, ["a", "b", ""], columns=2)
    assert sheet.shape == (2 * 38, 64, 3)
    assert (sheet[:20, :30] == 10).all() and (sheet[:20, 34:] == 20).all() and (sheet[38:58, :30] == 30).all()
    assert (sheet[20:38, :30] < 100).any() and not (sheet[58:, :30] < 100).any()


def test_quieten_moves_no_value_far() -> None:
    ramp = np.arange(256, dtype=np.uint8)
    assert np.abs(quieten(ramp).astype(int) - ramp).max() <= 2
    assert len(np.unique(quieten(ramp))) <= 65


def test_poses_of_speech_look_different_and_unknown_shapes_are_refused() -> None:
    head = load_head()
    poses = {name: MOUTH_SHAPES[name] for name in ("rest", "/a/", "/u/")}
    sheet = pose_grid(head, poses, framing="mouth", size=64, columns=3)
    rest, open_, round_ = (sheet[:64, i * 68 : i * 68 + 64].astype(int) for i in range(3))
    assert np.abs(rest - open_).mean() > 5 and np.abs(rest - round_).mean() > 5 and np.abs(open_ - round_).mean() > 5
    with pytest.raises(VultusError, match="blendshape"):
        pose_grid(head, {"x": {"jawOpne": 1.0}}, framing="mouth", size=64, columns=1)


def test_the_mouth_opens_dark_and_the_lids_hide_the_eyes() -> None:
    head = load_head()
    scene = Scene(head.template)
    np.testing.assert_array_equal(scene.pivot, head.pivot)

    def drawn(**weights: float) -> np.ndarray:
        return scene.render(head.rig.vertices(head.rig.weights(**weights)[None], head.template)[0], None, 160)

    rest, talk = drawn().astype(int), drawn(jawOpen=0.8)
    changed = np.argwhere((rest - talk).max(2) > 60)
    assert len(changed) > 60
    assert (changed.mean(0) > [80, 70]).all() and changed.mean(0)[1] < 90  # below the middle, near the midline
    blink = drawn(eyeBlinkLeft=1.0)
    assert np.argwhere(np.abs(rest - blink).max(2) > 60)[:, 1].min() >= 80  # the subject's left is the picture's right
