"""Embeddings of an Example, computed once and shared by the metrics that need them.

Letters: W windows, E embedding, N samples. A sample is told by its number, the reference by None.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Unavailable, check_pair
from vultus.scoring.gate import scorer_for
from vultus.scoring.runtime import StyleScorer, SyncScorer


def lips(example: Example, sample: int | None) -> np.ndarray:
    """Sync embeddings of the lips of a sample, or of the reference, (W, E); Unavailable without a network that may."""
    scorer = scorer_for("sync", example)
    assert isinstance(scorer, SyncScorer)
    key = ("sync mesh", scorer.folder, sample)
    if key not in example.cache:
        moving = _motion(example, sample)
        example.cache[key] = scorer.mesh(moving, example.template, example.fps, example.scale)
    found: np.ndarray = example.cache[key]
    return found


def sound(example: Example) -> np.ndarray:
    """Sync embeddings of the speech, (W, E), W as the reference has; Unavailable without speech or network."""
    if example.speech is None:
        raise Unavailable("no speech")
    scorer = scorer_for("sync", example)
    assert isinstance(scorer, SyncScorer)
    key = ("sync audio", scorer.folder)
    if key not in example.cache:
        example.cache[key] = scorer.audio(example.speech, len(lips(example, None)))
    found: np.ndarray = example.cache[key]
    return found


def manner(example: Example, sample: int | None) -> np.ndarray:
    """Style embeddings of the windows of a sample, or of the reference, (W, E); W is 0 for a clip under 1.6 s."""
    scorer = scorer_for("style", example)
    assert isinstance(scorer, StyleScorer)
    key = ("style", scorer.folder, sample)
    if key not in example.cache:
        moving = _motion(example, sample)
        example.cache[key] = scorer.windows(moving - example.template, example.fps, example.scale)
    found: np.ndarray = example.cache[key]
    return found


def wanted_manner(example: Example) -> np.ndarray:
    """Style embeddings of the clip whose manner was asked for, (W, E); Unavailable without one."""
    if example.style_reference is None:
        raise Unavailable("no style reference")
    scorer = scorer_for("style", example)
    assert isinstance(scorer, StyleScorer)
    return scorer.windows(example.style_reference, example.fps, example.scale)


def _motion(example: Example, sample: int | None) -> np.ndarray:
    if sample is None:
        return example.reference
    moving = example.samples[sample]
    check_pair(moving, example.reference)
    return moving
