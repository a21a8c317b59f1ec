"""Closures of /p b m/ and closed lips in open vowels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mouths import frames, mouth, phones_of

from vultus.metrics import Accumulator, Example, Unavailable, load_metric, score

PHONES = phones_of("SIL:0.4 P:0.12 AA:0.2 T:0.2 M:0.12 AA:0.2 T:0.2 B:0.12 AE:0.06 SIL:0.4")


def speaking(fps: float = 25.0, late: float = 0.0, keep: tuple[str, ...] = ("P", "B", "M")) -> np.ndarray:
    """10 mm open for vowels, 4 for other sounds, closed for silence and the bilabials in `keep`."""
    times = frames(PHONES[-1].end, fps) - late
    curve = np.zeros(len(times))
    for phone in PHONES:
        inside = (times >= phone.start - 1e-6) & (times < phone.end - 1e-6)
        curve[inside] = 10 if phone.is_vowel else 0 if phone.is_silence or phone.symbol in keep else 4
    return curve


def example(prediction: np.ndarray, reference: np.ndarray | None = None, fps: float = 25.0) -> Example:
    return mouth(speaking(fps) if reference is None else reference, prediction, phones=PHONES, fps=fps)


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_by_hand(fps: float) -> None:
    assert score("closure_recall", example(speaking(fps), fps=fps)) == 1
    assert score("closure_recall", example(speaking(fps, keep=("P",)), fps=fps)) == pytest.approx(1 / 3)
    assert score("false_closure", example(speaking(fps), fps=fps)) == 0
    shut = speaking(fps)
    times = frames(PHONES[-1].end, fps)
    shut[(times >= PHONES[2].start - 1e-6) & (times < PHONES[2].end)] = 0
    found = load_metric("false_closure").measure(example(shut, fps=fps))
    assert found.tolist() == [1, 2]  # the third open vowel is too short to count


def test_the_limit_is_the_references() -> None:
    curve = speaking()
    row = load_metric("closure_recall").measure
    assert row(example(0.1 * curve + 1.6)).tolist() == [0, 3]  # hardly moves, 1.6 mm open: 1.5 is closed
    assert row(example(0.1 * curve + 1.4)).tolist() == [3, 3]
    assert row(example(np.full(len(curve), 5.0))).tolist() == [0, 3]
    assert score("false_closure", example(np.zeros(len(curve)))) == 1 == score("closure_recall", example(0 * curve))


def test_closures_that_the_reference_has_not_do_not_count() -> None:
    reference = speaking(keep=("P", "B"))
    assert load_metric("closure_recall").measure(example(speaking(), reference)).tolist() == [2, 2]
    scores = Accumulator(load_metric("closure_recall"))
    scores.update(example(speaking(), np.full(len(reference), 5.0)))
    assert np.isnan(scores.compute().value)  # nothing was closed: nothing to find


def test_one_frame_of_film_is_allowed() -> None:
    assert score("closure_recall", example(speaking(60, 0.04), fps=60)) == 1
    assert score("closure_recall", example(speaking(60, 0.2), fps=60)) < 1


def test_against_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    scores = {name: Accumulator(load_metric(name)) for name in ("closure_recall", "false_closure")}
    hits = wanted = shut = vowels = 0
    for seed in range(20):
        reference, prediction = (
            rng.choice([0.0, 1, 5, 10], len(speaking()), p=np.array([q, q, 1 - q, 1 - q]) / 2)
            for q in rng.uniform(size=2)
        )
        for accumulator in scores.values():
            accumulator.update(replace(example(prediction, reference), name=str(seed)))
        limit = 0.15 * np.percentile(reference, 95)
        for phone in PHONES:
            wide = [i for i in range(len(reference)) if phone.start - 0.04 <= i / 25 + 1e-6 < phone.end + 0.04]
            inside = [i for i in range(len(reference)) if phone.start <= i / 25 + 1e-6 < phone.end]
            if phone.symbol in "PBM" and any(reference[i] < limit for i in wide):
                wanted += 1
                hits += any(prediction[i] < limit for i in wide)
            if phone.symbol in ("AA", "AE") and phone.duration >= 0.07 and any(reference[i] >= limit for i in inside):
                vowels += 1
                shut += all(prediction[i] < limit for i in inside)
    assert 0 < hits < wanted and 0 < shut < vowels
    assert scores["closure_recall"].compute().value == pytest.approx(hits / wanted)
    assert scores["false_closure"].compute().value == pytest.approx(shut / vowels)


def test_without_phones() -> None:
    bare = replace(example(speaking()), phones=None)
    for name in ("closure_recall", "false_closure", "fv_contact"):
        with pytest.raises(Unavailable, match="phones"):
            score(name, bare)
