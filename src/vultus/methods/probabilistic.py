"""Yang et al., "Probabilistic Speech-Driven 3D Facial Motion Synthesis: New Benchmarks, Methods, and Applications",
CVPR 2024.

The mapping from speech to a face is one-to-many, so the model is a distribution. Three parts, trained one after the
other by the same loop (recipe key `method.stage`, then `method.codec` naming the first run):

    stage "codec"  A   motion <-> Q residual codes a step: methods/probabilistic_codec.py
    stage "prior"  B1  level 1, step after step along time: a causal transformer (coarse)
                   B2  levels 2 .. Q, one level after the other, all steps at once (fine)
                   both conditioned on speech and on a style vector from a clip of the speaker (an encoder of its own)

How takes are drawn from it: methods/sampling.py.

What is whose. The paper's text was not to be had; [P] is its abstract and a figure's caption, [T] a note by readers of
it, [L] a summary of it, [OC] our choice. A residual codebook, two autoregressive stages from coarse to fine, conditions
on speech and a reference clip, sampling that trades variety for lips: [P]. That the conditioning decides synchrony:
[L]; which one they chose is unknown, so five are offered (A1 to A5, `Config.conditioning`). Every size, loss, rate and
dropout: [OC]. Two of our choices differ from the common ones:

- Each step sees the last `memory` steps and no more, in training as in use. A speech of any length then runs through
  windows whose cutting changes nothing, in memory that does not grow (A4 and A5 see all the sound at once and cannot;
  they run in windows of `memory` steps, of which a quarter is kept as forced history).
- The reference clip is read in pieces of 4 frames, a quarter of the cost.

Letters: B batch, T motion frames, T' steps, D motion dimension, K of its columns that the rig moves, R reference
frames, C feature channels, W width, H heads, d = W / H, S style numbers, Q levels, N draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vultus import clock
from vultus.errors import VultusError
from vultus.features.base import at_motion_frames
from vultus.methods.base import Batch, Dimensions
from vultus.methods.draws import Scorer
from vultus.methods.modules import clip_mean, evaluating
from vultus.methods.probabilistic_codec import (
    STATISTICS_CLIPS,
    Codec,
    CodecConfig,
    blank,
    load_codec,
    read_codec_run,
    whole_steps,
)
from vultus.methods.probabilistic_prior import Coarse, Config, FineDepth, FineSequence, StyleEncoder
from vultus.methods.sampling import Sampling, check_request, sample

if TYPE_CHECKING:
    from vultus.features.base import Encoder
    from vultus.motion import Motion
    from vultus.rigs.base import Rig
    from vultus.speech import Speech
    from vultus.topology import Template
    from vultus.train.data import TrainingSet

__all__ = ["Config", "Probabilistic", "complete"]

MIN_REFERENCE_FRAMES = 12


def complete(table: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's [method] table with the codec's sizes from the run that `codec` names, where it does not give them.

    Raises:
        VultusError: no such run, or the recipe wants another size than the codec has.
    """
    names = {item.name for item in fields(CodecConfig)}
    if not isinstance(table.get("codec"), str) or not table["codec"] or names <= table.keys():
        return dict(table)
    trained = read_codec_run(Path(table["codec"]))["method"]
    for name in names & table.keys():
        if table[name] != trained[name]:
            raise VultusError(
                f"method.{name} is {table[name]!r}; the codec in {table['codec']} has {trained[name]!r}; leave it out"
            )
    return {**table, **{name: trained[name] for name in names}}


