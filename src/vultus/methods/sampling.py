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
does not depend on how many others are drawn beside it, on windows, or on torch's own random state.

Letters: N takes, M draws for each, T' steps, T frames, D motion dimension, Q levels, C numbers of a code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vultus.errors import VultusError, unknown_name

MAX_DRAWS, MAX_TAKES = 1000, 1000
BATCH = 64
"""Draws made together: memory grows with it, and the cost of a step hardly."""

Scorer = Callable[[np.ndarray], float]
"""Motion (T, D) -> a score, higher is better. For benchmarks never the network that scores the takes afterwards."""

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
    """What `sample` asks of a model; `heard` is whatever its own listening gives."""

    def num_steps(self, heard: Any) -> int: ...
    @property
    def num_levels(self) -> int: ...

    def check_sampling(self, sampling: Sampling) -> None:
        """VultusError where the model cannot, such as guidance without training for it."""

    def draw(
        self, heard: Any, style: Tensor, sampling: Sampling, noise: Tensor, coarse: Tensor | None = None
    ) -> Tensor:
        """Noise (n, T', Q) in [0, 1) -> codes (n, T', Q); level 1 is `coarse` (n, T') where it is given."""

    def likeliest(self, heard: Any, style: Tensor, sampling: Sampling, noise: Tensor) -> Tensor:
        """Noise (N, M, T', Q) -> level 1 (N, T'): at each step the likeliest code by the mean over M draws."""

    def latents(self, codes: Tensor) -> Tensor:
        """(n, T', Q) -> (n, T', C)."""

    def decode(self, latents: Tensor, frames: int) -> Tensor:
        """(n, T', C) -> motion (n, T, D)."""

    def lip_vertices(self, motion: Tensor) -> Tensor:
        """(..., D) -> (..., L, 3) metres."""

    def mouth_columns(self) -> Tensor:
        """(D,) bool: columns that move the lips; VultusError where columns move lips and upper face alike."""


@torch.no_grad()
def sample(
    model: Sampled,
    heard: Any,
    style: Tensor,
    sampling: Sampling,
    *,
    frames: int,
    num_takes: int = 1,
    seed: int = 0,
    scorer: Scorer | None = None,
) -> Tensor:
    """Takes of one speech, (N, T, D), in the style (1, S); take n is the same whatever `num_takes` is.

    Raises:
        VultusError: takes that would all be equal, a scorer missing or of no use, a strategy that the model cannot
            follow.
    """
    check_request(sampling, num_takes, seed, scorer)
    model.check_sampling(sampling)
    steps, levels = model.num_steps(heard), model.num_levels
    if sampling.strategy in ("plain", "coarse-avg"):
        takes, together = [], max(1, BATCH // sampling.draws)
        for first in range(0, num_takes, BATCH):
            numbers = range(first, min(num_takes, first + BATCH))
            noise = torch.stack([_noise(seed, take, 0, steps, levels) for take in numbers])
            coarse = None
            if sampling.strategy == "coarse-avg":
                # Number 0 is the take's own draw, of its fine levels; those that are averaged follow it.
                rows = [
                    torch.stack([_noise(seed, take, 1 + draw, steps, levels) for draw in range(sampling.draws)])
                    for take in numbers
                ]
                parts = [rows[i : i + together] for i in range(0, len(rows), together)]
                coarse = torch.cat([model.likeliest(heard, style, sampling, torch.stack(part)) for part in parts])
            codes = model.draw(heard, style, sampling, noise, coarse)
            takes.append(model.decode(model.latents(codes), frames))
        return torch.cat(takes)
    if sampling.strategy == "region":
        lips = sample(model, heard, style, sampling.inner, frames=frames, num_takes=num_takes, seed=seed, scorer=scorer)
        # Another stream than the lips' draws, so that the two are independent.
        rest = replace(sampling, strategy="plain", lips="")
        upper = sample(model, heard, style, rest, frames=frames, num_takes=num_takes, seed=seed + _OTHER_STREAM)
        return torch.where(model.mouth_columns(), lips, upper)
    # Draws of all takes share batches: four takes cost little more than one.
    places = [(take, draw) for take in range(num_takes) for draw in range(sampling.draws)]
    kept: list[Tensor] = []
    for first in range(0, len(places), BATCH):
        noise = torch.stack([_noise(seed, *place, steps, levels) for place in places[first : first + BATCH]])
        latents = model.latents(model.draw(heard, style, sampling, noise))
        kept.append(latents if sampling.strategy == "avg-latent" else model.decode(latents, frames))
    every = torch.cat(kept)
    every = every.reshape(num_takes, sampling.draws, *every.shape[1:])
    if sampling.strategy == "avg-latent":
        return model.decode(every.mean(1), frames)
    return torch.stack([_combine(model, draws, sampling, scorer) for draws in every])


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


def choose(logits: Tensor, uniform: Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Codes (...) from logits (..., K) and one number in [0, 1) for each, by inverting the cumulated probabilities."""
    if temperature == 0.0:
        return logits.argmax(-1)
    chance = torch.softmax(logits.double() / temperature, -1)
    if 0 < top_k < chance.shape[-1]:
        least = chance.topk(top_k, -1).values[..., -1:]
        chance = chance.masked_fill(chance < least, 0.0)
    if top_p < 1.0:
        falling, order = chance.sort(dim=-1, descending=True, stable=True)
        before = falling.cumsum(-1) - falling
        falling = falling.masked_fill(before >= top_p * falling.sum(-1, keepdim=True), 0.0)
        chance = torch.zeros_like(chance).scatter(-1, order, falling)
    cumulated = chance.cumsum(-1)
    target = uniform.double()[..., None] * cumulated[..., -1:]
    return torch.searchsorted(cumulated, target, right=True)[..., 0].clamp_max(chance.shape[-1] - 1)


def lip_distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean over frames of the largest distance of a lip vertex, metres: (..., T, L, 3) twice -> (...)."""
    return (one - other).norm(dim=-1).amax(-1).mean(-1)


_OTHER_STREAM = 1 << 40


def _noise(seed: int, take: int, draw: int, steps: int, levels: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng([seed, take, draw]).random((steps, levels)))


def _combine(model: Sampled, draws: Tensor, sampling: Sampling, scorer: Scorer | None) -> Tensor:
    """M draws (M, T, D) -> one take (T, D)."""
    if sampling.strategy == "avg":
        return draws.mean(0)
    if sampling.strategy == "sync":
        assert scorer is not None
        scores = torch.tensor([float(scorer(motion)) for motion in draws.float().cpu().numpy()])
        if not bool(torch.isfinite(scores).all()):
            raise VultusError("sampling: the scorer gave a score that is no number; expected one for every draw")
        best = scores.argsort(descending=True, stable=True)[: sampling.nearest]
        return draws[best.to(draws.device)].mean(0)
    lips = model.lip_vertices(draws)
    if not lips.shape[-2]:
        raise VultusError(f"sampling: {sampling.strategy} compares lips and the model knows none; expected avg-M")
    if sampling.strategy == "knn":  # draws are exchangeable: the first is one at random
        distance = torch.stack([lip_distance(lips[0], other) for other in lips])
        distance[0] = -1.0
        return draws[distance.argsort(stable=True)[: sampling.nearest]].mean(0)
    distances = torch.stack([torch.stack([lip_distance(one, other) for other in lips]) for one in lips])
    return draws[distances.mean(1).argmin()]
