"""Reads a data set once and keeps what the scoring networks train on, as float16 memory maps.

    mel.f16      (sum of F, 80)   log-mel energies, 100 Hz (empty for style)
    motion.f16   (sum of T, D)    lip offsets in mm (sync) or normalised components (style), 25 fps
    basis.npz    mean (3V,), basis (3V, D), deviation (D,) of the components (style only)
    made.json    what it was made from, and the table of clips; written last

Letters: T motion frames, F mel frames, V vertices, D numbers of a motion frame, n sampled frames.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.files import write_atomically
from vultus.metrics.base import Example
from vultus.scoring.signals import BANDS, FPS, LEAST_WINDOWS, SYNC_FRAMES, at_25, log_mel

SAMPLED_FRAMES, SAMPLED_NUMBERS = 2000, 48_000_000  # for the components: frames, and numbers in memory
NOISE_SHARE = 0.02
"""Components that move less than this share of the first one are not blown up further when they are normalised."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What was prepared. `clips`: rows (name, subject, first frame, T, first mel frame, F)."""

    folder: Path
    motion: np.ndarray
    mel: np.ndarray | None
    clips: list[tuple[str, str, int, int, int, int]]
    made: dict[str, Any]


def offsets(sequence: FaceSequence, vertices: np.ndarray | None = None, fps: float | None = None) -> np.ndarray:
    """(T, V, 3) float32 mm (or the unit `area`) from the neutral face; of the synthetic corpus with all three layers.

    Args:
        sequence: what to read.
        vertices: numbers of the vertices that are wanted; None for all.
        fps: None for the stored rate.
    """
    from vultus.datasets.synthetic import Clip
    from vultus.synthesis.clipfile import LAYERS

    is_ours = isinstance(sequence, Clip)
    moving = sequence.vertices(fps=fps, layers=LAYERS) if is_ours else sequence.vertices(fps=fps)  # type: ignore[call-arg]
    neutral = sequence.template.vertices
    if vertices is not None:
        moving, neutral = moving[:, vertices], neutral[vertices]
    scale = 1000.0 if sequence.unit == "m" else 1.0
    return np.asarray((moving - neutral) * np.float32(scale), np.float32)


def _rate(sequence: FaceSequence) -> float:
    """Motion faster than 30 fps is read at 25 at once; slower motion is brought there after it was reduced."""
    return FPS if sequence.fps > 30 else sequence.fps


def is_speech(sequence: FaceSequence) -> bool:
    """False for the clips of the synthetic corpus in which nobody speaks."""
    return bool(getattr(sequence, "is_speech", True))


def example(sequence: FaceSequence) -> Example:
    """A sequence as an Example without samples, for the gates."""
    neutral = sequence.template
    scale = np.float32(1000.0 if sequence.unit == "m" else 1.0)
    return Example(
        sequence.name, sequence.subject, sequence.fps, sequence.unit, offsets(sequence) / scale + neutral.vertices, [],
        neutral.vertices, neutral.topology, {}, sequence.speech(),
    )  # fmt: skip


def prepare(
    kind: str, sequences: Sequence[FaceSequence], folder: Path, lips: np.ndarray, components: int, progress: Progress
) -> Prepared:
    """Makes (or finds) what a network of `kind` ("sync" or "style") trains on; `lips` (L,) vertex numbers for sync."""
    wanted = [sequence for sequence in sequences if is_speech(sequence)]
    digest = hashlib.sha256("\n".join(f"{s.name}/{s.subject}/{s.source}" for s in wanted).encode())
    digest.update(np.ascontiguousarray(lips, "<i8").tobytes())
    digest.update(np.ascontiguousarray(wanted[0].template.vertices, "<f4").tobytes() if wanted else b"")
    made = {"version": 1, "kind": kind, "digest": digest.hexdigest(), "components": components}
    folder = folder / f"{kind}-{digest.hexdigest()[:10]}"
    if not (folder / "made.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        clips = _write_sync(wanted, folder, lips, progress) if kind == "sync" else _write_style(
            wanted, folder, components, progress)  # fmt: skip
        write_atomically(folder / "made.json", json.dumps({**made, "clips": clips}).encode())
    found = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    clips = [tuple(clip) for clip in found.pop("clips")]
    if found != made:
        raise VultusError(f"{folder}: made from other data or by another version; delete it and run again")
    width = 3 * len(lips) if kind == "sync" else components
    motion = np.memmap(folder / "motion.f16", "<f2", "r").reshape(-1, width)
    mel = np.memmap(folder / "mel.f16", "<f2", "r").reshape(-1, BANDS) if kind == "sync" else None
    return Prepared(folder, motion, mel, clips, made)


