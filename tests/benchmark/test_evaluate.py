"""Evaluations from end to end: values, what is refused, what survives being stopped."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_faces as toy

from vultus.benchmark.evaluate import evaluate, evenly
from vultus.benchmark.examples import Bench, common_length
from vultus.benchmark.styles import StyleChooser
from vultus.cli import main
from vultus.errors import VultusError


@pytest.fixture(autouse=True)
def toy_data(monkeypatch: pytest.MonkeyPatch) -> None:
    toy.use(monkeypatch)


@pytest.fixture
def regions(tmp_path: Path) -> Path:
    return toy.write_regions(tmp_path / "regions")


def run(tmp_path: Path, out: str = "out", **more: Any) -> dict[str, Any]:
    more.setdefault("regions", tmp_path / "regions")
    return evaluate(more.pop("protocol", toy.toy_protocol()), tmp_path, tmp_path / out, **more)


def test_values_are_those_of_the_formula(tmp_path: Path, regions: Path) -> None:
    results = run(tmp_path, predictions=toy.write_predictions(tmp_path / "p"))
    lips, lve, frames = [], [], []
    for name in toy.names():
        true = toy.reference(name)
        found = np.load(tmp_path / "p" / f"{name}.npy").reshape(true.shape).astype(np.float32)
        distance = 1000 * np.linalg.norm(found - true, axis=-1)[:, toy.LIPS]
        lips.append(distance.mean())
        lve.append(distance.max(1).sum())
        frames.append(len(true))
    entry = results["metrics"]["lip_mean"]
    assert entry["value"] == pytest.approx(np.mean(lips), rel=1e-4)
    assert results["metrics"]["lve"]["value"] == pytest.approx(sum(lve) / sum(frames), rel=1e-4)
    assert results["per_sequence"]["cleo_s2"]["lip_mean"] == pytest.approx(lips[1], rel=1e-4)
    assert entry["low"] < entry["value"] < entry["high"]
    assert (entry["unit"], entry["direction"], entry["version"]) == ("mm", "lower", 1)
    assert results["sequences"] == 6 and results["frames"] == sum(frames) and results["missing"] == []
    assert results["protocol"]["name"] == "toy" and results["protocol"]["version"] == 1
    assert results["regions"]["lips"]["source"] == "file lips.txt" and results["regions"]["lips"]["vertices"] == 7
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results
    text = (tmp_path / "out" / "table.md").read_text()
    assert "`lip_mean`" in text and results["regions"]["lips"]["digest"] in text
    for plot in ("per_sequence", "error_over_time"):
        assert (tmp_path / "out" / "plots" / f"{plot}.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_had_is_null_with_its_reason(tmp_path: Path, regions: Path) -> None:
    metrics = run(tmp_path, predictions=toy.write_predictions(tmp_path / "p"))["metrics"]
    for name, word in (("closure_recall", "lips"), ("sync_cos", "network"), ("div_face", "one sample")):
        assert metrics[name]["value"] is None and word in metrics[name]["reason"]
    assert "reason" not in metrics["lip_mean"]


def test_recorded_motion_scores_perfectly_and_a_still_face_does_not(tmp_path: Path, regions: Path) -> None:
    perfect = run(tmp_path, baseline="recorded")["metrics"]
    assert perfect["lip_mean"]["value"] == perfect["f_dtw"]["value"] == 0.0
    assert run(tmp_path, "still", baseline="still")["metrics"]["lip_mean"]["value"] > 0.5
    with pytest.raises(VultusError, match="true takes"):
        run(tmp_path, "takes", baseline="takes")


def test_a_stopped_run_goes_on(tmp_path: Path, regions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = toy.write_predictions(tmp_path / "p")
    whole = run(tmp_path, "whole", predictions=predictions)
    measure, calls = Bench.measure, []

    def counting(self: Bench, sequence: Any, *rest: Any) -> Any:
        calls.append(sequence.name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measure(self, sequence, *rest)

    monkeypatch.setattr(Bench, "measure", counting)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, predictions=predictions)
    assert not (tmp_path / "out" / "results.json").exists()
    again = run(tmp_path, predictions=predictions)
    assert calls == [*toy.names()[:4], *toy.names()[3:]]  # the fourth was cut short, the first three are not repeated
    assert again == whole
    np.save(predictions / "cleo_s1.npy", toy.reference("cleo_s1"))  # a changed file is measured again
    assert run(tmp_path, predictions=predictions)["per_sequence"]["cleo_s1"]["lip_mean"] == 0.0
    assert calls[-1] == "cleo_s1" and len(calls) == 8
    with pytest.raises(VultusError, match=r"holds another evaluation .other seed"):
        run(tmp_path, predictions=predictions, seed=1)


def test_a_damaged_row_is_measured_again(tmp_path: Path, regions: Path) -> None:
    predictions = toy.write_predictions(tmp_path / "p")
    first = run(tmp_path, predictions=predictions)
    row = min((tmp_path / "out" / "rows").glob("*.npz"))
    row.write_bytes(row.read_bytes()[:100])
    assert run(tmp_path, predictions=predictions) == first


def _replaced(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        np.save(folder / name, change(np.load(folder / name)))

    return damage


def _nan(values: np.ndarray) -> np.ndarray:
    values[5, 7] = np.nan
    return values


def _truncate(folder: Path) -> None:
    path = folder / "dan_s1.npy"
    path.write_bytes(path.read_bytes()[:-1000])


class Hostile:
    """Unpickled, it would leave a mark."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("hostile-was-here").touch, ())


