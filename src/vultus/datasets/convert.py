"""Writes any data set in our own form (shards.py tells its layout): `vultus data convert`.

One sequence after the other, so memory is that of the longest one. Every file is written whole, and the index gets a
sequence's line only when its files are there; a conversion that was stopped goes on at the next sequence.

Letters: T motion frames, V vertices, S samples.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile

from vultus.clock import SAMPLE_RATE, check_fps
from vultus.datasets.base import Dataset
from vultus.datasets.shard_index import INDEX, SETTINGS, VERSION, read_index, read_settings
from vultus.datasets.shards import restore
from vultus.errors import VultusError, unknown_name
from vultus.files import write_atomically
from vultus.topology import Template, Topology

OFFSETS = ("float32", "float16")
Progress = Callable[[int, int], None]
_BLOCK = 16  # frames at a time
_SAFE = re.compile(r"[\w+\-][\w.+\- ]{0,150}", re.ASCII)


def convert(
    data: Dataset,
    out: str | Path,
    *,
    splits: Sequence[str] | None = None,
    fps: float | None = None,
    offsets: str = "float32",
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Writes a data set as shards, or goes on with that.

    Args:
        data: an open data set.
        out: a new or empty folder, or one that an earlier call with the same settings wrote to; other splits join
            those that are there.
        splits: which; None for all.
        fps: rate of the stored motion; None for each sequence's own.
        offsets: "float32" or "float16".
        options: those that `data` was opened with, kept for the record.
        progress: called with (sequences done, all of them).

    Returns:
        {"sequences", "frames", "hours", "motion_error", "sound_error"} of all that the folder holds; the errors are
        the largest differences from the original, in the unit and of full scale.

    Raises:
        VultusError: a foreign or differently made folder, an unknown split, a sequence that cannot be read, a disk that
            is full. What was converted until then stays and is not made again; without any, the folder goes.
    """
    folder = Path(out)
    if offsets not in OFFSETS:
        raise unknown_name("type of offsets", offsets, OFFSETS)
    wanted = list(dict.fromkeys(splits or data.splits))
    for name in wanted:
        data.split(name)  # unknown ones are told before any work
    settings = {
        "version": VERSION, "dataset": data.name, "options": {k: str(v) for k, v in (options or {}).items()},
        "fps": None if fps is None else check_fps(fps), "offsets": offsets,
    }  # fmt: skip
    old = _claim(folder, settings)
    try:
        return _convert(data, folder, settings, old, wanted, progress)
    except VultusError:
        _remove_if_empty(folder)
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise VultusError(
                f"{folder}: the disk is full; free some space and run the same command again, it goes on"
            ) from None
        raise VultusError(f"{folder}: cannot be written ({error.strerror or error}); choose another folder") from None


def _convert(
    data: Dataset, folder: Path, settings: dict[str, Any], old: list[str], wanted: list[str], progress: Progress | None
) -> dict[str, float]:
    splits = list(dict.fromkeys([*old, *wanted]))
    _write_settings(folder, settings, "building", splits, 0)
    kept = {(r["split"], r["name"]): r for r in read_index(folder) if _whole(folder, r)}
    write_atomically(folder / INDEX, _lines(kept.values()))
    by_name = {record["name"]: record for record in kept.values()}
    total, done = sum(len(data.split(split)) for split in wanted), 0
    order, met = [key for key in kept if key[0] not in wanted], set()
    with (folder / INDEX).open("ab") as index:
        for split in wanted:
            for sequence in data.split(split):
                key = (split, sequence.name)
                if key in met:
                    raise VultusError(f"{data.name}: two sequences of {split} are called {sequence.name}; expected one")
                met.add(key)
                if key not in kept:
                    twin = by_name.get(sequence.name)  # published lists may name a sequence in two splits
                    if twin is not None and twin["subject"] == sequence.subject:
                        record = {**twin, "split": split}
                    elif twin is not None:
                        raise VultusError(f"{data.name}: two sequences are called {sequence.name}; expected one")
                    else:
                        try:
                            record = _write_sequence(folder, sequence, split, settings)
                        except VultusError as error:
                            left = (
                                f"; {folder} keeps {len(kept)} sequences, run it again and it goes on" if kept else ""
                            )
                            raise VultusError(f"{error}{left}") from None
                    _append(index, record)
                    kept[key] = by_name[sequence.name] = record
                order.append(key)
                done += 1
                if progress is not None:
                    progress(done, total)
    records = [kept[key] for key in order]
    write_atomically(folder / INDEX, _lines(records))
    _write_settings(folder, settings, "complete", splits, len(records))
    return {
        "sequences": len(records),
        "frames": sum(r["frames"] for r in records),
        "hours": sum(r["frames"] / r["fps"] for r in records) / 3600,
        "motion_error": max(r["motion_error"] for r in records),
        "sound_error": max(r["sound_error"] for r in records),
    }


