"""A miniature of 3DMEAD: true names, shapes and types; made-up numbers.

Letters: T motion frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from miniature_flame import write_flame

#: File -> the split it belongs to by the published rule.
CLIPS = {
    "M003_001_0_0": "train", "M003_032_0_0": "train", "W009_024_5_2": "train", "M003_024_1_0": "train",
    "M003_033_0_0": "val", "W009_025_5_2": "val", "M003_036_0_0": "val", "M003_027_7_1": "val",
    "M003_037_0_0": "test", "W009_028_5_2": "test", "M003_040_0_0": "test", "M003_030_7_1": "test",
    "M032_001_0_0": "val_unseen", "W036_030_2_1": "val_unseen", "W040_040_0_0": "test_unseen",
}  # fmt: skip
NO_SOUND = "W011_001_0_0"
NO_LIST = "W009_031_5_2"
RATE = 48_000


def build(root: Path, flame: bool = True) -> Path:
    """Writes the layout under `root`."""
    rng = np.random.default_rng(3)
    for folder in ("param", "wav"):
        (root / folder).mkdir(parents=True)
    for number, name in enumerate((*CLIPS, NO_SOUND, NO_LIST, "notes")):
        frames = 8 + number
        rows = np.concatenate(
            [
                np.tile(0.3 * rng.normal(size=300), (frames, 1)) + 0.01 * rng.normal(size=(frames, 300)),
                np.cumsum(0.1 * rng.normal(size=(frames, 100)), axis=0),
                0.1 * rng.random((frames, 3)),
            ],
            axis=1,
        )
        np.save(root / "param" / f"{name}.npy", rows[None].astype(np.float32))
        if name != NO_SOUND:
            samples = frames * RATE // 25
            soundfile.write(root / "wav" / f"{name}.wav", 0.1 * np.sin(np.arange(samples) / 30), RATE)
    if flame:
        write_flame(root / "flame.npz")
    return root
