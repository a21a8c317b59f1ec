"""Recorded motion back from a file, as a reference for style: .npz, .csv (Live Link Face), .json or .glb.

Letters: T motion frames, V vertices, E shapes beyond ARKit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.errors import VultusError
from vultus.motion import ARKIT_NAMES

MIN_SECONDS = 0.5
"""A shorter clip says nothing about how someone moves."""

_BLOCK = 256
_LOOKED_AT_S = 60.0  # of a long clip the first minute shows the style
_MIN_WEIGHT_RANGE = 1e-3
_MIN_VERTEX_RANGE = 1e-5  # metres

#: Suffix -> what reads it.
READABLE = (".npz", ".csv", ".json", ".glb")


@dataclass(frozen=True, eq=False)
class StyleClip:
    """Recorded motion that shows a style.

    Attributes:
        source: the file's name.
        fps: frames per second.
        num_frames: T.
        weights: (T, 52 + E) float32 in [0, 1], columns as `weight_names`; None where the file has vertices only.
        weight_names: the 52 ARKit names, then the E further ones of the file.
        head_rotation: (T, 3) float32, axis-angle, radians.
        topology_digest: digest of the mesh that moved (`Topology.digest`), None where the file has no mesh.
        template: (V, 3) float32 metres, the neutral face that moved, or None.
        mesh: (T, V, 3) float32 metres, memory-mapped where possible, or None; read it through `vertices`.
    """

    source: str
    fps: float
    num_frames: int
    weights: np.ndarray | None
    weight_names: tuple[str, ...]
    head_rotation: np.ndarray
    topology_digest: str | None = None
    template: np.ndarray | None = None
    mesh: np.ndarray | None = None

    @property
    def has_vertices(self) -> bool:
        return self.mesh is not None

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.num_frames / self.fps

    def vertices(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Vertices (n, V, 3) float32 of frames start .. stop - 1, metres; VultusError where the file has none."""
        if self.mesh is None:
            raise VultusError(f"{self.source}: holds weights but no vertices; expected an .npz with vertices")
        return np.array(self.mesh[start:stop], np.float32)


def read_motion(path: str | Path, *, topology_digest: str | None = None) -> StyleClip:
    """Reads recorded motion for a style.

    Args:
        path: .npz, .csv, .json or .glb, as our exporters write them, a Live Link Face recording, or another program's
            .glb with an animation of ARKit's shapes (of which the first minute is read).
        topology_digest: digest of the mesh that vertices have to fit; weights fit every face.

    Raises:
        VultusError: unknown suffix; a file that its reader refuses; under half a second; no motion at all; vertices
            (and no weights) on another mesh than `topology_digest`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise VultusError(f"{path}: motion is read from {' '.join(READABLE)}; found '{suffix or path.name}'")
    if not path.is_file():
        raise VultusError(f"{path}: there is no such file; expected recorded motion ({' '.join(READABLE)})")
    clip = _READERS[suffix](path)
    if clip.duration < MIN_SECONDS:
        raise VultusError(f"{path}: {clip.duration:.2f} s of motion; a style needs at least {MIN_SECONDS:g} s")
    if clip.weights is None and topology_digest is not None and clip.topology_digest != topology_digest:
        raise VultusError(
            f"{path}: its vertices move another mesh ({clip.topology_digest}) than this head's ({topology_digest}), "
            "and it has no weights; expected weights (.csv, .json, .glb fit any face), or vertices of the same topology"
        )
    if not _moves(clip):
        raise VultusError(
            f"{path}: the face never moves{' in the first minute' if clip.duration > _LOOKED_AT_S else ''}; a style "
            "needs a clip of a speaking face"
        )
    return clip


def _from_npz(path: Path) -> StyleClip:
    from vultus.export.npz import read_npz

    data = read_npz(path)
    weights = data.weights
    if weights is not None and data.extra_weights is not None:
        weights = np.concatenate([weights, data.extra_weights], axis=1)
    return StyleClip(
        source=str(path),
        fps=data.fps,
        num_frames=len(data),
        weights=None if weights is None else np.clip(weights, 0, 1),
        weight_names=() if weights is None else (*ARKIT_NAMES, *data.extra_weight_names),
        head_rotation=data.head_rotation,
        topology_digest=data.topology_digest,
        template=data.template,
        mesh=data.vertices,
    )


def _from_csv(path: Path) -> StyleClip:
    from vultus.export.csv import read_csv

    weights, fps, head_rotation = read_csv(path)
    return StyleClip(str(path), fps, len(weights), weights, ARKIT_NAMES, head_rotation)


def _from_json(path: Path) -> StyleClip:
    from vultus.export.json_weights import read_json

    weights, names, fps, head_rotation = read_json(path)
    return StyleClip(str(path), fps, len(weights), weights, names, head_rotation)


def _from_glb(path: Path) -> StyleClip:
    from vultus.export.read_glb import read_glb

    weights, names, fps, head_rotation = read_glb(path)
    return StyleClip(str(path), fps, len(weights), weights, names, head_rotation)


_READERS = {".npz": _from_npz, ".csv": _from_csv, ".json": _from_json, ".glb": _from_glb}


def _moves(clip: StyleClip) -> bool:
    frames = min(clip.num_frames, int(_LOOKED_AT_S * clip.fps))
    if clip.weights is not None:
        return bool(np.ptp(clip.weights[:frames], axis=0).max() > _MIN_WEIGHT_RANGE)
    first = clip.vertices(0, 1)
    return any(
        np.abs(clip.vertices(start, min(frames, start + _BLOCK)) - first).max() > _MIN_VERTEX_RANGE
        for start in range(0, frames, _BLOCK)
    )
