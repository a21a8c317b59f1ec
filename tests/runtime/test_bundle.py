"""Bundles are found, described, checked; broken ones are refused in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.runtime.bundle import BUNDLES, bundle_names, describe_bundles, load, verify


def test_shipped_bundles_are_listed_and_whole() -> None:
    assert "base" in bundle_names()
    for name in bundle_names():
        assert verify(BUNDLES / name) == []
        assert any(line.startswith(name) for line in describe_bundles())


def test_unknown_name_offers_near_misses() -> None:
    with pytest.raises(VultusError, match="did you mean 'base'"):
        load("bass")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"not json"),
        ("config.json", b"[]"),
        ("config.json", b'{"method": "composite"}'),
        ("config.json", b'{"method": "composite_regional"}'),
        ("model.onnx", b"not a graph"),
        ("weights.npz", b"PK\x03\x04 broken"),
        ("model.onnx", None),
        ("config.json", None),
    ],
    ids=lambda value: str(value)[:24],
)
def test_broken_bundles_are_one_line(tmp_path: Path, file: str, content: bytes | None) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(BUNDLES / "base", folder)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    with pytest.raises(VultusError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(BUNDLES / "base", folder)
    np.savez(folder / "weights.npz", W=np.array([object()], dtype=object), styles=np.zeros((1, 512), np.float32))
    with pytest.raises(VultusError):
        load(folder)


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(BUNDLES / "base", folder)
    with (folder / "model.onnx").open("ab") as graph:
        graph.write(b"x")
    assert verify(folder) == ["model.onnx"]
