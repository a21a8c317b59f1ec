"""Compiled loops of the frame-wise metrics, of time warping and of diversity. One thread each.

Importing this file compiles the loops, or loads them from numba's disk cache (beside the file or in the user's cache
folder); where no folder can be written every process compiles anew. `vultus.metrics.frames` imports it when something
is measured, never earlier. The loops do not check bounds: callers check shapes and vertex numbers.

Sums run in float32 over a few hundred vertices and in float64 above that, so results keep six digits.

Letters: B frames of a block, V vertices, n vertices of a region, T and U frames of reference and prediction, N samples.
"""

from __future__ import annotations

import math

import numpy as np

from vultus.compiling import compiled

CHUNK = 256
"""Vertices handled at a time: their coordinates in all frames of a block stay in the processor's cache."""


@compiled("void(f4[:,:,::1], f4[:,:,::1], f4[:,::1])", fastmath=True)
def distances(prediction: np.ndarray, reference: np.ndarray, out: np.ndarray) -> None:
    """Euclidean distance of each vertex, (B, V, 3) and (B, V, 3) -> out (B, V)."""
    for t in range(out.shape[0]):
        for v in range(out.shape[1]):
            x = prediction[t, v, 0] - reference[t, v, 0]
            y = prediction[t, v, 1] - reference[t, v, 1]
            z = prediction[t, v, 2] - reference[t, v, 2]
            out[t, v] = math.sqrt(x * x + y * y + z * z)


@compiled("void(f4[:,::1], i8[::1], f4[::1], f4[::1], f8[:,::1])", fastmath=True)
def region_errors(
    distance: np.ndarray, vertices: np.ndarray, weights: np.ndarray, member: np.ndarray, out: np.ndarray
) -> None:
    """Errors of a region in each frame -> out (B, 3).

    Args:
        distance: (B, V).
        vertices: (n,) of the region.
        weights: (n,) above 0.
        member: (n,) 1 where the vertex counts for the maximum, else 0.
        out: weighted mean, largest weighted distance, largest distance of the members.
    """
    total = 0.0
    for i in range(len(vertices)):
        total += weights[i]
    for t in range(distance.shape[0]):
        weighted = 0.0
        top_weighted = np.float32(0)
        top = np.float32(0)
        for begin in range(0, len(vertices), CHUNK):
            chunk = np.float32(0)
            for i in range(begin, min(begin + CHUNK, len(vertices))):
                d = distance[t, vertices[i]]
                chunk += weights[i] * d
                top_weighted = max(top_weighted, weights[i] * d)
                top = max(top, member[i] * d)
            weighted += np.float64(chunk)
        out[t, 0] = weighted / total
        out[t, 1] = top_weighted
        out[t, 2] = top


@compiled("void(f4[:,:,::1], f4[:,:,::1], i8[::1], f4[:,:,::1], f8[::1])", fastmath=True)
def add_differences(
    prediction: np.ndarray, reference: np.ndarray, vertices: np.ndarray, summed: np.ndarray, largest: np.ndarray
) -> None:
    """Adds prediction - reference of some vertices to summed (B, n, 3); largest (B,) gets their largest distance."""
    for t in range(summed.shape[0]):
        top = np.float32(0)
        for i in range(len(vertices)):
            v = vertices[i]
            x = prediction[t, v, 0] - reference[t, v, 0]
            y = prediction[t, v, 1] - reference[t, v, 1]
            z = prediction[t, v, 2] - reference[t, v, 2]
            summed[t, i, 0] += x
            summed[t, i, 1] += y
            summed[t, i, 2] += z
            top = max(top, x * x + y * y + z * z)
        largest[t] = math.sqrt(top)


@compiled("void(f4[:,:,::1], f4[:,::1], i8[::1], f8[:,::1])", fastmath=True)
def squared_displacements(moving: np.ndarray, template: np.ndarray, vertices: np.ndarray, out: np.ndarray) -> None:
    """Squared distance from the template, (B, V, 3) and (V, 3) -> out (B, n)."""
    for t in range(out.shape[0]):
        for i in range(len(vertices)):
            v = vertices[i]
            x = np.float64(moving[t, v, 0] - template[v, 0])
            y = np.float64(moving[t, v, 1] - template[v, 1])
            z = np.float64(moving[t, v, 2] - template[v, 2])
            out[t, i] = x * x + y * y + z * z


@compiled("void(f4[:,:,::1], f4[:,:,::1], f4[::1], f8[:,::1])", fastmath=True)
def add_pair_costs(reference: np.ndarray, prediction: np.ndarray, weights: np.ndarray, cost: np.ndarray) -> None:
    """Adds the weighted distances of a chunk of vertices, every frame against every frame, to cost (B, U).

    Args:
        reference: (B, 3, n), coordinates of the chunk side by side.
        prediction: (U, 3, n).
        weights: (n,).
    """
    for j in range(prediction.shape[0]):
        q = prediction[j]
        for i in range(reference.shape[0]):
            p = reference[i]
            part = np.float32(0)
            for v in range(len(weights)):
                x, y, z = p[0, v] - q[0, v], p[1, v] - q[1, v], p[2, v] - q[2, v]
                part += weights[v] * math.sqrt(x * x + y * y + z * z)
            cost[i, j] += part


@compiled("void(f8[:,::1], f8[::1], b1, b1)", fastmath=True)
def warp_rows(cost: np.ndarray, last: np.ndarray, first: bool, free_start: bool) -> None:
    """Goes on with time warping by some rows: steps (1, 0), (0, 1) and (1, 1), each of weight 1.

    Args:
        cost: (B, U) local costs of the next rows.
        last: (U,) accumulated costs of the row before; becomes that of the last of these rows.
        first: whether cost[0] is the first row of all.
        free_start: leaves the first row at 0 behind its first cell, as the published code does.
    """
    for i in range(cost.shape[0]):
        if first and i == 0:
            last[0] = cost[0, 0]
            for j in range(1, len(last)):
                last[j] = 0.0 if free_start else last[j - 1] + cost[0, j]
            continue
        corner = last[0]
        last[0] += cost[i, 0]
        for j in range(1, len(last)):
            above = last[j]
            last[j] = cost[i, j] + min(min(above, last[j - 1]), corner)
            corner = above


@compiled("void(f4[:,:,:,::1], f8[::1])", fastmath=True)
def add_pair_distances(samples: np.ndarray, summed: np.ndarray) -> None:
    """Adds the distances between all pairs of samples to summed (n,), by vertex.

    Args:
        samples: (B, N, n, 3), the same frames of every sample.
    """
    count = samples.shape[1]
    side = np.empty((count, 3, CHUNK), np.float32)
    part = np.empty(CHUNK, np.float32)
    for t in range(samples.shape[0]):
        for begin in range(0, samples.shape[2], CHUNK):
            width = min(CHUNK, samples.shape[2] - begin)
            for k in range(count):
                for v in range(width):
                    for axis in range(3):
                        side[k, axis, v] = samples[t, k, begin + v, axis]
            for k in range(count):
                part[:] = 0
                p = side[k]
                for m in range(k):
                    q = side[m]
                    for v in range(width):
                        x, y, z = p[0, v] - q[0, v], p[1, v] - q[1, v], p[2, v] - q[2, v]
                        part[v] += math.sqrt(x * x + y * y + z * z)
                for v in range(width):
                    summed[begin + v] += part[v]
