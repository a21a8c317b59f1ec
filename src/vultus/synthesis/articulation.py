"""Gestures -> weights: the mouth of a performance, with contacts that hold on the mesh of this face.

The jaw is taken as wanted. Everything else is solved for: lip distance, width, protrusion, the rise of the upper lip
and the distance of lower lip and upper teeth are linear measures of the mesh (`vultus.measures`), and `contacts`
finds smooth and sparse weights that give them, under limits that always hold: lips never pass through each other, and
where a seal is asked for the lips meet along their whole line, whatever the jaw does (mouthClose cancels jawOpen).

Letters: T motion frames, M measures, K controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vultus.clock import SAMPLE_RATE, check_fps, motion_times, num_motion_frames, resample_at
from vultus.errors import VultusError
from vultus.motion import WEIGHT_NAMES
from vultus.synthesis import gestures
from vultus.synthesis.contacts import INDEX, solve_intervals
from vultus.synthesis.gestures import QUANTITIES, Gestures
from vultus.synthesis.phones import Phone, settle_pauses
from vultus.synthesis.prosody import Prosody, analyse
from vultus.synthesis.style import Style

if TYPE_CHECKING:
    from vultus.head import Head
    from vultus.measures import FaceMeasures

_CONTROLS: tuple[tuple[tuple[str, ...], float, float], ...] = (
    # shapes that move as one, pull towards their prior, price
    (("mouthClose",), 0.6, 0.00),
    (("mouthFunnel",), 1.6, 0.10),
    (("mouthPucker",), 1.2, 0.06),
    (("mouthStretchLeft", "mouthStretchRight"), 1.2, 0.10),
    (("mouthSmileLeft", "mouthSmileRight"), 3.0, 0.14),
    (("mouthRollLower",), 10.0, 0.10),
    (("mouthRollUpper",), 10.0, 0.10),
    (("mouthPressLeft", "mouthPressRight"), 8.0, 0.10),
    (("mouthLowerDownLeft", "mouthLowerDownRight"), 1.2, 0.08),
    (("mouthUpperUpLeft", "mouthUpperUpRight"), 1.4, 0.08),
    (("mouthShrugLower",), 10.0, 0.10),
)
_CLOSE, _FUNNEL, _PUCKER, _STRETCH, _SMILE, _ROLL_LOWER, _ROLL_UPPER, _PRESS, _LOWER, _UPPER, _SHRUG = range(11)

_J, _A, _W, _P, _U, _TIP, _OUT, _DORSUM, _LOW = range(len(QUANTITIES))

SEAL_LOW, SEAL_HIGH = -0.30, 0.10
"""Distance of sealed lips in every column, mm."""
_BITE_APERTURE = 2.6
"""Distance of the lips at /f v/, mm."""
CROSS_LIMIT = -0.30
"""Lips are never closer than this, mm (below zero they press into each other)."""


class Articulator:
    """Turns wanted geometry into weights of one face.

    Args:
        measures: the linear measures of that face.
    """

    def __init__(self, measures: FaceMeasures) -> None:
        row = {name: i for i, name in enumerate(measures.names)}
        columns = [n for n in measures.names if n.startswith("aperture_")]
        wanted = ["jaw_opening", "aperture", "lip_width", "upper_lip_protrusion", "lower_lip_protrusion",
                  "lower_lip_to_upper_incisor", "upper_teeth_show", "tongue_tip_to_ridge"]  # fmt: skip
        missing = [n for n in wanted if n not in row]
        if missing or not columns:
            raise VultusError(
                f"face measures lack {', '.join(missing) or 'aperture columns'}; expected those of the head"
            )
        matrix = np.asarray(measures.matrix, np.float64)
        rest = np.asarray(measures.rest, np.float64)
        self._jaw_mm = float(matrix[row["jaw_opening"], INDEX["jawOpen"]])
        self._tip = (float(rest[row["tongue_tip_to_ridge"]]), matrix[row["tongue_tip_to_ridge"]])
        combine = np.zeros((len(_CONTROLS), len(WEIGHT_NAMES)))
        for k, (names, _, _) in enumerate(_CONTROLS):
            combine[k, [INDEX[n] for n in names]] = 1.0
        self._combine = combine
        protrusion = 0.5 * (matrix[row["upper_lip_protrusion"]] + matrix[row["lower_lip_protrusion"]])
        lines = np.stack(
            [matrix[row[c]] for c in columns]
            + [matrix[row["aperture"]], matrix[row["lip_width"]], protrusion]
            + [matrix[row["lower_lip_to_upper_incisor"]], matrix[row["upper_teeth_show"]]]
        )
        rests = [rest[row[c]] for c in columns] + [rest[row["aperture"]], 0.0, 0.0]
        rests += [rest[row["lower_lip_to_upper_incisor"]], 0.0]
        self._num_columns = len(columns)
        n = self._num_columns
        self._matrix = lines @ combine.T
        self._jaw_column = lines[:, INDEX["jawOpen"]].copy()
        # Width and protrusion are wanted relative to what the jaw, and lips that make up for the jaw, do anyway.
        self._jaw_column[[n + 1, n + 2]] = 0.0
        self._matrix[[n + 1, n + 2], _CLOSE] = 0.0
        self._rest = np.array(rests)
        self._hold = np.array([c[1] for c in _CONTROLS])
        self._cost = np.array([c[2] for c in _CONTROLS])

    @classmethod
    def of(cls, head: Head) -> Articulator:
        """The articulator of a head."""
        from vultus.measures import FaceMeasures

        return cls(FaceMeasures(head.rig, head.template))

    def weights(self, values: np.ndarray, seal: np.ndarray, teeth: np.ndarray, style: Style) -> np.ndarray:
        """Weights for wanted geometry.

        Args:
            values: (T, 9) as `gestures.QUANTITIES`.
            seal, teeth: (T,) contact gestures, 0 .. 1.4.
            style: compression and asymmetry.

        Returns:
            (T, 55) float32 in [0, 1].
        """
        count, n = len(values), self._num_columns
        jaw = np.clip(values[:, _J] / self._jaw_mm, 0.0, 1.0)
        closed, pressed = np.clip(seal, 0, 1), np.clip((seal - 1) / 0.4, 0, 1) * style.compression
        bite = np.clip(teeth, 0, 1) * (1 - closed)
        rest = self._rest[:, None] + self._jaw_column[:, None] * jaw
        low = np.full((len(self._rest), count), -np.inf)
        high = np.full_like(low, np.inf)
        stiffness = np.zeros_like(low)
        # Along the line of the lips: never crossed; within the seal's interval as the seal closes.
        low[:n] = CROSS_LIMIT
        ceiling = SEAL_HIGH + 30.0 * (1 - closed) ** 2
        high[:n] = np.where(closed > 0.02, ceiling, np.inf)
        stiffness[:n] = 50.0
        aperture = np.maximum(values[:, _A], 0.0)
        # With the lower lip at the teeth the lips are only as far apart as the teeth show.
        aperture += bite * (np.minimum(aperture, _BITE_APERTURE) - aperture)
        aperture = aperture * (1 - closed) + self._rest[n] * closed - 0.1 * pressed
        wanted = {n: aperture, n + 1: values[:, _W], n + 2: values[:, _P]}
        for line, target in wanted.items():
            low[line] = high[line] = target
        stiffness[n] = 1.2 + 30.0 * closed**2 - 0.9 * bite
        stiffness[n + 1], stiffness[n + 2] = 0.35 * (1 - 0.7 * closed), 0.5
        low[n + 3], high[n + 3] = np.where(bite > 0.02, -0.25, -np.inf), 0.10 + 10.0 * (1 - bite) ** 2
        stiffness[n + 3] = 40.0 * bite**2
        low[n + 4] = high[n + 4] = values[:, _U]
        stiffness[n + 4] = 0.35 * (1 - closed)
        prior = np.zeros((len(_CONTROLS), count))
        prior[_CLOSE] = jaw * closed
        # A rounded mouth is a small round hole: corners shut, middle open. Funnel opens the middle, mouthClose takes
        # back what the jaw opens along the whole line.
        rounding = np.clip(values[:, _P] / 8.0, 0, 1)
        prior[_FUNNEL] = 0.40 * rounding * (1 - closed) * (1 - bite)
        prior[_PUCKER] = 0.75 * rounding
        prior[_CLOSE] += 0.6 * jaw * rounding * (1 - closed)
        prior[_PRESS] = 0.14 * pressed
        prior[_ROLL_UPPER] = 0.07 * pressed
        prior[_ROLL_LOWER] = 0.10 * pressed + 0.45 * bite
        prior[_UPPER] = 0.35 * bite
        controls = solve_intervals(self._matrix, rest, low, high, stiffness, prior, self._hold, self._cost)
        out = controls.T @ self._combine
        out[:, INDEX["jawOpen"]] = jaw
        self._tongue(out, values, jaw)
        _lean(out, style)
        return np.clip(out, 0, 1).astype(np.float32)

    def _tongue(self, out: np.ndarray, values: np.ndarray, jaw: np.ndarray) -> None:
        distance, line = self._tip
        reach = distance + line[INDEX["jawOpen"]] * jaw  # how far the ridge is from the tip, mm
        per_unit = -line[INDEX["tongueUp"]]
        tip = np.clip(values[:, _TIP], 0, 1)
        out[:, INDEX["tongueUp"]] = np.clip(tip * reach / max(per_unit, 1e-6), 0, 1)
        out[:, INDEX["tongueOut"]] = np.clip(values[:, _OUT], 0, 1)
        out[:, INDEX["tongueBack"]] = np.clip(values[:, _DORSUM], 0, 1) * (1 - 0.6 * tip)
        out[:, INDEX["tongueDown"]] = np.clip(values[:, _LOW], 0, 1) * (1 - tip)


def _lean(out: np.ndarray, style: Style) -> None:
    """A small, persistent difference of left and right. Seals are safe: nothing that closes the lips is sided."""
    tilt = 0.15 * style.asymmetry
    for name in ("mouthSmile", "mouthStretch", "mouthLowerDown", "mouthUpperUp"):
        out[:, INDEX[name + "Left"]] *= 1 + tilt
        out[:, INDEX[name + "Right"]] *= 1 - tilt
    side = "mouthLeft" if tilt > 0 else "mouthRight"
    out[:, INDEX[side]] = 2.0 * abs(tilt) * out[:, INDEX["jawOpen"]]


def articulate(
    phones: Sequence[Phone],
    speech: np.ndarray | Prosody,
    style: Style,
    articulator: Articulator,
    seed: int,
    fps: float = 60.0,
    num_frames: int | None = None,
) -> np.ndarray:
    """The speech layer: what the mouth does to make these sounds.

    Args:
        phones: of the speech; tidied, and settled by energy where samples are given.
        speech: samples (S,) float32 at 16 kHz, or their Prosody.
        style: how this person moves.
        articulator: of the face that speaks.
        seed: of the small chances; takes differ.
        fps: motion frames per second.
        num_frames: T; by default as `clock.num_motion_frames` says.

    Returns:
        (T, 55) float32 weights in [0, 1].
    """
    fps = check_fps(fps)
    if isinstance(speech, Prosody):
        prosody, phones = speech, list(phones)
    else:
        prosody, phones = analyse(speech), settle_pauses(phones, speech)
    if num_frames is None:
        num_frames = num_motion_frames(round(prosody.seconds * SAMPLE_RATE), fps)
    score = gestures.plan(phones, prosody, style, seed, int(np.ceil(num_frames / fps * gestures.RATE)) + 2)
    return sample(score, articulator, style, fps, num_frames)


def sample(score: Gestures, articulator: Articulator, style: Style, fps: float, num_frames: int) -> np.ndarray:
    """Weights (T, 55) of gestures at a frame rate."""
    times = motion_times(num_frames, fps)
    curves = np.concatenate([score.values, score.seal[:, None], score.teeth[:, None]], axis=1)
    at = resample_at(curves, gestures.RATE, 0.0, times).astype(np.float64)
    return articulator.weights(at[:, : len(QUANTITIES)], at[:, -2], at[:, -1], style)
