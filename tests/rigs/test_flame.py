"""FLAME against a slow reference written from the formulas, and what it says of files that are not FLAME's."""

from __future__ import annotations

import pickle
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "datasets"))
from miniature_flame import EYES, NUM_VERTICES, STILL, flame_arrays, write_flame

from vultus.errors import VultusError
from vultus.rigs import RIGS, Rig
from vultus.rigs.flame import JOINTS, FlameModel, FlameRig, load_flame, turn_matrices
from vultus.topology import Template


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FlameModel:
    return load_flame(write_flame(tmp_path_factory.mktemp("flame") / "flame.npz"))


def rotation(axis_angle: np.ndarray) -> np.ndarray:
    """The matrix exponential of the cross product, by its series."""
    x, y, z = axis_angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    out, term = np.eye(3), np.eye(3)
    for n in range(1, 40):
        term = term @ cross / n
        out = out + term
    return out


def slow(arrays: dict[str, Any], betas: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """One frame, (V, 3) float64: Loper et al. 2015, equations 2 to 10, vertex by vertex, with 4 x 4 matrices.

    betas: 300 shape and 100 expression numbers; pose: (5, 3).
    """
    shaped = arrays["v_template"] + arrays["shapedirs"] @ betas
    joints = arrays["J_regressor"] @ shaped
    turns = [rotation(r) for r in pose]
    feature = np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])
    posed = shaped + arrays["posedirs"] @ feature
    parents = [-1, 0, 1, 1, 1]
    world: list[np.ndarray] = []
    for j, turn in enumerate(turns):
        local = np.eye(4)
        local[:3, :3] = turn
        local[:3, 3] = joints[j] - (joints[parents[j]] if j else 0)
        world.append(world[parents[j]] @ local if j else local)
    out = np.zeros_like(posed)
    for v, point in enumerate(posed):
        for j in range(5):
            relative = world[j] @ np.append(point - joints[j], 1)
            out[v] += arrays["weights"][v, j] * relative[:3]
    return out


def test_equals_the_slow_reference(model: FlameModel) -> None:
    rng = np.random.default_rng(1)
    arrays = flame_arrays()
    frames = 70  # more than two blocks
    shape, expression = rng.normal(size=(2, frames, 100))
    pose = rng.normal(size=(frames, 5, 3)) * rng.choice([0, 1e-6, 0.3, 2.5], size=(frames, 5, 1))
    turns = {name: pose[:, j] for j, name in enumerate(JOINTS)}
    found = model.vertices(expression, turns, shape=shape)
    assert found.dtype == np.float32 and found.shape == (frames, NUM_VERTICES, 3)
    for t in (0, 1, 31, 32, 69):
        betas = np.zeros(400)
        betas[:100], betas[300:] = shape[t], expression[t]
        assert np.allclose(found[t], slow(arrays, betas, pose[t]), atol=1e-6)
    betas = np.zeros(400)
    betas[:3] = 1, -2, 0.5
    own = model.face(betas[:3])
    assert np.allclose(own.vertices, slow(arrays, betas, np.zeros((5, 3))), atol=1e-6)
    betas[300:400] = expression[0]
    moved = model.vertices(expression[:1], {"jaw": pose[:1, 2]}, face=own)
    only_jaw = np.zeros((5, 3))
    only_jaw[2] = pose[0, 2]
    assert np.allclose(moved[0], slow(arrays, betas, only_jaw), atol=1e-6)


def test_motion_of_53_numbers_on_a_template(model: FlameModel) -> None:
    rig = FlameRig(model)
    assert isinstance(rig, Rig) and rig.dimension == 53 and RIGS["flame"] is FlameRig
    rng = np.random.default_rng(2)
    motion = rng.normal(size=(5, 53)) * 0.3
    template = Template(model.topology, rig.template.vertices + rng.normal(size=(NUM_VERTICES, 3)).astype("f4") / 100)
    arrays = flame_arrays() | {"v_template": template.vertices.astype(np.float64)}
    for t, frame in enumerate(rig.vertices(motion, template)):
        betas, pose = np.zeros(400), np.zeros((5, 3))
        betas[300:350], pose[2] = motion[t, :50], motion[t, 50:]
        assert np.allclose(frame, slow(arrays, betas, pose), atol=1e-6)


def test_zero_is_the_template_exactly(model: FlameModel) -> None:
    rig = FlameRig(model)
    still = rig.vertices(np.zeros((40, 53)), rig.template)
    assert (still == model.neutral).all() and np.allclose(model.neutral, flame_arrays()["v_template"], atol=1e-7)
    mixed = np.zeros((3, 53))
    mixed[1, 50] = 0.3
    assert (rig.vertices(mixed, rig.template)[[0, 2]] == model.neutral).all()


