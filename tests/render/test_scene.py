"""What a scene promises: framing, determinism, gaze, materials, errors; on a head of made-up balls."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.render.geometry import occlusion, rotation_matrix, sphere_centre
from vultus.render.look import check_size, linear_light, parse_colour
from vultus.render.scene import Scene
from vultus.topology import Template, Topology


def ball(centre: tuple[float, float, float], radius: float, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A sphere of 2 n x n patches, wound counter-clockwise from outside, without a shared seam."""
    polar, around = np.linspace(0, np.pi, n + 1), np.linspace(0, 2 * np.pi, 2 * n + 1)[:-1]
    p, a = np.meshgrid(polar, around, indexing="ij")
    points = np.stack([np.sin(p) * np.sin(a), np.cos(p), np.sin(p) * np.cos(a)], -1).reshape(-1, 3)
    faces = []
    for i in range(n):
        for j in range(2 * n):
            k = (j + 1) % (2 * n)
            u, v, w, x = i * 2 * n + j, i * 2 * n + k, (i + 1) * 2 * n + j, (i + 1) * 2 * n + k
            faces += [(u, w, x), (u, x, v)]
    return (points * radius + centre).astype(np.float32), np.array(faces, np.int32)


@pytest.fixture(scope="module")
def face() -> Template:
    """A skin ball of 8 cm with two eyes in front, in the parts and frame of a real head."""
    skin, skin_faces = ball((0, 0, 0), 0.08)
    left, left_faces = ball((0.03, 0.02, 0.07), 0.015)
    right, right_faces = ball((-0.03, 0.02, 0.07), 0.015)
    faces = np.concatenate([skin_faces, left_faces + len(skin), right_faces + len(skin) + len(left)])
    cuts = np.cumsum([0, len(skin_faces), len(left_faces), len(right_faces)])
    names = ("skin", "eye_left", "eye_right")
    parts = {name: np.arange(cuts[i], cuts[i + 1], dtype=np.int32) for i, name in enumerate(names)}
    vertices = np.concatenate([skin, left, right])
    return Template(Topology(faces, len(vertices), {}, parts), vertices)


def eyes_of(template: Template, name: str) -> np.ndarray:
    return np.unique(template.topology.faces[template.topology.parts[name]])


def test_same_input_same_bytes_whatever_was_drawn_between(face: Template) -> None:
    scene = Scene(face)
    first = scene.render(face.vertices, np.array([0.1, 0.2, 0.0]), 64)
    scene.render(face.vertices * np.float32(1.1), None, 64)
    scene.render(face.vertices, None, (48, 96))
    np.testing.assert_array_equal(scene.render(face.vertices, np.array([0.1, 0.2, 0.0]), 64), first)
    np.testing.assert_array_equal(Scene(face).render(face.vertices, np.array([0.1, 0.2, 0.0]), 64), first)


def test_framing_fills_the_picture_and_keeps_off_its_edges(face: Template) -> None:
    for size, shape in ((64, (64, 64, 3)), ((96, 64), (64, 96, 3))):
        picture = Scene(face, background="#00ff00").render(face.vertices, None, size)
        assert picture.shape == shape
        drawn = (picture != [0, 255, 0]).any(2)
        assert drawn.any(1).sum() > 0.7 * min(shape[:2])
        assert not drawn[0].any() and not drawn[:, 0].any() and not drawn[:, -1].any()


def test_head_rotation_turns_about_the_pivot_and_to_the_subjects_left(face: Template) -> None:
    pivot = np.array([0.0, -0.05, -0.02])
    scene = Scene(face, pivot=pivot, background="#000000")
    turn = np.array([0.0, 0.4, 0.0])
    matrix = rotation_matrix(turn)
    by_hand = ((face.vertices - pivot) @ matrix.T + pivot).astype(np.float32)
    difference = scene.render(face.vertices, turn, 64).astype(int) - scene.render(by_hand, None, 64)
    # the eyes' highlights and the neck fade are tied to the template's frame: everything else must agree
    assert np.abs(difference).mean() < 1.0
    bright = Scene(face, pivot=pivot, background="#ffffff")
    pupils = [np.argwhere(bright.render(face.vertices, way, 128).max(2) < 60).mean(0) for way in (None, turn)]
    assert abs(pupils[0][1] - 63.5) < 2
    assert pupils[1][1] > pupils[0][1] + 10  # +y turns +z (the gaze) to +x, right in the picture


