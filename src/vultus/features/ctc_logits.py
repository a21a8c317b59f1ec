"""Logits of letters from a wav2vec 2.0 network trained with CTC, in the place of DeepSpeech's in VOCA and its kin.

DeepSpeech itself is no longer maintained; what those methods take from it is, for each frame, a score for each letter.
"""

from __future__ import annotations

from pathlib import Path

from vultus.features.transformers_base import WINDOWS, TorchEncoder, TransformersEncoder, load_pretrained
from vultus.features.windows import Windows

CHECKPOINT = "facebook/wav2vec2-base-960h"


def load_ctc_logits(checkpoint: str | Path = CHECKPOINT) -> TorchEncoder:
    """The network for training: samples -> logits of the checkpoint's letters, before any softmax."""
    model, normalize = load_pretrained("Wav2Vec2ForCTC", checkpoint, "ctc_logits")
    return TorchEncoder(model.wav2vec2, normalize=normalize, head=model.lm_head)


class CtcLogitsEncoder(TransformersEncoder):
    """Speech -> (F, letters) at 50 Hz; 32 letters and marks for the default checkpoint.

    Args:
        checkpoint: name on the Hugging Face hub or a local folder of a `Wav2Vec2ForCTC`.
        windows: how long sound is cut.
        device: "cpu", "cuda" ...
    """

    def __init__(self, *, checkpoint: str | Path = CHECKPOINT, windows: Windows = WINDOWS, device: str = "cpu") -> None:
        super().__init__("ctc_logits", load_ctc_logits(checkpoint), windows=windows, device=device)
