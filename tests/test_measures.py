"""Measures of the face: linear, in millimetres, and true to the mesh."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.head import Head, load_head
from vultus.measures import FaceMeasures, measure_vertices


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head()


@pytest.fixture(scope="module")
def measures(head: Head) -> FaceMeasures:
    return FaceMeasures(head.rig, head.template)


def value(head: Head, measures: FaceMeasures, name: str, **weights: float) -> float:
    return float(measures.measure(head.rig.weights(**weights)[None])[0, measures.index(name)])


def test_linear_in_the_weights_and_equal_to_the_mesh(head: Head, measures: FaceMeasures) -> None:
    weights = np.random.default_rng(0).random((4, head.rig.dimension)).astype(np.float32)
    names, direct = measure_vertices(head.rig.vertices(weights, head.template))
    assert names == measures.names
    assert measures.matrix.shape == (len(names), head.rig.dimension)
    assert np.allclose(measures.measure(weights), direct, atol=2e-3)
    assert np.allclose(measures.measure(np.zeros((1, head.rig.dimension)))[0], measures.rest)


def test_millimetres(head: Head) -> None:
    """A face twice as large has measures twice as large; a known width comes out by hand."""
    _, once = measure_vertices(head.template.vertices[None])
    names, twice = measure_vertices(2 * head.template.vertices[None])
    assert np.allclose(twice, 2 * once)
    lips = head.template.vertices[head.topology.region("lips")]
    width = once[0, names.index("lip_width")]
    assert 30 < width <= 1000 * np.ptp(lips[:, 0]) + 0.01


@pytest.mark.parametrize("person", [None, 0, 1, 2, 3, 4, "age=0.9", "age=0.2", "sex=0", "sex=1"])
def test_everyone_rests_closed(person: int | str | None) -> None:
    someone = load_head(person)
    largest, smallest = FaceMeasures(someone.rig, someone.template).lip_gap(np.zeros((1, someone.rig.dimension)))
    assert 0 <= smallest[0] <= largest[0] <= 0.1


def test_seal_and_opening(head: Head, measures: FaceMeasures) -> None:
    for w in np.linspace(0, 1, 6):
        largest, smallest = measures.lip_gap(head.rig.weights(jawOpen=w, mouthClose=w)[None])
        assert -0.05 < smallest[0] <= largest[0] < 0.15
        mixed = dict(jawOpen=w, mouthClose=w, mouthPucker=0.6, mouthSmileLeft=0.5, mouthLeft=0.3)
        largest, smallest = measures.lip_gap(head.rig.weights(**mixed)[None])
        assert -0.1 < smallest[0] <= largest[0] < 0.2
    assert value(head, measures, "aperture", jawOpen=1) > 20
    apertures = measures.measure(head.rig.weights(jawOpen=1)[None])[0]
    columns = [apertures[measures.index(f"aperture_{i}")] for i in range(9)]
    assert np.argmax(columns) == 4 and np.allclose(columns, columns[::-1], atol=0.3)
    assert value(head, measures, "aperture", mouthRollLower=1, mouthRollUpper=1) < -1  # crossed lips show


def test_lips(head: Head, measures: FaceMeasures) -> None:
    def change(name: str, **weights: float) -> float:
        return value(head, measures, name, **weights) - value(head, measures, name)

    assert change("lip_width", mouthPucker=1) < -5
    assert change("lip_width", mouthSmileLeft=1, mouthSmileRight=1) > 5
    assert change("upper_lip_protrusion", mouthPucker=1) > 2 < change("lower_lip_protrusion", mouthPucker=1)
    assert change("upper_teeth_show", mouthUpperUpLeft=1, mouthUpperUpRight=1) > 2
    assert change("lower_teeth_show", mouthLowerDownLeft=1, mouthLowerDownRight=1) > 2
    f = dict(mouthRollLower=0.6, mouthUpperUpLeft=0.4, mouthUpperUpRight=0.4)
    assert change("lower_lip_to_upper_incisor_depth", **f) < -1  # the lower lip draws in under the teeth


def test_jaw_and_tongue(head: Head, measures: FaceMeasures) -> None:
    assert value(head, measures, "jaw_opening", jawOpen=1) - value(head, measures, "jaw_opening") > 20
    assert abs(value(head, measures, "jaw_opening", mouthLowerDownLeft=1) - value(head, measures, "jaw_opening")) < 0.1
    assert abs(value(head, measures, "tongue_tip_to_ridge", jawOpen=0.1, tongueUp=1)) < 0.5  # it touches
    assert value(head, measures, "tongue_tip_to_ridge", jawOpen=0.1) > 8
    assert abs(value(head, measures, "tongue_dorsum_to_palate", jawOpen=0.15, tongueBack=1)) < 2.5
    assert value(head, measures, "tongue_dorsum_to_palate", jawOpen=0.15) > 6
    assert value(head, measures, "tongue_tip_advance", tongueOut=1, jawOpen=0.4) > 5
    assert value(head, measures, "tongue_tip_advance") < -3
    down = value(head, measures, "tongue_tip_to_ridge", tongueDown=1) - value(head, measures, "tongue_tip_to_ridge")
    assert down > 2


@pytest.mark.parametrize("side", ["left", "right"])
def test_eyelids(head: Head, measures: FaceMeasures, side: str) -> None:
    name, blink = f"eyelid_aperture_{side}", f"eyeBlink{side.title()}"
    assert 6 < value(head, measures, name) < 15
    assert abs(value(head, measures, name, **{blink: 1.0})) < 2.5
    assert value(head, measures, name, **{f"eyeWide{side.title()}": 1.0}) > value(head, measures, name) + 1


def test_errors(measures: FaceMeasures) -> None:
    with pytest.raises(VultusError, match="unknown measure 'apertur'; did you mean 'aperture'"):
        measures.index("apertur")
    with pytest.raises(VultusError, match="weights have shape"):
        measures.measure(np.zeros((2, 3)))
    with pytest.raises(VultusError, match="measures need those of the shipped head"):
        measure_vertices(np.zeros((1, 5, 3)))
