"""The matrix W of a bundle or of a training run, read without torch: what each element of a code moves.

Letters: V vertices, Z elements of a code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.runtime.bundle import load


@dataclass(frozen=True)
class Embedding:
    """alpha W^T of a model.

    Attributes:
        name: of the bundle or the run folder.
        matrix: (Z, V, 3) metres of offset for each unit of code.
        penalty: weight of |W|_1 in its training; None where the model does not say.
    """

    name: str
    matrix: np.ndarray
    penalty: float | None

    @property
    def label(self) -> str:
        """Name and penalty, for captions."""
        if self.penalty is None:
            return self.name
        return f"{self.name} ({'no L1 penalty' if self.penalty == 0 else f'L1 penalty {self.penalty:g}'})"


def read_embedding(source: str | Path) -> Embedding:
    """From the name or folder of a bundle, or from a run folder of `vultus train` (finished or under way).

    Raises:
        VultusError: neither, or a model without such a matrix.
    """
    folder = Path(source)
    if (folder / "settings.json").is_file():
        return _from_run(folder)
    model = load(source)
    network = getattr(model, "network", None)
    if not hasattr(network, "offset_matrix"):
        raise VultusError(f"model '{source}': has no matrix W; expected a composite_regional bundle or run")
    matrix = network.offset_matrix  # type: ignore[union-attr]
    return Embedding(model.name, matrix.reshape(len(matrix), -1, 3), None)


def _from_run(folder: Path) -> Embedding:
    from vultus.figures.base import need

    found = [folder / name for name in ("model.safetensors", "state.safetensors") if (folder / name).is_file()]
    if not found:
        raise VultusError(f"{folder}: no model.safetensors; expected a run folder of `vultus train`, once it has saved")
    safetensors = need("safetensors")
    try:
        settings: dict[str, Any] = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        with safetensors.safe_open(found[0], framework="np") as file:
            W = file.get_tensor("model.W")  # (Z, 3V)
        scale = float(settings["method"]["alpha"]) * float(settings["dimensions"]["unit"])
        regional = bool(settings["method"]["regional"])
        penalty = float(settings["loss"].get("regional/l1", settings["method"]["l1"])) if regional else 0.0
        matrix = (W * np.float32(scale)).reshape(len(W), -1, 3)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, safetensors.SafetensorError) as error:
        raise VultusError(f"{folder}: not a run of composite_regional ({error!r}); expected its run folder") from None
    return Embedding(folder.name, matrix, penalty)