class Hearing(nn.Module):
    """Speech features on the motion frames (B, T, C) -> one vector a step (B, T', W)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Config, channels: int) -> None:
        super().__init__()
        self.stride = config.stride
        self.enter = nn.Linear(config.stride * channels, config.width)
        self.near = nn.Conv1d(config.width, config.width, 5, padding=2)
        self.norm = nn.LayerNorm(config.width)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        frames, steps = whole_steps((features - self.mean) / self.deviation, mask, self.stride)
        x = self.enter(frames.unflatten(1, (-1, self.stride)).flatten(2))
        near = self.near(blank(F.silu(x).transpose(1, 2), steps)).transpose(1, 2)
        out: Tensor = self.norm(x + near)
        return out

    def prepare(self, data: TrainingSet) -> None:
        """Mean and deviation of each channel over the training data; nothing where an encoder is trained along."""
        if data.cache is None:
            return
        places = np.linspace(0, len(data.entries) - 1, min(len(data.entries), STATISTICS_CLIPS)).round().astype(int)
        entries = [data.entries[place] for place in sorted(set(places.tolist()))]
        rows = [np.asarray(data.cache.read(entry.key, entry.plan)[::4], np.float32) for entry in entries]
        values = torch.from_numpy(np.concatenate(rows)).to(self.mean.device)
        self.mean.copy_(values.mean(0))
        self.deviation.copy_(values.std(0).clamp_min(1e-3 * float(values.std()) + 1e-6))


class Probabilistic(nn.Module):
    """The method; what it learns depends on `config.stage`.

    Args:
        config: sizes and switches.
        dims: sizes and units of the data.
        rig: (K, 3V) metres, what a unit of each motion column does to the vertices; without it motion is offsets.
        gaps: (M, 3V) linear functionals of the offsets, mm per metre, for the codec's term "lips/gap".
    """

    def __init__(
        self, config: Config, dims: Dimensions, *, rig: np.ndarray | None = None, gaps: np.ndarray | None = None
    ) -> None:
        super().__init__()
        self.config, self.dims = config, dims
        learns_codec = config.stage == "codec"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.codec = Codec(config, dims, rig, gaps, learn=learns_codec)
            if not learns_codec:
                self.codec.requires_grad_(False)
                self.hearing = Hearing(config, dims.feature_dimension)
                self.style_encoder = StyleEncoder(config, self.codec.dimension)
                self.no_sound = nn.Parameter(torch.randn(config.width) * 0.02)
                self.no_style = nn.Parameter(torch.randn(config.style_size) * 0.02)
                self.coarse = Coarse(config)
                self.fine: FineSequence | FineDepth | None = None
                if config.levels > 1:
                    self.fine = FineDepth(config) if config.fine == "depth" else FineSequence(config)
        self.train()

    def train(self, mode: bool = True) -> Probabilistic:
        """A trained codec keeps still while the prior learns."""
        super().train(mode)
        self.codec.train(mode and self.config.stage == "codec")
        return self

    def before_training(self, data: TrainingSet) -> None:
        """Statistics of the training data; in stage "prior" also the trained codec."""
        if self.config.stage == "codec":
            self.codec.prepare(data)
        else:
            load_codec(self.codec, Path(self.config.codec), data)
            self.hearing.prepare(data)

    # Training

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Stage "codec": the terms of `Codec.loss`. Stage "prior": "prior/coarse" and "prior/fine", cross-entropies in
        nats a code, each a mean over clips."""
        if self.config.stage == "codec":
            return self.codec.loss(batch)
        config = self.config
        codes, mask = self.codec.encode(batch.motion, batch.mask)
        heard = self.hearing(batch.features, batch.mask)
        style = self._style(batch.reference, batch.reference_mask)
        clips = len(codes)
        if self.training:
            heard = torch.where(self._some(clips, config.audio_dropout)[:, None, None], self.no_sound, heard)
            style = torch.where(self._some(clips, config.style_dropout)[:, None], self.no_style, style)
        past = F.pad(codes[:, :-1, : self.coarse.history_levels], (0, 0, 1, 0), value=-1)
        if self.training:
            past = self._wrong(past, config.history_noise)
            past = past.masked_fill(self._some(clips, config.history_dropout)[:, None, None], -1)
        hidden, logits = self.coarse(past, heard, style, mask)
        terms = {"prior/coarse": clip_mean(self._entropy(logits, codes[..., 0]), mask)}
        if isinstance(self.fine, FineSequence):
            level = 1 + torch.arange(clips, device=codes.device) % (config.levels - 1)
            if self.training:
                level = torch.randint(1, config.levels, (clips,), device=codes.device)
            known = codes
            if self.training:
                known = torch.cat([self._wrong(codes[..., :1], config.coarse_noise), codes[..., 1:]], 2)
            logits = self.fine(known, level, heard, style, mask)
            wanted = torch.gather(codes, 2, level[:, None, None].expand(-1, codes.shape[1], 1))[..., 0]
            terms["prior/fine"] = clip_mean(self._entropy(logits, wanted), mask)
        elif isinstance(self.fine, FineDepth):
            logits = self.fine(hidden.flatten(0, 1), codes[..., :-1].flatten(0, 1))
            every = self._entropy(logits, codes[..., 1:].flatten(0, 1)).mean(1)
            terms["prior/fine"] = clip_mean(every.unflatten(0, codes.shape[:2]), mask)
        return terms

    def loss_weights(self) -> dict[str, float]:
        """The default weight of every term."""
        if self.config.stage == "codec":
            return self.codec.loss_weights()
        return {"prior/coarse": 1.0, "prior/fine": 1.0} if self.config.levels > 1 else {"prior/coarse": 1.0}

    def _style(self, reference: Tensor, mask: Tensor | None) -> Tensor:
        with torch.autocast(reference.device.type, enabled=False):
            motion = self.codec.standardise(self.codec.coordinates(reference))
        style: Tensor = self.style_encoder(motion, mask)
        return style

    def _some(self, clips: int, share: float) -> Tensor:
        return torch.rand(clips, device=self.no_sound.device) < share

    def _wrong(self, codes: Tensor, share: float) -> Tensor:
        """Replaces a share of real codes by any; steps without a code keep none."""
        other = torch.randint(0, self.config.codes, codes.shape, device=codes.device)
        chosen = (torch.rand(codes.shape[:2], device=codes.device) < share)[..., None] & (codes >= 0)
        return torch.where(chosen, other, codes)

    def _entropy(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Cross-entropy of each code, (..., codes) and (...) -> (...); smoothed in training only."""
        smoothing = self.config.label_smoothing if self.training else 0.0
        found = F.cross_entropy(
            logits.float().flatten(0, -2), codes.clamp_min(0).flatten(), label_smoothing=smoothing, reduction="none"
        )
        return found.view(codes.shape)

    # What sampling asks for (`sampling.Sampled`)

    @property
    def num_levels(self) -> int:
        return self.config.levels

    @property
    def stride(self) -> int:
        return self.config.stride

    @property
    def context_steps(self) -> int:
        return self.codec.decoder.context_steps

    def num_steps(self, heard: Tensor) -> int:
        return heard.shape[1]

    def check_sampling(self, sampling: Sampling) -> None:
        """VultusError for guidance without training for it, and for "region" where columns move all of the face."""
        if sampling.guidance != 1.0 and self.config.audio_dropout == 0.0:
            raise VultusError("sampling: guidance needs a model that was trained with method.audio_dropout above 0")
        if sampling.strategy == "region":
            self.mouth_columns()

    @torch.no_grad()
    def draw(
        self, heard: Tensor, style: Tensor, sampling: Sampling, noise: np.ndarray, coarse: np.ndarray | None = None
    ) -> np.ndarray:
        """Noise (N, T', Q) -> codes (N, T', Q) int16."""
        numbers = torch.from_numpy(noise).to(heard.device)
        known = None if coarse is None else torch.from_numpy(coarse).to(heard.device).long()
        depth = self.fine if isinstance(self.fine, FineDepth) else None
        if known is not None and depth is None:
            codes = known[..., None]
        else:
            codes = self.coarse.generate(*self._kinds(heard, style, sampling), sampling, numbers, depth, known)
        if isinstance(self.fine, FineSequence):
            codes = self.fine.generate(codes, heard, style, sampling, numbers)
        return codes.to(torch.int16).cpu().numpy()

    @torch.no_grad()
    def likeliest(self, heard: Tensor, style: Tensor, sampling: Sampling, noise: np.ndarray) -> np.ndarray:
        """Noise (N, M, T', Q) -> level 1 (N, T') int16."""
        kinds, numbers = self._kinds(heard, style, sampling), torch.from_numpy(noise).flatten(0, 1).to(heard.device)
        depth = self.fine if isinstance(self.fine, FineDepth) else None
        codes = self.coarse.generate(*kinds, sampling, numbers, depth, together=noise.shape[1])
        return codes[..., 0].to(torch.int16).cpu().numpy()

    def _kinds(self, heard: Tensor, style: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
        if sampling.guidance == 1.0:
            return heard, style
        return torch.cat([heard, self.no_sound.expand_as(heard)]), style.expand(2, -1)

    @torch.no_grad()
    def latents(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, T', Q) -> the sums of their vectors (N, T', C)."""
        found = self.codec.latents(torch.from_numpy(codes).to(self.no_sound.device).long())
        return found.float().cpu().numpy()

    @torch.no_grad()
    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Latents (N, T', C) -> motion (N, T' stride, D)."""
        motion = self.codec.decode(torch.from_numpy(latents).to(self.no_sound.device), latents.shape[1] * self.stride)
        return motion.float().cpu().numpy()

    def lip_vertices(self, motion: np.ndarray) -> np.ndarray:
        """Motion (..., D) -> offsets of the lips (..., L, 3), metres."""
        return self.codec.lip_vertices(torch.from_numpy(motion).to(self.no_sound.device)).cpu().numpy()

    def mouth_columns(self) -> np.ndarray:
        """(D,) bool; see `Codec.mouth_columns`."""
        return self.codec.mouth_columns().cpu().numpy()

    # After training

    @torch.no_grad()
    def style_vector(self, reference: np.ndarray) -> np.ndarray:
        """A style to keep: motion (R, D), or (R, K) without head rotation, -> S numbers, float32.

        Raises:
            VultusError: fewer than 12 frames, another number of columns, or motion that is not finite.
        """
        self._needs_prior()
        motion = np.asarray(reference, np.float32)
        wide = self.codec.dimension if self.codec.rig is not None else self.codec.basis.shape[1]
        if motion.ndim == 2 and motion.shape[1] == wide - 3 and self.dims.head_rotation:
            still = np.broadcast_to(self.codec.mean[-3:].cpu().numpy(), (len(motion), 3))
            motion = np.concatenate([motion, still], 1)
        if motion.ndim != 2 or motion.shape[1] != wide or not np.isfinite(motion).all():
            raise VultusError(f"the reference motion has shape {motion.shape}; expected finite (frames, {wide})")
        if len(motion) < MIN_REFERENCE_FRAMES:
            raise VultusError(
                f"the reference motion has {len(motion)} frames; expected at least {MIN_REFERENCE_FRAMES}"
            )
        with evaluating(self):
            vector = self._style(torch.from_numpy(motion)[None].to(self.no_sound.device), None)[0]
        found: np.ndarray = vector.cpu().numpy()
        return found

    @torch.no_grad()
    def perform(
        self,
        features: np.ndarray,
        *,
        style: np.ndarray | None = None,
        num_takes: int = 1,
        seed: int = 0,
        sampling: Sampling | str = "plain",
        scorer: Scorer | None = None,
    ) -> np.ndarray:
        """Takes (N, T, D) at the model's own frame rate; D includes head rotation where the model has it.

        Args:
            features: (T, C), on the motion frames of the model's own rate.
            style: (S,) from `style_vector`, or a mean of several; None is the null style.
            sampling: see `vultus.methods.sampling`.
            scorer: for "sync" strategies: motion (T, D) -> score.
        """
        self._needs_prior()
        sampling = Sampling.parse_text(sampling) if isinstance(sampling, str) else sampling
        check_request(sampling, num_takes, seed, scorer)
        device, vector = self.no_sound.device, self.no_style.detach()
        if style is not None:
            if np.shape(style) != (self.config.style_size,):
                raise VultusError(
                    f"style: shape {np.shape(style)}; expected {self.config.style_size} numbers, made by style_vector"
                )
            vector = torch.from_numpy(np.asarray(style, np.float32)).to(device)
        with evaluating(self):
            heard = self.hearing(torch.from_numpy(np.asarray(features, np.float32))[None].to(device), None)
            takes = sample(
                self, heard, vector[None], sampling,
                frames=len(features), num_takes=num_takes, seed=seed, scorer=scorer,
            )  # fmt: skip
        return takes

    def predict(
        self,
        speech: Speech,
        *,
        encoder: Encoder,
        template: Template,
        fps: float,
        style: np.ndarray | None = None,
        num_takes: int = 1,
        seed: int = 0,
        sampling: Sampling | str = "plain",
        scorer: Scorer | None = None,
        rig: Rig | None = None,
    ) -> list[Motion]:
        """Takes of one speech, without head rotation (see `perform` for it), resampled to `fps`.

        Args:
            rig: what maps the motion to vertices; by default the linear rig that the model was trained with.

        Raises:
            VultusError: a style of the wrong size, another mesh, a sampling that makes no sense.
        """
        from vultus.motion import Motion
        from vultus.rigs.embedding import EmbeddingRig

        if template.vertices.shape != (self.dims.num_vertices, 3):
            raise VultusError(
                f"the template has {len(template.vertices)} vertices; this model is for {self.dims.num_vertices}"
            )
        own = float(self.codec.fps)
        features = at_motion_frames(encoder, speech, own)
        takes = self.perform(features, style=style, num_takes=num_takes, seed=seed, sampling=sampling, scorer=scorer)
        frames = clock.num_motion_frames(len(speech.samples), fps)
        moves = rig or EmbeddingRig(self.codec.matrix.float().cpu().numpy())
        kept = takes[..., : self.codec.moved]
        return [Motion(clock.resample_motion(take, own, fps, frames), fps, moves) for take in kept]

    def _needs_prior(self) -> None:
        if self.config.stage != "prior":
            raise VultusError("this run holds a codec alone; train a prior on it: --set method.codec=THIS_RUN")
