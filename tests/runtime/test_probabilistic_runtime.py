"""The model as `animate` uses it: takes, styles, long speech, bundles that are not whole; all without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.clock import motion_times, num_motion_frames, resample_at
from vultus.errors import VultusError
from vultus.export.read import StyleClip
from vultus.head import load_head
from vultus.methods.sampling import Sampling
from vultus.motion import WEIGHT_NAMES, Motion
from vultus.runtime import probabilistic_graphs
from vultus.runtime.bundle import load, read_config
from vultus.runtime.finish import smooth_motion
from vultus.runtime.probabilistic import HEAD_SMOOTHING_MS, Hearing, ProbabilisticModel
from vultus.speech import Speech

pytest.importorskip("torch", reason="exporting a toy bundle needs the train extra")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from toy_prior import make, save

    return save(make(), tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def model(bundle: Path) -> ProbabilisticModel:
    found = load(bundle)
    assert isinstance(found, ProbabilisticModel)
    return found


def noise(seconds: float, seed: int = 1) -> Speech:
    samples = np.random.default_rng(seed).normal(0.0, 0.1, round(16000 * seconds))
    return Speech(samples.astype(np.float32), "noise")


def clip(weights: np.ndarray | None, **changes: Any) -> StyleClip:
    frames = changes.pop("frames", 60 if weights is None else len(weights))
    values: dict[str, Any] = {
        "source": "clip.csv", "fps": 30.0, "num_frames": frames, "weights": weights, "weight_names": WEIGHT_NAMES,
        "head_rotation": np.zeros((frames, 3), np.float32), **changes,
    }  # fmt: skip
    return StyleClip(**values)


def whole(motion: Motion) -> np.ndarray:
    assert motion.head_rotation is not None
    return np.concatenate([motion.values, motion.head_rotation], 1)


def test_takes_are_weights_and_head_rotation(model: ProbabilisticModel) -> None:
    assert model.styles == ("neutral", "lively") and model.takes_apart and model.default_sampling == "plain"
    for seconds in (0.02, 1.0, 7.03):
        speech, calls = noise(seconds), []
        takes = model.predict(
            speech, num_takes=2, progress=lambda done, total, calls=calls: calls.append((done, total))
        )
        for take in takes:
            assert take.values.shape == (num_motion_frames(len(speech.samples), 30), len(WEIGHT_NAMES))
            assert take.head_rotation is not None and take.head_rotation.dtype == np.float32
            assert take.values.min() >= 0.0 and take.values.max() <= 1.0 and take.values.dtype == np.float32
            assert not take.values[:, WEIGHT_NAMES.index("cheekPuff")].any()  # a still shape
        done = [call[0] for call in calls]
        assert done == sorted(done) and calls[-1] == (len(speech.samples), len(speech.samples))
        assert not np.allclose(takes[0].values, takes[1].values)


@pytest.mark.parametrize("text", ["plain", "avg-3", "coarse-avg-3", "region-avg-2", "knn-4-2"])
def test_same_seed_same_bytes_whatever_the_number_of_takes(model: ProbabilisticModel, text: str) -> None:
    speech = noise(5.0)
    (one,) = model.predict(speech, seed=7, sampling=text)
    again = model.predict(speech, num_takes=3, seed=7, sampling=Sampling.parse(text))
    assert whole(one).tobytes() == whole(again[0]).tobytes()
    assert whole(one).tobytes() != whole(model.predict(speech, seed=8, sampling=text)[0]).tobytes()


def test_it_is_the_method_without_torch(model: ProbabilisticModel) -> None:
    from toy_prior import ENCODER, make

    theirs, speech = make(), noise(3.3)
    found = ENCODER(speech)
    times = motion_times(num_motion_frames(len(speech.samples), 30.0), 30.0)
    features = resample_at(found.values, found.rate, found.offset, times)
    for sampling in (Sampling(), Sampling.parse("avg-3", guidance=2.0), Sampling.parse("region-coarse-avg-3")):
        takes = theirs.perform(features, style=model.style("lively"), num_takes=2, seed=3, sampling=sampling)
        ours = model.predict(speech, style="lively", num_takes=2, seed=3, sampling=sampling)
        takes[..., :55] = np.clip(takes[..., :55], 0.0, 1.0)
        takes[..., WEIGHT_NAMES.index("cheekPuff")] = 0.0
        takes[..., 55:] = [smooth_motion(take[:, 55:], 30.0, HEAD_SMOOTHING_MS) for take in takes]
        np.testing.assert_allclose([whole(take) for take in ours], takes, atol=1e-4)


def test_windows_change_nothing(model: ProbabilisticModel, monkeypatch: pytest.MonkeyPatch) -> None:
    speech = noise(9.0)
    given: dict[str, Any] = {"num_takes": 2, "sampling": Sampling.parse("plain", guidance=1.5)}
    usual = [whole(take) for take in model.predict(speech, **given)]
    for window in (5, 32):
        for module, name in (
            (probabilistic_graphs, "WINDOW"), (probabilistic_graphs, "FINE_WINDOW"),
            (probabilistic_graphs, "FINE_DRAWS"),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, window)
        np.testing.assert_allclose([whole(take) for take in model.predict(speech, **given)], usual, atol=1e-5)


def test_hearing_is_the_same_however_the_sound_comes_and_keeps_little(model: ProbabilisticModel) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(-9.0, 2.0, (4000, 80)).astype(np.float32)
    once = Hearing(model.network, model.encoder.rate, model.encoder.offset, window=10_000)
    once.feed(features)
    expected = once.finish(1201)
    assert expected.shape == (601, 32)
    pieces = Hearing(model.network, model.encoder.rate, model.encoder.offset, window=16)
    largest = 0
    for block in np.split(features, [1, 2, 50, 51, 900, 950, 3000]):
        for small in np.array_split(block, max(1, len(block) // 20)):
            pieces.feed(small)
            largest = max(largest, len(pieces._rows) + pieces._grid.held)
    np.testing.assert_allclose(pieces.finish(1201), expected, atol=1e-5)
    assert largest < 120


def test_guidance_and_heat_change_takes(model: ProbabilisticModel) -> None:
    speech = noise(4.0)
    ways = [Sampling(), Sampling(guidance=3.0), Sampling(temperature=0.3), Sampling(top_k=2)]
    found = [whole(model.predict(speech, sampling=way)[0]) for way in ways]
    assert all(not np.allclose(found[i], found[j]) for i in range(4) for j in range(i))


def test_styles_are_presets_mixtures_vectors_and_clips(model: ProbabilisticModel) -> None:
    neutral, lively = model.style("neutral"), model.style("lively")
    np.testing.assert_array_equal(model.style(None), neutral)
    np.testing.assert_allclose(model.style("neutral*1+lively*3"), 0.25 * neutral + 0.75 * lively, atol=1e-6)
    np.testing.assert_array_equal(model.style(lively.astype(np.float64)), lively)
    speech = noise(3.0)
    moved = [whole(model.predict(speech, style=style)[0]) for style in ("neutral", "lively")]
    assert not np.allclose(*moved)
    for wish, message in (
        ("livly", "did you mean 'lively'"),
        (np.zeros(5), "expected 12 finite numbers"),
        (np.full(12, np.nan), "expected 12 finite numbers"),
        (clip(np.zeros((11, 55), np.float32)), "11 frames"),
        (clip(None), "vertices"),
        (clip(np.ones((40, 55), np.float32), head_rotation=np.full((40, 3), np.nan, np.float32)), "head rotation"),
    ):
        with pytest.raises(VultusError, match=message) as error:
            model.style(wish)
        assert "\n" not in str(error.value)


def test_style_of_a_clip(model: ProbabilisticModel) -> None:
    from toy_prior import make

    rng = np.random.default_rng(0)
    weights = (0.4 * rng.random((61, 55))).astype(np.float32)
    weights[:, [WEIGHT_NAMES.index(name) for name in ("cheekPuff", "mouthClose")]] = 0.0
    turning = rng.normal(0.0, 0.1, (61, 3)).astype(np.float32)
    theirs = make()
    np.testing.assert_allclose(model.style(clip(weights)), theirs.style_vector(weights), atol=1e-5)
    both = np.concatenate([weights, turning], 1)
    np.testing.assert_allclose(model.style(clip(weights, head_rotation=turning)), theirs.style_vector(both), atol=1e-5)
    slower = clip(np.repeat(weights, 2, 0)[:121], fps=60.0)  # held frames, so that every second one is the original
    assert np.abs(model.style(slower) - model.style(clip(weights))).max() < 0.5
    long = clip(np.tile(weights, (40, 1)))
    minute = clip(np.tile(weights, (40, 1))[:1800])
    np.testing.assert_array_equal(model.style(long), model.style(minute))
    head = load_head()
    shown = clip(
        None, weight_names=(), template=head.template.vertices, topology_digest=head.topology.digest, frames=61,
        mesh=head.rig.vertices(weights, head.template),
    )  # fmt: skip
    np.testing.assert_allclose(model.style(shown), model.style(clip(weights)), atol=2e-3)
    other = clip(None, weight_names=(), template=np.zeros((9, 3), np.float32), mesh=np.zeros((60, 9, 3), np.float32))
    with pytest.raises(VultusError, match="9 vertices move another mesh"):
        model.style(other)


class Unread:
    """A recording that nobody should listen to."""

    name, num_samples, duration = "unread", 16000, 1.0

    def blocks(self, block: int = 160_000) -> Iterator[np.ndarray]:
        raise AssertionError("the sound was read")


def test_requests_that_cannot_be_met_are_refused_before_the_sound_is_read(
    model: ProbabilisticModel, bundle: Path, tmp_path: Path
) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"sampling": "best-3"}, "unknown sampling strategy"),
        ({"num_takes": 0}, "0 takes asked for"),
        ({"seed": -1}, "seed is -1"),
        ({"num_takes": 2, "sampling": Sampling(temperature=0.0, fine_temperature=0.0)}, "makes all 2 takes equal"),
        ({"style": "livly"}, "did you mean"),
    ]
    for given, message in cases:
        with pytest.raises(VultusError, match=message):
            model.predict(Unread(), **given)  # type: ignore[arg-type]
    folder = changed(bundle, tmp_path / "unguided", guidance=False)
    with pytest.raises(VultusError, match="guidance needs a model"):
        load(folder).predict(Unread(), sampling=Sampling(guidance=2.0))  # type: ignore[arg-type]


def changed(bundle: Path, folder: Path, **settings: Any) -> Path:
    shutil.copytree(bundle, folder)
    config = {**read_config(bundle), **settings}
    config = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_bundles_that_are_not_whole_are_told_in_one_line(bundle: Path, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"width": ...}, "not a whole bundle"),
        ({"levels": 2}, "not a whole bundle"),
        ({"styles": ["a"]}, "not a whole bundle"),
        ({"width": 64}, "the graphs have"),
        ({"memory": 9}, "the graphs have"),
        ({"coarse_layers": 1}, "the graphs have"),
        ({"coarse_layers": 3}, "the graphs have"),
        ({"channels": 81}, "the graphs have"),
        ({"encoder": ...}, "not that of a whole bundle"),
        ({"default_sampling": "best-3"}, "unknown sampling strategy"),
        ({"vertices": 5}, "another version of the head"),
        ({"encoder": {"name": "mel", "rate": 50.0, "offset": 0.0}}, "features of another rate"),
        ({"encoder": {"name": "mell", "rate": 50.0, "offset": 0.0}}, "mell"),
    ]
    for number, (settings, message) in enumerate(cases):
        with pytest.raises(VultusError, match=message) as error:
            load(changed(bundle, tmp_path / str(number), **settings))
        assert "\n" not in str(error.value)
    for name in ("hearing.onnx", "conditions.onnx", "step.onnx", "fine.onnx", "decoder.onnx", "weights.npz"):
        folder = changed(bundle, tmp_path / name)
        (folder / name).write_bytes(b"nonsense")
        with pytest.raises(VultusError, match=r"cannot read it|not a whole bundle") as error:
            load(folder)
        assert "\n" not in str(error.value)
        (folder / name).unlink()
        with pytest.raises(VultusError, match=r"expected a whole bundle|not a whole bundle"):
            load(folder)


def test_sync_takes_the_draw_that_fits_the_sound_best(model: ProbabilisticModel) -> None:
    from vultus.methods.draws import noise as numbers
    from vultus.scoring.runtime import find_scorer

    speech, head = noise(4.0), load_head()
    net: Any = find_scorer("sync", head.topology, use="select")
    draws = []
    network = model.network
    heard, frames, _ = model._listen(speech, None, None)
    for number in range(4):
        codes = network.draw(
            heard, model.style(None)[None], Sampling(), numbers(5, 0, number, len(heard), network.num_levels)[None]
        )
        draws.append(model._motion(network.decode(network.latents(codes))[0, :frames]).values)
    scores = []
    for draw in draws:
        lips = net.mesh(head.rig.vertices(draw, head.template), head.template.vertices, 30.0, 1000.0)
        scores.append(float(np.einsum("we,we->w", net.audio(speech, len(lips)), lips).mean()))
    (best,) = model.predict(speech, seed=5, sampling="sync-4")
    np.testing.assert_allclose(best.values, draws[int(np.argmax(scores))], atol=1e-5)


def test_torch_is_not_needed(bundle: Path) -> None:
    program = f"""
import sys
sys.modules.update(dict.fromkeys(("torch", "scipy", "matplotlib", "onnx", "vector_quantize_pytorch")))
import numpy as np
from vultus.runtime.bundle import load
from vultus.speech import Speech
model = load({str(bundle)!r})
speech = Speech(np.random.default_rng(0).normal(0.0, 0.1, 20000).astype(np.float32), "noise")
for text in ("plain", "avg-2", "sync-2", "region-coarse-avg-2"):
    assert len(model.predict(speech, num_takes=2, sampling=text)) == 2
print("well")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.strip() == "well", done.stderr


def test_nothing_of_one_request_is_left_for_the_next(model: ProbabilisticModel) -> None:
    speech, calls = noise(2.0), []
    first = whole(model.predict(speech, progress=lambda done, total: calls.append(done))[0])
    told = len(calls)
    np.testing.assert_array_equal(whole(model.predict(speech)[0]), first)
    assert len(calls) == told
