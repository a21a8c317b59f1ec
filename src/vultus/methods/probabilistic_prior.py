"""The prior of the probabilistic method: which codes follow, given speech and a style (stages B1 and B2).

    B1  `Coarse`        level 1, causal in time; conditioned in the ways A1 to A5
    B2  `FineSequence`  levels 2 .. Q, one after the other, all steps at once; or `FineDepth`, over the levels of a step

methods/probabilistic.py puts them together with the codec, and tells what of this is the paper's and what our choice.

Letters: B batch, T' steps, R reference frames, D motion dimension, W width, H heads, d = W / H, S style numbers,
Q levels, N draws, P kinds of condition drawn side by side (with sound, without), A steps of sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vultus.errors import VultusError, unknown_name
from vultus.methods.probabilistic_codec import CodecConfig, blank, whole_steps
from vultus.methods.sampling import Sampling

REFERENCE_STRIDE = 4
WINDOW = 256
"""Steps that are prepared at once in use; it bounds memory and changes nothing."""

INJECTED, MODULATED, BANDED, FREE, PREFIX = "A1", "A2", "A3", "A4", "A5"
_CHOICES = {"stage": ("codec", "prior"), "fine": ("sequence", "depth")}


@dataclass(frozen=True)
class Config(CodecConfig):
    """Sizes and switches; those of the codec come first (see `CodecConfig`). Defaults: paper scale [OC].

    Attributes:
        stage: "codec" trains part A, "prior" parts B1 and B2.
        codec: run folder of the trained codec, for stage "prior"; the codec's sizes are then taken from there.
        width: of the transformers, W.
        heads: attention heads.
        coarse_layers: of B1.
        fine_layers: of B2.
        dropout: within the transformers.
        memory: steps back that a step of B1 attends to at once, its own included.
        fine_band: steps to both sides that a step of B2 attends to.
        conditioning: how speech enters B1, joined by "+": "A1" added to the token of its own step, with two steps to
            both sides; "A2" scale and shift of every normalisation, with the style; "A3" cross-attention to `band`
            steps around; "A4" cross-attention to all; "A5" (alone) as a prefix of the sequence. B2 has A1 and A2.
        band: steps to both sides of A3.
        fine: B2's form: "sequence" (a second model over all steps) or "depth" (a small transformer over the levels of
            one step, which then are part of B1's history).
        depth_layers: of the depth form.
        style_size: numbers of a style vector, S.
        style_width: of the style encoder.
        style_layers: of the style encoder.
        history_noise: share of past codes replaced by random ones in training.
        history_dropout: share of clips that are trained without any history.
        audio_dropout: share of clips that are trained without sound; guidance needs it.
        style_dropout: share of clips that are trained with the null style.
        coarse_noise: share of coarse codes that are wrong when B2 trains.
        label_smoothing: of the cross-entropies.
        seed: of the initial weights.
    """

    stage: str = "codec"
    codec: str = ""
    width: int = 512
    heads: int = 8
    coarse_layers: int = 8
    fine_layers: int = 6
    dropout: float = 0.1
    memory: int = 64
    fine_band: int = 12
    conditioning: str = "A1+A2+A3"
    band: int = 6
    fine: str = "sequence"
    depth_layers: int = 4
    style_size: int = 128
    style_width: int = 128
    style_layers: int = 4
    history_noise: float = 0.15
    history_dropout: float = 0.1
    audio_dropout: float = 0.1
    style_dropout: float = 0.1
    coarse_noise: float = 0.1
    label_smoothing: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown_name(f"method.{name}", getattr(self, name), choices)
        if self.stage == "prior" and not self.codec:
            raise VultusError("method.codec is empty; expected the run folder of a codec: --set method.codec=RUN")
        ways = self.ways
        for way in ways - {INJECTED, MODULATED, BANDED, FREE, PREFIX}:
            raise unknown_name("method.conditioning", way, (INJECTED, MODULATED, BANDED, FREE, PREFIX))
        if (PREFIX in ways and len(ways) > 1) or {BANDED, FREE} <= ways:
            raise VultusError(
                f"method.conditioning is {self.conditioning}; expected A5 alone, or A1, A2 and one of A3 and A4"
            )
        for name in ("width", "style_width"):
            if getattr(self, name) % (2 * self.heads):
                raise VultusError(
                    f"method.{name} is {getattr(self, name)}; expected a multiple of 2 x {self.heads} heads"
                )
        for name in ("memory", "style_size"):
            if getattr(self, name) < 1:
                raise VultusError(f"method.{name} is {getattr(self, name)}; expected at least 1")
        for name in ("dropout", "history_noise", "history_dropout", "audio_dropout", "style_dropout", "coarse_noise"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise VultusError(f"method.{name} is {getattr(self, name):g}; expected at least 0 and less than 1")

    @property
    def ways(self) -> set[str]:
        """The parts of `conditioning`."""
        return {way.strip() for way in self.conditioning.split("+")}


def choose(logits: Tensor, uniform: Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """`vultus.methods.draws.choose` on the device, so that no step of a GPU waits: (..., K) and (...) -> (...)."""
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


# Transformer ----------------------------------------------------------------------------------------------------------


def _turns(places: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of rotary positions: places (n,) or, by clip, (B, n) -> (n, size / 2) or (B, 1, n, size / 2)."""
    slowness = 10000.0 ** (torch.arange(0, size, 2, device=places.device, dtype=torch.float64) / size)
    angle = places.double()[..., None] / slowness
    angle = angle[:, None] if places.ndim == 2 else angle
    return angle.cos().float(), angle.sin().float()