def _remove_if_empty(folder: Path) -> None:
    """Leaves nothing of a conversion that has no sequence yet."""
    if (folder / INDEX).is_file() and (folder / INDEX).stat().st_size:
        return
    for name in (SETTINGS, INDEX):
        (folder / name).unlink(missing_ok=True)
    for name in ("motion", "sound", "templates", "topologies"):
        shutil.rmtree(folder / name, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _claim(folder: Path, settings: dict[str, Any]) -> list[str]:
    """The splits that are in the folder already; VultusError where it is not ours to write to."""
    if folder.exists() and not folder.is_dir():
        raise VultusError(f"{folder}: is a file; expected a folder to make")
    if not folder.is_dir() or not any(folder.iterdir()):
        return []
    if not (folder / SETTINGS).is_file():
        raise VultusError(f"{folder}: holds other files; expected a new or empty folder, or one of an earlier convert")
    info = read_settings(folder)
    for key, value in settings.items():
        if info.get(key) != value:
            raise VultusError(
                f"{folder}: was converted with {key} = {info.get(key)!r}, now {value!r}; name another folder"
            )
    for leftover in folder.rglob(".*.part"):  # of a process that was killed
        leftover.unlink(missing_ok=True)
    return [str(name) for name in info["splits"]]


def _write_settings(folder: Path, settings: dict[str, Any], state: str, splits: list[str], count: int) -> None:
    text = json.dumps({**settings, "state": state, "splits": splits, "sequences": count}, indent=2) + "\n"
    write_atomically(folder / SETTINGS, text.encode())


def _whole(folder: Path, record: dict[str, Any]) -> bool:
    paths = {part: folder / record[part] for part in ("motion", "sound")}
    return all(p.is_file() and p.stat().st_size == record[f"{part}_bytes"] for part, p in paths.items())


def _lines(records: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def _append(index: IO[bytes], record: dict[str, Any]) -> None:
    """Adds a line, or leaves the file as it was."""
    before = index.tell()
    try:
        index.write(_lines([record]))
        index.flush()
        os.fsync(index.fileno())
    except OSError:
        os.truncate(index.name, before)
        raise


def _write_sequence(folder: Path, sequence: Any, split: str, settings: dict[str, Any]) -> dict[str, Any]:
    template = sequence.template
    vertices = sequence.vertices(fps=settings["fps"])
    place = f"{_file_name(sequence.subject)}/{_file_name(sequence.name)}"
    errors = [0.0]
    blocks = _npy(vertices, template.vertices, np.dtype(settings["offsets"]), errors)
    motion_sha, motion_bytes = _write(folder / f"motion/{place}.npy", blocks)
    samples = sequence.speech().samples
    sound, sound_error = _flac(samples)
    sound_sha, sound_bytes = _write(folder / f"sound/{place}.flac", [sound])
    record = {
        "name": sequence.name, "subject": sequence.subject, "sentence": sequence.sentence, "split": split,
        "source": sequence.source, "fps": settings["fps"] or float(sequence.fps), "unit": sequence.unit,
        "frames": len(vertices), "samples": len(samples),
        "motion": f"motion/{place}.npy", "motion_bytes": motion_bytes, "motion_sha256": motion_sha,
        "motion_error": max(errors),
        "sound": f"sound/{place}.flac", "sound_bytes": sound_bytes, "sound_sha256": sound_sha,
        "sound_error": sound_error,
        "template": _write_template(folder, template), "topology": _write_topology(folder, template.topology),
    }  # fmt: skip
    extra = {key: getattr(sequence, key, None) for key in ("video", "labels", "is_speech")}
    return record | {key: value for key, value in extra.items() if value not in (None, "", {}, True)}


def _npy(vertices: np.ndarray, template: np.ndarray, kind: np.dtype, errors: list[float]) -> Iterator[bytes]:
    """A .npy of the offsets in pieces; adds how far they are from the original, in its unit, to `errors`."""
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(kind.newbyteorder("<"))
    shape = {"descr": descr, "fortran_order": False, "shape": vertices.shape}
    np.lib.format.write_array_header_1_0(header, shape)
    yield header.getvalue()
    for start in range(0, len(vertices), _BLOCK):
        piece = vertices[start : start + _BLOCK]
        stored = np.subtract(piece, template, dtype=np.float32).astype(kind)
        errors.append(float(np.abs(restore(stored, template) - piece).max()))
        yield stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes()


def _flac(samples: np.ndarray) -> tuple[bytes, float]:
    """Samples -> a flac of 16 bits, and its largest error, of full scale."""
    rounded = np.clip(np.round(np.asarray(samples, np.float64) * 32768), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, rounded, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue(), float(np.abs(rounded / 32768 - samples).max(initial=0.0))


def _write_template(folder: Path, template: Template) -> str:
    vertices = np.ascontiguousarray(template.vertices, "<f4")
    digest = hashlib.sha256(vertices.tobytes()).hexdigest()[:16]
    file = io.BytesIO()
    np.save(file, vertices)
    _write_once(folder / "templates" / f"{digest}.npy", file)
    return digest


def _write_topology(folder: Path, topology: Topology) -> str:
    path = folder / "topologies" / f"{topology.digest}.npz"
    if not path.is_file():
        arrays: dict[str, Any] = {f"region/{key}": value for key, value in topology.regions.items()}
        arrays |= {f"part/{key}": value for key, value in topology.parts.items()}
        if topology.colours is not None:
            arrays["colours"] = topology.colours
        file = io.BytesIO()
        count = np.int64(topology.num_vertices)
        np.savez_compressed(file, faces=topology.faces, num_vertices=count, name=np.array(topology.name), **arrays)
        _write_once(path, file)
    return topology.digest


def _write_once(path: Path, file: io.BytesIO) -> None:
    if not path.is_file():
        write_atomically(path, file.getvalue())


def _write(path: Path, pieces: Iterable[bytes]) -> tuple[str, int]:
    """Writes a file in pieces, whole or not at all; its sha256 and its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    sha, count = hashlib.sha256(), 0
    try:
        with partial.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                sha.update(piece)
                count += len(piece)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return sha.hexdigest(), count


def _file_name(name: str) -> str:
    """The name where it can be a file's on any system, else a digest of it."""
    return (
        name
        if _SAFE.fullmatch(name) and not name.endswith((" ", "."))
        else hashlib.sha256(name.encode()).hexdigest()[:32]
    )
