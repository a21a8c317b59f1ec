"""The shipped model: whole, small, still where nobody speaks, and right about lips on recordings that it never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vultus
from vultus.benchmark.motion_tests import motion_tests, read_facegood
from vultus.benchmark.mouth_tests import Clip, Face, phone_tests, stillness_tests
from vultus.benchmark.real_speech import predictor
from vultus.motion import ARKIT_NAMES, WEIGHT_NAMES
from vultus.runtime.bundle import BUNDLES, read_config, verify
from vultus.speech import Speech, open_speech
from vultus.synthesis.phones import read_pocketsphinx_json

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.wav"))


def test_bundle_is_whole_and_small() -> None:
    folder = BUNDLES / "base"
    assert verify(folder) == []
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 30e6
    card = (folder / "card.md").read_text(encoding="utf-8").lower()
    assert all(word in card for word in ("licence", "data", "limits", "synthetic", "measured"))
    assert read_config(folder)["rig"] == "head"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_speak(path: Path) -> None:
    take = vultus.animate(path)
    assert len(take) == round(open_speech(path).num_samples / 16000 * 30)
    weights = take.weights
    assert weights.min() >= 0.0 and weights.max() <= 1.0
    moved = dict(zip(ARKIT_NAMES, np.ptp(weights, axis=0), strict=True))
    assert moved["jawOpen"] > 0.1 and moved["eyeBlinkLeft"] > 0.5
    assert np.abs(take.head_rotation).max() > 0.005


def test_without_life_nothing_random_moves() -> None:
    take = vultus.animate(EXAMPLES[0], life=False)
    other = vultus.animate(EXAMPLES[0], life=False, seed=5)
    np.testing.assert_array_equal(take.motion.values, other.motion.values)
    assert take.motion.values[:, WEIGHT_NAMES.index("eyeBlinkLeft")].max() == 0.0
    assert np.abs(take.head_rotation).max() == 0.0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_shape_of_the_mouth_pops_for_a_frame(path: Path) -> None:
    """A weight that leaps up and back within two frames is seen as a twitch."""
    mouth = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("mouth", "jaw"))]
    weights = vultus.animate(path).weights[:, mouth]
    rise, fall = weights[1:-1] - weights[:-2], weights[1:-1] - weights[2:]
    leap = np.where(np.sign(rise) == np.sign(fall), np.minimum(np.abs(rise), np.abs(fall)), 0.0)
    assert leap.max() < 0.15


def test_styles_and_identities_change_the_motion() -> None:
    names = vultus.load("base").styles
    assert {"neutral", "lively", "mumbled", "articulate"} <= set(names)
    opening = {
        style: float(
            vultus.animate(EXAMPLES[0], style=style, life=False).weights[:, ARKIT_NAMES.index("jawOpen")].mean()
        )
        for style in ("mumbled", "neutral", "articulate")
    }
    assert opening["mumbled"] < opening["neutral"] < opening["articulate"] * 1.2
    one, two = (vultus.animate(EXAMPLES[0], identity=seed, life=False) for seed in (None, 3))
    assert np.abs(one.template.vertices - two.template.vertices).max() > 0.003


def test_a_reference_clip_lends_its_style(tmp_path: Path) -> None:
    path = tmp_path / "mumbled.csv"
    vultus.animate(EXAMPLES[0], style="mumbled", life=False).save(path)
    jaw = ARKIT_NAMES.index("jawOpen")
    plain = vultus.animate(EXAMPLES[1], life=False).weights[:, jaw].mean()
    lent = vultus.animate(EXAMPLES[1], style=path, life=False).weights[:, jaw].mean()
    assert lent < plain


def test_still_where_nobody_speaks() -> None:
    for name, estimate in stillness_tests(Face(), predictor("base"), seconds=4.0).items():
        if name.split("_")[0] in ("silence", "noise", "hum", "hiss"):
            assert estimate.value <= 0.03, name


@pytest.mark.needs_data
def test_lips_on_labelled_readings(real_data: Path) -> None:
    clips = [
        Clip(path.stem, Speech.load(path), tuple(read_pocketsphinx_json(path.with_suffix(".phone.json"))))
        for path in sorted((real_data / "speech" / "pocketsphinx_librivox").glob("*.wav"))
    ]
    face = Face()
    found = phone_tests([face.track(clip, predictor("base")) for clip in clips])
    assert found["closed"].value >= 0.95
    assert found["closed_by_mistake"].value <= 0.03
    assert found["closure_auc"].value >= 0.95


@pytest.mark.needs_data
def test_jaw_beats_loudness_on_recorded_mandarin(real_data: Path) -> None:
    takes, face = read_facegood(real_data / "facegood_mandarin"), Face()
    base, loudness = (motion_tests(face, predictor(name), takes) for name in ("base", "loudness"))
    assert base["jaw_r"].value > loudness["jaw_r"].value
    assert abs(base["jaw_lag_ms"].value) <= 2000 / 30


@pytest.mark.needs_data
def test_sampling_rates_of_one_recording_agree(real_data: Path) -> None:
    folder = real_data / "speech" / "nvidia_a2f"
    takes = [
        vultus.animate(folder / f"Claire_sadness_{rate}_5_sec.wav", life=False).weights for rate in ("16khz", "44.1khz")
    ]
    frames = min(len(take) for take in takes)
    difference = np.abs(takes[0][:frames] - takes[1][:frames])
    assert difference.max() < 0.2 and difference.mean() < 0.003
