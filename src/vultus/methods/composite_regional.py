"""Wu et al. 2023, "Speech-Driven 3D Face Animation with Composite and Regional Facial Movements" (MM '23).

One matrix W (3V x 256) is used three times: it embeds the template, embeds a reference performance, and transposed it
turns the decoder's codes into vertices (equation 3). An L1 penalty makes each of its columns a patch of the face: the
*regional* nature (section 4.3). The mean and the standard deviation of the encoded reference scale and shift the speech
features: the *composite* nature (section 4.2, equation 2). The decoder is a 1-D ResNet without down-sampling, so length
and frame rate are free.

The published text and the published program differ in places; each place is a switch of `Config` whose default is the
text. Loss terms that the paper does not have ("motion/velocity", "lips/gap", "lips/closure") exist with weight 0.

Where the motion is that of a linear rig (offsets = B^T w), everything the loss needs of the 3V coordinates lies in the
products W W^T, W B^T and B B^T, so no vertex is ever made in training: the same numbers at a fraction of the cost.

Letters: B batch, T motion frames, R reference frames, C feature channels, V vertices, K blendshapes, D motion dimension
(K or 3V), Z = 256 code channels, M lip gap functionals. Model units: metres / `Dimensions.unit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vultus.errors import VultusError, unknown_name
from vultus.features.base import at_motion_frames
from vultus.methods.base import Batch, Dimensions
from vultus.methods.modules import clip_mean, evaluating

if TYPE_CHECKING:
    from vultus.features.base import Encoder
    from vultus.motion import Motion
    from vultus.speech import Speech
    from vultus.topology import Template

MIN_REFERENCE_FRAMES = 12
"""The encoder leaves a quarter of the reference's frames; a standard deviation wants at least three."""

VELOCITY_FPS = 30.0
"""The velocity term counts model units per 1/30 s at every frame rate, so its weight carries over."""

CLOSURE_MM = 1.5
"""Where "lips/closure" stops caring: a gap of much more than this is simply open."""

_CHOICES = {
    "reference_norm": ("sequence_mean", "template"),
    "audio_norm": ("clip", "batch", "running", "none"),
    "style_statistics": ("mean_std", "mean_std_delta"),
    "loss_form": ("norm", "squared"),
}


@dataclass(frozen=True)
class Config:
    """Sizes and switches. Defaults: the paper's text.

    Attributes:
        channels: width of the codes z and of the decoder, channels.
        style_channels: width of the reference encoder, channels.
        decoder_units: residual units of the decoder, two convolutions each; each unit sees 2 more frames on both sides.
        encoder_depth: layers of the reference encoder: 18 (text: 8 units) or 10 (program: 4 units).
        alpha: factor on W^T z (equation 3).
        reference_norm: what is subtracted from the reference: "sequence_mean", its mean face (equation 1), or
            "template", its own neutral face (program).
        audio_norm: how speech features are standardised: "clip" over the frames of a clip (equation 2; needs the whole
            clip), "batch" by batch statistics in training and running ones after (program; streams), "running" by
            running statistics always (streams; clips do not influence each other), "none".
        style_statistics: "mean_std", or "mean_std_delta" with the deviation of first differences too (program).
        loss_form: "norm", the length of each frame's error vector (equation 4), or "squared" (program).
        loss_scale: factor on the motion terms (program: 0.1 on BIWI).
        l1: default weight of |W|_1 (beta of equation 4).
        composite: False removes the reference branch; one learned scale and shift serve everybody (the ablation).
        regional: False removes the L1 penalty (the ablation).
        seed: of the initial weights.
    """

    channels: int = 256
    style_channels: int = 512
    decoder_units: int = 8
    encoder_depth: int = 18
    alpha: float = 0.1
    reference_norm: str = "sequence_mean"
    audio_norm: str = "clip"
    style_statistics: str = "mean_std"
    loss_form: str = "norm"
    loss_scale: float = 1.0
    l1: float = 1e-4
    composite: bool = True
    regional: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown_name(f"method.{name}", getattr(self, name), choices)
        if self.encoder_depth not in (10, 18):
            raise VultusError(f"method.encoder_depth is {self.encoder_depth}; expected 10 or 18")
        for name in ("channels", "style_channels", "decoder_units"):
            if getattr(self, name) < 1:
                raise VultusError(f"method.{name} is {getattr(self, name)}; expected at least 1")


# Blocks ---------------------------------------------------------------------------------------------------------------


