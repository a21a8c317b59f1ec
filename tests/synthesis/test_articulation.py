"""Gestures, contacts and the mouth: physical ranges, and contacts on the mesh of several people."""

from pathlib import Path

import numpy as np
import pytest

from vultus.benchmark.mouth_tests import Clip, Face, phone_tests
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.measures import FaceMeasures
from vultus.motion import WEIGHT_NAMES
from vultus.speech import Speech
from vultus.synthesis import dynamics, gestures
from vultus.synthesis.articulation import Articulator, articulate
from vultus.synthesis.contacts import solve_intervals
from vultus.synthesis.phones import Phone, read_pocketsphinx_json, tidy
from vultus.synthesis.prosody import analyse
from vultus.synthesis.style import PRESETS, Style

RATE = 16000
WORDS = (
    "SIL:.5 M:.07 AA1:.14 M:.06 AA0:.10 SIL:.4 B:.06 IY1:.11 F:.07 AO1:.13 R:.06 F:.08 AY1:.18 V:.06 P:.07 UW1:.14 "
    "L:.06 Z:.09 W:.05 EH1:.1 N:.06 T:.06 DH:.04 AX0:.05 B:.05 AE1:.15 T:.06 S:.1 HH:.05 OW1:.16 P:.06 AH0:.07 N:.06 "
    "SIL:.35 K:.07 AE1:.14 M:.06 P:.06 SH:.1 AW1:.17 D:.06 B:.03 AX0:.04 M:.025 Y:.04 UW1:.13 SIL:.6"
)


def spoken(words: str = WORDS) -> tuple[list[Phone], np.ndarray]:
    """Phones written as SYMBOL[stress]:seconds, and a sound that is loud in vowels and silent in pauses."""
    phones, now = [], 0.0
    for word in words.split():
        name, length = word.split(":")
        stress = int(name[-1]) if name[-1].isdigit() else -1
        phones.append(Phone(name.rstrip("012"), now, now + float(length), stress))
        now += float(length)
    t = np.arange(round(now * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 9))
    gain = np.zeros(len(t))
    for p in phones:
        level = 0.0 if p.is_silence else 0.2 if p.is_vowel else 0.06
        gain[round(p.start * RATE) : round(p.end * RATE)] = level
    gain = np.convolve(gain, np.hanning(321) / np.hanning(321).sum(), mode="same")
    return tidy(phones, len(t) / RATE), (buzz * gain).astype(np.float32)


PHONES, SAMPLES = spoken()
PROSODY = analyse(SAMPLES)
PEOPLE = (None, 1, 7, "seed=3,age=0.9,weight=0.8")


class Mouth:
    """The measured mouth of one performance at 60 frames a second."""

    def __init__(self, identity: int | str | None, style: Style, seed: int = 0, fps: float = 60.0) -> None:
        head = load_head(identity)
        self.measures = FaceMeasures(head.rig, head.template)
        self.weights = articulate(PHONES, PROSODY, style, Articulator(self.measures), seed, fps)
        self.times = np.arange(len(self.weights)) / fps
        self.gap, self.crossing = self.measures.lip_gap(self.weights)

    def measure(self, name: str) -> np.ndarray:
        return self.measures.measure(self.weights)[:, list(self.measures.names).index(name)]


@pytest.fixture(scope="module")
def mouth() -> Mouth:
    return Mouth(None, Style())


def during(mouth: Mouth, phone: Phone, slack: float = 0.0) -> np.ndarray:
    return (mouth.times >= phone.start - slack) & (mouth.times <= phone.end + slack)


@pytest.mark.parametrize("identity", PEOPLE)
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_contacts_hold_on_every_mesh_in_every_style(identity: int | str | None, preset: str) -> None:
    mouth = Mouth(identity, Style.preset(preset))
    lip_to_teeth = mouth.measure("lower_lip_to_upper_incisor")
    for phone in PHONES:
        near = during(mouth, phone, 1 / 60)
        if phone.symbol in ("P", "B", "M"):
            best = np.flatnonzero(near)[np.argmin(mouth.gap[near])]
            assert -0.6 <= mouth.crossing[best] <= mouth.gap[best] <= 0.2, phone
        if phone.symbol in ("F", "V"):
            open_lips = near & (mouth.gap > 0.8)
            assert np.abs(lip_to_teeth[open_lips]).min() <= 0.7, phone
    assert mouth.crossing.min() >= -0.6
    assert mouth.weights.min() >= 0
    assert mouth.weights.max() <= 1


def test_contacts_hold_for_random_people() -> None:
    for seed in range(12):
        mouth = Mouth(seed % 3, Style.random(np.random.default_rng(seed)), seed)
        assert mouth.crossing.min() >= -0.6
        for phone in PHONES:
            if phone.symbol in ("P", "B", "M"):
                assert mouth.gap[during(mouth, phone, 1 / 60)].min() <= 0.2, (seed, phone)


@pytest.mark.parametrize("fps", [24.0, 30.0, 120.0])
def test_closures_are_seen_at_every_frame_rate(fps: float) -> None:
    mouth = Mouth(None, Style(), fps=fps)
    for phone in PHONES:
        if phone.symbol in ("P", "B", "M"):
            assert mouth.gap[during(mouth, phone, 1 / fps)].min() <= 0.3, phone


