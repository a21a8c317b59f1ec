"""The codec of the probabilistic method: motion <-> residual codes (stage A of methods/probabilistic.py).

    motion (T, D) -> 1-D convolutions, one in `stride` frames -> Q codes, each of what the ones before it left over
                  -> convolutions back -> motion

What is known and who says so: the paper (Yang et al., "Probabilistic Speech-Driven 3D Facial Motion Synthesis", CVPR
2024) has a residual vector-quantised codebook of 3D facial motion [P]. Stride, sizes, losses and training are not to
be had; what stands here is our choice [OC], begun from the defaults of MoMask's motion tokenizer [F] and changed for
faces: lips close for two or three frames, so a stride of 4 is coarse.

Vertices enter the loss through a linear rig B: the mean squared displacement of a frame is e^T (B B^T / V) e, so no
vertex is made in training. For the same reason the terms over vertices are lengths (root mean square over the vertices
of a frame) where a mean of absolute coordinates would need every vertex [OC].

Letters: B batch, T motion frames, T' = ceil(T / stride) steps, D motion dimension, K of its columns that the rig moves
(all but head rotation), V vertices, L lip vertices, Q levels, C numbers of a code, M lip gap functionals.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from loguru import logger
from torch import Tensor, nn
from torch.nn import functional as F
from vector_quantize_pytorch import VectorQuantize

from vultus.errors import VultusError
from vultus.methods.base import Batch, Dimensions
from vultus.methods.modules import clip_mean, clip_root_mean, evaluating

if TYPE_CHECKING:
    from vultus.train.data import TrainingSet

logger.disable("vector_quantize_pytorch")  # it warns of small first batches; `codec_exit_test` tells of unused codes

DILATIONS = (1, 3, 9)
CM, MM = 100.0, 1000.0
VELOCITY_FPS = 30.0
"""Velocities are counted per 1/30 s at every frame rate, so their weight carries over."""

HEAD_ARM = 0.1
"""Metres from the joint of the neck to the face: what an error of head rotation moves."""

SMALLEST_SHARE = 0.05
"""A column that hardly moves is standardised by this share of the liveliest column's deviation, not by its own."""

LIPS_SHARE, UPPER_SHARES = 0.3, (0.05, 0.3)
"""A column belongs to the mouth where it moves the lips by 0.3 of what it moves most, or the upper face by under 0.05
of that (the tongue); with the lips and over 0.3 on the upper face it belongs to both."""

STATISTICS_CLIPS = 400
STATISTICS_VERTEX_FRAMES = 2000
"""How much of the training data the means, deviations and principal components are taken from."""

MOTION_SETTINGS = ("space", "layers", "fps", "head_rotation")
"""Settings of [data] that say what motion is: a prior's are those of its codec."""


