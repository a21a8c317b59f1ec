"""Shared frame errors: bad input, blocks, other float types, arrays on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples import face_of, region_of, small_example
from vultus.errors import VultusError
from vultus.metrics import Unavailable, frames, score

BOARD = ("lip_mean", "lip_max", "upper_mean", "face_mean", "lve", "lve_sq", "mve", "fdd", "fdd_abs")


@pytest.mark.parametrize("block", [1, 3000, 1 << 20])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [score(name, small_example()) for name in (*BOARD, "l_mean", "l_cover")]
    monkeypatch.setattr(frames, "BLOCK_BYTES", block)
    found = [score(name, small_example()) for name in (*BOARD, "l_mean", "l_cover")]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_doubles_and_arrays_on_disk(tmp_path: Path) -> None:
    example = small_example()
    np.save(tmp_path / "r.npy", example.reference.astype(np.float64))
    np.save(tmp_path / "p.npy", np.asfortranarray(example.prediction))
    r, p = (np.load(tmp_path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in "rp")
    for name in (*BOARD, "f_dtw"):
        assert score(name, replace(example, reference=r, samples=[p])) == pytest.approx(score(name, example), rel=1e-6)


@pytest.mark.parametrize("name", [*BOARD, "f_dtw", "div_face"])
def test_arrays_that_may_not_be_written(name: str) -> None:
    example = small_example()
    wanted = score(name, example)
    regions = {
        key: replace(region, vertices=_locked(region.vertices), weights=_locked(region.weights))
        for key, region in example.regions.items()
    }
    locked = replace(
        example,
        reference=_locked(example.reference),
        samples=[_locked(sample) for sample in example.samples],
        template=_locked(example.template),
        regions=regions,
    )
    assert score(name, locked) == wanted


def _locked(array: np.ndarray) -> np.ndarray:
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


@pytest.mark.parametrize("name", BOARD)
def test_bad_numbers_are_told(name: str) -> None:
    example = small_example()
    for what in ("prediction", "reference"):
        for value in (np.nan, np.inf):
            broken = (example.prediction if what == "prediction" else example.reference).copy()
            broken[-1, -1, 2] = value
            changed = {"samples": [broken]} if what == "prediction" else {"reference": broken}
            with pytest.raises(VultusError, match=f"{what} holds NaN or infinite"):
                score(name, replace(example, **changed))


def test_regions_of_another_mesh_are_refused() -> None:
    still = np.zeros((2, 3, 3))
    for numbers, words in (([1, 3], "names vertex 3; the mesh has vertices 0 to 2"), ([-1, 0], "names vertex -1")):
        region = region_of("lips", numbers)
        with pytest.raises(VultusError, match=words):
            score("lve", face_of(still, [still], {"lips": region}))
    with pytest.raises(VultusError, match="is empty"):
        score("lve", face_of(still, [still], {"lips": region_of("lips", [])}))


def test_missing_region_is_no_error() -> None:
    still = np.zeros((2, 3, 3))
    example = face_of(still, [still])
    some = {name: region for name, region in example.regions.items() if name != "lips"}
    example = replace(example, regions=some)
    for name in ("lip_mean", "lip_max", "lve", "l_cover", "l_mean"):
        with pytest.raises(Unavailable, match="no region 'lips'"):
            score(name, example)
    assert score("face_mean", example) == 0


def test_no_prediction_at_all() -> None:
    still = np.zeros((2, 3, 3))
    with pytest.raises(VultusError, match="has no prediction"):
        score("lve", face_of(still, []))


def test_six_digits_far_from_the_origin_of_a_large_mesh() -> None:
    rng = np.random.default_rng(0)
    reference = (0.3 + rng.normal(0, 0.05, (3, 23_370, 3))).astype(np.float32)
    prediction = (reference + rng.normal(0, 0.001, reference.shape)).astype(np.float32)
    direct = np.linalg.norm(prediction.astype(float) - reference, axis=-1).mean()
    example = face_of(reference, [prediction])
    assert score("mve", example) == pytest.approx(1000 * direct, rel=2e-6)
