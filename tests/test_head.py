"""The shipped head: its geometry, its shapes, its people."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.head import Head, identity_names, load_head, parse_identity, random_identity
from vultus.motion import ARKIT_NAMES, WEIGHT_NAMES
from vultus.topology import REGIONS

PEOPLE = (None, 0, 1, 2, 3, "age=0.95", "age=0.2", "sex=0,african=1,asian=0,caucasian=0", "sex=1,weight=1,muscle=1")


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head()


def moved(head: Head, **weights: float) -> np.ndarray:
    """(V, 3) float64 metres."""
    return head.rig.vertices(head.rig.weights(**weights)[None], head.template)[0].astype(np.float64)


def surface_heights(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n, m) heights y of m triangles over n points (x, z); NaN where one does not cover the point. Slow, plain."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    out = np.full((len(points), len(faces)), np.nan)
    for i, (x, z) in enumerate(points):
        with np.errstate(invalid="ignore", divide="ignore"):
            area = (b[:, 0] - a[:, 0]) * (c[:, 2] - a[:, 2]) - (b[:, 2] - a[:, 2]) * (c[:, 0] - a[:, 0])
            u = ((b[:, 0] - x) * (c[:, 2] - z) - (b[:, 2] - z) * (c[:, 0] - x)) / area
            v = ((c[:, 0] - x) * (a[:, 2] - z) - (c[:, 2] - z) * (a[:, 0] - x)) / area
            w = 1 - u - v
            inside = (u >= 0) & (v >= 0) & (w >= 0)
        out[i, inside] = (u * a[:, 1] + v * b[:, 1] + w * c[:, 1])[inside]
    return out


def true_lip_gap(head: Head, vertices: np.ndarray) -> np.ndarray:
    """The smallest vertical distance of the lip surfaces at places across the mouth, mm; independent of `measures`."""
    faces, regions = head.topology.faces, head.topology.regions
    upper, lower = (faces[np.isin(faces, regions[name]).all(1)] for name in ("upper_lip", "lower_lip"))
    lips = vertices[regions["lips"]]
    gaps = []
    for x in np.linspace(-0.8, 0.8, 9) * np.minimum(lips[:, 0].max(), -lips[:, 0].min()):
        column = np.stack([np.full(90, x), np.linspace(lips[:, 2].min(), lips[:, 2].max(), 90)], 1)
        above, below = surface_heights(vertices, upper, column), surface_heights(vertices, lower, column)
        both = np.isfinite(above).any(1) & np.isfinite(below).any(1)
        if not both.any():  # the lips are so far apart that neither is above the other
            gaps.append(np.inf)
            continue
        gaps.append((np.nanmin(above[both], 1) - np.nanmax(below[both], 1)).min() * 1000)
    return np.array(gaps)


def solid_angle(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(n,) winding numbers of a closed mesh around points: 1 inside, 0 outside (Van Oosterom and Strackee 1983)."""
    r = vertices[faces][None] - points[:, None, None]
    length = np.linalg.norm(r, axis=3)
    a, b, c = r[:, :, 0], r[:, :, 1], r[:, :, 2]
    over = np.einsum("ijk,ijk->ij", a, np.cross(b, c))
    under = (
        length.prod(2)
        + (a * b).sum(2) * length[:, :, 2]
        + (b * c).sum(2) * length[:, :, 0]
        + (c * a).sum(2) * length[:, :, 1]
    )
    return (2 * np.arctan2(over, under)).sum(1) / (4 * np.pi)


def test_shape_and_axes(head: Head) -> None:
    v = head.template.vertices
    assert 4500 < len(v) < 6500
    assert v.dtype == np.float32 and np.isfinite(v).all()
    assert head.rig.names == WEIGHT_NAMES
    height, width = np.ptp(v[:, 1]), np.ptp(v[:, 0])
    assert 0.2 < height < 0.35 and 0.12 < width < 0.22  # metres
    eyes, lips = v[head.topology.region("eyes")], v[head.topology.region("lips")]
    assert eyes[:, 1].mean() > lips[:, 1].mean() and lips[:, 2].mean() > 0.05  # y up, z out of the face
    left = v[np.unique(head.topology.faces[head.topology.parts["eye_left"]])]
    assert left[:, 0].min() > 0
    assert head.pivot[1] < 0 and np.abs(head.pivot).max() < 0.1


