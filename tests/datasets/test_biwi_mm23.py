"""BIWI in the MM'23 layout: the unit is told by the template."""

from __future__ import annotations

from pathlib import Path

import miniature_biwi as mini
import numpy as np
import pytest
from miniature_biwi import by_name

from vultus.datasets import biwi_mm23
from vultus.errors import VultusError


def test_area_is_told_from_millimetres(tmp_path: Path) -> None:
    area_root = mini.biwi_mm23(tmp_path / "area")
    data = biwi_mm23.BiwiMM23(area_root)
    assert data.left_out == {"F1_e38": "no sound"}
    metres = biwi_mm23.BiwiMM23(mini.biwi_mm23(tmp_path / "mm", area=False))
    sequence = by_name(metres)["F1_e37"]
    assert sequence.unit == "m"
    np.testing.assert_allclose(sequence.vertices(), mini.raw_motion("F1") / 1000, atol=1e-7)
    area = tmp_path / "mm/mesh_sequences/F1/e37.npy"
    np.save(area, np.load(area_root / "mesh_sequences/F1/e37.npy"))
    with pytest.raises(VultusError, match=r"first frame is .* times as large as the neutral face; .* same unit"):
        sequence.vertices()
    (tmp_path / "mm/templates").rename(tmp_path / "mm/faces")
    with pytest.raises(VultusError, match="no folder of neutral faces"):
        biwi_mm23.BiwiMM23(tmp_path / "mm")
    assert by_name(biwi_mm23.BiwiMM23(tmp_path / "mm", templates="faces"))
