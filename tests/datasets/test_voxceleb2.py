"""The rebuilds of VoxCeleb2: clips, the rule for splits and its promises, lists, references, sounds, bad input."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from miniature_voxceleb2 import FRAMES, SPEAKERS, VIDEOS, build, clip_arrays, write_clip

from vultus.datasets import Dataset, FaceSequence, open_dataset
from vultus.datasets.vox2_splits import SPARE, SPLITS, ClipName, draw, split_by_rule
from vultus.datasets.voxceleb2 import FramewiseVoxCeleb2, VideowiseVoxCeleb2, check
from vultus.errors import VultusError
from vultus.rigs.flame import load_flame


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("vox") / "vox")


@pytest.fixture(autouse=True)
def no_flame_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VULTUS_FLAME", raising=False)


def test_clips(root: Path) -> None:
    data = open_dataset("vox2_framewise", str(root))
    assert isinstance(data, Dataset) and data.name == "vox2_framewise" and data.splits == SPLITS
    clip = next(c for c in data.split("train") if c.name == f"id00012_{VIDEOS[0]}_00001")
    assert isinstance(clip, FaceSequence)
    assert (clip.subject, clip.sentence, clip.fps, clip.unit) == ("id00012", f"{VIDEOS[0]}_00001", 25.0, "m")
    with np.load(root / "dev" / "id00012" / VIDEOS[0] / "00001.npz") as raw:
        assert np.array_equal(clip.motion(), np.concatenate([raw["exp"], raw["jaw"]], axis=1))
        assert np.array_equal(clip.speech().samples, raw["wav"].astype(np.float32) / 32768)
        shape = raw["shape"]
    model = load_flame(root / "flame.npz")
    assert np.array_equal(clip.template.vertices, model.neutral)
    motion = clip.motion()
    assert np.array_equal(clip.vertices(), model.vertices(motion[:, :50], {"jaw": motion[:, 50:]}))
    own = next(c for c in FramewiseVoxCeleb2(root, neutral="own").split("train") if c.name == clip.name)
    assert np.array_equal(own.template.vertices, model.face(shape).vertices)
    for other in itertools.chain.from_iterable(data.split(name) for name in data.splits):
        assert other.speech().num_samples == 640 * len(other.motion())


def test_both_kinds_share_splits_and_are_not_mixed(root: Path, tmp_path: Path) -> None:
    other = VideowiseVoxCeleb2(build(tmp_path / "vox", kind="videowise"))
    assert other.name == "vox2_videowise"
    for split in SPLITS:
        assert [c.name for c in other.split(split)] == [c.name for c in FramewiseVoxCeleb2(root).split(split)]
    with pytest.raises(VultusError, match="says reconstruction is 'framewise'; expected 'videowise'"):
        VideowiseVoxCeleb2(root)
    (other.root / "build.json").unlink()
    assert FramewiseVoxCeleb2(other.root).splits == SPLITS
    (other.root / "build.json").write_text("{")
    with pytest.raises(VultusError, match="expected JSON"):
        FramewiseVoxCeleb2(other.root)


def names(speakers: int, videos: int = 4, clips: int = 3, test: int = 118) -> list[ClipName]:
    found = []
    for number in range(speakers + test):
        part = "dev" if number < speakers else "test"
        speaker = f"id{(10000 if part == 'dev' else 50000) + number:05}"
        found += [ClipName(part, speaker, f"v{v}", f"{c:05}") for v in range(videos) for c in range(clips)]
    return found


def test_the_rule_keeps_its_promises() -> None:
    assert draw("id00012") == pytest.approx(0.9018963434189099, abs=1e-15)  # splits of published results rest on it
    clips = names(3000)
    found = split_by_rule(clips)
    assert sorted(itertools.chain.from_iterable(found.values())) == sorted(clips)
    videos: dict[tuple[str, str], set[str]] = {}
    for split in SPLITS:
        for clip in found[split]:
            videos.setdefault((clip.speaker, clip.video), set()).add(split)
    assert all(len(splits) == 1 for splits in videos.values())
    people = {split: {clip.speaker for clip in found[split]} for split in SPLITS}
    assert not people["val_seen"] & people["test_seen"] and not people["val_unseen"] & people["test_unseen"]
    assert people["val_seen"] | people["test_seen"] < people["train"]
    assert not (people["val_unseen"] | people["test_unseen"]) & people["train"]
    for split, most in (("val_seen", 2), ("test_seen", 2), ("val_unseen", 10), ("test_unseen", 10)):
        assert set(Counter(clip.speaker for clip in found[split]).values()) == {most}
    # Shares of speakers: 200 and 500 of 5994, 18 of 118; five standard deviations.
    assert abs(len(people["val_seen"]) - 100) < 50 and abs(len(people["test_seen"]) - 250) < 76
    assert abs(len(people["val_unseen"]) - 18) < 20


def test_the_rule_does_not_depend_on_what_else_is_there() -> None:
    clips = names(400)
    whole = {clip: split for split, own in split_by_rule(clips).items() for clip in own}
    rng = np.random.default_rng(0)
    some = {speaker for speaker in {clip.speaker for clip in clips} if rng.random() < 0.5}
    part = split_by_rule(reversed([clip for clip in clips if clip.speaker in some]))
    assert all(whole[clip] == split for split, own in part.items() for clip in own)
    single = split_by_rule([clip for clip in clips if clip.video == "v0"])
    assert not single["val_seen"] and not single["test_seen"]  # a speaker's only video stays in train


def test_references_come_from_another_video(root: Path) -> None:
    data = FramewiseVoxCeleb2(root)
    for split in SPLITS:
        for clip in data.split(split):
            found = [data.reference(clip, seed) for seed in range(12)]
            assert [f.name for f in found] == [data.reference(clip, seed).name for seed in range(12)]
            assert {f.subject for f in found} == {clip.subject} and clip.video not in {f.video for f in found}
            assert len({f.name for f in found}) > 1
            allowed = {"train"} if split == "train" else {split, "train", SPARE}
            assert {f.split for f in found} <= allowed
            assert len(found[0].motion()) >= FRAMES


def test_reference_needs_a_second_video(tmp_path: Path) -> None:
    write_clip(tmp_path, "dev/id00012/21Uxsk56VDQ/00001")
    write_clip(tmp_path, "dev/id00012/21Uxsk56VDQ/00002")
    data = FramewiseVoxCeleb2(tmp_path)
    with pytest.raises(VultusError, match="no clip of another video"):
        data.reference(data.split("train")[0])


def test_lists_are_read_and_written(root: Path, tmp_path: Path) -> None:
    own = build(tmp_path / "vox")
    before = FramewiseVoxCeleb2(own)
    expected = {split: [clip.name for clip in before.split(split)] for split in before.splits}
    folder = before.write_splits()
    assert {path.stem for path in folder.iterdir()} == {*SPLITS, SPARE}
    assert {s: [clip.name for clip in FramewiseVoxCeleb2(own).split(s)] for s in SPLITS} == expected
    (folder / "train.txt").write_text("dev/id00012/21Uxsk56VDQ/00002\n")
    for split in (*SPLITS[1:], SPARE):
        (folder / f"{split}.txt").unlink()
    after = FramewiseVoxCeleb2(own)
    assert after.splits == ("train",) and [c.name for c in after.split("train")] == ["id00012_21Uxsk56VDQ_00002"]
    with pytest.raises(VultusError, match="unknown split"):
        after.split("test_seen")


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": "dev/id00012/a/00001 dev/id00012/a/00001"}, "train.txt names .* twice"),
        ({"train": "dev/id00012/a/00001", "test_seen": "dev/id00012/a/00002"}, "all clips of a video in one split"),
        ({"train": "test/id00017/a/00001", "test_unseen": "test/id00017/b/00002"}, "in no other list"),
        ({"train": "../../etc/passwd"}, "is no clip; expected names such as"),
        ({"trian": "dev/id00012/a/00001"}, "did you mean 'train'"),
        ({"train": ""}, "no clip under"),
    ],
)
def test_lists_that_break_a_rule(lists: dict[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    for name, text in lists.items():
        (tmp_path / "splits" / f"{name}.txt").write_text(text.replace(" ", "\n"))
    with pytest.raises(VultusError, match=message):
        FramewiseVoxCeleb2(tmp_path)


def test_sound_of_the_official_folder_and_of_a_piece(tmp_path: Path) -> None:
    video = tmp_path / "official" / "dev" / "aac" / "id00012" / VIDEOS[0]
    video.mkdir(parents=True)
    sound = 0.2 * np.sin(np.arange(16_000 * 4) ** 1.5 / 3000)
    soundfile.write(video / "00001.flac", sound, 16_000)
    arrays = clip_arrays("id00012", VIDEOS[0], sound=False) | {"start": np.float64(1.24)}
    path = write_clip(tmp_path / "vox", f"dev/id00012/{VIDEOS[0]}/00001_2")
    np.savez(path, **arrays)
    (clip,) = FramewiseVoxCeleb2(tmp_path / "vox", audio=tmp_path / "official").split("train")
    begin = round(1.24 * 16_000)
    assert np.allclose(clip.speech().samples, sound[begin : begin + FRAMES * 640], atol=1e-4)
    (clip,) = FramewiseVoxCeleb2(tmp_path / "vox").split("train")
    with pytest.raises(VultusError, match=r"no sound.*pass audio=FOLDER"):
        clip.speech()
    with pytest.raises(VultusError, match="no folder"):
        FramewiseVoxCeleb2(tmp_path / "vox", audio=tmp_path / "absent")
    np.savez(path, **arrays | {"start": np.float64(3.5)})
    (clip,) = FramewiseVoxCeleb2(tmp_path / "vox", audio=tmp_path / "official").split("train")
    with pytest.raises(VultusError, match=r"lasts 0\.50 s; expected 1\.20 s"):
        clip.speech()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speaker": np.array("id00013")}, "says speaker id00013, .* expected id00012"),
        ({"video": np.array("x")}, "video x"),
        ({"fps": np.float32(30)}, r"fps 30\.0; expected .* 25 as its place says"),
        ({"exp": np.zeros((5, 40))}, r"exp has shape \(5, 40\); expected \(frames, 50\)"),
        ({"jaw": np.zeros((5, 3))}, "exp has 30 frames and jaw 5"),
        ({"jaw": np.full((FRAMES, 3), np.inf)}, "not finite"),
        ({"exp": np.array([{"a": 1}], object)}, "cannot be read"),
        ({"exp": None}, "has no exp; expected the keys of docs/datasets/voxceleb2.md"),
    ],
)
def test_bad_clips(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path, f"dev/id00012/{VIDEOS[0]}/00001")
    arrays = {k: v for k, v in (clip_arrays("id00012", VIDEOS[0]) | change).items() if v is not None}
    np.savez(path, **arrays)
    (clip,) = FramewiseVoxCeleb2(tmp_path).split("train")
    with pytest.raises(VultusError, match=message):
        clip.motion()


def test_other_bad_input(root: Path, tmp_path: Path) -> None:
    with pytest.raises(VultusError, match=r"no clip under .*`vultus data check vox2_framewise"):
        FramewiseVoxCeleb2(tmp_path / "absent")
    write_clip(tmp_path, "dev/id00012/21Uxsk56VDQ/00001").write_bytes(b"PK\x03\x04 cut short")
    (clip,) = FramewiseVoxCeleb2(tmp_path).split("train")
    with pytest.raises(VultusError, match=r"00001\.npz cannot be read .*make it again"):
        clip.motion()
    with pytest.raises(VultusError, match="no flame=FILE"):
        clip.vertices()
    strange = tmp_path / "dev" / "someone" / "v"
    strange.mkdir(parents=True)
    np.savez(strange / "00001.npz", a=np.zeros(1))
    with pytest.raises(VultusError, match="'dev/someone/v/00001' is no clip"):
        FramewiseVoxCeleb2(tmp_path)
    with pytest.raises(VultusError, match="neutral is 'none'"):
        FramewiseVoxCeleb2(root, neutral="none")


def test_splits_are_lazy_sequences(root: Path) -> None:
    clips = FramewiseVoxCeleb2(root).split("train")
    assert [c.name for c in clips[1:3]] == [clips[1].name, clips[2].name] and clips[-1].name == list(clips)[-1].name
    with pytest.raises(IndexError):
        clips[len(clips)]


def test_check(root: Path, tmp_path: Path) -> None:
    lines = check(root)
    assert all(line.good for line in lines) and len(lines) == 2 + len(SPLITS)
    assert (
        lines[0].what.startswith("vox2_framewise, splits by the rule")
        and "sound minus motion is +0 ms" in lines[1].what
    )
    assert "looked at 8 of 14 sequences" in lines[1].what and len(check(root, durations=False)) == 2
    assert [line.good for line in check(tmp_path)] == [False]
    write_clip(tmp_path, f"dev/{SPEAKERS['train']}/{VIDEOS[0]}/00001", sound=False)
    (tmp_path / "build.json").write_text(json.dumps({"reconstruction": "videowise"}))
    lines = check(tmp_path)
    assert lines[0].good and lines[0].what.startswith("vox2_videowise")
    text = " | ".join(line.what for line in lines if not line.good)
    assert "no sound" in text and "split test_unseen is empty" in text and "no usable FLAME model" in text
    assert all(line.remedy for line in lines if not line.good)
    (tmp_path / "build.json").write_text("[]")
    assert not check(tmp_path)[0].good
