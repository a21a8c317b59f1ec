"""Predicted motion is found and refused as `vultus evaluate` does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_data import ToyData

from vultus.errors import VultusError
from vultus.figures.predictions import FolderPredictions


def write_npz(path: Path, fps: float, vertices: np.ndarray, template: np.ndarray) -> None:
    np.savez(
        path, fps=fps, vertices=vertices, template=template, faces=np.array([[0, 1, 2]], np.int32),
        head_rotation=np.zeros((len(vertices), 3), np.float32), info="{}",
    )  # fmt: skip


def test_names_and_shapes(tmp_path: Path, toy: ToyData) -> None:
    one, two, three, four = toy.sequence(0, 0), toy.sequence(0, 1), toy.sequence(1, 0), toy.sequence(2, 0)
    np.save(tmp_path / "s0_00.npy", one.vertices())
    np.save(tmp_path / "s0_01_condition_s2.npy", two.vertices().reshape(30, -1) + 1)
    np.save(tmp_path / "s0_01_condition_s1.npy", two.vertices().reshape(30, -1).astype(np.float64))
    write_npz(tmp_path / "s1_00.npz", 25.0, three.vertices(), toy.template.vertices)
    found = FolderPredictions(tmp_path, [one, two, three], None)
    for sequence in (one, two, three):
        np.testing.assert_allclose(found.offsets(sequence), sequence.vertices() - toy.template.vertices, atol=1e-6)
    with pytest.raises(VultusError, match=r"no file for 1 of 4 sequences, such as s2_00\.npy"):
        FolderPredictions(tmp_path, [one, two, three, four], None)
    # the subject's own condition, and the first of several takes
    np.save(tmp_path / "s0_01_condition_s0.npy", two.vertices() + np.float32(0.5))
    np.save(tmp_path / "s2_00_take_00.npy", four.vertices() + np.float32(0.25))
    np.save(tmp_path / "s2_00_take_01.npy", four.vertices())
    found = FolderPredictions(tmp_path, [two, four], None)
    assert found.offsets(two)[:, -1].min() == pytest.approx(0.5, abs=0.02)
    assert found.offsets(four)[:, -1].min() == pytest.approx(0.25, abs=0.02)
    with pytest.raises(VultusError, match="no such folder"):
        FolderPredictions(tmp_path / "absent", [one], None)


def test_what_cannot_be_right_is_refused_when_the_folder_is_opened(tmp_path: Path, toy: ToyData) -> None:
    sequence, path = toy.sequence(0, 0), tmp_path / "s0_00.npy"
    vertices = sequence.vertices()
    bad = np.array(vertices)
    bad[3, 4, 1] = np.nan
    cases = [
        (vertices[:, :-1], "shape"), (vertices[:0], "shape"), (bad, "NaN"), (np.zeros(3), "shape"),
        (np.zeros(vertices.shape, np.int16), "int16"),
    ]  # fmt: skip
    for array, message in cases:
        np.save(path, array)
        with pytest.raises(VultusError, match=message):
            FolderPredictions(tmp_path, [sequence], None)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(VultusError, match="cannot be read"):
        FolderPredictions(tmp_path, [sequence], None)
    path.write_bytes(b"")
    with pytest.raises(VultusError, match="cannot be read"):
        FolderPredictions(tmp_path, [sequence], None)
    path.unlink()
    write_npz(tmp_path / "s0_00.npz", 50.0, sequence.vertices(fps=50), toy.template.vertices)
    with pytest.raises(VultusError, match="is at 50 fps; the motion is compared at 25"):
        FolderPredictions(tmp_path, [sequence], None)
    FolderPredictions(tmp_path, [sequence], 50.0)
    write_npz(tmp_path / "s0_00.npz", 25.0, vertices, toy.template.vertices + np.float32(0.01))
    with pytest.raises(VultusError, match="neutral face lies"):
        FolderPredictions(tmp_path, [sequence], None)
