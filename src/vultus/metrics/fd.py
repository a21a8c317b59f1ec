"""Realism: Frechet distance between predicted and recorded motion in the spaces of the scoring networks.

    FD = ||m_r - m_g||^2 + trace(C_r + C_g - 2 (C_r^1/2 C_g C_r^1/2)^1/2)

with means m and covariances C (1e-6 added on the diagonal) of the embeddings of all windows, r recorded, g predicted.
A row holds, for both, the count, the sum and the upper triangle of the sum of outer products.

Letters: W windows, E embedding, n sequences, R draws.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info
from vultus.scoring.examples import lips, manner

DIAGONAL = 1e-6
WINDOWS_A_DIMENSION = 10


class _Frechet:
    """`combine`, `floor` and `note` of both distances."""

    info: Info

    def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """See Metric; NaN where no sequence is long enough."""
        half = rows.shape[1] // 2
        return np.array([frechet(total[:half], total[half:]) for total in times @ rows])

    def floor(self, rows: np.ndarray, seed: int = 0) -> float:
        """The distance between two disjoint halves of the recorded sequences: what a perfect prediction would get."""
        recorded = rows[:, : rows.shape[1] // 2]
        order = np.random.default_rng(seed).permutation(len(rows))
        first, second = order[: len(order) // 2], order[len(order) // 2 :]
        return frechet(recorded[first].sum(0), recorded[second].sum(0))

    def note(self, rows: np.ndarray) -> str | None:
        """A warning where the windows are too few for the size of the embedding, else None."""
        half = rows.shape[1] // 2
        count, least = int(min(rows[:, 0].sum(), rows[:, half].sum())), WINDOWS_A_DIMENSION * size(half)
        if count >= least:
            return None
        return (
            f"{self.info.name}: {count} windows; under {least} the distance is too large, compare with its floor only"
        )


class FdSync(_Frechet):
    """Of 0.2 s of lips."""

    info = Info(
        "fd_sync", 1, "Frechet distance of lips",
        "Frechet distance of the sync network's embeddings of lips, one for each window of 0.2 s",
        "probabilistic benchmark, ours; the distance of Heusel et al. 2017. Biased upwards under 10 windows for each "
        "number of the embedding (640)", "score", "lower",
        "all windows of all sequences, the first sample of each", draws=200,
    )  # fmt: skip

    def measure(self, example: Example) -> np.ndarray:
        """See Metric."""
        return np.concatenate([sums(lips(example, None)), sums(lips(example, 0))])


class FdStyle(_Frechet):
    """Of 4 s of the whole face."""

    info = Info(
        "fd_style", 1, "Frechet distance of manner",
        "Frechet distance of style embeddings, one for a window of 4 s each 2 s", FdSync.info.source, "score", "lower",
        "all windows of all sequences, the first sample of each; sequences under 1.6 s are left out", draws=200,
    )  # fmt: skip

    def measure(self, example: Example) -> np.ndarray:
        """See Metric."""
        return np.concatenate([sums(manner(example, None)), sums(manner(example, 0))])


def sums(windows: np.ndarray) -> np.ndarray:
    """(W, E) -> count, sum (E,) and upper triangle of the sum of outer products, (1 + E + E (E + 1) / 2,)."""
    values = windows.astype(np.float64)
    outer = (values.T @ values)[np.triu_indices(values.shape[1])]
    return np.concatenate([[len(values)], values.sum(0), outer])


def size(length: int) -> int:
    """E of a vector of `sums`.

    >>> size(1 + 64 + 64 * 65 // 2)
    64
    """
    return int((np.sqrt(8 * length + 1) - 3) / 2 + 0.5)


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """The distance of two sets given by their `sums`; NaN where one has no window.

    >>> points = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> round(frechet(sums(points), sums(points + [3.0, 4.0])), 6)
    25.0
    """
    if min(first[0], second[0]) < 1:
        return float("nan")
    (mean_a, cov_a), (mean_b, cov_b) = _moments(first), _moments(second)
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    middle = np.linalg.eigvalsh(root @ cov_b @ root)
    shared = np.sqrt(np.maximum(middle, 0)).sum()
    return max(0.0, float(np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * shared))


def _moments(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    number = size(len(total))
    mean = total[1 : 1 + number] / total[0]
    outer = np.zeros((number, number))
    outer[np.triu_indices(number)] = total[1 + number :]
    outer = outer + np.triu(outer, 1).T
    covariance = outer / total[0] - np.outer(mean, mean)
    return mean, covariance + DIAGONAL * np.eye(number)
