"""Speech features of a frozen encoder, computed once and kept on disk as float16, one memory-mapped file a clip copy.

A file's name says what made it (encoder, sound, augmentation), so changing any of them never reads stale features, and
a run that was killed goes on where it stopped.

Letters: F feature frames, C channels.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.errors import VultusError
from vultus.train.augment import Plan, apply_plan

if TYPE_CHECKING:
    from vultus.features.base import Encoder
    from vultus.speech import Speech

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """One clip copy whose features are wanted.

    Attributes:
        key: names the clip's sound; equal keys are equal sound.
        plan: the copy.
        load: gives the clip's speech; must survive pickling when several processes work.
    """

    key: str
    plan: Plan
    load: Callable[[], Speech]


class FeatureCache:
    """A folder of features of one encoder.

    Args:
        folder: parent folder; every encoder gets its own below it.
        make_encoder: gives the encoder; called once in each process, must survive pickling when several work.
    """

    def __init__(self, folder: Path, make_encoder: Callable[[], Encoder]) -> None:
        encoder = make_encoder()
        self.make_encoder = make_encoder
        self.rate, self.offset, self.dimension = float(encoder.rate), float(encoder.offset), int(encoder.dimension)
        made_of = (encoder.name, getattr(encoder, "digest", ""), self.rate, self.offset, self.dimension)
        mark = hashlib.sha256(repr(made_of).encode()).hexdigest()[:10]
        self.folder = folder / f"{encoder.name.replace('/', '_')}-{mark}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str, plan: Plan) -> Path:
        """Where the features of a clip copy lie."""
        name = hashlib.sha256(f"{key}/{plan!r}".encode()).hexdigest()[:24]
        return self.folder / name[:2] / f"{name}.npy"

    def build(self, jobs: Sequence[Job], workers: int = 1, progress: Progress | None = None) -> int:
        """Computes what is missing and returns how many copies that were."""
        wanted = {self.path(job.key, job.plan): job for job in jobs}
        missing = [(path, job) for path, job in wanted.items() if not path.is_file()]
        if missing:
            for done in self._compute(missing, workers):
                if progress is not None:
                    progress(done, len(missing))
        return len(missing)

    def read(self, key: str, plan: Plan) -> np.ndarray:
        """(F, C) float16, memory-mapped."""
        path = self.path(key, plan)
        try:
            values: np.ndarray = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise VultusError(f"{path}: not readable features ({error}); delete it and train again") from None
        if values.ndim != 2 or values.shape[1] != self.dimension:
            raise VultusError(f"{path}: shape {values.shape}, expected (frames, {self.dimension}); delete it")
        return values

    def _compute(self, missing: list[tuple[Path, Job]], workers: int) -> Iterator[int]:
        if workers <= 1:
            encoder = self.make_encoder()
            for done, (path, job) in enumerate(missing, 1):
                _write(encoder, path, job)
                yield done
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(self.make_encoder,)) as pool:
            for done, _ in enumerate(pool.map(_work, missing, chunksize=4), 1):
                yield done


_ENCODER: list[Any] = []  # the one of this worker process
_HEARD: dict[str, Speech] = {}  # the clip that was read last: its copies follow each other


def _start_worker(make_encoder: Callable[[], Encoder]) -> None:
    _ENCODER[:] = [make_encoder()]


def _work(task: tuple[Path, Job]) -> None:
    _write(_ENCODER[0], *task)


def _write(encoder: Encoder, path: Path, job: Job) -> None:
    from vultus.speech import Speech

    if job.key not in _HEARD:
        _HEARD.clear()
        _HEARD[job.key] = job.load()
    speech = _HEARD[job.key]
    features = encoder(Speech(apply_plan(speech.samples, job.plan), speech.name))
    values = np.asarray(features.values)
    if not np.isfinite(values).all() or np.abs(values).max(initial=0.0) > 6e4:
        raise VultusError(f"{speech.name}: the encoder gave values that float16 cannot hold; check the recording")
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.save(file, values.astype(np.float16))
    os.replace(temporary, path)
