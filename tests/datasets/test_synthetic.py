"""Reading a synthetic corpus back: what was made is what is read, and damage is named."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from vultus.clock import num_motion_frames
from vultus.datasets import open_dataset
from vultus.datasets.synthetic import SyntheticCorpus
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.motion import WEIGHT_NAMES
from vultus.synthesis.build import synthesize
from vultus.synthesis.plan import Settings
from vultus.synthesis.sources.kokoro_folder import KokoroFolder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    (folder / "in").mkdir()
    for voice in ("anna", "ben", "cleo"):
        for n in range(2):
            time = np.arange(9001) / 16_000  # no whole number of frames
            sound = 0.3 * np.sin(2 * np.pi * (180 + 30 * n) * time) * ((time > 0.1) & (time < 0.45))
            soundfile.write(folder / "in" / f"{voice}{n}.flac", sound, 16_000)
            spans = [("sil", 0, 0.1), ("m", 0.1, 0.2), ("a", 0.2, 0.45), ("sil", 0.45, 9001 / 16_000)]
            data = {
                "audio": f"{voice}{n}.flac", "voice": voice, "language": "en", "text": f"ma {n}",
                "seconds": 9001 / 16_000, "phonemes": [{"p": p, "start": a, "end": b} for p, a, b in spans],
            }  # fmt: skip
            (folder / "in" / f"{voice}{n}.json").write_text(json.dumps(data), encoding="utf-8")
    settings = Settings(subjects=3, test_lines=1, test_takes=3, negatives=0.1)
    return synthesize(folder / "corpus", KokoroFolder(folder / "in"), settings)


@pytest.fixture
def copy(tmp_path: Path, root: Path) -> Path:
    shutil.copytree(root, tmp_path / "corpus")
    return tmp_path / "corpus"


def test_clips_carry_everything(root: Path) -> None:
    corpus = SyntheticCorpus(root)
    assert corpus.splits == ("train", "val", "test", "takes")
    for clip in corpus.clips:
        speech = clip.speech()
        assert speech.num_samples == clip.num_samples and speech.name == clip.name
        for layer in clip.layers.values():
            assert layer.shape == (num_motion_frames(clip.num_samples, 60), len(WEIGHT_NAMES))
        for fps in (25.0, 30.0, 60.0):
            motion = clip.motion(fps=fps)
            assert motion.shape == (num_motion_frames(clip.num_samples, fps), 55) and motion.dtype == np.float32
            assert motion.min() >= 0 and motion.max() <= 1
            assert clip.head_rotation(fps).shape == (len(motion), 3)
        assert clip.phones[0].start == 0 and clip.phones[-1].end == pytest.approx(clip.duration, abs=1e-3)
        assert clip.style.to_dict() == pytest.approx(corpus.subjects[clip.subject].style)
        assert np.array_equal(
            clip.template.vertices, load_head(corpus.subjects[clip.subject].identity).template.vertices
        )


def test_layers_are_separate(root: Path) -> None:
    (clip, *_) = (c for c in SyntheticCorpus(root).split("train") if c.is_speech)
    jaw = WEIGHT_NAMES.index("jawOpen")
    assert clip.motion()[:, jaw].max() > 0.05
    rest = clip.motion(("expression", "random"))
    assert rest[:, jaw].max() < 0.5 * clip.motion()[:, jaw].max()
    assert clip.vertices(fps=30).shape == (num_motion_frames(clip.num_samples, 30), len(clip.template.vertices), 3)
    with pytest.raises(VultusError, match="did you mean 'random'"):
        clip.motion(("randon",))
    with pytest.raises(VultusError, match="no layer"):
        clip.motion(())


def test_takes_differ_in_chance_only(root: Path) -> None:
    corpus = SyntheticCorpus(root)
    (group,) = corpus.take_groups()
    assert [c.take for c in group] == [0, 1, 2] and len({c.line for c in group}) == 1
    assert [c.split for c in group] == ["test", "takes", "takes"]
    assert np.array_equal(group[0].speech().samples, group[1].speech().samples)
    assert not np.array_equal(group[0].motion(), group[1].motion())


def test_reference_is_the_same_subject_with_other_words(root: Path) -> None:
    corpus = SyntheticCorpus(root)
    clip = next(c for c in corpus.split("train") if c.is_speech)
    other = corpus.reference(clip)
    assert other.subject == clip.subject and other.text != clip.text


def test_clips_travel_to_workers(root: Path) -> None:
    clip = SyntheticCorpus(root).split("train")[0]
    assert len(clip.phones) > 0
    again = pickle.loads(pickle.dumps(clip))  # noqa: TID251  (our own object, as a process pool sends it)
    assert np.array_equal(again.motion(), clip.motion())


def test_table_and_unknown_names(root: Path) -> None:
    corpus = open_dataset("synthetic", str(root))
    with pytest.raises(VultusError, match="did you mean 'train'"):
        corpus.split("trian")
    with pytest.raises(VultusError, match="did you mean 'synthetic'"):
        open_dataset("sythetic", str(root))


def test_verify_names_the_changed_file(copy: Path) -> None:
    SyntheticCorpus(copy).verify()
    clip = SyntheticCorpus(copy).clips[0]
    (copy / clip.audio).unlink()
    with pytest.raises(VultusError, match=clip.audio):
        SyntheticCorpus(copy).verify()
    with pytest.raises(VultusError, match="vultus data synthesize"):
        clip.speech()


@pytest.mark.parametrize("body", [b"", b"nonsense", None])
def test_damaged_clip(copy: Path, body: bytes | None) -> None:
    clip = SyntheticCorpus(copy).clips[0]
    path = copy / clip.file
    path.write_bytes(path.read_bytes()[:-200] if body is None else body)
    with pytest.raises(VultusError, match="vultus data synthesize"):
        clip.motion()


def test_pickles_in_a_clip_are_not_run(copy: Path) -> None:
    clip = SyntheticCorpus(copy).clips[0]
    np.savez(copy / clip.file, allow_pickle=True, speech=np.array([{"a": 1}], dtype=object))
    with pytest.raises(VultusError, match="damaged"):
        clip.motion(("speech",))


def test_clip_with_other_shapes(copy: Path) -> None:
    clip = SyntheticCorpus(copy).clips[0]
    with np.load(copy / clip.file) as data:
        arrays = dict(data)
    arrays["speech"] = arrays["speech"][:-1]
    np.savez(copy / clip.file, **arrays)
    with pytest.raises(VultusError, match="shape"):
        clip.motion()


def _without(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def _field(key: str, value: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        lines = (root / "manifest.jsonl").read_text().splitlines()
        lines[1] = json.dumps({**json.loads(lines[1]), key: value})
        (root / "manifest.jsonl").write_text("\n".join(lines))

    return change


def _edit(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text(change((root / name).read_text()))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without("corpus.json"), "no corpus.json"),
        (_without("subjects.json"), "no subjects.json"),
        (_without("manifest.jsonl"), r"no manifest\.jsonl"),
        (_field("file", "clips/train/../../../secret.npz"), "line 2 is wrong .*file is"),
        (_field("file", "/etc/passwd"), "line 2 is wrong .*file is"),
        (_field("audio", "audio/../../x.flac"), "line 2 is wrong .*audio is"),
        (_field("frames", 10**9), "line 2 is wrong .*frames do not fit"),
        (_field("num_samples", -4), "line 2 is wrong .*frames do not fit"),
        (_field("fps", True), "line 2 is wrong .*fps is"),
        (_field("subject", "nobody"), "not in subjects.json"),
        (_field("extra", 1), "fields are not"),
        (_edit("manifest.jsonl", lambda t: t + t.splitlines()[0]), "comes twice"),
        (_edit("manifest.jsonl", lambda t: t[:-30]), "not JSON"),
        (_edit("manifest.jsonl", lambda t: t[: t.index("\n") + 1]), "lists 1 clips; expected"),
        (_edit("manifest.jsonl", lambda t: "[" * 20_000), "line 1 is wrong"),
        (_edit("corpus.json", lambda t: t.replace("complete", "building")), "has not finished"),
        (_edit("corpus.json", lambda t: t.replace('"version": "1"', '"version": "99"')), "format version is '99'"),
        (_edit("corpus.json", lambda t: "[]"), "corpus.json is damaged"),
        (_edit("subjects.json", lambda t: t.replace('"jaw_gain"', '"jaw_grain"')), "subject 's000'"),
        (_edit("subjects.json", lambda t: t.replace('"identity": ', '"identity": "x", "i": ')), "subject 's000'"),
    ],
)
def test_hostile_corpora_are_refused(copy: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(copy)
    with pytest.raises(VultusError, match=message):
        SyntheticCorpus(copy)


def test_unfinished_corpus_can_be_read_in_part(copy: Path) -> None:
    _edit("corpus.json", lambda t: t.replace("complete", "building"))(copy)
    _edit("manifest.jsonl", lambda t: "\n".join(t.splitlines()[:3])[:-20])(copy)
    assert len(SyntheticCorpus(copy, allow_partial=True).clips) == 2


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="vultus data synthesize"):
        SyntheticCorpus(tmp_path / "absent")
