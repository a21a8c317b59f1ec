"""What figures say is true of data whose answer is known."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from toy_data import ToyData, request_of

from vultus.errors import VultusError
from vultus.figures import FIGURES, figure_class
from vultus.figures.base import Figure, MotionSum, Request, Unavailable, squared_deviation
from vultus.figures.commands import make_figures
from vultus.figures.faces import FaceView
from vultus.figures.regional_correlation import RegionalCorrelation, correlations, symmetric_regions
from vultus.figures.styles import most_different

REFERENCE = np.random.default_rng(3)


def made(name: str, request: Request, predict: object = None) -> Figure:
    (figure,) = make_figures(request, {name: figure_class(name)(request)}, predict)  # type: ignore[arg-type]
    picture = np.array(Image.open(io.BytesIO(figure.png)))
    assert picture.ndim == 3 and min(picture.shape[:2]) > 200 and (picture == 255).mean() > 0.2
    json.dumps(figure.numbers, allow_nan=False)
    return figure


def test_deviation_is_taken_about_the_mean_face_of_each_sequence() -> None:
    one, two = REFERENCE.normal(size=(40, 7, 3)), REFERENCE.normal(3, 2, size=(15, 7, 3))
    total = MotionSum()
    for motion in (one, two):
        total.add(motion.astype(np.float32))
    slow = np.zeros(7)
    for motion in (one, two):
        for v in range(7):
            for frame in motion:
                slow[v] += ((frame[v] - motion[:, v].mean(0)) ** 2).sum()
    np.testing.assert_allclose(total.deviation(), np.sqrt(slow / 55), rtol=1e-5)
    np.testing.assert_allclose(squared_deviation(one.astype(np.float32) + 5), squared_deviation(one), rtol=1e-4)


@pytest.mark.parametrize("triangles", [True, False])
def test_half_the_motion_has_half_the_intensity(triangles: bool) -> None:
    data = ToyData(triangles=triangles)
    request = request_of(data, predicted_by="half")
    figure = made("intensity", request, lambda s: 0.5 * (s.vertices() - s.template.vertices))
    values = figure.numbers["mean_standard_deviation"]
    for name in ("all subjects", "s0", "s1", "s2"):
        assert values["predicted"][name] == pytest.approx(0.5 * values["recorded"][name], rel=1e-4)
    offsets = [s.vertices() - data.template.vertices for s in data.split("test") if s.subject == "s1"]
    expected = np.sqrt(sum(squared_deviation(o) for o in offsets) / sum(map(len, offsets))).mean() * 1000
    assert values["recorded"]["s1"] == pytest.approx(expected, rel=1e-5) and figure.numbers["unit"] == "mm"


def test_error_maps_count_millimetres() -> None:
    request = request_of(ToyData(), predicted_by="shift")
    shift = np.array([0.003, 0.0, 0.004], np.float32)

    def predict(sequence: object) -> np.ndarray:
        near = 2.0 if sequence.subject == "s2" else 1.0  # type: ignore[attr-defined]
        return sequence.vertices() - sequence.template.vertices + near * shift  # type: ignore[attr-defined]

    figure = made("error_maps", request, predict)
    errors = figure.numbers["mean_error"]
    assert errors["s0"] == pytest.approx(5, rel=1e-4) and errors["s2"] == pytest.approx(10, rel=1e-4)
    assert errors["all sequences"] == pytest.approx(20 / 3, rel=1e-4)
    assert figure.numbers["largest_mean_errors_of_sequences"][0][0].startswith("s2")
    with pytest.raises(Unavailable, match="--predictions"):
        figure_class("error_maps")(request_of(ToyData()))


def test_subjects_who_move_other_parts_lie_apart() -> None:
    figure = made("subjects_map", request_of(ToyData()))
    assert figure.numbers["nearest_is_same_subject"] == {
        "standard deviation": 1.0, "standard deviation and mean offset": 1.0
    }  # fmt: skip
    assert figure.numbers["chance"] == pytest.approx(5 / 17)
    data = ToyData()
    with pytest.raises(Unavailable, match="5 sequences"):
        figure_class("subjects_map")(request_of(data, sequences=data.split("test")[:4]))
    still = [data.sequence(0, 0)] * 6
    with pytest.raises(VultusError, match="move alike"):
        made("subjects_map", request_of(data, sequences=still))


def test_correlation_of_regions_is_blind_to_direction_and_sees_independence() -> None:
    frames = 4000
    a, b = REFERENCE.normal(size=(2, frames, 3))
    opposite = a @ np.diag([-1.0, 1.0, 1.0])[[1, 0, 2]]  # mirrored and turned
    moved = np.stack([a, opposite, b], 1)  # (T, R, 3), one vertex each
    flat = (moved - moved.mean(0)).reshape(frames, -1)
    covariance = (flat.T @ flat).reshape(3, 3, 3, 3) / frames
    matrix = correlations(covariance, np.sqrt((moved - moved.mean(0)).var(0).sum(1)))
    assert matrix[0, 1] == pytest.approx(1, abs=0.01) and matrix[0, 2] < 0.1
    np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-9)
    assert correlations(np.zeros((2, 3, 2, 3)), np.zeros(2)).tolist() == [[0, 0], [0, 0]]


def test_regions_mirror_each_other_and_cohere_by_how_they_move() -> None:
    data = ToyData(triangles=True)
    regions = symmetric_regions(FaceView(data.template), 8, 0)
    assert regions.min() >= -1 and regions.max() >= 8
    x = data.template.vertices[:, 0]
    mirrored = np.array(
        [np.argmin(((data.template.vertices * [-1, 1, 1] - v) ** 2).sum(1)) for v in data.template.vertices]
    )
    pairs = {(int(a), int(b)) for a, b in zip(regions, regions[mirrored], strict=True) if a >= 0 and b >= 0}
    partner: dict[int, set[int]] = {}
    for a, b in pairs:
        partner.setdefault(a, set()).add(b)
    # vertices on the midline itself belong to one side
    assert np.mean([len(found) == 1 for found in partner.values()]) > 0.6 and (regions[np.abs(x) > 0.03] >= -1).all()

    maker = RegionalCorrelation(request_of(data))
    near = REFERENCE.normal(size=(300, 1, 3)).astype(np.float32) * 0.01
    together = np.repeat(near, len(x), 1)
    maker.add(data.split("test")[0], together, None)
    matrix = np.array(maker.finish().numbers["matrix"])
    np.testing.assert_allclose(matrix, 1, atol=1e-3)

    maker = RegionalCorrelation(request_of(data))
    alone = REFERENCE.normal(size=(1500, len(x), 3)).astype(np.float32) * 0.01
    maker.add(data.split("test")[0], alone, None)
    numbers = maker.finish().numbers
    matrix, sizes = np.array(numbers["matrix"]), np.array(numbers["vertices_of_region"])
    np.testing.assert_allclose(np.diag(matrix), 1 / sizes, rtol=0.15)
    assert (matrix - np.diag(np.diag(matrix))).max() < 0.15 and numbers["edges"] == 0


@pytest.mark.parametrize("name", ["intensity", "subjects_map", "regional_correlation"])
def test_the_same_data_and_seed_give_the_same_bytes(name: str) -> None:
    one, other = (made(name, request_of(ToyData())) for _ in range(2))
    assert one.png == other.png and one.html == other.html


def test_a_face_that_never_moves_is_told() -> None:
    data = ToyData()
    maker = RegionalCorrelation(request_of(data))
    maker.add(data.split("test")[0], np.zeros((20, len(data.template.vertices), 3), np.float32), None)
    with pytest.raises(VultusError, match="never moves"):
        maker.finish()


def test_moments_are_those_that_differ_and_stand_apart() -> None:
    offsets = np.zeros((2, 30, 4, 3))
    offsets[1, [5, 6, 20], :, 1] = [[0.9], [1.0], [0.5]]
    assert most_different(offsets, 2, 3) == [6, 20]
    assert len(most_different(offsets, 50, 10)) <= 4


def test_every_figure_has_a_class_and_unknown_ones_near_misses() -> None:
    assert all(hasattr(figure_class(name), "finish") for name in FIGURES)
    with pytest.raises(VultusError, match="did you mean 'intensity'"):
        figure_class("intensty")
