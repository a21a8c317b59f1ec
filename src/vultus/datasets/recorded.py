"""What data sets of recorded meshes share: splits, what was left out, folders, units, and the lines of a check.

Letters: T motion frames, V vertices. Lengths in metres unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding, RecordedSequence, Unit
from vultus.errors import VultusError, unknown_name
from vultus.speech import Speech, open_speech
from vultus.topology import Template

_METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0}
_SHOWN = 5  # names in a line about many


@dataclass(frozen=True, eq=False, kw_only=True)
class FileSequence(RecordedSequence):
    """A RecordedSequence of files.

    Attributes:
        sound: file of the sound.
        count_frames: -> T as stored, without reading the coordinates where the files allow it.
    """

    sound: Path
    count_frames: Callable[[], int]


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


class RecordedDataset:
    """Sequences by split, in a fixed order.

    Attributes:
        left_out: name of a sequence -> why it is in no split.
        notes: remarks of the reading that `vultus data check` shows.
    """

    name = ""

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

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold sequences."""
        return tuple(split for split, found in self._by_split.items() if found)

    def split(self, name: str) -> tuple[FileSequence, ...]:
        """The sequences of a split; VultusError with near misses where it is unknown or empty."""
        if name not in self.splits:
            raise unknown_name(f"split of {self.name} at {self.root}", name, self.splits)
        return self._by_split[name]


def missing(name: str, root: Path, found: str, expected: str) -> VultusError:
    """The error for a root that is not what a data set needs."""
    return VultusError(
        f"{name}: {root} has {found}; expected {expected}; look at it with `vultus data check {name} {root}`"
    )


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


def shortened(names: Sequence[str]) -> str:
    """A list of names for one line.

    >>> shortened(["a", "b"])
    'a, b'
    """
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def check_recorded(open_it: Callable[[], RecordedDataset], expected: Mapping[str, int], page: str) -> list[Finding]:
    """What `vultus data check` says of a data set of recorded meshes; raises nothing.

    Args:
        open_it: opens it.
        expected: split -> the least number of sequences that it should hold.
        page: where the documentation tells how to obtain what is missing.
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
    for why in dict.fromkeys(data.left_out.values()):
        names = [name for name, reason in data.left_out.items() if reason == why]
        findings.append(Finding(False, f"{len(names)} left out, {why}: {shortened(names)}", f"obtain them, see {page}"))
    return findings + _durations(data)


def _durations(data: RecordedDataset) -> list[Finding]:
    """Sound against motion, by the headers of the files."""
    unequal, broken, fine = [], [], 0
    for sequence in {s.name: s for split in data.splits for s in data.split(split)}.values():
        try:
            frames = sequence.count_frames()
            sound = open_speech(sequence.sound)
            seconds = (sound.expected_samples or sound.num_samples) / 16_000
        except Exception as error:  # as above: one damaged file is one line, not the end of the check
            broken.append(Finding(False, f"{sequence.name}: {error}", "replace the file"))
            continue
        if abs(frames - seconds * sequence.fps) > 1:
            unequal.append(f"{sequence.name} ({frames / sequence.fps:.2f} s of motion, {seconds:.2f} s of sound)")
        else:
            fine += 1
    findings = [Finding(True, f"{fine} sequences whose sound and motion last equally long, within one frame")]
    if unequal:
        what = f"{len(unequal)} sequences whose sound and motion differ by more than one frame: {shortened(unequal)}"
        findings.append(Finding(False, what, "check that sound and motion come from the same release"))
    return findings + broken
