"""The command of the evidence, from a run to a page, and `vultus evaluate --sampling`, on a corpus of a few lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import small_corpus

from vultus.benchmark import takes, takes_style
from vultus.benchmark.evaluate import evaluate
from vultus.benchmark.model_source import ModelSource
from vultus.benchmark.open_model import open_model, whole_manner
from vultus.benchmark.takes_setting import Setting
from vultus.cli import main
from vultus.datasets.synthetic import SyntheticCorpus
from vultus.errors import VultusError
from vultus.methods.sampling import Sampling
from vultus.synthesis.clipfile import LAYERS
from vultus.synthesis.plan import Settings
from vultus.train.loop import train

RECIPES = Path(__file__).parents[2] / "recipes"
SHORT = ("train.epochs=1", "train.batch=4", "data.hours=0.0", "data.crop=1.0", "data.validation=")
FEW = ("plain", "avg-4", "region-avg-4")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_corpus.make(
        tmp_path_factory.mktemp("small"),
        Settings(subjects=4, test_lines=2, test_takes=4, test_voices=("anna", "ben"), val_voices=("cleo",)),
        own_words=True,
    )


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    codec = train(RECIPES / "probabilistic_codec_small.toml", out=folder / "codec", root=corpus, overrides=SHORT,
                  progress=False)  # fmt: skip
    return train(RECIPES / "probabilistic_prior_small.toml", out=folder / "prior", root=corpus,
                 overrides=(*SHORT, f"method.codec={codec}"), progress=False)  # fmt: skip


def test_a_sampling_is_recorded_and_part_of_what_a_run_depends_on(corpus: Path, run: Path, tmp_path: Path) -> None:
    def score(out: str, **more: Any) -> dict[str, Any]:
        return evaluate("synthetic", corpus, tmp_path / out, model=run, samples=2, metrics=["l_vertex", "rho"], **more)

    plain, cold = score("plain"), score("cold", sampling="plain, temperature=0.5,top_k=3")
    assert plain["source"]["sampling"] == "plain" and cold["source"]["sampling"] == "plain, temperature=0.5,top_k=3"
    assert plain["metrics"]["l_vertex"]["value"] != cold["metrics"]["l_vertex"]["value"]
    assert score("plain", sampling="plain")["metrics"] == plain["metrics"]  # goes on: it is the model's own way
    with pytest.raises(VultusError, match="holds another evaluation"):
        score("plain", sampling="avg-2")


@pytest.mark.parametrize(
    "request_, message",
    [
        ({"model": "base", "sampling": "avg-4"}, "'base' is deterministic and draws no takes"),
        ({"model": "base", "samples": 3}, "deterministic and gives 1 take, not 3"),
        ({"baseline": "recorded", "sampling": "plain"}, "predictions and baselines draw none"),
        ({"sampling": "best-of-3"}, "unknown sampling strategy 'best-of-3'"),
        ({"sampling": "plain,heat=2"}, "unknown option of sampling 'heat'"),
        ({"sampling": "plain,temperature=warm"}, "temperature is 'warm'; expected a number"),
        ({"sampling": "plain,top_k"}, "expected options once each"),
        ({"sampling": "plain,top_p=0.5,top_p=0.6"}, "expected options once each"),
    ],
)
def test_bad_samplings_are_one_line_and_leave_nothing(
    corpus: Path, run: Path, tmp_path: Path, request_: dict[str, Any], message: str
) -> None:
    asked = request_ if request_.keys() & {"model", "baseline"} else {**request_, "model": run}
    with pytest.raises(VultusError, match=message) as caught:
        evaluate("synthetic", corpus, tmp_path / "out", **asked)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_the_command_line_takes_a_sampling(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "--protocol", "synthetic", "--data", str(corpus), "--out", str(tmp_path / "out")]
    assert main([*command, "--model", "base", "--sampling", "avg-4"]) == 2
    assert "deterministic" in capsys.readouterr().err


def test_parse_text() -> None:
    assert Sampling.parse_text("knn-10-3") == Sampling.parse("knn-10-3")
    found = Sampling.parse_text("region-avg-4, temperature=0.5,guidance=2")
    assert found == Sampling.parse("region-avg-4", temperature=0.5, guidance=2.0)
    assert Sampling.parse_text("plain,top_k=20").top_k == 20


def test_a_style_is_shown_as_in_training(corpus: Path, run: Path) -> None:
    clip = next(clip for clip in SyntheticCorpus(corpus).split("train") if clip.is_speech)
    shown = whole_manner([clip], 30.0)
    assert shown.weights is not None and np.array_equal(shown.weights, clip.motion(LAYERS, 30.0))
    assert np.array_equal(shown.head_rotation, clip.head_rotation(30.0)) and shown.head_rotation.any()
    model = open_model(run, 30.0)
    method = model.network
    wanted = method.style_vector(np.concatenate([clip.motion(LAYERS, 30.0), clip.head_rotation(30.0)], 1))
    assert np.allclose(model.manner([clip], None), wanted)
    assert not np.allclose(method.style_vector(clip.motion(LAYERS, 30.0)), wanted)  # the head's turns count
    assert not np.allclose(
        method.style_vector(np.concatenate([clip.motion(fps=30.0), clip.head_rotation(30.0)], 1)), wanted
    )
    assert len(whole_manner([clip, clip], 30.0, 3.0).head_rotation) == 90
    with pytest.raises(VultusError, match=r"15 frames; expected 0\.6 s"):
        model.manner([clip], 0.5)


def test_takes_of_an_evaluation_are_those_of_one_call(corpus: Path, run: Path, tmp_path: Path) -> None:
    setting = Setting(corpus, tmp_path)
    model = setting.open(run)
    clip = setting.split[0]
    source = setting.source(model, "avg-2", 3)
    reference = clip.vertices(fps=30.0)
    prediction = source.predict(clip, "", reference)
    assert len(prediction.samples) == 3 and prediction.style is setting.styles.choose(clip)
    manner = model.manner([prediction.style], None)  # type: ignore[list-item]
    motions = model.speak(clip, manner, 3, 0, Sampling.parse("avg-2"))
    assert all(motion.head_rotation is not None and len(motion) == len(reference) for motion in motions)
    for sample, motion in zip(prediction.samples, motions, strict=True):
        assert np.allclose(sample, motion.rig.vertices(motion.values, clip.template), atol=1e-6)
    with pytest.raises(VultusError, match="draws no takes"):
        ModelSource("base", clip.template.topology, setting.protocol, setting.styles, 1, 0, "plain")


def test_sync_is_chosen_by_the_second_network(corpus: Path, run: Path) -> None:
    clip = SyntheticCorpus(corpus).split("test")[0]
    model = open_model(run, 30.0)
    plain, best = (model.speak(clip, None, 1, 0, Sampling.parse(name))[0] for name in ("plain", "sync-4"))
    others = [model.speak(clip, None, 1, 0, Sampling.parse("avg-4"))[0]]
    assert best.values.shape == plain.values.shape and not np.allclose(best.values, others[0].values)


@pytest.fixture(scope="module")
def evidence(corpus: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evidence")
    make(corpus, run, out)
    return out


def make(corpus: Path, run: Path, out: Path, **more: Any) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(takes, "STRATEGIES", FEW)
        patch.setattr(takes, "MANY", "avg-4")
        patch.setattr(takes_style, "LENGTHS", (3.0,))
        arguments = ["--model", str(run), "--data", str(corpus), "--out", str(out / "evals"), "--limit", "2", "--quiet"]
        return takes.main([*arguments, "--into", str(out / "results.md")])


def test_the_whole_section(evidence: Path) -> None:
    page = (evidence / "results.md").read_text(encoding="utf-8")
    for part in ("### The relations R1 to R7", "R7: a clip of the right", "### Sampling strategies", "true takes",
                 "### Style matching of unseen subjects", "own subject, 3 s", "### Takes against true takes, `plain`",
                 "default", "| head | degrees |", "img/takes_trade_off.png", "seed 0", "N = 10"):  # fmt: skip
        assert part in page, part
    assert "nan " not in page and "nan)" not in page and "R8" in page
    assert (evidence / "img" / "takes_trade_off.png").read_bytes().startswith(b"\x89PNG")
    numbers = json.loads((evidence / "results.json").read_text())["takes"]
    assert numbers["relations"].keys() >= {"R1", "R2", "R3", "R4", "R5a", "R5b", "R5c", "R6a", "R6b", "R7"}
    assert numbers["lines"]["plain"]["takes"] == 20 and numbers["lines"]["plain"]["spread"].keys() >= {"lips", "head"}
    assert numbers["sampling"]["plain"]["metrics"]["div_lips"]["value"] > 0
    assert numbers["sampling"]["true takes"]["metrics"]["rho"]["value"] > 1
    # A bare sound has no sync network that passes its gate: told, not made up.
    assert numbers["sampling"]["plain"]["metrics"]["sync_cos"]["value"] is None
    assert numbers["default"]["name"] is None and "could not be measured" in numbers["default"]["left_out"]["plain"]


def test_it_goes_on_where_it_was(corpus: Path, run: Path, evidence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = json.loads((evidence / "results.json").read_text())["takes"]
    from vultus.benchmark import evaluate as module
    from vultus.benchmark import takes_lines

    def fail(*_: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "Bench", fail)
    monkeypatch.setattr(takes_lines, "_measure_line", fail)
    assert make(corpus, run, evidence) == 0
    after = json.loads((evidence / "results.json").read_text())["takes"]
    assert {k: v for k, v in after.items() if k != "about"} == {k: v for k, v in before.items() if k != "about"}


def test_an_evaluation_of_it_compares(evidence: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(evidence / "evals" / name) for name in ("base", "sampling_plain")]
    assert main(["evaluate", "--compare", *folders]) == 0
    assert "`l_vertex`" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more, message",
    [
        (["--limit", "1"], "--limit is 1; expected 2 or more"),
        (["--seed", "-1"], "--seed is -1; expected 0 or more"),
        (["--into", "page.txt"], "expected a .md page"),
        (["--model", "base"], "--model base is deterministic; expected a model that draws takes"),
        (["--model", "nothing-of-that-name"], "nothing-of-that-name"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_requests_are_one_line(
    corpus: Path, run: Path, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--model": str(run), "--data": str(corpus), "--out": str(tmp_path / "out"), "--limit": "2"}
    given |= dict(zip(more[::2], more[1::2], strict=True))
    assert takes.main([part for pair in given.items() for part in pair]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1 and not (tmp_path / "out").exists()
