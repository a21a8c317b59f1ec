"""A miniature rebuild of VoxCeleb2: true names, keys and types; made-up numbers.

Letters: T motion frames.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from miniature_flame import write_flame

#: Speakers whose names the rule puts where the key says; see `build`.
SPEAKERS = {
    "train": "id00012",
    "val_seen": "id00041",
    "test_seen": "id00020",
    "val_unseen": "id00021",
    "test_unseen": "id00017",
}
VIDEOS = ("21Uxsk56VDQ", "-CbnpKEDq8w", "_0WzrLYFJ2E")
FRAMES = 30


def clip_arrays(speaker: str, video: str, frames: int = FRAMES, seed: int = 0, sound: bool = True) -> dict[str, Any]:
    """The keys of one clip."""
    rng = np.random.default_rng([seed, frames])
    arrays = {
        "exp": np.cumsum(0.1 * rng.normal(size=(frames, 50)), axis=0).astype(np.float32),
        "jaw": (0.1 * rng.random((frames, 3))).astype(np.float32),
        "shape": (0.5 * rng.normal(size=100)).astype(np.float32),
        "speaker": np.array(speaker),
        "video": np.array(video),
        "fps": np.float32(25),
    }
    if sound:
        arrays["wav"] = (3000 * np.sin(np.arange(640 * frames) / 20)).astype(np.int16)
    return arrays


def write_clip(root: Path, name: str, **options: Any) -> Path:
    """dev/id00012/21Uxsk56VDQ/00001 -> its .npz."""
    path = root / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    _, speaker, video, _ = name.split("/")
    np.savez(path, **clip_arrays(speaker, video, **options))
    return path


def build(root: Path, kind: str | None = "framewise", clips: int = 2) -> Path:
    """Five speakers, one for each split of the rule, each with three videos of some clips."""
    number = 0
    for split, speaker in SPEAKERS.items():
        for video in VIDEOS:
            for utterance in range(1, clips + 1):
                part = "test" if split.endswith("_unseen") else "dev"
                name = f"{part}/{speaker}/{video}/{utterance:05}"
                number += 1
                beside = utterance == 2  # the second clip has its sound in a file
                write_clip(root, name, seed=number, frames=FRAMES + number % 3, sound=not beside)
                if beside:
                    samples = (FRAMES + number % 3) * 640
                    soundfile.write(root / f"{name}.flac", 0.1 * np.sin(np.arange(samples) / 20), 16_000)
    if kind:
        (root / "build.json").write_text(json.dumps({"reconstruction": kind, "method": "DECA"}), encoding="utf-8")
    write_flame(root / "flame.npz")
    return root
