"""Pages hold all they need and give back the numbers that went in."""

from __future__ import annotations

import base64
import json
import re
import zlib

import numpy as np
import pytest
from toy_data import ToyData

from vultus.figures.faces import FaceView
from vultus.figures.html import Layer, PointMap, Shown, page


def read(text: str) -> tuple[dict, bytes]:
    data = re.search(r'id="data">(.*?)</script>', text, re.S)
    arrays = re.search(r'id="arrays">(.*?)</script>', text, re.S)
    assert data and arrays
    return json.loads(data[1]), zlib.decompress(base64.b64decode(arrays[1]))


def array(block: bytes, place: dict) -> np.ndarray:
    return np.frombuffer(block, f"<{place['kind']}", place["count"], place["at"])


def make(triangles: bool, title: str = "A title", label: str = "first") -> tuple[FaceView, np.ndarray, str]:
    view = FaceView(ToyData(triangles=triangles).template)
    values = np.linspace(0, 3, len(view.template.vertices))
    layers = [
        Layer(label, [Shown(values, 3.0), Shown(values / 2, 3.0)]),
        Layer("moved", [Shown(values, 3.0, view.template.vertices + 0.01), Shown(values, 3.0)]),
    ]
    maps = [PointMap("map", np.array([[0.0, 1], [2, 3]]), ["a", "b"], ["#000000", "#ffffff"], [0, 1])]
    text = page(
        view, title=title, note="note", unit="mm", panes=["one", "two"], layers=layers, choose="x", maps=maps,
        regions=np.zeros(len(values), int),
    )  # fmt: skip
    return view, values, text


@pytest.mark.parametrize("triangles", [True, False])
def test_arrays_come_back(triangles: bool) -> None:
    view, values, text = make(triangles)
    data, block = read(text)
    first, second = data["layers"]
    stored = array(block, first["fields"][0]["values"]) / 65535 * first["fields"][0]["high"]
    np.testing.assert_allclose(stored, values, atol=3 / 65535)
    places = array(block, data["mesh"]["places"]).reshape(-1, 3) / 32767 * 4 * view.half + view.middle
    np.testing.assert_allclose(places, view.template.vertices, atol=1e-5)
    moved = array(block, second["fields"][0]["places"]).reshape(-1, 3) / 32767 * 4 * view.half + view.middle
    np.testing.assert_allclose(moved - places, 0.01, atol=2e-5)
    assert second["fields"][1]["places"] is None
    if triangles:
        np.testing.assert_array_equal(array(block, data["mesh"]["triangles"]).reshape(-1, 3), view.faces)
    else:
        assert data["mesh"]["triangles"] is None and data["mesh"]["spacing"] > 0
        normals = array(block, data["mesh"]["normals"]).reshape(-1, 3) / 127
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=0.02)
    assert data["maps"][0]["x"] == [0, 1]


def test_nothing_is_read_from_elsewhere() -> None:
    _, _, text = make(True)
    plain = re.sub(r'id="(data|arrays)">.*?</script>', "", text, flags=re.S)
    assert not re.search(r"https?:|//cdn|\bsrc=|\bhref=|url\(|@import|fetch\(|XMLHttpRequest|import\(", plain)
    assert "default-src 'none'" in plain


def test_names_of_the_data_cannot_become_markup() -> None:
    evil = '</script><script>alert("x")</script>@DATA@'
    _, _, text = make(False, title=evil, label=evil)
    assert text.count("<script") == 3 and "alert(&quot;x&quot;)" in text
    assert read(text)[0]["layers"][0]["label"] == evil


def test_the_same_page_is_the_same_text() -> None:
    assert make(True)[2] == make(True)[2]
