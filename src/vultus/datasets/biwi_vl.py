"""Reads the tracked faces of BIWI: files frame_NNN.vl in a folder, or inside a .tar or .tgz without unpacking it.

A .vl file is a vertex count and then float32 x, y, z of each vertex. The count was written as a C `ulong`, whose width
depends on the machine, so its length is taken from the size of the file: 4 bytes in the release, 8 are read too.

Archives are data from strangers. Members are read in memory, never written to disk, so their paths can do no harm; what
is not a plain file named like a frame is passed over, and sizes are checked before anything is read.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import gzip
import itertools
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vultus.errors import VultusError

NUM_VERTICES = 23_370
BODY = 12 * NUM_VERTICES
"""Bytes of the coordinates of one frame."""
HEADERS = (4, 8)
"""Bytes that the vertex count may take."""
ARCHIVES = (".tar", ".tgz", ".tar.gz")
MAX_FRAMES = 3000
"""Two minutes; the longest sentence of the release lasts about 8 s."""

_FRAME = re.compile(r"(?:^|/)frame_(\d+)\.vl$")
_STEP = "unpack or download it again"


def sentence_of(entry: Path) -> str | None:
    """The sentence that a folder or an archive of frames holds, by its name; None for anything else.

    >>> sentence_of(Path("faces/F1/e01.tar"))
    'e01'
    """
    name = entry.name
    for suffix in ARCHIVES:
        name = name.removesuffix(suffix)
    named = re.fullmatch(r"e?(0[1-9]|[123]\d|40)", name)
    return name if named else None


def count_frames(place: Path) -> int:
    """T of a folder or an archive; a compressed archive is decompressed for it."""
    return len(_numbered(place, [number for number, _, _ in _frames(place, read=False)]))


def read_frames(place: Path) -> np.ndarray:
    """The coordinates of a folder or an archive of frames as stored, (T, V, 3) float32, in the order of their numbers.

    Raises:
        VultusError: no frame, a frame missing between two others, a file of the wrong size, a damaged archive.
    """
    found = {number: _decode(label, data) for number, label, data in _frames(place, read=True)}
    return np.stack([found[number] for number in _numbered(place, list(found))])


def _numbered(place: Path, numbers: list[int]) -> list[int]:
    """The numbers in order; VultusError unless they follow one another."""
    if not numbers:
        raise VultusError(f"'{place}': holds no frame_NNN.vl; expected one for each frame; {_STEP}")
    ordered = sorted(numbers)
    for before, after in itertools.pairwise(ordered):
        if after != before + 1:
            raise VultusError(
                f"'{place}': frame {after} follows frame {before}; expected every frame once between {ordered[0]} and "
                f"{ordered[-1]}; {_STEP}"
            )
    return ordered


def _frames(place: Path, read: bool) -> Iterator[tuple[int, str, bytes]]:
    """Number, label for messages and content (empty unless `read`) of each frame, in the order in which they lie."""
    try:
        frames = _folder_frames(place, read) if place.is_dir() else _archive_frames(place, read)
        for found, frame in enumerate(frames):
            if found >= MAX_FRAMES:
                raise VultusError(f"'{place}': holds more than {MAX_FRAMES} frames; expected one sentence; {_STEP}")
            yield frame
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VultusError(f"'{place}': cannot be read ({reason}); expected frames in .vl files; {_STEP}") from None


def _folder_frames(folder: Path, read: bool) -> Iterator[tuple[int, str, bytes]]:
    for path in folder.iterdir():
        named = _FRAME.search(path.name)
        if named and path.is_file():
            _check_size(str(path), path.stat().st_size)
            yield int(named[1]), str(path), path.read_bytes() if read else b""


def _archive_frames(path: Path, read: bool) -> Iterator[tuple[int, str, bytes]]:
    stream = path.open("rb") if path.name.endswith(".tar") else _BoundedGzip(path)
    with stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            named = _FRAME.search(member.name)
            if not named or not member.isreg() or member.issparse():
                continue
            label = f"{path}: {named[0].lstrip('/')}"
            _check_size(label, member.size)
            content = archive.extractfile(member) if read else None
            yield int(named[1]), label, content.read() if content else b""


class _BoundedGzip(gzip.GzipFile):
    """Refuses to decompress much at once: the header of a hostile archive can claim a name of many gigabytes."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= 1 << 20:
            raise tarfile.ReadError("a header is too large")
        return super().read(size)


def _check_size(label: str, size: int) -> None:
    if size - BODY not in HEADERS:
        raise VultusError(
            f"'{label}': has {size} bytes; expected {BODY + HEADERS[0]} (a count and {NUM_VERTICES} vertices of three "
            f"float32); {_STEP}"
        )


def _decode(label: str, data: bytes) -> np.ndarray:
    header = len(data) - BODY
    if header not in HEADERS:
        raise VultusError(f"'{label}': ends after {len(data)} bytes; expected {BODY + HEADERS[0]}; {_STEP}")
    count = int.from_bytes(data[:header], "little")
    if count != NUM_VERTICES:
        raise VultusError(f"'{label}': begins with a count of {count}; expected {NUM_VERTICES} vertices; {_STEP}")
    return np.frombuffer(data, "<f4", offset=header).reshape(NUM_VERTICES, 3)
