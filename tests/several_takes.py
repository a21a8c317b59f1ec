"""A made-up model that gives several takes, for tests of all that is around a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus.clock import num_motion_frames
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.methods.sampling import Sampling
from vultus.motion import WEIGHT_NAMES, Motion
from vultus.runtime.styles import style_vector

BLINKS = [WEIGHT_NAMES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
GAZE = [i for i, name in enumerate(WEIGHT_NAMES) if name.startswith("eyeLook")]
BROWS = [i for i, name in enumerate(WEIGHT_NAMES) if name.startswith("brow")]
JAW = WEIGHT_NAMES.index("jawOpen")


class SeveralTakes:
    """Moves jaw, brows, lids and head by chance: take n by (seed, n) alone."""

    name = "several"
    styles = ("calm", "wild")
    takes_apart = True
    default_sampling = "plain"
    still_shapes: tuple[str, ...] = ()

    def __init__(self, still: tuple[str, ...] = (), turns: bool = True) -> None:
        self.head = load_head()
        self.template, self.still_shapes, self.turns = self.head.template, still, turns
        self.asked: list[dict[str, Any]] = []

    def style(self, wish: Any) -> np.ndarray:
        presets = {"calm": np.ones(1), "wild": np.full(1, 2.0)}
        if wish is None:
            return presets["calm"]
        if isinstance(wish, str):
            return style_vector(wish, self.name, presets, lambda clip: np.full(1, float(np.ptp(clip.weights))))
        return np.full(1, float(np.ptp(wish.weights)))

    def predict(
        self, source: Any, *, style: Any = None, template: Any = None, num_takes: int = 1, seed: int = 0,
        sampling: Any = None, progress: Any = None,
    ) -> list[Motion]:  # fmt: skip
        size = self.style(style)
        chosen = Sampling.parse(sampling or self.default_sampling)
        if chosen.needs_scorer:
            raise VultusError(f"model '{self.name}' has no scorer for sampling '{sampling}'; expected avg-M or plain")
        self.asked.append({"style": style, "num_takes": num_takes, "seed": seed, "sampling": sampling})
        count = num_motion_frames(sum(len(block) for block in source.blocks()), 30.0)
        out = []
        for take in range(num_takes):
            rng = np.random.default_rng([seed, take])
            values = np.zeros((count, len(WEIGHT_NAMES)), np.float32)
            wave = 0.5 + 0.5 * np.sin(np.arange(count) * rng.uniform(0.2, 0.4) + rng.uniform(0, 6))
            for column in (JAW, *BROWS, *BLINKS, *GAZE):
                if WEIGHT_NAMES[column] not in self.still_shapes:
                    values[:, column] = np.minimum(0.3 * size * wave, 1.0)
            turn = np.zeros((count, 3), np.float32)
            turn[:, 1] = 0.1 * wave
            out.append(Motion(values, 30.0, self.head.rig, turn if self.turns else None))
        return out
