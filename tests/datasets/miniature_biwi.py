"""Miniatures of the three layouts of BIWI: true names, vertex counts, types and quirks; made-up faces, few frames.

Letters: T motion frames, V vertices, F triangles.
"""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vultus.datasets.biwi_area import to_area
from vultus.datasets.recorded import FileSequence, RecordedDataset
from vultus.errors import VultusError

ROWS, COLUMNS = 190, 123  # 23,370 vertices
FRAMES = 6
SPOKEN = ("F2_e01", "F2_e33", "F2_e37", "F1_e37", "F2_01")
"""One sequence of each published split (train, val, test_a, test_b) and a neutral one."""


def sheet(rows: int, columns: int, width: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """A bulging sheet with a nose, y up, z and the triangles to the viewer: (V, 3) float64, (F, 3) int32."""
    y, x = np.meshgrid(np.linspace(0.5, -0.5, rows), np.linspace(-0.5, 0.5, columns), indexing="ij")
    z = 0.5 * np.sqrt(np.maximum(0, 0.6 - x**2 - y**2)) + 0.15 * np.exp(-(x**2 + y**2) / 0.01)
    vertices = np.stack([x * width, y * height, z * width], axis=-1).reshape(-1, 3)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    upper = np.stack([corner, corner + columns, corner + 1], axis=1)
    lower = np.stack([corner + 1, corner + columns, corner + columns + 1], axis=1)
    return vertices, np.concatenate([upper, lower]).astype(np.int32)


def speaking(neutral: np.ndarray, frames: int) -> np.ndarray:
    """(T, V, 3): the lower third drops by up to 8 % of the height, another amount in each frame."""
    height = np.ptp(neutral[:, 1])
    low = np.clip((np.quantile(neutral[:, 1], 0.4) - neutral[:, 1]) / height, 0, 0.2) / 0.2
    drop = 0.08 * height * np.abs(np.sin(1 + 2.0 * np.arange(frames)))
    moved = np.repeat(neutral[None], frames, axis=0)
    moved[:, :, 1] -= drop[:, None] * low
    return moved


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """A .obj with texture coordinates, as scans have them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist()] + ["vt 0.5 0.5"]
    lines += [f"f {a}/1 {b}/1 {c}/1" for a, b, c in (faces + 1).tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """A .ply as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    lines += [f"{x:.8f} {y:.8f} {z:.8f}" for x, y, z in vertices.tolist()]
    lines += [f"3 {a} {b} {c}" for a, b, c in faces.tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def write_sound(path: Path, seconds: float, rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 200 * time), rate, subtype="PCM_16")


def raw_face(speaker: str) -> tuple[np.ndarray, np.ndarray]:
    """A speaker's neutral face as the release stores it: millimetres, y down, z away from the viewer."""
    vertices, faces = sheet(ROWS, COLUMNS, 150.0, 170.0 + 5 * int(speaker[1]))
    return vertices * (1, -1, -1), faces


def raw_motion(speaker: str) -> np.ndarray:
    """(T, V, 3) float32 as the release stores it."""
    vertices, _ = raw_face(speaker)
    return (speaking(vertices * (1, -1, -1), FRAMES) * (1, -1, -1)).astype(np.float32)


def vl(frame: np.ndarray, header: int = 4) -> bytes:
    return struct.pack("<I" if header == 4 else "<Q", len(frame)) + frame.astype("<f4").tobytes()


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def biwi_raw(root: Path) -> Path:
    """The release: one sentence in a folder, the others in archives, beside .tgz of textures; no sound for F1_e38."""
    for name in (*SPOKEN, "F1_e38"):
        speaker, sentence = name.split("_")
        frames = {f"frame_{i + 1:03d}.vl": vl(frame) for i, frame in enumerate(raw_motion(speaker))}
        place = root / "faces" / speaker
        if name in ("F2_e01", "F2_01"):
            (place / sentence).mkdir(parents=True)
            for file, content in frames.items():
                (place / sentence / file).write_bytes(content)
        elif name == "F2_e33":
            write_archive(place / f"{sentence}.tgz", {f"{sentence}/{file}": c for file, c in frames.items()})
        else:
            write_archive(place / f"{sentence}.tar", {f"./{file}": c for file, c in reversed(frames.items())})
            write_archive(place / f"{sentence}.tgz", {"texture_001.png": b"png"})
        if name != "F1_e38":
            write_sound(root / "audio" / f"{name}_cut.wav", FRAMES / 25, 44_100)
    for speaker in ("F1", "F2"):
        write_obj(root / "rigid_scans" / f"{speaker}.obj", *raw_face(speaker))
    return root


def biwi_area(root: Path) -> Path:
    """FaceFormer's layout: float64, flat, each frame normalised by itself; a flat and a shaped template; lone files."""
    templates = {}
    for name in SPOKEN:
        speaker = name.split("_")[0]
        vertices, faces = raw_face(speaker)
        values = to_area(raw_motion(speaker), faces)
        (root / "vertices_npy").mkdir(parents=True, exist_ok=True)
        np.save(root / "vertices_npy" / f"{name}.npy", values.reshape(FRAMES, -1))
        write_sound(root / "wav" / f"{name}.wav", FRAMES / 25, 44_100)
        templates[speaker] = to_area(vertices, faces)
        write_ply(root / "templates" / "BIWI.ply", templates[speaker], faces)
    templates["F1"] = templates["F1"].reshape(-1)
    for lone in ("F2_e02", "F2_02"):
        write_sound(root / "wav" / f"{lone}.wav", FRAMES / 25, 44_100)
    np.save(root / "vertices_npy" / "F2_e03.npy", values.reshape(FRAMES, -1))
    (root / "templates.pkl").write_bytes(pickle.dumps(templates, protocol=2))
    return root


def biwi_mm23(root: Path, area: bool = True) -> Path:
    """The MM'23 layout, in the area form or in millimetres; float32; F1_e38 without sound."""
    for name in ("F2_e01", "F2_e33", "F1_e37", "F1_e38"):
        speaker, sentence = name.split("_")
        vertices, faces = raw_face(speaker)
        values = raw_motion(speaker)
        folder = root / "mesh_sequences" / speaker
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{sentence}.npy", (to_area(values, faces) if area else values).astype(np.float32))
        write_ply(root / "templates" / f"{speaker}.ply", to_area(vertices, faces) if area else vertices, faces)
        if name != "F1_e38":
            write_sound(root / "audio" / f"{name}_cut.wav", FRAMES / 25, 44_100)
    return root


def by_name(data: RecordedDataset) -> dict[str, FileSequence]:
    """Every sequence of every split."""
    return {s.name: s for split in data.splits for s in data.split(split)}


def one_line(error: pytest.ExceptionInfo[VultusError]) -> str:
    """The message, which must be one line that says what was expected."""
    text = str(error.value)
    assert "\n" not in text and "expected" in text
    return text
