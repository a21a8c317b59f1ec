"""The contract of a method: all that the training loop, the benchmark and the exporters may know about one.

A method is a `torch.nn.Module` with a frozen `Config`, `loss(batch)` and `predict(speech, ...)`. It never sees a data
set's name: `Dimensions` tells it sizes, rates and units as numbers.

Letters: B batch, T motion frames, R reference frames, C feature channels, V vertices, D motion dimension (K blendshape
weights where the motion is that of a linear rig, else 3V offsets from the template in metres).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from vultus.errors import VultusError, unknown_name

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from vultus.features.base import Encoder
    from vultus.motion import Motion
    from vultus.speech import Speech
    from vultus.topology import Template


@dataclass(frozen=True)
class Dimensions:
    """What the data look like.

    Attributes:
        num_vertices: V.
        feature_dimension: channels of the speech encoder, C.
        unit: metres in one unit of the model: the standard deviation of the templates' coordinates, so that the
            published weights of the loss mean the same on every mesh.
        centre: metres, the mean of the templates' coordinates.
        head_rotation: whether the last three columns of motion are head rotation (axis-angle, radians).
    """

    num_vertices: int
    feature_dimension: int
    unit: float = 0.1
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    head_rotation: bool = False


@dataclass(frozen=True)
class Batch:
    """Clips cut for training; the shorter ones are padded at their end.

    Attributes:
        features: (B, T, C) speech features, brought to the motion frames by `vultus.clock`.
        motion: (B, T, D) what is to be learnt.
        template: (B, 3V) neutral faces, metres.
        reference: (B, R, D) motion that shows how the subject moves.
        mask: (B, T) True where a frame is real, or None where all are.
        reference_mask: (B, R) likewise.
        fps: motion frames per second.
    """

    features: Tensor
    motion: Tensor
    template: Tensor
    reference: Tensor
    mask: Tensor | None = None
    reference_mask: Tensor | None = None
    fps: float = 30.0


@runtime_checkable
class Method(Protocol):
    """What `methods/<name>.py` offers; the module's `Config` stands beside it.

    Two more are looked for and may be missing. `before_training(data)` of the class is called once before the first
    step with the `TrainingSet`: for statistics, and for what an earlier stage trained. `complete(table)` of the module
    may fill in a recipe's [method] table before the `Config` is made.
    """

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar terms under `group/name` keys, unweighted, each a mean over the clips of the batch."""
        ...

    def loss_weights(self) -> dict[str, float]:
        """The default weight of every key that `loss` returns; the recipe's [loss] table overrides them."""
        ...

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
        """Takes of round(duration x fps) frames; VultusError for more takes than the method can tell apart."""
        ...


ConfigType = TypeVar("ConfigType")


def make_config(cls: type[ConfigType], table: Mapping[str, Any], where: str) -> ConfigType:
    """A config dataclass from a recipe's table; an unknown key or a value of the wrong type is a VultusError."""
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise unknown_name(f"key of [{where}]", key, known)
        default = known[key].default
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if isinstance(default, tuple) and isinstance(value, list):
            numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
            value = tuple(float(item) for item in value) if numbers else value
        if type(value) is not type(default):
            kind = f"a list of {len(default)} numbers" if isinstance(default, tuple) else type(default).__name__
            shown = list(default) if isinstance(default, tuple) else default
            raise VultusError(
                f"{where}.{key} is {value!r} ({type(value).__name__}); expected {kind}, such as {shown!r}"
            )
        values[key] = value
    return cls(**values)
