"""What metrics share: units, regions, examples of arrays, rows that average."""

from __future__ import annotations

import numpy as np
import pytest

from examples import region_of
from vultus.errors import VultusError
from vultus.metrics import Example, Unavailable, load_metric
from vultus.metrics.base import Mean, check_pair


def test_units_follow_the_coordinates() -> None:
    for name, metres, area in (
        ("lve", "mm", "area"),
        ("lve_sq", "mm2", "area2"),
        ("f_dtw_mm23", "frames x mm", "frames x area"),
        ("rho", "", ""),
    ):
        info = load_metric(name).info
        assert (info.unit("m"), info.unit("area")) == (metres, area)


def test_members_are_the_plain_set_of_a_region() -> None:
    assert region_of("lips", [4, 7, 9]).members.all()
    assert region_of("lips", [4, 7, 9], [0.1, 0.5, 0.3]).members.tolist() == [False, True, True]
    assert not len(region_of("lips", []).members)


def test_digest_tells_regions_apart() -> None:
    digests = [region_of("lips", v, w).digest for v, w in (([1, 2], None), ([1, 3], None), ([1, 2], [1, 0.5]))]
    assert len(set(digests)) == 3 and digests[0] == region_of("mouth", [1, 2]).digest


def test_example_of_arrays() -> None:
    still = np.zeros((2, 3, 3))
    lips = region_of("lips", [0, 2], [1, 0.5])
    example = Example.from_arrays(still, [still], still[0], {"lips": lips, "upper_face": [2, 1, 1]}, fps=60, name="x")
    assert (example.fps, example.name, example.unit, example.scale) == (60, "x", "m", 1000.0)
    assert example.region("lips") is lips
    assert example.region("upper_face").vertices.tolist() == [1, 2]
    assert example.region("face").vertices.tolist() == [0, 1, 2]
    with pytest.raises(Unavailable, match="no region 'tongue'"):
        example.region("tongue")


def test_pairs_that_do_not_match_are_told() -> None:
    good = np.zeros((2, 3, 3))
    check_pair(good, good)
    for bad in (good[:1], good[:, :2], good[..., 0], good[:0]):
        with pytest.raises(VultusError, match="expected the same"):
            check_pair(bad, good)
    with pytest.raises(VultusError, match="reference holds NaN"):
        check_pair(good, good * np.nan)


def test_mean_of_rows() -> None:
    rows = np.array([[6.0, 2.0], [0.0, 0.0], [10.0, 2.0]])
    times = np.array([[1.0, 1, 1], [2, 5, 0], [0, 1, 0]])
    np.testing.assert_array_equal(Mean().combine(rows, times), [4.0, 3.0, np.nan])
    assert Mean.one(2.5).tolist() == [2.5, 1.0]
    assert Mean.one(np.nan).tolist() == [0.0, 0.0]
