"""The real-speech evaluation on made-up mouths whose scores are known, and on real data where it is at hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vultus import statistics
from vultus.benchmark import real_speech
from vultus.benchmark.motion_tests import MotionTake, motion_tests, read_facegood
from vultus.benchmark.mouth_tests import Clip, Face, Predict, Track, phone_tests, stillness_tests
from vultus.errors import VultusError
from vultus.motion import WEIGHT_NAMES
from vultus.speech import Speech, SpeechSource
from vultus.statistics import DRAWS, Estimate
from vultus.synthesis.inventory import VOWEL_SET
from vultus.synthesis.phones import Phone

SAID = "SIL AA P AA T UW S IY M AO N F AE SIL B OW L EH V AH SIL W AY K SIL"
LINE = SAID.split()


def phones_of(line: list[str], step: float = 0.2, silence: float = 0.7) -> tuple[Phone, ...]:
    out, now = [], 0.0
    for symbol in line:
        length = silence if symbol == "SIL" else step
        out.append(Phone(symbol, now, now + length))
        now += length
    return tuple(out)


def clip_of(line: list[str], name: str = "made up") -> Clip:
    phones = phones_of(line)
    return Clip(name, Speech(np.zeros(round(phones[-1].end * 16000), np.float32), name), phones)


def acting(rule: Callable[[str], dict[str, float]], clip: Clip, late: float = 0.0, fps: float = 60.0) -> Predict:
    """A mouth that does what `rule` says for each phone, exactly in its time (or late)."""

    def predict(source: SpeechSource) -> tuple[np.ndarray, float]:
        w = np.zeros((round(source.duration * fps), len(WEIGHT_NAMES)), np.float32)
        for i in range(len(w)):
            phone = next((p for p in clip.phones if p.start <= i / fps - late + 1e-9 < p.end), None)
            for name, value in rule("SIL" if phone is None else phone.symbol).items():
                w[i, WEIGHT_NAMES.index(name)] = value
        return w, fps

    return predict


def good(symbol: str) -> dict[str, float]:
    """A mouth that does everything right."""
    if symbol in ("SIL", "P", "B", "M"):
        return {}
    jaw = {"AA": 0.5, "AE": 0.5, "AO": 0.5, "AY": 0.5, "EH": 0.4, "AH": 0.4}.get(symbol, 0.1)
    shapes = {"jawOpen": jaw}
    if symbol in ("UW", "W", "OW"):
        shapes |= {"mouthPucker": 0.8}
    if symbol in ("F", "V"):
        shapes |= {"jawOpen": 0.12, "mouthRollLower": 0.35}
    return shapes


@pytest.fixture(scope="module")
def face() -> Face:
    return Face()


def values(
    face: Face, rule: Callable[[str], dict[str, float]], late: float = 0.0, fps: float = 60.0
) -> dict[str, float]:
    clip = clip_of(LINE)
    tests = phone_tests([face.track(clip, acting(rule, clip, late, fps))])
    return {name: estimate.value for name, estimate in tests.items()}


@pytest.mark.parametrize("fps", [30.0, 60.0, 100.0])
def test_a_mouth_that_does_everything_right(face: Face, fps: float) -> None:
    v = values(face, good, fps=fps)
    assert v["closed"] == 1 and v["closed_by_mistake"] == 0
    assert v["rounding_auc"] > 0.97 and v["labiodental_auc"] > 0.97 and v["closure_auc"] > 0.95
    assert v["open_centre_auc"] == 1 and v["labiodental_contact"] == 1
    assert v["seal_in_range"] == 1 and v["pause_at_rest"] == 1 and abs(v["seal_gap"]) < 0.3
    assert abs(v["timing_ms"]) <= 21 and v["pause_step"] < 0.01


def test_counts_are_those_of_the_line(face: Face) -> None:
    clip = clip_of(LINE)
    tests = phone_tests([face.track(clip, acting(good, clip))])
    assert tests["closed"].n == 3  # P M B
    assert tests["closed_by_mistake"].n == 7  # AA AA AO AE EH AH AY
    assert tests["labiodental_contact"].n == 2  # F V
    assert tests["open_centre_auc"].n == 5  # AA AA AO AE AY
    assert tests["pause_at_rest"].n == 4 and tests["timing_ms"].n == 2  # the B has a silence beside it
    assert tests["rounding_auc"].n == pytest.approx(3 * 12, abs=3)  # UW OW W of 0.2 s at 60 frames a second


def test_each_fault_is_seen_by_its_own_test(face: Face) -> None:
    def never_closed(symbol: str) -> dict[str, float]:
        return {**good(symbol), "jawOpen": max(good(symbol).get("jawOpen", 0), 0.1)}

    v = values(face, never_closed)
    assert v["closed"] == 0 and np.isnan(v["seal_in_range"]) and v["closed_by_mistake"] == 0
    assert v["pause_at_rest"] == 0

    v = values(face, lambda s: {} if s in ("P", "AA", "AY") else {"jawOpen": 0.3})
    assert v["closed"] == pytest.approx(1 / 3) and v["closed_by_mistake"] == pytest.approx(3 / 7)
    assert v["closure_auc"] < 0.8

    v = values(face, lambda s: {**good(s), "mouthPucker": 0.0 if s in ("UW", "W", "OW") else 0.8})
    assert v["rounding_auc"] < 0.03

    v = values(face, lambda s: {**good(s), "mouthRollLower": 0.5 * (s == "S")})
    assert v["labiodental_auc"] < 0.5
    v = values(face, lambda s: {**good(s), "jawOpen": 0.4 if s == "F" else good(s).get("jawOpen", 0.0)})
    assert v["labiodental_contact"] == 0.5

    v = values(face, lambda s: {**good(s), **({"jawOpen": 0.02} if s in VOWEL_SET else {"jawOpen": 0.3})})
    assert v["open_centre_auc"] < 0.3

    # mouthClose without an open jaw pushes the lips through each other.
    v = values(face, lambda s: {**good(s), "mouthClose": 0.15 if s in ("P", "B", "M") else 0.0})
    assert v["closed"] == 1 and v["seal_in_range"] == 0 and v["seal_crossing"] < -2

    v = values(face, good, late=0.1)
    assert v["timing_ms"] == pytest.approx(100, abs=25)

    v = values(face, lambda s: {"jawOpen": 0.4 if s == "SIL" else 0.2})
    assert v["pause_at_rest"] == 0


def test_rounding_does_not_count_what_the_jaw_does(face: Face) -> None:
    clip = clip_of(LINE)
    jaw = face.track(clip, acting(lambda s: {"jawOpen": 0.6 if s in ("UW", "W", "OW") else 0.0}, clip))
    assert np.abs(jaw.rounding).max() < 1e-9
    assert phone_tests([jaw])["rounding_auc"].value == 0.5


def test_clips_without_phones_give_nothing(face: Face) -> None:
    clip = Clip("bare", clip_of(LINE).source)
    tests = phone_tests([face.track(clip, acting(good, clip_of(LINE)))])
    assert all(np.isnan(e.value) and e.n == 0 for e in tests.values())


@pytest.mark.parametrize(
    "weights",
    [
        np.zeros((60, 52)),
        np.zeros((0, 55)),
        np.zeros(55),
        np.full((60, 55), np.nan),
        np.full((60, 55), 1.5),
        np.full((60, 55), -0.1),
    ],
)
def test_predictions_that_are_no_weights(face: Face, weights: np.ndarray) -> None:
    with pytest.raises(VultusError, match="made up") as caught:
        face.track(clip_of(LINE), lambda source: (weights, 60.0))
    assert "\n" not in str(caught.value)


def test_stillness_is_the_largest_mouth_weight(face: Face) -> None:
    def restless(source: SpeechSource) -> tuple[np.ndarray, float]:
        w = np.zeros((round(source.duration * 60), len(WEIGHT_NAMES)), np.float32)
        w[:, WEIGHT_NAMES.index("eyeBlinkLeft")] = 1.0  # eyes may move
        loudest = max(float(np.abs(block).max()) for block in source.blocks())
        w[10, WEIGHT_NAMES.index("mouthPucker")] = min(loudest, 0.9)
        return w, 60.0

    found = stillness_tests(face, restless)
    assert set(found) == {"silence", "noise_-60_dB", "hum_-30_dB", "hiss_-30_dB"}
    assert found["silence"].value == 0 and 0.002 < found["noise_-60_dB"].value < 0.01
    assert 0.03 < found["hum_-30_dB"].value < 0.3 and 0.1 < found["hiss_-30_dB"].value < 0.2


def made_up_take() -> tuple[MotionTake, np.ndarray]:
    """30 s of noise bursts with a jaw that does not follow their level; the jaw at 60 fps."""
    rng = np.random.default_rng(3)
    t60 = np.arange(30 * 60) / 60
    jaw = 0.3 + 0.25 * np.interp(t60, np.arange(0, 31, 0.15), rng.uniform(-1, 1, 207))
    sound = rng.standard_normal(30 * 16000).astype(np.float32) * 0.1
    sound[: 3 * 16000] *= 1e-4
    t30 = np.arange(900) / 30
    take = MotionTake(Clip("take", Speech(sound, "take")), 30.0, jaw[::2], (t30 % 2 < 0.5) * 0.5, (t30 % 3 < 0.2) * 0.2)
    return take, jaw


@pytest.mark.parametrize(("late", "lag"), [(0, 0.0), (4, 66.7), (-3, -50.0)])
def test_recorded_motion(face: Face, late: int, lag: float) -> None:
    take, jaw = made_up_take()

    def predict(source: SpeechSource) -> tuple[np.ndarray, float]:
        w = np.zeros((1800, len(WEIGHT_NAMES)), np.float32)
        t = np.arange(1800) / 60
        w[:, WEIGHT_NAMES.index("jawOpen")] = np.roll(jaw, late)
        w[:, WEIGHT_NAMES.index("mouthClose")] = np.roll(jaw, late) * (t % 3 < 0.25)
        w[:, WEIGHT_NAMES.index("mouthPucker")] = 0.8 * (t % 2 < 0.5)
        return w, 60.0

    found = motion_tests(face, predict, [take])
    assert found["jaw_lag_ms"].value == pytest.approx(lag, abs=0.1)
    assert found["closure_auc"].value > 0.95 and found["rounding_auc"].value > 0.97
    assert found["jaw_r"].n == pytest.approx(27 * 30, abs=8)  # the three quiet seconds are left out
    if late == 0:
        assert found["jaw_r"].value > 0.999 and found["jaw_r_without_level"].value > 0.99
        assert found["jaw_r"].low <= found["jaw_r"].value <= found["jaw_r"].high + 1e-12
    else:
        assert found["jaw_r"].value < 0.9


def test_a_still_mouth_has_no_correlation(face: Face) -> None:
    take, _ = made_up_take()
    found = motion_tests(face, lambda source: (np.zeros((1800, len(WEIGHT_NAMES))), 60.0), [take])
    assert np.isnan(found["jaw_r"].value) and found["jaw_2_8_hz"].value == 0 and found["closure_auc"].value == 0.5


def test_auc_equals_counting_pairs() -> None:
    rng = np.random.default_rng(0)
    scores, units = rng.integers(0, 8, 200).astype(float), rng.integers(0, 9, 200)
    positive = rng.random(200) < 0.3
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    found = statistics.auc(scores, positive, units)
    assert found.value == pytest.approx(np.mean(pairs)) and found.n == positive.sum()
    assert found.low < found.value < found.high
    # One draw, counted pair by pair.
    times = statistics.draws(9)[0]
    w = times[units]
    top, low = np.flatnonzero(positive), np.flatnonzero(~positive)
    slow = sum(w[i] * w[j] * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])) for i in top for j in low)
    slow /= w[top].sum() * w[low].sum()
    wins = [
        statistics.auc(
            np.repeat(scores, w.astype(int)), np.repeat(positive, w.astype(int)), np.zeros(int(w.sum()))
        ).value
    ]
    assert wins[0] == pytest.approx(slow)


def test_intervals_are_about_right() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(400)
    e = statistics.mean(x, np.arange(400))
    assert (e.high - e.low) / 2 == pytest.approx(1.96 * x.std() / 20, rel=0.15)
    grouped = statistics.mean(np.repeat(x[:40], 10), np.repeat(np.arange(40), 10))  # 40 independent values, not 400
    assert (grouped.high - grouped.low) / 2 == pytest.approx(1.96 * x[:40].std() / np.sqrt(40), rel=0.2)
    y = 0.6 * x + 0.8 * rng.standard_normal(400)
    r = statistics.correlation(x, y, np.arange(400))
    assert r.value == pytest.approx(np.corrcoef(x, y)[0, 1]) and 0.05 < r.high - r.low < 0.2
    share = statistics.proportion(x > 0, np.arange(400))
    assert share.value == np.mean(x > 0) and share.high - share.low == pytest.approx(4 * 0.5 / 20, rel=0.15)
    assert statistics.proportion(np.zeros(40, bool), np.arange(40)).high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert statistics.draws(5).shape == (DRAWS, 5) and (statistics.draws(5).sum(1) == 5).all()
    alone = statistics.mean(x, np.zeros(400))
    assert np.isnan(alone.low) and alone.to_dict()["low"] is None
    assert statistics.auc(x, x > 9, np.arange(400)) is statistics.NOTHING


def test_the_table_keeps_the_text_around_it(tmp_path: Path) -> None:
    bad, fine = Estimate(0.5, 0.4, 0.6, 40), Estimate(0.97, 0.94, 0.99, 40)
    results = {
        "loudness": {"readings": {"closed": bad}, "motion": {"jaw_r": Estimate(0.6, 0.5, 0.7, 900)}},
        "base": {"readings": {"closed": fine}, "motion": {"jaw_r": Estimate(0.7, 0.6, 0.8, 900)}},
    }
    out = tmp_path / "results.md"
    real_speech.write(results, out)
    out.write_text(out.read_text().replace("# Results", "# Results\n\nMine.") + "\nAnd this.\n")
    real_speech.write(results, out)
    text = out.read_text()
    assert text.count("### readings") == 1 and "Mine." in text and text.endswith("And this.\n")
    assert "| closed | >= 0.95 | 0.50 (0.40 to 0.60) ✗ | 0.97 (0.94 to 0.99) | 40 |" in text
    assert "| jaw_r | above loudness | 0.60 (0.50 to 0.70) | 0.70 (0.60 to 0.80) | 900 |" in text
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["results"]["base"]["readings"]["closed"] == {"value": 0.97, "low": 0.94, "high": 0.99, "n": 40}
    out.write_text("nothing marked")
    with pytest.raises(VultusError, match="marks"):
        real_speech.write(results, out)


def test_noise_and_telephone_band() -> None:
    t = np.arange(16000) / 16000
    clip = Clip(
        "x", Speech((0.1 * np.sin(2 * np.pi * 100 * t) + 0.1 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32))
    )
    (noisy,) = real_speech.with_noise([clip], 10)
    added = np.concatenate(list(noisy.source.blocks())) - np.concatenate(list(clip.source.blocks()))
    assert 10 * np.log10(0.01 / np.mean(added**2)) == pytest.approx(10, abs=0.2)
    (narrow,) = real_speech.telephone([clip])
    x = np.concatenate(list(narrow.source.blocks()))
    assert np.abs(x - 0.1 * np.sin(2 * np.pi * 1000 * t)).max() < 1e-3


def test_the_command_tells_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pocketsphinx", reason='needs PocketSphinx: pip install "vultus[corpus]"')
    status = real_speech.main(["--real-data", str(tmp_path), "--out", str(tmp_path / "results.md")])
    assert status == 2 and capsys.readouterr().err.count("\n") == 1
    with pytest.raises(VultusError, match="FACEGOOD"):
        read_facegood(tmp_path)


@pytest.mark.needs_data
def test_real_readings_with_the_comparators(face: Face, real_data: Path) -> None:
    """The label-driven teacher passes on real recordings what loudness alone cannot."""
    pytest.importorskip("pocketsphinx", reason='needs PocketSphinx: pip install "vultus[corpus]"')
    clips = [c for c in real_speech.readings(real_data) if c.source.duration < 20]
    assert len(clips) == 6 and sum(p.symbol in "PBM" for c in clips for p in c.phones) >= 20

    def tracks(predict: Predict) -> list[Track]:
        return [face.track(clip, predict) for clip in clips]

    taught = phone_tests(tracks(real_speech.teacher(clips)))
    loud = phone_tests(tracks(real_speech.predictor("loudness", finished=False)))
    assert taught["closed"].value >= 0.95 and taught["closed_by_mistake"].value <= 0.03
    assert min(taught[f"{k}_auc"].value for k in ("closure", "rounding", "labiodental")) >= 0.93
    assert loud["closed"].value < 0.6 and loud["rounding_auc"].value == 0.5 and loud["closure_auc"].value < 0.8


@pytest.mark.needs_data
def test_real_motion(face: Face, real_data: Path) -> None:
    takes = read_facegood(real_data / "facegood_mandarin")
    assert [len(t.jaw) for t in takes] == [3295, 1472]
    found = motion_tests(face, real_speech.predictor("loudness", finished=False), takes)
    assert 0.45 < found["jaw_r"].value < 0.75 and abs(found["jaw_lag_ms"].value) < 67
    assert found["rounding_auc"].value == 0.5 and 0.2 < found["reference_2_8_hz"].value < 0.5
