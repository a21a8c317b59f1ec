"""`vultus figures`: choices, files, progress of a whole run, and one line for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toy_data import ToyData

from vultus.cli import main
from vultus.datasets.synthetic import SyntheticCorpus
from vultus.errors import VultusError
from vultus.figures import FIGURES, commands
from vultus.figures.commands import choose_sequences


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, toy: ToyData) -> ToyData:
    def open_toy(name: str, root: str) -> ToyData:
        assert (name, root) == ("toy", "ROOT")
        return toy

    monkeypatch.setattr(commands, "open_dataset", open_toy)
    return toy


def test_all_figures_of_the_synthetic_corpus(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "figures"
    arguments = ["figures", "all", "--data", f"synthetic:{corpus}", "--split", "train", "--model", "base"]
    # six sequences are enough for t-SNE
    sequences = [clip for clip in SyntheticCorpus(corpus).split("train") if clip.is_speech]
    assert main([*arguments, "--out", str(out)]) == 0
    shown = capsys.readouterr().err
    expected = [name for name in FIGURES if name != "subjects_map" or len(sequences) >= 5]
    assert sorted(p.name for p in out.iterdir()) == sorted(
        f"{n}.{s}" for n in expected for s in ("png", "html", "json")
    )
    assert all(f"{name}.png" in shown for name in expected)
    moved = json.loads((out / "intensity.json").read_text())["mean_standard_deviation"]
    assert set(moved) == {"recorded", "predicted"} and all(v > 0 for of in moved.values() for v in of.values())
    styles = json.loads((out / "styles.json").read_text())
    assert styles["model"] == "base" and len(styles["mean_standard_deviation"]) == 6
    errors = json.loads((out / "error_maps.json").read_text())
    assert 0 < errors["mean_error"]["all sequences"] < 10


def test_points_of_another_topology(toys: ToyData, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "all", "--data", "toy:ROOT", "--out", str(tmp_path), "--limit", "12"]) == 0
    shown = capsys.readouterr().err
    assert {p.stem for p in tmp_path.iterdir()} == {"intensity", "subjects_map", "regional_correlation"}
    for name in ("styles", "activated_regions", "error_maps"):
        assert f"{name}: left out" in shown
    assert "name a model for this topology" in shown


def test_predictions_of_a_folder(toys: ToyData, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for sequence in toys.split("test"):
        np.save(tmp_path / "p" / f"{sequence.name}.npy", sequence.vertices() + np.float32(0.001))
    arguments = ["figures", "error-maps", "--data", "toy:ROOT", "--predictions", str(tmp_path / "p"), "--quiet"]
    assert main([*arguments, "--out", str(tmp_path / "o")]) == 0
    errors = json.loads((tmp_path / "o" / "error_maps.json").read_text())
    assert errors["mean_error"]["s1"] == pytest.approx(np.sqrt(3), rel=1e-3) and errors["predictions"] == "folder p"


def test_lengths_may_differ_by_two_frames(toys: ToyData, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p").mkdir()
    arguments = ["figures", "error-maps", "--data", "toy:ROOT", "--predictions", str(tmp_path / "p"), "--quiet"]
    for missing, status in ((2, 0), (3, 2)):
        for sequence in toys.split("test"):
            np.save(tmp_path / "p" / f"{sequence.name}.npy", sequence.vertices()[: 30 - missing])
        assert main([*arguments, "--out", str(tmp_path / f"o{missing}")]) == status
    error = capsys.readouterr().err
    assert "prediction of s0_00 has 27 frames, its recording 30 at 25 fps" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["intensty", "--data", "toy:ROOT"], "did you mean 'intensity'"),
        (["all", "--data", "toy"], "expected SET:ROOT"),
        (["all", "--data", "toy:ROOT", "--split", "dev"], "unknown split"),
        (["all", "--data", "toy:ROOT", "--limit", "0"], "--limit is 0"),
        (["all", "--data", "toy:ROOT", "--subjects", "0"], "--subjects is 0"),
        (["all", "--data", "toy:ROOT", "--subjects", "s7"], "unknown subject"),
        (["all", "--data", "toy:ROOT", "--fps", "fast"], "fps is 'fast'"),
        (["all", "--data", "toy:ROOT", "--turn", "90"], "three angles"),
        (["all", "--data", "toy:ROOT", "--turn", "nan,0,0"], "finite"),
        (["all", "--data", "toy:ROOT", "--predictions", "/nowhere"], "no such folder"),
        (["all", "--data", "toy:ROOT", "--model", "bose"], "did you mean 'base'"),
        (["intensity", "--data", "toy:ROOT", "--model", "base"], "speaks with 5946 vertices"),
        (["error_maps", "--data", "toy:ROOT"], "needs predictions"),
        (["styles", "--data", "toy:ROOT"], "name a model for this topology"),
        (
            ["activated_regions", "--data", "toy:ROOT", "--model", "base", "--predictions", "."],
            "none of them named after",
        ),
        (["subjects_map", "--data", "toy:ROOT", "--limit", "3"], "5 sequences or more"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(
    toys: ToyData, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    from vultus.errors import unknown_name

    def split(name: str) -> object:
        if name not in toys.splits:
            raise unknown_name("split", name, toys.splits)
        return ToyData.split(toys, name)

    monkeypatch.setattr(toys, "split", split)
    assert main(["figures", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and error.count("\n") == 0
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_and_a_sequence_of_another_mesh(
    toys: ToyData, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    assert main(["figures", "intensity", "--data", "toy:ROOT", "--out", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err
    from toy_data import half_ball

    from vultus.topology import Template, Topology

    smaller = ToyData()
    smaller.template = Template(Topology(np.zeros((0, 3), np.int32), 120), half_ball(6, 20))
    monkeypatch.setattr(toys, "split", lambda name: [toys_sequence(0), toys_sequence(1), smaller.sequence(2, 0)])

    def toys_sequence(number: int) -> object:
        return toys.sequence(0, number)

    assert main(["figures", "intensity", "--data", "toy:ROOT", "--out", str(tmp_path / "out")]) == 2
    assert "120 vertices" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_missing_package_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None; from vultus.cli import main; "
        f"sys.exit(main(['figures', 'all', '--data', 'toy:x', '--out', {str(tmp_path / 'o')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "pip install 'vultus[benchmark]'" in done.stderr and "matplotlib" in done.stderr
    assert not (tmp_path / "o").exists()


def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys; import vultus.figures.commands; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib', 'sklearn', 'scipy', 'numba')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_sequences_are_chosen_fairly(toy: ToyData) -> None:
    sequences = toy.split("test")
    assert len(choose_sequences(sequences)) == 18
    few = choose_sequences(sequences, limit=7)
    assert Counter(s.subject for s in few) == {"s0": 3, "s1": 2, "s2": 2}
    assert [s.name for s in few] == sorted(s.name for s in few)
    assert {s.subject for s in choose_sequences(sequences, "2")} == {"s0", "s2"}
    assert {s.subject for s in choose_sequences(sequences, "s1, s2")} == {"s1", "s2"}
    with pytest.raises(VultusError, match="no sequence"):
        choose_sequences([])
