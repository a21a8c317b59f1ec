"""Distances between all pairs of samples."""

from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples import face_of, make_example, region_of, small_example
from vultus.errors import VultusError
from vultus.metrics import Example, Unavailable, diversity, score

NAMES = {"div_lips": "lips", "div_upper": "upper_face", "div_face": "face"}


def slow(example: Example, name: str) -> float:
    region = example.regions[name]
    found = []
    for a, b in itertools.combinations(example.samples, 2):
        distance = np.linalg.norm(a[:, region.vertices].astype(float) - b[:, region.vertices], axis=-1)
        found.append(np.average(distance.mean(0), weights=region.weights))
    return 1000 * float(np.mean(found))


@pytest.mark.parametrize("name", NAMES)
def test_against_the_formula(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for example in (small_example(0), small_example(1, 30, 7, 700), make_example()):
        assert score(name, example) == pytest.approx(slow(example, NAMES[name]), rel=1e-5)
    monkeypatch.setattr(diversity, "BLOCK_BYTES", 5000)  # several blocks of frames
    example = small_example(2, 30, 5)
    assert score(name, example) == pytest.approx(slow(example, NAMES[name]), rel=1e-5)


def test_by_hand() -> None:
    still = np.zeros((2, 3, 3))
    samples = [still, still.copy(), still.copy()]
    samples[1][0, 0, 0] = 0.003
    samples[2][1, 1, 0] = 0.006
    regions = {"lips": region_of("lips", [0, 1], [1, 0.5]), "upper_face": region_of("upper_face", [1])}
    example = face_of(still, samples, regions)
    # vertex 0: pairs 01 and 12 differ by 3 in one of two frames; vertex 1: pairs 02 and 12 by 6
    assert score("div_face", example) == pytest.approx((1 + 2 + 0) / 3, rel=1e-6)
    assert score("div_lips", example) == pytest.approx((1 * 1 + 0.5 * 2) / 1.5, rel=1e-6)
    assert score("div_upper", example) == pytest.approx(2.0, rel=1e-6)


def test_a_face_without_some_vertices() -> None:
    example = small_example()
    face = region_of("face", np.arange(0, 40, 2))
    example = replace(example, regions={**example.regions, "face": face})
    for name, region in NAMES.items():
        assert score(name, example) == pytest.approx(slow(example, region), rel=1e-5)


def test_one_sample_has_none() -> None:
    with pytest.raises(Unavailable, match="diversity needs two"):
        score("div_lips", small_example(num_samples=1))


def test_equal_samples_have_zero() -> None:
    example = small_example(num_samples=1)
    assert score("div_face", replace(example, samples=[example.prediction] * 3)) == 0


def test_a_bad_sample_is_told() -> None:
    example = small_example()
    broken = example.prediction.copy()
    broken[3, 3, 0] = np.inf
    with pytest.raises(VultusError, match="NaN or infinite"):
        score("div_face", replace(example, samples=[example.prediction, broken]))
    with pytest.raises(VultusError, match="expected the same"):
        score("div_face", replace(example, samples=[example.prediction, broken[:, :5]]))


def test_hundred_samples_on_disk_take_bounded_memory(tmp_path: Path) -> None:
    example = small_example(num_frames=40, num_samples=1, num_vertices=1500)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "samples.npy", rng.normal(0, 0.001, (100, 40, 1500, 3)).astype(np.float32))  # 72 MB
    samples = np.load(tmp_path / "samples.npy", mmap_mode="r", allow_pickle=False)
    score("div_face", small_example())  # loads the loops
    before, diversity.BLOCK_BYTES = diversity.BLOCK_BYTES, 8 << 20
    try:
        tracemalloc.start()
        value = score("div_face", replace(example, samples=list(samples)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    finally:
        diversity.BLOCK_BYTES = before
    assert peak < 16 << 20
    # The distance of two normal points of deviation 1 in 3 dimensions is 4 / sqrt(pi) in the mean.
    assert value == pytest.approx(4 / np.sqrt(np.pi), rel=0.01)