@dataclass(frozen=True)
class CodecConfig:
    """Sizes and switches of the codec; the defaults are those at paper scale [OC].

    Attributes:
        stride: motion frames of one step: 1, 2, 4 or 8.
        levels: Q; the first is the coarse one, the others are fine.
        codes: codes of each level, K in the design notes.
        code_size: numbers of a code, C.
        channels: width of the convolutions, channels.
        quantizer_dropout: probability that a clip is decoded from its first levels alone, so that every prefix decodes.
        codebook_decay: of the moving averages that the codes are.
        dead_code: uses a batch (a moving average over batches) below which a code is moved onto data.
        free_steps: first steps of training without codes: what is rare (a blink) gets a place of its own among the
            latents before codes divide them, or no code ever stands for it.
        components: principal components that stand for vertices; only where the data set gives no linear rig.
    """

    stride: int = 2
    levels: int = 4
    codes: int = 512
    code_size: int = 256
    channels: int = 384
    quantizer_dropout: float = 0.2
    codebook_decay: float = 0.99
    dead_code: float = 1.0
    free_steps: int = 0
    components: int = 64

    def __post_init__(self) -> None:
        if self.stride not in (1, 2, 4, 8):
            raise VultusError(f"method.stride is {self.stride}; expected 1, 2, 4 or 8 frames")
        for name in ("levels", "codes", "code_size", "channels", "components"):
            if getattr(self, name) < 1:
                raise VultusError(f"method.{name} is {getattr(self, name)}; expected at least 1")
        for name in ("quantizer_dropout", "codebook_decay"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise VultusError(f"method.{name} is {getattr(self, name):g}; expected at least 0 and less than 1")
        if self.free_steps < 0:
            raise VultusError(f"method.free_steps is {self.free_steps}; expected 0 or more")
        if self.dead_code < 0.0:
            raise VultusError(f"method.dead_code is {self.dead_code:g}; expected 0 (never) or more uses a batch")


# Parts ----------------------------------------------------------------------------------------------------------------


def blank(x: Tensor, mask: Tensor | None) -> Tensor:
    """(B, channels, T) with padding as zeros, which is what a convolution sees beyond the end of a clip."""
    return x if mask is None else x * mask[:, None].to(x.dtype)


def whole_steps(frames: Tensor, mask: Tensor | None, stride: int) -> tuple[Tensor, Tensor | None]:
    """Frames (B, T, n) -> (B, T' stride, n), the last real frame held to the end of its step; and which steps are real.

    The mask (B, T') is None where all are.
    """
    count = frames.shape[1]
    steps = -(-count // stride)
    place = torch.arange(steps * stride, device=frames.device)
    if mask is None:
        return frames[:, place.clamp_max(count - 1)], None
    last = mask.sum(1, keepdim=True) - 1
    index = torch.minimum(place[None], last.clamp_min(0))
    held = torch.gather(frames, 1, index[:, :, None].expand(-1, -1, frames.shape[2]))
    return held, place[None, ::stride] <= last


class ResidualBlock(nn.Module):
    """x + conv1(silu(dilated conv3(silu(x)))), (B, channels, T) -> the same."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        inner: Tensor = self.mix(F.silu(self.wide(blank(F.silu(x), mask))))
        return x + inner


class Encoder(nn.Module):
    """Standardised motion (B, D, T' stride) -> latents (B, C, T')."""

    def __init__(self, config: CodecConfig, dimension: int) -> None:
        super().__init__()
        wide = config.channels
        self.enter = nn.Conv1d(dimension, wide, 3, padding=1)
        halvings = config.stride.bit_length() - 1
        self.down = nn.ModuleList(nn.Conv1d(wide, wide, 4, stride=2, padding=1) for _ in range(halvings))
        self.blocks = nn.ModuleList(ResidualBlock(wide, dilation) for dilation in DILATIONS)
        self.leave = nn.Conv1d(wide, config.code_size, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        rate = 2 ** len(self.down)
        frames = None if mask is None else mask.repeat_interleave(rate, 1)
        x = self.enter(blank(x, frames))
        for down in self.down:
            x = down(blank(F.silu(x), frames))
            frames = None if frames is None else frames[:, ::2]
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = self.leave(blank(F.silu(x), mask))
        return out


class Decoder(nn.Module):
    """The encoder's mirror, with nearest upsampling: (B, C, T') -> (B, D, T' stride)."""

    def __init__(self, config: CodecConfig, dimension: int) -> None:
        super().__init__()
        wide = config.channels
        self.enter = nn.Conv1d(config.code_size, wide, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(wide, dilation) for dilation in reversed(DILATIONS))
        doublings = config.stride.bit_length() - 1
        self.up = nn.ModuleList(nn.Conv1d(wide, wide, 3, padding=1) for _ in range(doublings))
        self.inner = nn.Conv1d(wide, wide, 3, padding=1)
        self.leave = nn.Conv1d(wide, dimension, 3, padding=1)

    @property
    def context_steps(self) -> int:
        """Steps before and after its own that a frame depends on, at most."""
        return 3 + sum(DILATIONS) + len(self.up)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.enter(blank(x, mask))
        for block in self.blocks:
            x = block(x, mask)
        for up in self.up:
            mask = None if mask is None else mask.repeat_interleave(2, 1)
            x = up(blank(F.silu(x).repeat_interleave(2, 2), mask))
        x = self.inner(blank(F.silu(x), mask))
        out: Tensor = self.leave(blank(F.silu(x), mask))
        return out


# The codec ------------------------------------------------------------------------------------------------------------


class Codec(nn.Module):
    """Motion <-> codes.

    Args:
        config: sizes.
        dims: sizes and units of the data.
        rig: B, (K, 3V) metres: what one unit of each motion column does to the vertices. Without it motion is offsets
            (T, 3V) in metres, and principal components of them, found in training, stand for it.
        gaps: (M, 3V) linear functionals of the offsets, mm per metre, for the term "lips/gap".
        learn: whether its codes are still to be found; False for a codec that is loaded.
    """

    mean: Tensor
    deviation: Tensor
    fps: Tensor
    basis: Tensor
    lips: Tensor
    upper: Tensor
    mouth: Tensor
    steps_done: Tensor
    rig: Tensor | None
    _square: Tensor
    _gaps: Tensor | None

    def __init__(
        self, config: CodecConfig, dims: Dimensions, rig: np.ndarray | None, gaps: np.ndarray | None, *, learn: bool
    ) -> None:
        super().__init__()
        self.config, self.dims = config, dims
        width = 3 * dims.num_vertices
        for name, given in (("rig", rig), ("gaps", gaps)):
            if given is not None and given.shape[1] != width:
                raise VultusError(
                    f"{name} has {given.shape[1]} columns; the mesh has 3 x {dims.num_vertices} = {width}"
                )
        self.moved = config.components if rig is None else len(rig)  # K
        self.dimension = self.moved + (3 if dims.head_rotation else 0)  # D
        self.encoder = Encoder(config, self.dimension)
        self.decoder = Decoder(config, self.dimension)
        world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self.levels = nn.ModuleList(
            VectorQuantize(
                dim=config.code_size,
                codebook_size=config.codes,
                decay=config.codebook_decay,
                threshold_ema_dead_code=config.dead_code,
                kmeans_init=learn,
                rotation_trick=False,  # the gradient is passed straight through below, once for all levels
                sync_codebook=world > 1,
            )
            for _ in range(config.levels)
        )
        self.register_buffer("mean", torch.zeros(self.dimension))
        self.register_buffer("deviation", torch.ones(self.dimension))
        self.register_buffer("fps", torch.tensor(VELOCITY_FPS))
        self.register_buffer("basis", torch.zeros(0 if rig is not None else config.components, width))
        self.register_buffer("lips", torch.zeros(self.moved, 0))  # (K, 3L) metres
        self.register_buffer("upper", torch.zeros(self.moved, self.moved))  # e^T U e: mean square over the upper face
        self.register_buffer("mouth", torch.zeros(self.moved, dtype=torch.int8))  # 1 mouth, 0 not, -1 both
        self.register_buffer("steps_done", torch.tensor(0))
        matrix = None if rig is None else torch.from_numpy(np.asarray(rig, np.float32))
        self.register_buffer("rig", matrix, persistent=False)
        square, gap_matrix = torch.eye(self.moved), None
        if rig is not None:
            exact = np.asarray(rig, np.float64)  # once, for the loss is a small difference of large terms
            square = torch.from_numpy((exact @ exact.T).astype(np.float32))
        functionals = None if gaps is None else torch.from_numpy(np.asarray(gaps, np.float32))
        self.register_buffer("_functionals", functionals, persistent=False)
        if rig is not None and gaps is not None:
            gap_matrix = torch.from_numpy((np.asarray(rig, np.float64) @ np.asarray(gaps, np.float64).T).astype("f4"))
        self.register_buffer("_square", square / dims.num_vertices, persistent=False)
        self.register_buffer("_gaps", gap_matrix, persistent=False)

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        stored = state.get(f"{prefix}lips")  # as many as the training data's lips had
        if stored is not None:
            self.lips = self.lips.new_zeros(stored.shape)
        for name in ("upper", "steps_done"):  # which earlier codecs lack, and which serve training alone
            state.setdefault(f"{prefix}{name}", getattr(self, name))
        super()._load_from_state_dict(state, prefix, *rest)

    @property
    def matrix(self) -> Tensor:
        """(K, 3V) metres: what each motion column that is not head rotation does to the vertices."""
        return self.basis if self.rig is None else self.rig

    @property
    def has_gaps(self) -> bool:
        return self._functionals is not None

    # Before training

    def prepare(self, data: TrainingSet) -> None:
        """Means, deviations, lips and, for vertices, principal components of the training data."""
        entries = [data.entries[i] for i in _spread(len(data.entries), STATISTICS_CLIPS)]
        self.fps.fill_(data.config.fps)
        if self.rig is None:
            share = max(1, STATISTICS_VERTEX_FRAMES // len(entries))
            frames = [_spread_frames(entry.motion, share) for entry in entries]
            self._find_components(np.concatenate(frames))
        rows = [np.asarray(_spread_frames(entry.motion, 200), np.float32) for entry in entries]
        widths = {row.shape[1] for row in rows}
        wanted = self.dimension if self.rig is not None else 3 * self.dims.num_vertices
        if widths != {wanted}:
            raise VultusError(f"training motion has {sorted(widths)} columns; this codec is for {wanted}")
        coded = self.coordinates(torch.from_numpy(np.concatenate(rows)).to(self.mean.device))
        self.mean.copy_(coded.mean(0))
        spread = coded.std(0)
        self.deviation.copy_(torch.maximum(spread, SMALLEST_SHARE * spread.max()).clamp_min(1e-6))
        moves = self.matrix.unflatten(1, (-1, 3))
        lips, upper = (torch.from_numpy(data.region(name)).to(moves.device) for name in ("lips", "upper_face"))
        self.lips = moves[:, lips].flatten(1)
        on_upper_face = moves[:, upper].flatten(1).double()
        self.upper.copy_(on_upper_face @ on_upper_face.T / max(1, len(upper)))
        if len(lips):
            most = moves.norm(dim=2).amax(1).clamp_min(1e-9)
            on_lips = moves[:, lips].norm(dim=2).amax(1) / most > LIPS_SHARE
            none = torch.zeros_like(most)
            on_upper = moves[:, upper].norm(dim=2).amax(1) / most if len(upper) else none
            self.mouth.copy_(on_lips | (on_upper < UPPER_SHARES[0]))
            self.mouth[on_lips & (on_upper > UPPER_SHARES[1])] = -1

    def _find_components(self, offsets: np.ndarray) -> None:
        rows = torch.from_numpy(offsets).double()
        if min(rows.shape) < self.config.components:
            raise VultusError(
                f"method.components is {self.config.components}; the training data have {len(rows)} frames of "
                f"{rows.shape[1]} numbers; expected no more components than either"
            )
        # Not centred: zero coordinates are then the neutral face, as in every rig of ours.
        _, _, directions = torch.linalg.svd(rows, full_matrices=False)
        self.basis.copy_(directions[: self.config.components].float())

    # Motion <-> codes

    def coordinates(self, motion: Tensor) -> Tensor:
        """What a data set gives (..., D or 3V) -> the motion that is coded (..., D)."""
        return motion @ self.basis.T if self.rig is None else motion

    def standardise(self, coordinates: Tensor) -> Tensor:
        return (coordinates - self.mean) / self.deviation

    def encode(self, motion: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Motion as a batch has it (B, T, D or 3V) -> codes (B, T', Q) int64, -1 in padding; and which steps are real.

        Draws nothing and changes nothing.

        Raises:
            VultusError: training ended within its steps without codes.
        """
        if self.steps_done < self.config.free_steps:
            raise VultusError(
                f"the codec was trained for {int(self.steps_done)} steps, and the first {self.config.free_steps} are "
                "free of codes (method.free_steps); train longer or set fewer"
            )
        with evaluating(self), torch.no_grad(), torch.autocast(motion.device.type, enabled=False):
            frames, steps = whole_steps(self.coordinates(motion.float()), mask, self.config.stride)
            latents = self.encoder(self.standardise(frames).transpose(1, 2), steps).transpose(1, 2)
            _, codes, _ = self.quantise(latents, steps)
        return codes, steps

    def quantise(self, latents: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (B, T', C) -> what each level adds (Q, B, T', C), codes (B, T', Q), commitment loss."""
        parts, numbers, losses = [], [], []
        residual = latents.float()
        for level in self.levels:
            part, number, loss = level(residual, mask=mask)
            residual = residual - part.detach()
            parts.append(part.detach())
            numbers.append(number)
            losses.append(loss.sum())
        return torch.stack(parts), torch.stack(numbers, 2), torch.stack(losses).mean()

    def latents(self, codes: Tensor) -> Tensor:
        """Codes (B, T', n) of the first n levels -> the sum of their vectors (B, T', C); -1 adds nothing."""
        total = codes.new_zeros((*codes.shape[:2], self.config.code_size), dtype=self.mean.dtype)
        for level, numbers in zip(self.levels, codes.unbind(2), strict=False):
            assert isinstance(level, VectorQuantize)
            total = total + level.codebook[numbers.clamp_min(0)] * (numbers >= 0)[..., None]
        return total

    def decode(self, latents: Tensor, frames: int, mask: Tensor | None = None, window: int = 0) -> Tensor:
        """Latents (B, T', C) -> motion coordinates (B, `frames`, D), in windows of so many steps where `window` is set.

        Windows overlap by what a frame depends on, so any cutting gives the same motion.
        """
        count, stride = latents.shape[1], self.config.stride
        around, pieces = self.decoder.context_steps, []
        for start in range(0, count, window or count):
            stop = min(count, start + (window or count))
            first, last = max(0, start - around), min(count, stop + around)
            part = None if mask is None else mask[:, first:last]
            piece = self.decoder(latents[:, first:last].transpose(1, 2), part).transpose(1, 2)
            pieces.append(piece[:, (start - first) * stride : (stop - first) * stride])
        return torch.cat(pieces, 1)[:, :frames] * self.deviation + self.mean

    def lip_vertices(self, coordinates: Tensor) -> Tensor:
        """Motion (..., D) -> offsets of the lips (..., L, 3), metres."""
        flat = coordinates[..., : self.moved] @ self.lips
        return flat.reshape(*flat.shape[:-1], -1, 3)

    def mouth_columns(self) -> Tensor:
        """(D,) bool: the columns that move lips or tongue; head rotation is none of them.

        Raises:
            VultusError: a column moves lips and upper face alike (principal components, FLAME), or no lips are known.
        """
        if bool((self.mouth < 0).any()) or not self.lips.shape[1]:
            raise VultusError(
                "sampling: region needs motion whose columns move either mouth or upper face, as blendshapes do; "
                "expected another strategy for this model"
            )
        return F.pad(self.mouth > 0, (0, self.dimension - self.moved))

    # Training

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of `loss_weights`, each a mean over clips.

        "codec/parameters" half the squared error of standardised motion; "codec/vertices" and "codec/lips" root mean
        square displacement of a frame's vertices, cm; "codec/upper" that of the upper face over a clip's frames;
        "codec/head" what head rotation moves the face, cm; "codec/velocity" the vertices' velocity, cm per 1/30 s;
        "codec/commitment" squared distance of latents from their codes; "lips/gap" error of the lip gaps, cm.
        """
        with torch.autocast(batch.motion.device.type, enabled=False):
            coordinates = self.coordinates(batch.motion)
            frames, steps = whole_steps(coordinates, batch.mask, self.config.stride)
            target = self.standardise(frames)
        latents = self.encoder(target.transpose(1, 2), steps).transpose(1, 2)
        with torch.autocast(batch.motion.device.type, enabled=False):
            latents = latents.float()
            passed, commitment = latents, latents.new_zeros(())
            if self.steps_done >= self.config.free_steps:
                parts, _, commitment = self.quantise(latents, steps)
                kept = self._kept_levels(len(latents), latents.device)
                quantised = (parts * kept.T[:, :, None, None]).sum(0)
                passed = latents + (quantised - latents).detach()
            if self.training:
                self.steps_done += 1
        out = self.decoder(passed.transpose(1, 2), steps).transpose(1, 2)[:, : batch.motion.shape[1]]
        with torch.autocast(batch.motion.device.type, enabled=False):
            return self._terms(out.float() - target[:, : out.shape[1]], commitment, batch)

    def _kept_levels(self, clips: int, device: torch.device) -> Tensor:
        """(B, Q): 1 for the levels that a clip is decoded from."""
        count = torch.full((clips,), self.config.levels, device=device)
        if self.training and self.config.levels > 1:
            fewer = torch.randint(1, self.config.levels, (clips,), device=device)
            drop = torch.rand(clips, device=device) < self.config.quantizer_dropout
            count = torch.where(drop, fewer, count)
        return (torch.arange(self.config.levels, device=device) < count[:, None]).float()

    def _terms(self, error: Tensor, commitment: Tensor, batch: Batch) -> dict[str, Tensor]:
        mask = batch.mask
        step_mask = None if mask is None else mask[:, 1:]
        moved = (error * self.deviation)[..., : self.moved]
        faster = (moved[:, 1:] - moved[:, :-1]) * (batch.fps / VELOCITY_FPS)
        upper = ((moved @ self.upper) * moved).sum(2).clamp_min(0.0)
        lips = self.lips @ self.lips.T / max(1, self.lips.shape[1] // 3)
        terms = {
            "codec/parameters": clip_mean(0.5 * error.square().mean(2), mask),
            "codec/vertices": clip_mean(_displacement(moved, self._square), mask),
            "codec/lips": clip_mean(_displacement(moved, lips), mask),
            "codec/upper": clip_root_mean(CM**2 * upper, mask),
            "codec/velocity": clip_mean(_displacement(faster, self._square), step_mask),
            "codec/commitment": commitment,
        }
        if self.dims.head_rotation:
            turn = (error * self.deviation)[..., self.moved :]
            terms["codec/head"] = clip_mean(CM * HEAD_ARM * torch.sqrt(turn.square().sum(2) + 1e-12), mask)
        if self.has_gaps:
            gaps = self._gaps if self._gaps is not None else self.basis @ self._functionals.T  # type: ignore[operator]
            terms["lips/gap"] = clip_mean((moved @ gaps).abs().mean(2) * (CM / MM), mask)
        return terms

    def loss_weights(self) -> dict[str, float]:
        """Section 4.2 of the design [OC]; "lips/gap" is off unless a recipe sets it."""
        weights = {
            "codec/parameters": 1.0, "codec/vertices": 1.0, "codec/lips": 2.0, "codec/upper": 2.0,
            "codec/velocity": 0.5, "codec/commitment": 0.02,
        }  # fmt: skip
        if self.dims.head_rotation:
            weights["codec/head"] = 0.5
        return {**weights, "lips/gap": 0.0} if self.has_gaps else weights


def _displacement(error: Tensor, square: Tensor) -> Tensor:
    """Root mean square displacement of the vertices in each frame, cm: (B, T, K) -> (B, T)."""
    return CM * torch.sqrt(((error @ square) * error).sum(2).clamp_min(0.0) + 1e-12)


def _spread(count: int, most: int) -> list[int]:
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def _spread_frames(motion: Any, most: int) -> np.ndarray:
    return np.asarray(motion[:: max(1, len(motion) // most)], np.float32)


# A finished codec -----------------------------------------------------------------------------------------------------


def read_codec_run(folder: Path) -> dict[str, Any]:
    """settings.json of a finished run of stage "codec".

    Raises:
        VultusError: the folder holds none, or a run of something else.
    """
    try:
        settings: dict[str, Any] = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        method = settings["method"]
        kind = (method["name"], method.get("stage"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VultusError(
            f"method.codec: {folder} holds no readable settings.json ({error}); expected the run folder of a codec"
        ) from None
    if kind != ("probabilistic", "codec"):
        raise VultusError(f"method.codec: {folder} is a run of {kind[0]}, stage {kind[1]}; expected one of stage codec")
    if not (folder / "model.safetensors").is_file():
        raise VultusError(f"method.codec: the run in {folder} has not finished; go on with it by --resume")
    return settings


def load_codec(codec: Codec, folder: Path, data: TrainingSet) -> None:
    """Puts a trained codec's weights in place, after checking that it was trained on the same kind of motion."""
    from vultus.train.checkpoint import load_tensors

    settings = read_codec_run(folder)
    for name in MOTION_SETTINGS:
        old, new = settings["data"].get(name), getattr(data.config, name)
        if old is not None and old != new:
            raise VultusError(
                f"data.{name} is {new!r}; the codec in {folder} was trained with {old!r}; make them equal"
            )
    kind = settings.get("rig", {}).get("sha256")
    if data.rig is not None and kind not in (None, hashlib.sha256(data.rig.tobytes()).hexdigest()):
        raise VultusError(f"method.codec: {folder} was trained on another rig; expected the one of these data")
    tensors, own = load_tensors(folder / "model.safetensors")[0], "model.codec."
    try:
        codec.load_state_dict({key.removeprefix(own): value for key, value in tensors.items() if key.startswith(own)})
    except RuntimeError as error:
        raise VultusError(f"method.codec: {folder} does not fit ({' '.join(str(error).split())[:300]})") from None


@dataclass(frozen=True)
class ExitTest:
    """What a codec must reach before a prior is trained on it.

    Attributes:
        l_vertex: for 1, 2 ... Q levels: lip error of the reconstruction, mm (mean over frames of the largest distance
            of a lip vertex, then over clips).
        code_use: for each level, share of its codes that were used at all.
        sync_loss: sync score of the motion minus that of its reconstruction, or None where nobody scored.
        explained: for "upper_face" and "head" (rotation), where the motion has them: 1 - squared error / variance.
            Lips alone would pass a codec that no face ever blinks with.
    """

    l_vertex: tuple[float, ...]
    code_use: tuple[float, ...]
    sync_loss: float | None = None
    explained: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Section 4.2 of the design [OC]: < 1.5 mm, < 4 mm from level 1 alone, use > 80 %, sync within 0.03. And of
        the upper face and the head at least 0.8 explained."""
        lips = self.l_vertex[-1] < 1.5 and self.l_vertex[0] < 4.0
        rest = all(share >= 0.8 for share in self.explained.values())
        return lips and rest and min(self.code_use) > 0.8 and (self.sync_loss is None or self.sync_loss <= 0.03)


@torch.no_grad()
def codec_exit_test(
    codec: Codec, clips: Iterable[np.ndarray], scores: Callable[[int, np.ndarray], float] | None = None
) -> ExitTest:
    """Codes every clip whole and decodes it from 1, 2 ... Q levels.

    Args:
        codec: trained.
        clips: motion of held-out clips at the codec's frame rate, each (T, D) or, for vertices, (T, 3V).
        scores: gives the sync score of clip number i moving as (T, D), higher is better.

    Raises:
        VultusError: no clips, or a codec that knows no lips.
    """
    if not codec.lips.shape[1]:
        raise VultusError("the codec knows no lips; train it on a data set whose topology names them")
    config = codec.config
    errors: list[list[float]] = []
    used = torch.zeros(config.levels, config.codes, dtype=torch.bool)
    losses: list[float] = []
    sums = _Explained(codec)
    for number, clip in enumerate(clips):
        motion = torch.from_numpy(np.asarray(clip, np.float32))[None].to(codec.mean.device)
        codes, _ = codec.encode(motion)
        truth = codec.coordinates(motion)
        lips = codec.lip_vertices(truth)
        row, back = [], truth
        for levels in range(1, config.levels + 1):
            back = codec.decode(codec.latents(codes[..., :levels]), motion.shape[1])
            distance = (codec.lip_vertices(back) - lips).norm(dim=-1)
            row.append(MM * float(distance.amax(-1).mean()))
        errors.append(row)
        sums.add(truth[0], back[0])
        for level in range(config.levels):
            used[level, codes[0, :, level].cpu()] = True
        if scores is not None:
            losses.append(scores(number, truth[0].cpu().numpy()) - scores(number, back[0].cpu().numpy()))
    if not errors:
        raise VultusError("codec exit test: no clips; expected some of a split that was not trained on")
    sync = float(np.mean(losses)) if losses else None
    return ExitTest(tuple(np.mean(errors, 0).tolist()), tuple(used.float().mean(1).tolist()), sync, sums.shares())


class _Explained:
    """Sums over frames for `ExitTest.explained`."""

    def __init__(self, codec: Codec) -> None:
        self.codec, self.frames = codec, 0
        self.total = torch.zeros(codec.dimension, dtype=torch.float64)
        self.square = torch.zeros(codec.dimension, codec.dimension, dtype=torch.float64)
        self.error = torch.zeros_like(self.square)

    def add(self, truth: Tensor, back: Tensor) -> None:
        """Motion (T, D) and what the codec made of it."""
        truth, off = truth.double().cpu(), (back - truth).double().cpu()
        self.frames += len(truth)
        self.total += truth.sum(0)
        self.square += truth.T @ truth
        self.error += off.T @ off

    def shares(self) -> dict[str, float]:
        moved, size = self.codec.moved, self.codec.dimension
        weights = {"upper_face": F.pad(self.codec.upper.double().cpu(), (0, size - moved, 0, size - moved))}
        if size > moved:
            weights["head"] = torch.diag((torch.arange(size) >= moved).double())
        spread = self.square - torch.outer(self.total, self.total) / max(1, self.frames)
        every = {name: (float((weight * spread).sum()), weight) for name, weight in weights.items()}
        return {
            name: 1.0 - float((weight * self.error).sum()) / variance
            for name, (variance, weight) in every.items()
            if variance > 0.0
        }
