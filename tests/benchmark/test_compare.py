"""Comparisons: clear differences are found, none is made of nothing, and what does not compare is refused."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_faces as toy

from vultus.benchmark.compare import compare, difference
from vultus.benchmark.evaluate import evaluate
from vultus.benchmark.evaluations import Evaluation, read_evaluation
from vultus.benchmark.protocol import load_protocol
from vultus.benchmark.rows import Row
from vultus.cli import main
from vultus.errors import VultusError
from vultus.metrics import load_metric


@pytest.fixture(autouse=True)
def toy_data(monkeypatch: pytest.MonkeyPatch) -> None:
    toy.use(monkeypatch)


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Path]:
    """Two evaluations; the second has half the error."""
    regions = toy.write_regions(tmp_path / "regions")
    for name, error, seed in (("a", 0.002, 1), ("b", 0.001, 2)):
        folder = toy.write_predictions(tmp_path / f"predictions-{name}", error, seed)
        evaluate(toy.toy_protocol(), tmp_path, tmp_path / name, predictions=folder, regions=regions)
    return tmp_path / "a", tmp_path / "b"


def made(values: np.ndarray, metric: str = "lip_mean") -> Evaluation:
    rows = {
        f"s{i:03d}": Row(f"s{i:03d}", f"s{i:03d}", 9, 1, {metric: np.array([v, 1.0])}) for i, v in enumerate(values)
    }
    return Evaluation("made", {}, rows)


def test_a_clear_difference_is_told_with_its_n(results: tuple[Path, Path]) -> None:
    text = compare(results)
    line = next(line for line in text.splitlines() if line.startswith("| `lip_mean`"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:3] == ["mm", "lower"] and cells[-1] == "6" and cells[5].endswith("*") and cells[5].startswith("-")
    assert float(cells[6]) == pytest.approx(2 / 2**6, rel=0.01)  # all 64 exchanges: this one and its mirror image
    assert "predictions-a" in text and "predictions-b" in text
    shutil.copytree(results[0], results[0].with_name("twin"))
    again = compare([results[0], results[0].with_name("twin")])
    row = next(line for line in again.splitlines() if line.startswith("| `lip_mean`"))
    assert "0.00 (0.00 to 0.00) |" in row and "| 1 |" in row


def test_exchanges_are_the_sign_flips_of_a_mean() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=8), rng.normal(0.3, 1, size=8)
    found = difference(load_metric("lip_mean"), "lip_mean", made(first), made(second))
    deltas = second - first
    flips = [abs(np.mean(np.array(signs) * deltas)) for signs in itertools.product((1, -1), repeat=8)]
    assert found.p == pytest.approx(np.mean(np.array(flips) >= abs(deltas.mean()) - 1e-12))
    assert found.value == pytest.approx(deltas.mean()) and found.low < found.value < found.high and found.n == 8


def test_false_alarms_are_as_many_as_promised() -> None:
    rng = np.random.default_rng(6)
    clear, covered = 0, 0
    for trial in range(200):
        pair = rng.normal(size=(2, 25))
        found = difference(load_metric("lip_mean"), "lip_mean", made(pair[0]), made(pair[1]), seed=trial)
        clear += found.is_clear
        covered += found.low <= 0 <= found.high
    assert 2 <= clear <= 20 and covered >= 175  # 10 and 190 expected


def test_pooling_is_the_metrics_own() -> None:
    """Frames, not sequences, weigh in lve; so the difference is not the mean of the sequences' differences."""
    rows = [(10.0, 10.0), (300.0, 100.0)] * 4  # (sum over frames, frames)

    def of(scale: float) -> Evaluation:
        return Evaluation("x", {}, {f"s{i}": Row(f"s{i}", f"s{i}", 9, 1, {"lve": np.array([a * scale, b])})
                                    for i, (a, b) in enumerate(rows)})  # fmt: skip

    found = difference(load_metric("lve"), "lve", of(1.0), of(2.0))
    assert found.value == pytest.approx(1240 / 440) and found.is_clear


def test_few_sequences_get_no_p() -> None:
    found = difference(load_metric("lip_mean"), "lip_mean", made(np.zeros(4)), made(np.ones(4)))
    assert found.value == 1.0 and np.isnan(found.p) and found.n == 4