def _write_sync(sequences: Sequence[FaceSequence], folder: Path, lips: np.ndarray, progress: Progress) -> list[Any]:
    def parts() -> Iterator[tuple[FaceSequence, np.ndarray, np.ndarray]]:
        for done, sequence in enumerate(sequences, 1):
            # Every second clip passes through 30 fps, as much motion that will be scored has.
            through = 30.0 if done % 2 and sequence.fps > 30 else sequence.fps
            moving = offsets(sequence, lips, None if through == sequence.fps else through)
            motion = at_25(moving.reshape(len(moving), -1), through)
            progress(done, len(sequences))
            if len(motion) >= LEAST_WINDOWS + SYNC_FRAMES:
                yield sequence, motion, log_mel(sequence.speech())

    return _write(parts(), folder)


def _write_style(sequences: Sequence[FaceSequence], folder: Path, components: int, progress: Progress) -> list[Any]:
    total = len(sequences) + min(len(sequences), SAMPLED_FRAMES // 5)
    mean, basis, deviation = principal_components(sequences, components, lambda done, _: progress(done, total))

    def parts() -> Iterator[tuple[FaceSequence, np.ndarray, np.ndarray]]:
        for done, sequence in enumerate(sequences, 1):
            moving = offsets(sequence, fps=_rate(sequence))
            coordinates = ((moving.reshape(len(moving), -1) - mean) @ basis) / deviation
            progress(total - len(sequences) + done, total)
            yield sequence, at_25(coordinates, _rate(sequence)), np.zeros((0, 0))

    np.savez(folder / "basis.npz", mean=mean, basis=basis, deviation=deviation)
    return _write(parts(), folder)


def principal_components(
    sequences: Sequence[FaceSequence], components: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mean (3V,), basis (3V, D), deviation (D,) of frames drawn evenly over the sequences, by their Gram matrix.

    Bounded memory: at most 2000 frames and 48 million numbers are held.
    """
    width = sequences[0].template.vertices.size
    wanted = min(SAMPLED_FRAMES, max(2 * components, SAMPLED_NUMBERS // width))
    chosen = np.unique(np.linspace(0, len(sequences) - 1, min(len(sequences), wanted // 5)).astype(int))
    rng, rows = np.random.default_rng(0), []
    for done, index in enumerate(chosen, 1):
        moving = offsets(sequences[index], fps=_rate(sequences[index]))
        frames = rng.choice(len(moving), min(len(moving), -(-wanted // len(chosen))), replace=False)
        rows.append(moving[frames].reshape(len(frames), -1))
        progress(done, len(chosen))
    sample = np.concatenate(rows)
    if len(sample) <= components:
        raise VultusError(f"style network: {len(sample)} frames of motion; expected more than {components}")
    mean = sample.mean(0)
    sample -= mean
    values, vectors = np.linalg.eigh((sample @ sample.T).astype(np.float64))
    order = np.argsort(values)[::-1][:components]
    lengths = np.sqrt(np.maximum(values[order], values[order[0]] * 1e-8))
    basis = sample.T @ (vectors[:, order] / lengths).astype(np.float32)
    # Rounded as the bundle stores it, so that training and scoring see the same numbers.
    basis = basis.astype(np.float16).astype(np.float32)
    deviation = lengths / np.sqrt(len(sample))
    return mean.astype(np.float32), basis, np.maximum(deviation, NOISE_SHARE * deviation[0]).astype(np.float32)


def _write(parts: Iterator[tuple[FaceSequence, np.ndarray, np.ndarray]], folder: Path) -> list[Any]:
    clips: list[Any] = []
    frames = columns = 0
    with (folder / "motion.f16").open("wb") as motions, (folder / "mel.f16").open("wb") as mels:
        for sequence, motion, mel in parts:
            clips.append((sequence.name, sequence.subject, frames, len(motion), columns, len(mel)))
            motions.write(motion.astype("<f2").tobytes())
            mels.write(mel.astype("<f2").tobytes())
            frames += len(motion)
            columns += len(mel)
    if not clips:
        raise VultusError("no sequence with speech that is long enough to train on; expected some of a second or more")
    return clips


def spread(sequences: Sequence[FaceSequence], most: int = 200) -> list[FaceSequence]:
    """At most `most` sequences, evenly over the whole list, so that a gate sees every subject."""
    places = np.linspace(0, len(sequences) - 1, min(most, len(sequences)))
    return [sequences[index] for index in np.unique(places.astype(int))]
