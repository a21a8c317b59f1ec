"""Vertices -> blendshape weights in [0, 1]: box-constrained least squares over many frames at once.

For offsets o (3V) of one frame and shapes B (K x 3V) the weights are

    argmin_w  1/2 |B^T w - o|^2   with 0 <= w <= 1,

which needs only the Gram matrix G = B B^T (K x K) and the right-hand side b = B o (K). A method whose offsets are
linear in a short code z (o = a W^T z, Wu et al. 2023, equation 3) has b = (a B W^T) z: with that K x 256 matrix made
once, solving costs no pass over the vertices. Teeth, tongue and chin take part, so jawOpen (which lowers them) and
mouthClose (which moves the lips alone) cannot stand in for each other.

Letters: T frames, K shapes, V vertices.
"""

from __future__ import annotations

import numpy as np

#: A ridge this small against the mean squared size of a shape decides only between weights that the mesh cannot tell
#: apart; it shifts well-posed ones by far less than 1e-3.
RIDGE = 1e-7


class WeightSolver:
    """Solves for weights given right-hand sides b = B o.

    Args:
        matrix: B, (K, 3V), one flattened blendshape delta a row, metres.
    """

    def __init__(self, matrix: np.ndarray):
        shapes = np.asarray(matrix, np.float64)
        self.num_shapes = len(shapes)
        gram = shapes @ shapes.T
        norm = np.sqrt(np.maximum(np.diag(gram), 1e-30))
        # Unit-length shapes: the step size then suits all, large or small. A shape that moves nothing stays at 0.
        self._still = norm < 1e-9
        self._scale = np.where(self._still, 1.0, norm)
        gram = gram / np.outer(self._scale, self._scale)
        gram[np.diag_indices_from(gram)] += RIDGE + self._still
        self._gram = gram
        self._upper = np.where(self._still, 0.0, self._scale)  # w <= 1 in scaled units
        self._inverse = np.linalg.inv(gram)
        self._step = 1.0 / np.linalg.eigvalsh(gram)[-1]

    def solve(self, rhs: np.ndarray, tolerance: float = 1e-4) -> np.ndarray:
        """Weights (T, K) float32 in [0, 1] for right-hand sides b = B o, (T, K).

        Exact to `tolerance` in each weight: projected accelerated gradient (Beck and Teboulle 2009) finds which weights
        stand at a bound, then an active-set pass solves for the others.
        """
        rhs = np.asarray(rhs, np.float64) / self._scale
        rhs[:, self._still] = 0.0
        weights = np.clip(rhs @ self._inverse, 0.0, self._upper)
        weights = self._descend(rhs, weights, iterations=80)
        weights = self._finish(rhs, weights, tolerance)
        return np.clip(weights / self._scale, 0.0, 1.0).astype(np.float32)

    def solve_offsets(self, offsets: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Weights (T, K) of vertex offsets (T, V, 3) in metres; `matrix` is the B given at construction."""
        return self.solve(offsets.reshape(len(offsets), -1).astype(np.float64) @ np.asarray(matrix, np.float64).T)

    def _descend(self, rhs: np.ndarray, start: np.ndarray, iterations: int) -> np.ndarray:
        current, ahead, momentum = start, start, 1.0
        for _ in range(iterations):
            moved = np.clip(ahead - self._step * (ahead @ self._gram - rhs), 0.0, self._upper)
            following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
            ahead = moved + ((momentum - 1.0) / following) * (moved - current)
            current, momentum = moved, following
        return current

    def _finish(self, rhs: np.ndarray, weights: np.ndarray, tolerance: float) -> np.ndarray:
        """Newton steps on the free weights of each frame until the bounds hold and no bound wants to be left."""
        slack = tolerance * self._scale
        todo = np.arange(len(weights))
        for _ in range(12):
            if len(todo) == 0:
                break
            now, target = weights[todo], rhs[todo]
            gradient = now @ self._gram - target
            free = ~(((now <= 0.0) & (gradient >= 0.0)) | ((now >= self._upper) & (gradient <= 0.0)))
            # Bound weights keep their value: their rows and columns become those of the identity.
            system = np.where(free[:, :, None] & free[:, None, :], self._gram, 0.0)
            system[:, np.arange(self.num_shapes), np.arange(self.num_shapes)] += ~free
            held = np.where(free, 0.0, now)
            solution = np.linalg.solve(system, np.where(free, target - held @ self._gram, now)[:, :, None])[:, :, 0]
            inside = np.clip(solution, 0.0, self._upper)
            weights[todo] = inside
            left_box = (np.abs(solution - inside) > slack).any(axis=1)
            gradient = inside @ self._gram - target
            wants_in = ((inside <= 0.0) & (gradient < -slack)) | ((inside >= self._upper) & (gradient > slack))
            todo = todo[left_box | wants_in.any(axis=1)]
        if len(todo):  # cycling between patterns, rare: plain descent is slow but sure
            weights[todo] = self._descend(rhs[todo], weights[todo], iterations=2000)
        return weights