class _SumOverProcesses(torch.autograd.Function):
    """Sum over the processes of a distributed run; so is its gradient."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        total = value.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        torch.distributed.all_reduce(total)
        return total


def _processes() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def _moments(x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel of (B, Z, T) over real frames of all processes; and how many there were."""
    real = x if mask is None else x * mask[:, None].to(x.dtype)
    count = x.new_tensor(float(x.shape[0] * x.shape[2])) if mask is None else mask.sum().to(x.dtype)
    sums = torch.cat([real.sum((0, 2)), (real * x).sum((0, 2)), count[None]])
    if _processes() > 1:
        sums = _SumOverProcesses.apply(sums)
    first, second, total = sums.split([x.shape[1], x.shape[1], 1])
    mean = first / total
    return mean, (second / total - mean**2).clamp_min(0.0), total


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm1d over real frames only, and over the processes of a distributed run (on CPU too)."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if not self.training or (mask is None and _processes() == 1):
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        mean, variance, total = _moments(x.float(), mask)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1.0).clamp_min(1.0), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = torch.rsqrt(variance + self.eps)
        offset = -mean * scale
        if self.affine:
            scale, offset = scale * self.weight, offset * self.weight + self.bias
        return x * scale[:, None] + offset[:, None]


class RunningNorm(nn.Module):
    """Standardises by statistics gathered while training, in training too: clips never influence each other."""

    running_mean: Tensor
    running_var: Tensor
    seen: Tensor

    def __init__(self, channels: int, momentum: float = 0.02) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, 1e-5
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("seen", torch.tensor(0.0))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.training:
            with torch.no_grad():
                mean, variance, _ = _moments(x.float(), mask)
                # A plain average at first, so that the start does not depend on the made-up initial values.
                rate = max(self.momentum, 1.0 / (1.0 + float(self.seen)))
                self.running_mean.lerp_(mean, rate)
                self.running_var.lerp_(variance, rate)
                self.seen.add_(1.0)
        # Copies, for a second call in training changes the buffers before the first one's gradient is taken.
        mean, scale = self.running_mean.clone(), torch.rsqrt(self.running_var + self.eps)
        return (x - mean[:, None]) * scale[:, None]