def test_topology_is_whole(head: Head) -> None:
    t = head.topology
    assert np.array_equal(np.unique(t.faces), np.arange(t.num_vertices))
    assert sorted(np.concatenate(list(t.parts.values()))) == list(range(len(t.faces)))
    assert set(REGIONS) | {"eyes"} <= set(t.regions)
    for name, rows in t.regions.items():
        assert len(rows) > 20 and np.array_equal(rows, np.unique(rows)), name
    assert t.colours is not None and t.colours.shape == (t.num_vertices, 3)
    assert t.colours.min() >= 0 and t.colours.max() <= 1


@pytest.mark.parametrize("part", ["eye_left", "teeth_upper", "teeth_lower", "skin"])
def test_triangles_face_outwards(head: Head, part: str) -> None:
    faces = head.topology.faces[head.topology.parts[part]]
    v = head.template.vertices.astype(np.float64)
    if part.startswith("teeth"):  # closed: the volume is positive and every edge is used once each way
        a, b, c = (v[faces[:, k]] for k in range(3))
        assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6 > 5e-7
        edges = [tuple(e) for f in faces.tolist() for e in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0]))]
        assert len(set(edges)) == len(edges) and all((q, p) in set(edges) for p, q in edges[:300])
        return
    centre = v[np.unique(faces)].mean(0)
    normal = np.cross(v[faces[:, 1]] - v[faces[:, 0]], v[faces[:, 2]] - v[faces[:, 0]])
    outwards = np.einsum("ij,ij->i", normal, v[faces].mean(1) - centre) > 0
    assert outwards.mean() > (0.99 if part == "eye_left" else 0.75)


@pytest.mark.parametrize("person", PEOPLE)
def test_lips_rest_closed(person: int | str | None) -> None:
    someone = load_head(person)
    gap = true_lip_gap(someone, someone.template.vertices.astype(np.float64))
    assert gap.min() > 0 and gap.max() < 0.1, gap  # mm


@pytest.mark.parametrize("w", [0.1, 0.35, 0.7, 1.0])
def test_lips_seal_under_an_open_jaw(head: Head, w: float) -> None:
    gap = true_lip_gap(head, moved(head, jawOpen=w, mouthClose=w))
    assert gap.min() > -0.05 and gap.max() < 0.15, gap
    opened = true_lip_gap(head, moved(head, jawOpen=w))
    assert opened[4] > 20 * w  # the jaw does open


@pytest.mark.parametrize(
    "shape", ["mouthSmileLeft", "mouthPucker", "mouthLeft", "jawForward", "cheekPuff", "mouthFrownRight"]
)
def test_closed_shapes_leave_the_lips_together(head: Head, shape: str) -> None:
    gap = true_lip_gap(head, moved(head, **{shape: 1.0}))
    assert gap.min() > -0.1 and gap.max() < 0.25, gap


@pytest.mark.parametrize("shape", [{}, {"tongueUp": 1.0}, {"tongueDown": 1.0}, {"tongueBack": 1.0}])
@pytest.mark.parametrize("jaw", [0.0, 0.1, 0.3, 0.6, 1.0])
def test_tongue_stays_out_of_the_teeth(head: Head, shape: dict[str, float], jaw: float) -> None:
    v = moved(head, jawOpen=jaw, **shape)
    tongue = v[head.topology.region("tongue")]
    for part in ("teeth_upper", "teeth_lower"):
        faces = head.topology.faces[head.topology.parts[part]]
        assert (np.abs(solid_angle(tongue, v, faces)) < 0.5).all(), part
    assert tongue[:, 2].max() < v[head.topology.region("teeth"), 2].max()  # behind the lips


