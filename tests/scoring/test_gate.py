"""Gates pass networks that work, and refuse those that do not, with what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from worlds import Sequence, sequences

from vultus.metrics import Example, Unavailable, load_metric
from vultus.scoring.gate import (
    GateReport,
    check_style,
    check_sync,
    nearest_subject,
    scorer_extras,
    style_report,
    sync_report,
)
from vultus.scoring.prepare import example
from vultus.scoring.runtime import StyleScorer, SyncScorer, load_scorer
from vultus.scoring.signals import unit_rows
from vultus.speech import Speech


def examples(made: list[Sequence]) -> Iterator[Example]:
    return (replace(one, samples=[one.reference]) for one in map(example, made))


def test_sync_gate_passes_true_sound_and_refuses_others(bundles: Path) -> None:
    scorer = load_scorer(bundles / "sync")
    assert isinstance(scorer, SyncScorer)
    made = sequences("wxy", 4, "test")
    report = check_sync(scorer, examples(made))
    assert report.passed and report.clips == 12, report.reason
    assert report.values["offset_accuracy"] >= 0.9
    speech = [one.speech() for one in made]
    swapped = (replace(one, speech=speech[place - 1]) for place, one in enumerate(examples(made)))
    refused = check_sync(scorer, swapped)
    assert not refused.passed and "expected an offset accuracy of 0.9" in refused.reason
    late = Speech(np.concatenate([np.zeros(1600, np.float32), speech[0].samples]), "late")  # by 2.5 frames
    assert not check_sync(scorer, [replace(next(examples(made)), speech=late)]).passed
    assert not check_sync(scorer, []).passed


def test_sync_rule() -> None:
    def row(near: float, *cosines: float) -> np.ndarray:
        return np.array([near, *cosines])

    good = row(1, 0.8, 0.5, 0.3, 0.2, 0.1)
    assert sync_report([good] * 10).passed
    assert not sync_report([good] * 8 + [row(0, *good[1:])] * 2).passed
    assert sync_report([row(1, 0.8, 0.5, 0.2, 0.1, 0.16)]).passed  # the floor
    assert not sync_report([row(1, 0.8, 0.5, 0.2, 0.1, 0.18)]).passed
    assert not sync_report([row(1, 0.10, 0.09, 0.08, 0.07, 0.06)]).passed
    assert not sync_report([row(1, 0.8, 0.9, 0.3, 0.2, 0.1)]).passed


def test_style_gate_passes_manners_and_refuses_chance(bundles: Path) -> None:
    scorer = load_scorer(bundles / "style")
    assert isinstance(scorer, StyleScorer)
    made = sequences("wxyz", 5, "test")
    report = check_style(scorer, examples(made))
    assert report.passed, report.reason
    assert report.values["top1"] >= 0.9 and report.values["chance"] == 0.25
    rng = np.random.default_rng(0)
    names = rng.permutation([one.subject for one in made])
    mixed = (replace(one, subject=str(name)) for one, name in zip(examples(made), names, strict=True))
    refused = check_style(scorer, mixed)
    assert not refused.passed and "expected a lower end" in refused.reason
    assert "1 with two clips or more; expected 4 subjects" in check_style(scorer, examples(made[:5])).reason
    few = check_style(scorer, examples(sequences("wxy", 5, "test")))
    assert not few.passed and few.values["subjects"] == 3
    assert few.reason.endswith("; 3 subjects with two clips each; expected 4 or more")


def test_style_needs_a_margin_between_subjects() -> None:
    """Subjects that a resting shape alone sets apart: every clip is recognised, and all look much alike."""

    def report(shared: float) -> GateReport:
        own, noise = np.repeat(np.eye(4, 12), 5, 0), np.random.default_rng(1).normal(0, 0.05, (20, 12))
        rows = unit_rows(shared * np.eye(12)[11] + own + noise)
        return style_report(list(rows), [name for name in "abcd" for _ in range(5)])

    alike, apart = report(2.5), report(0.3)
    assert alike.values["top1"] == apart.values["top1"] == 1.0
    assert 0 < alike.values["gap_low"] < 0.3 < apart.values["gap_low"]
    assert apart.passed and not alike.passed
    assert alike.reason.endswith("; expected a lower end of the difference of 0.3 or more")


def test_nearest_subject_leaves_the_clip_itself_out() -> None:
    rng = np.random.default_rng(2)
    gallery, number = rng.normal(size=(12, 5)), np.repeat([0, 1, 2], 4)
    placed, times = rng.normal(size=(12, 5)), rng.integers(0, 3, 12).astype(float)
    found = nearest_subject(placed, gallery, number, times)
    for i in range(12):
        scores = []
        for subject in range(3):
            rows = [times[j] * gallery[j] for j in range(12) if number[j] == subject and j != i]
            centroid = np.sum(rows, 0)
            scores.append(placed[i] @ centroid / max(np.linalg.norm(centroid), 1e-12))
        assert found[i] == np.argmax(scores)
    same = np.eye(4)[[0, 0, 1, 1]]
    assert style_report(list(same), list("aabb")).values["top1"] == 1.0


def test_metrics_are_refused_where_the_gate_fails_on_the_data(bundles: Path) -> None:
    made = sequences("wxyz", 3, "test")
    extras = scorer_extras(examples(made), [bundles])
    assert {kind: report.passed for kind, report in extras["scorer_gates"].items()} == {"sync": True, "style": True}
    one = replace(next(examples(made)), extras=extras)
    for name in ("sync_cos", "fd_style"):
        assert np.isfinite(load_metric(name).measure(one)).all()
    speech = [sequence.speech() for sequence in made]
    swapped = (replace(each, speech=speech[place - 1]) for place, each in enumerate(examples(made)))
    extras = scorer_extras(swapped, [bundles])
    refused = replace(one, extras=extras)
    with pytest.raises(Unavailable, match=r"fails its gate on these data: offset accuracy 0\.\d+"):
        load_metric("sync_cos").measure(refused)
    assert np.isfinite(load_metric("fd_style").measure(refused)).all()
    with pytest.raises(Unavailable, match="coordinates in 'm'"):
        load_metric("sync_cos").measure(replace(one, unit="area"))
    with pytest.raises(Unavailable, match="no sync network for this topology"):
        load_metric("lse_d").measure(replace(one, extras={}))


def test_a_network_that_failed_when_it_was_made_never_scores(bundles: Path, tmp_path: Path) -> None:
    import json
    import shutil

    from vultus.scoring.export import write_config

    folder = tmp_path / "failed"
    shutil.copytree(bundles / "sync", folder)
    config = json.loads((folder / "config.json").read_text())
    write_config(folder, {**config, "gate": {"passed": False, "reason": "offset accuracy 0.412"}})
    one = replace(next(examples(sequences("w", 1, "test"))), extras={"scorers": (folder,)})
    with pytest.raises(Unavailable, match=r"failed its gate when it was made: offset accuracy 0\.412"):
        load_metric("sync_cos").measure(one)
