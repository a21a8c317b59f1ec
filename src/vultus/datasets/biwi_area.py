"""BIWI in the area-normalised form that FaceFormer, CodeTalker and their successors train on; its unit is `area`.

    ROOT/vertices_npy/F2_e01.npy    (T, 70110), float64 or float32, row-major x y z; 25 frames per second
    ROOT/wav/F2_e01.wav
    ROOT/templates.pkl              speaker -> (23370, 3) or flat
    ROOT/BIWI.ply                   any neutral face, for the triangles; or ROOT/templates/BIWI.ply

Each mesh lies with its centroid at 0 and has a surface of 1, so one unit is 174 to 201 mm, another for each speaker and
(where frames were scaled one by one) for each frame. `to_area` makes the form from the released one.

Letters: T motion frames, V vertices, F triangles.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding, missing
from vultus.datasets.biwi import FPS, PAGE, PUBLISHED, SPEAKERS, SPLITS, read_neutral, split_of
from vultus.datasets.biwi_vl import NUM_VERTICES
from vultus.datasets.recorded import (
    FileSequence,
    RecordedDataset,
    check_recorded,
    file_sequence,
    find_folder,
    read_array,
)
from vultus.errors import VultusError
from vultus.readers.safe_pickle import load_pickle
from vultus.topology import Template, Topology

MM_PER_UNIT = {
    "F1": 173.5965, "F2": 179.7675, "F3": 185.8210, "F4": 185.8799, "F5": 182.6764, "F6": 186.2587, "F7": 180.6849,
    "F8": 180.7115, "M1": 188.5588, "M2": 192.8390, "M3": 184.9965, "M4": 186.2286, "M5": 201.2294, "M6": 189.5069,
}  # fmt: skip
"""Millimetres in one unit of each speaker's template, as measured by a user in issue 45 of EvelynFan/FaceFormer. For
reading published numbers only: frames scaled one by one have units of their own, so nothing here converts by it."""

_MESHES = ("BIWI.ply", "templates/BIWI.ply")
_NAME = re.compile(r"([FM]\d)_(e?\d\d)")


def surface_area(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Sum of the areas of the triangles of one mesh, (V, 3) and (F, 3), in the square of its unit.

    >>> surface_area(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))
    0.5
    """
    a, b, c = (np.asarray(vertices, np.float64)[faces[:, i]] for i in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def to_area(vertices: np.ndarray, faces: np.ndarray, *, upright: bool = False) -> np.ndarray:
    """The published normalisation of BIWI, each frame by itself, and the same for a template.

    A frame is turned by pi about x (y and z change sign), its centroid (mean of the vertices) is subtracted, and it is
    divided by the square root of its surface. Scale and place of a frame thus depend on its expression: a jaw that
    drops moves every vertex, the forehead too. Source: CodeTalker (CVPR 2023), BIWI preprocessing.

    Args:
        vertices: (T, V, 3) or (V, 3), any unit, as stored in .vl and .obj files.
        faces: (F, 3) triangles.
        upright: the coordinates were turned already, as those of the data set `biwi` are.

    Returns:
        float64 of the same shape, unit `area`.

    >>> turned = to_area(np.array([[0.0, 0, 0], [2, 0, 0], [0, 4, 0]]), np.array([[0, 1, 2]]))
    >>> bool(np.allclose(turned, [[-1 / 3, 2 / 3, 0], [2 / 3, 2 / 3, 0], [-1 / 3, -4 / 3, 0]]))
    True
    """
    values = np.array(vertices, np.float64)
    if values.ndim not in (2, 3) or values.shape[-1] != 3:
        raise VultusError(f"to_area: vertices have shape {values.shape}; expected (frames, vertices, 3) or one frame")
    frames = values if values.ndim == 3 else values[None]  # a view: `values` changes with it
    if not upright:
        frames *= (1.0, -1.0, -1.0)
    frames -= frames.mean(axis=1, keepdims=True)
    for i, frame in enumerate(frames):
        area = surface_area(frame, faces)
        if not np.isfinite(area) or area <= 0:
            raise VultusError(f"to_area: frame {i} has a surface of {area:g}; expected a finite one above 0")
        frame /= np.sqrt(area)
    return values


class BiwiArea(RecordedDataset):
    """The npy form on disk; splits as in `Biwi`.

    Args:
        root: folder that holds vertices_npy/, wav/ and templates.pkl.
        mesh: a .ply or .obj with the triangles, where ROOT holds no BIWI.ply.

    Raises:
        VultusError: nothing usable at the root; the released form; files of FaceXHuBERT's kind; no triangles; templates
            whose surface is not 1.
    """

    name = "biwi_area"

    def __init__(self, root: str | Path, *, mesh: str | Path | None = None) -> None:
        folder = Path(root)
        if (folder / "faces").is_dir() and not (folder / "vertices_npy").is_dir():
            raise VultusError(
                f"biwi_area: {folder} holds faces/, the released form; expected the npy form; open it as `biwi`"
            )
        arrays = find_folder(self.name, folder, "motion", ["vertices_npy"])
        sounds = find_folder(self.name, folder, "sound", ["wav"])
        left_out: dict[str, str] = {}
        topology = self._topology(folder, mesh)
        _refuse_renumbered(arrays)
        templates = _templates(folder / "templates.pkl", topology)
        super().__init__(folder, self._sequences(arrays, sounds, templates, left_out), SPLITS, left_out)

    def _topology(self, root: Path, mesh: str | Path | None) -> Topology:
        files = [Path(mesh)] if mesh else [root / name for name in _MESHES]
        path = next((p for p in files if p.is_file()), None)
        if path is None:
            raise missing(
                self.name, root, f"no {' or '.join(str(p) for p in ([mesh] if mesh else _MESHES))}",
                "a mesh with the triangles, such as BIWI/BIWI.ply of CodeTalker, there or by the option mesh=FILE",
            )  # fmt: skip
        return Topology(read_neutral(path, NUM_VERTICES)[1], NUM_VERTICES, name="biwi")

    def _sequences(
        self, arrays: Path, sounds: Path, templates: dict[str, Template], left_out: dict[str, str]
    ) -> Iterator[FileSequence]:
        present = {
            path.stem for folder, kind in ((arrays, "npy"), (sounds, "wav")) for path in folder.glob(f"*.{kind}")
        }
        for name in sorted(present):
            named = _NAME.fullmatch(name)
            array, sound = arrays / f"{name}.npy", sounds / f"{name}.wav"
            if named is None or named[1] not in SPEAKERS:
                left_out[name] = "a name that is not SPEAKER_SENTENCE such as F2_e01"
            elif not array.is_file():
                if split_of(named[1], named[2]) != "rest":  # usual: all of the sound, motion of emotional sentences
                    left_out[name] = "no motion"
            elif not sound.is_file():
                left_out[name] = "no sound"
            elif named[1] not in templates:
                left_out[name] = "no template of the speaker"
            else:
                yield file_sequence(
                    self.name, named[1], named[2], split_of(named[1], named[2]),
                    fps=FPS, unit="area", template=templates[named[1]], sound=sound,
                    read_vertices=functools.partial(read_area, array, templates[named[1]].topology.faces),
                    count_frames=functools.partial(lambda path: len(read_array(path, NUM_VERTICES)), array),
                )  # fmt: skip


def read_area(path: Path, faces: np.ndarray) -> np.ndarray:
    """A .npy of area-normalised motion, (T, V, 3), memory-mapped; VultusError where a frame's surface is far from 1."""
    values = read_array(path, NUM_VERTICES)
    for i in dict.fromkeys((0, len(values) // 2, len(values) - 1)):
        area = surface_area(values[i], faces)
        if abs(area - 1) > 0.25:  # clips scaled by their template alone stay well within
            raise VultusError(
                f"biwi_area: '{path}': frame {i} has a surface of {area:.4g}; expected 1, the area-normalised form; "
                "open released coordinates as `biwi`, or normalise them with vultus.datasets.biwi_area.to_area"
            )
    return values


def _refuse_renumbered(arrays: Path) -> None:
    """FaceXHuBERT's preprocessing names emotional sentences 41 to 80 and scales each axis by itself."""
    for path in sorted(arrays.glob("*.npy")):
        if re.fullmatch(r"[FM]\d_(4[1-9]|[567]\d|80)", path.stem):
            raise _facexhubert(f"{path.name} (emotional sentences numbered 41 to 80)", arrays.parent)


def _facexhubert(found: str, root: Path) -> VultusError:
    return VultusError(
        f"biwi_area: {root} holds {found}, FaceXHuBERT's form with each axis scaled by itself; expected F2_e01.npy "
        f"with a surface of 1; make the area form from the release, see {PAGE}"
    )


def _templates(path: Path, topology: Topology) -> dict[str, Template]:
    if not path.is_file():
        raise missing("biwi_area", path.parent, "no templates.pkl", "one beside vertices_npy/")
    table = load_pickle(path, what="templates.pkl")
    if not isinstance(table, dict):
        raise VultusError(
            f"'{path}': holds {type(table).__name__}; expected speaker -> ({NUM_VERTICES}, 3); replace it"
        )
    found = {}
    for speaker in (s for s in SPEAKERS if s in table):
        values = np.asarray(table[speaker])
        if values.size != 3 * NUM_VERTICES or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise VultusError(
                f"'{path}': template {speaker} is {values.dtype} {values.shape}; expected finite floats "
                f"({NUM_VERTICES}, 3); replace it"
            )
        vertices = values.reshape(NUM_VERTICES, 3)
        if np.allclose(np.ptp(vertices, axis=0), 1, atol=1e-3):
            raise _facexhubert(f"templates whose every axis spans 1 ({speaker})", path.parent)
        area = surface_area(vertices, topology.faces)
        if abs(area - 1) > 0.02:
            raise VultusError(
                f"'{path}': template {speaker} has a surface of {area:.4g}; expected 1, the area-normalised form; open "
                "the released coordinates as `biwi`"
            )
        found[speaker] = Template(topology, vertices.astype(np.float32))
    return found


def check(root: str | Path, mesh: str | Path | None = None, *, durations: bool = True) -> list[Finding]:
    """What is at `root`, what is missing, and durations against motion; never raises."""
    return check_recorded(lambda: BiwiArea(root, mesh=mesh), PUBLISHED, PAGE, durations)
