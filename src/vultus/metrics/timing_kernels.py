"""Compiled loop of time warping with its path. Importing this file compiles it, or loads it from numba's disk cache.

Letters: N frames of two curves, P cells of a path.
"""

from __future__ import annotations

import numpy as np

from vultus.compiling import compiled


@compiled("i8[:,::1](f8[::1], f8[::1], i8, f8)", fastmath=True)
def warp(reference: np.ndarray, prediction: np.ndarray, reach: int, step: float) -> np.ndarray:
    """The cheapest path between two curves within a band; it may begin and end anywhere on the border of the table.

    Args:
        reference: (N,).
        prediction: (N,); the cost of a cell is the squared difference.
        reach: |i - j| at most, under N.
        step: added for each step along one curve only. Of equal paths the more diagonal one is taken.

    Returns:
        (P, 2) cells (i of the reference, j of the prediction) in order.
    """
    count = len(reference)
    width = 2 * reach + 1
    came = np.zeros((count, width), np.int8)  # 0 beginning; from 1 (i-1, j-1), 2 (i-1, j), 3 (i, j-1)
    above = np.full(width, np.inf)
    row = np.full(width, np.inf)
    least, end_i, end_k = np.inf, 0, 0
    for i in range(count):
        for k in range(width):
            j = i + k - reach
            if j < 0 or j >= count:
                row[k] = np.inf
                continue
            local = (reference[i] - prediction[j]) ** 2
            value, move = local, 0
            if i > 0 and j > 0:
                value, move = above[k] + local, 1
                if k + 1 < width and above[k + 1] + local + step < value:
                    value, move = above[k + 1] + local + step, 2
                if k > 0 and row[k - 1] + local + step < value:
                    value, move = row[k - 1] + local + step, 3
            row[k] = value
            came[i, k] = move
            if i == count - 1 or j == count - 1:
                nearer = abs(k - reach) < abs(end_k - reach)
                if value < least or (value == least and nearer):
                    least, end_i, end_k = value, i, k
        above[:] = row
    path = np.empty((2 * count, 2), np.int64)
    length, i, k = 0, end_i, end_k
    while True:
        path[length, 0], path[length, 1] = i, i + k - reach
        length += 1
        move = came[i, k]
        if move == 0:
            break
        if move != 3:
            i -= 1
        if move == 2:
            k += 1
        elif move == 3:
            k -= 1
    return path[:length][::-1].copy()
