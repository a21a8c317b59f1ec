"""The ablation runner on a corpus of tones, with trainings of seconds; and what its tables say of given numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'vultus[train]')")

import small_corpus  # noqa: E402

from vultus.benchmark import takes_ablations, takes_trials  # noqa: E402
from vultus.benchmark.codec_exit import measure_codec  # noqa: E402
from vultus.benchmark.evaluations import Evaluation  # noqa: E402
from vultus.benchmark.rows import Row  # noqa: E402
from vultus.benchmark.takes_ablations import main, write  # noqa: E402
from vultus.benchmark.takes_ablations_text import Found, text  # noqa: E402
from vultus.benchmark.takes_trials import Bench  # noqa: E402
from vultus.errors import VultusError  # noqa: E402
from vultus.synthesis.plan import Settings  # noqa: E402

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
TINY = (
    "train.epochs=1", "train.batch=4", "train.log_every=1", "method.channels=8", "method.codes=8", "data.encoder=mel",
    "data.copies=0", "method.free_steps=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(
        subjects=4, test_lines=2, test_takes=2, negatives=0.0, test_voices=("anna",), val_voices=("ben",)
    )
    return small_corpus.make(tmp_path_factory.mktemp("ablations"), settings)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two codecs and two priors of all that the command trains."""
    monkeypatch.setattr(takes_trials, "CODECS", takes_trials.CODECS[1:3])
    monkeypatch.setattr(takes_trials, "PRIORS", takes_trials.PRIORS[:2])
    monkeypatch.setattr(takes_trials, "EXPECTED", ("A5", "default"))


def words(corpus: Path, work: Path, out: Path, *more: str) -> list[str]:
    told = ["--data", str(corpus), "--work", str(work), "--recipes", str(RECIPES), "--out", str(out)]
    told += ["--clips", "2", "--samples", "2", *more]
    return told + [word for setting in TINY for word in ("--set", setting)]


