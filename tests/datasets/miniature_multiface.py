"""Miniatures of Multiface, of MeshTalk's topology derived from it, and of the MM'23 layout of the latter.

True names, vertex counts, types and quirks; made-up heads, few frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from miniature_biwi import sheet, speaking, write_obj, write_sound

ROWS, COLUMNS = 281, 26  # 7306 vertices
FRAMES = 7
SUBJECTS = {
    "train": "m--20180227--0000--6795937--GHS",
    "val": "m--20180226--0000--6674443--GHS",
    "test": "m--20180426--0000--002643814--GHS",
}
SENTENCE = "SEN_how_do_oysters_make_pearls"
DROPPED = [*range(551, 551 + 567), *range(6445, 6445 + 567)]
"""1134 vertices of the made-up head; not MeshTalk's list, which is not ours to ship."""


def head() -> tuple[np.ndarray, np.ndarray]:
    """Millimetres, y up, z out of the face."""
    return sheet(ROWS, COLUMNS, 240.0, 400.0)


def write_frames(folder: Path, frames: np.ndarray, numbers: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in zip(numbers, frames, strict=True):
        (folder / f"{number:06d}.bin").write_bytes(frame.astype("<f4").tobytes())
        np.savetxt(folder / f"{number:06d}_transform.txt", np.eye(3, 4))


def multiface(root: Path) -> Path:
    """Frames numbered in steps of three and of one, a frame missing, a sentence without sound, silent expressions."""
    vertices, faces = head()
    motion = speaking(vertices, FRAMES)
    for split, subject in SUBJECTS.items():
        tracked = root / subject / "tracked_mesh"
        numbers = list(range(102, 102 + 3 * FRAMES, 3)) if split == "train" else list(range(9000, 9000 + FRAMES))
        kept = [i for i in range(FRAMES) if not (split == "test" and i == 3)]
        write_frames(tracked / SENTENCE, motion[kept], [numbers[i] for i in kept])
        write_sound(root / subject / "audio" / f"{SENTENCE}.wav", FRAMES / 30, 48_000)
        if split == "train":
            write_obj(tracked / SENTENCE / f"{numbers[0]:06d}.obj", motion[0], faces)
            write_frames(tracked / "E001_Neutral_Eyes_Open", np.stack([vertices] * 3), [1, 4, 7])
            write_frames(tracked / "SEN_they_had_slapped_their_thighs", motion[:2], [1, 4])
        elif split == "val":
            write_frames(tracked / "EXP_neutral_peak", vertices[None], [77])
        else:
            (root / subject / "vert_mean.bin").write_bytes(vertices.astype("<f4").tobytes())
    return root


def meshtalk(root: Path) -> Path:
    """Multiface with a list of vertices to drop, written as MeshTalk's script writes it."""
    multiface(root)
    listed = ", ".join(str(number) for number in DROPPED)
    text = f'"""Copyright 2021."""\nignore_vertices = {{{listed}}}\nvalid = [i for i in range(7306)]\n'
    (root / "multiface2meshtalk.py").write_text(text, encoding="utf-8")
    return root


def meshtalk_mm23(root: Path) -> Path:
    """6172 vertices in millimetres, float32; one flat array; a sequence without sound."""
    vertices, faces = head()
    kept = np.setdiff1d(np.arange(len(vertices)), DROPPED)
    number = np.full(len(vertices), -1)
    number[kept] = np.arange(len(kept))
    faces = number[faces][(number[faces] >= 0).all(axis=1)]
    motion = speaking(vertices, FRAMES)[:, kept].astype(np.float32)
    for split, subject in SUBJECTS.items():
        folder = root / "mesh_sequences" / subject
        folder.mkdir(parents=True)
        np.save(folder / f"{SENTENCE}.npy", motion.reshape(FRAMES, -1) if split == "val" else motion)
        write_sound(root / "audio" / subject / f"{SENTENCE}.wav", FRAMES / 30, 48_000)
        write_obj(root / "template_regen" / f"{subject}.obj", vertices[kept], faces)
    np.save(folder / "SEN_without_sound.npy", motion)
    return root
