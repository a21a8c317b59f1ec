"""style_cos and style_top1 against embeddings that a test chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from examples import make_example
from vultus.metrics import score
from vultus.metrics.base import Unavailable
from vultus.metrics.style import StyleCos, StyleTop1, _number
from vultus.scoring.signals import unit_rows


def rows_of(subjects: str, asked: str, references: np.ndarray, samples: np.ndarray) -> np.ndarray:
    heads = [[_number(a), _number(b), samples.shape[1]] for a, b in zip(subjects, asked, strict=True)]
    return np.concatenate([heads, references, samples.reshape(len(samples), -1)], 1)


def test_cosine_is_the_mean_over_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {0: np.array([[1.0, 0]]), 1: np.array([[1.0, 0], [0, 1.0]]), 2: np.array([[0, -1.0]])}
    monkeypatch.setattr("vultus.metrics.style.manner", lambda example, number: found[number])
    monkeypatch.setattr("vultus.metrics.style.wanted_manner", lambda example: np.array([[0.8, 0.6]]))
    example = make_example(num_samples=3)
    expected = np.mean([0.8, 1.4 / np.sqrt(2), -0.6])
    np.testing.assert_allclose(StyleCos().measure(example), [expected, 1.0])
    found[1] = np.zeros((0, 2))
    assert StyleCos().measure(example).tolist() == [0.0, 0.0]


def test_needs_a_style_reference() -> None:
    with pytest.raises(Unavailable, match="no style reference"):
        score("style_cos", replace(make_example(), style_reference=None))


def test_top1_equals_its_formula() -> None:
    rng = np.random.default_rng(0)
    subjects, asked = "aaabbbccd", "abcbbacca"
    references, samples = unit_rows(rng.normal(size=(9, 4))), unit_rows(rng.normal(size=(9, 3, 4)))
    times = rng.integers(0, 3, (5, 9)).astype(float)
    times[0] = 1
    found = StyleTop1().combine(rows_of(subjects, asked, references, samples), times)
    for draw, value in zip(times, found, strict=True):
        total = weight = 0.0
        for i in range(9):
            # Subjects that only this clip speaks for have no centroid; every present subject can still be mistaken for.
            centroids = {}
            for subject in "abcd":
                kept = [draw[j] * references[j] for j in range(9) if subjects[j] == subject and j != i and draw[j]]
                centroids[subject] = unit_rows(np.sum(kept, 0)) if kept else np.zeros(4)
            if not centroids[asked[i]].any():
                continue
            right = [max(centroids, key=lambda s: samples[i, k] @ centroids[s]) == asked[i] for k in range(3)]
            total, weight = total + draw[i] * np.mean(right), weight + draw[i]
        assert value == pytest.approx(total / weight)


def test_top1_of_perfect_and_of_swapped_predictions() -> None:
    rng = np.random.default_rng(1)
    centres = np.repeat(np.eye(3), 4, 0)
    references = unit_rows(centres + 0.1 * rng.normal(size=(12, 3)))
    names = "aaaabbbbcccc"
    perfect = rows_of(names, names, references, references[:, None])
    swapped = rows_of(names, names, references, np.roll(references, 4, 0)[:, None])
    assert StyleTop1().combine(perfect, np.ones((1, 12)))[0] == 1.0
    assert StyleTop1().combine(swapped, np.ones((1, 12)))[0] == 0.0
    cross = rows_of(
        names, "ccccaaaabbbb", references, np.roll(references, 4, 0)[:, None]
    )  # another's manner, asked for
    assert StyleTop1().combine(cross, np.ones((1, 12)))[0] == 1.0
    assert np.isnan(StyleTop1().combine(perfect[:1], np.ones((1, 1)))[0])


def test_on_the_shipped_head_the_same_manner_is_nearer() -> None:
    example = make_example(num_samples=1, perfect=True)
    own = replace(example, style_reference=example.reference - example.template)
    assert score("style_cos", own) == pytest.approx(1, abs=1e-5)
    frozen = replace(own, samples=[np.repeat(example.template[None], len(example.reference), 0)])
    assert score("style_cos", frozen) < 0.9