def _rotate(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """(B, H, n, d) at places whose turns these are."""
    cosine, sine = turns
    one, other = x.float().chunk(2, -1)
    return torch.cat([one * cosine - other * sine, one * sine + other * cosine], -1).to(x.dtype)


class Norm(nn.Module):
    """LayerNorm; with a condition, scale and shift come from it (A2)."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=not condition)
        self.shape = nn.Linear(condition, 2 * width) if condition else None
        if self.shape is not None:
            nn.init.zeros_(self.shape.weight)
            nn.init.zeros_(self.shape.bias)

    def shaped(self, condition: Tensor | None) -> Tensor | None:
        """What `forward` needs of a condition (..., n): (..., 2 W)."""
        found: Tensor | None = None if self.shape is None else self.shape(condition)
        return found

    def forward(self, x: Tensor, shaped: Tensor | None) -> Tensor:
        x = self.norm(x)
        if shaped is None:
            return x
        scale, shift = shaped.chunk(2, -1)
        return x * (1.0 + scale) + shift


class Memory:
    """Keys and values that one layer has seen: a prefix that stays, and the last `limit` steps."""

    def __init__(self, limit: int, prefix: tuple[Tensor, Tensor] | None = None) -> None:
        self.limit, self.prefix, self.seen = limit, prefix, 0
        self.kept: tuple[Tensor, Tensor] | None = None

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """One step's (B, H, 1, d) each -> all that it may attend to. Order within does not matter: keys are turned."""
        if self.kept is None:
            shape = (*keys.shape[:2], self.limit, keys.shape[3])
            self.kept = (keys.new_zeros(shape), values.new_zeros(shape))
        place = self.seen % self.limit
        self.kept[0][:, :, place], self.kept[1][:, :, place] = keys[:, :, 0], values[:, :, 0]
        self.seen += 1
        count = min(self.seen, self.limit)
        keys, values = self.kept[0][:, :, :count], self.kept[1][:, :, :count]
        return _joined(self.prefix, keys, values)


def _joined(prefix: tuple[Tensor, Tensor] | None, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    if prefix is None:
        return keys, values
    before = [part.expand(len(keys), -1, -1, -1) for part in prefix]
    return torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)


class Ready(NamedTuple):
    """What a block needs of the conditions, for many steps at once."""

    shaped: tuple[Tensor | None, ...]  # of its normalisations, (P, T', 2 W) each
    heard: tuple[Tensor, Tensor] | None  # keys and values of the sound, (P, H, A, d)

    def at(self, step: int, heard: slice, repeat: int) -> Ready:
        """One step, for `repeat` draws of each of the P conditions."""
        shaped = tuple(None if s is None else s[:, step : step + 1].repeat_interleave(repeat, 0) for s in self.shaped)
        if self.heard is None:
            return Ready(shaped, None)
        keys, values = (part[:, :, heard].repeat_interleave(repeat, 0) for part in self.heard)
        return Ready(shaped, (keys, values))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def keys_values(self, x: Tensor, turns: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        keys, values = (self._split(part) for part in self.key_value(x).chunk(2, -1))
        return _rotate(keys, turns), values

    def forward(
        self, x: Tensor, turns: tuple[Tensor, Tensor], keys_values: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> Tensor:
        query = _rotate(self._split(self.query(x)), turns)
        keys, values = (part.to(query.dtype) for part in keys_values)
        dropout = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, dropout_p=dropout)
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _blocks(modules: nn.ModuleList) -> list[Block]:
    return cast("list[Block]", list(modules))


class Block(nn.Module):
    """Attention to oneself, perhaps to the sound, and a feed-forward; normalised before each."""

    def __init__(self, width: int, heads: int, dropout: float, condition: int = 0, cross: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList(Norm(width, condition) for _ in range(3 if cross else 2))
        self.own = Attention(width, heads, dropout)
        self.cross = Attention(width, heads, dropout) if cross else None
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.drop = nn.Dropout(dropout)

    def prepare(
        self, condition: Tensor | None = None, heard: Tensor | None = None, turns: tuple[Tensor, Tensor] | None = None
    ) -> Ready:
        """Conditions (P, T', n) and sound (P, A, W) at places with these turns -> what `forward` needs of them."""
        shaped = tuple(norm.shaped(condition) for norm in cast("list[Norm]", list(self.norms)))
        if self.cross is None or heard is None or turns is None:
            return Ready(shaped, None)
        return Ready(shaped, self.cross.keys_values(heard, turns))

    def forward(
        self,
        x: Tensor,
        turns: tuple[Tensor, Tensor],
        ready: Ready,
        mask: Tensor | None = None,
        cross_mask: Tensor | None = None,
        prefix: tuple[Tensor, Tensor] | None = None,
        memory: Memory | None = None,
    ) -> Tensor:
        inner = self.norms[0](x, ready.shaped[0])
        seen = self.own.keys_values(inner, turns)
        seen = _joined(prefix, *seen) if memory is None else memory.add(*seen)
        x = x + self.drop(self.own(inner, turns, seen, mask))
        if self.cross is not None and ready.heard is not None:
            x = x + self.drop(self.cross(self.norms[1](x, ready.shaped[1]), turns, ready.heard, cross_mask))
        out: Tensor = x + self.drop(self.feed(self.norms[-1](x, ready.shaped[-1])))
        return out


def _band(steps: int, back: int, ahead: int, device: torch.device, real: Tensor | None = None) -> Tensor:
    """(T', T') bool, or (B, 1, T', T') where padding is told: which step may see which."""
    place = torch.arange(steps, device=device)
    behind = place[:, None] - place[None]
    allowed = (behind <= back) & (-behind <= ahead)
    if real is None:
        return allowed
    # A padded step sees itself, so that no row is empty.
    return (allowed & real[:, None]).logical_or(behind == 0)[:, None]


class Injection(nn.Module):
    """A1: the sound of a step and of two steps to both sides, added to its token; and the style."""

    def __init__(self, config: Config, sound: bool) -> None:
        super().__init__()
        self.style = nn.Linear(config.style_size, config.width)
        self.here = nn.Linear(config.width, config.width) if sound else None
        self.around = nn.Conv1d(config.width, config.width, 5, padding=2) if sound else None

    def forward(self, heard: Tensor, style: Tensor, mask: Tensor | None) -> Tensor:
        added = self.style(style)[:, None].expand(-1, heard.shape[1], -1)
        if self.here is not None and self.around is not None:
            near = self.around(blank(heard.transpose(1, 2), mask)).transpose(1, 2)
            added = added + self.here(heard) + near
        return added


def _condition(heard: Tensor, style: Tensor) -> Tensor:
    """[sound of the step, style], (P, T', W + S)."""
    return torch.cat([heard, style[:, None].expand(-1, heard.shape[1], -1)], 2)


class StyleEncoder(nn.Module):
    """Standardised reference motion (B, R, D) -> style vector (B, S)."""

    def __init__(self, config: Config, dimension: int) -> None:
        super().__init__()
        wide = config.style_width
        self.enter = nn.Linear(REFERENCE_STRIDE * dimension, wide)
        self.blocks = nn.ModuleList(Block(wide, config.heads, config.dropout) for _ in range(config.style_layers))
        self.norm, self.leave = nn.LayerNorm(wide), nn.Linear(wide, config.style_size)
        self.head_size = wide // config.heads

    def forward(self, motion: Tensor, mask: Tensor | None) -> Tensor:
        frames, pieces = whole_steps(motion, mask, REFERENCE_STRIDE)
        x = self.enter(frames.unflatten(1, (-1, REFERENCE_STRIDE)).flatten(2))
        turns = _turns(torch.arange(x.shape[1], device=x.device), self.head_size)
        seen = None if pieces is None else pieces[:, None, None]
        for block in _blocks(self.blocks):
            x = block(x, turns, block.prepare(), seen)
        weight = torch.ones_like(x[..., :1]) if pieces is None else pieces[..., None].to(x.dtype)
        out: Tensor = self.leave((self.norm(x) * weight).sum(1) / weight.sum(1))
        return out


class Coarse(nn.Module):
    """B1: codes so far, speech and style -> level 1 of the next step."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, ways = config, config.ways
        wide, self.head_size = config.width, config.width // config.heads
        self.history_levels = config.levels if config.fine == "depth" else 1
        self.codes = nn.ModuleList(nn.Embedding(config.codes, wide) for _ in range(self.history_levels))
        self.nothing = nn.Parameter(torch.randn(wide) * 0.02)  # before the first step, and where history is dropped
        self.inject = Injection(config, INJECTED in ways)
        condition = wide + config.style_size if MODULATED in ways else 0
        cross = bool(ways & {BANDED, FREE})
        self.blocks = nn.ModuleList(
            Block(wide, config.heads, config.dropout, condition, cross) for _ in range(config.coarse_layers)
        )
        self.norm, self.head = nn.LayerNorm(wide), nn.Linear(wide, config.codes)
        self.aligned = not ways & {FREE, PREFIX}
        self.banded, self.modulated, self.prefixed = BANDED in ways, MODULATED in ways, PREFIX in ways

    def tokens(self, past: Tensor) -> Tensor:
        """Past codes (..., levels), -1 for none -> (..., W)."""
        known = (past[..., :1] >= 0).to(self.nothing.dtype)
        total = sum(table(past[..., i].clamp_min(0)) for i, table in enumerate(self.codes))
        return total * known + self.nothing * (1.0 - known)

    def prefix(self, heard: Tensor, mask: Tensor | None) -> list[tuple[Tensor, Tensor] | None]:
        """A5: keys and values of the sound in every block; the sound sees all of itself and no motion."""
        if not self.prefixed:
            return [None] * len(self.blocks)
        count = heard.shape[1] if mask is None else mask.sum(1, keepdim=True)  # the sound ends where motion begins
        turns = _turns(torch.arange(heard.shape[1], device=heard.device) - count, self.head_size)
        seen = None if mask is None else mask[:, None, None]
        kept, x = [], heard
        for block in _blocks(self.blocks):
            ready = block.prepare()
            kept.append(block.own.keys_values(block.norms[0](x, None), turns))
            x = block(x, turns, ready, seen)
        return list(kept)

    def forward(self, past: Tensor, heard: Tensor, style: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Codes of the step before (B, T', levels) -> hidden (B, T', W) and logits (B, T', codes)."""
        steps, device = past.shape[1], past.device
        x = self.tokens(past) + self.inject(heard, style, mask)
        turns = _turns(torch.arange(steps, device=device), self.head_size)
        own = _band(steps, self.config.memory - 1, 0, device)
        if self.banded:
            cross: Tensor | None = _band(steps, self.config.band, self.config.band, device, mask)
        else:
            cross = None if mask is None else mask[:, None, None]
        prefix = self.prefix(heard, mask)
        if self.prefixed:
            sound = mask if mask is not None else heard.new_ones(1, steps, dtype=torch.bool)
            seen = sound[:, None].expand(-1, steps, -1)
            own = torch.cat([seen, own.expand(len(seen), -1, -1)], 2)[:, None]
        condition = _condition(heard, style) if self.modulated else None
        for block, before in zip(_blocks(self.blocks), prefix, strict=True):
            x = block(x, turns, block.prepare(condition, heard, turns), own, cross, before)
        hidden = self.norm(x)
        return hidden, self.head(hidden)

    def generate(
        self, heard: Tensor, style: Tensor, sampling: Sampling, noise: Tensor, depth: FineDepth | None,
        coarse: Tensor | None = None, together: int = 0, window: int = WINDOW,
    ) -> Tensor:  # fmt: skip
        """Step by step. heard (P, T', W) and style (P, S): P is 2 with guidance, the second without sound.

        Args:
            noise: (N, T', Q) in [0, 1).
            coarse: (N, T') level 1 where it is known already.
            together: M > 0 returns, for each M draws in a row, the likeliest codes by their mean probability.

        Returns:
            (N, T', levels of history), or (N / M, T', 1).
        """
        config, copies = self.config, len(noise)
        steps, kinds = heard.shape[1], len(heard)
        added = self.inject(heard, style, None)
        codes = torch.full((copies, steps, self.history_levels), -1, device=heard.device)
        means: list[Tensor] = []
        memories: list[Memory] = []
        kept = 0 if self.aligned else config.memory // 4
        window = window if self.aligned else config.memory - kept
        for start in range(0, steps, window):
            stop, first = min(steps, start + window), max(0, start - kept)
            around = config.band if self.banded else 0
            low, high = max(0, first - around), min(steps, stop + around)
            origin = 0 if self.aligned else first
            turns = _turns(torch.arange(low - origin, high - origin, device=heard.device), self.head_size)
            condition = _condition(heard[:, first:stop], style) if self.modulated else None
            ready = [block.prepare(condition, heard[:, low:high], turns) for block in _blocks(self.blocks)]
            if not memories or not self.aligned:
                prefix = self.prefix(heard[:, first:stop], None)
                prefix = [p if p is None else tuple(x.repeat_interleave(copies, 0) for x in p) for p in prefix]  # type: ignore
                memories = [Memory(config.memory, before) for before in prefix]
            for step in range(first, stop):
                past = codes[:, step - 1 : step] if step else codes[:, :1]
                x = self.tokens(past).repeat(kinds, 1, 1) + added[:, step : step + 1].repeat_interleave(copies, 0)
                own = (turns[0][step - low : step - low + 1], turns[1][step - low : step - low + 1])
                near = slice(max(0, step - around - low), step + around + 1 - low) if self.banded else slice(None)
                for block, conditions, memory in zip(_blocks(self.blocks), ready, memories, strict=True):
                    x = block(x, own, conditions.at(step - first, near, copies), memory=memory)
                if step < start:
                    continue
                hidden = self.norm(x)[:, 0]
                logits = self.head(hidden).float()
                if kinds == 2:
                    with_sound, without = logits.chunk(2)
                    logits = without + sampling.guidance * (with_sound - without)
                if together:
                    mean = (
                        torch.softmax(logits / max(sampling.temperature, 1e-3), -1).unflatten(0, (-1, together)).mean(1)
                    )
                    means.append(mean.argmax(-1))
                drawn = choose(logits, noise[:, step, 0], sampling.temperature, sampling.top_k, sampling.top_p)
                codes[:, step, 0] = drawn if coarse is None else coarse[:, step]
                if depth is not None:
                    codes[:, step] = depth.generate(hidden[:copies], codes[:, step, 0], sampling, noise[:, step])
        return torch.stack(means, 1)[..., None] if together else codes


class FineSequence(nn.Module):
    """B2 as a second sequence model: levels below q of all steps -> level q of all steps."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, wide = config, config.width
        self.codes = nn.ModuleList(nn.Embedding(config.codes, wide) for _ in range(config.levels - 1))
        self.level = nn.Embedding(config.levels, wide)
        self.inject = Injection(config, sound=True)
        condition = wide + config.style_size
        self.blocks = nn.ModuleList(
            Block(wide, config.heads, config.dropout, condition) for _ in range(config.fine_layers)
        )
        self.norm = nn.LayerNorm(wide)
        self.heads = nn.Parameter(torch.randn(config.levels - 1, wide, config.codes) * wide**-0.5)

    def forward(self, codes: Tensor, level: Tensor, heard: Tensor, style: Tensor, mask: Tensor | None) -> Tensor:
        """Codes (B, T', Q), of which the first `level` (B,) are read -> logits (B, T', codes) of the next level."""
        x = self.inject(heard, style, mask) + self.level(level)[:, None]
        for number, table in enumerate(self.codes):
            x = x + table(codes[..., number].clamp_min(0)) * (number < level)[:, None, None]
        steps, band = codes.shape[1], self.config.fine_band
        turns = _turns(torch.arange(steps, device=x.device), self.config.width // self.config.heads)
        seen, condition = _band(steps, band, band, x.device, mask), _condition(heard, style)
        for block in _blocks(self.blocks):
            x = block(x, turns, block.prepare(condition), seen)
        return torch.einsum("btw,bwk->btk", self.norm(x), self.heads[level - 1])

    def generate(
        self, coarse: Tensor, heard: Tensor, style: Tensor, sampling: Sampling, noise: Tensor, window: int = WINDOW
    ) -> Tensor:
        """Level 1 (N, T', 1) -> all levels (N, T', Q), in windows that overlap by what a step depends on."""
        count, steps, levels = len(coarse), coarse.shape[1], self.config.levels
        codes = torch.cat([coarse, coarse.new_zeros(count, steps, levels - 1)], 2)
        around = self.config.fine_layers * self.config.fine_band + 2  # two more of the injection
        for level in range(1, levels):
            number = torch.full((count,), level, device=codes.device)
            drawn = []
            for start in range(0, steps, window):
                stop = min(steps, start + window)
                low, high = max(0, start - around), min(steps, stop + around)
                part = heard[:, low:high].expand(count, -1, -1)
                logits = self(codes[:, low:high], number, part, style.expand(count, -1), None)
                logits = logits[:, start - low : stop - low]
                drawn.append(choose(logits, noise[:, start:stop, level], sampling.fine_temperature))
            codes[..., level] = torch.cat(drawn, 1)
        return codes


class FineDepth(nn.Module):
    """B2 as a depth transformer: B1's hidden state and the levels so far of one step -> its next level."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, wide = config, config.width
        self.enter = nn.Linear(wide, wide)
        self.codes = nn.ModuleList(nn.Embedding(config.codes, wide) for _ in range(config.levels - 1))
        self.blocks = nn.ModuleList(Block(wide, config.heads, config.dropout) for _ in range(config.depth_layers))
        self.norm = nn.LayerNorm(wide)
        self.heads = nn.Parameter(torch.randn(config.levels - 1, wide, config.codes) * wide**-0.5)

    def forward(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Hidden (n, W) and levels 1 .. i (n, i) -> logits of levels 2 .. i + 1, (n, i, codes)."""
        known = codes.shape[1]
        x = torch.stack([table(codes[:, i].clamp_min(0)) for i, table in enumerate(self.codes[:known])], 1)
        x = x + self.enter(hidden)[:, None]
        turns = _turns(torch.arange(known, device=x.device), self.config.width // self.config.heads)
        seen = _band(known, known, 0, x.device)
        for block in _blocks(self.blocks):
            x = block(x, turns, block.prepare(), seen)
        return torch.einsum("niw,iwk->nik", self.norm(x), self.heads[:known])

    def generate(self, hidden: Tensor, coarse: Tensor, sampling: Sampling, noise: Tensor) -> Tensor:
        """Hidden (N, W), level 1 (N,) and noise (N, Q) of one step -> its codes (N, Q)."""
        codes = coarse[:, None]
        for level in range(1, self.config.levels):
            logits = self(hidden, codes)[:, -1].float()
            codes = torch.cat([codes, choose(logits, noise[:, level], sampling.fine_temperature)[:, None]], 1)
        return codes
