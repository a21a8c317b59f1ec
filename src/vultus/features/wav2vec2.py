"""wav2vec 2.0 (Baevski et al. 2020) through `transformers`: the last hidden state, as FaceFormer uses it."""

from __future__ import annotations

from pathlib import Path

from vultus.features.transformers_base import WINDOWS, TorchEncoder, TransformersEncoder, load_pretrained
from vultus.features.windows import Windows

CHECKPOINT = "facebook/wav2vec2-base-960h"


def load_wav2vec2(checkpoint: str | Path = CHECKPOINT, *, layer: int | None = None) -> TorchEncoder:
    """The network for training; see `TorchEncoder` for `layer`."""
    model, normalize = load_pretrained("Wav2Vec2Model", checkpoint, "wav2vec2")
    return TorchEncoder(model, layer=layer, normalize=normalize)


class Wav2Vec2Encoder(TransformersEncoder):
    """Speech -> (F, 768, or 1024 for the large size) at 50 Hz.

    Args:
        checkpoint: name on the Hugging Face hub or a local folder.
        layer: block whose output is taken, counted from 1; default the last, and then the final
            layer norm where the network has one.
        windows: how long sound is cut.
        device: "cpu", "cuda" ...
    """

    def __init__(
        self,
        *,
        checkpoint: str | Path = CHECKPOINT,
        layer: int | None = None,
        windows: Windows = WINDOWS,
        device: str = "cpu",
    ) -> None:
        super().__init__("wav2vec2", load_wav2vec2(checkpoint, layer=layer), windows=windows, device=device)
