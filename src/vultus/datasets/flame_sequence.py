"""A FaceSequence that is stored as FLAME numbers; what 3DMEAD and the VoxCeleb2 rebuilds hand out.

The model file is the user's own and is opened only when vertices are asked for: motion and speech need none.

Letters: T motion frames, E expression numbers, D = E + 3 (expression, then the jaw's axis-angle), V vertices.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from vultus.datasets.base import Finding, Unit, at_rate
from vultus.errors import VultusError
from vultus.rigs.flame import OBTAIN, FlameModel, FlameRig, load_flame
from vultus.speech import Speech
from vultus.topology import Template

#: Names a model file may have in a data set's folder, and the variable that names one for all data sets.
FLAME_FILES = ("flame.pkl", "flame.npz")
FLAME_VARIABLE = "VULTUS_FLAME"

#: Motion and sound of a clip may differ by this much, seconds: a frame or two and a block of the sound's codec.
MAX_GAP = 0.1

Neutral = Literal["common", "own"]


class FlameSource:
    """Where the user's FLAME file is; read when it is called for the first time.

    Args:
        option: what the caller passed as `flame`: a file, a model, or None.
        root: the data set's folder; flame.pkl or flame.npz there is used where there is no option, then the file that
            VULTUS_FLAME names.

    Raises:
        VultusError: the file that was passed is missing.
    """

    def __init__(self, option: str | Path | FlameModel | None, root: Path) -> None:
        self._model = option if isinstance(option, FlameModel) else None
        self.path: Path | None = None
        if isinstance(option, (str, Path)):
            self.path = Path(option)
            if not self.path.is_file():
                raise VultusError(f"flame: no file {option}; {OBTAIN}")
        elif self._model is None:
            variable = os.environ.get(FLAME_VARIABLE)
            beside = next((root / name for name in FLAME_FILES if (root / name).is_file()), None)
            self.path = beside or (Path(variable) if variable else None)

    def __call__(self) -> FlameModel:
        """The model; VultusError with the way to obtain it where there is none."""
        if self._model is not None:
            return self._model
        if self.path is None:
            raise VultusError(
                f"flame: vertices need the FLAME model and none was found (no flame=FILE, no {FLAME_FILES[0]} in the "
                f"data set's folder, no {FLAME_VARIABLE}); {OBTAIN}"
            )
        return load_flame(self.path)

    def finding(self) -> Finding:
        """One line of a check."""
        try:
            model = self()
        except VultusError as error:
            return Finding(False, "no usable FLAME model, so motion but no vertices", str(error))
        return Finding(True, f"FLAME model {model.digest}: {len(model.neutral)} vertices")


@dataclass(frozen=True, eq=False)
class FlameSequence:
    """One clip (see FaceSequence); metres.

    Attributes:
        read_motion: -> (T, D) expression and jaw at `fps`.
        read_shape: -> the shape numbers of the clip.
        neutral: "common" puts all subjects on the face of zero shape, which makes errors comparable between them;
            "own" uses each clip's shape.
        video: the recording that the clip was cut from, "" where every clip is one of its own.
        labels: what else is known: emotion, intensity.
    """

    name: str
    subject: str
    sentence: str
    split: str
    source: str
    fps: float
    read_speech: Callable[[], Speech]
    read_motion: Callable[[], np.ndarray]
    read_shape: Callable[[], np.ndarray]
    flame: FlameSource
    neutral: Neutral = "common"
    video: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def unit(self) -> Unit:
        """Metres: FLAME's own unit."""
        return "m"

    def speech(self) -> Speech:
        """See FaceSequence."""
        return self.read_speech()

    @property
    def template(self) -> Template:
        """The neutral face that the motion is put on; VultusError where there is no FLAME model."""
        return self.flame().face(None if self.neutral == "common" else self.read_shape())

    def motion(self, *, fps: float | None = None) -> np.ndarray:
        """(T, D) float32 at `fps` or the clip's own rate; a whole fraction of that takes every k-th frame."""
        stored = np.asarray(self.read_motion(), np.float32)
        if stored.ndim != 2 or not len(stored) or not np.isfinite(stored).all():
            raise VultusError(
                f"{self.source}: {self.name} has motion of shape {stored.shape} or numbers that are not finite; "
                "expected finite (frames, numbers); make this clip again"
            )
        return at_rate(stored, self.fps, fps)

    def vertices(self, *, fps: float | None = None) -> np.ndarray:
        """(T, V, 3) float32 metres, without head rotation; VultusError where there is no FLAME model."""
        model = self.flame()
        motion = self.motion(fps=fps)
        return FlameRig(model, motion.shape[1] - 3).vertices(motion, self.template)


def check_neutral(neutral: str) -> Neutral:
    """The option, or VultusError."""
    if neutral == "common" or neutral == "own":
        return neutral  # type: ignore[return-value]
    raise VultusError(f"neutral is {neutral!r}; expected 'common' (zero shape for all) or 'own' (the clip's shape)")
