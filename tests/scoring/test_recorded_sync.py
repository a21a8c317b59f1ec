"""The shipped sync network, trained on synthetic speech alone, on a recorded performance.

The mouth curves of the recording are played on the shipped head. They were made from video, with a still jaw in a
third of the frames, in a language that the network never heard.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vultus.head import load_head
from vultus.metrics.base import Example
from vultus.scoring.gate import check_sync
from vultus.scoring.runtime import SyncScorer, find_scorer
from vultus.speech import Speech


@pytest.fixture(scope="module")
def recorded(real_data: Path) -> list[Example]:
    """Pieces of 5 s of both takes."""
    root, head, pieces = real_data / "facegood_mandarin", load_head(), []
    rows = list(csv.DictReader((root / "arkit_mapping.csv").read_text(encoding="utf-8").splitlines()))
    for take in ("1114_2_01", "1114_3_15"):
        with np.load(root / f"{take}.npz", allow_pickle=False) as arrays:
            curves = arrays["curves"]
        weights = np.zeros((len(curves), head.rig.dimension), np.float32)
        for row in rows:
            for name in row["arkit_names"].split(";") if row["status"] == "valid" else ():
                if name in head.rig.names:
                    column = head.rig.index(name)
                    weights[:, column] = np.maximum(weights[:, column], curves[:, int(row["channel"])])
        samples = Speech.load(root / f"{take}.flac").samples
        for start in range(0, len(weights) - 150, 150):
            moving = head.rig.vertices(weights[start : start + 150], head.template)
            sound = Speech(samples[start * 16_000 // 30 : (start + 150) * 16_000 // 30], take)
            name = f"{take}_{start}"
            pieces.append(Example(name, take, 30.0, "m", moving, [], head.template.vertices, head.topology, {}, sound))
    return pieces


@pytest.mark.needs_data
def test_the_gate_passes_on_recorded_speech_and_refuses_another_take(recorded: list[Example]) -> None:
    scorer = find_scorer("sync", recorded[0].topology)
    assert isinstance(scorer, SyncScorer)
    report = check_sync(scorer, recorded)
    assert report.clips == len(recorded) >= 28
    assert report.passed, report.reason
    half = len(recorded) // 2
    swapped = [replace(one, speech=recorded[i - half].speech) for i, one in enumerate(recorded)]
    refused = check_sync(scorer, swapped)
    assert not refused.passed and refused.values["offset_accuracy"] < 0.5, refused.reason
    late = [replace(one, speech=Speech(np.roll(one.speech.samples, 3200), "late")) for one in recorded if one.speech]
    assert check_sync(scorer, late).values["offset_accuracy"] < 0.1  # the sound 200 ms late
