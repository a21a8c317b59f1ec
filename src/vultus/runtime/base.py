"""The contract of a model that runs without torch: speech in, motion out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vultus.errors import VultusError
from vultus.motion import Motion
from vultus.runtime.defaults import TAKES_MODEL
from vultus.topology import Template

if TYPE_CHECKING:
    from vultus.export.read import StyleClip
    from vultus.methods.sampling import Sampling
    from vultus.speech import SpeechSource

Progress = Callable[[int, int], None]
"""Called with (done, total); a total of 0 means not known yet."""


class Model(Protocol):
    """What `animate`, the benchmark and the server may know of a model.

    Attributes:
        name: bundle name.
        styles: names of the style presets; the first is the default.
        template: the neutral face it speaks with unless told otherwise.
        still_shapes: names of shapes that it never moves; the layer of life may.
        takes_apart: whether it can give several takes of one speech; False where it is deterministic.
        default_sampling: how it draws takes unless told otherwise; None where it is deterministic.
    """

    name: str
    styles: tuple[str, ...]
    template: Template
    still_shapes: tuple[str, ...]
    takes_apart: bool
    default_sampling: str | None

    def predict(
        self,
        source: SpeechSource,
        *,
        style: Any = None,
        template: Template | None = None,
        num_takes: int = 1,
        seed: int = 0,
        sampling: str | Sampling | None = None,
        progress: Progress | None = None,
    ) -> list[Motion]:
        """One Motion for each take, at the model's own fps; memory grows with the motion, not with the sound.

        Args:
            source: what is said; read once, however many takes are made of it.
            style: whatever `style` takes.
            template: the neutral face that speaks.
            num_takes: how many; take n is the same whatever this number is.
            seed: of all that is random.
            sampling: how takes are drawn ("plain", "avg-10" ...); None is `default_sampling`.
            progress: called with (samples heard, samples in all).

        Raises:
            VultusError: what this model cannot do, before any sound is read.
        """
        ...

    def style(self, wish: str | StyleClip | None) -> Any:
        """A manner to predict in: None is the default; text is a preset, a file or a mixture
        (`vultus.runtime.styles`); a clip is measured. What it returns may be given back to it."""
        ...


def one_take_only(name: str, num_takes: int, sampling: object = None) -> None:
    """Refuses several takes, and ways of drawing them, of a deterministic model."""
    if num_takes != 1:
        raise VultusError(
            f"model '{name}' is deterministic and gives 1 take, not {num_takes}; expected a model that draws takes, "
            f"such as '{TAKES_MODEL}'"
        )
    if sampling is not None:
        raise VultusError(
            f"model '{name}' is deterministic and draws nothing by sampling '{sampling}'; expected a model that draws "
            f"takes, such as '{TAKES_MODEL}', or no sampling"
        )


class TeeSource:
    """A speech source that shows every block of a reading to a listener, so that one decoding serves two readers."""

    def __init__(self, source: SpeechSource, listener: Callable[[np.ndarray], None]):
        self._source = source
        self._listener = listener

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def num_samples(self) -> int:
        return self._source.num_samples

    @property
    def duration(self) -> float:
        return self._source.duration

    @property
    def expected_samples(self) -> int:
        """About how many samples there are, without reading them; 0 where nobody knows."""
        return getattr(self._source, "expected_samples", 0)

    def blocks(self, block: int = 160_000) -> Iterator[np.ndarray]:
        for samples in self._source.blocks(block):
            self._listener(samples)
            yield samples

    def sound(self, rate: int) -> Iterator[np.ndarray]:
        return self._source.sound(rate)
