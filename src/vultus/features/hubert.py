"""HuBERT (Hsu et al. 2021) through `transformers`, any size.

The feature is the output of the last block before the encoder's final layer norm, where the network has one (the large
sizes): the tensor that Wu et al. 2023 ("Composite and Regional Facial Movements", ACM Multimedia) take from torchaudio.
"""

from __future__ import annotations

from pathlib import Path

from vultus.features.transformers_base import WINDOWS, TorchEncoder, TransformersEncoder, load_pretrained
from vultus.features.windows import Windows

CHECKPOINT = "facebook/hubert-large-ll60k"


def load_hubert(
    checkpoint: str | Path = CHECKPOINT, *, layer: int | None = None, final_norm: bool = False
) -> TorchEncoder:
    """The network for training; see `TorchEncoder` for `layer` and `final_norm`."""
    model, normalize = load_pretrained("HubertModel", checkpoint, "hubert")
    return TorchEncoder(model, layer=layer, final_norm=final_norm, normalize=normalize)


class HubertEncoder(TransformersEncoder):
    """Speech -> (F, 1024) at 50 Hz (768 for the base size).

    Args:
        checkpoint: name on the Hugging Face hub or a local folder.
        layer: block whose output is taken, counted from 1; default the last.
        final_norm: whether to apply the final layer norm of a large network.
        windows: how long sound is cut.
        device: "cpu", "cuda" ...
    """

    def __init__(
        self,
        *,
        checkpoint: str | Path = CHECKPOINT,
        layer: int | None = None,
        final_norm: bool = False,
        windows: Windows = WINDOWS,
        device: str = "cpu",
    ) -> None:
        module = load_hubert(checkpoint, layer=layer, final_norm=final_norm)
        super().__init__("hubert", module, windows=windows, device=device)
