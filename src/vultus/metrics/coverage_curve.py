"""How the coverage error falls with the number of samples: the best of k, for k = 1 to 100.

The best of k samples is the mean over all subsets of k of the N samples that were drawn, which has a closed form over
sorted errors: no drawing, no dependence on their order. At k = 1 it is `l_vertex`, at k = N `l_cover`.

Letters: N samples, k of them, e lip error of a sample (as in l_cover), n sequences, R draws.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Unavailable
from vultus.metrics.frames import all_max_errors

LONGEST = 100


def expected_best(errors: np.ndarray, longest: int = LONGEST) -> np.ndarray:
    """Mean over all subsets of k errors of the least in each, k = 1 to `longest`; NaN beyond the number of errors.

    >>> expected_best(np.array([3.0, 1.0, 2.0]), 4)
    array([2.        , 1.33333333, 1.        ,        nan])
    """
    count = len(errors)
    ordered = np.sort(errors)
    best = np.full(longest, np.nan)
    # share[i]: of the subsets of k, those whose least is ordered[i]: C(count - 1 - i, k - 1) / C(count, k).
    share = np.full(count, 1 / count)
    for k in range(1, min(count, longest) + 1):
        best[k - 1] = share @ ordered
        after = count - 1 - np.arange(count)
        share = share * np.maximum(after - (k - 1), 0) / k * (k + 1) / max(count - k, 1)
    return best


class CoverageCurve:
    """The curve, and as its value the error of the best of `at` samples, so that runs with more samples compare.

    Args:
        at: number of samples that the value stands for.

    >>> from vultus.metrics import score
    >>> still = np.zeros((1, 3, 3))
    >>> samples = [still + [0.001 * k, 0.0, 0.0] for k in range(1, 12)]  # 1 to 11 mm
    >>> round(score("coverage_curve", Example.from_arrays(still, samples, still[0], {"lips": [0]})), 4)  # 12 / 11
    1.0909
    """

    info = Info(
        name="coverage_curve",
        version=1,
        title="lip error of the best of 10 samples",
        formula="mean over subsets of 10 of the N samples of min_n mean_t max_i d_nti; the curve has 1 to 100 for 10",
        source="ours: l_cover of Yang et al., Probabilistic Speech-Driven 3D Facial Motion Synthesis, CVPR 2024, at a "
        "stated number of samples",
        quantity="length",
        direction="lower",
        pooling="mean over frames, expected least over samples, then mean over sequences",
        needs=("lips", "samples"),
    )

    def __init__(self, at: int = 10) -> None:
        self.at = at

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`: (100,), NaN beyond the number of samples."""
        if len(example.samples) < self.at:
            count = len(example.samples)
            raise Unavailable(f"{count} sample{'s' * (count != 1)}; the best of {self.at} needs {self.at}")
        return expected_best(all_max_errors(example).mean(1))

    def curves(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(R, 100): mean over sequences at each number of samples; NaN where one of them has fewer."""
        curve: np.ndarray = (times @ rows) / times.sum(1, keepdims=True)
        return curve

    def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """See `Metric.combine`: the curve at `at`."""
        return self.curves(rows, times)[:, self.at - 1]
