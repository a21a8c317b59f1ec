"""Rotary positions of the coarse model far into a long speech; its steps are tested with the runtime."""

from __future__ import annotations

import numpy as np

from vultus.runtime import coarse_steps


def test_positions_stay_exact_far_into_a_speech() -> None:
    near, far = (coarse_steps.turns(np.arange(first, first + 7), 32) for first in (0, 10_000_000))
    angles = [np.arctan2(sine.astype(np.float64), cosine) for cosine, sine in (near, far)]
    apart = [(one[1:] - one[:-1] + np.pi) % (2 * np.pi) - np.pi for one in angles]
    np.testing.assert_allclose(apart[0], apart[1], atol=1e-6)
