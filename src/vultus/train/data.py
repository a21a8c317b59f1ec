"""Clips -> batches: crops of features, motion, template and a reference performance.

Every batch is a function of (seed, epoch, step): nothing is remembered between batches, so a resumed run sees the same
ones, and processes of a distributed run each make only their share.

Letters: B batch, S samples, F feature frames, T motion frames, R reference frames, C channels, V vertices, K blendshape
weights, D motion dimension (K or 3V).
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vultus import clock
from vultus.errors import VultusError
from vultus.methods.base import Batch, Dimensions
from vultus.train.augment import Plan, apply_plan, draw_plan
from vultus.train.cache import FeatureCache, Job, Progress
from vultus.train.clips import Offsets, clip_key, template_key
from vultus.train.recipe import DataConfig

if TYPE_CHECKING:
    from vultus.features.base import Encoder
    from vultus.topology import Topology

MIN_REFERENCE_SECONDS = 1.0
NO_ENCODER = "none"

MAX_TEMPLATES = 1024
"""Neutral faces kept in memory; they also tell the unit of the model. Sets with one for each clip have a million."""


@dataclass
class Entry:
    """One clip of the training set, in one copy. `motion` (T, D) at `fps` is shared between copies."""

    clip: Any
    key: str
    plan: Plan
    motion: np.ndarray | Offsets
    fps: float

    @cached_property
    def seconds(self) -> float:
        return self.plan.duration(len(self.motion) / self.fps)


@dataclass
class Cut:
    """One training cut: arrays of T frames and the sound under them."""

    entry: Entry
    start: int
    frames: int
    features: np.ndarray | None
    motion: np.ndarray
    reference: np.ndarray


@dataclass(frozen=True)
class SoundBatch:
    """What a fine-tuned encoder needs instead of features: samples (B, S), their lengths, and T."""

    samples: torch.Tensor
    lengths: torch.Tensor
    frames: int


@dataclass
class TrainingSet:
    """Clips of a split, ready to be cut into batches.

    Args:
        clips: the clips.
        config: the [data] table.
        make_encoder: gives the speech encoder (a picklable call).
        cache: folder for features; None where the encoder is fine-tuned and reads the sound itself.
        rig: (K, 3V) metres, where `config.space` is "weights".
        gaps: (M, 3V) lip gap functionals, mm per metre, or None.
        augment: False leaves augmented copies out (validation).

    Attributes:
        topology, unit: of the clips' templates.
    """

    clips: Sequence[Any]
    config: DataConfig
    make_encoder: Callable[[], Encoder] | None = None
    cache_folder: Path | None = None
    rig: np.ndarray | None = None
    gaps: np.ndarray | None = None
    augment: bool = True
    progress: Progress | None = None
    entries: list[Entry] = field(init=False, default_factory=list)
    topology: Topology = field(init=False)
    unit: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if not self.clips:
            raise VultusError(f"data: split '{self.config.split}' has no clips; build a larger corpus")
        self._by_subject: dict[str, list[Entry]] = defaultdict(list)
        self._templates: dict[str, np.ndarray] = {}
        jobs: list[Job] = []
        budget = self.config.hours * 3600.0 or float("inf")
        for clip in self.clips:
            if budget <= 0.0:
                break
            key = clip_key(clip, read=self.make_encoder is not None)
            motion, fps = self._motion_of(clip)
            budget -= len(motion) / fps
            if len(self._templates) < MAX_TEMPLATES and template_key(clip) not in self._templates:
                self._templates[template_key(clip)] = self._template(clip)
            for copy in range(1 + (self.config.copies if self.augment else 0)):
                entry = Entry(clip, key, draw_plan(self.config.seed, key, copy), motion, fps)
                self.entries.append(entry)
                jobs.append(Job(key, entry.plan, clip.speech))
            # Somebody who says nothing (noise-only clips) does not show how they speak.
            if len(motion) / fps >= MIN_REFERENCE_SECONDS and getattr(clip, "is_speech", True):
                self._by_subject[clip.subject].append(self.entries[-1])
        # A long clip is cut more often than a short one in each epoch.
        turns = [max(1, round(entry.seconds / self.config.crop)) for entry in self.entries]
        self.order = np.repeat(np.arange(len(self.entries)), turns)
        self.cache: FeatureCache | None = None
        if self.cache_folder is not None and self.make_encoder is not None:
            self.cache = FeatureCache(self.cache_folder, self.make_encoder)
            self.cache.build(jobs, self.config.workers, self.progress)

    def __len__(self) -> int:
        """Cuts in an epoch."""
        return len(self.order)

    @property
    def hours(self) -> float:
        """Hours of clips, augmented copies included."""
        return sum(entry.seconds for entry in self.entries) / 3600.0

    @property
    def feature_dimension(self) -> int:
        """Channels of the cached features; 0 where there are none."""
        return 0 if self.cache is None else self.cache.dimension

    def region(self, name: str) -> np.ndarray:
        """Vertex numbers of a region: as the topology names it, else by the geometry of a neutral face; maybe none."""
        if name in self.topology.regions:
            return np.asarray(self.topology.region(name), np.int64)
        from vultus.benchmark.regions import find_regions

        found = find_regions(self.clips[0].template, "area" if self.unit == "area" else "m").regions
        return np.asarray(found[name].vertices if name in found else [], np.int64)

    def dimensions(self, feature_dimension: int) -> Dimensions:
        """Sizes and unit of these data: the mean and the standard deviation of the templates' coordinates."""
        faces = np.stack(list(self._templates.values())).reshape(-1, 3)
        centre = faces.mean(0)
        x, y, z = (float(value) for value in centre)
        return Dimensions(
            num_vertices=len(faces) // len(self._templates),
            feature_dimension=feature_dimension,
            unit=float((faces - centre).std()),
            centre=(x, y, z),
            head_rotation=self.config.head_rotation,
        )

    def steps(self, batch: int) -> int:
        """Batches in an epoch; what is left over takes part in another epoch's order."""
        return max(1, len(self) // batch)

    def epoch_order(self, epoch: int) -> np.ndarray:
        """Entry numbers in the order of an epoch."""
        return np.random.default_rng([self.config.seed, 1, epoch]).permutation(self.order)

    def batch(self, epoch: int, step: int, size: int, share: slice = slice(None)) -> tuple[Batch, SoundBatch | None]:
        """Batch number `step` of an epoch: `size` clips over all processes, of which this one makes `share`."""
        order = self.epoch_order(epoch)
        places = np.arange(step * size, (step + 1) * size)[share]
        cuts = [self._cut(self.entries[order[place % len(order)]], epoch, int(place)) for place in places]
        frames = max(cut.frames for cut in cuts)
        motion, mask = _pad([cut.motion for cut in cuts], frames)
        reference, reference_mask = _pad([cut.reference for cut in cuts], max(len(cut.reference) for cut in cuts))
        template = torch.from_numpy(np.stack([self._template(cut.entry.clip) for cut in cuts]))
        if self.cache is not None:
            features, _ = _pad([cut.features for cut in cuts if cut.features is not None], frames)
            sound = None
        elif self.config.encoder == NO_ENCODER:
            features, sound = torch.zeros(len(cuts), frames, 0), None
        else:
            features, sound = torch.zeros(len(cuts), frames, 0), self._sound(cuts, frames)
        return Batch(features, motion, template, reference, mask, reference_mask, self.config.fps), sound

    def _cut(self, entry: Entry, epoch: int, place: int) -> Cut:
        rng = np.random.default_rng([self.config.seed, 2, epoch, place])
        fps = self.config.fps
        total = max(1, int(entry.seconds * fps))
        frames = min(total, round(self.config.crop * fps))
        start = int(rng.integers(total - frames + 1))
        times = clock.motion_times(frames, fps, start)
        features = None
        if self.cache is not None:
            features = _resample_slice(
                self.cache.read(entry.key, entry.plan), self.cache.rate, self.cache.offset, times
            )
        motion = _resample_slice(entry.motion, entry.fps, 0.0, entry.plan.source_times(times))
        reference = motion
        if self.config.reference == "subject":
            reference = self._reference(entry, rng)
        elif frames < round(MIN_REFERENCE_SECONDS * fps):  # too short to be its own reference: the rest pose goes on
            pad = round(MIN_REFERENCE_SECONDS * fps) - frames
            reference = np.concatenate([motion, np.repeat(motion[-1:], pad, 0)])
        return Cut(entry, start, frames, features, motion, reference)

    def _reference(self, entry: Entry, rng: np.random.Generator) -> np.ndarray:
        """A piece of another clip of the same subject; of this clip where the subject has no other."""
        others = [other for other in self._by_subject[entry.clip.subject] if other.key != entry.key]
        source = others[int(rng.integers(len(others)))] if others else entry
        fps, seconds = self.config.fps, len(source.motion) / source.fps
        total = max(1, int(seconds * fps))
        frames = min(total, round(self.config.reference_seconds * fps))
        start = int(rng.integers(total - frames + 1))
        return _resample_slice(source.motion, source.fps, 0.0, clock.motion_times(frames, fps, start))

    def _template(self, clip: Any) -> np.ndarray:
        """(3V,) float32; VultusError where it is of another mesh or unit than those before."""
        kept = self._templates.get(template_key(clip))
        if kept is not None:
            return kept
        topology, unit = clip.template.topology, getattr(clip, "unit", "m")
        if self.unit and (topology.num_vertices, unit) != (self.topology.num_vertices, self.unit):
            raise VultusError(
                f"clip '{clip.name}' has {topology.num_vertices} vertices in {unit}, clips before it "
                f"{self.topology.num_vertices} in {self.unit}; expected one mesh and one unit; train on one at a time"
            )
        self.topology, self.unit = topology, unit
        return np.asarray(clip.template.vertices, np.float32).reshape(-1)

    def _sound(self, cuts: list[Cut], frames: int) -> SoundBatch:
        length = round(frames / self.config.fps * clock.SAMPLE_RATE)
        samples = np.zeros((len(cuts), length), np.float32)
        lengths = np.zeros(len(cuts), np.int64)
        for row, cut in enumerate(cuts):
            whole = apply_plan(cut.entry.clip.speech().samples, cut.entry.plan)
            first = round(cut.start / self.config.fps * clock.SAMPLE_RATE)
            piece = whole[first : first + round(cut.frames / self.config.fps * clock.SAMPLE_RATE)]
            samples[row, : len(piece)] = piece
            lengths[row] = max(len(piece), 1)
        return SoundBatch(torch.from_numpy(samples), torch.from_numpy(lengths), frames)

    def _motion_of(self, clip: Any) -> tuple[np.ndarray | Offsets, float]:
        """Motion at its stored rate; weights are kept as float16, vertices are read when they are cut."""
        fps = float(clip.fps)
        values: np.ndarray | Offsets
        if self.config.space == "weights":
            if "layers" not in inspect.signature(getattr(clip, "motion", len)).parameters:
                raise VultusError(
                    f"data.space is 'weights', which clip '{clip.name}' does not have; expected 'vertices' for "
                    "recorded data"
                )
            layers = tuple(name.strip() for name in self.config.layers.split(","))
            values = np.asarray(clip.motion(layers=layers, fps=fps), np.float16)
            if self.config.head_rotation:
                values = np.concatenate([values, np.asarray(clip.head_rotation(fps), np.float16)], axis=1)
        elif self.config.space == "parameters":
            values = np.asarray(clip.motion(fps=fps), np.float32)
        else:
            values = Offsets(clip)
        if len(values) == 0:
            raise VultusError(f"clip '{clip.name}' has no motion frames; check the data set")
        return values, fps


def grid_matrix(num_features: int, rate: float, offset: float, frames: int, fps: float) -> np.ndarray:
    """(T, F): features of a whole cut -> motion frames, for encoders that are trained along."""
    return clock.resample_at(np.eye(num_features, dtype=np.float32), rate, offset, clock.motion_times(frames, fps))


def _resample_slice(values: np.ndarray | Offsets, rate: float, offset: float, times: np.ndarray) -> np.ndarray:
    """`clock.resample_at`, reading only the frames that are needed of a long or memory-mapped array."""
    last = len(values) - 1
    low = int(np.clip(np.floor((times[0] - offset) * rate) - 1, 0, last))
    high = int(np.clip(np.ceil((times[-1] - offset) * rate) + 2, low + 1, last + 1))
    return clock.resample_at(values[low:high], rate, offset + low / rate, times)


def _pad(arrays: Sequence[np.ndarray], length: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Stacks (n, D) arrays to (B, length, D), zero after their ends, with a mask where any is shorter."""
    out = np.zeros((len(arrays), length, arrays[0].shape[1]), np.float32)
    mask = np.zeros((len(arrays), length), bool)
    for row, array in enumerate(arrays):
        out[row, : len(array)] = array
        mask[row, : len(array)] = True
    return torch.from_numpy(out), None if mask.all() else torch.from_numpy(mask)
