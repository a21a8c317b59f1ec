"""Lip-to-teeth contacts of /f v/."""

from __future__ import annotations

import numpy as np
import pytest
from mouths import frames, mouth, opened, phones_of

from vultus.metrics import load_metric

PHONES = phones_of("SIL:0.4 F:0.12 AA:0.32 V:0.12 AA:0.32 SIL:0.4")


def speaking(contacts: tuple[str, ...] = ("F", "V"), height: float = 2.0, drawn_in: float = 3.0) -> np.ndarray:
    """The lower lip is `height` mm under its rest and drawn in for the contacts; vowels are 10 mm open."""
    times = frames(PHONES[-1].end)
    down, back = np.zeros(len(times)), np.zeros(len(times))
    for phone in PHONES:
        inside = (times >= phone.start - 0.04) & (times < phone.end + 0.04 - 1e-6)
        if phone.symbol in contacts:
            down[inside], back[inside] = height, drawn_in
        elif phone.symbol == "AA" or phone.symbol in "FV":
            down[inside] = np.maximum(down[inside], 10)
    return opened(down, back)


def row(prediction: np.ndarray, reference: np.ndarray | None = None) -> list[float]:
    return (
        load_metric("fv_contact")
        .measure(mouth(speaking() if reference is None else reference, prediction, phones=PHONES))
        .tolist()
    )


def test_by_hand() -> None:
    assert row(speaking()) == [2, 2]
    assert row(speaking(("F",))) == [1, 2]
    assert row(speaking(height=3.4)) == [2, 2]  # 1.4 mm off; 15 % of 10 mm are allowed
    assert row(speaking(height=3.6)) == [0, 2]
    assert row(speaking(drawn_in=0.0)) == [0, 2]  # right height, but not under the teeth


def test_still_mouths_make_no_contact() -> None:
    count = len(speaking())
    for height in (0.0, 2.0, 8.0):
        assert row(opened(np.full(count, height))) == [0, 2]


def test_labels_without_a_contact_do_not_count() -> None:
    assert row(speaking(), speaking(("V",))) == [1, 1]
    assert row(speaking(), opened(np.zeros(len(speaking())))) == [0, 0]


@pytest.mark.parametrize("factor", [1000.0, 0.01])
def test_does_not_depend_on_scale(factor: float) -> None:
    from dataclasses import replace

    made = mouth(speaking(), speaking(height=3.4), phones=PHONES)
    scaled = replace(
        made, reference=factor * made.reference, samples=[factor * made.prediction], template=factor * made.template
    )
    assert load_metric("fv_contact").measure(scaled).tolist() == [2, 2]