def test_one_command_trains_measures_and_writes_and_does_it_once(
    few: None, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.md"
    out.write_text("# Results\n\nkept\n")
    assert main(words(corpus, tmp_path / "work", out)) == 0
    assert capsys.readouterr().err.count("training") == 6
    page, told = out.read_text(), json.loads(out.with_suffix(".json").read_text())
    assert page.startswith("# Results\n\nkept\n") and takes_ablations.marks("codecs")[0] in page
    for label in ("Q = 2, stride 2", "Q = 4, stride 2", "A1+A2+A3 (default)", "A5", "recorded motion"):
        assert page.count(f"| {label} |") == 1, label
    assert "`train.epochs=1`" in page and "## The smallest model of takes" in page
    codecs = told["takes_codecs"]["trials"]
    assert list(codecs) == ["levels2", "levels4"] and len(codecs["levels2"]["l_vertex"]) == 2
    for name, way in (("default", "A1+A2+A3"), ("A5", "A5")):
        entry = told["takes_priors"]["trials"][name]
        settings = json.loads((tmp_path / "work" / "priors" / name / "settings.json").read_text())
        assert settings["method"]["conditioning"] == way and settings["method"]["levels"] == 4
        assert entry["scores"]["l_vertex"]["value"] > 0 and entry["terms"]["val/prior/coarse"] > 0
        assert entry["minutes"] > 0 and entry["scores"]["rho"]["value"] > 0.9
    assert told["takes_priors"]["recorded"]["l_vertex"]["value"] == 0
    small = json.loads((tmp_path / "work" / "small" / "prior" / "settings.json").read_text())
    assert small["data"]["encoder"] == "mel" and small["method"]["width"] == 64 and small["method"]["levels"] == 2

    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*") if path.is_file()}
    assert main(words(corpus, tmp_path / "work", out)) == 0
    assert capsys.readouterr().err == "" and out.read_text() == page
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*") if path.is_file()}

    # Another budget is another training: it is refused, not mixed in.
    assert main([*words(corpus, tmp_path / "work", out), "--set", "train.lr=3e-3"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "was started with train.lr" in error and out.read_text() == page

    # A codec that is given serves all priors, and its own exit test is a row.
    given = tmp_path / "work" / "codecs" / "levels2"
    shutil.rmtree(tmp_path / "work" / "priors")
    assert main([*words(corpus, tmp_path / "work", out), "--only", "codecs,priors", "--codec", str(given)]) == 0
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["takes_codecs"]["given"]["l_vertex"] == codecs["levels2"]["l_vertex"]
    settings = json.loads((tmp_path / "work" / "priors" / "A5" / "settings.json").read_text())
    assert settings["method"]["levels"] == 2
    assert "the codec of the priors" in out.read_text() and told["takes_small"]["minutes"] > 0

    with pytest.raises(VultusError, match="stage prior; expected one of stage codec"):
        measure_codec(tmp_path / "work" / "priors" / "A5", corpus)
    with pytest.raises(VultusError, match="0 clips asked for"):
        measure_codec(given, corpus, limit=0)
    with pytest.raises(VultusError, match="kind style; expected one of kind sync"):
        measure_codec(given, corpus, sync="style_head")
    measured = measure_codec(given, corpus, limit=2)
    assert measured.clips == 2 and measured.test.sync_loss is None and measured.codes_per_second == 30.0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--only", "codec"), "unknown group of trials 'codec'; did you mean 'codecs'?"),
        (("--clips", "0"), "--clips is 0; expected 1 or more"),
        (("--samples", "1"), "--samples is 1; expected 2 or more"),
        (("--recipes", "none"), "none/probabilistic_codec.toml: no such recipe"),
        (("--codec", "none"), "none: no model.safetensors; expected a finished run"),
        (("--out", "results.txt"), "--out results.txt: expected a .md file"),
        (("--set", "train.epoch=3"), "unknown key of [train] 'epoch'"),
        (("--data", "none"), "data folder none: not there"),
    ],
)
def test_bad_requests_stop_in_one_line(
    more: tuple[str, ...], message: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words(corpus, tmp_path / "work", tmp_path / "results.md"), *more]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert message in errors[-1] and [line for line in errors[:-1] if not line.startswith("training")] == []
    assert not (tmp_path / "results.md").exists() and not list(tmp_path.rglob("model.safetensors"))


# What the tables say


def scored(value: float, spread: float = 0.01, **others: float) -> Evaluation:
    """An evaluation of ten sequences whose sync_cos is `value` on average."""
    noise = spread * np.linspace(-1, 1, 10)
    rows = {
        f"s{n}": Row(f"s{n}", f"s{n}", 1, 2, {"sync_cos": np.array([value + noise[n], 1.0])}, {}) for n in range(10)
    }
    found = {"sync_cos": value, "offset_accuracy": 1.0, "l_vertex": 2.0, "l_mean": 1.5, "rho": 1.33, **others}
    metrics = {name: {"value": number, "low": number - 0.01, "high": number + 0.01} for name, number in found.items()}
    return Evaluation("run", {"metrics": metrics}, rows)


def cost(**more: Any) -> dict[str, Any]:
    return {"steps": 9, "speech_hours": 1.0, "minutes": 2.0, "terms": {"val/prior/coarse": 2.5}, **more}


def test_the_order_on_sync_is_told_as_it_came(tmp_path: Path) -> None:
    found = Found(Bench(tmp_path, tmp_path))
    values = {"A5": 0.3, "A4": 0.4, "A3": 0.5, "default": 0.6}
    found.priors = {name: (cost(), scored(value)) for name, value in values.items()}
    told = text(found)["priors"]
    assert "Came: A5 < A4 < A3 < A1+A2+A3, as expected" in told
    assert "| A5 | 2.0 | 2.50 | nan | 0.300 (0.290 to 0.310) | -0.300 (-0.300 to -0.300) * | 1.00 | 2.00" in told
    found.priors["A4"] = (cost(), scored(0.7))
    found.priors["A3"] = (cost(minutes=None), scored(0.7001, spread=-0.01))
    told = text(found)["priors"]
    assert "Came: A5 < A1+A2+A3 < A4 ≤ A3, another one" in told and "| A3 | – | 2.50" in told
    del found.priors["A3"]
    assert "Came" not in text(found)["priors"]


@pytest.mark.parametrize(
    ("minutes", "scores", "verdicts"),
    [
        (2.0, {"rho": 1.3}, ["yes", "yes", "yes"]),
        (4.0, {"rho": 1.1, "offset_accuracy": 0.7}, ["**no**", "**no**", "**no**"]),
        (None, {"rho": 1.7}, ["yes", "**no**", "not measured"]),
    ],
)
def test_the_smallest_form_is_held_to_its_limits(
    minutes: float | None, scores: dict[str, float], verdicts: list[str], tmp_path: Path
) -> None:
    found = Found(Bench(tmp_path, tmp_path), small=(minutes, scored(0.4, **scores)))
    lines = [
        line for line in text(found)["small"].splitlines() if line.startswith(("| offset", "| rho in", "| trained"))
    ]
    assert [line.split("|")[3].strip() for line in lines] == verdicts


def test_a_page_keeps_what_others_wrote(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    begin, end = takes_ablations.marks("small")
    page.write_text(f"# Results\n\n{begin}\nold\n{end}\n\nafter\n")
    (tmp_path / "results.json").write_text('{"other": 1}')
    found = Found(Bench(tmp_path, tmp_path), small=(1.0, scored(0.4)))
    write(found, page)
    assert "old" not in page.read_text() and page.read_text().endswith(f"{end}\n\nafter\n")
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["other"] == 1 and told["takes_small"]["minutes"] == 1.0