def test_a_joint_moves_what_its_weights_say(tmp_path: Path) -> None:
    arrays = flame_arrays() | {"posedirs": np.zeros((NUM_VERTICES, 3, 36))}
    model = load_flame(write_flame(tmp_path / "flame.npz", arrays))
    quiet = np.zeros((1, 50))
    jaw = np.linalg.norm(model.vertices(quiet, {"jaw": [[0.3, 0, 0]]})[0] - model.neutral, axis=1)
    held = arrays["weights"][:, 2] > 0
    assert (jaw[~held] == 0).all() and (jaw[held] > 0).all() and not held[STILL].any()
    eye = np.linalg.norm(model.vertices(quiet, {"right_eye": [[0.3, 0, 0]]})[0] - model.neutral, axis=1)
    assert set(np.flatnonzero(eye)) == set(range(*EYES[4].indices(NUM_VERTICES)))
    turned = model.vertices(quiet, {"global": [[0, 0.5, 0]], "neck": [[0, 0, 0]]})[0]
    distances = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (turned, model.neutral)]
    assert np.allclose(*distances, atol=1e-6)  # the whole head turns rigidly


def test_rotations_near_zero_and_half_turns() -> None:
    for angle in (0.0, 1e-12, 1e-7, 1e-3, np.pi, 2 * np.pi):
        vector = angle * np.array([0.6, -0.48, 0.64])
        assert np.allclose(turn_matrices(vector), rotation(vector) - np.eye(3), atol=2e-7)
    assert not turn_matrices(np.zeros(3)).any()


def test_pickle_of_the_release_reads_like_the_arrays(model: FlameModel, tmp_path: Path) -> None:
    read = load_flame(write_flame(tmp_path / "generic_model.pkl"))
    assert "chumpy" not in sys.modules
    for name in ("neutral", "directions", "correctives", "regressor", "weights"):
        array = getattr(read, name)
        assert array.dtype == np.float32 and np.array_equal(array, getattr(model, name))
    assert read.parents == model.parents == (-1, 0, 1, 1, 1)
    assert read.topology.digest == model.topology.digest and read.digest != model.digest
    parts = read.topology.parts
    assert parts["eye_left"].tolist() == [*range(8), NUM_VERTICES - 2] and parts["eye_right"].tolist() == [
        *range(10, 18)
    ]
    assert sum(map(len, parts.values())) == len(read.topology.faces)


def test_true_size_is_fast_and_bounded(tmp_path: Path) -> None:
    import tracemalloc

    model = load_flame(write_flame(tmp_path / "flame.npz", flame_arrays(5023)))
    rig = FlameRig(model)
    motion = np.random.default_rng(0).normal(size=(250, 53)).astype(np.float32) * 0.1
    tracemalloc.start()
    begin = time.perf_counter()
    out = rig.vertices(motion, rig.template)
    seconds = time.perf_counter() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert out.shape == (250, 5023, 3)
    assert peak < out.nbytes + 30e6
    assert seconds < 10  # ten seconds of motion; about 0.3 s on two quiet cores


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"shapedirs": np.zeros((NUM_VERTICES, 3, 10))},
            r"shapedirs has shape \(120, 3, 10\); expected \(120, 3, 400\)",
        ),
        ({"weights": np.zeros((NUM_VERTICES, 5))}, "do not sum to 1"),
        ({"f": np.array([[0, 1, NUM_VERTICES]])}, "outside 0 to 119"),
        ({"v_template": np.full((NUM_VERTICES, 3), np.nan)}, "v_template holds NaN"),
        ({"v_template": np.array("abc")}, "v_template"),
        ({"kintree_table": np.array([[-1, 2, 1, 1, 1], [0, 1, 2, 3, 4]])}, "parents before their children"),
    ],
)
def test_damaged_files(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(VultusError, match=message):
        load_flame(write_flame(tmp_path / "flame.npz", flame_arrays() | change))


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match=r"no file .*flame\.is\.tue\.mpg\.de"):
        load_flame(tmp_path / "absent.pkl")
    with pytest.raises(VultusError, match="not a file"):
        load_flame(tmp_path)
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(VultusError, match="holds a list; expected the dict"):
        load_flame(tmp_path / "list.pkl")
    arrays = flame_arrays()
    del arrays["posedirs"]
    with pytest.raises(VultusError, match="has no posedirs"):
        load_flame(write_flame(tmp_path / "short.npz", arrays))
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    with pytest.raises(VultusError, match="cannot be read"):
        load_flame(tmp_path / "broken.npz")


class _Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "flame.pkl").write_bytes(pickle.dumps({"v_template": _Hostile(mark)}))
    with pytest.raises(VultusError):
        load_flame(tmp_path / "flame.pkl")
    assert not mark.exists()


def test_wrong_arguments(model: FlameModel) -> None:
    quiet = np.zeros((2, 50))
    with pytest.raises(VultusError, match="no joint 'chin'"):
        model.vertices(quiet, {"chin": np.zeros((2, 3))})
    with pytest.raises(VultusError, match=r"jaw has shape \(3, 3\); expected \(2, 3\)"):
        model.vertices(quiet, {"jaw": np.zeros((3, 3))})
    with pytest.raises(VultusError, match=r"expression has shape \(2, 101\); expected \(frames, 100 at most\)"):
        model.vertices(np.zeros((2, 101)))
    with pytest.raises(VultusError, match="expression holds NaN"):
        model.vertices(np.full((2, 50), np.nan))
    with pytest.raises(VultusError, match="shape numbers"):
        model.face(np.zeros((2, 3)))
    with pytest.raises(VultusError, match="expected 1 to 100"):
        FlameRig(model, 101)