def _pickle(folder: Path) -> None:
    (folder / "dan_s1.npy").write_bytes(pickle.dumps(Hostile()))


def _objects(folder: Path) -> None:
    np.save(folder / "dan_s1.npy", np.array([Hostile()], object), allow_pickle=True)


def _renamed(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.rename(path.with_name("x" + path.name))


def _emptied(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_replaced("dan_s3.npy", lambda x: x[:, :-3]), "expected (frames, 90)"),
        (_replaced("dan_s3.npy", lambda x: x.repeat(2, 0)), "looks like 50 fps"),
        (_replaced("dan_s3.npy", lambda x: x[:-3]), "at most 2 more or fewer"),
        (_replaced("dan_s3.npy", _nan), "NaN or infinite"),
        (_replaced("dan_s3.npy", lambda x: x.astype(np.int32)), "floating-point"),
        (_replaced("dan_s3.npy", lambda x: x[:0]), "floating-point"),
        (_truncate, "cannot be read"),
        (_pickle, "cannot be read"),
        (_objects, "cannot be read"),
        (_renamed, "none of them named after a sequence; expected names such as cleo_s1.npy"),
        (_emptied, "no .npy or .npz file"),
        (lambda folder: (folder / "dan_s3.npy").unlink(), "1 of 6 sequences have no prediction (dan_s3)"),
        (lambda folder: (folder / "dan_s3_take_0.npy").write_bytes(b""), "are one take"),
    ],
)
def test_bad_predictions_are_one_line_and_leave_nothing(
    tmp_path: Path, regions: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], message: str
) -> None:
    damage(toy.write_predictions(tmp_path / "p"))
    protocol = toy.write_toml(tmp_path)
    status = main(
        ["evaluate", "--protocol", str(protocol), "--data", str(tmp_path), "--predictions", str(tmp_path / "p"),
         "--regions", str(regions), "--out", str(tmp_path / "out")]
    )  # fmt: skip
    told = capsys.readouterr()
    assert status == 2 and told.err.count("\n") == 1 and message in told.err and not told.out
    assert not (tmp_path / "out").exists() and not Path("hostile-was-here").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": "base"}, "base' speaks with 5946 vertices; the data have 30"),
        ({"model": "bose"}, "did you mean 'base'"),
        ({}, "one of --model, --predictions and --baseline"),
        ({"baseline": "still", "model": "base"}, "one of --model"),
        ({"baseline": "steel"}, "did you mean 'still'"),
        ({"baseline": "still", "samples": 3}, "one take"),
        ({"baseline": "still", "limit": 0}, "limit is 0"),
        ({"baseline": "still", "options": {"empty": True}}, "split 'test' holds no sequence .splits here: train"),
        ({"baseline": "still", "options": {"emptie": True}}, "option of data set toy 'emptie'; did you mean 'empty'"),
        ({"baseline": "still", "options": {"damaged": "dan_s2"}}, "dan_s2 holds NaN"),
        ({"baseline": "still", "metrics": ["lip_maen"]}, "did you mean 'lip_mean'"),
        ({"baseline": "still", "oracle": "best"}, "unknown oracle"),
        ({"baseline": "still", "protocol": "tuy"}, "unknown protocol"),
    ],
)
def test_bad_requests_leave_nothing(tmp_path: Path, regions: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(VultusError, match=message):
        run(tmp_path, **more)
    assert not (tmp_path / "out").exists()


def test_missing_clips_are_scored_around_and_named(tmp_path: Path, regions: Path) -> None:
    predictions = toy.write_predictions(tmp_path / "p")
    (predictions / "dan_s3.npy").unlink()
    results = run(tmp_path, predictions=predictions, allow_missing=True)
    assert results["missing"] == ["dan_s3"] and results["sequences"] == 5
    assert any("1 of 6 sequences" in flag for flag in results["flags"])
    assert "dan_s3" in (tmp_path / "out" / "table.md").read_text()


def test_data_that_lack_sequences_of_the_protocol(tmp_path: Path, regions: Path) -> None:
    protocol = toy.toy_protocol(sequences=8)
    with pytest.raises(VultusError, match="hold 6 of the 8 sequences"):
        run(tmp_path, baseline="still", protocol=protocol)
    results = run(tmp_path, baseline="still", protocol=protocol, allow_missing=True)
    assert any("6 of the protocol's 8" in flag for flag in results["flags"])


def test_two_frames_are_cut_and_said_but_not_for_f_dtw(tmp_path: Path, regions: Path) -> None:
    predictions = toy.write_predictions(tmp_path / "p", error=0.0)
    for name in toy.names():
        values = np.load(predictions / f"{name}.npy")
        np.save(predictions / f"{name}.npy", values[:-2])
    results = run(tmp_path, predictions=predictions)
    assert results["metrics"]["lip_mean"]["value"] == 0.0
    assert results["metrics"]["f_dtw"]["value"] > 0.0  # the last two recorded frames are met by nothing
    assert results["notes"] == {"29 frames predicted, 31 recorded: cut to 29": 6}
    assert results["frames"] == 6 * 29
    assert common_length("x", (31, 33), 31, 25.0) == 31
    with pytest.raises(VultusError, match="34 frames"):
        common_length("x", (34,), 31, 25.0)


def test_conditions_each_count_and_own_takes_only_the_subjects(tmp_path: Path, regions: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for name in toy.names():
        for shift, condition in ((0.001, "anna"), (0.003, "ben"), (0.005, name.split("_")[0])):
            np.save(folder / f"{name}_condition_{condition}.npy", toy.reference(name) + np.float32([shift, 0, 0]))
    results = run(tmp_path, predictions=folder)
    entry = results["metrics"]["lip_mean"]
    assert entry["value"] == pytest.approx(3.0, rel=1e-4) and entry["sequences"] == 6 and results["rows"] == 18
    assert entry["high"] - entry["low"] < 1e-3  # sequences are drawn with all their conditions; these are all alike
    assert results["per_sequence"]["dan_s1_condition_ben"]["lip_mean"] == pytest.approx(3.0, rel=1e-4)
    own = run(tmp_path, "own", predictions=folder, protocol=toy.toy_protocol(condition="own"))
    assert own["metrics"]["lip_mean"]["value"] == pytest.approx(5.0, rel=1e-4) and own["rows"] == 6


@pytest.mark.parametrize("form", ["files", "array"])
def test_takes(tmp_path: Path, regions: Path, form: str) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for number, name in enumerate(toy.names()):
        rng = np.random.default_rng(number)
        takes = toy.reference(name) + rng.normal(0, 0.001, (12, *toy.reference(name).shape)).astype(np.float32)
        if form == "array":
            np.save(folder / f"{name}.npy", takes)
        else:
            for take, values in enumerate(takes):
                np.save(folder / f"{name}_take_{take:02d}.npy", values.reshape(len(values), -1))
    results = run(tmp_path, predictions=folder)
    metrics = {name: entry["value"] for name, entry in results["metrics"].items()}
    assert results["samples"] == 12
    assert metrics["l_cover"] < metrics["coverage_curve"] < metrics["l_vertex"]
    assert metrics["div_face"] == pytest.approx(np.sqrt(2) * metrics["face_mean"], rel=0.02)
    assert (tmp_path / "out" / "plots" / "coverage_curve.png").is_file()
    fewer = run(tmp_path, "two", predictions=folder, samples=2)
    assert fewer["samples"] == 2 and metrics["l_cover"] < fewer["metrics"]["l_cover"]["value"]


def test_limit_is_even_and_said(tmp_path: Path, regions: Path) -> None:
    results = run(tmp_path, baseline="still", limit=2)
    assert list(results["per_sequence"]) == ["cleo_s1", "dan_s1"] and any("--limit" in f for f in results["flags"])
    assert [evenly(list(range(10)), n) for n in (2, 3)] == [[0, 5], [0, 3, 6]]  # type: ignore[arg-type]


def test_styles_are_blind_and_repeatable(tmp_path: Path) -> None:
    data = toy.ToyFaces("")
    for sequence in data.split("test"):
        chosen = StyleChooser(data, toy.toy_protocol(), seed=3).choose(sequence)
        assert chosen is not None and chosen.subject == sequence.subject and chosen.sentence != sequence.sentence
        again = StyleChooser(data, toy.toy_protocol(), seed=3).choose(sequence)
        assert again is not None and again.name == chosen.name
    fixed = StyleChooser(data, toy.toy_protocol(style="training_clip"))
    lent = {fixed.choose(s).name for s in data.split("test")}  # type: ignore[union-attr]
    assert len(lent) == 1 and lent < set(toy.names("train"))
    assert StyleChooser(data, toy.toy_protocol(style="none")).choose(sequence) is None
    oracle = StyleChooser(data, toy.toy_protocol(), oracle="self")
    assert oracle.choose(sequence) is sequence and "ORACLE" in oracle.label


def test_a_training_run_speaks(tmp_path: Path, regions: Path) -> None:
    pytest.importorskip("torch")
    from vultus.train.loop import train

    (tmp_path / "data").mkdir()
    recipe = tmp_path / "toy.toml"
    recipe.write_text(
        '[method]\nchannels = 16\nstyle_channels = 12\ndecoder_units = 2\n[data]\ndataset = "toy"\nspace = "vertices"\n'
        'validation = ""\nfps = 25.0\nencoder = "mel"\ncrop = 1.0\n[train]\nepochs = 1\nbatch = 3\n'
    )
    folder = train(recipe, out=tmp_path / "run", root=tmp_path / "data", progress=False)
    results = run(tmp_path, model=folder, metrics=["lip_mean", "face_mean"])
    assert results["source"]["kind"] == "training run" and results["source"]["trained_on"] == "toy"
    assert 0 < results["metrics"]["lip_mean"]["value"] < 50
    best = run(tmp_path, "best", model=folder, oracle="best-of-n", metrics=["face_mean"])
    assert any("ORACLE best-of-n" in flag for flag in best["flags"])
    settings = folder / "settings.json"  # of shards, the data set that they were made from
    settings.write_text(settings.read_text().replace('"trained_on": "toy"', '"trained_on": "vocaset"'))
    told = run(tmp_path, "shards", model=folder, metrics=["face_mean"], limit=1)
    assert told["source"]["trained_on"] == "vocaset"
    settings.write_text(settings.read_text().replace('"trained_on": "vocaset"', '"trained_on": ""'))
    other = replace(toy.toy_protocol(), trained_on="biwi")
    with pytest.raises(VultusError, match="was trained on toy; protocol toy is for biwi"):
        run(tmp_path, "cross", model=folder, protocol=other)


def test_interface_of_the_command(tmp_path: Path, regions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--list"]) == 0
    assert "vocaset-mm23" in capsys.readouterr().out
    assert main(["evaluate", "--protocol", "synthetic", "--data", "x"]) == 2
    assert "no --out" in capsys.readouterr().err
    status = main(
        ["evaluate", "--protocol", str(toy.write_toml(tmp_path)), "--data", f"toy:{tmp_path}", "--baseline", "still",
         "--regions", str(regions), "--metrics", "lip_mean", "--out", str(tmp_path / "out")]
    )  # fmt: skip
    assert status == 0 and "| `lip_mean` |" in capsys.readouterr().out
    assert main(["evaluate", "--protocol", "synthetic", "--data", f"biwi:{tmp_path}", "--baseline", "still",
                 "--out", str(tmp_path / "o")]) == 2  # fmt: skip
    assert "unknown data set of protocol synthetic 'biwi'" in capsys.readouterr().err
