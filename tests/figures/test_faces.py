"""Faces are upright, lit, coloured as asked, with and without triangles."""

from __future__ import annotations

import numpy as np
import pytest
from toy_data import half_ball, half_ball_faces

from vultus.figures.faces import FaceView, point_normals, turn_matrix
from vultus.head import load_head
from vultus.topology import Template, Topology


def ball(triangles: bool) -> Template:
    """The front of a ball: rings of triangles, or points that cover it evenly."""
    if triangles:
        vertices, faces = half_ball(24, 48), half_ball_faces(24, 48)
    else:
        number = np.arange(1500) + 0.5
        z, turn = 1 - number / 1500, np.pi * (1 + 5**0.5) * number
        flat = np.sqrt(1 - z**2)
        vertices = (0.08 * np.stack([flat * np.cos(turn), flat * np.sin(turn), z], 1)).astype(np.float32)
        faces = np.zeros((0, 3), np.int32)
    return Template(Topology(faces, len(vertices)), vertices)


@pytest.mark.parametrize("triangles", [True, False])
def test_what_faces_the_camera_has_the_colour_of_the_bar_and_the_paper_is_white(triangles: bool) -> None:
    view = FaceView(ball(triangles))
    picture = view.draw(np.array([230, 120, 40]), 200)
    height, width = picture.shape[:2]
    assert (height, width) == (200, view.size(200)[0])
    around = picture[height // 2 - 14 : height // 2 - 8, width // 2 - 3 : width // 2 + 3].reshape(-1, 3).astype(int)
    assert np.abs(around - [230, 120, 40]).max() < 16
    assert (picture[:4, :4] == 255).all()
    rim = picture[height // 2, -22:-16].astype(int)
    assert rim.mean() < around.mean() - 20  # darker where it turns away: the shape can be seen


@pytest.mark.parametrize("triangles", [True, False])
def test_up_is_up_and_left_is_right_of_the_picture(triangles: bool) -> None:
    template = ball(triangles)
    red_above = np.where(template.vertices[:, 1:2] > 0, [255, 0, 0], [0, 0, 255])
    green_left = np.where(template.vertices[:, :1] > 0, [0, 255, 0], [0, 0, 255])
    view = FaceView(template)
    picture = view.draw(red_above.astype(np.uint8), 120).astype(int)
    assert picture[30, 60, 0] > 150 > picture[30, 60, 2] and picture[90, 60, 2] > 150 > picture[90, 60, 0]
    picture = view.draw(green_left.astype(np.uint8), 120).astype(int)
    assert picture[60, 90, 1] > 150 and picture[60, 30, 2] > 150
    turned = FaceView(template, (0, 0, 180)).draw(red_above.astype(np.uint8), 120).astype(int)
    assert turned[90, 60, 0] > 150 > turned[90, 60, 2]


def test_a_mesh_that_is_wound_the_other_way_is_lit_alike() -> None:
    template = ball(True)
    inside_out = Template(Topology(template.topology.faces[:, ::-1].copy(), len(template.vertices)), template.vertices)
    one, other = (FaceView(t).draw(np.array([200, 200, 200]), 100).astype(int) for t in (template, inside_out))
    assert np.abs(one - other).mean() < 2


def test_the_shipped_head_shows_its_face_and_no_lashes() -> None:
    head = load_head()
    view = FaceView(head.template)
    assert len(view.faces) == len(head.topology.faces) - len(head.topology.parts["lashes"])
    seen = view.visible()
    lips, x, y = head.topology.regions["upper_lip"], *view.places(head.template.vertices, 300).T
    assert seen[lips].mean() > 0.3 and 0.3 * view.size(300)[0] < x[lips].mean() < 0.7 * view.size(300)[0]
    eyes = np.unique(head.topology.faces[head.topology.parts["eye_left"]])
    assert 30 < y[eyes].mean() < y[lips].mean() < 270
    back = head.template.vertices[:, 2] < -0.05
    assert back.any() and not seen[back].any()


@pytest.mark.parametrize("triangles", [True, False])
def test_the_vertex_at_a_pixel_is_the_one_that_projects_there(triangles: bool) -> None:
    view = FaceView(ball(triangles))
    nearest = view.nearest_vertices(200)
    places = view.places(view.template.vertices, 200)
    row, column = np.nonzero(nearest >= 0)
    away = np.hypot(*(places[nearest[row, column]] - np.column_stack([column + 0.5, row + 0.5])).T)
    assert len(row) > 10_000 and np.median(away) < 6 and away.max() < 20  # points lie 5 pixels apart
    assert nearest[0, 0] == -1


def test_normals_of_points_look_out_of_a_ball_and_turns_go_round_x_then_y_then_z() -> None:
    points = half_ball(20, 40)
    normals = point_normals(points)
    middle = points[:, 2] > 0.03
    assert ((normals * points / 0.08).sum(1)[middle] > 0.95).all()
    np.testing.assert_allclose(turn_matrix((90, 0, 0)) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(turn_matrix((90, 90, 0)) @ [0, 1, 0], [1, 0, 0], atol=1e-12)
