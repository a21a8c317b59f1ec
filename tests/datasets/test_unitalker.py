"""The UniTalker release: lists, rates, cuts, what each annotation type becomes and in which unit, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from miniature_flame import flame_arrays, write_flame
from miniature_unitalker import BLENDSHAPE_VERTICES, PEOPLE, build, write_flame_for, write_resources

from vultus.datasets import Dataset, FaceSequence, open_dataset
from vultus.datasets.unitalker import UniTalker, check
from vultus.errors import VultusError
from vultus.rigs.flame import load_flame


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("unitalker") / "D1_vocaset")


@pytest.fixture(autouse=True)
def no_flame_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VULTUS_FLAME", raising=False)


def test_clips_as_published(root: Path) -> None:
    data = open_dataset("unitalker", str(root))
    assert isinstance(data, Dataset) and data.splits == ("train", "val", "test")
    clips = data.split("train")
    assert [clip.name for clip in clips] == ["annot_train_0000", "annot_train_0001"]
    assert isinstance(data, UniTalker) and data.left_out == {"annot_train_0002": "under 0.5 s"}
    clip = clips[1]
    assert isinstance(clip, FaceSequence)
    assert (clip.subject, clip.sentence, clip.fps, clip.unit) == (PEOPLE[0], "train_0001", 30.0, "m")
    stored = np.load(root / "annot" / "train_0001.npy")
    # 120 frames at 60 fps are 2 s, the sound 1.8 s: every second frame, cut to the sound.
    assert np.array_equal(clip.vertices(), stored[::2][:54].reshape(54, 5023, 3))
    assert clip.speech().num_samples == 28_800
    templates = np.load(root / "id_template.npy")
    assert np.array_equal(clip.template.vertices, templates[0].reshape(-1, 3))
    (other,) = data.split("val")
    assert other.subject == PEOPLE[1] and np.array_equal(other.template.vertices, templates[1].reshape(-1, 3))
    assert len(other.vertices()) == 31 and other.speech().num_samples == round(31 / 30 * 16_000)  # cut to the motion
    assert len(clip.vertices(fps=15)) == 27 and len(clip.vertices(fps=25)) == 45


def test_clips_as_stored(root: Path) -> None:
    data = UniTalker(root, published=False)
    clips = data.split("train")
    assert len(clips) == 3 and data.left_out == {} and clips[1].fps == 60
    assert len(clips[1].vertices()) == 120 and clips[1].speech().num_samples == 28_800
    assert len(clips[1].vertices(fps=30)) == 60


def test_rates_and_the_longest_clip(tmp_path: Path) -> None:
    hundred = build(tmp_path / "hundred", kind="inhouse_blendshape_weight", fps=100, sound="npy")
    clip = UniTalker(hundred).split("test")[0]
    assert clip.fps == 25 and np.array_equal(clip.motion(), np.load(hundred / "annot" / "test_0000.npy")[::4])
    np.save(hundred / "annot" / "test_0000.npy", np.zeros((2600, 51), np.float32))
    np.save(hundred / "audio" / "test_0000.npy", np.zeros(16_000 * 26, np.float32))
    assert len(clip.motion()) == 500 and clip.speech().duration == 20
    odd = build(tmp_path / "odd", kind="inhouse_blendshape_weight", fps=50)
    with pytest.raises(VultusError, match=r"50 fps; expected 25, 30, 60 or 100; pass published=False"):
        UniTalker(odd)
    assert UniTalker(odd, published=False).split("val")[0].fps == 50


def test_biwi_is_area_unless_nominal_metres_are_asked_for(tmp_path: Path) -> None:
    folder = build(tmp_path / "D0_BIWI", kind="BIWI_23370_vertices", fps=25)
    stored = np.load(folder / "annot" / "val_0000.npy").reshape(-1, 23370, 3)
    clip = UniTalker(folder).split("val")[0]
    assert clip.unit == "area" and np.array_equal(clip.vertices(), stored)
    metres = UniTalker(folder, nominal_metres=True).split("val")[0]
    assert metres.unit == "m" and np.allclose(metres.vertices(), 0.2 * stored, rtol=1e-6)
    assert np.allclose(metres.template.vertices, 0.2 * clip.template.vertices, rtol=1e-6)
    assert any("unit area" in line.what for line in check(folder))


def test_meshtalk_becomes_metres(tmp_path: Path) -> None:
    folder = build(tmp_path / "D2_meshtalk", kind="meshtalk_6172_vertices", fps=30)
    clip = UniTalker(folder, nominal_metres=True).split("val")[0]
    stored = np.load(folder / "annot" / "val_0000.npy").reshape(-1, 6172, 3)
    assert clip.unit == "m" and np.allclose(clip.vertices(), stored / 1000, rtol=1e-6)
    assert 0.2 < np.ptp(clip.template.vertices) < 0.4


def test_flame_parameters(tmp_path: Path) -> None:
    folder = build(tmp_path / "D5", kind="flame_params_from_dadhead", fps=30)
    clip = UniTalker(folder).split("test")[0]
    assert clip.motion().shape[1] == 413 and clip.unit == "m"
    with pytest.raises(VultusError, match=r"no flame=FILE.*tue\.mpg\.de"):
        clip.vertices()
    write_flame_for(folder)
    clip = UniTalker(folder).split("test")[0]
    model, rows = load_flame(folder / "flame.npz"), clip.motion()
    expected = model.vertices(rows[:, 300:400], {"jaw": rows[:, 400:403]}, shape=rows[:, :300])
    assert np.array_equal(clip.vertices(), expected) and np.abs(expected - model.neutral).max() > 1e-3
    assert np.array_equal(clip.template.vertices, model.neutral)
    np.save(folder / "id_template.npy", np.tile(model.neutral.reshape(1, -1) + 0.01, (3, 1)))
    assert np.allclose(UniTalker(folder).split("test")[0].template.vertices, model.neutral + 0.01)
    np.save(folder / "id_template.npy", np.zeros((3, 7)))
    with pytest.raises(VultusError, match="rows of 7; expected 413 or 360"):
        UniTalker(folder).split("test")[0].vertices()


@pytest.mark.parametrize(
    ("kind", "file", "count"),
    [("3DETF_blendshape_weight", "EmoTalk.npz", 52), ("inhouse_blendshape_weight", "inhouse_arkit.npz", 51)],
)
def test_blendshape_weights(kind: str, file: str, count: int, tmp_path: Path) -> None:
    folder = build(tmp_path / "weights", kind=kind, fps=30)
    clip = UniTalker(folder).split("val")[0]
    weights = clip.motion()
    assert weights.shape[1] == count
    for options in ({}, {"resources": tmp_path / "absent"}, {"metres_per_unit": 0.01}):
        with pytest.raises(VultusError, match=r"vertices need resources=FOLDER .* metres_per_unit"):
            UniTalker(folder, **options).split("val")[0].vertices()
    resources = write_resources(tmp_path / "resources")
    with pytest.raises(VultusError, match="metres_per_unit is -1"):
        UniTalker(folder, resources=resources, metres_per_unit=-1)
    clip = UniTalker(folder, resources=resources, metres_per_unit=0.01).split("val")[0]
    with np.load(resources / "binary_resources" / file) as basis:
        mean, shapes = basis["meanshape"], basis["blendshape"]
    plain = np.stack([0.01 * (mean + sum(w * s for w, s in zip(row, shapes, strict=True))) for row in weights])
    assert clip.unit == "m" and np.allclose(clip.vertices(), plain, atol=1e-6)
    assert np.allclose(clip.template.vertices, 0.01 * mean, atol=1e-7)
    assert len(clip.template.topology.faces) == BLENDSHAPE_VERTICES - 2
    (resources / "binary_resources" / file).write_bytes(b"PK")
    with pytest.raises(VultusError, match=f"{file} cannot be read"):
        UniTalker(folder, resources=resources, metres_per_unit=0.01).split("val")[0].vertices()


def test_triangles_come_from_the_resources(root: Path, tmp_path: Path) -> None:
    assert len(UniTalker(root).split("val")[0].template.topology.faces) == 0
    data = UniTalker(root, resources=write_resources(tmp_path / "resources"))
    topology = data.split("val")[0].template.topology
    assert topology.num_vertices == 5023 and topology.faces[0].tolist() == [0, 1, 2]
    assert topology is data.split("test")[0].template.topology


def change(folder: Path, split: str, **fields: Any) -> None:
    path = folder / f"{split}.json"
    content = json.loads(path.read_text())
    content["data"][0] |= fields
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"annot_path": "../../etc/passwd"}, "expected a path inside"),
        ({"audio_path": "/etc/passwd"}, "expected a path inside"),
        ({"id": 3}, "has id 3; expected below 3 names"),
        ({"id": -1}, "has id -1"),
        ({"fps": "60"}, "has no usable fps"),
        ({"fps": 1e9}, "fps is 1e"),
        ({"annot_type": "FLAME_5023_vertice"}, "did you mean 'FLAME_5023_vertices'"),
        ({"annot_path": "annot/train_0000.npy"}, "is annot_train_0000 again"),
    ],
)
def test_lists_that_cannot_be_true(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = build(tmp_path / "D", kind="inhouse_blendshape_weight", fps=30)
    change(folder, "val", **fields)
    with pytest.raises(VultusError, match=message):
        UniTalker(folder)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match=r"has no train\.json; .*`vultus data check unitalker"):
        UniTalker(tmp_path)
    folder = build(tmp_path / "D6_unitalker_Chinese_speech", kind="inhouse_blendshape_weight", fps=30)
    with pytest.raises(VultusError, match=r"data sets D6_unitalker_Chinese_speech; expected one folder"):
        UniTalker(tmp_path)
    clip = UniTalker(folder).split("val")[0]
    path = folder / "annot" / "val_0000.npy"
    for bad, message in (
        (np.zeros((5, 50), np.float32), r"holds float32 \(5, 50\); expected \(frames, 51\) as inhouse"),
        (np.zeros(5), "expected"), (np.zeros((0, 51)), "expected"), (np.array(["a"]), "expected"),
        (np.full((9, 51), np.inf), "holds NaN"),
    ):  # fmt: skip
        np.save(path, bad)
        with pytest.raises(VultusError, match=message):
            clip.motion()
    path.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(VultusError, match="cannot be read"):
        clip.motion()
    path.unlink()
    with pytest.raises(VultusError, match="cannot be read"):
        UniTalker(folder).split("val")
    (folder / "val.json").write_text('{"info": {}}')
    with pytest.raises(VultusError, match=r"val\.json cannot be read .*expected info.id_list and data"):
        UniTalker(folder)
    np.save(folder / "id_template.npy", np.full((3, 51), np.nan))
    with pytest.raises(VultusError, match="expected finite"):
        UniTalker(folder)


def test_check(root: Path, tmp_path: Path) -> None:
    lines = check(root)
    text = " | ".join(line.what for line in lines)
    assert all(line.good for line in lines) and "3 identities" in text
    assert (
        "5 clips of FLAME_5023_vertices, unit m, stored numbers x 1" in text and "split val: sound minus motion" in text
    )
    folder = build(tmp_path / "D6", kind="inhouse_blendshape_weight", fps=30)
    (folder / "audio" / "train_0001.wav").unlink()
    (folder / "test.json").unlink()
    bad = [line for line in check(folder) if not line.good]
    text = " | ".join(line.what for line in bad)
    assert "1 of 3 clips lack a file: annot_train_0001" in text and "no test.json" in text
    assert "weights but no vertices" in text and all(line.remedy for line in bad)
    assert [line.good for line in check(tmp_path / "absent")] == [False]
    (folder / "train.json").write_bytes(b"\xff\xfe")
    assert not check(folder)[0].good
    write_flame(tmp_path / "flame.pkl", flame_arrays())
    parameters = build(tmp_path / "D5", kind="flame_params_from_dadhead", fps=30)
    assert "FLAME model" in check(parameters, flame=tmp_path / "flame.pkl")[-1].what
