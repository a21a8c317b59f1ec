"""Style references back from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.export import save
from vultus.export.read import read_motion
from vultus.motion import ARKIT_NAMES, EXTRA_NAMES, Take


@pytest.mark.parametrize(("suffix", "extras"), [(".npz", True), (".json", True), (".csv", False), (".glb", True)])
def test_weights_come_back(make_take: Callable[..., Take], tmp_path: Path, suffix: str, extras: bool) -> None:
    take = make_take(fps=25.0)
    clip = read_motion(save(take, tmp_path / f"take{suffix}"), topology_digest="another mesh: weights fit every face")
    names = ARKIT_NAMES + (EXTRA_NAMES if extras else ())
    assert (clip.fps, clip.num_frames, clip.weight_names) == (25, 31, names)
    np.testing.assert_allclose(clip.weights, take.motion.values[:, : len(names)], atol=6e-6)
    np.testing.assert_allclose(clip.head_rotation, take.head_rotation, atol=6e-6)
    assert clip.has_vertices == (suffix == ".npz")
    if clip.has_vertices:
        np.testing.assert_array_equal(clip.vertices(4, 9), take.vertices(4, 9))
        assert clip.topology_digest == take.template.topology.digest
    else:
        with pytest.raises(VultusError, match="no vertices"):
            clip.vertices()


def test_vertices_alone(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take(blendshapes=False)
    path = save(take, tmp_path / "mesh.npz")
    clip = read_motion(path, topology_digest=take.template.topology.digest)
    assert clip.weights is None
    np.testing.assert_array_equal(clip.vertices(), take.vertices())
    with pytest.raises(VultusError, match="another mesh"):
        read_motion(path, topology_digest="0" * 16)


@pytest.mark.parametrize("suffix", [".npz", ".json", ".csv", ".glb"])
def test_too_short_or_still(make_take: Callable[..., Take], tmp_path: Path, suffix: str) -> None:
    with pytest.raises(VultusError, match=r"0\.47 s of motion"):
        read_motion(save(make_take(frames=14), tmp_path / f"short{suffix}"))
    still = make_take()
    still.motion.values[:] = 0.25
    with pytest.raises(VultusError, match="never moves"):
        read_motion(save(still, tmp_path / f"still{suffix}"))
    mesh = make_take(blendshapes=False)
    mesh.motion.values[:] = 0.001
    with pytest.raises(VultusError, match="never moves"):
        read_motion(save(mesh, tmp_path / "mesh.npz"))


def test_what_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match=r"read from \.npz \.csv \.json \.glb; found '\.fbx'"):
        read_motion(tmp_path / "take.fbx")
    with pytest.raises(VultusError, match="no such file"):
        read_motion(tmp_path / "take.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(VultusError, match="no such file"):
        read_motion(tmp_path / "folder.csv")


def test_the_first_minute_counts(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take(frames=700, fps=10.0)
    take.motion.values[:605] = 0.25
    with pytest.raises(VultusError, match="never moves in the first minute"):
        read_motion(save(take, tmp_path / "late.npz"))


@pytest.mark.needs_data
def test_real_recordings(real_data: Path) -> None:
    clip = read_motion(real_data / "livelink" / "alex_rom_3_first20s.csv")
    assert clip.duration == pytest.approx(20.03, abs=0.01)
