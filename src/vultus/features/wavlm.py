"""WavLM (Chen et al. 2022) through `transformers`: the last hidden state, or that of an earlier block."""

from __future__ import annotations

from pathlib import Path

from vultus.features.transformers_base import WINDOWS, TorchEncoder, TransformersEncoder, load_pretrained
from vultus.features.windows import Windows

CHECKPOINT = "microsoft/wavlm-large"


def load_wavlm(checkpoint: str | Path = CHECKPOINT, *, layer: int | None = None) -> TorchEncoder:
    """The network for training; see `TorchEncoder` for `layer`."""
    model, normalize = load_pretrained("WavLMModel", checkpoint, "wavlm")
    return TorchEncoder(model, layer=layer, normalize=normalize)


class WavLMEncoder(TransformersEncoder):
    """Speech -> (F, 1024, or 768 for the base size) at 50 Hz.

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
        super().__init__("wavlm", load_wavlm(checkpoint, layer=layer), windows=windows, device=device)
