"""Does the face move in the manner that was asked for? Scores of a style network (vultus.scoring).

z(.) is the embedding of a clip, of length 1: the mean of its windows of 4 s.

>>> StyleCos().combine(np.array([[0.9, 1.0], [0.5, 1.0], [0.0, 0.0]]), np.ones((1, 3))).round(3).tolist()
[0.7]

Letters: N samples, K samples kept, E embedding, n sequences.
"""

from __future__ import annotations

import hashlib

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.scoring.examples import manner, wanted_manner
from vultus.scoring.gate import nearest_subject
from vultus.scoring.signals import unit_rows

MOST_SAMPLES = 10
"""Samples of a sequence that style_top1 places; more would only make its rows longer."""


class StyleCos(Mean):
    """Likeness to the clip that lent its style."""

    info = Info(
        "style_cos", 1, "Style similarity", "mean_n <z(s^n), z(reference clip)>",
        "probabilistic benchmark after Yang et al. 2024, whose style network is not public; network and formula ours",
        "score", "higher", "mean over the N samples, then over sequences; clips under 1.6 s are left out",
        ("style_reference",),
    )  # fmt: skip

    def measure(self, example: Example) -> np.ndarray:
        """See Metric."""
        wanted = _clip(wanted_manner(example))
        found = [_clip(manner(example, number)) for number in range(len(example.samples))]
        if wanted is None or any(one is None for one in found):
            return np.zeros(2)
        return self.one(float(np.mean([one @ wanted for one in found if one is not None])))


class StyleTop1:
    """Is the nearest subject the right one?

    The gallery is the reference motion of the sequences that are drawn, one centroid a subject; the sequence's own
    reference is left out for it, as it has the same words. One sequence alone has no gallery, and no value.
    """

    info = Info(
        "style_top1", 1, "Style recognition",
        "share of (sequence, n) whose z(s^n) is nearest, among the centroids of the subjects' reference motion, to the "
        "subject asked for",
        "probabilistic benchmark, ours", "score", "higher",
        f"share over at most {MOST_SAMPLES} samples, then mean over sequences; clips under 1.6 s are left out",
        draws=200,
    )  # fmt: skip

    def measure(self, example: Example) -> np.ndarray:
        """Subject, subject asked for, K, then z of the reference and of K samples; K = 0 for a short clip."""
        own = _clip(manner(example, None))
        count = min(len(example.samples), MOST_SAMPLES)
        found = [_clip(manner(example, number)) for number in range(count)]
        width = manner(example, None).shape[1]
        if own is None or any(one is None for one in found):
            return np.zeros(3 + (count + 1) * width)
        asked = example.subject if example.style_subject is None else example.style_subject
        head = [_number(example.subject), _number(asked), count]
        return np.concatenate([head, own, *(one for one in found if one is not None)])

    def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """See Metric; NaN where no sequence has a gallery of two subjects, its own asked-for one among them."""
        rows, times = rows[rows[:, 2] > 0], times[:, rows[:, 2] > 0]
        return np.array([_share(rows, drawn) for drawn in times])


def _share(rows: np.ndarray, times: np.ndarray) -> float:
    """The value of one draw; rows of clips that are long enough, times (n,)."""
    if not len(rows):
        return float("nan")
    names, number = np.unique(rows[:, 0], return_inverse=True)
    count = int(rows[0, 2])
    vectors = rows[:, 3:].reshape(len(rows), count + 1, -1)
    placed = [nearest_subject(vectors[:, k], vectors[:, 0], number, times) for k in range(1, count + 1)]
    right = (names[np.stack(placed, 1)] == rows[:, 1:2]).mean(1)
    present = np.bincount(number, times)
    asked = (rows[:, 1:2] == names) @ present - times * (rows[:, 0] == rows[:, 1])
    counted = times * ((asked > 0) & ((present > 0).sum() > 1))
    return float(right @ counted / counted.sum()) if counted.any() else float("nan")


def _clip(windows: np.ndarray) -> np.ndarray | None:
    return unit_rows(windows.astype(np.float64).mean(0)) if len(windows) else None


def _number(subject: str) -> float:
    """A subject's name as a whole number that a float64 holds exactly, the same on every machine; never 0."""
    return float(1 + int.from_bytes(hashlib.sha256(subject.encode()).digest()[:6], "big"))
