"""Predicted motion is found under the names that programs write, and refused where it cannot be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_data import ToyData

from vultus.errors import VultusError
from vultus.figures.predictions import FolderPredictions, same_length


def test_names_and_shapes(tmp_path: Path, toy: ToyData) -> None:
    one, two, three = toy.sequence(0, 0), toy.sequence(0, 1), toy.sequence(1, 0)
    np.save(tmp_path / "s0_00.npy", one.vertices())
    np.save(tmp_path / "s0_01_condition_s2.npy", two.vertices().reshape(30, -1) + 1)
    np.save(tmp_path / "s0_01_condition_s1.npy", two.vertices().reshape(30, -1).astype(np.float64))
    vertices = three.vertices(fps=50)
    np.savez(
        tmp_path / "s1_00.npz", fps=50.0, vertices=vertices, template=toy.template.vertices,
        faces=np.array([[0, 1, 2]], np.int32), head_rotation=np.zeros((len(vertices), 3), np.float32), info="{}",
    )  # fmt: skip
    found = FolderPredictions(tmp_path, [one, two, three])
    for sequence in (one, two):
        np.testing.assert_allclose(
            found.offsets(sequence, None), sequence.vertices() - toy.template.vertices, atol=1e-6
        )
    np.testing.assert_allclose(found.offsets(three, None), three.vertices() - toy.template.vertices, atol=1e-6)
    with pytest.raises(VultusError, match=r"no file for 1 of 4 sequences, such as s2_00\.npy"):
        FolderPredictions(tmp_path, [one, two, three, toy.sequence(2, 0)])
    with pytest.raises(VultusError, match="no such folder"):
        FolderPredictions(tmp_path / "absent", [one])


def test_what_cannot_be_right_is_refused(tmp_path: Path, toy: ToyData) -> None:
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
            FolderPredictions(tmp_path, [sequence]).offsets(sequence, None)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(VultusError, match="not a readable"):
        FolderPredictions(tmp_path, [sequence]).offsets(sequence, None)
    path.write_bytes(b"")
    with pytest.raises(VultusError, match="not a readable"):
        FolderPredictions(tmp_path, [sequence]).offsets(sequence, None)


def test_lengths_may_differ_by_a_frame_or_two() -> None:
    long, short = np.zeros((100, 2, 3)), np.zeros((98, 2, 3))
    for pair in ((long, short), (short, long)):
        assert [len(array) for array in same_length(*pair, "x")] == [98, 98]
    with pytest.raises(VultusError, match="x has 50 frames and the recording 100"):
        same_length(long[:50], long, "x")
