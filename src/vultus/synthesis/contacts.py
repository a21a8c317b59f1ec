"""Wanted geometry -> weights, so that contacts hold on the mesh of *this* face.

The measures of a face (`vultus.measures`) are linear in the weights. Finding weights for wanted measures is then a
bounded least-squares problem with intervals instead of points where only a limit matters:

    sum_m s_m dist(a_m w + r_m, [low_m, high_m])^2  +  sum_k rho_k (w_k - p_k)^2  +  sum_k lambda_k w_k,   0 <= w <= 1.

It is strictly convex (every rho is positive), so the answer is unique and follows the wanted measures continuously:
smooth wishes give smooth weights. The linear term keeps weights at exactly zero where they are not needed. Coordinate
descent solves it for all frames at once; every operation is elementwise over frames, so a frame's answer does not
depend on its neighbours or on how a long recording was cut.

Letters: T frames, M measures, K weights or controls. Measures in mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vultus.motion import WEIGHT_NAMES

if TYPE_CHECKING:
    from vultus.measures import FaceMeasures

INDEX: dict[str, int] = {name: i for i, name in enumerate(WEIGHT_NAMES)}
_BLOCK = 4096  # frames solved together; bounds the memory of an hour


def solve_intervals(
    matrix: np.ndarray,
    rest: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    stiffness: np.ndarray,
    prior: np.ndarray,
    hold: np.ndarray,
    cost: np.ndarray,
    sweeps: int = 40,
    tolerance: float = 2e-4,
) -> np.ndarray:
    """Solves the problem of the module's docstring.

    Args:
        matrix: (M, K) change of each measure with each weight, mm.
        rest: (M,) or (M, T) measures at zero weights.
        low, high: (M, T) wanted intervals; -inf and inf leave a side free.
        stiffness: (M, T) how much each measure matters, 1/mm^2.
        prior: (K, T) where weights go where nothing pulls.
        hold: (K,) > 0, pull towards the prior.
        cost: (K,) >= 0, price of using a weight at all.
        sweeps: most passes over all weights.
        tolerance: a frame is done when none of its weights moves more than this in a pass.

    Returns:
        (K, T) weights in [0, 1].
    """
    out = np.clip(prior, 0.0, 1.0)
    weights = out.copy()
    values = np.empty_like(low)
    values[:] = rest if rest.ndim == 2 else rest[:, None]
    for k in range(len(weights)):
        values += matrix[:, k, None] * weights[k]
    used = [np.flatnonzero(np.abs(matrix[:, k]) > 1e-9) for k in range(len(weights))]
    todo = np.arange(low.shape[1])
    for _ in range(sweeps):
        largest = np.zeros(len(todo))
        for k, rows in enumerate(used):
            column = matrix[rows, k, None]
            now = values[rows]
            lower, upper, stiff = low[rows], high[rows], stiffness[rows]
            start = weight = weights[k]
            # The pieces of the distance change with the weight: two Newton steps find the minimum along this weight.
            for _ in range(2):
                at = now + column * (weight - start)
                miss = np.minimum(at - lower, 0.0) + np.maximum(at - upper, 0.0)
                touched = stiff * (miss != 0.0)
                slope = (column * touched * miss).sum(axis=0) + hold[k] * (weight - prior[k]) + 0.5 * cost[k]
                bend = (column * column * touched).sum(axis=0) + hold[k]
                weight = np.clip(weight - slope / bend, 0.0, 1.0)
            change = weight - start
            weights[k] = weight
            values[rows] = now + column * change
            np.maximum(largest, np.abs(change), out=largest)
        # A frame is finished on its own account, never on its neighbours'.
        going = largest >= tolerance
        out[:, todo[~going]] = weights[:, ~going]
        if not going.any():
            return out
        todo, weights, values, prior = todo[going], weights[:, going], values[:, going], prior[:, going]
        low, high, stiffness = low[:, going], high[:, going], stiffness[:, going]
    out[:, todo] = weights
    return out


#: What may change to bring lips together or apart, and how reluctantly: closers first, expression next, shape last.
_GIVE_WAY: dict[str, float] = {
    "mouthClose": 0.3, "mouthLowerDownLeft": 1.0, "mouthLowerDownRight": 1.0, "mouthUpperUpLeft": 1.0,
    "mouthUpperUpRight": 1.0, "mouthPressLeft": 1.5, "mouthPressRight": 1.5, "mouthRollLower": 2.0,
    "mouthRollUpper": 2.0, "mouthFunnel": 1.5, "mouthShrugLower": 2.0, "mouthShrugUpper": 1.5,
    "mouthSmileLeft": 2.0, "mouthSmileRight": 2.0,
    "mouthStretchLeft": 3.0, "mouthStretchRight": 3.0, "jawOpen": 4.0,
}  # fmt: skip


class Contacts:
    """Keeps the contacts of the speech layer when other layers are added.

    Args:
        measures: `vultus.measures.FaceMeasures` of the face.
    """

    def __init__(self, measures: FaceMeasures) -> None:
        self._columns = [i for i, n in enumerate(measures.names) if n.startswith("aperture_")]
        self._lip_teeth = list(measures.names).index("lower_lip_to_upper_incisor")
        rows = [*self._columns, self._lip_teeth]
        self._matrix = np.asarray(measures.matrix, np.float64)[rows]
        self._rest = np.asarray(measures.rest, np.float64)[rows]
        self._moving = [INDEX[n] for n in _GIVE_WAY]
        self._hold = np.array(list(_GIVE_WAY.values()))
        # (moving, columns): the smallest change of weights, by reluctance, for a wanted change of the lip columns.
        columns = self._matrix[:-1][:, self._moving]
        eased = columns / self._hold
        gram = eased @ columns.T
        gram[np.diag_indices_from(gram)] += 0.01 * np.trace(gram) / len(gram)
        self._closing = np.linalg.solve(gram, eased).T

    def keep(self, weights: np.ndarray, speech: np.ndarray, least: float = -0.30, slack: float = 0.05) -> np.ndarray:
        """Changes `weights` as little as possible so that lips that touch in `speech` touch here too.

        Args:
            weights: (T, 55) all layers together, in [0, 1].
            speech: (T, 55) the speech layer alone.
            least: no lip column is closer than this, mm (or than the speech layer has it).
            slack: a column may be this much wider than in the speech layer where that is closed; the wider it is
                there, the more it may differ.

        Returns:
            (T, 55) float32 in [0, 1].
        """
        out = np.empty((len(weights), len(WEIGHT_NAMES)), np.float32)
        for start in range(0, len(weights), _BLOCK):
            part = slice(start, start + _BLOCK)
            out[part] = self._keep(
                np.asarray(weights[part], np.float64), np.asarray(speech[part], np.float64), least, slack
            )
        return out

    def widest_gap(self, weights: np.ndarray) -> np.ndarray:
        """(T, 55) weights -> (T,) the widest of the lip columns, mm; about 0.1 where the lips are shut."""
        return self._measure(np.asarray(weights, np.float64))[:-1].max(axis=0)

    def _measure(self, weights: np.ndarray) -> np.ndarray:
        """(T, 55) -> (columns + 1, T); plain sums, so that a frame's value does not depend on its neighbours."""
        out = np.repeat(self._rest[:, None], len(weights), axis=1)
        for k in np.flatnonzero(np.abs(self._matrix).max(axis=0) > 1e-9):
            out += self._matrix[:, k, None] * weights[:, k]
        return out

    def meet(self, weights: np.ndarray, shut: float = 1.1, open_from: float = 2.0, least: float = -0.30) -> np.ndarray:
        """Lets lips that nearly touch touch.

        In speech lips are shut or clearly apart: of a rule-made performance hardly a frame inside speech lies between
        0.2 and 2 mm. A model that answers doubt with a mean leaves such gaps at closures, and an eye sees them.

        Args:
            weights: (T, 55) in [0, 1].
            shut: where the widest lip column is narrower than this, the lips close, mm.
            open_from: where it is wider than this, nothing changes; between the two the gap narrows gradually.
            least: no lip column ends closer than this, mm.

        Returns:
            (T, 55) float32 in [0, 1].
        """
        out = np.empty((len(weights), len(WEIGHT_NAMES)), np.float32)
        for start in range(0, len(weights), _BLOCK):
            part = np.array(weights[start : start + _BLOCK], np.float64)
            now = self._measure(part)[:-1]
            widest = np.maximum(now.max(axis=0), 1e-6)
            share = np.clip((widest - shut) / (open_from - shut), 0.0, 1.0) * open_from / widest
            narrowed = np.maximum(now * np.minimum(share, 1.0), np.minimum(now, 0.1))  # 0.1: shut, as at rest
            wanted = np.where(widest < open_from, narrowed, now)
            wanted = np.maximum(wanted, least)  # lips that passed through each other come apart
            # The same linear step for every frame, thrice because weights stop at 0 and 1: what changes little from
            # frame to frame is answered with little change. A solver that picks shapes frame by frame is not so calm.
            for _ in range(3):
                step = (wanted - self._measure(part)[:-1]).T @ self._closing.T
                part[:, self._moving] = np.clip(part[:, self._moving] + step, 0.0, 1.0)
            out[start : start + _BLOCK] = part
        return out

    def _keep(self, weights: np.ndarray, speech: np.ndarray, least: float, slack: float) -> np.ndarray:
        told, now = self._measure(speech), self._measure(weights)
        open_part = np.maximum(told[:-1], 0.0)
        high = np.full_like(now, np.inf)
        low = np.full_like(now, -np.inf)
        high[:-1] = np.maximum(told[:-1], 0.0) + slack + 0.5 * open_part
        low[:-1] = np.minimum(least, told[:-1] - 0.02)
        return self._bring(weights, now, low, high)

    def _bring(self, weights: np.ndarray, now: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Changes the weights as little as possible so that the measures `now` come to lie between `low` and `high`."""
        wrong = ((now < low - 1e-3) | (now > high + 1e-3)).any(axis=0)
        out = weights.copy()
        if wrong.any():
            moving = self._moving
            some = weights[wrong]
            rest = now[:, wrong] - sum(self._matrix[:, k, None] * some[:, k] for k in moving)
            stiffness = np.full((len(self._rest), int(wrong.sum())), 60.0)
            solved = solve_intervals(
                self._matrix[:, moving], rest, low[:, wrong], high[:, wrong], stiffness, some[:, moving].T.copy(),
                self._hold, np.zeros(len(moving)), sweeps=60,
            )  # fmt: skip
            some = some.copy()
            some[:, moving] = solved.T
            out[wrong] = some
        return out
