"""Collects rows of metrics over sequences, processes and stopped runs, and gives the value with its interval.

Letters: n sequences, W width of a row, R draws.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vultus.errors import VultusError
from vultus.metrics.base import Example, Metric
from vultus.statistics import Estimate, draws, interval


class Accumulator:
    """The rows of one metric. The order of sequences does not matter: they are sorted by name before anything is drawn.

    Attributes:
        rows: name of the sequence -> (W,) float64.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.rows: dict[str, np.ndarray] = {}

    def update(self, example: Example) -> np.ndarray:
        """Measures a sequence and keeps its row. VultusError where its name came before; Unavailable passes through."""
        if example.name in self.rows:
            raise VultusError(f"{self.metric.info.name}: sequence {example.name} came twice; expected it once")
        row = np.asarray(self.metric.measure(example), np.float64)
        self.rows[example.name] = row
        return row

    def merge(self, others: Iterable[Accumulator]) -> None:
        """Takes over the rows that other processes measured."""
        for other in others:
            double = self.rows.keys() & other.rows.keys()
            if double:
                raise VultusError(f"{self.metric.info.name}: sequence {min(double)} was measured twice; expected once")
            self.rows.update(other.rows)

    def compute(self, seed: int = 0) -> Estimate:
        """The value over all sequences, with a 95 % bootstrap interval over sequences (NaN for fewer than two)."""
        names = sorted(self.rows)
        if not names:
            return Estimate(float("nan"), float("nan"), float("nan"), 0)
        rows = np.stack([self.rows[name] for name in names])
        value = float(self.metric.combine(rows, np.ones((1, len(names))))[0])
        if len(names) < 2:
            return Estimate(value, float("nan"), float("nan"), len(names))
        times = draws(len(names), seed)[: self.metric.info.draws]
        return Estimate(value, *interval(self.metric.combine(rows, times)), len(names))

    def each(self) -> dict[str, float]:
        """The value of each sequence alone, by name."""
        return {
            name: float(self.metric.combine(row[None], np.ones((1, 1)))[0]) for name, row in sorted(self.rows.items())
        }
