"""Regions: user's files of every accepted kind, refusals in one line, and what geometry finds on faces and on none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vultus.benchmark import face_geometry
from vultus.benchmark.regions import find_regions, read_region
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.metrics.base import Unavailable
from vultus.topology import Template, Topology


def bare(template: Template, **changes: object) -> Template:
    """The same face without named regions."""
    topology = replace(template.topology, regions={}, parts={})
    return replace(template, topology=topology, **changes)  # type: ignore[arg-type]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return len(np.intersect1d(one, other)) / len(np.union1d(one, other))


@pytest.mark.parametrize("text", ["3, 1,5, 3", "3\n1\n5\n3\n", "3 1;5\t3", "\ufeff3,1,5,3,", "3.0, 1.0, 5.0, 3.0"])
def test_vertex_numbers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lips.txt"
    path.write_text(text, encoding="utf-8")
    region, duplicates = read_region(path, "lips", 10)
    assert region.vertices.tolist() == [1, 3, 5] and region.weights.tolist() == [1, 1, 1] and duplicates == 1
    assert region.source == "file lips.txt"


def test_weights_and_masks(tmp_path: Path) -> None:
    path = tmp_path / "lips.txt"
    path.write_text("0\n0.25\n1\n0.75\n0\n")
    region, duplicates = read_region(path, "lips", 5)
    assert region.vertices.tolist() == [1, 2, 3] and region.weights.tolist() == [0.25, 1.0, 0.75] and duplicates == 0
    assert region.members.tolist() == [False, True, True]
    np.save(tmp_path / "mask.npy", np.array([True, False, True]))
    assert read_region(tmp_path / "mask.npy", "lips", 3)[0].vertices.tolist() == [0, 2]
    np.save(tmp_path / "list.npy", np.array([7, 2, 2], np.uint16))
    assert read_region(tmp_path / "list.npy", "lips", 9)[0].vertices.tolist() == [2, 7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("lips", "cannot be read as numbers"),
        ("1, 2, 10", "names vertex 10; expected 0 to 9"),
        ("-1, 2", "negative"),
        ("nan, 2", "NaN"),
        ("0.5, 0.2, 1", "some of them fractions; expected whole vertex numbers, or exactly 10 weights"),
        (", ".join(["0"] * 10), "all 10 weights are 0"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "lips.txt"
    path.write_text(text)
    with pytest.raises(VultusError, match=message):
        read_region(path, "lips", 10)


@pytest.mark.parametrize("values", [[0, 1, 1, 0, 0, 1, 0, 0, 1], [0.5, 0.5, 0, 0, 1, 1, 0, 0, 0, 0, 0], [0, 0]])
def test_masks_of_another_length_are_no_vertex_numbers(tmp_path: Path, values: list[float]) -> None:
    message = f"found {len(values)} values that look like a 0/1 mask, expected 10"
    (tmp_path / "lips.txt").write_text(" ".join(map(str, values)))
    np.save(tmp_path / "lips.npy", np.array(values, np.float32))
    for name in ("lips.txt", "lips.npy"):
        with pytest.raises(VultusError, match=message):
            read_region(tmp_path / name, "lips", 10)
    (tmp_path / "first.txt").write_text("0 1")
    assert read_region(tmp_path / "first.txt", "lips", 10)[0].vertices.tolist() == [0, 1]


def test_two_halves_make_lips(tmp_path: Path) -> None:
    head = load_head().template
    (tmp_path / "upper_lip.txt").write_text("5, 6, 7")
    assert "lips" not in find_regions(head, "m", tmp_path).regions
    weights = np.zeros(len(head.vertices))
    weights[[7, 9]] = 0.5, 0.75
    np.save(tmp_path / "lower_lip.npy", weights)
    (tmp_path / "lower_lip.npy").rename(tmp_path / "lower_lip.NPY")
    lips = find_regions(head, "m", tmp_path).regions["lips"]
    assert lips.vertices.tolist() == [5, 6, 7, 9] and lips.weights.tolist() == [1, 1, 1, 0.75]
    assert lips.source == "union of file upper_lip.txt and file lower_lip.NPY"
    (tmp_path / "lips.txt").write_text("5")
    assert find_regions(head, "m", tmp_path).regions["lips"].vertices.tolist() == [5]


def test_hostile_and_misnamed_files(tmp_path: Path) -> None:
    head = load_head().template
    np.save(tmp_path / "lips.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(VultusError, match="cannot be read as numbers"):
        find_regions(head, "m", tmp_path)
    (tmp_path / "lips.npy").rename(tmp_path / "lip.npy")
    with pytest.raises(VultusError, match="did you mean 'lips'"):
        find_regions(head, "m", tmp_path)
    (tmp_path / "lip.npy").unlink()
    with pytest.raises(VultusError, match=r"holds no \.txt"):
        find_regions(head, "m", tmp_path)
    with pytest.raises(VultusError, match="no such folder"):
        find_regions(head, "m", tmp_path / "absent")
    (tmp_path / "lips.txt").write_text("1")
    (tmp_path / "lve.txt").write_text("1")
    with pytest.raises(VultusError, match="both give 'lips'"):
        find_regions(head, "m", tmp_path)


def test_users_files_come_first_and_lips_are_not_mixed(tmp_path: Path) -> None:
    head = load_head().template
    (tmp_path / "lve.txt").write_text("5, 6, 7, 7")
    found = find_regions(head, "m", tmp_path)
    assert found.regions["lips"].vertices.tolist() == [5, 6, 7] and "upper_lip" not in found.regions
    assert found.regions["upper_face"].source == "topology" and found.duplicates["lips"] == 1
    assert found.describe()["lips"] == {
        "digest": found.regions["lips"].digest, "source": "file lve.txt", "vertices": 3, "counted_in_maxima": 3,
        "duplicates": 1,
    }  # fmt: skip
    on_bare = find_regions(bare(head), "m", tmp_path)
    assert on_bare.regions["upper_face"].source == "geometry" and "lower_lip" not in on_bare.regions


def test_topology_before_geometry_and_digests_tell_apart() -> None:
    head = load_head().template
    named, found = find_regions(head, "m"), find_regions(bare(head), "m")
    assert {region.source for region in named.regions.values()} == {"topology"}
    assert found.regions["lips"].source == "geometry" and not found.refused
    assert named.regions["lips"].digest != found.regions["lips"].digest
    assert len(found.regions["face"].vertices) == head.topology.num_vertices


def test_geometry_agrees_with_the_shipped_heads_own_regions() -> None:
    scores = []
    for identity in (None, *range(6)):
        head = load_head(identity)
        found = face_geometry.find_regions(bare(head.template), "m")
        assert not len(np.intersect1d(found["upper_lip"], found["lower_lip"]))
        scores.append([overlap(found[name], head.topology.regions[name]) for name in found])
    assert (np.mean(scores, 0) > [0.75, 0.7, 0.72, 0.94]).all() and (np.min(scores, 0) > [0.55, 0.5, 0.5, 0.88]).all()


def test_geometry_knows_no_unit_order_or_winding() -> None:
    head = load_head(4).template
    first = face_geometry.find_regions(bare(head), "m")
    area = replace(head, vertices=(head.vertices / 0.185).astype(np.float32))
    shifted = replace(head, vertices=(head.vertices + np.float32([0.3, -2.0, 1.0])).astype(np.float32))
    turned = replace(head, topology=replace(head.topology, faces=head.topology.faces[:, ::-1].copy()))
    for other, unit in ((area, "area"), (shifted, "m"), (turned, "m")):
        again = face_geometry.find_regions(bare(other), unit)  # type: ignore[arg-type]
        assert all(overlap(first[name], again[name]) > 0.97 for name in first)


def ball(deform: float = 0.0) -> Template:
    """A sphere of 120 mm, finely meshed."""
    rows, columns = 60, 80
    up, around = np.meshgrid(np.linspace(0.05, np.pi - 0.05, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    rng = np.random.default_rng(0)
    radius = 0.12 + deform * rng.normal(size=up.shape)
    x, y, z = radius * np.sin(up) * np.cos(around), radius * np.cos(up), radius * np.sin(up) * np.sin(around)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    faces = np.concatenate([np.stack([corner, corner + columns, corner + 1], 1),
                            np.stack([corner + 1, corner + columns, corner + columns + 1], 1)])  # fmt: skip
    return Template(Topology(faces.astype(np.int32), len(vertices)), vertices)


def test_geometry_refuses_what_is_no_face() -> None:
    head = load_head().template
    upside_down = replace(head, vertices=head.vertices * np.float32([1, -1, 1]))
    backwards = replace(head, vertices=head.vertices * np.float32([-1, 1, -1]))
    lying = replace(head, vertices=head.vertices[:, [0, 2, 1]])
    in_mm = replace(head, vertices=head.vertices * 1000)
    no_faces = replace(head, topology=Topology(np.zeros((0, 3), np.int32), len(head.vertices)))
    for odd in (ball(), upside_down, backwards, lying, in_mm, no_faces):
        with pytest.raises(Unavailable, match=r"no lips could be told .* give --regions"):
            face_geometry.find_regions(bare(odd), "m")
        kept = find_regions(bare(odd), "m")
        assert "lips" not in kept.regions and "give --regions" in kept.refused


def test_parted_lips_are_found_and_an_open_mouth_is_refused() -> None:
    head = load_head()

    def opened(amount: float) -> Template:
        weights = np.zeros((1, len(head.rig.names)), np.float32)
        weights[0, head.rig.names.index("jawOpen")] = amount
        return bare(replace(head.template, vertices=head.rig.vertices(weights, head.template)[0]))

    found = face_geometry.find_regions(opened(0.1), "m")
    assert overlap(found["lips"], head.topology.regions["lips"]) > 0.7
    for amount, why in ((0.3, "mouth is open"), (0.6, "no line between two lips")):
        with pytest.raises(Unavailable, match=why):
            face_geometry.find_regions(opened(amount), "m")
