"""Live Link Face CSV, read back by the standard library's reader with the arithmetic of Unreal's importer."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.export import save
from vultus.export.csv import EYE_YAW, eye_angles, head_angles, read_csv, rotation_from_angles, timecode
from vultus.motion import ARKIT_NAMES, Take


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def seconds(text: str) -> float:
    hours, minutes, whole, field = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(whole) + float(field) / 60


@pytest.mark.parametrize("fps", [1.0, 5.0, 24.0, 25.0, 29.97, 30000 / 1001, 30.0, 60.0, 120.0])
def test_frames_and_times(make_take: Callable[..., Take], tmp_path: Path, fps: float) -> None:
    take = make_take(frames=95, fps=fps)
    rows = rows_of(save(take, tmp_path / "take.csv"))
    assert len(rows) == 95
    assert len(rows[0]) == 63
    times = [seconds(row["Timecode"]) for row in rows]
    np.testing.assert_allclose(times, np.arange(95) / fps, atol=1e-5)
    assert all(float(row["Timecode"].split(":")[3]) < 60 for row in rows)
    assert {row["BlendshapeCount"] for row in rows} == {"61"}
    for number in (0, 94):
        values = [float(rows[number][name[0].upper() + name[1:]]) for name in ARKIT_NAMES]
        np.testing.assert_allclose(values, take.weights[number], atol=1e-6)
    weights, read_fps, head = read_csv(tmp_path / "take.csv")
    assert weights.shape == (95, 52)
    assert read_fps == pytest.approx(fps, rel=3e-5)
    np.testing.assert_allclose(weights, take.weights, atol=1e-6)
    np.testing.assert_allclose(head, take.head_rotation, atol=2e-6)


def test_one_hour_of_timecode() -> None:
    assert timecode(0) == "00:00:00:00.000"
    assert timecode(3599.9999999) == "01:00:00:00.000"  # rounding carries into the hour
    assert timecode(1 / 24) == "00:00:00:02.500"


def test_one_frame(make_take: Callable[..., Take], tmp_path: Path) -> None:
    path = save(make_take(frames=1), tmp_path / "take.csv")
    assert len(rows_of(path)) == 1
    with pytest.raises(VultusError, match="at least 2"):
        read_csv(path)


def test_signs_of_head_angles() -> None:
    """Yaw is positive to the subject's right (-x), pitch positive down, roll towards the left shoulder (+x)."""
    yaw, pitch, roll = head_angles(np.array([[0, -0.3, 0], [0.2, 0, 0], [0, 0, -0.1]]))
    np.testing.assert_allclose(yaw, [0.3, 0, 0], atol=1e-12)
    np.testing.assert_allclose(pitch, [0, 0.2, 0], atol=1e-12)
    np.testing.assert_allclose(roll, [0, 0, 0.1], atol=1e-12)


def test_head_angles_invert_and_agree_with_scipy() -> None:
    from scipy.spatial.transform import Rotation

    rotation = np.random.default_rng(1).normal(0, 0.5, (200, 3))
    rotation[0] = 0
    angles = head_angles(rotation)
    expected = Rotation.from_rotvec(rotation).as_euler("YXZ") * [-1, 1, -1]
    np.testing.assert_allclose(angles, expected, atol=1e-9)
    np.testing.assert_allclose(rotation_from_angles(angles), rotation, atol=1e-7)


def test_eye_angles_follow_the_look_weights() -> None:
    weights = np.zeros((2, 52))
    weights[0, ARKIT_NAMES.index("eyeLookInLeft")] = 1  # both to the subject's right
    weights[0, ARKIT_NAMES.index("eyeLookOutRight")] = 1
    weights[1, ARKIT_NAMES.index("eyeLookUpLeft")] = 1
    left_yaw, left_pitch, left_roll, right_yaw, *_ = eye_angles(weights).T
    assert left_yaw[0] == right_yaw[0] == EYE_YAW
    assert left_pitch[1] < 0 == left_roll[1]


@pytest.fixture
def real_capture(real_data: Path) -> Path:
    return real_data / "livelink" / "alex_rom_3_first20s.csv"