@pytest.mark.parametrize(
    "weights",
    [
        dict(tongueOut=0.35, tongueUp=0.5, jawOpen=0.1),
        dict(tongueOut=0.35, tongueUp=0.5, jawOpen=0.4),
        dict(tongueOut=0.75, jawOpen=0.25),
        dict(tongueOut=1.0, jawOpen=0.25),
        dict(tongueOut=1.0, jawOpen=0.7),
    ],
)
def test_tongue_goes_out_between_the_teeth(head: Head, weights: dict[str, float]) -> None:
    """The uses of tongueOut that docs/head.md recommends."""
    v = moved(head, **weights)
    tongue = v[head.topology.region("tongue")]
    for part in ("teeth_upper", "teeth_lower"):
        faces = head.topology.faces[head.topology.parts[part]]
        assert (np.abs(solid_angle(tongue, v, faces)) < 0.5).all(), part
    if weights["tongueOut"] == 1:
        assert tongue[:, 2].max() > v[head.topology.region("lower_lip"), 2].max()


def test_winding_number_tells_inside(head: Head) -> None:
    faces = head.topology.faces[head.topology.parts["teeth_upper"]]
    v = head.template.vertices.astype(np.float64)
    rows = v[np.unique(faces)].reshape(-1, 5, 3)
    inside = rows[len(rows) // 2 + 2].mean(0)
    assert solid_angle(inside + np.array([[0, 0, 0], [0, 0, 0.02]]), v, faces) == pytest.approx([1, 0], abs=1e-6)


def test_blink_covers_the_eye(head: Head) -> None:
    """Seen from the front, skin lies before every point of the eyeball at 1, and iris shows at 0."""

    def seen(v: np.ndarray, side: str) -> int:
        skin = head.topology.faces[head.topology.parts["skin"]]
        eye = np.unique(head.topology.faces[head.topology.parts[f"eye_{side}"]])
        points = v[eye]
        points = points[points[:, 2] > np.quantile(points[:, 2], 0.3)]
        near = skin[(np.abs(v[skin][:, :, :2] - points[:, :2].mean(0)).max((1, 2)) < 0.03)]
        flat = v[:, [0, 2, 1]]  # heights along z over (x, y)
        depth = surface_heights(flat, near, points[:, :2])
        before = np.where(np.isfinite(depth), depth, -np.inf).max(1) > points[:, 2]
        return int((~before).sum())

    for side in ("left", "right"):
        assert seen(moved(head), side) > 60
        assert seen(moved(head, eyeBlinkLeft=1, eyeBlinkRight=1), side) == 0
        half = seen(moved(head, eyeBlinkLeft=0.5, eyeBlinkRight=0.5), side)
        assert 0 < half < seen(moved(head), side)


def test_eyes_and_jaw_follow(head: Head) -> None:
    eye = np.unique(head.topology.faces[head.topology.parts["eye_left"]])
    pupil = eye[np.argmax(head.template.vertices[eye, 2])]
    shift = {name: moved(head, **{name: 1.0})[pupil] - head.template.vertices[pupil] for name in ARKIT_NAMES[1:5]}
    assert shift["eyeLookDownLeft"][1] < -0.002 < 0.0015 < shift["eyeLookUpLeft"][1]
    assert shift["eyeLookInLeft"][0] < -0.003 and shift["eyeLookOutLeft"][0] > 0.003
    down = moved(head, jawOpen=1.0) - head.template.vertices
    lower = np.unique(head.topology.faces[head.topology.parts["teeth_lower"]])
    upper = np.unique(head.topology.faces[head.topology.parts["teeth_upper"]])
    assert down[lower, 1].min() < -0.02 and np.abs(down[upper]).max() < 1e-4
    assert down[head.topology.region("tongue"), 1].min() < -0.015


def test_blinks_leave_the_mouth_alone(head: Head) -> None:
    inner = np.unique(head.topology.faces[head.topology.parts["mouth_inner"]])
    for shape in ("eyeBlinkLeft", "eyeBlinkRight", "browInnerUp"):
        assert np.abs(head.rig.deltas[head.rig.index(shape)][inner]).max() < 1e-3


def test_people_differ_and_repeat() -> None:
    a, b, again = load_head(7), load_head(8), load_head("7")
    assert np.array_equal(a.template.vertices, again.template.vertices) and a.digest == again.digest
    assert a.digest != b.digest != load_head().digest
    far = np.linalg.norm(a.template.vertices - b.template.vertices, axis=1)
    assert far.mean() > 0.001
    assert a.rig is b.rig and a.topology is b.topology
    older = load_head("seed=7, age=0.9")
    assert older.identity["age"] == 0.9 and older.identity["nose-hump"] == a.identity["nose-hump"]
    assert load_head(a.identity).digest == a.digest


def test_default_parameters_are_the_default_head() -> None:
    same = load_head("age=0.5,sex=0.5,weight=0.5,muscle=0.5")
    assert np.abs(same.template.vertices - load_head().template.vertices).max() < 1e-6
    assert load_head(dict.fromkeys(("african", "asian", "caucasian"), 0.2)).digest == load_head().digest


def test_eyes_follow_the_person() -> None:
    child = load_head("age=0.2")
    rows = child.topology.region("eyes")
    assert np.linalg.norm(child.template.vertices[rows] - load_head().template.vertices[rows], axis=1).mean() > 0.001
    lids = child.template.vertices[child.topology.region("eyelids")]
    assert np.linalg.norm(lids.mean(0) - child.template.vertices[rows].mean(0)) < 0.03


def test_random_people_are_within_limits() -> None:
    known = set(identity_names())
    for seed in range(20):
        person = random_identity(seed)
        assert set(person) <= known and person == random_identity(seed)
        assert person["african"] + person["asian"] + person["caucasian"] == pytest.approx(1, abs=1e-3)
        assert max(abs(v) for k, v in person.items() if "-" in k) <= 0.5


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ("agee=0.5", "did you mean 'age'"),
        ("age=1.5", "expected 0 to 1"),
        ("nose-hump=-2", "expected -1 to 1"),
        ("age=young", "expected a number"),
        ("seed=-1", "whole number"),
        ("seed=1.5", "whole number"),
        ("old", "name=value"),
        (True, "seed"),
        (["age"], "mapping"),
        ({"age": float("nan")}, "expected 0 to 1"),
        ("african=0,asian=0,caucasian=0", "above 0"),
    ],
)
def test_bad_identities(identity: object, message: str) -> None:
    with pytest.raises(VultusError, match=message):
        load_head(identity)  # type: ignore[arg-type]


def test_parse_identity() -> None:
    assert parse_identity(None) == {}
    assert parse_identity("age=0.7, sex=1") == {"age": 0.7, "sex": 1.0}
    assert parse_identity("3") == parse_identity(3) == parse_identity({"seed": 3}) == random_identity(3)


def test_loading_is_quick_and_light() -> None:
    """In a fresh process: no torch, no scipy, and well under a tenth of a second of processor time."""
    code = (
        "import time, sys, numpy; start = time.process_time(); from vultus.head import load_head; load_head();"
        "seconds = time.process_time() - start;"
        "assert not {'torch', 'scipy', 'numba', 'transformers'} & set(sys.modules); sys.stdout.write(str(seconds))"
    )
    seconds = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    )
    assert seconds < 0.5  # about 0.04 on an idle core; the bound only catches gross faults


def test_many_frames_at_once(head: Head) -> None:
    motion = np.random.default_rng(0).random((300, head.rig.dimension)).astype(np.float32)
    start = time.process_time()
    out = head.rig.vertices(motion, head.template)
    assert out.shape == (300, head.topology.num_vertices, 3) and out.dtype == np.float32
    assert time.process_time() - start < 5
