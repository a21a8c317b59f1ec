"""Exact time warping of two moving meshes in bounded memory.

Local costs are made for `ROWS` reference frames at a time, from a few hundred vertices at a time, and accumulated at
once; differences of all pairs of frames never lie in memory together. Memory: ROWS x U x 8 bytes, and a strip of both
motions as wide as those vertices.

Letters: T reference frames, U predicted frames, V vertices, n vertices that count.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.frames import OWN

ROWS = 256


def warping_costs(
    reference: np.ndarray, prediction: np.ndarray, vertices: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """Cost of the best path with the correct boundary, and with the published first row; in units of the coordinates.

    Args:
        reference: (T, V, 3) finite.
        prediction: (U, V, 3) finite.
        vertices: (n,) that count.
        weights: (n,) above 0, for the mean over vertices.
    """
    from vultus.metrics import kernels

    shares = (weights / weights.sum(dtype=np.float64)).astype(np.float32)
    numbers = np.asarray(vertices)
    exact, published = np.zeros(len(prediction)), np.zeros(len(prediction))
    for begin in range(0, len(reference), ROWS):
        rows = reference[begin : begin + ROWS]
        cost = np.zeros((len(rows), len(prediction)))
        for at in range(0, len(numbers), kernels.CHUNK):
            some = numbers[at : at + kernels.CHUNK]
            part = slice(some[0], some[-1] + 1) if some[-1] - some[0] == len(some) - 1 else some
            strips = (np.require(a[:, part].transpose(0, 2, 1), np.float32, OWN) for a in (rows, prediction))
            kernels.add_pair_costs(*strips, shares[at : at + kernels.CHUNK], cost)
        kernels.warp_rows(cost, exact, begin == 0, False)
        kernels.warp_rows(cost, published, begin == 0, True)
    return float(exact[-1]), float(published[-1])
