"""The proof on recorded sound and motion, and its verdicts on made-up values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vultus.benchmark import timing_proof
from vultus.benchmark.timing_proof import Case, failures, table
from vultus.statistics import Estimate


def case(state: str, shift: float | None, lag: float, timing: float, agreement: float = 0.8) -> Case:
    values = {"audio_lag": lag, "lip_offset": lag, "lip_timing": timing, "onset_error": timing}
    return Case("take", state, shift, {k: Estimate(v, v - 5, v + 5, 9) for k, v in values.items()}, agreement)


def test_verdicts() -> None:
    good = [case("as recorded", 0, 12, 0), case("200 ms late", 200, 212, 200), case("other", None, -300, 160, 0.1)]
    assert failures(good) == []
    assert [c.accepted for c in good] == [True, False, False]
    assert "| take | as recorded | 12 (7 to 17) | 12 (7 to 17) | 0 (-5 to 5) | 0 (-5 to 5) | 0.80 | yes |" in table(
        good
    )
    assert failures([case("as recorded", 0, 90, 0)]) == [
        "take, as recorded: refused", "take, as recorded: audio_lag is 90 ms", "take, as recorded: lip_offset is 90 ms",
    ]  # fmt: skip
    assert failures([case("200 ms late", 200, 20, 20)])[0] == "take, 200 ms late: accepted"
    wrong = failures([good[0], case("other", None, -300, 160, 0.5)])
    assert wrong == ["take, other: sound and motion agree with r = 0.50"]


def test_the_command_tells_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert timing_proof.main(["--real-data", str(tmp_path)]) == 2
    caught = capsys.readouterr()
    assert "FACEGOOD" in caught.err and caught.err.count("\n") == 1 and not caught.out


@pytest.mark.needs_data
def test_the_true_alignment_is_found_and_false_ones_are_refused(
    capsys: pytest.CaptureFixture[str], real_data: Path
) -> None:
    found = timing_proof.cases(real_data / "facegood_mandarin")
    assert [c.take for c in found] == ["1114_2_01"] * 4 + ["1114_3_15"] * 4
    assert failures(found) == []
    for k in (0, 4):
        recorded, late, early, swapped = found[k : k + 4]
        assert abs(recorded.values["audio_lag"].value) < 67 and recorded.agreement > 0.6
        assert late.values["audio_lag"].value > 133 and early.values["audio_lag"].value < -133
        assert late.values["lip_timing"].value == pytest.approx(200, abs=20)
        assert swapped.agreement < 0.2 and swapped.values["lip_timing"].value > 100
        assert not np.isnan(recorded.values["audio_lag"].low)
    assert timing_proof.main(["--real-data", str(real_data)]) == 0
    assert capsys.readouterr().out.count("| no |") == 6