@pytest.mark.needs_data
def test_a_real_capture(real_capture: Path) -> None:
    weights, fps, head = read_csv(real_capture)
    assert fps == 30
    rows = rows_of(real_capture)
    times = np.array([seconds(row["Timecode"]) for row in rows])
    assert len(weights) == len(rows) + 1  # one dropped frame was filled
    assert len(weights) == round((times[-1] - times[0]) * 30) + 1
    for number, place in ((0, 0), (595, 595), (596, 597), (599, 600)):
        np.testing.assert_allclose(weights[place, 17], float(rows[number]["JawOpen"]), atol=1e-6)
    assert weights.max() == 1  # EyeLookInRight passes 1 by tracking overshoot
    assert not head.any()


@pytest.mark.needs_data
def test_eye_angles_of_a_real_capture(real_capture: Path) -> None:
    """The signs and slopes that we write are those of the app: within a tenth of a radian on 20 s of gaze."""
    rows = rows_of(real_capture)
    weights = np.array([[float(row[name[0].upper() + name[1:]]) for name in ARKIT_NAMES] for row in rows])
    ours = eye_angles(weights)
    for column, name in ((0, "LeftEyeYaw"), (1, "LeftEyePitch"), (3, "RightEyeYaw"), (4, "RightEyePitch")):
        theirs = np.array([float(row[name]) for row in rows])
        assert np.corrcoef(ours[:, column], theirs)[0, 1] > 0.97
        assert np.sqrt(np.mean((ours[:, column] - theirs) ** 2)) < 0.1


def write_rows(path: Path, stamps: list[str], header: str | None = None, value: str = "0.5") -> Path:
    names = [name[0].upper() + name[1:] for name in ARKIT_NAMES]
    names += [part + angle for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll")]
    lines = [header or ",".join(["Timecode", "BlendShapeCount", *names])]
    lines += [",".join([stamp, "61", *[value] * 52, *["0"] * 9]) for stamp in stamps]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_frame_field_that_counts_rows(tmp_path: Path) -> None:
    """Third-party files with 30 rows a second and fields 0 .. 29: one second of rows lasts one second."""
    stamps = [f"10:00:{i // 30:02d}:{i % 30:02d}.000" for i in range(150)]
    weights, fps, _ = read_csv(write_rows(tmp_path / "a.csv", stamps))
    assert (len(weights), fps) == (150, 30)


def test_midnight(tmp_path: Path) -> None:
    stamps = ["23:59:59:56.000", "23:59:59:58.000", "00:00:00:00.000", "00:00:00:02.000"]
    weights, fps, _ = read_csv(write_rows(tmp_path / "a.csv", stamps))
    assert (len(weights), fps) == (4, 30)


def test_overshoot_is_clipped_with_a_warning(tmp_path: Path) -> None:
    stamps = ["00:00:00:00.000", "00:00:00:01.000"]
    with pytest.warns(UserWarning, match="clipped"):
        weights, _, _ = read_csv(write_rows(tmp_path / "a.csv", stamps, value="1.3"))
    assert weights.max() == 1


@pytest.mark.parametrize(
    ("stamps", "value", "header", "words"),
    [
        (["00:00:00:00", "00:00:00:00"], "0", None, "row 3 does not rise"),
        (["00:00:00:00", "zero"], "0", None, "line 3"),
        (["00:00:00:00", "00:00:75:00"], "0", None, "line 3"),
        (["00:00:00:00", "00:00:00:01"], "nan", None, "not a finite number"),
        (["00:00:00:00", "00:00:00:01"], "many", None, "line 2"),
        (["00:00:00:00", "00:00:00:01"], "50", None, "percent"),
        (["00:00:00:00", "00:00:00:01"], "0", "Timecode,BlendShapeCount,JawOpen", "no column EyeBlinkLeft"),
        (["00:00:00:00", "00:00:00:01"], "0", "time,jawOpen", "expected Timecode,BlendshapeCount"),
        (["00:00:00:00", "00:00:00:01", "00:59:00:00"], "0", None, "holes|rows per second"),
        ([], "0", None, "at least 2"),
    ],
)
def test_bad_files(tmp_path: Path, stamps: list[str], value: str, header: str | None, words: str) -> None:
    with pytest.raises(VultusError, match=words):
        read_csv(write_rows(tmp_path / "a.csv", stamps, header, value))


def test_no_text_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "b.csv").write_bytes(b"")
    for name in ("a.csv", "b.csv", "none.csv"):
        with pytest.raises(VultusError):
            read_csv(tmp_path / name)


def test_needs_weights(make_take: Callable[..., Take], tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="no ARKit weights"):
        save(make_take(blendshapes=False), tmp_path / "take.csv")
    assert not list(tmp_path.iterdir())
