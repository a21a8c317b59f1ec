"""Multiface in the topology of MeshTalk (ICCV 2021): 6172 of the 7306 vertices, in their order. Metres, 30 fps.

Which vertices those are is told by a file of MeshTalk's repository (`utils/multiface2meshtalk.py`, CC BY-NC 4.0), which
is not ours to ship: the user supplies it, or any file that lists the 1134 vertices to drop or the 6172 to keep.

Letters: T motion frames, K vertices kept.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding, missing
from vultus.datasets.multiface import EXPECTED, PAGE, Multiface
from vultus.datasets.multiface_meshes import NUM_VERTICES, Reduction
from vultus.datasets.recorded import check_recorded
from vultus.errors import VultusError

KEPT = 6172
DROPPED = NUM_VERTICES - KEPT
LISTS = ("vertex_list.txt", "vertex_list.npy", "multiface2meshtalk.py")
"""Names under the root that are taken where the option is not given."""
_MAX_BYTES = 1 << 20


class MeshTalk(Multiface):
    """The Multiface release in MeshTalk's topology; subjects, splits and the other options as there.

    Args:
        root: folder of the subjects' folders.
        vertex_list: the user's file of vertex numbers: a .npy, or text with the numbers parted by commas, blanks or
            lines (the first run of 1134 or 6172 of them counts, so multiface2meshtalk.py itself will do; it is read as
            text and never run). By default a file of LISTS under the root.

    Raises:
        VultusError: as `Multiface`; no vertex list, or one that is not of 1134 or 6172 vertices.
    """

    name = "meshtalk"

    def __init__(
        self,
        root: str | Path,
        *,
        vertex_list: str | Path | None = None,
        templates: str | Path | None = None,
        mesh: str | Path | None = None,
        published_val: bool = False,
    ) -> None:
        self._vertex_list = vertex_list
        super().__init__(root, templates=templates, mesh=mesh, published_val=published_val)

    def _reduction(self, root: Path) -> Reduction:
        files = [Path(self._vertex_list)] if self._vertex_list else [root / name for name in LISTS]
        path = next((p for p in files if p.is_file()), None)
        if path is None:
            raise missing(
                self.name, root, f"no {self._vertex_list or 'vertex list'}",
                f"vertex_list=FILE with the {DROPPED} vertices to drop, such as utils/multiface2meshtalk.py of "
                f"facebookresearch/meshtalk, see {PAGE}",
            )  # fmt: skip
        return Reduction(kept_vertices(path), "meshtalk")


def kept_vertices(path: Path) -> np.ndarray:
    """The vertices of Multiface that MeshTalk keeps, (6172,) int64 sorted, from a list of either kind."""
    for numbers in _runs_of_numbers(path):
        if len(numbers) not in (KEPT, DROPPED):
            continue
        listed = np.unique(np.asarray(numbers, np.int64))
        if len(listed) != len(numbers) or listed[0] < 0 or listed[-1] >= NUM_VERTICES:
            raise VultusError(
                f"'{path}': lists {len(listed)} different vertices from {listed[0]} to {listed[-1]}; expected "
                f"{len(numbers)} between 0 and {NUM_VERTICES - 1}, each once; take MeshTalk's own list"
            )
        return listed if len(listed) == KEPT else np.setdiff1d(np.arange(NUM_VERTICES), listed)
    raise VultusError(
        f"'{path}': holds no list of {DROPPED} or {KEPT} vertex numbers; expected the vertices of Multiface that "
        "MeshTalk drops, or those that it keeps; take MeshTalk's own list"
    )


def _runs_of_numbers(path: Path) -> list[list[int]]:
    """Every run of whole numbers in the file that only commas and blanks part."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return []
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
            return [values.ravel().tolist()] if values.dtype.kind in "iu" else []
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError, EOFError) as error:
        raise VultusError(
            f"'{path}': cannot be read ({type(error).__name__}); expected vertex numbers as text or .npy"
        ) from None
    runs = re.findall(r"(?<![\w.])\d{1,6}(?:[\s,]+\d{1,6})*(?![\w.])", text)
    return [[int(number) for number in re.split(r"[\s,]+", run)] for run in runs]


def check(
    root: str | Path,
    vertex_list: str | None = None,
    templates: str | None = None,
    mesh: str | None = None,
    *,
    durations: bool = True,
) -> list[Finding]:
    """What is at `root`, what is missing, and durations against motion; never raises."""
    return check_recorded(
        lambda: MeshTalk(root, vertex_list=vertex_list, templates=templates, mesh=mesh), EXPECTED, PAGE, durations
    )