def test_only_shared_sequences_count(results: tuple[Path, Path]) -> None:
    first, second = (read_evaluation(folder) for folder in results)
    fewer = {name: row for name, row in second.rows.items() if name != "dan_s3"}
    found = difference(load_metric("lip_mean"), "lip_mean", first, Evaluation("x", second.results, fewer))
    assert found.n == 5


def test_results_without_rows_compare_by_their_sequences(results: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    shutil.copy(results[1] / "results.json", tmp_path / "alone" / "results.json")
    text = compare([results[0], tmp_path / "alone"])
    assert next(line for line in text.splitlines() if line.startswith("| `lip_mean`")).rstrip(" |").endswith("6")


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_does_not_compare_is_refused(results: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "c"
    narrow = toy.write_regions(tmp_path / "narrow", [2, 3, 4])
    evaluate(toy.toy_protocol(), tmp_path, other, predictions=tmp_path / "predictions-b", regions=narrow)
    with pytest.raises(VultusError, match="region 'lips' differs"):
        compare([results[0], other])
    assert "Not the same: region 'lips' differs" in compare([results[0], other], allow_different=True)
    _edit(results[1], protocol={"name": "toy", "version": 2, "title": "", "fps": 25})
    with pytest.raises(VultusError, match=r"other protocols .version 1 and 2"):
        compare(results)
    _edit(results[1], protocol={"name": "toy", "version": 1, "title": "", "fps": 25}, flags=["ORACLE self: ..."])
    with pytest.raises(VultusError, match="looking at the truth"):
        compare(results)


def test_scores_of_other_networks_get_no_difference(results: tuple[Path, Path]) -> None:
    for folder, digest in zip(results, ("a" * 12, "b" * 12), strict=True):
        metrics = json.loads((folder / "results.json").read_text())["metrics"]
        _edit(folder, scorers={"sync": digest}, metrics={**metrics, "sync_cos": {**metrics["sync_cos"], "value": 0.5}})
    lines = compare(results).splitlines()
    assert "other scoring network" in next(line for line in lines if line.startswith("| `sync_cos`"))
    assert not any("other scoring network" in line for line in lines if line.startswith("| `lip_mean`"))


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"metrics": 3}'])
def test_no_results_in_a_folder(results: tuple[Path, Path], tmp_path: Path, content: str | None) -> None:
    (tmp_path / "odd").mkdir()
    if content is not None:
        (tmp_path / "odd" / "results.json").write_text(content)
    with pytest.raises(VultusError, match="no results"):
        compare([results[0], tmp_path / "odd"])


def _metric_without(key: str) -> Any:
    def change(results: dict[str, Any]) -> None:
        del results["metrics"]["lip_mean"][key]

    return change


def _set(*keys: str, value: Any) -> Any:
    def change(results: dict[str, Any]) -> None:
        for key in keys[:-1]:
            results = results[key]
        results[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_metric_without("value"), "metrics.lip_mean.value is missing"),
        (_metric_without("direction"), "metrics.lip_mean.direction is missing"),
        (
            _set("metrics", "lip_mean", "value", value="2.1"),
            'metrics.lip_mean.value is "2.1", expected a finite number',
        ),
        (_set("metrics", "lip_mean", "value", value=float("nan")), "metrics.lip_mean.value is NaN"),
        (_set("metrics", "lip_mean", "value", value=10**400), "damaged"),
        (_set("metrics", "lip_mean", value=[]), "metrics.lip_mean is [], expected an object"),
        (_set("metrics", "lip_mean", "direction", value="up"), "direction is 'up'"),
        (_set("metrics", value=[]), "metrics is [], expected an object"),
        (_set("metrics", value={}), "metrics is empty"),
        (_set("regions", value=[]), "regions is [], expected an object"),
        (_set("regions", "lips", value={}), "regions.lips.digest is missing"),
        (_set("protocol", value={}), "protocol.name is missing"),
        (_set("protocol", "version", value="1"), 'protocol.version is "1", expected a whole number'),
        (_set("data", value={}), "data.name is missing"),
        (_set("source", "name", value=3), "source.name is 3"),
        (_set("flags", value=[1]), "flags holds 1, expected texts"),
        (_set("per_sequence", "dan_s1", value=[]), "per_sequence.dan_s1 is []"),
        (_set("per_sequence", "dan_s1", "lip_mean", value="x"), "per_sequence.dan_s1.lip_mean"),
    ],
)
def test_damaged_results_are_one_line(
    results: tuple[Path, Path], capsys: pytest.CaptureFixture[str], change: Any, message: str
) -> None:
    path = results[1] / "results.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    assert main(["evaluate", "--compare", *map(str, results)]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and message in told.err and str(path) in told.err and not told.out


