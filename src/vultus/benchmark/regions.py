"""Regions of a mesh: from the user's files, else from the topology, else from the geometry of the neutral face.

Published lists of lip vertices come with licences of their own, so none is shipped: whoever compares with a table
brings its list as DIR/lips.txt, DIR/upper_face.txt and so on. A file holds vertex numbers, or one 0/1 or weight for
each vertex, separated by commas, blanks or line ends; .npy files of either kind are read too. CodeTalker's file names
stand for ours: lve.txt for lips, fdd.txt for upper_face.

Letters: V vertices, n vertices of a region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.benchmark import face_geometry
from vultus.errors import VultusError, unknown_name
from vultus.metrics.base import Region, Unavailable, Unit
from vultus.topology import REGIONS, Template

NAMES = ("face", *REGIONS)
ALIASES = {"lve": "lips", "mouth": "lips", "fdd": "upper_face", "upper": "upper_face"}
LIPS = ("lips", "upper_lip", "lower_lip")
SUFFIXES = (".txt", ".npy")


@dataclass(frozen=True)
class Regions:
    """What was found.

    Attributes:
        regions: by name.
        duplicates: name -> how often a file repeated a vertex that it had named; each counts once.
        refused: why the geometry gave nothing, or "".
    """

    regions: Mapping[str, Region]
    duplicates: Mapping[str, int]
    refused: str = ""

    def describe(self) -> dict[str, dict[str, str | int]]:
        """Name -> digest, source, number of vertices and duplicates, for results."""
        return {
            name: {
                "digest": region.digest,
                "source": region.source,
                "vertices": len(region.vertices),
                "counted_in_maxima": int(region.members.sum()),
                "duplicates": self.duplicates.get(name, 0),
            }
            for name, region in sorted(self.regions.items())
        }


def find_regions(template: Template, unit: Unit, folder: str | Path | None = None) -> Regions:
    """The regions that a benchmark scores.

    Lips and their halves come from one source: beside a user's lips, no halves are made up from geometry, and beside
    a user's two halves the lips are their union.

    Args:
        template: a neutral face; of the first subject, so that one list serves all.
        unit: of its coordinates.
        folder: the user's files, or None.

    Raises:
        VultusError: no such folder, a file that holds neither vertex numbers nor weights, a name that is no region.
    """
    count = template.topology.num_vertices
    regions: dict[str, Region] = {}
    duplicates: dict[str, int] = {}
    if folder is not None:
        for name, path in _files(Path(folder)).items():
            regions[name], duplicates[name] = read_region(path, name, count)
    own = set(regions)
    for name, vertices in template.topology.regions.items():
        if name not in regions and len(vertices) and not (name in LIPS and own & set(LIPS)):
            regions[name] = plain(name, vertices, "topology")
    if "lips" not in regions and {"upper_lip", "lower_lip"} <= regions.keys():
        regions["lips"] = _union("lips", regions["upper_lip"], regions["lower_lip"])
    if "face" not in regions:
        regions["face"] = plain("face", np.arange(count), "topology")
    refused = ""
    if not {"upper_face", "lips"} <= regions.keys():
        try:
            found = face_geometry.find_regions(template, unit)
        except Unavailable as reason:
            found, refused = {}, str(reason)
        has_lips = bool(regions.keys() & set(LIPS))
        for name, vertices in found.items():
            if name not in regions and not (name in LIPS and has_lips):
                regions[name] = plain(name, vertices, "geometry")
    return Regions(regions, duplicates, refused)


def plain(name: str, vertices: np.ndarray, source: str) -> Region:
    """A region of vertices that all count alike."""
    numbers = np.unique(np.asarray(vertices, np.int64))
    return Region(name, numbers, np.ones(len(numbers), np.float32), source)


def _union(name: str, one: Region, other: Region) -> Region:
    """The vertices of both; of two weights of a vertex, the larger."""
    numbers = np.union1d(one.vertices, other.vertices)
    weights = np.zeros(len(numbers), np.float32)
    for region in (one, other):
        places = np.searchsorted(numbers, region.vertices)
        weights[places] = np.maximum(weights[places], region.weights)
    return Region(name, numbers, weights, f"union of {one.source} and {other.source}")


def read_region(path: Path, name: str, num_vertices: int) -> tuple[Region, int]:
    """A region of a file, and how many of its entries repeated an earlier one.

    As many numbers as the mesh has vertices, all in [0, 1], are weights; anything else is vertex numbers. Numbers in
    [0, 1] that repeat are a mask of another mesh: no list names vertices 0 and 1 again and again.

    Raises:
        VultusError: unreadable, empty, not numbers, a mask of another length, or numbers that fit neither reading.
    """
    values = _numbers(path)
    if not len(values):
        raise VultusError(f"{path}: is empty; expected vertex numbers, or one weight for each of {num_vertices}")
    if not np.isfinite(values).all() or values.min() < 0:
        raise VultusError(f"{path}: holds NaN, infinite or negative numbers; expected vertex numbers or weights")
    source = f"file {path.name}"
    if len(values) != num_vertices and values.max() <= 1 and len(np.unique(values)) < len(values):
        raise VultusError(
            f"{path}: found {len(values)} values that look like a 0/1 mask, expected {num_vertices}, one for each "
            "vertex; take the mask that belongs to this topology"
        )
    if len(values) == num_vertices and values.max() <= 1:
        chosen = np.flatnonzero(values > 0)
        if not len(chosen):
            raise VultusError(f"{path}: all {num_vertices} weights are 0; expected some above 0")
        return Region(name, chosen, values[chosen].astype(np.float32), source), 0
    if (values != np.round(values)).any():
        raise VultusError(
            f"{path}: holds {len(values)} numbers, some of them fractions; expected whole vertex numbers, or exactly "
            f"{num_vertices} weights in [0, 1]"
        )
    if values.max() >= num_vertices:
        raise VultusError(
            f"{path}: names vertex {values.max():.0f}; expected 0 to {num_vertices - 1}; take the list that belongs to "
            "this topology (numbers start at 0)"
        )
    numbers = np.unique(values.astype(np.int64))
    return Region(name, numbers, np.ones(len(numbers), np.float32), source), len(values) - len(numbers)


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise VultusError(f"regions {folder}: no such folder; expected one with lips.txt, upper_face.txt ...")
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
        name = ALIASES.get(path.stem, path.stem)
        if name not in NAMES:
            raise unknown_name(f"region file in {folder}", path.stem, [*NAMES, *ALIASES])
        if name in found:
            raise VultusError(f"regions {folder}: {found[name].name} and {path.name} both give '{name}'; keep one")
        found[name] = path
    if not found:
        raise VultusError(f"regions {folder}: holds no .txt or .npy file; expected lips.txt, upper_face.txt ...")
    return found


def _numbers(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
            if values.dtype.kind not in "biuf":
                raise ValueError(f"holds {values.dtype}")
            return np.asarray(values, np.float64).ravel()
        words = path.read_text(encoding="utf-8-sig").replace(",", " ").replace(";", " ").split()
        return np.array([float(word) for word in words], np.float64)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:160]
        raise VultusError(f"{path}: cannot be read as numbers ({reason}); expected vertex numbers or weights") from None
