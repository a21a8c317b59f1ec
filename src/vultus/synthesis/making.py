"""Makes the clips of one line: sound -> performance -> files. Runs in the worker processes of a build."""

from __future__ import annotations

import functools
import hashlib
import io
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.clock import SAMPLE_RATE, num_motion_frames
from vultus.errors import VultusError
from vultus.files import write_atomically
from vultus.synthesis.clipfile import pack_clip
from vultus.synthesis.manifest import clip_file, file_sha256, fixed_fields
from vultus.synthesis.negatives import negative_sound
from vultus.synthesis.plan import ClipPlan, Plan, derive_seed
from vultus.synthesis.sources.base import Line, LineSource

if TYPE_CHECKING:
    from vultus.head import Head

LINKED_SUFFIXES = (".ogg", ".opus", ".flac")
"""Sounds that are linked as they are; others are encoded as FLAC."""


@dataclass(frozen=True)
class Spoken:
    """Where a line comes from: its source's place in the list, and the line as the source knows it."""

    source: int
    line: Line


@dataclass(frozen=True)
class Job:
    """All missing clips of one line. audio: where its sound goes, relative to the corpus; spoken: None for noise."""

    audio: str
    spoken: Spoken | None
    clips: tuple[ClipPlan, ...]


@dataclass(frozen=True)
class Context:
    """What every job needs; sent to a worker once."""

    out: Path
    sources: tuple[LineSource, ...]
    plan: Plan


def audio_name(line: str, spoken: Spoken | None) -> str:
    """Where the sound of a line lies, relative to the corpus."""
    path = None if spoken is None else spoken.line.audio
    linked = path is not None and path.suffix.lower() in LINKED_SUFFIXES
    return f"audio/{line}{path.suffix.lower() if path is not None and linked else '.flac'}"


def run_jobs(context: Context, jobs: list[Job], workers: int) -> Iterator[list[dict[str, Any]]]:
    """Yields the manifest records of job after job, in any order.

    Raises:
        VultusError: a line cannot be made, or a worker died.
    """
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield make_clips(context, job)
        return
    count = min(workers, len(jobs))
    with _single_threaded_children():
        # "spawn": a forked child would inherit whatever threads and locks the caller holds
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(count, spawn, initializer=_start_worker, initargs=(context,))
        queue = iter(jobs)
        pending: set[Future[list[dict[str, Any]]]] = set()
        try:
            while True:
                while len(pending) < 3 * count and (job_next := next(queue, None)) is not None:
                    pending.add(pool.submit(_work, job_next))
                if not pending:
                    return
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise VultusError(
                "corpus: a worker process died (out of memory?); run again with fewer --workers, it goes on"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Workers are the parallelism: more threads inside them only fight over the cores."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_context: Context | None = None


def _start_worker(context: Context) -> None:
    global _context
    _context = context


def _work(job: Job) -> list[dict[str, Any]]:
    assert _context is not None
    return make_clips(_context, job)


@functools.lru_cache(maxsize=4)
def _head(identity: int) -> Head:
    from vultus.head import load_head

    return load_head(identity)


def make_clips(context: Context, job: Job) -> list[dict[str, Any]]:
    """Makes the clips of one line and returns their manifest records.

    Raises:
        VultusError: the line's sound or labels cannot be used.
    """
    from vultus.synthesis.performance import perform
    from vultus.synthesis.phones import SILENCE, Phone
    from vultus.synthesis.style import Style

    plan, source_audio = context.plan, None
    first = job.clips[0]
    if job.spoken is None:
        rng = np.random.default_rng(derive_seed(plan.settings.seed, "sound", first.line))
        samples = negative_sound(first.kind, first.seconds, rng)
        phones = [Phone(SILENCE, 0.0, len(samples) / SAMPLE_RATE)]
        # a face that hears no speech rests and lives: the performance gets silence, the clip keeps the noise
        heard, voice, language, text = np.zeros_like(samples), "", "", ""
    else:
        source_audio = job.spoken.line.audio
        said = context.sources[job.spoken.source].read(job.spoken.line)
        phones, voice, language, text = list(said.phones), said.voice, said.language, said.text
        peak = float(np.abs(said.samples).max(initial=0.0))
        samples = said.samples * np.float32(0.99 / peak) if peak > 0.99 else said.samples
        heard = samples
    audio_sha256 = _write_audio(context.out / job.audio, source_audio, samples)
    fps = plan.settings.fps
    records = []
    for clip in job.clips:
        subject = plan.subjects[clip.subject]
        style = Style.from_dict(subject.style)
        played = perform(phones, heard, style, _head(subject.identity), clip.seed, fps=fps)
        meta = {
            **fixed_fields(clip, fps, job.audio), "voice": voice, "language": language, "text": text,
            "num_samples": len(samples), "frames": num_motion_frames(len(samples), fps),
        }  # fmt: skip
        layers = {"speech": played.speech, "expression": played.expression, "random": played.random}
        packed = pack_clip(layers, played.head, played.phones, meta)
        write_atomically(context.out / clip_file(clip), packed)
        records.append({**meta, "sha256": hashlib.sha256(packed).hexdigest(), "audio_sha256": audio_sha256})
    return records


def _write_audio(path: Path, source: Path | None, samples: np.ndarray) -> str:
    """Links a compressed sound as it is, or encodes 16-bit FLAC; returns its sha256."""
    import soundfile

    if source is None or source.suffix.lower() not in LINKED_SUFFIXES:
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        content = buffer.getvalue()
        write_atomically(path, content)
        return hashlib.sha256(content).hexdigest()
    wanted = file_sha256(source)
    if not (path.is_file() and file_sha256(path) == wanted):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        partial.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), partial)
        except OSError:  # another disk, or one without hard links
            shutil.copyfile(source, partial)
        os.replace(partial, path)
    return wanted
