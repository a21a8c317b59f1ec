"""The builder: splits, resuming, workers, room on the disk, hostile folders, commands."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vultus.errors import VultusError
from vultus.motion import WEIGHT_NAMES
from vultus.synthesis import build
from vultus.synthesis.build import synthesize
from vultus.synthesis.commands import add_parser
from vultus.synthesis.plan import SPLITS, Settings, make_plan, split_voices
from vultus.synthesis.sources.base import Line, voice_parts
from vultus.synthesis.sources.kokoro_folder import KokoroFolder

SMALL = Settings(subjects=3, test_lines=1, test_takes=3, negatives=0.2)
JAW = WEIGHT_NAMES.index("jawOpen")
KILLED = """
import os, signal, sys
from vultus.synthesis import build, making
from vultus.synthesis.plan import Settings
from vultus.synthesis.sources.kokoro_folder import KokoroFolder
whole, made = making.write_atomically, []
def dying(path, content):
    made.append(path)
    if len(made) == 5:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name("." + path.name + ".1.part").write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    whole(path, content)
making.write_atomically = dying
settings = Settings(subjects=3, test_lines=1, test_takes=3, negatives=0.2)
build.synthesize(sys.argv[2], KokoroFolder(sys.argv[1]), settings)
"""


def tones(folder: Path, voices: tuple[str, ...] = ("anna", "ben", "cleo"), lines: int = 1) -> Path:
    """A labelled folder: each line is /SIL m a SIL/, the vowel a tone, half a second long."""
    folder.mkdir()
    for k, voice in enumerate(voices):
        for n in range(lines):
            time = np.arange(8000) / 16_000
            sound = 0.3 * np.sin(2 * np.pi * (150 + 40 * k + 10 * n) * time) * ((time > 0.1) & (time < 0.4))
            name = f"{voice}{n}".replace("*", "x")
            soundfile.write(folder / f"{name}.wav" if n else folder / f"{name}.flac", sound, 16_000)
            spans = [("sil", 0.0, 0.1), ("m", 0.1, 0.2), ("a", 0.2, 0.4), ("sil", 0.4, 0.5)]
            data = {
                "audio": f"{name}.wav" if n else f"{name}.flac", "voice": voice, "language": "en", "text": f"ma {n}",
                "seconds": 0.5, "phonemes": [{"p": p, "start": a, "end": b} for p, a, b in spans],
            }  # fmt: skip
            (folder / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tones(tmp_path_factory.mktemp("speech") / "in")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    return synthesize(tmp_path_factory.mktemp("corpus") / "out", KokoroFolder(speech), SMALL)


def plan_lines(count: int = 12) -> list[Line]:
    voices = ["v0", "v1", "v2", "v3", "v4", "v5", "v0*0.6+v1*0.4", "v2*0.6+v5*0.4"]
    return [Line(f"l{v}-{k}".replace("*", "x"), v, "en", f"text {k}", 2.0) for v in voices for k in range(count)]


def test_splits_share_no_voice_identity_or_style() -> None:
    lines = {line.name: line for line in plan_lines()}
    plan = make_plan(list(lines.values()), Settings(subjects=12, takes=2, test_lines=4, test_takes=5))
    seen: dict[str, dict[str, set[object]]] = {}
    for clip in plan.clips:
        subject = plan.subjects[clip.subject]
        split = "test" if clip.split == "takes" else clip.split
        assert subject.split == split
        here = seen.setdefault(split, {"voice": set(), "identity": set(), "style": set()})
        here["identity"].add(subject.identity)
        here["style"].add(tuple(subject.style.items()))
        if clip.kind == "speech":
            here["voice"] |= set(voice_parts(lines[clip.line].voice))
            assert subject.voice == voice_parts(lines[clip.line].voice)[0]
    assert set(seen) == {"train", "val", "test"}
    for kind in ("voice", "identity", "style"):
        together = [value for split in seen.values() for value in split[kind]]
        assert len(together) == len(set(together))
    assert len(plan.subjects) == len({s.identity for s in plan.subjects.values()}) == 12
    assert len({tuple(s.style.items()) for s in plan.subjects.values()}) == 12


def test_takes_and_negatives_are_counted() -> None:
    plan = make_plan(plan_lines(), Settings(takes=2, test_lines=4, test_takes=5, negatives=0.1))
    takes = Counter(c.line for c in plan.clips if c.kind == "speech")
    test = {c.line for c in plan.clips if c.split == "takes"}
    assert len(test) == 4 and all(takes[line] == 5 for line in test)
    assert all(count == 2 for line, count in takes.items() if line not in test)
    for line in test:
        assert len({c.subject for c in plan.clips if c.line == line}) == 1
        assert len({c.seed for c in plan.clips if c.line == line}) == 5
    for split in ("train", "val", "test"):
        here = [c for c in plan.clips if c.split == split]
        assert sum(c.kind != "speech" for c in here) >= 0.1 * len(here)
    assert len({c.name for c in plan.clips}) == len(plan.clips)


def test_plan_depends_on_seed_and_settings_only() -> None:
    lines = plan_lines()
    digest = make_plan(lines, Settings()).digest
    assert make_plan(list(lines), Settings()).digest == digest
    assert make_plan(lines, Settings(seed=1)).digest != digest
    assert make_plan(lines, Settings(takes=2)).digest != digest


def test_hours_bound_the_lines() -> None:
    plan = make_plan(plan_lines(50), Settings(hours=0.02, negatives=0.0, test_takes=1))
    assert 72 <= sum(c.seconds for c in plan.clips) <= 74
    few = make_plan(plan_lines(50), Settings(hours=0.02, subjects=4, negatives=0.0, test_takes=1))
    assert 72 <= sum(c.seconds for c in few.clips) <= 74 and len(few.subjects) == 4
    assert {s.split for s in few.subjects.values()} == {"train", "val", "test"}


def test_held_out_voices() -> None:
    names = ["af_nova", "bm_lewis", "af_sky", "am_adam", "af_heart"]
    assert split_voices(names, Settings()) == {
        "af_nova": "test", "bm_lewis": "test", "af_sky": "val", "am_adam": "train", "af_heart": "train",
    }  # fmt: skip
    assert split_voices(names, Settings(test_voices=("am_adam",)))["af_nova"] == "train"
    assert set(split_voices(["one"], Settings()).values()) == {"train"}
    with pytest.raises(VultusError, match="speaks no line"):
        split_voices(names, Settings(test_voices=("nobody",)))
    with pytest.raises(VultusError, match="none is left"):
        split_voices(["a", "b"], Settings(test_voices=("a",), val_voices=("b",)))


@pytest.mark.parametrize(
    "wrong", [{"hours": 0}, {"subjects": 0}, {"takes": 0}, {"negatives": 0.9}, {"fps": 0}, {"seed": -1}]
)
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(VultusError, match=f"corpus: {next(iter(wrong))} is"):
        Settings(**wrong)  # type: ignore[arg-type]


def test_corpus_is_whole(corpus: Path) -> None:
    records = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    assert json.loads((corpus / "corpus.json").read_text())["state"] == "complete"
    assert Counter(r["split"] for r in records) == {"train": 2, "val": 2, "test": 2, "takes": 2}
    assert {r["split"] for r in records} <= set(SPLITS)
    files = {str(p.relative_to(corpus)) for p in corpus.rglob("*") if p.is_file()}
    named = {r["file"] for r in records} | {r["audio"] for r in records}
    assert files == named | {"corpus.json", "subjects.json", "manifest.jsonl", "card.md"}
    card = (corpus / "card.md").read_text()
    assert "made by rules" in card and "| test | 2 |" in card and "kokoro_folder" in card


def test_a_negative_clip_has_sound_and_a_face_at_rest(corpus: Path) -> None:
    records = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    quiet = [r for r in records if r["kind"] != "speech"]
    assert len(quiet) == 3
    for record in quiet:
        with np.load(corpus / record["file"]) as clip:
            speech = clip["speech"].astype(np.float32)
            assert list(clip["phone_symbols"]) == ["SIL"]
        # a style may rest with its lips a little apart; the jaw stays
        assert speech[:, JAW].max() < 0.02 and speech.max() < 0.2
        samples, rate = soundfile.read(corpus / record["audio"])
        assert rate == 16_000 and len(samples) == record["num_samples"]


def test_spoken_clip_opens_and_closes_the_mouth(corpus: Path) -> None:
    records = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    for record in (r for r in records if r["kind"] == "speech"):
        with np.load(corpus / record["file"]) as clip:
            jaw = clip["speech"][:, JAW].astype(np.float32)
        assert jaw[15:24].max() > jaw[0] + 0.05


def test_two_workers_give_the_same_bytes(tmp_path: Path, speech: Path, corpus: Path) -> None:
    again = synthesize(tmp_path / "again", KokoroFolder(speech), SMALL, workers=2)
    assert contents(again) == contents(corpus)


def test_killed_build_goes_on_to_the_same_bytes(tmp_path: Path, speech: Path, corpus: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(speech), str(out)], check=False)
    assert done.returncode == -9
    before = contents(out)
    assert 2 <= sum(name.endswith(".npz") for name in before) < 8 and any(name.endswith(".part") for name in before)
    assert json.loads(before["corpus.json"])["state"] == "building"
    steps: list[tuple[int, int]] = []
    synthesize(out, KokoroFolder(speech), SMALL, progress=lambda done, total: steps.append((done, total)))
    assert steps[0][0] >= 1 and steps[-1] == (8, 8)  # what was recorded was not made again
    assert contents(out) == contents(corpus)


def test_hostile_or_damaged_manifest_is_not_trusted(tmp_path: Path, speech: Path, corpus: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(corpus, out)
    lines = (out / "manifest.jsonl").read_text().splitlines()
    first, second = json.loads(lines[0]), json.loads(lines[1])
    (out / second["file"]).write_bytes(b"damaged")
    bad = [
        json.dumps({**first, "file": "../../outside.npz"}), json.dumps({**first, "frames": "many"}), "[" * 5000, "null",
        "\x00\xff", json.dumps({**first, "name": "another"}), json.dumps(first)[:40],
    ]  # fmt: skip
    (out / "manifest.jsonl").write_text("\n".join([*bad, *lines[1:]]), encoding="utf-8")
    steps: list[int] = []
    synthesize(out, KokoroFolder(speech), SMALL, progress=lambda done, _: steps.append(done))
    assert steps[0] == 6  # all but the one without a good record and the one with a damaged file
    assert contents(out) == contents(corpus)
    assert not (tmp_path / "outside.npz").exists()


def test_room_is_checked_before_any_work(tmp_path: Path, speech: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with pytest.raises(VultusError, match=r"the bound is 1e-05 GB"):
        synthesize(out, KokoroFolder(speech), SMALL, max_gb=1e-5)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(VultusError, match="GB free"):
        synthesize(out, KokoroFolder(speech), SMALL)
    assert not out.exists()


def test_the_bound_holds(tmp_path: Path, speech: Path, corpus: Path) -> None:
    size = sum(p.stat().st_size for p in corpus.rglob("*") if p.is_file())
    bound = 0.001
    assert synthesize(tmp_path / "out", KokoroFolder(speech), SMALL, max_gb=bound) and size <= bound * 1e9


def test_another_corpus_is_not_overwritten(tmp_path: Path, speech: Path, corpus: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(corpus, out)
    with pytest.raises(VultusError, match="another settings or speech"):
        synthesize(out, KokoroFolder(speech), Settings(seed=5, subjects=3))
    info = json.loads((out / "corpus.json").read_text())
    (out / "corpus.json").write_text(json.dumps({**info, "teacher": "other"}))
    with pytest.raises(VultusError, match="another teacher"):
        synthesize(out, KokoroFolder(speech), SMALL)
    synthesize(out, KokoroFolder(speech), SMALL, fresh=True)
    assert contents(out) == contents(corpus)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    for fresh in (False, True):
        with pytest.raises(VultusError, match="neither empty nor a corpus"):
            synthesize(tmp_path / "mine", KokoroFolder(speech), SMALL, fresh=fresh)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_names_that_cannot_be_files_are_refused(tmp_path: Path) -> None:
    folder = tones(tmp_path / "in")
    (folder / "anna0.json").rename(folder / "my line.json")
    with pytest.raises(VultusError, match="'my line' cannot name a file"):
        synthesize(tmp_path / "out", KokoroFolder(folder), SMALL)
    assert not (tmp_path / "out").exists()


def test_several_sources_and_encoded_sound(tmp_path: Path) -> None:
    first, second = tones(tmp_path / "a", lines=2), tones(tmp_path / "b", ("dora",))
    out = synthesize(tmp_path / "out", [KokoroFolder(first), KokoroFolder(second)], Settings(negatives=0, test_takes=1))
    records = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert {r["line"][:2] for r in records} == {"0-", "1-"} and len(records) == 7
    assert len(json.loads((out / "subjects.json").read_text())) == 24
    assert all(r["audio"].endswith(".flac") for r in records)  # .wav lines were encoded, .flac lines linked


def test_commands(
    tmp_path: Path,
    speech: Path,
    corpus: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())

    def run(*words: str) -> int:
        options = parser.parse_args(["data", *words])
        return int(options.run(options))

    out = tmp_path / "out"
    made = ["synthesize", "--out", str(out), "--speech", str(speech), "--subjects", "3", "--test-lines", "1"]
    assert run(*made, "--test-takes", "3", "--negatives", "0.2", "--max-gb", "1", "--quiet") == 0
    assert contents(out) == contents(corpus)
    assert run("info", str(out), "--verify") == 0
    assert "complete, 8 clips of 8 planned" in capsys.readouterr().out
    assert run("export", str(out), "--layout", "vocaset", "-o", str(tmp_path / "voca"), "--split", "test") == 0
    (wav,) = (tmp_path / "voca" / "wav").iterdir()
    vertices = np.load(tmp_path / "voca" / "vertices_npy" / f"{wav.stem}.npy")
    with np.load(tmp_path / "voca" / "templates.npz") as templates:
        subject = wav.stem.split("_")[0]
        assert vertices.shape == (15, templates[subject].size)
        assert np.abs(vertices[0].reshape(-1, 3) - templates[subject]).max() < 0.02
    with pytest.raises(VultusError, match="not empty"):
        run("export", str(out), "-o", str(tmp_path / "voca"))
    clip = next((out / "clips" / "test").glob("*.t00.npz"))
    assert run("preview", str(clip), "-o", str(tmp_path / "p.json")) == 0
    assert (tmp_path / "p.json").stat().st_size > 1000
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(VultusError, match=r"no voices under .*vultus data fetch kokoro"):
        run("synthesize", "--out", str(tmp_path / "new"))
    with pytest.raises(VultusError, match="is no clip"):
        run("preview", str(wav), "-o", str(tmp_path / "q.json"))
