"""What the proof measures on: clips of the synthetic corpus as examples, and fresh takes of them.

A clip of that corpus is a draw from a known process: speech, expression and random layers (blinks, gaze) from one seed.
`fresh_take` draws again for the same line, subject and sound, so the spread of what might have been is known to any
precision. All three layers are the truth here, at 25 fps.

Letters: T motion frames, V vertices.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vultus.benchmark.regions import find_regions
from vultus.clock import num_motion_frames, resample_motion
from vultus.datasets.synthetic import Clip, SyntheticCorpus
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.metrics import Example, Region
from vultus.synthesis.style import Style

FPS = 25.0
"""One frame is 40 ms: the shifts of the proof are whole frames."""
LAYERS = ("speech", "expression", "random")
SHORTEST = 2.5
"""Seconds of a clip: under it a style embedding or a lag rests on too little."""


@functools.lru_cache(maxsize=1)
def head_regions() -> Mapping[str, Region]:
    """Regions of the shipped head, the same for all subjects."""
    return find_regions(load_head().template, "m").regions


def true_motion(clip: Clip) -> np.ndarray:
    """(T, V, 3) of all layers at FPS."""
    return clip.vertices(fps=FPS, layers=LAYERS)


def fresh_take(clip: Clip, seed: int, style: Style | None = None) -> np.ndarray:
    """Another performance of the clip's line on the clip's head, (T, V, 3) at FPS, made as the corpus makes takes.

    Args:
        clip: gives words, sound and head.
        seed: of the take; equal seeds give equal takes, `clip.seed` the clip itself.
        style: whose manner; the subject's own where None.
    """
    from vultus.synthesis.performance import combine, perform

    own = clip.style if style is None else style
    played = perform(clip.phones, _sound(clip), own, clip.head, seed, fps=clip.fps)
    weights = combine(played.speech, played.expression, played.random, head=clip.head)
    count = num_motion_frames(clip.num_samples, FPS)
    return clip.head.rig.vertices(resample_motion(weights, clip.fps, FPS, count), clip.template)


def example_of(clip: Clip, corpus: SyntheticCorpus | None = None, extras: Mapping[str, Any] | None = None) -> Example:
    """A clip as an example whose prediction is the truth itself.

    Args:
        clip: of any split.
        corpus: gives the clip that lends its style; without it there is none.
        extras: as of `vultus.scoring.gate.scorer_extras`.
    """
    truth = true_motion(clip)
    style: dict[str, Any] = {}
    if corpus is not None:
        other = corpus.reference(clip)
        offsets = true_motion(other) - np.asarray(other.template.vertices, np.float32)
        style = {"style_reference": offsets, "style_subject": other.subject}
    return Example(
        name=clip.name,
        subject=clip.subject,
        fps=FPS,
        unit="m",
        reference=truth,
        samples=[truth],
        template=np.asarray(clip.template.vertices, np.float32),
        topology=clip.template.topology,
        regions=head_regions(),
        speech=clip.speech(),
        phones=clip.phones,
        extras=dict(extras or {}),
        **style,
    )


def with_samples(example: Example, samples: Sequence[np.ndarray], **changes: Any) -> Example:
    """The example with other predictions; embeddings of its sound and of its reference are handed on.

    They are the entries that vultus.scoring.examples keeps under ("sync audio", ...) and (..., None).
    """
    changed = replace(example, samples=list(samples), **changes)
    if "reference" not in changes:
        for key, value in example.cache.items():
            if isinstance(key, tuple) and (key[0] == "sync audio" or key[-1] is None):
                changed.cache[key] = value
    return changed


@dataclass(frozen=True)
class Choice:
    """The clips of a proof.

    Attributes:
        clips: of the test split, evenly over subjects and lines.
        groups: takes of one line by one subject each, `num_takes` or more.
    """

    clips: tuple[Clip, ...]
    groups: tuple[tuple[Clip, ...], ...]


def choose(corpus: SyntheticCorpus, num_clips: int, num_lines: int, num_takes: int) -> Choice:
    """Clips evenly over the test subjects, and groups of takes evenly over theirs.

    Raises:
        VultusError: the corpus has no test split, no second subject there, or no line with enough takes.
    """
    if "test" not in corpus.splits:
        raise VultusError(f"corpus {corpus.root}: has no split 'test'; expected one with two subjects at least")
    by_subject: dict[str, list[Clip]] = {}
    for clip in corpus.split("test"):
        if clip.is_speech and clip.duration >= SHORTEST:
            by_subject.setdefault(clip.subject, []).append(clip)
    by_subject = {name: found for name, found in by_subject.items() if len({clip.line for clip in found}) > 1}
    if len(by_subject) < 2:
        raise VultusError(
            f"corpus {corpus.root}: {len(by_subject)} test subjects speak two lines of {SHORTEST:g} s or more; "
            "expected two subjects, so that one can be taken for the other"
        )
    share = -(-num_clips // len(by_subject))
    clips = [clip for found in by_subject.values() for clip in evenly(found, share)]
    groups = [g for g in corpus.take_groups() if len(g) >= num_takes and g[0].split == "test"]
    if not groups:
        raise VultusError(
            f"corpus {corpus.root}: no test line has {num_takes} takes; expected some, make it with `--test-takes "
            f"{num_takes}` or more"
        )
    return Choice(tuple(evenly(clips, num_clips)), tuple(evenly(groups, num_lines)))


def evenly(items: Sequence[Any], count: int) -> list[Any]:
    """`count` items, evenly spaced; all where there are fewer.

    >>> evenly([0, 1, 2, 3, 4, 5], 3)
    [0, 2, 4]
    """
    if len(items) <= count:
        return list(items)
    return [items[k * len(items) // count] for k in range(count)]


@functools.lru_cache(maxsize=4)
def _sound(clip: Clip) -> np.ndarray:
    return clip.speech().samples
