"""Miniatures of the three layouts of VOCASET: true names, vertex count, types and quirks; made-up faces, few frames.

Letters: T motion frames, V vertices (5023).
"""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import soundfile

from vultus.datasets.vocaset_layout import NUM_VERTICES, SPLITS

SPOKEN_BY = (*SPLITS["train"][:2], SPLITS["val"][0], *SPLITS["test"])
SENTENCES = ("sentence01", "sentence02", "sentence21", "sentence40")
NO_MOTION = f"{SPLITS['train'][1]}_sentence02"
NO_SOUND = f"{SPLITS['val'][0]}_sentence40"
SCATTERED = f"{SPLITS['test'][0]}_sentence21"
"""Its rows of data_verts do not follow one another."""


class Python2Pickler(pickle._Pickler):
    """Writes protocol 2 as Python 2 did: text and bytes alike as byte strings, modules by their old names."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def __init__(self, file: Any) -> None:
        super().__init__(file, protocol=2, fix_imports=True)

    def save_text(self, text: str | bytes) -> None:
        data = text.encode("latin1") if isinstance(text, str) else text
        short = len(data) < 256
        self.write((b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<i", len(data))) + data)
        self.memoize(text)

    dispatch[str] = save_text
    dispatch[bytes] = save_text


def python2(content: Any) -> bytes:
    """A pickle as of Python 2 with an old numpy."""
    file = io.BytesIO()
    Python2Pickler(file).dump(content)
    return file.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def neutral(subject: str) -> np.ndarray:
    """(V, 3) float64: an egg of about 0.24 m, another for each subject; y up, z out of the face."""
    rng = np.random.default_rng(int(subject[9:15]) + int(subject[16:21]))
    index = np.arange(NUM_VERTICES) + 0.5
    y = 1 - 2 * index / NUM_VERTICES
    angle, radius = np.pi * (1 + 5**0.5) * index, np.sqrt(1 - y * y)
    return np.stack([0.08 * radius * np.cos(angle), 0.12 * y, 0.09 * radius * np.sin(angle)], 1) * rng.uniform(0.9, 1.1)


def triangles() -> np.ndarray:
    first = np.arange(NUM_VERTICES - 2)
    return np.stack([first, first + 1, first + 2], axis=1).astype(np.int32)


def motion(subject: str, sentence: str) -> np.ndarray:
    """(T, V, 3) float64 at 60 fps: the lower part opens; T is 12 or 24, so that 25 and 30 fps divide evenly."""
    frames = 12 if sentence != "sentence21" else 24
    face = neutral(subject)
    phase = int(sentence[-2:]) + np.arange(frames) / 6
    opened = 0.01 * np.abs(np.sin(phase))[:, None] * (face[:, 1] < -0.02)
    moved = np.repeat(face[None], frames, axis=0)
    moved[:, :, 1] -= opened
    return moved


def tone(frames: int, rate: int) -> np.ndarray:
    """int16 samples as long as `frames` at 60 fps."""
    return (8000 * np.sin(np.arange(round(frames / 60 * rate)) / 7)).astype(np.int16)


def _pairs() -> list[tuple[str, str]]:
    return [(subject, sentence) for subject in SPOKEN_BY for sentence in SENTENCES]


def vocaset(root: Path) -> Path:
    """The training package."""
    root.mkdir(parents=True)
    rows: dict[str, dict[str, dict[int, int]]] = {}
    sounds: dict[str, dict[str, dict[str, Any]]] = {}
    frames: list[np.ndarray] = []
    for subject, sentence in _pairs():
        name, found = f"{subject}_{sentence}", motion(subject, sentence)
        if name != NO_SOUND:
            sound = {"audio": tone(len(found), 22050), "sample_rate": 22050}
            sounds.setdefault(subject, {})[sentence] = sound
        if name == NO_MOTION:
            continue
        order = np.arange(len(found))
        if name == SCATTERED:
            order = order[::-1]
        place = {int(number): len(frames) + int(np.flatnonzero(order == number)[0]) for number in order}
        rows.setdefault(subject, {})[sentence] = place
        frames += list(found[order])
    np.save(root / "data_verts.npy", np.array(frames, np.float32))
    templates = {subject: neutral(subject) for subject in SPOKEN_BY}
    (root / "subj_seq_to_idx.pkl").write_bytes(python2(rows))
    (root / "raw_audio_fixed.pkl").write_bytes(python2(sounds))
    (root / "templates.pkl").write_bytes(python2(templates))
    write_ply(root / "FLAME_sample.ply", neutral(SPOKEN_BY[0]), triangles())
    return root


def vocaset_faceformer(root: Path) -> Path:
    """FaceFormer's folder: 2-D arrays, one float64 among float32, templates as Python 3 writes them."""
    for folder in ("vertices_npy", "wav", "templates"):
        (root / folder).mkdir(parents=True)
    for subject, sentence in _pairs():
        name, found = f"{subject}_{sentence}", motion(subject, sentence)
        flat = found.reshape(len(found), -1)
        if name != NO_MOTION:
            np.save(root / "vertices_npy" / f"{name}.npy", flat if sentence == "sentence40" else flat.astype("f4"))
        if name != NO_SOUND:
            soundfile.write(root / "wav" / f"{name}.wav", tone(len(found), 22050), 22050)
    templates = {subject: neutral(subject).reshape(-1).astype("f4") for subject in SPOKEN_BY}
    (root / "templates.pkl").write_bytes(pickle.dumps(templates))
    write_ply(root / "templates" / "FLAME_sample.ply", neutral(SPOKEN_BY[0]), triangles())
    return root


def vocaset_mm23(root: Path) -> Path:
    """The folder of the MM'23 code: torch tensors in a plain pickle."""
    import torch

    tensors: dict[str, dict[str, Any]] = {}
    for subject, sentence in _pairs():
        name, found = f"{subject}_{sentence}", motion(subject, sentence)
        if name != NO_MOTION:
            tensors.setdefault(subject, {})[sentence] = torch.from_numpy(found.astype("f4"))
        if name != NO_SOUND:
            (root / "audio" / subject).mkdir(parents=True, exist_ok=True)
            soundfile.write(root / "audio" / subject / f"{sentence}.wav", tone(len(found), 22050), 22050)
    (root / "verts_data.pkl").write_bytes(pickle.dumps(tensors))
    for subject in SPOKEN_BY:
        write_ply(root / "templates" / f"{subject}.ply", neutral(subject), triangles())
    np.save(root / "face_axis_mean.npy", np.zeros(3))
    np.save(root / "face_axis_std.npy", np.ones(1))
    np.save(root / "mouth_weight_mask.npy", np.zeros(NUM_VERTICES))
    return root


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """A binary .ply of float32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), np.dtype([("n", "u1"), ("corners", "<i4", (3,))]))
    rows["n"], rows["corners"] = 3, faces
    path.write_bytes(header.encode() + vertices.astype("<f4").tobytes() + rows.tobytes())


LAYOUTS = {"vocaset": vocaset, "vocaset_faceformer": vocaset_faceformer, "vocaset_mm23": vocaset_mm23}
