"""Folders of predictions: what is misnamed, in another unit or edited is noticed, never scored without a word."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_faces as toy

from vultus.benchmark.evaluate import evaluate
from vultus.benchmark.prediction_files import PredictionFiles, PredictionFolder
from vultus.benchmark.prediction_scale import check_scale
from vultus.benchmark.styles import StyleChooser
from vultus.errors import VultusError


@pytest.fixture(autouse=True)
def toy_data(monkeypatch: pytest.MonkeyPatch) -> None:
    toy.use(monkeypatch)


def opened(folder: Path, **changes: Any) -> PredictionFiles:
    data, protocol = toy.ToyFaces(""), toy.toy_protocol(**changes)
    return PredictionFiles(folder, data.split("test"), protocol, StyleChooser(data, protocol))


def run(tmp_path: Path, folder: Path) -> dict[str, Any]:
    regions = toy.write_regions(tmp_path / "regions")
    return evaluate(toy.toy_protocol(), tmp_path, tmp_path / "out", predictions=folder, regions=regions)


Change = Callable[[np.ndarray, np.ndarray], np.ndarray]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda moved, face: 1000 * moved, "is 1000 times as large as the recorded face; expected metres"),
        (lambda moved, face: moved / 100, "is 0.01 times as large as the recorded face; expected metres"),
        (lambda moved, face: moved - face, "looks like offsets from the neutral face; expected vertices"),
        (lambda moved, face: moved * 0, "looks like offsets"),
        (lambda moved, face: moved + 0.5, "faces away from the recorded face"),
        (lambda moved, face: np.stack([moved, moved - face]), "looks like offsets"),
        (
            lambda moved, face: np.concatenate([moved[:5], 1000 * moved[5:]]),
            f"frame {len(toy.reference('dan_s2')) // 2} is 1000 times",
        ),
    ],
)
def test_other_units_and_offsets_are_refused(tmp_path: Path, change: Change, message: str) -> None:
    folder = toy.write_predictions(tmp_path / "p", error=0.0)
    np.save(folder / "dan_s2.npy", change(toy.reference("dan_s2"), toy.template("dan").vertices))
    with pytest.raises(VultusError, match=message) as told:
        run(tmp_path, folder)
    assert "dan_s2.npy" in str(told.value) and not (tmp_path / "out").exists()


def test_a_still_face_and_a_head_that_stands_elsewhere_pass(tmp_path: Path) -> None:
    sequence = toy.ToyFaces("").split("test")[0]
    still = np.repeat(sequence.template.vertices[None], 9, 0)
    check_scale(tmp_path, still, sequence)
    away = replace(sequence, read_vertices=lambda: toy.motion("cleo", "s1") + np.float32([1, 0, 0]))
    check_scale(tmp_path, away.vertices(), away)
    with pytest.raises(VultusError, match="faces away"):
        check_scale(tmp_path, away.vertices(), sequence)
    with pytest.raises(VultusError, match="expected a face of surface 1"):
        check_scale(tmp_path, 1000 * still, replace(sequence, unit="area"))


def test_files_of_no_sequence_are_counted_and_named(tmp_path: Path) -> None:
    folder = toy.write_predictions(tmp_path / "p")
    assert opened(folder).flags == ()
    for number in range(7):
        np.save(folder / f"wrong_{number}.npy", toy.reference("dan_s1"))
    results = run(tmp_path, folder)
    flag = "7 files belong to no sequence, left out: wrong_0.npy, wrong_1.npy, wrong_2.npy, wrong_3.npy, wrong_4.npy"
    assert any(flag in found for found in results["flags"])
    assert flag in (tmp_path / "out" / "table.md").read_text()
    (folder / "wrong_0.npy").unlink()
    assert any("6 files" in found for found in run(tmp_path, folder)["flags"])  # the same evaluation goes on


def test_conditions_are_subjects_of_the_data(tmp_path: Path) -> None:
    folder = toy.write_predictions(tmp_path / "p")
    np.save(folder / "dan_s1_condition_anna.npy", toy.reference("dan_s1"))
    opened(folder)
    np.save(folder / "dan_s1_condition_bne_take_00.npy", toy.reference("dan_s1"))
    with pytest.raises(VultusError, match=r"dan_s1_condition_bne_take_00.npy: 'bne'; did you mean 'ben'"):
        opened(folder)
    opened(folder, trained_on="biwi")  # conditions are then subjects of the other data set


def test_suffixes_in_any_case(tmp_path: Path) -> None:
    folder = toy.write_predictions(tmp_path / "p")
    for path in list(folder.iterdir()):
        path.rename(path.with_suffix(".NPY"))
    assert run(tmp_path, folder)["sequences"] == 6
    (folder / "dan_s1.NPY").rename(folder / "dan_s1.NPZ")
    with pytest.raises(VultusError, match=r"dan_s1\.NPZ"):
        opened(folder).check(toy.ToyFaces("").split("test"))


def test_edited_files_of_equal_size_and_time_are_measured_again(tmp_path: Path) -> None:
    folder = toy.write_predictions(tmp_path / "p")
    first, path = run(tmp_path, folder), folder / "cleo_s1.npy"
    before = path.stat()
    np.save(path, toy.reference("cleo_s1").reshape(31, -1).astype(np.float64))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    second = run(tmp_path, folder)
    assert first["per_sequence"]["cleo_s1"]["lip_mean"] > 0 == second["per_sequence"]["cleo_s1"]["lip_mean"]
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == second


def test_an_empty_file_is_called_so(tmp_path: Path) -> None:
    folder = toy.write_predictions(tmp_path / "p")
    np.save(folder / "dan_s1.npy", np.zeros((0, 90), np.float32))
    sequences = toy.ToyFaces("").split("test")
    with pytest.raises(VultusError, match=r"is empty .shape \(0, 90\)"):
        PredictionFolder(folder, sequences, 25.0).check_files(sequences[3], "")
