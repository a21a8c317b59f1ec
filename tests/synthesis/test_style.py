"""Style: ranges, presets, dict and vector."""

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.synthesis.style import PRESETS, RANGES, STYLE_NAMES, Style


def test_neutral_is_the_default_and_the_zero_vector() -> None:
    assert Style().to_dict() == {name: known.neutral for name, known in RANGES.items()}
    assert not Style().to_vector().any()
    assert tuple(RANGES) == STYLE_NAMES


def test_dict_and_vector_come_back() -> None:
    style = Style.random(np.random.default_rng(3))
    assert Style.from_dict(style.to_dict()) == style
    back = Style.from_vector(style.to_vector())
    np.testing.assert_allclose(back.to_vector(), style.to_vector(), atol=1e-9)


def test_random_people_differ_and_keep_to_the_ranges() -> None:
    rng = np.random.default_rng(0)
    people = np.array([Style.random(rng).to_vector() for _ in range(200)])
    assert (people.std(axis=0) > 0.3).all()
    assert Style.random(np.random.default_rng(5)) == Style.random(np.random.default_rng(5))


def test_presets_are_valid_and_named() -> None:
    assert {"neutral", "lively", "articulate", "mumbled", "warm", "stern", "soft"} <= set(PRESETS)
    assert len({Style.preset(name) for name in PRESETS}) == len(PRESETS)
    with pytest.raises(VultusError, match="lively"):
        Style.preset("livly")


@pytest.mark.parametrize("values", [{"jaw_gain": 9.0}, {"tempo": float("nan")}, {"jaw_gan": 1.0}, {"smile": "big"}])
def test_bad_numbers_are_refused(values: dict) -> None:
    with pytest.raises(VultusError):
        Style.from_dict(values)