def test_a_metric_of_one_side_is_a_dash_with_a_remark(results: tuple[Path, Path]) -> None:
    for folder, name in zip(results, ("lve", "lip_mean"), strict=True):
        metrics = json.loads((folder / "results.json").read_text())["metrics"]
        _edit(folder, metrics={key: entry for key, entry in metrics.items() if key != name})
    text = compare(results)
    cells = {line.split("`")[1]: line.strip("| ").split(" | ")[3:] for line in text.splitlines() if "| `l" in line}
    assert cells["lve"][0] == "–" and cells["lve"][1] != "–" and cells["lve"][2:] == ["–", "–", "0"]
    assert cells["lip_mean"][0] != "–" and cells["lip_mean"][1:] == ["–", "–", "–", "0"]
    assert "- `lve` is not among the metrics of predictions-a." in text
    assert "- `lip_mean` is not among the metrics of predictions-b." in text


def test_one_folder_twice_and_no_shared_sequence_are_refused(results: tuple[Path, Path]) -> None:
    with pytest.raises(VultusError, match="is given 2 times"):
        compare([results[0], results[0] / ".." / results[0].name])
    with pytest.raises(VultusError, match="is given 2 times"):
        compare([results[0], results[0] / "results.json"])
    per_sequence = json.loads((results[1] / "results.json").read_text())["per_sequence"]
    shutil.rmtree(results[1] / "rows")
    _edit(results[1], per_sequence={f"x{name}": values for name, values in per_sequence.items()})
    with pytest.raises(VultusError, match=r"share no sequence .cleo_s1 and xcleo_s1."):
        compare(results)


def test_other_recordings_are_refused_where_digests_tell(results: tuple[Path, Path]) -> None:
    _edit(results[0], data={"name": "toy", "split": "test", "digest": "a" * 12})
    _edit(results[1], data={"name": "toy", "split": "test"})
    assert "Not the same" not in compare(results)  # results of before digests
    _edit(results[1], data={"name": "toy", "split": "test", "digest": "b" * 12})
    with pytest.raises(VultusError, match=r"the recordings differ .aaaaaaaaaaaa in predictions-a, bbbbbbbbbbbb"):
        compare(results)
    assert "Not the same: the recordings differ" in compare(results, allow_different=True)


def test_two_layouts_of_one_data_set_compare_with_a_remark(results: tuple[Path, Path]) -> None:
    known = load_protocol("vocaset-faceformer")
    protocol = {"name": known.name, "version": known.version, "title": "", "fps": 30}
    for folder, name in zip(results, ("vocaset", "vocaset_faceformer"), strict=True):
        _edit(folder, protocol=protocol, data={"name": name, "split": "test", "digest": name})
    text = compare(results)
    assert (
        "on vocaset_faceformer, predictions-a on vocaset: two layouts of one data set whose recordings have other"
        in text
        and "Not the same" not in text
    )
    _edit(results[1], data={"name": "biwi", "split": "test"})
    with pytest.raises(VultusError, match=r"of other data .vocaset test and biwi test"):
        compare(results)
    _edit(results[1], data={"name": "vocaset_faceformer", "split": "val"})
    with pytest.raises(VultusError, match="of other data"):
        compare(results)
    for folder in results:
        _edit(folder, protocol={**protocol, "name": "toy"}, data={"name": folder.name, "split": "test"})
    with pytest.raises(VultusError, match="of other data"):
        compare(results)


def test_the_command(results: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--compare", *map(str, results), "--out", str(tmp_path / "c.md")]) == 0
    assert capsys.readouterr().out == (tmp_path / "c.md").read_text(encoding="utf-8")
    assert main(["evaluate", "--compare", str(results[0])]) == 2
    assert main(["evaluate", "--compare", *map(str, results), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 2
