"""What every rig promises: zero motion is the template, motion adds up, sizes are checked, the inverse recovers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.head import load_head
from vultus.rigs import RIGS, BlendshapeRig, FlameRig, OffsetsRig, Rig, rig_class
from vultus.rigs.flame import FlameModel
from vultus.topology import Template, Topology


def small_topology() -> Topology:
    return Topology(faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32), num_vertices=4)


def small_template() -> Template:
    return Template(small_topology(), np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))


def small_blendshapes() -> tuple[Rig, Template]:
    deltas = np.random.default_rng(2).normal(size=(3, 4, 3)).astype(np.float32)
    return BlendshapeRig("blendshapes", ("a", "b", "c"), deltas, small_topology()), small_template()


def small_offsets() -> tuple[Rig, Template]:
    return OffsetsRig(4), small_template()


def small_flame() -> tuple[Rig, Template]:
    rng = np.random.default_rng(7)
    model = FlameModel(
        neutral=small_template().vertices,
        directions=rng.normal(size=(400, 12)).astype(np.float32),
        correctives=rng.normal(size=(36, 12)).astype(np.float32),
        regressor=np.full((5, 4), 0.25, np.float32),
        weights=rng.dirichlet(np.ones(5), 4).astype(np.float32),
        parents=(-1, 0, 1, 1, 1),
        topology=small_topology(),
        digest="",
    )
    return FlameRig(model, num_expression=4), small_template()


def shipped() -> tuple[Rig, Template]:
    head = load_head(5)
    return head.rig, head.template


BUILDERS: dict[str, list[Callable[[], tuple[Rig, Template]]]] = {
    "blendshapes": [small_blendshapes, shipped],
    "flame": [small_flame],
    "offsets": [small_offsets],
}
"""A tiny rig of each kind. A new rig of a linear kind gets a line here; a non-linear one (FLAME) skips linearity."""

CASES = [pytest.param(builder, id=f"{name}-{builder.__name__}") for name in BUILDERS for builder in BUILDERS[name]]
LINEAR = [case for case in CASES if not str(case.id).startswith("flame")]


def test_every_rig_in_the_table_is_tested() -> None:
    assert set(RIGS) <= set(BUILDERS)


@pytest.mark.parametrize("builder", CASES)
def test_zero_motion_is_the_template(builder: Callable[[], tuple[Rig, Template]]) -> None:
    rig, template = builder()
    assert isinstance(rig, Rig)
    out = rig.vertices(np.zeros((3, rig.dimension), np.float32), template)
    assert out.shape == (3, *template.vertices.shape) and out.dtype == np.float32
    assert np.array_equal(out, np.broadcast_to(template.vertices, out.shape))
    assert rig.vertices(np.zeros((0, rig.dimension), np.float32), template).shape == (0, *template.vertices.shape)


@pytest.mark.parametrize("builder", LINEAR)
def test_linear(builder: Callable[[], tuple[Rig, Template]]) -> None:
    rig, template = builder()
    a, b = np.random.default_rng(3).random((2, 2, rig.dimension)).astype(np.float32)
    offset = [rig.vertices(m, template) - template.vertices for m in (a, b, 0.5 * a + 2 * b)]
    assert np.abs(offset[0]).max() > 0.001
    assert np.allclose(offset[2], 0.5 * offset[0] + 2 * offset[1], atol=2e-5)


@pytest.mark.parametrize("builder", CASES)
def test_wrong_sizes(builder: Callable[[], tuple[Rig, Template]]) -> None:
    rig, template = builder()
    with pytest.raises(VultusError, match=r"motion has shape .* expects \(frames, "):
        rig.vertices(np.zeros((2, rig.dimension + 1), np.float32), template)
    with pytest.raises(VultusError, match="motion has shape"):
        rig.vertices(np.zeros(rig.dimension, np.float32), template)
    with pytest.raises(VultusError, match="template has vertices of shape"):
        rig.vertices(np.zeros((2, rig.dimension), np.float32), Template(template.topology, template.vertices[:-1]))


def test_blendshapes_equal_the_plain_sum() -> None:
    rig, template = small_blendshapes()
    assert isinstance(rig, BlendshapeRig)
    weights = np.array([[0.2, 0.0, 1.0]], np.float32)
    plain = template.vertices + 0.2 * rig.deltas[0] + rig.deltas[2]
    assert np.allclose(rig.vertices(weights, template)[0], plain, atol=1e-6)
    assert rig.matrix.shape == (3, 12) and np.shares_memory(rig.matrix, rig.deltas)


def test_blendshape_weights_are_recovered() -> None:
    rig, template = shipped()
    assert isinstance(rig, BlendshapeRig)
    weights = np.random.default_rng(4).random((2, rig.dimension))
    offsets = (rig.vertices(weights, template) - template.vertices).reshape(2, -1).astype(np.float64)
    matrix = rig.matrix.astype(np.float64)
    found = np.linalg.solve(matrix @ matrix.T, matrix @ offsets.T).T
    assert np.allclose(found, weights, atol=2e-3)


def test_offsets_are_recovered() -> None:
    rig, template = small_offsets()
    assert isinstance(rig, OffsetsRig)
    motion = np.random.default_rng(5).normal(size=(3, 12)).astype(np.float32)
    assert np.allclose(rig.motion(rig.vertices(motion, template), template), motion, atol=1e-6)
    with pytest.raises(VultusError, match="vertices have shape"):
        rig.motion(np.zeros((3, 5, 3), np.float32), template)


def test_names() -> None:
    rig, _ = small_blendshapes()
    assert isinstance(rig, BlendshapeRig)
    assert rig.weights(b=0.5).tolist() == [0, 0.5, 0]
    with pytest.raises(VultusError, match="unknown blendshape 'd'"):
        rig.index("d")
    with pytest.raises(VultusError, match="unknown rig 'offset'; did you mean 'offsets'"):
        rig_class("offset")
    with pytest.raises(VultusError, match="deltas of rig"):
        BlendshapeRig("x", ("a",), rig.deltas, rig.topology)
    with pytest.raises(VultusError, match="twice"):
        BlendshapeRig("x", ("a", "a", "c"), rig.deltas, rig.topology)
    with pytest.raises(VultusError, match="at least 1"):
        OffsetsRig(0)
