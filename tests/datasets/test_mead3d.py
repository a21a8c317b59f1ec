"""3DMEAD: names, splits, the numbers that are read, and what is said of folders that are not it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from miniature_flame import write_flame
from miniature_mead3d import CLIPS, NO_LIST, NO_SOUND, build

from vultus.datasets import Dataset, FaceSequence, open_dataset
from vultus.datasets.mead3d import SUBJECTS, UNSEEN, Mead3D, check, scaled, split_of, unscaled
from vultus.errors import VultusError
from vultus.rigs.flame import load_flame


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("mead") / "mead")


@pytest.fixture(autouse=True)
def no_flame_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VULTUS_FLAME", raising=False)


def test_splits_are_the_published_ones(root: Path) -> None:
    data = open_dataset("mead3d", str(root))
    assert isinstance(data, Dataset) and isinstance(data, Mead3D)
    assert {clip.name: split for split in data.splits for clip in data.split(split)} == CLIPS
    assert all(isinstance(clip, FaceSequence) and clip.split == "val" for clip in data.split("val"))
    assert data.left_out == {
        NO_SOUND: "no sound of the same name", NO_LIST: "in no published list", "notes": "no name of 3DMEAD"
    }  # fmt: skip
    with pytest.raises(VultusError, match=r"unknown split .* did you mean 'val_unseen'"):
        data.split("val_unsen")


def test_the_rule_gives_the_published_counts() -> None:
    assert len(set(SUBJECTS)) == 32 and len(UNSEEN["val_unseen"]) == 7 and len(UNSEEN["test_unseen"]) == 8
    neutral = Counter(split_of("W029", n, 0) for n in range(1, 41))
    assert neutral == {"train": 32, "val": 4, "test": 4}
    emotional = Counter(split_of("M003", n, 6) for n in range(1, 41))
    assert emotional == {"train": 24, "val": 3, "test": 3, None: 10}
    assert split_of("M003", 0, 0) is None and split_of("M999", 1, 0) is None


def test_numbers(root: Path) -> None:
    clip = next(clip for clip in Mead3D(root).split("val") if clip.name == "W009_025_5_2")
    raw = np.load(root / "param" / "W009_025_5_2.npy")[0]
    assert np.array_equal(clip.motion(), np.concatenate([raw[:, 300:350], raw[:, 400:]], axis=1))
    assert (clip.subject, clip.sentence, clip.fps, clip.unit) == ("W009", "disgusted_025", 25.0, "m")
    assert clip.labels == {"emotion": "disgusted", "intensity": "2"}
    assert clip.speech().num_samples == len(raw) * 640
    wide = next(c for c in Mead3D(root, num_expression=100).split("val") if c.name == clip.name)
    assert np.array_equal(wide.motion(), raw[:, 300:])
    assert np.array_equal(clip.motion(fps=12.5), clip.motion()[::2])
    assert len(clip.motion(fps=30)) == round(len(raw) * 1.2)


def test_vertices_on_the_common_face_and_on_their_own(root: Path) -> None:
    model = load_flame(root / "flame.npz")
    raw = np.load(root / "param" / "M003_033_0_0.npy")[0].astype(np.float64)
    common = Mead3D(root, flame=model).split("val")[0]
    assert common.name == "M003_027_7_1"
    clip = next(c for c in Mead3D(root).split("val") if c.name == "M003_033_0_0")
    assert np.array_equal(clip.template.vertices, model.neutral)
    expected = model.vertices(raw[:, 300:350], {"jaw": raw[:, 400:]})
    assert np.allclose(clip.vertices(), expected, atol=1e-6) and np.ptp(expected) > 0.1
    own = next(c for c in Mead3D(root, neutral="own").split("val") if c.name == clip.name)
    shape = raw[:, :300].mean(0)
    assert np.allclose(own.template.vertices, model.face(shape).vertices, atol=1e-6)
    expected = model.vertices(raw[:, 300:350], {"jaw": raw[:, 400:]}, shape=np.tile(shape, (len(raw), 1)))
    assert np.allclose(own.vertices(), expected, atol=1e-6)
    assert np.abs(own.vertices() - clip.vertices()).max() > 1e-3


def test_published_scaling() -> None:
    edges = np.array([[-3.0] * 50 + [-0.1] * 3, [3.0] * 50 + [0.5] * 3, [0.0] * 50 + [0.2] * 3])
    assert np.allclose(scaled(edges), [[0] * 53, [1] * 53, [0.5] * 53], atol=1e-6)
    assert np.allclose(unscaled(scaled(edges)), edges, atol=1e-6)
    assert scaled(np.full((1, 53), 9.0)).max() > 1  # nothing is clipped


def test_without_a_model_there_is_motion_but_no_vertices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = build(tmp_path / "mead", flame=False)
    clip = Mead3D(root).split("test")[0]
    assert clip.motion().shape[1] == 53
    for use in (clip.vertices, lambda: clip.template):
        with pytest.raises(VultusError, match=r"no flame=FILE.*https://flame\.is\.tue\.mpg\.de"):
            use()
    with pytest.raises(VultusError, match=r"flame: no file .*absent\.pkl.*tue\.mpg\.de"):
        Mead3D(root, flame=tmp_path / "absent.pkl")
    monkeypatch.setenv("VULTUS_FLAME", str(tmp_path / "gone.pkl"))
    with pytest.raises(VultusError, match=r"flame: no file .*gone\.pkl"):
        Mead3D(root).split("test")[0].vertices()
    monkeypatch.setenv("VULTUS_FLAME", str(write_flame(tmp_path / "elsewhere.npz")))
    assert Mead3D(root).split("test")[0].vertices().shape[2] == 3


def test_bad_files_and_options(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match=r"no folder param .*`vultus data check mead3d"):
        Mead3D(tmp_path / "absent")
    root = build(tmp_path / "mead")
    with pytest.raises(VultusError, match="neutral is 'mean'"):
        Mead3D(root, neutral="mean")
    with pytest.raises(VultusError, match="num_expression is 101"):
        Mead3D(root, num_expression=101)
    path = root / "param" / "M003_037_0_0.npy"
    clip = next(c for c in Mead3D(root).split("test") if c.name == path.stem)
    np.save(path, np.zeros((1, 9, 400), np.float32))
    with pytest.raises(VultusError, match=r"has shape \(1, 9, 400\); expected \(1, frames, 403\)"):
        clip.motion()
    np.save(path, np.full((1, 9, 403), np.nan, np.float32))
    with pytest.raises(VultusError, match="not finite"):
        clip.motion()
    np.save(path, np.array({"a": 1}), allow_pickle=True)
    with pytest.raises(VultusError, match="cannot be read"):
        clip.motion()
    (root / "flame.npz").write_bytes(b"")
    with pytest.raises(VultusError, match="cannot be read"):
        clip.template  # noqa: B018


def test_check(root: Path, tmp_path: Path) -> None:
    lines = check(root)
    text = " | ".join(line.what for line in lines)
    assert (
        "5 subjects" in text and "no clips of 42 of the 47" in text and f"no sound of the same name: {NO_SOUND}" in text
    )
    assert "split val: sound minus motion is +0 ms at most" in text and "FLAME model" in text
    assert all(line.remedy for line in lines if not line.good)
    assert [line.good for line in check(tmp_path / "absent")] == [False]
    broken = build(tmp_path / "mead", flame=False)
    (broken / "wav" / "M003_037_0_0.wav").write_bytes(b"no sound")
    (broken / "param" / "M003_040_0_0.npy").write_bytes(b"\x93NUMPY")
    bad = [line.what for line in check(broken) if not line.good]
    assert any("M003_037_0_0" in line for line in bad) and any("M003_040_0_0" in line for line in bad)
    assert any("no usable FLAME" in line for line in bad)
    (tmp_path / "file").write_text("x")
    assert not check(tmp_path / "file")[0].good
