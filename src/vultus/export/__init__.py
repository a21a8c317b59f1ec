"""Exporters: one format = one file, found by the suffix of the output; and the one place that writes them to disk.

An exporter is a module with

    write(take: Take, path: Path, *, progress: Callable[[int, int], None] | None = None, **its options) -> None

which writes `path` from nothing (its suffix is right, nobody else looks at it) and may raise at any time: `save`
gives it a hidden name beside the target and moves the finished file into place, so that a target is either the old
file, the new one, or absent. The same take gives the same bytes: no clock and no chance goes into a file.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import inspect
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.motion import Take

#: Suffix -> module, imported only when a file of that kind is written.
EXPORTERS: dict[str, str] = {
    ".glb": "vultus.export.glb",
    ".csv": "vultus.export.csv",
    ".json": "vultus.export.json_weights",
    ".npz": "vultus.export.npz",
    ".mp4": "vultus.export.mp4",
    ".png": "vultus.export.png",
}

__all__ = ["EXPORTERS", "check_target", "exporter", "save"]


def exporter(path: str | Path) -> ModuleType:
    """The module that writes files with the suffix of `path`; VultusError with the list where none does."""
    suffix = Path(path).suffix.lower()
    if suffix not in EXPORTERS:
        found = f"suffix '{suffix}'" if suffix else "no suffix"
        near = difflib.get_close_matches(suffix, EXPORTERS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise VultusError(f"{path}: {found} names no format; expected one of {' '.join(EXPORTERS)}{hint}")
    return importlib.import_module(EXPORTERS[suffix])


def check_target(path: str | Path) -> Path:
    """Refuses an output that could not be written, before any work is done for it.

    Returns:
        The path as `Path`.

    Raises:
        VultusError: unknown suffix; the folder is missing, no folder, or closed to us; the target is a folder or
            a device.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in EXPORTERS:
        exporter(path)
    folder = _resolved(path).parent
    try:
        if not folder.exists():
            raise VultusError(f"{path}: there is no folder '{folder}'; make it first")
        if not folder.is_dir():
            raise VultusError(f"{path}: '{folder}' is not a folder; name a file in a folder")
        if path.is_dir():
            raise VultusError(f"{path}: is a folder; expected the name of a file, such as {path / ('take' + suffix)}")
        if path.exists() and not path.is_file():
            raise VultusError(f"{path}: is not an ordinary file; name another output")
    except OSError as error:  # a name or path that the file system cannot hold
        raise _cannot_write(path, error) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise VultusError(f"{path}: no permission to write in '{folder}'; choose another folder")
    return path


def save(take: Take, path: str | Path, progress: Callable[[int, int], None] | None = None, **options: Any) -> Path:
    """Writes a take; the suffix chooses the format.

    Args:
        take: what to write.
        path: the file; replaced in one step where it exists. Its folder has to exist.
        progress: called with (frames done, frames in all).
        options: what the exporter of this format takes besides.

    Returns:
        The path as `Path`.

    Raises:
        VultusError: see `check_target`; an option that the exporter does not take; an empty take or values that are
            no numbers; a disk that is full or fails. Nothing is left behind, whatever the exception.
    """
    path = check_target(path)
    write = exporter(path).write
    _check_options(path.suffix.lower(), write, options)
    if len(take) == 0:
        raise VultusError(f"{path}: the take has no frames; expected at least one")
    if not (np.isfinite(take.motion.values).all() and np.isfinite(take.head_rotation).all()):
        raise VultusError(f"{path}: the take holds values that are not finite numbers; nothing was written")

    target = _resolved(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}-", suffix=target.suffix, dir=target.parent)
        temporary = Path(name)
        os.close(handle)
        write(take, temporary, progress=progress, **options)
        # mkstemp makes files that only their owner reads; give the rights that open() would have given.
        os.chmod(temporary, 0o666 & ~_umask())
        # A full disk may say so only now; and a crash of the machine must not leave an empty file of the right name.
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        if error.filename is not None and temporary is not None and Path(str(error.filename)) != temporary:
            raise  # not our file: the recording vanished while its sound was copied, for instance
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
    return path


def _resolved(path: Path) -> Path:
    """Where the bytes go: a link is followed, so that the link stays and the file behind it is replaced."""
    return Path(os.path.realpath(path))


def _check_options(suffix: str, write: Callable[..., None], options: dict[str, Any]) -> None:
    parameters = inspect.signature(write).parameters.values()
    known = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name != "progress"]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" did you mean '{near[0]}'?" if near else ""
            raise VultusError(f"{suffix} takes no option '{name}';{hint} it takes: {', '.join(known) or 'none'}")


def _cannot_write(path: Path, error: OSError) -> VultusError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return VultusError(f"{path}: no space left on the disk; nothing was left there, free some and run again")
    reason = error.strerror or str(error) or type(error).__name__
    return VultusError(f"{path}: cannot be written ({reason}); choose another output")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
