"""A bundle of `methods/probabilistic.py` as `animate` uses it: several takes of one speech, without torch.

The sound is heard once, whatever the number of takes: of an hour 27 MB are kept, one vector for each step. Then codes
are drawn step after step, and decoded in windows (`vultus.methods.sampling`). Same seed, same bytes; take n does not
depend on how many are asked for.

Letters: T motion frames, T' steps, R reference frames, C feature channels, W width, S style numbers, D motion dimension
(55 weights, then 3 of head rotation).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus import clock
from vultus.errors import VultusError
from vultus.features import load_encoder
from vultus.head import load_head
from vultus.methods.sampling import Sampling, check_request, sample
from vultus.motion import WEIGHT_NAMES, Motion
from vultus.runtime.base import Progress
from vultus.runtime.finish import smooth_motion, without_twitches
from vultus.runtime.frame_grid import FrameGrid
from vultus.runtime.probabilistic_graphs import ProbabilisticGraphs
from vultus.runtime.styles import (
    fits_mesh,
    reference_frames,
    reference_head_rotation,
    reference_weights,
    style_vector,
)
from vultus.topology import Template

if TYPE_CHECKING:
    from vultus.export.read import StyleClip
    from vultus.runtime.sync_choice import SyncChoice
    from vultus.speech import SpeechSource

HEARING_WINDOW = 256
"""Steps that are heard at once; it bounds memory and changes nothing."""
HEAD_SMOOTHING_MS = 80.0
"""Standard deviation of what smooths head rotation: from code to code it trembles by a tenth of a degree, and a head
has next to no motion above 3 Hz."""
_BLOCK = 256  # reference frames whose weights are solved at a time


class Hearing:
    """Features as they come -> what is heard at each step."""

    def __init__(self, network: ProbabilisticGraphs, rate: float, offset: float, window: int = HEARING_WINDOW) -> None:
        self._network, self._window = network, window
        self._grid = FrameGrid(rate, offset, network.fps)
        self._rows = np.zeros((0, network.channels), np.float32)  # motion frames from step `_first` on
        self._first = self._done = 0
        self._parts: list[np.ndarray] = []

    def feed(self, features: np.ndarray) -> None:
        """More features (f, C)."""
        self._rows = np.concatenate([self._rows, self._grid.feed(features)])
        around, stride = self._network.hearing_context, self._network.stride
        while self._first + len(self._rows) // stride >= self._done + self._window + around:
            self._hear(self._done + self._window, self._done + self._window + around)

    def finish(self, num_frames: int) -> np.ndarray:
        """What was heard, (T', W), of a speech of T = `num_frames` frames; the last one is held to its step's end."""
        stride = self._network.stride
        rows = np.concatenate([self._rows, self._grid.finish(num_frames)])
        count = -(-num_frames // stride)
        places = np.arange((count - self._first) * stride)
        self._rows = rows[np.minimum(places, num_frames - 1 - self._first * stride)]
        while self._done < count:
            stop = min(count, self._done + self._window)
            self._hear(stop, min(count, stop + self._network.hearing_context))
        return np.concatenate(self._parts)

    def _hear(self, stop: int, last: int) -> None:
        around, stride = self._network.hearing_context, self._network.stride
        low = max(0, self._done - around)
        heard = self._network.hear(self._rows[(low - self._first) * stride : (last - self._first) * stride])
        self._parts.append(heard[self._done - low : stop - low])
        self._done, keep = stop, max(0, stop - around)
        self._rows, self._first = self._rows[(keep - self._first) * stride :], keep


class ProbabilisticModel:
    """See `vultus.runtime.base.Model`."""

    takes_apart = True

    def __init__(self, network: ProbabilisticGraphs) -> None:
        config = network.config
        self.network, self.name = network, str(config.get("name", network.folder.name))
        self.styles, self.still_shapes = tuple(network.styles), tuple(config.get("still_shapes", ()))
        self._head = load_head()
        self.template = self._head.template
        columns = len(WEIGHT_NAMES)
        if (
            config.get("vertices") != self._head.topology.num_vertices
            or len(network.mouth) != columns
            or network.dimension not in (columns, columns + 3)
        ):
            raise VultusError(f"model '{self.name}' is for another version of the head; train or export it again")
        try:
            self.default_sampling = str(config["default_sampling"])
            self._sampling(None)
            told = config["encoder"]
            self.encoder = load_encoder(told["name"], **told.get("options", {}))
            rates = np.array([float(told["rate"]), float(told["offset"])])
        except (KeyError, TypeError, ValueError) as error:
            raise VultusError(f"{network.folder}: config.json is not that of a whole bundle ({error!r})") from None
        if not np.allclose(rates, [self.encoder.rate, self.encoder.offset]):
            raise VultusError(f"model '{self.name}' was trained with features of another rate than this version makes")
        shapes = self._head.rig.deltas[:, self._head.topology.region("lips")].reshape(columns, -1)
        network.lips = np.pad(shapes, ((0, network.dimension - columns), (0, 0)))
        self._moving = np.array([name not in self.still_shapes for name in WEIGHT_NAMES])

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any]) -> ProbabilisticModel:
        """The model in a bundle folder."""
        return cls(ProbabilisticGraphs(Path(folder), config))

    def predict(
        self,
        source: SpeechSource,
        *,
        style: str | StyleClip | np.ndarray | None = None,
        template: Template | None = None,
        num_takes: int = 1,
        seed: int = 0,
        sampling: str | Sampling | None = None,
        progress: Progress | None = None,
    ) -> list[Motion]:
        """Takes of one speech, at the model's own fps, with head rotation where the model makes it.

        Args:
            source: what is said; read once.
            style: whatever `style` takes.
            template: changes nothing: weights fit every face.
            num_takes: how many; take n is the same whatever this number is.
            seed: of all that is random.
            sampling: see `vultus.methods.sampling`; None is `default_sampling`.
            progress: called with (samples done, samples in all): half of each for hearing it, half for drawing.

        Raises:
            VultusError: what this model cannot do, before any sound is read.
        """
        chosen = self._sampling(sampling)
        check_request(chosen, num_takes, seed, _no_score if chosen.needs_scorer else None)
        self.network.check_sampling(chosen)
        vector = self.style(style)
        choice = self._choice() if chosen.needs_scorer else None
        heard, frames, samples = self._listen(source, choice, progress)
        fps = self.network.fps
        scorer = None if choice is None else lambda motion: choice.score(motion, fps)
        network = copy.copy(self.network)  # its progress is this request's own
        network.tick = _drawing(progress, samples, num_takes * _draws(chosen) * len(heard))
        takes = sample(
            network, heard, vector[None], chosen, frames=frames, num_takes=num_takes, seed=seed, scorer=scorer
        )
        if progress is not None:
            progress(samples, samples)
        return [self._motion(take) for take in takes]

    def style(self, wish: str | StyleClip | np.ndarray | None) -> np.ndarray:
        """A style vector (S,): None is the first preset; text is a preset, a file or a mixture; a clip is measured.

        Raises:
            VultusError: no such preset or file; a clip that is too short, or that moves another mesh.
        """
        presets = self.network.styles
        if wish is None:
            return next(iter(presets.values()))
        if isinstance(wish, str):
            return style_vector(wish, self.name, presets, self._measure)
        if isinstance(wish, np.ndarray):
            size = len(self.network.no_style)
            if wish.shape != (size,) or not np.isfinite(wish).all():
                raise VultusError(f"style vector has shape {wish.shape}; expected {size} finite numbers")
            return wish.astype(np.float32)
        return self._measure(wish)

    def _measure(self, clip: StyleClip) -> np.ndarray:
        """The style of the first minute of a clip."""
        fps, columns = self.network.fps, len(WEIGHT_NAMES)
        if clip.weights is not None:
            weights = reference_weights(clip, fps)
        else:
            fits_mesh(clip, self.template.topology, on_head=True)
            weights = self._solve(clip)
        motion = np.broadcast_to(self.network.mean, (len(weights), self.network.dimension)).copy()
        motion[:, :columns] = weights
        # A recording without head rotation says so by zeros; then the head is taken to rest where heads do.
        if self.network.dimension > columns and clip.head_rotation.any():
            motion[:, columns:] = reference_head_rotation(clip, fps)
        if not np.isfinite(motion).all():
            raise VultusError(f"{clip.source}: its head rotation holds a value that is not a finite number")
        return self.network.style_vector(motion)

    def _solve(self, clip: StyleClip) -> np.ndarray:
        """Weights (R, 55) at the model's fps of a clip of our head's vertices."""
        from vultus.rigs.solve import WeightSolver

        assert clip.template is not None
        frames, count = reference_frames(clip, self.network.fps)
        shapes = self._head.rig.matrix[self._moving]
        solver, weights = WeightSolver(shapes), np.zeros((frames, len(WEIGHT_NAMES)), np.float32)
        for start in range(0, frames, _BLOCK):
            offsets = clip.vertices(start, min(frames, start + _BLOCK)) - clip.template
            weights[start : start + _BLOCK, self._moving] = solver.solve_offsets(offsets, shapes)
        return clock.resample_motion(weights, clip.fps, self.network.fps, count)

    def _sampling(self, wish: str | Sampling | None) -> Sampling:
        wish = self.default_sampling if wish is None else wish
        return wish if isinstance(wish, Sampling) else Sampling.parse_text(wish)

    def _choice(self) -> SyncChoice:
        from vultus.runtime.sync_choice import SyncChoice

        return SyncChoice(self._head)

    def _listen(
        self, source: SpeechSource, choice: SyncChoice | None, progress: Progress | None
    ) -> tuple[np.ndarray, int, int]:
        """What is heard at each step (T', W), T, and the number of samples."""
        hearing, samples = Hearing(self.network, self.encoder.rate, self.encoder.offset), 0

        def blocks() -> Iterator[np.ndarray]:
            nonlocal samples
            for block in source.blocks():
                samples += len(block)
                if choice is not None:
                    choice.feed(block)
                if progress is not None:
                    progress(samples // 2, getattr(source, "expected_samples", 0))
                yield block

        for features in self.encoder.stream(blocks()):
            hearing.feed(features)
        if choice is not None:
            choice.finish()
        frames = clock.num_motion_frames(samples, self.network.fps)
        return hearing.finish(frames), frames, samples

    def _motion(self, take: np.ndarray) -> Motion:
        columns = len(WEIGHT_NAMES)
        weights = np.clip(take[:, :columns], 0.0, 1.0)
        mouth = self.network.mouth > 0
        weights[:, mouth] = without_twitches(weights[:, mouth])
        weights[:, ~self._moving] = 0.0
        rotation = None
        if take.shape[1] > columns:
            rotation = smooth_motion(np.ascontiguousarray(take[:, columns:]), self.network.fps, HEAD_SMOOTHING_MS)
        return Motion(weights, self.network.fps, self._head.rig, rotation)


def _no_score(motion: np.ndarray) -> float:
    return 0.0


def _draws(sampling: Sampling) -> int:
    """Draws of the coarse model for one take."""
    return sampling.draws if sampling.strategy != "region" else 1 + _draws(sampling.inner)


def _drawing(progress: Progress | None, samples: int, total: int) -> Callable[[int], None]:
    """What is told of `total` draws' steps: the second half of the samples."""
    done = 0

    def tick(steps: int) -> None:
        nonlocal done
        done += steps
        if progress is not None:
            progress(samples // 2 + samples * done // (2 * total), samples)

    return tick
