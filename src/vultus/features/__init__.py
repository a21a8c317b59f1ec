"""Speech encoders: one encoder is one file; the table below names them.

Entries are loaded when asked for, so `import vultus` costs no torch and no onnxruntime.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from vultus.errors import VultusError, unknown_name
from vultus.features.base import Encoder, Features

__all__ = ["ENCODERS", "TORCH_ENCODERS", "Encoder", "Features", "load_encoder", "load_torch_encoder"]

#: Name -> "module:class" of the encoder.
ENCODERS: dict[str, str] = {
    "moonshine": "vultus.features.moonshine:MoonshineEncoder",
    "mel": "vultus.features.mel:MelEncoder",
    "hubert": "vultus.features.hubert:HubertEncoder",
    "wav2vec2": "vultus.features.wav2vec2:Wav2Vec2Encoder",
    "wavlm": "vultus.features.wavlm:WavLMEncoder",
    "ctc_logits": "vultus.features.ctc_logits:CtcLogitsEncoder",
}

#: Name -> "module:function" of the same network as a torch module for fine-tuning, where there is one.
TORCH_ENCODERS: dict[str, str] = {
    "moonshine": "vultus.features.moonshine_torch:load_moonshine_torch",
    "hubert": "vultus.features.hubert:load_hubert",
    "wav2vec2": "vultus.features.wav2vec2:load_wav2vec2",
    "wavlm": "vultus.features.wavlm:load_wavlm",
    "ctc_logits": "vultus.features.ctc_logits:load_ctc_logits",
}


def load_encoder(name: str, **options: Any) -> Encoder:
    """The encoder `name`, ready to run.

    Args:
        name: one of `ENCODERS`.
        options: keywords of its class, such as `loudness=False` of "moonshine" or `checkpoint=FOLDER` of "hubert".

    Raises:
        VultusError: unknown name (with a near miss), unknown option, missing package or file.
    """
    encoder: Encoder = _construct("encoder", name, ENCODERS, options)
    return encoder


def load_torch_encoder(name: str, **options: Any) -> Any:
    """The encoder `name` as a torch module: `forward(samples (B, S), lengths (B,) or None) -> (B, F, C)`.

    It has `dimension`, `rate` (Hz), `offset` (s), `freeze()` and `unfreeze()`; it gives no loudness channels.

    Args:
        name: one of `TORCH_ENCODERS`.
        options: keywords of its function, such as `path` and `taps` of "moonshine" or `checkpoint` of "hubert".

    Raises:
        VultusError: unknown name (with a near miss), unknown option, missing package or file.
    """
    return _construct("encoder with a torch form", name, TORCH_ENCODERS, options)


def _construct(kind: str, name: str, table: dict[str, str], options: dict[str, Any]) -> Any:
    if name not in table:
        raise unknown_name(kind, name, table)
    module, _, attribute = table[name].partition(":")
    try:
        constructor = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise VultusError(f"encoder '{name}' needs package '{error.name}'; pip install 'vultus[train]'") from None
    known = list(inspect.signature(constructor).parameters)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of encoder '{name}'", option, known)
    return constructor(**options)
