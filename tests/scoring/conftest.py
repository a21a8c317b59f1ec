"""A sync and a style network, trained once for all tests of this folder; small, and seconds each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent))


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles "sync" and "style" for the topology of worlds.py."""
    import torch
    from worlds import sequences

    from vultus.scoring.make import Request, make

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("scorers")
    seen, unseen = sequences("abcdefgh", 4), sequences("wxyz", 5, "test")
    common = {"data": "made", "split": "train", "held_out": "test"}
    fast = ("audio_channels=(8, 8, 16, 16, 32, 32)", "mesh_width=32", "steps=120", "warmup=20", "clips=16", "lr=3e-3",
            "floor_high=-12.0", "bf16=False")  # fmt: skip
    make(Request("sync", folder / "sync", "sync", settings=fast, **common), seen, unseen)
    fast = ("components=6", "width=32", "layers=1", "feed_forward=64", "steps=80", "warmup=10", "lr=2e-3", "bf16=False")
    make(Request("style", folder / "style", "style", settings=fast, **common), seen, unseen)
    return folder
