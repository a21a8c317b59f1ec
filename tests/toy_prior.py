"""An untrained prior of the probabilistic method on the shipped head, behind mel features, and its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vultus.features.mel import MelEncoder
from vultus.head import load_head
from vultus.methods.base import Dimensions
from vultus.methods.export_probabilistic import export
from vultus.methods.probabilistic import Config, Probabilistic
from vultus.motion import WEIGHT_NAMES

ENCODER = MelEncoder()
TINY: dict[str, Any] = {
    "stage": "prior", "codec": "run", "width": 32, "heads": 2, "coarse_layers": 2, "fine_layers": 2, "memory": 6,
    "fine_band": 2, "band": 2, "levels": 3, "codes": 16, "code_size": 8, "channels": 16, "stride": 2, "style_size": 12,
    "style_width": 16, "style_layers": 2,
}  # fmt: skip
MOUTH = np.array([name.startswith(("jaw", "mouth", "tongue")) for name in WEIGHT_NAMES])


def make(**changes: Any) -> Probabilistic:
    """A prior whose every part matters: nothing stands at a start of zeros, and statistics are off 0 and 1."""
    head, generator = load_head(), torch.Generator().manual_seed(5)
    dims = Dimensions(head.topology.num_vertices, ENCODER.dimension, 0.04, head_rotation=True)
    model = Probabilistic(Config(**{**TINY, **changes}), dims, rig=head.rig.matrix)
    codec, lips = model.codec, head.topology.region("lips")
    with torch.no_grad():
        for parameter in [*model.coarse.parameters(), *(model.fine.parameters() if model.fine is not None else ())]:
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for level in codec.levels:
            level._codebook.embed.normal_(generator=generator)  # type: ignore[union-attr, operator]
        codec.mean.copy_(0.3 * torch.rand(codec.dimension, generator=generator))
        codec.deviation.copy_(0.1 + torch.rand(codec.dimension, generator=generator))
        codec.mouth.copy_(torch.from_numpy(MOUTH))
        model.hearing.mean.fill_(-9.0)
        model.hearing.deviation.copy_(1.0 + torch.rand(ENCODER.dimension, generator=generator))
    codec.lips = torch.from_numpy(head.rig.deltas[:, lips].reshape(len(WEIGHT_NAMES), -1).copy())
    return model.eval()


def save(model: Probabilistic, folder: Path, **changes: Any) -> Path:
    rng = np.random.default_rng(0)
    size = model.config.style_size
    settings: dict[str, Any] = {
        "name": "toy", "summary": "a toy", "default_sampling": "plain", "still_shapes": ("cheekPuff",),
        "encoder": {"name": "mel", "rate": ENCODER.rate, "offset": ENCODER.offset},
        "styles": {name: rng.normal(size=size).astype(np.float32) for name in ("neutral", "lively")}, **changes,
    }  # fmt: skip
    return export(model, folder, **settings)
