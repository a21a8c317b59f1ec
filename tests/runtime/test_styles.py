"""Styles by name, by clip and mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.export.json_weights import FORMAT
from vultus.export.read import StyleClip
from vultus.motion import ARKIT_NAMES, WEIGHT_NAMES
from vultus.runtime import styles
from vultus.runtime.bundle import load
from vultus.runtime.styles import Part, parse_mixture
from vultus.synthesis.style import PRESETS, RANGES, Style
from vultus.topology import Topology

PRESET_VECTORS = {"lively": np.array([1.0, 0.0]), "warm": np.array([0.0, 1.0])}


def clip(**changes: Any) -> StyleClip:
    frames = changes.get("num_frames", 60)
    values: dict[str, Any] = {
        "source": "clip.csv", "fps": 30.0, "num_frames": frames, "weight_names": ARKIT_NAMES,
        "weights": np.random.default_rng(0).random((frames, 52)).astype(np.float32),
        "head_rotation": np.zeros((frames, 3), np.float32),
    }  # fmt: skip
    return StyleClip(**{**values, **changes})


def test_parts_and_weights() -> None:
    assert parse_mixture("lively") == (Part("lively", 1.0),)
    assert parse_mixture("lively+warm") == (Part("lively", 0.5), Part("warm", 0.5))
    assert parse_mixture(" lively * 3 + warm") == (Part("lively", 0.75), Part("warm", 0.25))
    assert parse_mixture("lively*0+warm*.5") == (Part("lively", 0.0), Part("warm", 1.0))
    assert parse_mixture("a/b.csv*1e-1") == (Part("a/b.csv", 1.0),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "without a name"), ("lively+", "without a name"), ("+lively", "without a name"), ("*2", "without a name"),
        ("lively*", "not a number"), ("lively*x", "not a number"), ("lively*-1+warm", "cannot be"),
        ("lively*nan", "cannot be"), ("lively*inf", "cannot be"), ("lively*0", "sum to 0"),
        ("lively*0+warm*0", "sum to 0"), ("lively*1e308+warm*1e308", "sum to inf"),
    ],
)  # fmt: skip
def test_malformed_mixtures(text: str, said: str) -> None:
    with pytest.raises(VultusError, match=said) as error:
        parse_mixture(text)
    assert "\n" not in str(error.value)


def test_names_of_files_may_hold_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a+b.csv", "c*2", "d.csv"):
        (tmp_path / name).touch()
    assert parse_mixture("a+b.csv") == (Part("a+b.csv", 1.0),)
    assert parse_mixture("c*2") == (Part("c*2", 1.0),)
    assert parse_mixture("lively+a+b.csv*3") == (Part("lively", 0.25), Part("a+b.csv", 0.75))
    assert parse_mixture("a+b.csv+c*2*4+warm*5") == (Part("a+b.csv", 0.1), Part("c*2", 0.4), Part("warm", 0.5))
    assert styles.files_of("lively+a+b.csv*3+d.csv+none.csv") == (Path("a+b.csv"), Path("d.csv"))
    assert parse_mixture("x" * 5000 + "+y")[0].name == "x" * 5000


def test_vectors_are_mixed() -> None:
    def vector(wish: str) -> list[float]:
        return styles.style_vector(wish, "toy", PRESET_VECTORS, lambda clip: np.zeros(2)).tolist()

    assert vector("warm") == [0.0, 1.0]
    assert vector("lively*0.3+warm*0.9") == pytest.approx([0.25, 0.75])
    for wish, said in (("warn", "did you mean 'warm'"), ("lively+warn", "'warn'"), ("no.csv", "no such file")):
        with pytest.raises(VultusError, match=said):
            vector(wish)


def test_a_file_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "clip.json"
    rows = [[0.5 + 0.5 * float(np.sin(i / 5))] * 52 for i in range(60)]
    path.write_text(json.dumps({"format": FORMAT, "fps": 30, "names": ARKIT_NAMES, "frames": rows}))
    seen: list[StyleClip] = []

    def measure(found: StyleClip) -> np.ndarray:
        seen.append(found)
        return np.array([2.0, 2.0])

    mixed = styles.style_vector(f"{path}*0.5+lively*0.5", "toy", PRESET_VECTORS, measure)
    assert mixed.tolist() == [1.5, 1.0] and seen[0].num_frames == 60


def test_references_are_brought_to_the_models_rate() -> None:
    slow = clip(fps=25.0, num_frames=50)
    weights = styles.reference_weights(slow, 30.0)
    assert weights.shape == (60, len(WEIGHT_NAMES)) and weights[:, 52:].max() == 0.0
    np.testing.assert_allclose(weights[::6, :52], slow.weights[::5], atol=1e-5)  # type: ignore[index]
    assert len(styles.reference_weights(clip(num_frames=4000), 30.0)) == 1800  # the first minute
    assert styles.reference_head_rotation(slow, 30.0).shape == (60, 3)
    with pytest.raises(VultusError, match="too few"):
        styles.reference_weights(clip(num_frames=11), 30.0)
    with pytest.raises(VultusError, match="too few"):
        styles.reference_weights(clip(num_frames=30, fps=60.0), 10.0)
    with pytest.raises(VultusError, match="not a finite"):
        styles.reference_weights(clip(weights=np.full((60, 52), np.nan)), 30.0)


def test_meshes_that_do_not_fit() -> None:
    topology = Topology(np.zeros((1, 3), np.int32), 10)
    mesh = np.zeros((60, 10, 3), np.float32)
    right = {"weights": None, "template": mesh[0], "mesh": mesh}
    styles.fits_mesh(clip(**right, topology_digest=topology.digest), topology, on_head=True)
    styles.fits_mesh(clip(**right, topology_digest="0" * 16), topology, on_head=False)
    with pytest.raises(VultusError, match=r"the 10 vertices of our head.*fit any face"):
        styles.fits_mesh(clip(**right, topology_digest="0" * 16), topology, on_head=True)
    with pytest.raises(VultusError, match="its 9 vertices move another mesh"):
        styles.fits_mesh(clip(**{**right, "template": mesh[0, :9]}), topology, on_head=False)
    with pytest.raises(VultusError, match="takes no weights"):
        styles.fits_mesh(clip(), topology, on_head=False)
    with pytest.raises(VultusError, match="neither weights nor vertices"):
        styles.fits_mesh(clip(weights=None), topology, on_head=True)


def test_every_number_of_a_manner_can_be_said() -> None:
    assert set(styles._SAID) == set(RANGES)
    told = {name: styles.describe_preset(name) for name in PRESETS}
    assert all(told.values()) and len(set(told.values())) == len(told)
    assert styles.describe_preset("warm").startswith("smiling") and styles.describe_preset("nobody") == ""
    lines = styles.describe_styles(load("base"))
    assert lines[0].startswith("neutral") and lines[0].endswith("(default)")
    assert sum("(default)" in line for line in lines) == 1


def test_life_follows_presets_and_their_mixtures() -> None:
    assert styles.manner_of(None) == Style() == styles.manner_of("clip.csv") == styles.manner_of("lively+clip.csv")
    assert styles.manner_of("lively") == Style.preset("lively")
    half = styles.manner_of("lively+neutral")
    assert half.head_gain == pytest.approx(1 + 0.5 * (Style.preset("lively").head_gain - 1))


def test_base_mixes_its_presets() -> None:
    model = load("base")
    lively, warm, mixed = (model.style(text).vector for text in ("lively", "warm", "lively*0.25+warm*0.75"))
    np.testing.assert_allclose(mixed, 0.25 * lively + 0.75 * warm, atol=1e-5)
    (first, alike), *_ = styles.nearest_presets(model, "warm")
    assert first == "warm" and alike == pytest.approx(1.0)
