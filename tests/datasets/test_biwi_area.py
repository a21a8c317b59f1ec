"""BIWI's npy form: never mixed with the released one, made from it by the published formula, oddities refused."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import miniature_biwi as mini
import numpy as np
import pytest
from miniature_biwi import by_name, one_line

from vultus.datasets import biwi, biwi_area
from vultus.errors import VultusError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("biwi")
    return {
        "raw": mini.biwi_raw(folder / "raw"),
        "area": mini.biwi_area(folder / "area"),
    }


@pytest.fixture
def copy(made: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(made[kind], tmp_path / kind))


def test_forms_are_never_mixed(made: dict[str, Path], copy: Callable[[str], Path]) -> None:
    with pytest.raises(VultusError, match=r"vertices_npy/, the npy form; .* open it as `biwi_area`"):
        biwi.Biwi(made["area"])
    with pytest.raises(VultusError, match=r"faces/, the released form; .* open it as `biwi`"):
        biwi_area.BiwiArea(made["raw"])
    root = copy("area")
    motion = mini.raw_motion("F2").astype(np.float64)
    np.save(root / "vertices_npy" / "F2_e01.npy", motion.reshape(mini.FRAMES, -1))
    with pytest.raises(
        VultusError, match=r"frame 0 has a surface of .*; expected 1, the area-normalised form"
    ) as error:
        by_name(biwi_area.BiwiArea(root))["F2_e01"].vertices()
    one_line(error)
    raw = {speaker: mini.raw_face(speaker)[0] for speaker in ("F1", "F2")}
    (root / "templates.pkl").write_bytes(pickle.dumps(raw))
    with pytest.raises(VultusError, match=r"template F1 has a surface of .* open the released coordinates as `biwi`"):
        biwi_area.BiwiArea(root)


def test_facexhubert_files_are_refused(copy: Callable[[str], Path]) -> None:
    root = copy("area")
    shutil.copy(root / "vertices_npy/F2_e01.npy", root / "vertices_npy/F2_41.npy")
    with pytest.raises(VultusError, match=r"F2_41\.npy .*FaceXHuBERT.* make the area form from the release") as error:
        biwi_area.BiwiArea(root)
    one_line(error)
    (root / "vertices_npy/F2_41.npy").unlink()
    vertices = mini.raw_face("F1")[0]
    scaled = (vertices - vertices.mean(axis=0)) / np.ptp(vertices, axis=0)
    (root / "templates.pkl").write_bytes(pickle.dumps({"F1": scaled}))
    with pytest.raises(VultusError, match=r"templates whose every axis spans 1 \(F1\), FaceXHuBERT"):
        biwi_area.BiwiArea(root)


def test_raw_becomes_area(made: dict[str, Path]) -> None:
    """The area form made from what `biwi` hands out is the one made from the stored coordinates."""
    raw, area = by_name(biwi.Biwi(made["raw"])), by_name(biwi_area.BiwiArea(made["area"]))
    assert set(raw) == set(area)
    for name, sequence in raw.items():
        made_here = biwi_area.to_area(sequence.vertices(), sequence.template.topology.faces, upright=True)
        np.testing.assert_allclose(made_here, area[name].vertices(), atol=2e-6)
        assert np.allclose([biwi_area.surface_area(f, area[name].template.topology.faces) for f in made_here], 1)
        assert np.abs(made_here.mean(axis=1)).max() < 1e-12


def test_to_area_against_the_formula_by_hand() -> None:
    rng = np.random.default_rng(0)
    vertices, faces = rng.normal(size=(3, 9, 3)), rng.integers(0, 9, (12, 3))
    slow = []
    for frame in vertices:
        turned = np.array([[x, -y, -z] for x, y, z in frame])
        turned = turned - sum(turned) / len(turned)
        area = 0.0
        for i, j, k in faces:  # Heron's formula
            a, b, c = (np.linalg.norm(turned[p] - turned[q]) for p, q in ((i, j), (j, k), (k, i)))
            s = (a + b + c) / 2
            area += np.sqrt(max(0.0, s * (s - a) * (s - b) * (s - c)))
        slow.append(turned / np.sqrt(area))
    kept = vertices.copy()
    np.testing.assert_allclose(biwi_area.to_area(vertices, faces), slow, rtol=1e-7)
    np.testing.assert_allclose(biwi_area.to_area(1000 * vertices + 5, faces), slow, rtol=1e-7)  # no unit, no place
    np.testing.assert_array_equal(vertices, kept)
    with pytest.raises(VultusError, match="surface of 0"):
        biwi_area.to_area(np.zeros((2, 9, 3)), faces)
    assert len(biwi_area.MM_PER_UNIT) == 14 and 173 < min(biwi_area.MM_PER_UNIT.values()) < 174


def test_area_form_details(copy: Callable[[str], Path]) -> None:
    root = copy("area")
    data = biwi_area.BiwiArea(root)
    assert data.left_out == {"F2_e02": "no motion", "F2_e03": "no sound"}  # neutral ones need not have motion
    assert isinstance(by_name(data)["F2_e01"].read_vertices(), np.memmap)
    stored = np.load(root / "vertices_npy/F2_e01.npy")
    assert stored.dtype == np.float64 and stored.shape == (mini.FRAMES, 70110)
    np.testing.assert_array_equal(by_name(data)["F2_e01"].vertices().reshape(len(stored), -1), stored.astype("f4"))
    (root / "templates/BIWI.ply").rename(root / "other.ply")
    with pytest.raises(VultusError, match=r"mesh=FILE.*`vultus data check biwi_area "):
        biwi_area.BiwiArea(root)
    assert set(by_name(biwi_area.BiwiArea(root, mesh=root / "other.ply"))) == set(mini.SPOKEN)
    np.save(root / "vertices_npy/F2_e01.npy", stored[:, :-3])
    with pytest.raises(VultusError, match=r"holds float64 \(6, 70107\); expected floats \(frames, 70110\)"):
        by_name(biwi_area.BiwiArea(root, mesh=root / "other.ply"))["F2_e01"].vertices()
    np.save(root / "vertices_npy/F2_e01.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(VultusError, match=r"F2_e01\.npy': cannot be read"):
        by_name(biwi_area.BiwiArea(root, mesh=root / "other.ply"))["F2_e01"].vertices()


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("executed"),))  # type: ignore[return-value]


def test_a_hostile_templates_file_is_refused(copy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy("area")
    monkeypatch.chdir(root)
    (root / "templates.pkl").write_bytes(pickle.dumps({"F1": _Hostile()}))
    with pytest.raises(VultusError, match=r"templates\.pkl") as error:
        biwi_area.BiwiArea(root)
    assert "\n" not in str(error.value) and not (root / "executed").exists()
