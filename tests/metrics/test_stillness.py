"""Motion of the lips in pauses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mouths import LIPS, SHARE, frames, mouth, phones_of, sound_of

from vultus.metrics import Example, Unavailable, load_metric, score
from vultus.metrics.stillness import pauses

PHONES = phones_of("SIL:1.0 AA:1.0 SIL:1.2 M:0.4 SIL:0.4 AA:0.5 SIL:0.7")


def example(wobble: np.ndarray, reference: np.ndarray | float = 0.0) -> Example:
    times = frames(PHONES[-1].end)
    return mouth(np.zeros(len(times)) + reference, wobble, phones=PHONES)


def test_where_pauses_are() -> None:
    found = pauses(example(np.zeros(130)))
    # From the start to 0.15 s before speech; 0.3 s after speech to 0.15 s before it; 0.3 s after speech to the end.
    expected = [(0, 0.85), (2.3, 3.05), (4.8, 5.2)]
    assert len(found) == len(expected)
    for inside, (start, end) in zip(found, expected, strict=True):
        assert start - 1e-6 <= inside[0] / 25 < start + 0.04 and end - 0.04 - 1e-6 <= inside[-1] / 25 < end


def test_pauses_from_the_sound_alone() -> None:
    level = np.zeros(130)
    level[25:50] = level[80:90] = level[100:112] = 1.0
    heard = replace(example(np.zeros(130)), phones=None, speech=sound_of(level, 25, range_db=60))
    assert [round(inside[0] / 25, 1) for inside in pauses(heard)] == [0.0, 2.3, 4.8]
    with pytest.raises(Unavailable, match="neither phones nor speech"):
        score("stillness", replace(heard, speech=None))


def test_by_hand() -> None:
    # In each pause half of the frames are 2 mm lower: every moved vertex stands 1 mm from its mean.
    wobble = np.where(np.arange(130) % 2, 2.0, 0.0)
    found = load_metric("stillness").measure(example(wobble))
    total = 0.0
    of_lips = 2 * np.square(SHARE).sum() / len(LIPS)  # rim and edge of the lower lip
    for inside in pauses(example(wobble)):
        spread = np.var(wobble[inside]) * of_lips
        total += len(inside) * np.sqrt(spread)
    assert found[0] == pytest.approx(total, rel=1e-4)
    assert found[1] == sum(len(inside) for inside in pauses(example(wobble)))


def test_only_what_goes_beyond_the_speaker_counts() -> None:
    wobble = 2 * np.sin(np.arange(130))
    assert score("stillness", example(wobble, wobble)) == 0
    assert score("stillness", example(0 * wobble, wobble)) == 0
    assert 0 < score("stillness", example(1.5 * wobble, wobble)) < score("stillness", example(3 * wobble, wobble))
    assert score("stillness", example(0 * wobble + 4)) == 0  # open but still
    speaking = np.zeros(130)
    speaking[26:48] = 8.0
    assert score("stillness", example(speaking)) == 0  # movement in speech is no fault


def test_without_pauses_there_is_nothing() -> None:
    busy = mouth(np.zeros(50), np.ones(50), phones=phones_of("AA:2.0"))
    assert load_metric("stillness").measure(busy).tolist() == [0, 0]
