"""What the encoders of the wav2vec2 family share: hubert, wav2vec2, wavlm and ctc_logits, through `transformers`.

`TorchEncoder` is the network for training: a batch in, features out, with gradients. `TransformersEncoder` is the same
network behind the contract of an encoder. Both standardise the sound (zero mean, unit variance, each clip by itself),
as the checkpoints expect. Frame i sees samples 320 i to 320 i + 399 and stands at (320 i + 200) / 16000 s, 50 Hz.

More than 30 s go through in windows of 30 s, cross-faded (windows.py); each window is then standardised by itself.

Letters: B batch, S samples at 16 kHz, F feature frames, C channels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.features.base import Features, as_samples, blocks_of
from vultus.features.windows import Grid, WindowedRun, Windows

try:
    import torch
    import transformers
    from torch import Tensor, nn
except ImportError as error:
    raise VultusError(
        f"this encoder needs torch and transformers (missing: {error.name}); pip install 'vultus[train]'"
    ) from None

if TYPE_CHECKING:
    from vultus.speech import SpeechSource

WINDOWS = Windows(length=30.0, hop=27.0, margin=1.0, fade=1.0)


class TorchEncoder(nn.Module):
    """A network of the wav2vec2 family, cut where its features are taken.

    Args:
        model: a `HubertModel`, `Wav2Vec2Model` or `WavLMModel`.
        layer: block whose output is the feature, counted from 1; the last where None. Later blocks are dropped.
        final_norm: whether the layer norm after the last block is applied, in networks that have one ("stable layer
            norm", the large ones); only with the last block.
        normalize: whether each clip is brought to zero mean and unit variance first.
        head: a map of the last axis put on top (the letters of a CTC model).

    Attributes:
        dimension: C.
        rate, offset: Hz and seconds, as of every encoder.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layer: int | None = None,
        final_norm: bool = True,
        normalize: bool = True,
        head: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        config: Any = model.config
        count = config.num_hidden_layers
        layer = count if layer is None else layer
        if not 1 <= layer <= count:
            raise VultusError(f"layer is {layer}; this network has blocks 1 to {count}")
        self.extractor: Any = model.feature_extractor
        self.projection: Any = model.feature_projection
        encoder: Any = model.encoder
        encoder.layers = encoder.layers[:layer]
        if getattr(config, "do_stable_layer_norm", False) and (layer < count or not final_norm):
            encoder.layer_norm = nn.Identity()
        self.encoder = encoder
        # Blocks skipped at random would make training depend on the number of processes.
        config.layerdrop = 0.0
        self.head = head
        self.normalize = normalize
        # A group norm looks over the whole clip, padding included: such networks take a padded batch clip by clip.
        self._one_by_one = config.feat_extract_norm == "group"
        receptive, stride = 1, 1
        for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
            receptive, stride = receptive + (kernel - 1) * stride, stride * step
        self.grid = Grid(stride, receptive)
        self.rate = SAMPLE_RATE / stride
        self.offset = (receptive // 2) / SAMPLE_RATE
        self.dimension: int = config.hidden_size if head is None else head.out_features
        self._frozen = False

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features of a batch; an item of a padded batch equals the item alone.

        Args:
            samples: (B, S) float at 16 kHz, as `Speech.samples`.
            lengths: (B,) true lengths in samples, or None where all are S; one under 400 counts as 400.

        Returns:
            (B, F, C), F = max(1, (S - 400) // 320 + 1); frames past an item's own are zero.
        """
        if samples.shape[-1] < self.grid.receptive:
            samples = nn.functional.pad(samples, (0, self.grid.receptive - samples.shape[-1]))
        if lengths is None:
            return self._top(self._stem(self._standardised(samples, None)), None)
        lengths = lengths.to(samples.device).clamp(min=self.grid.receptive)
        samples = self._standardised(samples, lengths)
        counts = (lengths - self.grid.receptive) // self.grid.stride + 1
        mask = torch.arange(self.grid.num_frames(samples.shape[-1]), device=samples.device) < counts[:, None]
        if self._one_by_one:
            items = [self._stem(samples[i : i + 1, : int(n)])[0] for i, n in enumerate(lengths)]
            stem = nn.utils.rnn.pad_sequence(items, batch_first=True)
            stem = nn.functional.pad(stem, (0, 0, 0, mask.shape[1] - stem.shape[1]))
        else:
            stem = self._stem(samples)
        return self._top(stem, mask) * mask[..., None]

    def _standardised(self, samples: Tensor, lengths: Tensor | None) -> Tensor:
        if not self.normalize:
            return samples
        if lengths is None:
            variance, mean = torch.var_mean(samples, dim=-1, correction=0, keepdim=True)
            return (samples - mean) * torch.rsqrt(variance + 1e-7)
        inside = torch.arange(samples.shape[-1], device=samples.device) < lengths[:, None]
        mean = (samples * inside).sum(-1, keepdim=True) / lengths[:, None]
        centred = (samples - mean) * inside
        variance = centred.square().sum(-1, keepdim=True) / lengths[:, None]
        return centred * torch.rsqrt(variance + 1e-7)

    def _stem(self, samples: Tensor) -> Tensor:
        """(B, S) -> (B, F, channels of the convolutions)."""
        return self.extractor(samples).transpose(1, 2)

    def _top(self, stem: Tensor, mask: Tensor | None) -> Tensor:
        x = self.projection(stem)
        # HuBERT's projection gives one tensor, the others' two: projected and merely normalised.
        x = x if isinstance(x, Tensor) else x[0]
        with warnings.catch_warnings():
            # WavLM of transformers 5 hands torch two masks of different types, which is allowed but warned of.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            x = self.encoder(x, attention_mask=mask).last_hidden_state
        return x if self.head is None else self.head(x)

    def freeze(self) -> None:
        """Stops learning and dropout until `unfreeze`: for the warm-up of whatever stands on these features."""
        self._frozen = True
        self.requires_grad_(False)
        self.eval()

    def unfreeze(self) -> None:
        """Lets all weights learn again; dropout follows `train()` again."""
        self._frozen = False
        self.requires_grad_(True)

    def train(self, mode: bool = True) -> TorchEncoder:
        """As of every module, but a frozen one stays in evaluation mode."""
        super().train(mode and not self._frozen)
        return self


def load_pretrained(architecture: str, checkpoint: str | Path, name: str) -> tuple[Any, bool]:
    """A network of `transformers` and whether it wants standardised sound.

    Args:
        architecture: class of transformers, such as "HubertModel".
        checkpoint: name on the Hugging Face hub, or a local folder with config.json and weights.
        name: of the encoder, for messages.

    Raises:
        VultusError: no such folder or hub name, no network, or a checkpoint of another kind.
    """
    kind = getattr(transformers, architecture)
    expected = kind.config_class.model_type
    try:
        config = transformers.AutoConfig.from_pretrained(checkpoint)
        if config.model_type != expected:
            raise VultusError(f"{name}: {checkpoint} holds a '{config.model_type}' network; expected '{expected}'")
        model = kind.from_pretrained(checkpoint, config=config)
    except VultusError:
        raise
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise VultusError(
            f"{name}: cannot load '{checkpoint}' ({reason}); expected a name on the Hugging Face hub or a local folder"
            " with config.json and model.safetensors"
        ) from None
    try:
        normalize = bool(transformers.Wav2Vec2FeatureExtractor.from_pretrained(checkpoint).do_normalize)
    except (OSError, ValueError):  # a checkpoint without preprocessor_config.json
        normalize = True
    return model.float().eval(), normalize


class TransformersEncoder:
    """A `TorchEncoder` behind the contract of `Encoder`.

    Args:
        name: in the table of encoders.
        module: the network; put into evaluation mode.
        windows: how long sound is cut.
        device: "cpu", "cuda" ...
    """

    def __init__(self, name: str, module: TorchEncoder, *, windows: Windows = WINDOWS, device: str = "cpu") -> None:
        self.name = name
        self.module = module.to(device).eval()
        self.device = device
        self.dimension, self.rate, self.offset = module.dimension, module.rate, module.offset
        self._plan = windows.in_frames(self.rate)

    def __call__(self, speech: SpeechSource) -> Features:
        """Features of a whole speech, F = max(1, (S - 400) // 320 + 1)."""
        return Features(np.concatenate(list(self.stream(speech.blocks()))), self.rate, self.offset)

    def stream(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Blocks (S,) float32 of any sizes -> blocks (f, C); see `Encoder.stream`."""
        run = WindowedRun(lambda sound, _: self._run(sound), self.module.grid, self._plan, self.dimension)
        for block in blocks:
            for piece in blocks_of(as_samples(block)):
                frames = run.feed(piece)
                if len(frames):
                    yield frames
        yield run.finish()

    def _run(self, samples: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            values = self.module(torch.from_numpy(samples).to(self.device)[None])[0]
        return values.float().cpu().numpy()
