"""Miniatures of folders of the UniTalker release, one for each kind of annotation; made-up numbers, true names.

Letters: T motion frames, V vertices, K blendshapes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from miniature_flame import flame_arrays, write_flame

PEOPLE = ("FaceTalk_170728_03272_TA", "FaceTalk_170811_03275_TA", "FaceTalk_170809_00138_TA")
#: Split -> (identity, frames as stored, seconds of sound) of its clips; the last of train is too short.
CLIPS = {"train": [(0, 90, 1.5), (0, 120, 1.8), (0, 24, 0.4)], "val": [(1, 61, 2.0)], "test": [(2, 72, 1.2)]}
BLENDSHAPE_VERTICES = 40


def _neutral(num_vertices: int, size: float, rng: np.random.Generator) -> np.ndarray:
    return size * (rng.random((num_vertices, 3)) - 0.5)


def entry(split: str, number: int, person: int, kind: str, fps: float) -> dict[str, Any]:
    """A clip as the lists name it."""
    name = f"{split}_{number:04}"
    return {
        "annot_path": f"annot/{name}.npy", "audio_path": f"audio/{name}.wav", "id": person, "annot_type": kind,
        "dataset": "D1", "fps": fps,
    }  # fmt: skip


def build(root: Path, kind: str = "FLAME_5023_vertices", fps: float = 60, sound: str = "wav") -> Path:
    """Writes a folder whose clips have one annotation type."""
    rng = np.random.default_rng(5)
    for folder in ("annot", "audio"):
        (root / folder).mkdir(parents=True)
    width, step, templates = _numbers(kind, rng)
    for split, clips in CLIPS.items():
        data = []
        for number, (person, frames, seconds) in enumerate(clips):
            item = entry(split, number, person, kind, fps)
            item["audio_path"] = item["audio_path"].replace("wav", sound)
            frames = round(frames * fps / 60)
            motion = templates[person] + np.cumsum(step * rng.normal(size=(frames, width)), axis=0)
            np.save(root / item["annot_path"], motion.astype(np.float32))
            samples = 0.1 * np.sin(np.arange(round(seconds * 16_000)) / 15).astype(np.float32)
            if sound == "npy":
                np.save(root / item["audio_path"], samples)
            else:
                soundfile.write(root / item["audio_path"], samples, 16_000)
            data.append(item)
        content = {"info": {"id_list": list(PEOPLE)}, "data": data}
        (root / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    np.save(root / "id_template.npy", templates.astype(np.float32))
    return root


def _numbers(kind: str, rng: np.random.Generator) -> tuple[int, float, np.ndarray]:
    """Numbers of a row, size of a step of the motion, templates (identities, numbers)."""
    if kind == "flame_params_from_dadhead":
        return 413, 0.01, np.zeros((len(PEOPLE), 413))
    if kind.endswith("blendshape_weight"):
        width = {"3DETF_blendshape_weight": 52, "inhouse_blendshape_weight": 51}[kind]
        return width, 0.02, np.zeros((len(PEOPLE), width))
    count = int(kind.split("_")[-2])
    size = {"BIWI": 1.0, "meshtalk": 300.0}.get(kind.split("_")[0], 0.25)
    return 3 * count, 0.001 * size, np.stack([_neutral(count, size, rng).ravel() for _ in PEOPLE])


def write_resources(folder: Path) -> Path:
    """The unpacked resources.zip, as far as it is read."""
    rng = np.random.default_rng(6)
    (folder / "binary_resources").mkdir(parents=True)
    (folder / "obj_template").mkdir()
    for file, count in (("EmoTalk.npz", 52), ("inhouse_arkit.npz", 51)):
        np.savez(
            folder / "binary_resources" / file,
            meanshape=_neutral(BLENDSHAPE_VERTICES, 25.0, rng),
            blendshape=rng.normal(size=(count, BLENDSHAPE_VERTICES, 3)),
        )
    for name, count in (
        ("3DETF_blendshape_weight", BLENDSHAPE_VERTICES), ("inhouse_blendshape_weight", BLENDSHAPE_VERTICES),
        ("FLAME_5023_vertices", 5023),
    ):  # fmt: skip
        lines = [*(f"v {i} 0 0" for i in range(count)), *(f"f {i}/1 {i + 1}/1 {i + 2}/1" for i in range(1, count - 1))]
        (folder / "obj_template" / f"{name}.obj").write_text("\n".join(lines))
    return folder


def write_flame_for(root: Path) -> Path:
    """A FLAME file in the data set's folder."""
    return write_flame(root / "flame.npz", flame_arrays())
