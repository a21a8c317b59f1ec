"""Scores of motions against a sound that comes in blocks, against the scoring network run over all at once."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.head import load_head
from vultus.metrics.base import Unavailable
from vultus.runtime import sync_choice as module
from vultus.runtime.sync_choice import SyncChoice
from vultus.scoring.runtime import SyncScorer, find_scorer
from vultus.speech import Speech


@pytest.mark.parametrize("seconds", [0.01, 0.3, 3.0, 7.77])
def test_a_stream_scores_as_the_whole(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEL_FRAMES", 2 * module.BATCH)
    monkeypatch.setattr(module, "_WINDOWS", 7)
    head, rng = load_head(), np.random.default_rng(0)
    net = find_scorer("sync", head.topology, use="select")
    assert isinstance(net, SyncScorer) and net.name == "sync_head_b"
    speech = Speech(rng.normal(0.0, 0.1, round(16000 * seconds)).astype(np.float32), "noise")
    for blocks in ([len(speech.samples)], [1, 2, 700, 9_000, 9_001, 30_000]):
        choice = SyncChoice(head)
        for block in np.split(speech.samples, blocks):
            choice.feed(block)
        choice.finish()
        weights = np.zeros((max(1, round(30 * seconds)), 58), np.float32)
        weights[:, 17] = 0.5 + 0.7 * np.sin(np.arange(len(weights)))  # beyond [0, 1]: clipped as in the take
        vertices = head.rig.vertices(np.clip(weights[:, :55], 0.0, 1.0), head.template)
        lips = net.mesh(vertices, head.template.vertices, 30.0, 1000.0)
        expected = np.einsum("we,we->w", net.audio(speech, len(lips)), lips).mean() if len(lips) else 0.0
        assert choice.score(weights, 30.0) == pytest.approx(expected, abs=1e-5)


def test_long_sound_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEL_FRAMES", 2 * module.BATCH)
    choice = SyncChoice(load_head())
    for _ in range(60):
        choice.feed(np.zeros(16_000, np.float32))
        held = sum(len(block) for block in choice._waiting) / 16_000 + len(choice._frames) / 100
        assert held < 4.0
    choice.finish()
    assert 1490 <= len(choice._sound) <= 1500


def test_a_head_without_a_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*given: object, **options: object) -> None:
        raise Unavailable("no sync network for this topology")

    monkeypatch.setattr(module, "find_scorer", none)
    with pytest.raises(VultusError, match="sampling: no sync network"):
        SyncChoice(load_head())
