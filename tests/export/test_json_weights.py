"""Weights as JSON, read back by the standard library."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.export import save
from vultus.export.json_weights import read_json
from vultus.motion import ARKIT_NAMES, EXTRA_NAMES, Take


@pytest.mark.parametrize(("frames", "extras"), [(31, True), (1, False), (2500, True)])
def test_read_back(make_take: Callable[..., Take], tmp_path: Path, frames: int, extras: bool) -> None:
    take = make_take(frames=frames, extras=extras)
    data = json.loads(save(take, tmp_path / "take.json").read_text("utf-8"))
    assert data["fps"] == 30
    assert tuple(data["names"]) == ARKIT_NAMES + (EXTRA_NAMES if extras else ())
    assert len(data["frames"]) == len(data["head_rotation"]) == frames
    assert data["info"] == take.info
    for number in (0, frames - 1):
        np.testing.assert_allclose(data["frames"][number], take.motion.values[number], atol=6e-6)
        np.testing.assert_allclose(data["head_rotation"][number], take.head_rotation[number], atol=6e-6)
    weights, names, fps, head = read_json(tmp_path / "take.json")
    assert (names, fps) == (tuple(data["names"]), 30)
    np.testing.assert_allclose(weights, take.motion.values, atol=6e-6)
    np.testing.assert_allclose(head, take.head_rotation, atol=6e-6)


def plain(frames: int = 3) -> dict[str, Any]:
    return {"fps": 30, "names": list(ARKIT_NAMES), "frames": [[0.25] * 52 for _ in range(frames)]}


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    data = plain()
    data["names"] = sorted([*ARKIT_NAMES, "wink"])
    data["frames"] = [[i / 100 for i in range(53)]] * 2
    (tmp_path / "a.json").write_text(json.dumps(data))
    weights, names, _, head = read_json(tmp_path / "a.json")
    assert names == (*ARKIT_NAMES, "wink")
    np.testing.assert_allclose(weights[0], [data["names"].index(name) / 100 for name in names], atol=1e-7)
    assert not head.any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": list(ARKIT_NAMES[:-1])}, "missing, such as 'tongueOut'"),
        ({"names": [*ARKIT_NAMES[:-1], ARKIT_NAMES[0]]}, "once"),
        ({"frames": []}, "no frames"),
        ({"frames": [[0.0] * 51]}, "rows of 52 numbers"),
        ({"frames": [[0.0] * 51 + ["x"]]}, "rows of 52 numbers"),
        ({"frames": [[0.0] * 51 + [float("nan")]]}, "not a finite number"),
        ({"frames": [[0] * 51 + [10**400]]}, "not a finite number"),
        ({"frames": [[0.0] * 51 + [40]]}, "expected 0 to 1"),
        ({"fps": None}, "'fps' is"),
        ({"fps": 0}, "fps is 0"),
        ({"head_rotation": [[0, 0, 0]]}, "1 head rotations for 3"),
        ({"frames": "none"}, "expected an object"),
    ],
)
def test_bad_files(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(plain() | change))
    with pytest.raises(VultusError, match=words):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "null", "\x00"])
def test_no_json_at_all(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(VultusError):
        read_json(tmp_path / "a.json")


def test_info_that_is_not_json_is_refused(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take()
    take.info["array"] = np.zeros(3)
    for name in ("take.json", "take.npz", "take.glb"):
        with pytest.raises(VultusError, match="not plain JSON"):
            save(take, tmp_path / name, **({"pivot": (0, 0, 0)} if name.endswith("glb") else {}))
    assert not list(tmp_path.iterdir())


@pytest.mark.needs_data
def test_a_file_of_another_program(real_data: Path) -> None:
    weights, names, fps, _ = read_json(real_data / "arkit_json" / "test_expression_1s.json")
    assert weights.shape == (973, 52)
    assert (names, fps) == (ARKIT_NAMES, 30)
