"""Draws of the probabilistic method: their random numbers, and how codes become motion: decoded in windows, averaged,
compared, chosen.

An hour of one draw is 0.4 MB of codes a level and 25 MB of motion, so draws are never all decoded at once. Windows
overlap by what a frame depends on; they bound memory and change nothing.

Letters: M draws, T' steps, T frames, D motion dimension, Q levels, K codes of a level, L lip vertices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.errors import VultusError

if TYPE_CHECKING:
    from vultus.methods.sampling import Sampled

WINDOW = 512
"""Steps that are decoded at once."""
GROUP = 16
"""Draws that are decoded at once."""
_LIP_NUMBERS = 1 << 23  # coordinates of lips that are compared at once

Scorer = Callable[[np.ndarray], float]
"""Motion (T, D) -> a score, higher is better. For benchmarks never the network that scores the takes afterwards."""

_BELOW_ONE = 1.0 - 2.0**-24  # the largest float32 under 1


def noise(seed: int, take: int, draw: int, steps: int, levels: int) -> np.ndarray:
    """The random numbers of one draw: (T', Q) float32 in [0, 1)."""
    numbers = np.random.default_rng([seed, take, draw]).random((steps, levels))
    return np.minimum(numbers, _BELOW_ONE, out=numbers).astype(np.float32)


def choose(logits: np.ndarray, uniform: np.ndarray, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Any:
    """Codes (...) from logits (..., K) and one number in [0, 1) for each, by inverting the cumulated probabilities."""
    if temperature == 0.0:
        return logits.argmax(-1)
    scaled = logits.astype(np.float64) / temperature
    chance = np.exp(scaled - scaled.max(-1, keepdims=True))
    chance /= chance.sum(-1, keepdims=True)
    if 0 < top_k < chance.shape[-1]:
        least = np.partition(chance, -top_k, -1)[..., -top_k, None]
        chance[chance < least] = 0.0
    if top_p < 1.0:
        order = np.argsort(-chance, -1, kind="stable")
        falling = np.take_along_axis(chance, order, -1)
        before = np.cumsum(falling, -1) - falling
        falling[before >= top_p * falling.sum(-1, keepdims=True)] = 0.0
        np.put_along_axis(chance, order, falling, -1)
    cumulated = np.cumsum(chance, -1)
    target = uniform.astype(np.float64)[..., None] * cumulated[..., -1:]
    return np.minimum((cumulated <= target).sum(-1), chance.shape[-1] - 1)


def mean_motion(model: Sampled, codes: np.ndarray, frames: int) -> np.ndarray:
    """The mean motion (T, D) float32 of draws (M, T', Q)."""
    parts = []
    for first, last, inside in _windows(model, codes.shape[1]):
        total: np.ndarray | float = 0.0
        for some in _groups(codes):
            total = total + model.decode(model.latents(some[:, first:last]))[:, inside].sum(0, dtype=np.float64)
        parts.append((total / len(codes)).astype(np.float32))  # type: ignore[union-attr]
    return np.concatenate(parts)[:frames]


def mean_latent_motion(model: Sampled, codes: np.ndarray, frames: int) -> np.ndarray:
    """The motion (T, D) float32 of the mean of the summed code vectors of draws (M, T', Q)."""
    parts = []
    for first, last, inside in _windows(model, codes.shape[1]):
        total: np.ndarray | float = 0.0
        for some in _groups(codes):
            total = total + model.latents(some[:, first:last]).sum(0, dtype=np.float64)
        mean = (total / len(codes)).astype(np.float32)  # type: ignore[union-attr]
        parts.append(model.decode(mean[None])[0, inside])
    return np.concatenate(parts)[:frames]


def choose_draws(
    model: Sampled, codes: np.ndarray, frames: int, strategy: str, nearest: int, scorer: Scorer | None
) -> np.ndarray:
    """Numbers of the draws (M, T', Q) that "knn", "medoid" or "sync" keeps.

    Raises:
        VultusError: a scorer that gives no number, or a model that knows no lips.
    """
    if strategy == "sync":
        assert scorer is not None
        scores = np.array([float(scorer(mean_motion(model, draw[None], frames))) for draw in codes])
        if not np.isfinite(scores).all():
            raise VultusError("sampling: the scorer gave a score that is no number; expected one for every draw")
        return np.argsort(-scores, kind="stable")[:nearest]
    if strategy == "knn":  # draws are exchangeable: the first is one at random
        distance = _lip_distances(model, codes, frames, strategy, rows=1)[0]
        distance[0] = -1.0
        return np.argsort(distance, kind="stable")[:nearest]
    distances = _lip_distances(model, codes, frames, strategy, rows=len(codes))
    return distances.mean(1).argmin(keepdims=True)


def lip_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean over frames of the largest distance of a lip vertex, metres: (..., T, L, 3) twice -> (...)."""
    return np.asarray(_largest(one, other).mean(-1))


def _largest(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    away = one - other
    return np.sqrt(np.einsum("...c,...c->...", away, away).max(-1))


def _lip_distances(model: Sampled, codes: np.ndarray, frames: int, strategy: str, rows: int) -> np.ndarray:
    """(rows, M): `lip_distance` of the first draws to all, summed up over windows."""
    count, done = len(codes), 0
    total = np.zeros((rows, count))
    for first, last, inside in _windows(model, codes.shape[1]):
        motion = np.concatenate(
            [model.decode(model.latents(some[:, first:last]))[:, inside] for some in _groups(codes)]
        )
        motion = motion[:, : frames - done]
        done += motion.shape[1]
        size = model.lip_vertices(motion[:, :1]).shape[-2]
        if not size:
            raise VultusError(f"sampling: {strategy} compares lips and the model knows none; expected avg-M")
        step = max(1, _LIP_NUMBERS // (3 * count * size))
        for start in range(0, motion.shape[1], step):
            lips = model.lip_vertices(motion[:, start : start + step])
            for row in range(rows):
                total[row, row:] += _largest(lips[row], lips[row:]).sum(-1, dtype=np.float64)
    if rows == count:
        total = np.triu(total) + np.triu(total, 1).T
    return total / frames


def _windows(model: Sampled, steps: int) -> Iterator[tuple[int, int, slice]]:
    """First and last step to decode, and which of the decoded frames are the window's own."""
    for start in range(0, steps, WINDOW):
        stop = min(steps, start + WINDOW)
        first, last = max(0, start - model.context_steps), min(steps, stop + model.context_steps)
        yield first, last, slice((start - first) * model.stride, (stop - first) * model.stride)


def _groups(codes: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(codes), GROUP):
        yield codes[first : first + GROUP]
