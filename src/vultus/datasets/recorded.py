"""What data sets of recorded meshes share: splits, what was left out, folders, units, and the lines of a check.

Letters: T motion frames, V vertices. Lengths in metres unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding, RecordedSequence, SplitTable, Unit, by_reason, missing, shortened
from vultus.datasets.durations import compare_durations, sound_seconds
from vultus.errors import VultusError
from vultus.speech import Speech
from vultus.topology import Template

_METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0}


@dataclass(frozen=True, eq=False, kw_only=True)
class FileSequence(RecordedSequence):
    """A RecordedSequence of files.

    Attributes:
        sound: file of the sound.
        count_frames: -> T as stored, without reading the coordinates where the files allow it.
    """

    sound: Path
    count_frames: Callable[[], int]

    def count_seconds(self) -> float:
        """Length of the sound, by its header where that tells."""
        return sound_seconds(self.sound)


def file_sequence(
    source: str,
    subject: str,
    sentence: str,
    split: str,
    *,
    fps: float,
    unit: Unit,
    template: Template,
    sound: Path,
    read_vertices: Callable[[], np.ndarray],
    count_frames: Callable[[], int],
) -> FileSequence:
    """A FileSequence named SUBJECT_SENTENCE."""
    name = f"{subject}_{sentence}"
    return FileSequence(
        name, subject, sentence, split, source, fps, template, partial(Speech.load, sound), read_vertices, unit,
        sound=sound, count_frames=count_frames,
    )  # fmt: skip


class RecordedDataset(SplitTable[FileSequence]):
    """Sequences by split, in a fixed order.

    Attributes:
        left_out: name of a sequence -> why it is in no split.
        notes: remarks of the reading that `vultus data check` shows.
    """

    def __init__(
        self, root: Path, sequences: Iterable[FileSequence], order: Sequence[str], left_out: dict[str, str]
    ) -> None:
        self.root = root
        self.left_out = left_out
        self.notes: list[str] = []
        found = list(sequences)  # fills left_out too, where it is made on the way
        self._by_split = {split: tuple(s for s in found if s.split == split) for split in order}
        if not found:
            why = "; ".join(f"{name} has {reason}" for name, reason in list(left_out.items())[:1])
            found_none = "no sequence with both sound and motion" + (f" ({why})" if why else "")
            raise missing(self.name, root, found_none, "some with both")


def find_folder(name: str, root: Path, what: str, candidates: Sequence[str], chosen: str | None = None) -> Path:
    """The first of some folders under the root that is there, or the one that the caller chose by an option."""
    for candidate in (chosen,) if chosen else candidates:
        if (root / candidate).is_dir():
            return root / candidate
    wanted = chosen or " or ".join(f"{c}/" for c in candidates)
    raise missing(name, root, f"no folder of {what}", f"{wanted} (or the option that names another)")


def read_array(path: Path, num_vertices: int) -> np.ndarray:
    """A .npy of motion, (T, 3V) or (T, V, 3) of any float type -> (T, V, 3), memory-mapped."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VultusError(f"'{path}': cannot be read ({reason}); expected a .npy of floats; make it again") from None
    good = values.ndim == 2 and values.shape[1] == 3 * num_vertices
    good = good or (values.ndim == 3 and values.shape[1:] == (num_vertices, 3))
    if not good or not len(values) or values.dtype.kind != "f":
        raise VultusError(
            f"'{path}': holds {values.dtype} {values.shape}; expected floats (frames, {3 * num_vertices}) or (frames, "
            f"{num_vertices}, 3); check that it belongs to this data set"
        )
    return np.reshape(values, (len(values), num_vertices, 3))


def read_scaled(path: Path, num_vertices: int, scale: float, template: np.ndarray) -> np.ndarray:
    """A .npy of motion brought to metres, (T, V, 3) float32; VultusError where its size is not that of the template."""
    values = np.asarray(read_array(path, num_vertices), np.float32) * np.float32(scale)
    size = float(np.ptp(values[0], axis=0).max() / np.ptp(template, axis=0).max())
    if not 0.5 < size < 2:
        raise VultusError(
            f"'{path}': its first frame is {size:.3g} times as large as the neutral face; expected the same unit; take "
            "motion and neutral faces from the same preparation"
        )
    return values


def metres_per_unit(what: str, vertices: np.ndarray, low: float, high: float, units: Sequence[str] = ("mm",)) -> float:
    """The factor that brings a head to metres, told by its height along y.

    Args:
        what: the subject of the message.
        vertices: (V, 3) of one head.
        low: least plausible height, metres.
        high: greatest plausible height, metres; below 10 low, so that units cannot be mixed up.
        units: some of "mm", "cm", "m".
    """
    height = float(np.ptp(vertices[:, 1])) if np.isfinite(vertices).all() else float("nan")
    for unit in units:
        if low <= height * _METRES[unit] <= high:
            return _METRES[unit]
    raise VultusError(
        f"{what}: is {height:.4g} high along y; expected {low * 1000:g} to {high * 1000:g} mm"
        f"{' in ' + ', '.join(units) if len(units) > 1 else ''}; bring it back to the unit of the release"
    )


class ThreeFolders(RecordedDataset):
    """Sound, motion and neutral faces in a folder each, whose names may be told, as the code of MM'23 lays them out.

    Attributes:
        mesh_folders: names of the folder of motion that are looked for.
        template_folders: those of the folder of neutral faces.
        order: of the splits.
    """

    mesh_folders: Sequence[str]
    template_folders: Sequence[str]
    order: Sequence[str]

    def __init__(
        self, root: str | Path, *, audio: str | None = None, meshes: str | None = None, templates: str | None = None
    ) -> None:
        folder = Path(root)
        sound_folder = find_folder(self.name, folder, "sound", ["audio"], audio)
        mesh_folder = find_folder(self.name, folder, "motion", self.mesh_folders, meshes)
        template_folder = find_folder(self.name, folder, "neutral faces", self.template_folders, templates)
        left_out: dict[str, str] = {}
        found = self._sequences(sound_folder, mesh_folder, template_folder, left_out)
        super().__init__(folder, found, self.order, left_out)

    def _sequences(
        self, sounds: Path, meshes: Path, templates: Path, left_out: dict[str, str]
    ) -> Iterator[FileSequence]:
        raise NotImplementedError


def check_recorded(
    open_it: Callable[[], RecordedDataset], expected: Mapping[str, int], page: str, durations: bool
) -> list[Finding]:
    """What `vultus data check` says of a data set of recorded meshes; raises nothing.

    Args:
        open_it: opens it.
        expected: split -> the least number of sequences that it should hold.
        page: where the documentation tells how to obtain what is missing.
        durations: compare sound and motion of every sequence.
    """
    try:
        data = open_it()
    except Exception as error:  # a bad root may fail in any way, and this function is there to tell about it
        return [Finding(False, str(error) or type(error).__name__, f"see {page}")]
    findings = [Finding(True, note) for note in data.notes]
    for split in dict.fromkeys((*expected, *data.splits)):
        have = len(data.split(split)) if split in data.splits else 0
        wanted = expected.get(split, 0)
        what = f"split {split}: {have} sequences" + (f", fewer than {wanted}" if have < wanted else "")
        findings.append(Finding(have >= wanted, what, "" if have >= wanted else f"obtain the rest, see {page}"))
    for why, names in by_reason(data.left_out).items():
        findings.append(Finding(False, f"{len(names)} left out, {why}: {shortened(names)}", f"obtain them, see {page}"))
    for split in data.splits if durations else ():
        findings += compare_durations(f"split {split}", data.split(split), f"obtain it again, see {page}")
    return findings
