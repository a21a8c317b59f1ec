"""The command line as a user meets it: good input gives files, bad input one line and exit status 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vultus.cli import main
from vultus.motion import ARKIT_NAMES
from vultus.version import __version__


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.5 s: a voice-like buzz with syllables, then silence."""
    path = tmp_path_factory.mktemp("cli") / "talk.wav"
    time = np.arange(24000) / 16000
    buzz = np.sign(np.sin(2 * np.pi * 120 * time)) * (np.sin(2 * np.pi * 4 * time) > 0) * (time < 1.0) * 0.1
    soundfile.write(path, buzz, 16000)
    return path


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        status = main([str(word) for word in words])
    except SystemExit as stop:
        status = int(stop.code or 0)
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_version_help_and_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version", capsys=capsys)[1].strip() == f"vultus {__version__}"
    status, out, _ = run("--help", capsys=capsys)
    assert status == 0 and all(word in out for word in ("animate", "models", "styles", "data", "train"))
    status, out, _ = run("animate", "--help", capsys=capsys)
    assert status == 0 and all(
        f"--{word}" in out for word in ("style", "identity", "gain", "no-life", "smooth", "seed")
    )
    status, out, _ = run("models", capsys=capsys)
    assert status == 0 and "base" in out and "loudness" in out
    status, out, _ = run("styles", capsys=capsys)
    assert status == 0 and out.splitlines()[0] == "neutral      an average speaker (default)"
    status, _, err = run("styles", "--model", "loudness", capsys=capsys)
    assert status == 2 and err == "vultus: error: model 'loudness' has no styles\n"


