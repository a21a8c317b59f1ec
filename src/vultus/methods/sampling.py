"""How takes are drawn from the probabilistic method: one function over strategies that give up variety for lips.

    sample(model, heard, style, Sampling.parse("knn-40-5", top_p=0.9), frames=300, num_takes=4, seed=7)

| text            | what a take is                                                                    |
|-----------------|-----------------------------------------------------------------------------------|
| plain           | one draw                                                                          |
| avg-M           | the mean of M draws, vertex by vertex                                             |
| avg-M-latent    | the mean of their summed code vectors, decoded once                               |
| knn-M-k         | one draw at random of M, averaged with its k - 1 nearest                          |
| medoid-M        | the draw of M that is nearest to the others on average                            |
| sync-M, sync-M-k| the draw of M that a scorer likes best, or the mean of its k best                 |
| coarse-avg-M    | level 1: at each step the likeliest code by the mean of M draws' probabilities    |
| region-LIPS     | lips as the strategy LIPS (avg-M, sync-M ...) has them, the rest from a plain draw |

Temperature, top-k, top-p and guidance go with every one of them. The paper proposes simple strategies that trade
diversity for lips [P]; the one row known of its table averages 100 samples [T]. All other names are ours [OC].

Averages are of motion: for linear rigs (blendshapes, principal components) the mean of vertices, for FLAME's jaw within
the curvature of its rotation. Takes have draws of their own, so diversity stays defined.

Random numbers: one uniform number for each step and level, from a stream that (seed, take, draw) alone names. So a take
does not depend on how many others are drawn beside it, on windows, or on anybody's random state.

Numpy alone: the torch method and the runtime without torch both draw through this. Draws are kept as codes, which are
small, and decoded in windows (methods/draws.py), so an hour fits in memory.

Letters: N takes, M draws for each, T' steps, T frames, D motion dimension, Q levels, C numbers of a code, S style
numbers, L lip vertices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from vultus.errors import VultusError, unknown_name
from vultus.methods.draws import Scorer, choose_draws, mean_latent_motion, mean_motion, noise

MAX_DRAWS, MAX_TAKES = 1000, 1000
BATCH, BATCH_STEPS = 64, 1 << 22
"""Draws made together, at most so many and so many steps of them: memory grows with it, the cost of a step hardly."""

_FORMS = {
    "plain": r"plain",
    "avg": r"avg-(?P<draws>\d+)",
    "avg-latent": r"avg-(?P<draws>\d+)-latent",
    "knn": r"knn-(?P<draws>\d+)-(?P<nearest>\d+)",
    "medoid": r"medoid-(?P<draws>\d+)",
    "sync": r"sync-(?P<draws>\d+)(-(?P<nearest>\d+))?",
    "coarse-avg": r"coarse-avg-(?P<draws>\d+)",
    "region": r"region-(?P<lips>.+)",
}
FORMS = ("plain", "avg-M", "avg-M-latent", "knn-M-k", "medoid-M", "sync-M", "sync-M-k", "coarse-avg-M", "region-LIPS")


@dataclass(frozen=True)
class Sampling:
    """A strategy and its numbers; `parse` makes one from text.

    Attributes:
        strategy: a key of the table above, without its numbers.
        draws: M, draws for each take.
        nearest: k of knn and sync.
        lips: the strategy that gives the lips, where `strategy` is "region".
        temperature: of level 1; 0 takes the likeliest code.
        fine_temperature: of the finer levels.
        top_k: level 1 is drawn from so many likeliest codes; 0 for all.
        top_p: level 1 is drawn from the likeliest codes that hold this share of the probability.
        guidance: w of classifier-free guidance on level 1, logits = without sound + w (with sound - without); 1 is off.
    """

    strategy: str = "plain"
    draws: int = 1
    nearest: int = 1
    lips: str = ""
    temperature: float = 1.0
    fine_temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.strategy not in _FORMS:
            raise unknown_name("sampling strategy", self.strategy, _FORMS)
        for name, low, high in (("temperature", 0.0, 10.0), ("fine_temperature", 0.0, 10.0), ("guidance", 0.0, 20.0)):
            if not low <= getattr(self, name) <= high:
                raise VultusError(f"sampling: {name} is {getattr(self, name):g}; expected {low:g} to {high:g}")
        if not 0.0 < self.top_p <= 1.0:
            raise VultusError(f"sampling: top_p is {self.top_p:g}; expected more than 0 and at most 1")
        if self.top_k < 0:
            raise VultusError(f"sampling: top_k is {self.top_k}; expected 0 (all codes) or more")
        least = 1 if self.strategy in ("plain", "region") else 2
        if not least <= self.draws <= MAX_DRAWS:
            raise VultusError(f"sampling: {self.strategy} of {self.draws} draws; expected {least} to {MAX_DRAWS}")
        if not 1 <= self.nearest <= self.draws:
            raise VultusError(f"sampling: {self.nearest} nearest of {self.draws} draws; expected 1 to {self.draws}")
        if self.greedy and self.strategy != "plain":
            raise VultusError(
                f"sampling: {self.strategy} with temperature 0 makes all draws equal; expected plain or more heat"
            )
        if self.temperature == 0.0 and (self.top_k or self.top_p < 1.0):
            raise VultusError("sampling: top_k and top_p choose nothing at temperature 0; leave them out")
        if self.strategy == "region" and self.inner.strategy == "region":
            raise VultusError("sampling: region within region; expected lips of another strategy, as region-avg-10")

    @classmethod
    def parse(cls, text: str, **options: Any) -> Sampling:
        """The strategy that a text such as "knn-40-5" names; `options` are the other attributes.

        Raises:
            VultusError: no such strategy, an option that there is none of, or a combination that means nothing.
        """
        text = "region-avg-10" if text == "region" else text
        for key in options:
            if key not in cls.__dataclass_fields__ or key in ("strategy", "draws", "nearest", "lips"):
                raise unknown_name("option of sampling", key, OPTIONS)
        for name, form in _FORMS.items():
            match = re.fullmatch(form, text)
            if match:
                found = {key: value for key, value in match.groupdict().items() if value is not None}
                numbers = {key: value if key == "lips" else int(value) for key, value in found.items()}
                return cls(name, **numbers, **options)  # type: ignore[arg-type]
        raise unknown_name("sampling strategy", text, FORMS)

    @classmethod
    def parse_text(cls, text: str) -> Sampling:
        """A strategy with its options in one text, as "avg-10" or "plain,temperature=0.8,top_k=20"; see `parse`."""
        name, *parts = (part.strip() for part in text.split(","))
        options: dict[str, Any] = {}
        for part in parts:
            key, equals, value = part.partition("=")
            if not equals or key in options:
                raise VultusError(f"sampling '{text}': '{part}'; expected options once each, as plain,temperature=0.8")
            try:
                options[key] = int(value) if key == "top_k" else float(value)
            except ValueError:
                raise VultusError(f"sampling '{text}': {key} is {value!r}; expected a number") from None
        return cls.parse(name, **options)

    @property
    def inner(self) -> Sampling:
        """Of "region": the sampling that gives the lips."""
        return Sampling.parse(self.lips, **{name: getattr(self, name) for name in OPTIONS})

    @property
    def greedy(self) -> bool:
        """Whether every draw is the same."""
        return self.temperature == 0.0 and self.fine_temperature == 0.0

    @property
    def needs_scorer(self) -> bool:
        return self.strategy == "sync" or (self.strategy == "region" and self.inner.needs_scorer)


OPTIONS = ("temperature", "fine_temperature", "top_k", "top_p", "guidance")


class Sampled(Protocol):
    """What `sample` asks of a model; `heard` and `style` are whatever its own listening and style encoder give.

    Attributes:
        num_levels: Q.
        stride: motion frames of a step.
        context_steps: steps before and after its own that a frame depends on when it is decoded, at most.
    """

    @property
    def num_levels(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def context_steps(self) -> int: ...

    def num_steps(self, heard: Any) -> int: ...

    def check_sampling(self, sampling: Sampling) -> None:
        """VultusError where the model cannot, such as guidance without training for it."""

    def draw(
        self, heard: Any, style: Any, sampling: Sampling, noise: np.ndarray, coarse: np.ndarray | None = None
    ) -> np.ndarray:
        """Noise (n, T', Q) in [0, 1) -> codes (n, T', Q) int16; level 1 is `coarse` (n, T') where it is given."""

    def likeliest(self, heard: Any, style: Any, sampling: Sampling, noise: np.ndarray) -> np.ndarray:
        """Noise (N, M, T', Q) -> level 1 (N, T'): at each step the likeliest code by the mean over M draws."""

    def latents(self, codes: np.ndarray) -> np.ndarray:
        """(n, T', Q) -> (n, T', C) float32."""

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """(n, T', C) -> motion (n, T' stride, D) float32."""

    def lip_vertices(self, motion: np.ndarray) -> np.ndarray:
        """(..., D) -> (..., L, 3) metres."""

    def mouth_columns(self) -> np.ndarray:
        """(D,) bool: columns that move the lips; VultusError where columns move lips and upper face alike."""


def sample(
    model: Sampled,
    heard: Any,
    style: Any,
    sampling: Sampling,
    *,
    frames: int,
    num_takes: int = 1,
    seed: int = 0,
    scorer: Scorer | None = None,
) -> np.ndarray:
    """Takes of one speech, (N, T, D) float32; take n is the same whatever `num_takes` is.

    Raises:
        VultusError: takes that would all be equal, a scorer missing or of no use, a strategy that the model cannot
            follow.
    """
    check_request(sampling, num_takes, seed, scorer)
    model.check_sampling(sampling)
    if sampling.strategy == "region":
        mouth = model.mouth_columns()
        # Another stream than the lips' draws, so that the two are independent.
        rest = replace(sampling, strategy="plain", lips="")
        takes = sample(model, heard, style, rest, frames=frames, num_takes=num_takes, seed=seed + _OTHER_STREAM)
        lips = sample(model, heard, style, sampling.inner, frames=frames, num_takes=num_takes, seed=seed, scorer=scorer)
        takes[..., mouth] = lips[..., mouth]
        return takes
    if sampling.strategy == "coarse-avg":
        codes = _with_mean_coarse(model, heard, style, sampling, num_takes, seed)
    else:
        places = [(take, draw) for take in range(num_takes) for draw in range(sampling.draws)]
        codes = _draw(model, heard, style, sampling, seed, places)
    motions: list[np.ndarray] = []
    for draws in codes.reshape(num_takes, -1, *codes.shape[1:]):
        if sampling.strategy == "avg-latent":
            motions.append(mean_latent_motion(model, draws, frames))
            continue
        chosen = draws
        if sampling.strategy in ("knn", "medoid", "sync"):
            chosen = draws[choose_draws(model, draws, frames, sampling.strategy, sampling.nearest, scorer)]
        motions.append(mean_motion(model, chosen, frames))
    return np.stack(motions)


def check_request(sampling: Sampling, num_takes: int, seed: int, scorer: Scorer | None) -> None:
    """VultusError where a request cannot be met; all that can be told without the model."""
    if not 1 <= num_takes <= MAX_TAKES:
        raise VultusError(f"sampling: {num_takes} takes asked for; expected 1 to {MAX_TAKES}")
    if seed < 0:
        raise VultusError(f"sampling: seed is {seed}; expected 0 or more")
    if sampling.needs_scorer and scorer is None:
        raise VultusError(f"sampling: {sampling.strategy} needs a scorer of synchrony; none was given")
    if scorer is not None and not sampling.needs_scorer:
        raise VultusError(f"sampling: a scorer was given, which {sampling.strategy} does not use; expected sync-M")
    if num_takes > 1 and sampling.greedy:
        raise VultusError(f"sampling: temperature 0 makes all {num_takes} takes equal; expected one take or more heat")


_OTHER_STREAM = 1 << 40


def _together(steps: int) -> int:
    return max(1, min(BATCH, BATCH_STEPS // steps))


def _draw(
    model: Sampled,
    heard: Any,
    style: Any,
    sampling: Sampling,
    seed: int,
    places: list[tuple[int, int]],
    coarse: np.ndarray | None = None,
) -> np.ndarray:
    """The draws with these numbers (take, draw): codes (n, T', Q). All takes share batches."""
    steps, levels = model.num_steps(heard), model.num_levels
    parts, batch = [], _together(steps)
    for first in range(0, len(places), batch):
        numbers = np.stack([noise(seed, *place, steps, levels) for place in places[first : first + batch]])
        known = None if coarse is None else coarse[first : first + batch]
        parts.append(model.draw(heard, style, sampling, numbers, known))
    return np.concatenate(parts)


def _with_mean_coarse(
    model: Sampled, heard: Any, style: Any, sampling: Sampling, num_takes: int, seed: int
) -> np.ndarray:
    """Codes (N, T', Q) of "coarse-avg". Draw 0 is the take's own, of its fine levels; those averaged follow it."""
    steps, levels = model.num_steps(heard), model.num_levels
    together, coarse = max(1, _together(steps) // sampling.draws), []
    for first in range(0, num_takes, together):
        takes = range(first, min(num_takes, first + together))
        rows = [[noise(seed, take, 1 + draw, steps, levels) for draw in range(sampling.draws)] for take in takes]
        coarse.append(model.likeliest(heard, style, sampling, np.stack([np.stack(row) for row in rows])))
    places = [(take, 0) for take in range(num_takes)]
    return _draw(model, heard, style, sampling, seed, places, np.concatenate(coarse))
