"""Writes a corpus in the folder shape that public training code for VOCASET reads.

    wav/NAME.wav             mono 16 kHz, 16 bit; NAME is SUBJECT_LINE_tTAKE
    vertices_npy/NAME.npy    (T, 3V) float32 metres, without head rotation
    templates.npz            SUBJECT -> (V, 3) float32 metres (the official release has a pickle here)
    faces.npy                (F, 3) int32
    splits.json              split -> names; fps

Letters: T motion frames, V vertices, F triangles.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.files import write_atomically

if TYPE_CHECKING:
    from vultus.datasets.synthetic import SyntheticCorpus


def export_vocaset(
    corpus: SyntheticCorpus,
    out: Path,
    *,
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    fps: float = 30.0,
) -> int:
    """Writes clips with speech in the layout above and returns their number.

    Args:
        corpus: what to export.
        out: a new or empty folder.
        splits: which; None takes train, val and test as far as they exist.
        limit: at most so many clips of each split.
        fps: frames per second of the vertices.

    Raises:
        VultusError: `out` is in use, or an unknown split.
    """
    import soundfile

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise VultusError(f"export: {out} is not empty; expected a new or empty folder")
    chosen = list(splits) if splits else [s for s in ("train", "val", "test") if s in corpus.splits]
    names: dict[str, list[str]] = {}
    templates: dict[str, np.ndarray] = {}
    faces: np.ndarray | None = None
    for split in chosen:
        names[split] = []
        for clip in [c for c in corpus.split(split) if c.is_speech][:limit]:
            name = f"{clip.subject}_{clip.line}_t{clip.take:02d}"
            sound, mesh = io.BytesIO(), io.BytesIO()
            soundfile.write(sound, clip.speech().samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
            vertices = clip.vertices(fps=fps)
            np.save(mesh, vertices.reshape(len(vertices), -1), allow_pickle=False)
            write_atomically(out / "wav" / f"{name}.wav", sound.getvalue())
            write_atomically(out / "vertices_npy" / f"{name}.npy", mesh.getvalue())
            templates[clip.subject] = clip.template.vertices
            faces = clip.template.topology.faces
            names[split].append(name)
    if faces is None:
        raise VultusError(f"export: no clip with speech in {', '.join(chosen)}; choose another split")
    packed, triangles = io.BytesIO(), io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **templates)
    np.save(triangles, faces, allow_pickle=False)
    write_atomically(out / "templates.npz", packed.getvalue())
    write_atomically(out / "faces.npy", triangles.getvalue())
    write_atomically(out / "splits.json", (json.dumps({"fps": fps, "splits": names}, indent=1) + "\n").encode())
    return sum(map(len, names.values()))