def test_the_iris_follows_the_eyeball(face: Template) -> None:
    scene = Scene(face, background="#000000")

    def gaze(vertices: np.ndarray, turn: np.ndarray) -> np.ndarray:
        return scene._eye_rows(vertices, rotation_matrix(turn))[0]

    vertices = face.vertices.copy()
    left = eyes_of(face, "eye_left")
    centre = np.array([0.03, 0.02, 0.07])
    look = rotation_matrix(np.array([-0.3, 0.2, 0.0]))
    vertices[left] = (face.vertices[left] - centre) @ look.T + centre + [0.001, 0, 0]
    row = gaze(vertices, np.zeros(3))
    np.testing.assert_allclose(row[:3], centre + np.array([0.001, 0, 0]), atol=1e-5)
    np.testing.assert_allclose(row[3:6], look @ [0, 0, 1], atol=1e-4)
    head = np.array([0.0, 0.5, 0.0])
    np.testing.assert_allclose(gaze(vertices, head)[3:6], rotation_matrix(head) @ look @ [0, 0, 1], atol=1e-4)


def test_supersampling_softens_outlines_only(face: Template) -> None:
    soft = Scene(face, background="#000000").render(face.vertices, None, 96).astype(int)
    hard = Scene(face, background="#000000", supersample=False).render(face.vertices, None, 96).astype(int)
    difference = np.abs(soft - hard).max(2)
    assert difference.max() > 20
    assert (difference > 12).mean() < 0.06


def test_a_bare_mesh_without_parts_is_drawn_as_skin() -> None:
    vertices, faces = ball((0, 0, 0), 0.1)
    template = Template(Topology(faces, len(vertices)), vertices)
    picture = Scene(template, background="#000000").render(vertices, None, 64)
    middle = picture[28:36, 28:36].reshape(-1, 3).mean(0)
    assert middle[0] > middle[1] > middle[2] > 40  # skin is red before green before blue


def test_occlusion_is_one_on_a_convex_body_and_small_in_a_gap() -> None:
    one, faces = ball((0, 0, 0), 1.0)
    assert occlusion(one, faces).min() > 0.97
    two, _ = ball((2.02, 0, 0), 1.0)
    both = occlusion(np.concatenate([one, two]), np.concatenate([faces, faces + len(one)]))
    gap, outside = one[:, 0].argmax(), one[:, 0].argmin()
    assert both[gap] < 0.3 < 0.97 < both[outside]


def test_sphere_centre_and_rotation_matrix() -> None:
    points, _ = ball((0.3, -0.2, 5.0), 0.7)
    np.testing.assert_allclose(sphere_centre(points[: len(points) // 3]), [0.3, -0.2, 5.0], atol=1e-4)
    np.testing.assert_allclose(rotation_matrix(np.array([0, 0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_wrong_requests_are_refused_in_one_line(face: Template) -> None:
    scene = Scene(face)
    for size in (0, 15, 5000, (64, 8), 64.5, (64, 64, 64)):
        with pytest.raises(VultusError, match="picture size"):
            scene.render(face.vertices, None, size)  # type: ignore[arg-type]
    with pytest.raises(VultusError, match="even"):
        check_size(65, even=True)
    with pytest.raises(VultusError, match="topology"):
        scene.render(face.vertices[:-1], None, 64)
    with pytest.raises(VultusError, match="framing 'heads'; did you mean 'head'"):
        Scene(face, framing="heads")
    with pytest.raises(VultusError, match="lips"):
        Scene(face, framing="mouth")
    for colour in ("red", "#12345", (0, 0, 300), (1, 2)):
        with pytest.raises(VultusError, match="background"):
            Scene(face, background=colour)  # type: ignore[arg-type]


def test_a_plain_background_has_the_colour_asked_for(face: Template) -> None:
    for colour in ((0, 0, 0), (12, 99, 200), (255, 255, 255)):
        assert tuple(Scene(face, background=colour).render(face.vertices, None, 32)[0, 0]) == colour
    assert parse_colour("#0c63c8") == (12, 99, 200)
    np.testing.assert_allclose(linear_light((0, 188, 255)), [0, 0.5, 1], atol=0.005)