def test_open_vowels_are_open_and_ordered(mouth: Mouth) -> None:
    def opening(symbol: str) -> float:
        return float(
            np.mean([mouth.gap[during(mouth, p)].max() for p in PHONES if p.symbol == symbol and p.stress == 1])
        )

    for symbol in ("AA", "AE", "AY", "AW"):
        assert opening(symbol) > 7
    assert opening("AA") > opening("EH") > opening("UW") > 1
    for phone in PHONES:
        if phone.symbol in ("AA", "AE", "AO", "AY", "AW") and phone.duration > 0.07:
            assert mouth.gap[during(mouth, phone)].max() > 3


def test_physical_ranges(mouth: Mouth) -> None:
    jaw = mouth.measure("jaw_opening") - mouth.measures.rest[list(mouth.measures.names).index("jaw_opening")]
    assert 5 <= np.percentile(jaw, 95) <= 15
    assert jaw.max() <= 16
    score = gestures.plan(PHONES, PROSODY, Style(), 0, int(PROSODY.seconds * 120) + 2)
    lengths = [b - a for a, b in score.closures]
    assert all(0.045 <= length <= 0.14 for length in lengths)
    aperture = score.values[:, 1] * (1 - np.minimum(score.seal, 1))
    speeds = []
    for start, _ in score.closures:
        window = aperture[int((start - 0.1) * 120) : int(start * 120) + 2]
        speeds.append(-np.diff(window).min() * 120)
    assert 80 <= np.median(speeds) <= 250
    assert max(speeds) <= 300


def test_jaw_moves_at_the_rate_of_syllables(mouth: Mouth) -> None:
    jaw = mouth.weights[:, WEIGHT_NAMES.index("jawOpen")]
    power = np.abs(np.fft.rfft(jaw - jaw.mean())) ** 2
    hertz = np.fft.rfftfreq(len(jaw), 1 / 60)
    share = power[(hertz >= 2) & (hertz <= 8)].sum() / power.sum()
    assert 0.2 <= share <= 0.6


def test_weights_are_smooth(mouth: Mouth) -> None:
    steps = np.abs(np.diff(mouth.weights, axis=0)).max(axis=0)
    assert steps.max() < 0.45  # of a full shape within 17 ms
    assert steps[WEIGHT_NAMES.index("jawOpen")] < 0.15


def test_silence_is_rest(mouth: Mouth) -> None:
    assert mouth.gap[-10:].max() < 0.3
    assert mouth.weights[-10:].max() < 0.03
    silent = articulate([], np.zeros(RATE, np.float32), Style(), Articulator(mouth.measures), 0)
    assert silent.shape == (60, 55)
    assert silent.max() < 0.01
    parted = articulate([], np.zeros(RATE, np.float32), Style(rest_opening=1.5), Articulator(mouth.measures), 0)
    assert 0.8 < mouth.measures.lip_gap(parted)[0].min() < 3.0


def test_rest_is_reached_in_time(mouth: Mouth) -> None:
    last = PHONES[-1].start
    gap = mouth.gap[mouth.times >= last]
    reached = np.flatnonzero(gap < 0.15 * gap[0] + 0.1)[0] / 60
    assert 0.1 <= reached <= 0.45


def test_tongue_and_rounding(mouth: Mouth) -> None:
    def peak(symbol: str, shape: str) -> float:
        curve = mouth.weights[:, WEIGHT_NAMES.index(shape)]
        return float(np.mean([curve[during(mouth, p)].max() for p in PHONES if p.symbol == symbol]))

    for symbol in ("T", "D", "N", "L"):
        assert peak(symbol, "tongueUp") > 0.4
    assert peak("K", "tongueBack") > 0.4
    assert peak("AA", "tongueDown") > 0.2
    assert peak("DH", "tongueOut") > 0.08
    assert peak("UW", "mouthPucker") > 0.45 > peak("AE", "mouthPucker")