class ResidualUnit(nn.Module):
    """conv3 - norm - PReLU - conv3 - norm, plus a shortcut; no activation after. (B, in, T) -> (B, out, T / stride)."""

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = BatchNorm(out_channels)
        self.act = nn.PReLU(out_channels)
        self.conv2 = nn.Conv1d(out_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = BatchNorm(out_channels)
        self.stride = stride
        self.project: nn.Conv1d | None = None
        if channels != out_channels:
            self.project = nn.Conv1d(channels, out_channels, 1, stride=stride, bias=False)
            self.project_norm = BatchNorm(out_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        out_mask = mask if mask is None else mask[:, :: self.stride]
        # Padding must look to a convolution as the end of a clip does: zero.
        inner = _blank(self.act(self.norm1(self.conv1(_blank(x, mask)), mask)), mask)
        inner = self.norm2(self.conv2(inner), out_mask)
        if self.project is not None:
            shortcut = self.project_norm(self.project(x), out_mask)
        else:
            shortcut = x[:, :, :: self.stride]
        return shortcut + inner, out_mask


def _blank(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask[:, None].to(x.dtype)


class ReferenceEncoder(nn.Module):
    """Embedded reference (B, R, Z) -> scale and shift (B, Z) each: section 4.2."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        wide, count = config.style_channels, 4 if config.encoder_depth == 10 else 8
        units = []
        for index in range(count):
            stride = 2 if index in (0, count // 2) else 1  # a quarter of the frames in all
            units.append(ResidualUnit(config.channels if index == 0 else wide, wide, stride))
        self.units = nn.ModuleList(units)
        self.delta = config.style_statistics == "mean_std_delta"
        self.head = nn.Linear(wide * (3 if self.delta else 2), 2 * config.channels)
        with torch.no_grad():  # start at scale 1, shift 0
            self.head.weight.mul_(0.1)
            self.head.bias.copy_(torch.cat([torch.ones(config.channels), torch.zeros(config.channels)]))

    def forward(self, embedded: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = embedded.transpose(1, 2)
        for unit in self.units:
            x, mask = unit(x, mask)
        x = x.float()
        statistics = [*_mean_std(x, mask)]
        if self.delta:
            steps = None if mask is None else mask[:, 1:] & mask[:, :-1]
            statistics.append(_mean_std(x[:, :, 1:] - x[:, :, :-1], steps)[1])
        scale, shift = self.head(torch.cat(statistics, 1)).chunk(2, 1)
        return scale, shift


def _mean_std(x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (n - 1) over real frames, (B, Z, T) -> (B, Z) each."""
    weight = x.new_ones(x.shape[0], 1, x.shape[2]) if mask is None else mask[:, None].to(x.dtype)
    count = weight.sum(2)
    mean = (x * weight).sum(2) / count
    square = (((x - mean[:, :, None]) * weight) ** 2).sum(2) / (count - 1.0).clamp_min(1.0)
    return mean, torch.sqrt(square + 1e-8)


class Decoder(nn.Module):
    """Modulated speech features (B, T, Z) -> codes z (B, T, Z): 8 residual units, kernel 3, stride 1."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.units = nn.ModuleList(ResidualUnit(config.channels, config.channels) for _ in range(config.decoder_units))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x.transpose(1, 2)
        for unit in self.units:
            x, _ = unit(x, mask)
        return x.transpose(1, 2)


# The method -----------------------------------------------------------------------------------------------------------


class Products(NamedTuple):
    """What the loss needs of the vertices, where the motion is that of a linear rig B.

    With y = [alpha z, -w] the squared error of a frame is y^T `square` y, and `gaps` @ y are its lip gap errors.
    """

    square: Tensor  # (Z + K, Z + K), model units squared
    cross: Tensor  # W B^T, (Z, K), model units
    gaps: Tensor | None  # (M, Z + K), mm


class CompositeRegional(nn.Module):
    """The network.

    Args:
        config: sizes and switches.
        dims: sizes and units of the data.
        rig: B, (K, 3V) metres: one flattened blendshape delta a row. Given, motion is weights (T, K); without it,
            motion is offsets from the template (T, 3V) in metres.
        gaps: (M, 3V) linear functionals of the offsets, mm per metre, whose error is the term "lips/gap".
    """

    W: Tensor
    centre: Tensor
    rig: Tensor | None
    gaps: Tensor | None
    _rig_square: Tensor

    def __init__(
        self, config: Config, dims: Dimensions, *, rig: np.ndarray | None = None, gaps: np.ndarray | None = None
    ) -> None:
        super().__init__()
        self.config, self.dims = config, dims
        width = 3 * dims.num_vertices
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            # Stored transposed, (Z, 3V): both uses of it are then plain products.
            self.W = nn.Parameter(torch.empty(config.channels, width).uniform_(-(width**-0.5), width**-0.5))
            self.speech_in = nn.Linear(dims.feature_dimension, config.channels)  # the 1x1 convolution
            self.audio_norm: nn.Module | None = None
            if config.audio_norm == "batch":
                self.audio_norm = BatchNorm(config.channels, affine=False)  # equation 2 scales and shifts anyway
            elif config.audio_norm == "running":
                self.audio_norm = RunningNorm(config.channels)
            if config.composite:
                self.reference_encoder = ReferenceEncoder(config)
            else:
                self.scale = nn.Parameter(torch.ones(config.channels))
                self.shift = nn.Parameter(torch.zeros(config.channels))
            self.decoder = Decoder(config)
        centre = torch.tensor(dims.centre, dtype=torch.float32).repeat(dims.num_vertices)
        self.register_buffer("centre", centre, persistent=False)
        for name, matrix, factor in (("rig", rig, 1.0 / dims.unit), ("gaps", gaps, dims.unit)):
            if matrix is not None and matrix.shape[1] != width:
                raise VultusError(
                    f"{name} has {matrix.shape[1]} columns; the mesh has 3 x {dims.num_vertices} = {width}"
                )
            tensor = None if matrix is None else torch.from_numpy(np.asarray(matrix, np.float32) * np.float32(factor))
            self.register_buffer(name, tensor, persistent=False)
        if rig is not None:
            # From double precision once: the loss is a small difference of large terms.
            exact = np.asarray(rig, np.float64) / dims.unit
            square = torch.from_numpy((exact @ exact.T).astype(np.float32))
            self.register_buffer("_rig_square", square, persistent=False)

    @property
    def context_frames(self) -> int:
        """Frames that a code depends on before and after its own."""
        return 2 * self.config.decoder_units

    # The three uses of W

    def embed_template(self, template: Tensor) -> Tensor:
        """Neutral faces (B, 3V) metres -> (B, Z)."""
        return ((template - self.centre) / self.dims.unit) @ self.W.T

    def embed_reference(self, reference: Tensor, mask: Tensor | None, products: Products | None) -> Tensor:
        """Reference motion (B, R, D) -> (B, R, Z): equation 1, then W."""
        if self.config.reference_norm == "sequence_mean":
            weight = torch.ones_like(reference[..., :1]) if mask is None else mask[..., None].to(reference.dtype)
            reference = reference - (reference * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        if products is not None:
            return reference @ products.cross.T
        return (reference / self.dims.unit) @ self.W.T

    def offsets(self, codes: Tensor) -> Tensor:
        """Codes (..., Z) -> offsets from the template (..., 3V), metres: equation 3."""
        return (self.config.alpha * self.dims.unit) * (codes @ self.W)

    # Forward

    def products(self) -> Products | None:
        """See `Products`; None where the motion is vertices."""
        if self.rig is None:
            return None
        half = self.W @ self.W.detach().T
        # The gradient of y^T (W W^T) y is 2 (y y^T) W, symmetric in its two factors: one product instead of two.
        own = 2.0 * half - half.detach()
        cross = self.W @ self.rig.T
        square = torch.cat([torch.cat([own, cross], 1), torch.cat([cross.T, self._rig_square], 1)], 0)
        gaps = None
        if self.gaps is not None:
            gaps = torch.cat([self.gaps @ self.W.T, self.gaps @ self.rig.T], 1)
        return Products(square, cross, gaps)

    def style(
        self, reference: Tensor, mask: Tensor | None = None, products: Products | None = None
    ) -> tuple[Tensor, Tensor]:
        """How a subject moves, from a performance of theirs (B, R, D): scale and shift, (B, Z) each.

        Raises:
            VultusError: fewer than 12 frames.
        """
        if not self.config.composite:
            shape = (reference.shape[0], self.config.channels)
            return self.scale.expand(shape), self.shift.expand(shape)
        shortest = reference.shape[1] if mask is None else int(mask.sum(1).min())
        if shortest < MIN_REFERENCE_FRAMES:
            raise VultusError(f"the reference motion has {shortest} frames; expected at least {MIN_REFERENCE_FRAMES}")
        with _full_precision(reference):
            embedded = self.embed_reference(reference, mask, products if products is not None else self.products())
        scale, shift = self.reference_encoder(embedded, mask)
        return scale, shift

    def decode(
        self, features: Tensor, scale: Tensor, shift: Tensor, embedded_template: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Speech features on the motion frames (B, T, C), a style (B, Z) twice, a face (B, Z) -> codes (B, T, Z)."""
        audio = self.speech_in(features)
        if self.config.audio_norm == "clip":
            mean, deviation = _mean_std(audio.transpose(1, 2).float(), mask)
            audio = (audio - mean[:, None]) / (deviation[:, None] + 1e-5)
        elif self.audio_norm is not None:
            audio = self.audio_norm(audio.transpose(1, 2), mask).transpose(1, 2)
        fused = audio * scale[:, None] + shift[:, None] + embedded_template[:, None]
        return self.decoder(fused, mask)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Terms "motion/l2", "motion/velocity", "regional/l1", "lips/gap" and "lips/closure", each a mean over clips.

        "lips/gap" is the squared error of the lip gaps, mm squared. "lips/closure" is that of `_closedness` of the
        gaps: a squared error answers doubt (half the time closed, half the time 6 mm open) with the mean, 3 mm, which
        is never a closure; on a concave scale the mean of the two is nearly shut.
        """
        with _full_precision(batch.motion):
            products = self.products()
            embedded = self.embed_template(batch.template)
        scale, shift = self.style(batch.reference, batch.reference_mask, products)
        codes = self.decode(batch.features, scale, shift, embedded, batch.mask)
        with _full_precision(batch.motion):
            return self._terms(codes.float(), batch, products)

    def _terms(self, codes: Tensor, batch: Batch, products: Products | None) -> dict[str, Tensor]:
        if products is not None:
            error = torch.cat([self.config.alpha * codes, -batch.motion], 2)
            metric, gap_matrix = products.square, products.gaps
        else:
            error = self.config.alpha * (codes @ self.W) - batch.motion / self.dims.unit
            metric, gap_matrix = None, self.gaps
        frames = _squared_length(error, metric)
        if self.config.loss_form == "norm":
            frames = torch.sqrt(frames + 1e-12)
        steps = _squared_length(error[:, 1:] - error[:, :-1], metric) * (batch.fps / VELOCITY_FPS) ** 2
        step_mask = None if batch.mask is None else batch.mask[:, 1:]
        terms = {
            "motion/l2": self.config.loss_scale * clip_mean(frames, batch.mask),
            "motion/velocity": self.config.loss_scale * clip_mean(steps, step_mask),
        }
        if gap_matrix is not None:
            wrong = error @ gap_matrix.T
            if products is not None:
                true = batch.motion @ gap_matrix[:, self.config.channels :].T
            else:
                true = (batch.motion / self.dims.unit) @ gap_matrix.T
            terms["lips/gap"] = clip_mean((wrong**2).mean(2), batch.mask)
            shut = _closedness(true + wrong) - _closedness(true)
            terms["lips/closure"] = clip_mean((shut**2).mean(2), batch.mask)
        if self.config.regional:
            terms["regional/l1"] = self.W.abs().sum()
        return terms

    def loss_weights(self) -> dict[str, float]:
        """Equation 4; the terms that are not the paper's have weight 0."""
        weights = {"motion/l2": 1.0, "motion/velocity": 0.0}
        if self.gaps is not None:
            weights["lips/gap"] = 0.0
            weights["lips/closure"] = 0.0
        if self.config.regional:
            weights["regional/l1"] = self.config.l1
        return weights

    # After training

    @torch.no_grad()
    def style_vector(self, reference: np.ndarray) -> np.ndarray:
        """A style to keep: (R, D) motion -> 2 Z = 512 numbers, scale then shift, float32."""
        motion = torch.from_numpy(np.asarray(reference, np.float32))[None].to(self.W.device)
        with evaluating(self):
            scale, shift = self.style(motion)
        return torch.cat([scale, shift], 1)[0].float().cpu().numpy()

    @torch.no_grad()
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
    ) -> list[Motion]:
        """One take: offsets from the template, metres. The method is deterministic, so `seed` changes nothing.

        Args:
            style: (512,) from `style_vector`; needed unless the model is without the composite part.

        Raises:
            VultusError: more than one take is asked for; no style, or one of the wrong size; another mesh.
        """
        from vultus.motion import Motion
        from vultus.rigs.offsets import OffsetsRig

        if num_takes != 1:
            raise VultusError(f"composite_regional gives one take, {num_takes} asked for; use a probabilistic model")
        if template.vertices.shape != (self.dims.num_vertices, 3):
            raise VultusError(
                f"the template has {len(template.vertices)} vertices; this model is for {self.dims.num_vertices}"
            )
        size = 2 * self.config.channels
        if not self.config.composite:
            style = torch.cat([self.scale, self.shift]).cpu().numpy()
        if style is None or np.shape(style) != (size,):
            found = "none" if style is None else f"shape {np.shape(style)}"
            raise VultusError(f"style: {found}; expected {size} numbers, made by style_vector(reference)")
        on_grid = at_motion_frames(encoder, speech, fps)
        device = self.W.device
        with evaluating(self):
            scale, shift = torch.from_numpy(np.asarray(style, np.float32)).to(device).chunk(2)
            flat = torch.from_numpy(np.asarray(template.vertices, np.float32).reshape(1, -1)).to(device)
            codes = self.decode(
                torch.from_numpy(on_grid)[None].to(device), scale[None], shift[None], self.embed_template(flat)
            )
            values = self.offsets(codes[0].float()).cpu().numpy()
        return [Motion(values, fps, OffsetsRig(self.dims.num_vertices))]


def _full_precision(like: Tensor) -> torch.autocast:
    """Products over 3V coordinates and small differences stay in float32 under mixed precision."""
    return torch.autocast(like.device.type, enabled=False)


def _squared_length(error: Tensor, metric: Tensor | None) -> Tensor:
    """|e|^2 of each frame, (B, T, n) -> (B, T), in the metric of `Products.square` where one is given."""
    if metric is None:
        return (error * error).sum(2)
    return ((error @ metric) * error).sum(2).clamp_min(0.0)


def _closedness(gap: Tensor) -> Tensor:
    """Lip gaps (change from rest), mm -> the same below 0, levelling off at CLOSURE_MM above."""
    above = gap.clamp_min(0.0)
    return gap.clamp_max(0.0) + above / (1.0 + above / CLOSURE_MM)
