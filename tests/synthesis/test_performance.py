"""Expression, life and whole performances: rates and sizes of events, determinism, contacts after all layers."""

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.head import load_head
from vultus.measures import FaceMeasures
from vultus.motion import WEIGHT_NAMES
from vultus.synthesis.expression import blink_times, expression_layer, gaze_path, questions, random_layer
from vultus.synthesis.head_motion import head_layer
from vultus.synthesis.performance import combine, life_layer, perform
from vultus.synthesis.phones import Phone
from vultus.synthesis.prosody import Prosody, analyse
from vultus.synthesis.style import PRESETS, Style

RATE = 16000


def column(weights: np.ndarray, name: str) -> np.ndarray:
    return weights[:, WEIGHT_NAMES.index(name)]


def talk(seconds: float, seed: int = 0) -> np.ndarray:
    """Sound with the rhythm of speech: syllables of 0.2 s with moving pitch, phrases of 2 to 4 s, pauses of 0.5 s."""
    rng = np.random.default_rng(seed)
    out: list[np.ndarray] = []
    while sum(map(len, out)) < seconds * RATE:
        for _ in range(int(rng.integers(10, 20))):
            t = np.arange(int(0.2 * RATE)) / RATE
            hertz = 120 * 2 ** (rng.normal(0, 3) / 12)
            gain = 0.15 * 10 ** (rng.normal(0, 4) / 20) * np.sin(np.pi * t / 0.2) ** 0.7
            out.append(gain * sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 9)))
        out.append(np.zeros(RATE // 2))
    return np.concatenate(out)[: int(seconds * RATE)].astype(np.float32)


@pytest.fixture(scope="module")
def minutes() -> Prosody:
    """Four minutes of talk."""
    return analyse(talk(240))


LINE = [
    Phone("SIL", 0.0, 0.5), Phone("M", 0.5, 0.58), Phone("AA", 0.58, 0.75, 1), Phone("P", 0.75, 0.83),
    Phone("AY", 0.83, 1.05, 1), Phone("F", 1.05, 1.13), Phone("IY", 1.13, 1.3, 1), Phone("B", 1.3, 1.38),
    Phone("UW", 1.38, 1.55, 0), Phone("SIL", 1.55, 2.2),
]  # fmt: skip


def line_samples() -> np.ndarray:
    out = np.zeros(int(2.2 * RATE), np.float32)
    t = np.arange(round(1.05 * RATE)) / RATE
    out[RATE // 2 : RATE // 2 + len(t)] = 0.2 * sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 9))
    return out


# ---------------------------------------------------------------------------------------------- blinks and gaze


@pytest.mark.parametrize("rate", [15.0, 20.0, 30.0])
def test_blink_rate_while_talking(minutes: Prosody, rate: float) -> None:
    counts = [len(blink_times(minutes, minutes.seconds, seed, Style(blink_rate=rate))) for seed in range(8)]
    assert np.mean(counts) / (minutes.seconds / 60) == pytest.approx(rate, rel=0.2)
    gaps = np.diff([b[0] for b in blink_times(minutes, minutes.seconds, 0, Style(blink_rate=rate))])
    assert gaps.min() > 0.25
    assert np.std(gaps) > 0.3 * np.mean(gaps)


def test_blinks_fall_fast_and_rise_slowly(minutes: Prosody) -> None:
    fps = 240.0
    lids = column(random_layer(minutes, int(60 * fps), fps, 1, Style(gaze_activity=0.0)), "eyeBlinkLeft")
    peaks = np.flatnonzero((lids[1:-1] >= lids[:-2]) & (lids[1:-1] > lids[2:]) & (lids[1:-1] > 0.85)) + 1
    assert len(peaks) > 8
    falls, rises = [], []
    for peak in peaks:
        before = lids[max(0, peak - 60) : peak][::-1] < 0.1
        after = lids[peak : peak + 120] < 0.1
        if before.any() and after.any():
            falls.append(np.argmax(before) / fps)
            rises.append(np.argmax(after) / fps)
    assert 0.03 < np.median(falls) < 0.12
    assert 0.09 < np.median(rises) < 0.26
    assert np.median(rises) > 1.3 * np.median(falls)
    depths = np.array([d for s in range(10) for _, d in blink_times(minutes, 240.0, s, Style())])
    assert 0.03 < (depths < 0.8).mean() < 0.25  # some are half


def test_gaze_fixates_and_jumps(minutes: Prosody) -> None:
    times = np.arange(0, 240, 1 / 60)
    path, saccades = gaze_path(minutes, times, 0, Style())
    gaps = np.diff([t for t, _ in saccades])
    assert gaps.min() >= 0.15
    assert gaps.max() < 3.5
    assert 0.3 < np.median(gaps) < 2
    sizes = np.array([s for _, s in saccades])
    assert 1 < np.median(sizes) < 8
    assert sizes.max() < 30
    assert np.abs(path).max() < 25
    speed = np.hypot(*np.diff(path, axis=0).T) * 60
    assert np.median(speed) < 8  # still nearly always
    assert speed.max() > 100  # and then very fast
    calm, _ = gaze_path(minutes, times, 0, Style(gaze_activity=0.0))
    assert np.hypot(*calm.T).mean() < 0.7 * np.hypot(*path.T).mean()


def test_eyes_stay_with_the_listener_while_the_head_turns(minutes: Prosody) -> None:
    head = np.zeros((600, 3), np.float32)
    head[:, 1] = 0.2  # to the subject's left
    straight, turned = (random_layer(minutes, 600, 60, 3, Style(), h) for h in (None, head))
    assert column(turned, "eyeLookOutRight").mean() > column(straight, "eyeLookOutRight").mean() + 0.2
    assert column(turned, "eyeLookInLeft").mean() > column(straight, "eyeLookInLeft").mean() + 0.2


# ---------------------------------------------------------------------------------------------- brows, mood, head


def test_brows_rise_on_accents_and_activity_scales_them(minutes: Prosody) -> None:
    frames = 120 * 60
    lively, still = (
        column(expression_layer(minutes, frames, 60, 0, Style(brow_activity=a)), "browInnerUp") for a in (2.0, 0.0)
    )
    assert lively.max() > 0.35
    assert still.max() < 0.1
    rises = ((lively[1:] > 0.2) & (lively[:-1] <= 0.2)).sum() / 2
    assert 3 < rises < 60  # a minute


def test_a_rising_phrase_is_a_question() -> None:
    def phrase(last: float) -> Prosody:
        t = np.arange(RATE) / RATE
        hertz = np.where(t < 0.7, 120.0, 120 * 2 ** (last * (t - 0.7) / 0.3 / 12))
        wave = sum(np.sin(2 * np.pi * np.cumsum(hertz) / RATE * k) / k for k in range(1, 6))
        return analyse(np.concatenate([np.zeros(4000), 0.2 * wave, np.zeros(8000)]).astype(np.float32))

    assert len(questions(phrase(9.0))) == 1
    assert questions(phrase(-3.0)) == []


def test_head_turns_a_little_and_smoothly(minutes: Prosody) -> None:
    head = np.degrees(head_layer(minutes, 120 * 60, 60, 0, Style()))
    assert (head.std(axis=0) > 0.7).all()
    assert np.abs(head).max() < 15
    assert np.abs(np.diff(head, axis=0)).max() * 60 < 80  # degrees a second
    low = np.degrees(head_layer(minutes, 120 * 60, 60, 0, Style(head_gain=0.3)))
    np.testing.assert_allclose(low, 0.3 * head, atol=1e-3)
    silent = np.degrees(head_layer(analyse(np.zeros(30 * RATE, np.float32)), 1800, 60, 0, Style()))
    assert 0 < silent.std() < 0.6 * head.std()


def test_smile_and_effort_show(minutes: Prosody) -> None:
    warm = expression_layer(minutes, 3600, 60, 0, Style(smile=0.2))
    stern = expression_layer(minutes, 3600, 60, 0, Style(smile=-0.2, effort=0.8))
    assert column(warm, "mouthSmileLeft").mean() > 0.12
    assert column(stern, "mouthFrownLeft").mean() > 0.1
    assert column(stern, "browDownLeft").mean() > column(warm, "browDownLeft").mean() + 0.05


# ---------------------------------------------------------------------------------------------- whole performances


def test_layers_hold_what_they_are_named_for() -> None:
    show = perform(LINE, line_samples(), seed=1)
    assert show.speech.shape == show.expression.shape == show.random.shape == (132, 55)
    assert show.head.shape == (132, 3)
    eyes_brows = [i for i, n in enumerate(WEIGHT_NAMES) if n.startswith(("eye", "brow"))]
    mouth = [i for i, n in enumerate(WEIGHT_NAMES) if n.startswith(("jaw", "mouth", "tongue"))]
    assert not show.speech[:, eyes_brows].any()
    assert not show.random[:, mouth].any()
    assert not column(show.expression, "eyeBlinkLeft").any()
    for layer in (show.speech, show.expression, show.random):
        assert layer.dtype == np.float32
        assert layer.min() >= 0
        assert layer.max() <= 1


def test_takes_are_reproducible_and_differ() -> None:
    one, same, other = (perform(LINE, line_samples(), seed=s) for s in (4, 4, 5))
    for name in ("speech", "expression", "random", "head"):
        assert np.array_equal(getattr(one, name), getattr(same, name)), name
        assert np.abs(getattr(one, name) - getattr(other, name)).max() > 1e-3, name


def test_frame_rates_show_the_same_life() -> None:
    slow, fast = (perform(LINE, line_samples(), seed=2, fps=f) for f in (30.0, 60.0))
    assert len(fast) == 2 * len(slow)
    for name in ("expression", "random", "head", "speech"):
        np.testing.assert_allclose(getattr(fast, name)[::2], getattr(slow, name), atol=2e-3, err_msg=name)


@pytest.mark.parametrize("identity", [None, 1, 4, 9])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_contacts_hold_when_all_layers_are_added(identity: int | None, preset: str) -> None:
    head = load_head(identity)
    measures = FaceMeasures(head.rig, head.template)
    show = perform(LINE, line_samples(), Style.preset(preset), head, seed=3)
    final = combine(show, head=head)
    gap, crossing = measures.lip_gap(final)
    told, _ = measures.lip_gap(show.speech)
    times = np.arange(len(final)) / 60
    for phone in LINE:
        if phone.symbol in ("M", "P", "B"):
            near = (times >= phone.start - 1 / 60) & (times <= phone.end + 1 / 60)
            assert gap[near].min() <= 0.2, phone
    assert gap[told < 0.12].max() <= 0.25
    assert crossing.min() >= -0.6


def test_a_broad_smile_does_not_part_sealed_lips() -> None:
    head = load_head()
    measures = FaceMeasures(head.rig, head.template)
    show = perform(LINE, line_samples(), seed=3)
    smile = np.zeros_like(show.speech)
    for name in ("mouthSmileLeft", "mouthSmileRight", "mouthUpperUpLeft", "mouthUpperUpRight"):
        smile[:, WEIGHT_NAMES.index(name)] = 0.6
    final = combine(show, smile, head=head)
    sealed = measures.lip_gap(show.speech)[0] < 0.12
    assert sealed.sum() > 8
    assert measures.lip_gap(final)[0][sealed].max() <= 0.3
    assert column(final, "mouthSmileLeft")[sealed].mean() > 0.3  # it is the opening that gives way


def test_combine_leaves_what_needs_no_change() -> None:
    speech = np.zeros((5, 55), np.float32)
    blink = np.zeros_like(speech)
    blink[:, WEIGHT_NAMES.index("eyeBlinkLeft")] = 0.5
    np.testing.assert_allclose(combine(speech, blink), blink, atol=1e-6)
    with pytest.raises(VultusError, match="layer"):
        combine(speech, blink[:3])
    with pytest.raises(VultusError, match="55"):
        combine(speech[:, :52])


def test_combine_does_not_depend_on_how_a_recording_is_cut() -> None:
    rng = np.random.default_rng(0)
    speech = np.clip(rng.normal(0.05, 0.1, (5000, 55)), 0, 1).astype(np.float32)
    layer = np.clip(rng.normal(0.05, 0.1, (5000, 55)), 0, 1).astype(np.float32)
    whole = combine(speech, layer)
    parts = np.concatenate([combine(speech[a : a + 777], layer[a : a + 777]) for a in range(0, 5000, 777)])
    assert np.array_equal(whole, parts)


def test_life_goes_on_in_silence_and_depends_on_the_seed() -> None:
    silent = analyse(np.zeros(60 * RATE, np.float32))
    weights, head = life_layer(silent, 3600, 60, 1)
    again, _ = life_layer(silent, 3600, 60, 1)
    other, _ = life_layer(silent, 3600, 60, 2)
    assert np.array_equal(weights, again)
    assert np.abs(weights - other).max() > 0.3
    lids = column(weights, "eyeBlinkLeft")
    assert 5 <= ((lids[1:] > 0.5) & (lids[:-1] <= 0.5)).sum() <= 35
    assert head.std() > 0.001
    assert column(weights, "jawOpen").max() == 0
    mouth = [i for i, n in enumerate(WEIGHT_NAMES) if n.startswith("mouth")]
    assert weights[:, mouth].max() < 0.15


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 100), np.float32), np.zeros(0, np.float32), np.array([0.0, np.nan], np.float32)]
)
def test_bad_sound_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(VultusError):
        perform(LINE, samples)


def test_a_performance_of_one_sample() -> None:
    assert len(perform([], np.zeros(1, np.float32))) == 1
