"""Upper-face dynamics deviation: does the upper face move as much as the recorded one, whenever it moves.

Letters: T frames, n vertices of the upper face, u squared distance of a vertex from the template.
"""

from __future__ import annotations

import numpy as np

from vultus.errors import VultusError
from vultus.metrics.base import Example, Info, Mean, check_shapes
from vultus.metrics.frames import OWN, blocks, checked_region

_SOURCE = "Xing et al., CodeTalker, CVPR 2023"
_S = "S = mean_i std_t u_ti, u_ti = |v_ti - template_i|^2, i in upper_face"


def dynamics(moving: np.ndarray, template: np.ndarray, vertices: np.ndarray, what: str) -> float:
    """S of one sequence: mean over vertices of the deviation over time of the squared displacement.

    Args:
        moving: (T, V, 3).
        template: (V, 3), the same units.
        vertices: (n,).
        what: for messages.
    """
    from vultus.metrics import kernels

    count, mean, spread = 0, np.zeros(len(vertices)), np.zeros(len(vertices))
    still = np.require(template, np.float32, OWN)
    numbers = np.require(vertices, np.int64, OWN)
    for _, block in blocks(moving, what):
        squared = np.empty((len(block), len(numbers)))
        kernels.squared_displacements(block, still, numbers, squared)
        # Means and sums of squares of two stretches, joined without the loss of digits of E[u^2] - E[u]^2.
        new, here = len(block), squared.mean(0)
        step = here - mean
        spread += ((squared - here) ** 2).sum(0) + step**2 * (count * new / (count + new))
        mean += step * (new / (count + new))
        count += new
    return float(np.sqrt(spread / count).mean())


class DynamicsDeviation(Mean):
    """Signed, as published: positive where the prediction moves too little. Errors of two clips may cancel.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> moved = still.copy()
    >>> moved[0] = [0.001, 0.0, 0.0]  # 1 mm in one of two frames: u is 1 and 0, its deviation 0.5
    >>> round(score("fdd", Example.from_arrays(still, [moved], still[0], {"upper_face": [0, 2]})), 4)
    -0.5
    """

    info = Info(
        name="fdd",
        version=1,
        title="upper-face dynamics deviation, signed",
        formula=f"S_reference - S_prediction; {_S}",
        source=f"{_SOURCE}, sign and pooling as in the authors' evaluation",
        quantity="length2",
        direction="zero",
        pooling="mean over sequences",
        needs=("upper_face",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        return self.one(_difference(example))


class AbsoluteDynamicsDeviation(DynamicsDeviation):
    """The absolute difference of each sequence: errors of two clips cannot cancel.

    >>> from vultus.metrics import score
    >>> still = np.zeros((2, 3, 3))
    >>> moved = still.copy()
    >>> moved[0] = [0.001, 0.0, 0.0]
    >>> round(score("fdd_abs", Example.from_arrays(still, [moved], still[0], {"upper_face": [0, 2]})), 4)
    0.5
    """

    info = Info(
        name="fdd_abs",
        version=1,
        title="upper-face dynamics deviation, absolute",
        formula=f"|S_reference - S_prediction|; {_S}",
        source=f"{_SOURCE}; absolute value of each sequence as FaceDiffuser's evaluation prints it",
        quantity="length2",
        direction="lower",
        pooling="mean over sequences",
        needs=("upper_face",),
    )

    def measure(self, example: Example) -> np.ndarray:
        """See `Metric.measure`."""
        return self.one(abs(_difference(example)))


def _difference(example: Example) -> float:
    region = example.region("upper_face")
    if "fdd" not in example.cache:
        prediction, reference = example.prediction, example.reference
        check_shapes(prediction, reference)
        template = example.template
        if template.shape != reference.shape[1:] or not np.isfinite(template).all():
            raise VultusError(
                f"sequence {example.name}: template has shape {template.shape} or bad numbers; expected finite "
                f"{reference.shape[1:]}, as the motion"
            )
        vertices = checked_region(region, reference.shape[1]).vertices[region.members]
        moves = [dynamics(a, template, vertices, w) for a, w in ((reference, "reference"), (prediction, "prediction"))]
        example.cache["fdd"] = (moves[0] - moves[1]) * example.scale**2
    found: float = example.cache["fdd"]
    return found