def test_animate_writes_what_is_asked_and_says_so(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [tmp_path / f"x{suffix}" for suffix in (".glb", ".csv", ".json", ".npz")]
    status, out, err = run("animate", recording, *(word for path in outputs for word in ("-o", path)), capsys=capsys)
    assert status == 0 and out == ""
    assert all(path.stat().st_size > 0 for path in outputs)
    assert len(err.splitlines()) == 1 and "45 frames at 30 fps" in err and "1.50 s" in err


def test_same_seed_same_bytes_other_seed_other_life(recording: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert (
            main(["animate", str(recording), "-o", str(tmp_path / f"{name}.csv"), "--seed", str(seed), "--quiet"]) == 0
        )
    first, second, third = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert first == second
    assert first != third


BAD_OPTIONS = [
    (["--fps", "0"], "fps"),
    (["--fps", "many"], "fps"),
    (["--fps", "nan"], "fps"),
    (["--gain", "jaw"], "malformed"),
    (["--gain", "jaw=x"], "jaw"),
    (["--gain", "jow=1"], "did you mean 'jaw'"),
    (["--gain", "jaw=-1"], "jaw"),
    (["--gain", "jaw=nan"], "jaw"),
    (["--smooth", "-5"], "smooth"),
    (["--start", "100"], "start"),
    (["--start", "-1"], "start"),
    (["--start", "1", "--end", "0.5"], "end"),
    (["--model", "bse"], "did you mean 'base'"),
    (["--style", "no-such-style"], "style"),
    (["--style", "missing.csv"], "missing.csv"),
    (["--identity", "age=7"], "age"),
    (["--identity", "agee=0.5"], "agee"),
    (["--identity", "age=1,age=0"], "twice"),
    (["--identity", ""], "empty"),
    (["--seed", "x"], "seed"),
    (["--takes", "0"], "0 takes asked for; expected 1 to 100"),
    (["--takes", "-3"], "-3 takes"),
    (["--takes", "101"], "101 takes"),
    (["--takes", "many"], "--takes"),
    (["--takes", "4", "--model", "base"], "deterministic and gives 1 take, not 4"),
    (["--sampling", "avg-10", "--model", "base"], "draws nothing by sampling 'avg-10'"),
    (["--style", "lively+"], "without a name"),
    (["--style", "lively*x+warm"], "not a number"),
    (["--style", "lively*-1+warm"], "0 or more"),
    (["--style", "lively*0"], "sum to 0"),
    (["--style", "lively+wram"], "did you mean 'warm'"),
    (["--style", "lively+missing.glb"], "missing.glb"),
    (["--style", "talk.fbx"], "style"),
]


@pytest.mark.parametrize(("options", "said"), BAD_OPTIONS, ids=lambda value: str(value))
def test_bad_options_are_one_line(
    recording: Path, tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run("animate", recording, "-o", tmp_path / "x.csv", *options, capsys=capsys)
    assert status == 2, err
    assert out == "" and len(err.splitlines()) == 1 and said in err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default model of several takes is a made-up one, quick to make."""
    from several_takes import SeveralTakes

    from vultus.runtime import animate, bundle

    def fake(name: str) -> object:
        return SeveralTakes() if name == "takes" else bundle.load(name)

    monkeypatch.setattr(animate, "load", fake)


@pytest.mark.usefixtures("several")
def test_takes_are_numbered_files(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["animate", recording, "-o", tmp_path / "talk.json", "-o", tmp_path / "b.csv", "--seed", "7", "--no-life"]
    status, out, err = run(*words, "--takes", "3", capsys=capsys)
    assert status == 0 and out == "" and len(err.splitlines()) == 1 and "3 takes of 1.50 s" in err
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{stem}.{take}.{kind}" for stem, kind in (("b", "csv"), ("talk", "json")) for take in (1, 2, 3)]
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(set(made.values())) == 6  # with --no-life the takes still differ
    assert json.loads(made["talk.2.json"])["info"]["take"] == 2
    assert run(*words, "--takes", "3", "--quiet", capsys=capsys) == (0, "", "")
    assert made == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run(*words, "--takes", "1", "--sampling", "plain", "--quiet", capsys=capsys)[0] == 0
    one, first = (json.loads((tmp_path / name).read_text()) for name in ("talk.json", "talk.1.json"))
    assert one["frames"] == first["frames"] and one["info"]["model"] == "several"


BAD_TAKES = [
    (["--sampling", "nonsense"], "unknown sampling strategy"),
    (["--sampling", "avg-1"], "avg"),
    (["--sampling", "region-region-avg-10"], "region within region"),
    (["--sampling", "sync-10"], "scorer"),
    (["--style", "clam"], "did you mean 'calm'"),
]


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(("options", "said"), BAD_TAKES, ids=lambda value: str(value))
def test_bad_options_for_several_takes_are_one_line(
    recording: Path, tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run("animate", recording, "-o", tmp_path / "x.csv", "--takes", "4", *options, capsys=capsys)
    assert status == 2 and out == "" and len(err.splitlines()) == 1 and said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("several")
def test_numbered_targets_are_checked_before_the_work(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: object) -> str:
        before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
        status, _, err = run("animate", *words, "--takes", "3", capsys=capsys)
        assert status == 2 and len(err.splitlines()) == 1
        assert before == {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
        return err

    (tmp_path / "x.2.csv").mkdir()
    assert "x.2.csv: is a folder" in refused(recording, "-o", tmp_path / "x.csv")
    assert "no folder" in refused(recording, "-o", tmp_path / "none" / "x.csv")
    (tmp_path / "talk.1.mp4").write_bytes(recording.read_bytes())
    assert "the recording itself" in refused(tmp_path / "talk.1.mp4", "-o", tmp_path / "talk.mp4")
    (tmp_path / "ref.3.csv").write_bytes(b"precious")
    style = f"calm+{tmp_path / 'ref.3.csv'}*2"
    assert "the style's own clip" in refused(recording, "-o", tmp_path / "ref.csv", "--style", style)
    assert "no suffix names no format" in refused(recording, "-o", tmp_path / "x")
    assert "twice" in refused(recording, "-o", tmp_path / "y.csv", "-o", tmp_path / "y.csv")
    if os.geteuid() != 0:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        assert "no permission" in refused(recording, "-o", closed / "x.csv")


@pytest.mark.usefixtures("several")
def test_a_later_take_that_cannot_be_written_names_those_that_were(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vultus.export import json_weights

    write, calls = json_weights.write, []

    def full(take: object, path: Path, **options: object) -> None:
        calls.append(path)
        write(take, path, **options)  # type: ignore[arg-type]
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(json_weights, "write", full)
    status, _, err = run("animate", recording, "-o", tmp_path / "x.json", "--takes", "4", capsys=capsys)
    assert status == 2 and len(err.splitlines()) == 1
    assert "x.2.json: no space left" in err and f"written before: {tmp_path / 'x.1.json'}" in err
    assert [path.name for path in tmp_path.iterdir()] == ["x.1.json"]


def _bad_clips(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name -> a reference clip that shows no style, and what is said of it."""
    from vultus.export.csv import COLUMNS

    rng = np.random.default_rng(0)

    def weights(name: str, frames: int, fps: float = 30.0, low: float = 0.0, high: float = 1.0) -> Path:
        path = folder / name
        values = rng.uniform(low, high, (frames, 52))
        names = [*ARKIT_NAMES]
        path.write_text(json.dumps({"names": names, "fps": fps, "frames": values.tolist()}))
        return path

    def mesh(name: str, **changes: np.ndarray) -> Path:
        vertices = rng.normal(0, 0.01, (60, 9, 3)).astype(np.float32)
        arrays = {
            "fps": np.array(30.0), "vertices": vertices, "template": vertices[0], "faces": np.zeros((1, 3), np.int32),
            "head_rotation": np.zeros((60, 3), np.float32), **changes,
        }  # fmt: skip
        np.savez(folder / name, **arrays)
        return folder / name

    text = folder / "text.csv"
    text.write_text("not,a,capture\n1,2,3\n")
    rows = [f"00:00:0{i // 30}:{2 * (i % 30):02d}.000,61," + ",".join(["nan"] * 61) for i in range(60)]
    nan = folder / "nan.csv"
    nan.write_text(",".join(COLUMNS) + "\n" + "\n".join(rows) + "\n")
    damaged = folder / "damaged.glb"
    damaged.write_bytes(b"glTF" + b"\1" * 40)
    return {
        "short": (weights("short.json", 12), "0.40 s of motion; a style needs at least 0.5 s"),
        "few": (weights("few.json", 4, fps=4.0), "too few to show a style"),
        "still": (weights("still.json", 60, low=0.25, high=0.25), "never moves"),
        "percent": (weights("percent.json", 60, high=100.0), "expected 0 to 1"),
        "slow": (weights("slow.json", 60, fps=0.01), "fps"),
        "nan csv": (nan, "not a finite number"),
        "nan mesh": (mesh("nan.npz", vertices=np.full((60, 9, 3), np.nan, np.float32)), "not a finite number"),
        "other mesh": (mesh("other.npz"), "9 vertices move another mesh"),
        "still mesh": (mesh("still.npz", vertices=np.zeros((60, 9, 3), np.float32)), "never moves"),
        "text": (text, "Live Link Face CSV"),
        "damaged": (damaged, "version"),
        "folder": (folder, "unknown style"),
    }


@pytest.mark.parametrize(
    "name",
    ["short", "few", "still", "percent", "slow", "nan csv", "nan mesh", "other mesh", "still mesh", "text", "damaged",
     "folder"],
)  # fmt: skip
def test_bad_reference_clips_are_one_line(
    recording: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, results = tmp_path / "in", tmp_path / "out"
    clips.mkdir()
    results.mkdir()
    clip, said = _bad_clips(clips)[name]
    for style in (str(clip), f"warm*0.5+{clip}*0.5"):
        words = ["animate", recording, "-o", results / "x.csv", "--style", style]
        status, out, err = run(*words, capsys=capsys)
        assert status == 2 and out == "" and len(err.splitlines()) == 1 and said in err, err
    status, out, err = run("styles", "--from", clip, capsys=capsys)
    assert status == 2 and out == "" and len(err.splitlines()) == 1
    assert list(results.iterdir()) == []


def test_a_clip_of_any_kind_lends_its_manner(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = (".glb", ".csv", ".json", ".npz")
    words = ["animate", recording, "--quiet", "--fps", "25", "--style", "lively"]
    assert run(*words, *(w for kind in kinds for w in ("-o", tmp_path / f"ref{kind}")), capsys=capsys)[0] == 0
    jaws = []
    for kind in kinds:
        style = tmp_path / f"ref{kind}"
        assert run("animate", recording, "-o", tmp_path / "x.json", "--style", style, "--quiet", capsys=capsys)[0] == 0
        made = json.loads((tmp_path / "x.json").read_text())
        assert made["info"]["style"] == str(style)
        jaws.append([frame[ARKIT_NAMES.index("jawOpen")] for frame in made["frames"]])
    np.testing.assert_allclose(jaws, np.repeat(jaws[:1], 4, axis=0), atol=5e-3)  # the file's kind says nothing
    status, out, _ = run("styles", "--from", tmp_path / "ref.glb", capsys=capsys)
    likeness = [float(line.split()[1]) for line in out.splitlines()]
    assert status == 0 and len(likeness) == 7 and likeness == sorted(likeness, reverse=True) and max(likeness) <= 1.0


def _bad_recordings(folder: Path) -> dict[str, Path]:
    made = {}
    for name, data in {
        "text.wav": b"This is not sound, only text with the wrong name.\n" * 20,
        "empty.wav": b"",
        "random.mp3": np.random.default_rng(0).bytes(5000),
    }.items():
        made[name] = folder / name
        made[name].write_bytes(data)
    for name, samples in {
        "short.wav": np.zeros(160),
        "nan.wav": np.where(np.arange(16000) == 500, np.nan, 0.1),
        "infinite.wav": np.where(np.arange(16000) == 500, np.inf, 0.1),
    }.items():
        made[name] = folder / name
        soundfile.write(made[name], samples.astype(np.float32), 16000, subtype="FLOAT")
    made["missing"] = folder / "missing.wav"
    made["folder"] = folder
    return made


@pytest.mark.parametrize(
    "name", ["text.wav", "empty.wav", "random.mp3", "short.wav", "nan.wav", "infinite.wav", "missing", "folder"]
)
def test_bad_recordings_are_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds, results = tmp_path / "in", tmp_path / "out"
    sounds.mkdir()
    results.mkdir()
    status, out, err = run("animate", _bad_recordings(sounds)[name], "-o", results / "x.glb", capsys=capsys)
    assert status == 2 and out == ""
    assert len(err.splitlines()) == 1 and err.startswith("vultus: error: ")
    assert list(results.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "said"),
    [("no/such/folder/x.glb", "folder"), ("x.blend", ".glb"), ("x", ".glb"), (".", "")],
)
def test_bad_targets_are_refused_before_the_work(
    recording: Path, tmp_path: Path, target: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run("animate", recording, "-o", tmp_path / target, capsys=capsys)
    assert status == 2 and len(err.splitlines()) == 1 and said in err
    assert list(tmp_path.iterdir()) == []


def test_a_bad_size_is_refused_before_anything_is_written(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target, size in (("b.png", "0"), ("b.mp4", "51")):
        words = ["animate", recording, "-o", tmp_path / "a.csv", "-o", tmp_path / target, "--size", size]
        status, _, err = run(*words, capsys=capsys)
        assert status == 2 and len(err.splitlines()) == 1
        assert list(tmp_path.iterdir()) == []


def test_bytes_do_not_depend_on_threads(recording: Path, tmp_path: Path) -> None:
    for threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        words = [sys.executable, "-m", "vultus", "animate", str(recording), "-o", str(tmp_path / f"{threads}.json")]
        subprocess.run(words, check=True, env=environment, capture_output=True)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_asked_to_stop_leaves_nothing_half_written(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(0, 0.05, 16000 * 60), 16000)
    words = [sys.executable, "-m", "vultus", "animate", str(tmp_path / "long.wav"), "-o", str(tmp_path / "x.mp4")]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".x*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]


def test_output_onto_the_recording_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"precious")
    status, _, err = run("animate", path, "-o", path, capsys=capsys)
    assert status == 2 and "recording itself" in err
    assert path.read_bytes() == b"precious"


def test_silence_is_not_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(48000), 16000)
    assert main(["animate", str(tmp_path / "silence.wav"), "-o", str(tmp_path / "x.csv"), "--quiet"]) == 0
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 91


def test_errors_of_the_parser_are_one_line_in_a_process(tmp_path: Path) -> None:
    for words in (["animate"], ["animat", "x"], ["animate", "x", "--no-such-option"]):
        done = subprocess.run([sys.executable, "-m", "vultus", *words], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
