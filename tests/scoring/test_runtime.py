"""Bundles: found by topology, whole or refused, alike for every frame rate."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from worlds import sequences, topology

from vultus.errors import VultusError
from vultus.metrics.base import Unavailable
from vultus.runtime.bundle import bundle_names, verify
from vultus.scoring.runtime import SHIPPED, StyleScorer, SyncScorer, find_scorer, load_scorer
from vultus.topology import Topology

SHIPPED_NAMES = ("sync_head", "sync_head_b", "style_head")


def test_found_by_topology_in_the_users_folders_first(bundles: Path) -> None:
    assert isinstance(find_scorer("sync", topology(), [bundles]), SyncScorer)
    assert isinstance(find_scorer("style", topology(), [bundles / "style"]), StyleScorer)
    with pytest.raises(Unavailable, match="vultus scorer train style --data"):
        find_scorer("style", topology(), [bundles / "sync"])
    with pytest.raises(Unavailable, match="no sync network for this topology"):
        find_scorer("sync", topology(13), [bundles])
    with pytest.raises(VultusError, match="no such folder"):
        find_scorer("sync", topology(), ["/nowhere/at/all"])


@pytest.mark.parametrize("kind", ["sync", "style"])
def test_the_shipped_head_has_networks(kind: str) -> None:
    from vultus.head import load_head

    head: Topology = load_head().topology
    scorer = find_scorer(kind, head)  # type: ignore[arg-type]
    assert scorer.name == f"{kind}_head" and scorer.gate["passed"]
    if kind == "sync":
        assert find_scorer("sync", head, use="select").name == "sync_head_b"
        np.testing.assert_array_equal(scorer.arrays["lips"], np.unique(head.region("lips")))


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_shipped_bundles_are_whole_and_small(name: str) -> None:
    folder = SHIPPED / name
    assert verify(folder) == []
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
    listed = {line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    assert "vultus scorer train" in (folder / "card.md").read_text()
    assert "scoring" not in bundle_names()


def test_the_two_shipped_sync_networks_share_no_subject() -> None:
    first, second = (json.loads((SHIPPED / name / "config.json").read_text()) for name in SHIPPED_NAMES[:2])
    assert (first["training"]["folds"], second["training"]["folds"]) == ("0,1/3", "2/3")
    assert first["training"]["seed"] != second["training"]["seed"]


def test_embeddings_have_length_one_and_one_row_a_window(bundles: Path) -> None:
    sync, style = load_scorer(bundles / "sync"), load_scorer(bundles / "style")
    assert isinstance(sync, SyncScorer) and isinstance(style, StyleScorer)
    made = sequences("w", 1, "test")[0]
    neutral = made.template.vertices
    lips = sync.mesh(made.vertices(), neutral, 30.0, 1000.0)
    sound = sync.audio(made.speech(), len(lips))
    assert lips.shape == sound.shape == (96, 64)
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([lips, sound]), axis=1), 1, atol=1e-5)
    offsets = made.vertices() - neutral
    assert style.windows(offsets, 30.0, 1000.0).shape == (1, 64)
    assert style.clip(offsets[:30], 30.0, 1000.0) is None
    clip = style.clip(offsets, 30.0, 1000.0)
    assert clip is not None and np.linalg.norm(clip) == pytest.approx(1)
    assert sync.mesh(made.vertices()[:4], neutral, 30.0, 1000.0).shape == (0, 64)


def test_frame_rate_does_not_matter(bundles: Path) -> None:
    sync, style = load_scorer(bundles / "sync"), load_scorer(bundles / "style")
    assert isinstance(sync, SyncScorer) and isinstance(style, StyleScorer)
    made = sequences("x", 1, "test")[0]
    at_25, at_60 = (sync.mesh(made.vertices(fps=f), made.template.vertices, f, 1000.0) for f in (25.0, 60.0))
    assert np.einsum("we,we->w", at_25, at_60).mean() > 0.99
    clips = [style.clip(made.vertices(fps=f) - made.template.vertices, f, 1000.0) for f in (25.0, 60.0)]
    assert clips[0] is not None and clips[1] is not None and clips[0] @ clips[1] > 0.99


def test_wrong_shapes_and_broken_bundles_are_one_line(bundles: Path, tmp_path: Path) -> None:
    sync = load_scorer(bundles / "sync")
    assert isinstance(sync, SyncScorer)
    with pytest.raises(VultusError, match="expected"):
        sync.mesh(np.zeros((40, 11, 3), np.float32), np.zeros((11, 3), np.float32), 25.0, 1000.0)
    for file, content, words in (
        ("mesh.onnx", b"no graph", "SHA256SUMS"),
        ("config.json", b"{}", "kind is None"),
        ("arrays.npz", None, "SHA256SUMS"),
    ):
        broken = tmp_path / file
        shutil.copytree(bundles / "sync", broken)
        (broken / file).write_bytes(content) if content is not None else (broken / file).unlink()
        with pytest.raises(VultusError, match=words) as error:
            load_scorer(broken)
        assert "\n" not in str(error.value)


def test_scoring_needs_no_torch() -> None:
    modules = "vultus.scoring.gate, vultus.scoring.examples, vultus.scoring.commands"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"
