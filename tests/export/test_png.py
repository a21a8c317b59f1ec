"""Contact sheets, read back by pillow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.errors import VultusError
from vultus.export.png import aperture, choose_frames, loudness
from vultus.motion import Motion, Take
from vultus.render.scene import Scene
from vultus.speech import Speech
from vultus.topology import Template, Topology


def test_each_picture_is_the_frame_that_its_label_names(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take(frames=40)
    take.save(tmp_path / "a.png", size=48, frames=[0, 7, 39], columns=2)
    sheet = np.array(Image.open(tmp_path / "a.png"))
    assert sheet.dtype == np.uint8 and sheet.shape[1:] == (2 * 52 + 4, 3)
    scene = Scene(take.template)
    for place, number in enumerate((0, 7, 39)):
        y, x = 4 + place // 2 * 52, 4 + place % 2 * 52
        picture = scene.render(take.vertices(number, number + 1)[0], take.head_rotation[number], 48)
        np.testing.assert_array_equal(sheet[y : y + 36, x : x + 48], picture[:36])  # above the label
        assert (sheet[y + 36 : y + 48, x : x + 48] != picture[36:]).any()


def test_default_is_five_by_four_or_what_there_is(make_take: Callable[..., Take], tmp_path: Path) -> None:
    for frames, columns, rows in ((40, 5, 4), (7, 5, 2), (1, 1, 1)):
        make_take(frames=frames).save(tmp_path / "a.png", size=32)
        height, width = np.array(Image.open(tmp_path / "a.png")).shape[:2]
        assert (width, height) == (columns * 36 + 4, rows * 36 + 4 + 96)


def test_same_take_same_bytes_and_progress(make_take: Callable[..., Take], tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    make_take().save(tmp_path / "a.png", size=32, progress=lambda done, total: steps.append((done, total)))
    make_take().save(tmp_path / "b.png", size=32)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert steps == [(i + 1, 20) for i in range(20)]


def test_frames_are_even() -> None:
    assert choose_frames(100, 4) == [12, 37, 62, 87]
    assert choose_frames(3, 20) == [0, 1, 2]
    assert choose_frames(10, [9, 0]) == [9, 0]


def test_loudness_is_the_root_mean_square_of_each_part(make_take: Callable[..., Take]) -> None:
    take = make_take(frames=30)
    assert loudness(take, 10) is None
    take.speech = Speech(np.repeat(np.array([0.1, 0.4, 0.0, 0.2], np.float32), 4000))
    found = loudness(take, 4)
    assert found is not None
    np.testing.assert_allclose(found, [0.1, 0.4, 0.0, 0.2], atol=1e-6)


def test_aperture_is_the_distance_that_the_lips_part() -> None:
    class Parting:
        """Motion in metres: how far the lower lip goes down."""

        name, dimension = "parting", 1

        def vertices(self, motion: np.ndarray, template: Template) -> np.ndarray:
            vertices = np.repeat(template.vertices[None], len(motion), 0)
            vertices[:, 7:, 1] -= motion
            return vertices

    x = np.array([-3, -2, -0.1, 0, 0.1, 2, 3, -2, -0.1, 0, 0.1, 2]) * 0.01
    vertices = np.stack([x, 0.001 * (np.arange(12) < 7), np.zeros(12)], 1).astype(np.float32)
    regions = {"upper_lip": np.arange(7, dtype=np.int32), "lower_lip": np.r_[0, 6:12].astype(np.int32)}
    template = Template(Topology(np.array([[0, 1, 2]], np.int32), 12, regions), vertices)
    opening = np.linspace(0, 0.02, 9, dtype=np.float32)
    take = Take(Motion(opening[:, None], 30.0, Parting()), template, np.zeros((9, 3), np.float32))
    found = aperture(take, 5)
    assert found is not None
    np.testing.assert_allclose(found, opening[::2], atol=1e-6)
    bare = Template(Topology(template.topology.faces, 12), vertices)
    assert aperture(Take(take.motion, bare, take.head_rotation), 5) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "expected 1 or more"),
        ({"frames": [3, 31]}, "frame 31 .* frames 0 to 30"),
        ({"frames": []}, "no frames chosen"),
        ({"columns": 0}, "0 columns"),
        ({"size": 5}, "picture size is 5"),
        ({"size": 4000}, "lower size or frames"),
    ],
)
def test_impossible_options(make_take: Callable[..., Take], tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(VultusError, match=message):
        make_take().save(tmp_path / "a.png", **options)
    assert not list(tmp_path.iterdir())
