"""Coordinates that cannot be true are told, however a sequence hands them out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vultus.datasets.coordinates import fault

TEMPLATE = np.random.default_rng(0).normal(0, 0.1, (20, 3)).astype(np.float32)
GOOD = TEMPLATE + np.random.default_rng(1).normal(0, 0.002, (9, 20, 3)).astype(np.float32)


def sequence(kind: str, frames: np.ndarray) -> Any:
    template = SimpleNamespace(vertices=TEMPLATE)
    if kind == "offsets":
        return SimpleNamespace(template=template, offsets=lambda: frames - TEMPLATE)
    if kind == "files":
        return SimpleNamespace(template=template, read_vertices=lambda: frames)
    return SimpleNamespace(template=template, vertices=lambda fps: frames[::4])


@pytest.mark.parametrize("kind", ["offsets", "files", "rig"])
def test_good_ones_pass_and_bad_ones_are_told(kind: str) -> None:
    assert fault(sequence(kind, GOOD)) is None
    assert fault(sequence(kind, GOOD[:1])) is None
    for factor in (1000, 0.001, 2.5, 0.4):
        frames = np.repeat(TEMPLATE[None], 9, 0) * np.float32(factor)
        assert str(fault(sequence(kind, frames))).startswith(f"is {factor:.3g} times as large as its neutral face")
    for place in (0, 4, 8):
        frames = GOOD.copy()
        frames[place, 3, 1] = np.inf
        assert "holds NaN or infinite" in str(fault(sequence(kind, frames)))
        frames[place] = GOOD[place] * 100
        assert "times as large as its neutral face" in str(fault(sequence(kind, frames)))


@pytest.mark.parametrize("kind", ["offsets", "files"])
@pytest.mark.parametrize("place", [1, 70, 130])
def test_a_bad_number_anywhere_is_told(kind: str, place: int) -> None:
    frames = np.repeat(GOOD[:1], 140, 0)
    frames[place, 7, 2] = np.nan
    assert "holds NaN or infinite" in str(fault(sequence(kind, frames)))


def test_other_meshes_and_what_cannot_be_read_are_told() -> None:
    assert "has frames of shape (19, 3); expected (20, 3)" in str(fault(sequence("files", GOOD[:, 1:])))
    assert "has frames" in str(fault(sequence("files", GOOD[:0])))

    def unreadable() -> np.ndarray:
        raise OSError("cut short")

    assert fault(SimpleNamespace(template=SimpleNamespace(vertices=TEMPLATE), read_vertices=unreadable)) == "cut short"
