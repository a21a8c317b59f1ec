"""The shipped model of takes: whole, small, alike in lips and different in all else, still where nobody speaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vultus
from vultus.benchmark.mouth_tests import Clip, Face, phone_tests, stillness_tests
from vultus.benchmark.real_speech import predictor
from vultus.motion import ARKIT_NAMES, Take
from vultus.runtime.bundle import BUNDLES, read_config, verify
from vultus.speech import Speech
from vultus.synthesis.phones import read_pocketsphinx_json

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.wav"))
JAW, BLINK, BROW = (ARKIT_NAMES.index(name) for name in ("jawOpen", "eyeBlinkLeft", "browInnerUp"))


@pytest.fixture(scope="module")
def takes() -> list[Take]:
    return vultus.animate_takes(EXAMPLES[-1], num_takes=6, seed=7, life=False)


def test_bundle_is_whole_and_small() -> None:
    folder = BUNDLES / "takes"
    assert verify(folder) == []
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20e6
    card = (folder / "card.md").read_text(encoding="utf-8").lower()
    assert all(word in card for word in ("licence", "data", "limits", "synthetic", "measured"))
    assert read_config(folder)["method"] == "probabilistic"


def test_lips_agree_and_the_rest_differs(takes: list[Take]) -> None:
    jaw = np.corrcoef([take.weights[:, JAW] for take in takes])
    assert jaw.min() > 0.8
    for one, other in ((0, 1), (2, 3)):
        assert np.abs(takes[one].weights[:, BROW] - takes[other].weights[:, BROW]).max() > 0.03
        assert np.abs(takes[one].head_rotation - takes[other].head_rotation).max() > 0.01


def test_faces_blink_each_at_times_of_its_own(takes: list[Take]) -> None:
    shut = np.array([take.weights[:, BLINK] > 0.6 for take in takes])
    assert shut.any(1).sum() >= 2, "six takes of six seconds and hardly a blink"
    assert shut.mean() < 0.3
    assert not shut.all(0).any()


def test_take_is_its_own_whatever_is_asked_for_beside_it(takes: list[Take]) -> None:
    one = vultus.animate(EXAMPLES[-1], model="takes", seed=7, life=False)
    np.testing.assert_array_equal(one.motion.values, takes[0].motion.values)
    np.testing.assert_array_equal(one.head_rotation, takes[0].head_rotation)
    other = vultus.animate(EXAMPLES[-1], model="takes", seed=8, life=False)
    assert np.abs(one.motion.values - other.motion.values).max() > 0.03


def test_same_seed_gives_the_same_bytes_and_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from vultus.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )  # fmt: skip
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        target = str(tmp_path / folder / "talk.glb")
        words = ["animate", str(EXAMPLES[0]), "-o", target, "--takes", "2", "--seed", "7", "--quiet"]
        subprocess.run([sys.executable, "-c", code, *words], check=True)
    for name in ("talk.1.glb", "talk.2.glb"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["talk.1.glb", "talk.2.glb"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_shape_of_the_mouth_pops_for_a_frame(path: Path) -> None:
    mouth = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("mouth", "jaw"))]
    for take in vultus.animate_takes(path, num_takes=2):
        weights = take.weights[:, mouth]
        rise, fall = weights[1:-1] - weights[:-2], weights[1:-1] - weights[2:]
        leap = np.where(np.sign(rise) == np.sign(fall), np.minimum(np.abs(rise), np.abs(fall)), 0.0)
        assert leap.max() < 0.2


def test_styles_change_the_motion() -> None:
    assert {"neutral", "lively", "mumbled", "articulate", "still"} <= set(vultus.load("takes").styles)
    opening = {
        style: np.mean([
            take.weights[:, JAW].mean() for take in vultus.animate_takes(EXAMPLES[0], num_takes=3, style=style)
        ])
        for style in ("mumbled", "mumbled*0.5+articulate*0.5", "articulate")
    }  # fmt: skip
    assert opening["mumbled"] < opening["mumbled*0.5+articulate*0.5"] < opening["articulate"]


def test_still_where_nobody_speaks() -> None:
    for name, estimate in stillness_tests(Face(), predictor("takes"), seconds=4.0).items():
        if name.split("_")[0] in ("silence", "noise", "hum", "hiss"):
            assert estimate.value <= 0.03, name


@pytest.mark.needs_data
def test_lips_on_labelled_readings(real_data: Path) -> None:
    clips = [
        Clip(path.stem, Speech.load(path), tuple(read_pocketsphinx_json(path.with_suffix(".phone.json"))))
        for path in sorted((real_data / "speech" / "pocketsphinx_librivox").glob("*.wav"))
    ]
    face = Face()
    found = phone_tests([face.track(clip, predictor("takes")) for clip in clips])
    assert found["closed"].value >= 0.9
    assert found["closed_by_mistake"].value <= 0.03
    assert found["closure_auc"].value >= 0.93
