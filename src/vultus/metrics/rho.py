"""Calibration of a sampler: lip error of the samples over lip error of their mean.

Where samples scatter about their mean as widely as the truth does, it is sqrt(2 N / (N + 1)) for one vertex: 1.35 for
10 samples, 1.41 for very many. Samples too much alike bring it down to 1, where a deterministic model stands; samples
too wide apart raise it.

Letters: N samples; the rest as in l_vertex and l_mean.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info
from vultus.metrics.frames import all_max_errors, max_errors_of_mean


class Calibration:
    """l_vertex / l_mean, of sums over sequences; the interval draws numerator and denominator together.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> samples = [still + [0.003, 0.0, 0.0], still + [0.001, 0.0, 0.0], still + [-0.001, 0.0, 0.0]]
    >>> round(score("rho", Example.from_arrays(still, samples, still[0], {"lips": [0, 1]})), 4)  # (5/3) / 1
    1.6667
    """

    info = Info(
        name="rho",
        version=1,
        title="error of samples over error of their mean",
        formula="l_vertex / l_mean; sqrt(2 N / (N + 1)) where samples are calibrated, 1 where they are all the same",
        source="ours, from the relation of the numbers in Yang et al., Probabilistic Speech-Driven 3D Facial Motion "
        "Synthesis, CVPR 2024",
        quantity="ratio",
        direction="none",
        pooling="ratio of means over sequences",
        needs=("lips",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`: (l_vertex, l_mean) of the sequence."""
        return np.array([all_max_errors(example).mean(), max_errors_of_mean(example).mean()])

    def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """See `Metric.combine`; NaN where there is no error at all."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value: np.ndarray = (times @ rows[:, 0]) / (times @ rows[:, 1])
        return value
