"""Verdicts on made-up evaluations: each follows from the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.benchmark.evaluations import Evaluation
from vultus.benchmark.rows import Row
from vultus.benchmark.takes_relations import Relation, relations, style_relation, to_json
from vultus.benchmark.takes_setting import Side, contrast, only, value

CLIPS = 30
NOISE = np.random.default_rng(0).normal(0, 1, CLIPS)


def evaluation(name: str, clips: int = CLIPS, **values: float) -> Evaluation:
    """Rows whose values scatter about the given ones, the same way for all metrics; rho follows from its parts."""
    rows = {}
    for clip in range(clips):
        row = {
            m: np.array([v * (1 + 0.02 * NOISE[clip]), 1.0]) for m, v in values.items() if m != "high_frequency_lips"
        }
        row["high_frequency_lips"] = np.array([values.get("high_frequency_lips", 1.0), 1.0])
        row["rho"] = np.array([row["l_vertex"][0], row["l_mean"][0]])
        rows[f"clip{clip:02d}"] = Row(f"clip{clip:02d}", f"clip{clip:02d}", 100, 10, row)
    return Evaluation(name, {"metrics": {}}, rows)


def found(**changes: dict[str, float]) -> dict[str, Relation]:
    """As in the paper, but for changes."""
    still = {"l_vertex": 7.9, "l_cover": 7.9, "l_mean": 7.9, "sync_cos": 0.369, **changes.get("still", {})}
    plain = {"l_vertex": 10.8, "l_cover": 6.0, "l_mean": 7.9, "sync_cos": 0.463, **changes.get("plain", {})}
    many = {"l_vertex": 8.3, "l_cover": 7.1, "l_mean": 8.2, "sync_cos": 0.684, **changes.get("many", {})}
    made = relations(
        evaluation("base", **still), evaluation("plain", **plain), evaluation("many", 12, **many), "avg-40"
    )
    return {relation.name: relation for relation in made}


def test_the_papers_own_numbers_meet_all_relations() -> None:
    names = found()
    assert list(names) == ["R1", "R2", "R3", "R4", "R5a", "R5b", "R5c", "R6a", "R6b"]
    assert [relation.met for relation in names.values()] == ["yes"] * 5 + [names["R5b"].met] + ["yes"] * 3
    assert names["R1"].measured.value == pytest.approx(10.8 / 7.9) and names["R6a"].measured.value == pytest.approx(
        1.367, 1e-3
    )
    assert names["R5b"].measured.value == pytest.approx(8.3 / 7.9, rel=0.02)
    assert names["R5a"].measured.n == 12 and names["R5a"].first is not None


@pytest.mark.parametrize(
    "name, changes, reason",
    [
        ("R1", {"plain": {"l_vertex": 7.0, "l_mean": 6.5}}, "errs -18 %"),
        ("R2", {"plain": {"l_cover": 9.0}}, "does not make up for it"),
        ("R3", {"plain": {"l_mean": 9.0}}, "+14 % against the deterministic answer: worse"),
        ("R3", {"plain": {"l_mean": 7.0}}, "-11 % against the deterministic answer: better"),
        ("R4", {"plain": {"sync_cos": 0.3}}, "share above 4 Hz"),
        ("R5a", {"many": {"sync_cos": 0.4}}, "no better"),
        ("R5b", {"many": {"l_vertex": 9.5}}, "+20 %"),
        ("R5c", {"many": {"l_cover": 5.0}}, "calibrated takes have 1.35"),
        ("R6a", {"plain": {"l_mean": 10.5}}, "too much alike"),
        ("R6a", {"plain": {"l_mean": 6.0}}, "more widely"),
        ("R6b", {"many": {"l_mean": 6.0}}, "still scatter"),
    ],
)
def test_a_relation_that_does_not_hold_is_told_with_its_reason(
    name: str, changes: dict[str, dict[str, float]], reason: str
) -> None:
    relation = found(**changes)[name]
    assert relation.met == "no" and reason in relation.reason, relation.reason


def test_a_value_whose_interval_reaches_beyond_its_bound_is_unsure() -> None:
    still, plain = ({"l_vertex": v, "l_cover": v, "l_mean": v, "sync_cos": 0.5} for v in (1.0, 1.001))
    rng = np.random.default_rng(1)
    first, second = evaluation("base", **still), evaluation("plain", **plain)
    for row in second.rows.values():
        row.values["l_vertex"][0] += rng.normal(0, 0.1)  # type: ignore[index]
    made = relations(first, second, second, "avg-10")[0]
    assert made.met in ("yes, unsure", "no") and made.measured.low < 1 < made.measured.high


def test_style_and_json() -> None:
    wide = {"l_vertex": 1.0, "l_mean": 1.0}
    right = evaluation("right", style_cos=0.8, **wide)
    wrong = evaluation("wrong", style_cos=0.3, **wide)
    relation = style_relation(right, wrong)
    assert relation.met == "yes" and relation.measured.value == pytest.approx(0.5, abs=0.02)
    assert "an unknown share" in relation.reason  # no style_top1 in these rows
    told = to_json([relation])["R7"]
    assert told["wanted"] == [0.0, None] and told["first"]["n"] == CLIPS
    assert style_relation(wrong, right).met == "no"


def test_contrasts_are_over_the_clips_of_both() -> None:
    wide = {"l_vertex": 2.0, "l_mean": 1.0}
    first, second = evaluation("a", **wide), evaluation("b", 5, l_vertex=3.0, l_mean=1.0)
    ratio = contrast(Side(first, "l_vertex"), Side(second, "l_vertex"), "ratio")
    # The same clips are drawn for both, and each has the same noise: nothing is left to chance.
    assert ratio.n == 5 and ratio.value == pytest.approx(1.5) and ratio.high - ratio.low < 1e-9
    assert np.isnan(contrast(Side(first, "sync_cos"), Side(second, "sync_cos"), "ratio").value)

    class Named:
        name = "clip03"

    assert value(only(first, [Named()]), "l_vertex").value == pytest.approx(2.0 * (1 + 0.02 * NOISE[3]))  # type: ignore[list-item]
