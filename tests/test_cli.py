"""The command line as a user meets it: good input gives files, bad input one line and exit status 2."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vultus.cli import main
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
    assert status == 0 and out.split()


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
]


@pytest.mark.parametrize(("options", "said"), BAD_OPTIONS, ids=lambda value: str(value))
def test_bad_options_are_one_line(
    recording: Path, tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run("animate", recording, "-o", tmp_path / "x.csv", *options, capsys=capsys)
    assert status == 2, err
    assert out == "" and len(err.splitlines()) == 1 and said in err
    assert list(tmp_path.iterdir()) == []


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