def test_loudness_opens_the_jaw_and_whisper_keeps_the_lips() -> None:
    measures = Mouth(None, Style()).measures
    loud = SAMPLES.copy()
    middle = len(loud) // 2
    loud[:middle] *= 0.25  # first half 12 dB down
    soft = articulate(PHONES, loud, Style(), Articulator(measures), 0)
    plain = articulate(PHONES, SAMPLES, Style(), Articulator(measures), 0)
    half = slice(30, middle * 60 // RATE)
    jaw = WEIGHT_NAMES.index("jawOpen")
    assert soft[half, jaw].mean() < 0.85 * plain[half, jaw].mean()
    whispered = np.random.default_rng(0).standard_normal(len(SAMPLES)).astype(np.float32) * np.abs(SAMPLES) * 0.2
    gap = measures.lip_gap(articulate(PHONES, whispered, Style(), Articulator(measures), 0))[0]
    times = np.arange(len(gap)) / 60
    for phone in PHONES:
        if phone.symbol in ("P", "B", "M"):
            assert gap[(times >= phone.start - 1 / 60) & (times <= phone.end + 1 / 60)].min() <= 0.2


def test_same_seed_same_take_and_other_seed_another() -> None:
    one, again, other = (Mouth(None, Style(), seed).weights for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    jaw = WEIGHT_NAMES.index("jawOpen")
    assert np.abs(one - other)[:, jaw].max() > 0.02
    assert np.corrcoef(one[:, jaw], other[:, jaw])[0, 1] > 0.9


def test_style_changes_what_it_says(mouth: Mouth) -> None:
    jaw = WEIGHT_NAMES.index("jawOpen")
    assert Mouth(None, Style(jaw_gain=0.6)).weights[:, jaw].mean() < 0.75 * mouth.weights[:, jaw].mean()
    pucker = WEIGHT_NAMES.index("mouthPucker")
    assert Mouth(None, Style(rounding_gain=0.6)).weights[:, pucker].max() < 0.9 * mouth.weights[:, pucker].max()
    wide, narrow = (Mouth(None, Style(width_bias=b)).measure("lip_width").mean() for b in (1.0, -1.0))
    assert wide > narrow + 1
    left = Mouth(None, Style(asymmetry=1.0)).weights
    assert (
        left[:, WEIGHT_NAMES.index("mouthStretchLeft")].sum() > left[:, WEIGHT_NAMES.index("mouthStretchRight")].sum()
    )


def test_follow_is_the_critically_damped_response() -> None:
    """Against the closed form 1 - (1 + wt) exp(-wt) for a step."""
    w, rate = 30.0, 120.0
    targets = np.ones((60, 1))
    targets[0] = 0.0
    moved = dynamics.follow(targets, np.full((60, 1), w), rate)[:, 0]
    t = np.arange(60) / rate
    np.testing.assert_allclose(moved, 1 - (1 + w * t) * np.exp(-w * t), atol=1e-12)


def test_contact_pulses_hold_exactly_as_long_as_asked() -> None:
    times = np.arange(0, 1, 1 / 1000)
    pulse = dynamics.contact_pulse(times, [(0.3, 0.36), (0.6, 0.605)], np.full((2, 2), 45.0))
    closed = pulse >= 1 - 1e-3
    assert closed[300:361].all()
    assert not closed[:297].any()
    assert not closed[363:590].any()
    assert closed[602]
    assert pulse.max() <= 1.4


def test_intervals_are_solved_as_scipy_solves_them() -> None:
    """The coordinate descent against a general solver on random problems."""
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    matrix, rest = rng.standard_normal((6, 5)), rng.standard_normal(6)
    count = 8
    low = rng.standard_normal((6, count))
    high = low + rng.random((6, count)) * (rng.random((6, count)) < 0.5)
    stiffness, prior = rng.random((6, count)) * 5, rng.random((5, count))
    hold, cost = rng.random(5) + 0.1, rng.random(5) * 0.2
    found = solve_intervals(matrix, rest, low, high, stiffness, prior, hold, cost, sweeps=2000, tolerance=1e-9)
    for i in range(count):

        def energy(w: np.ndarray, i: int = i) -> float:
            at = matrix @ w + rest
            miss = np.minimum(at - low[:, i], 0) + np.maximum(at - high[:, i], 0)
            return float(stiffness[:, i] @ miss**2 + hold @ (w - prior[:, i]) ** 2 + cost @ w)

        best = optimize.minimize(energy, np.full(5, 0.5), bounds=[(0, 1)] * 5, options={"ftol": 1e-14, "gtol": 1e-9})
        assert energy(found[:, i]) <= best.fun + 1e-6
        np.testing.assert_allclose(found[:, i], best.x, atol=2e-3)


def test_measures_of_another_face_are_refused() -> None:
    class Bare:
        names = ("aperture_0",)
        matrix = np.zeros((1, 55))
        rest = np.zeros(1)

    with pytest.raises(VultusError, match="jaw_opening"):
        Articulator(Bare())  # type: ignore[arg-type]


@pytest.mark.needs_data
def test_label_driven_scores_on_real_speech(real_data: Path) -> None:
    folder = real_data / "speech" / "pocketsphinx_librivox"
    clips = []
    for labels in sorted(folder.glob("*.phone.json")):
        speech = Speech.load(labels.with_name(labels.name.replace(".phone.json", ".wav")))
        clips.append(Clip(labels.name, speech, tuple(read_pocketsphinx_json(labels))))
    assert len(clips) == 2
    articulator = Articulator.of(load_head())
    known = {id(c.source): c.phones for c in clips}
    face = Face()
    tracks = [
        face.track(c, lambda s: (articulate(known[id(s)], s.samples, Style(), articulator, 0), 60.0)) for c in clips
    ]
    scores = phone_tests(tracks)
    assert scores["closed"].value == 1.0
    assert scores["closed_by_mistake"].value == 0.0
    assert scores["closure_auc"].value >= 0.97
    assert scores["rounding_auc"].value >= 0.97
    assert scores["labiodental_auc"].value >= 0.97
    assert scores["open_centre_auc"].value >= 0.93
    assert abs(scores["timing_ms"].value) <= 20
