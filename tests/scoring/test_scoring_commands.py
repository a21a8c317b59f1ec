"""`vultus scorer`: one line for bad input, a bundle and its gate for good."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from worlds import Sequence, sequences

from vultus.cli import main
from vultus.errors import VultusError
from vultus.metrics.base import Unavailable
from vultus.scoring.make import lip_vertices
from vultus.scoring.runtime import load_scorer

FAST = ["audio_channels=(4,4,8,8,8,8)", "mesh_width=16", "steps=3", "warmup=1", "clips=4", "bf16=False"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set "made:ROOT" with the splits train and test."""

    def split(name: str) -> list[Sequence]:
        return sequences("abcdef", 2) if name == "train" else sequences("yz", 3, "test")

    def open_dataset(name: str, root: str) -> Any:
        return SimpleNamespace(split=split)

    monkeypatch.setattr("vultus.datasets.open_dataset", open_dataset)


def arguments(kind: str, out: Path, *more: str) -> list[str]:
    settings = [word for setting in FAST for word in ("--set", setting)]
    base = ["scorer", "train", kind, "--data", "made:somewhere", "--held-out", "test", "--out", str(out)]
    return [*base, *settings, *more]


def test_an_untrained_network_is_written_and_refused(
    made: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net"
    assert main(arguments("sync", out, "--folds", "0/2")) == 1
    assert "FAILED: offset accuracy" in capsys.readouterr().out
    config = json.loads((out / "config.json").read_text())
    assert config["gate"]["passed"] is False and config["training"]["clips"] == 6
    assert config["gate"]["values"]["offset_accuracy"] < 0.9
    scorer = load_scorer(out)
    assert scorer.name == "net" and scorer.unit == "m"
    card = (out / "card.md").read_text()
    assert "--folds 0/2" in card and "**failed**" in card and "somewhere" not in card
    assert main(["scorer", "check", str(out), "--data", "made:x"]) == 1
    assert "net on 6 clips: FAILED" in capsys.readouterr().out
    assert main(arguments("sync", out, "--folds", "0/2")) == 2  # holds a run
    assert "--resume" in capsys.readouterr().err
    before = (out / "mesh.onnx").read_bytes()
    assert main(arguments("sync", out, "--folds", "0/2", "--resume")) == 1
    assert (out / "mesh.onnx").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--set", "stepz=3"], "did you mean 'steps'"),
        (["--folds", "4/3"], "folds are '4/3'"),
        (["--lips", "/nowhere/lips.txt"], "not a list of vertex numbers"),
        (["--held-out", "train"], "is trained on and held out"),
        (["--resume"], "no such checkpoint"),
    ],
)
def test_bad_input_is_one_line(
    made: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert main(arguments("sync", tmp_path / "net", *more)) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (tmp_path / "net" / "config.json").exists()


def test_data_must_name_a_set_and_a_root(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scorer", "check", "sync_head", "--data", "synthetic"]) == 2
    assert "expected NAME:ROOT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("style_hed", "unknown scoring network 'style_hed'; did you mean 'style_head'? Known: style_head, sync_head,"),
        ("nope", "unknown scoring network 'nope'; Known: style_head, sync_head,"),
        ("/nowhere", "unknown scoring network '/nowhere'"),
    ],
)
def test_an_unknown_network_names_the_shipped_ones(name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scorer", "check", name, "--data", "synthetic:/nowhere"]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_lips_from_a_file(tmp_path: Path) -> None:
    one, file = sequences("a", 1)[0], tmp_path / "lips.txt"
    file.write_text("5, 4\n1 1,0")
    assert lip_vertices(file, one).tolist() == [0, 1, 4, 5]
    assert lip_vertices(None, one).tolist() == list(range(6))
    for text in ("1 2 3 99", "1 2", "a b c d", "-1 0 1 2"):
        file.write_text(text)
        with pytest.raises(VultusError, match=r"lips\.txt"):
            lip_vertices(file, one)
    assert not issubclass(Unavailable, VultusError)
