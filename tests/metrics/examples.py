"""Examples to measure, shared by the tests of the metrics.

`make_example()` is the shipped head speaking one made-up line, with every optional part: sound, phones, several
samples, a reference clip of the same manner. `small_example()` is a few random vertices, for values checked to the
last digit. `face_of(...)` builds one from arrays written out in a test. `dataclasses.replace(example, samples=[...])`
makes a changed copy with an empty cache.

Letters: T motion frames, V vertices, N samples, K shapes of the rig.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from vultus.metrics.base import Example, Region
from vultus.speech import Speech
from vultus.synthesis.phones import Phone
from vultus.topology import Topology

LINE = "SIL M AA M AH SIL F IY V UW P AA B OW SIL"  # closures, lip-to-teeth contacts, open and round vowels, pauses
SECONDS = {"SIL": 0.7, **dict.fromkeys("MFVPB", 0.09)}


def region_of(name: str, vertices: Sequence[int] | np.ndarray, weights: Sequence[float] | None = None) -> Region:
    """A region with weights 1 unless told otherwise."""
    numbers = np.asarray(vertices, np.int64)
    return Region(name, numbers, np.ones(len(numbers), np.float32) if weights is None else np.float32(weights), "file")


def face_of(
    reference: Any, samples: Sequence[Any], regions: Mapping[str, Region] | None = None, **more: Any
) -> Example:
    """An Example of arrays (T, V, 3): a fan of triangles, 25 fps, metres, template 0, every region all vertices."""
    reference = np.asarray(reference, np.float32)
    count = reference.shape[1] if reference.ndim == 3 else 3
    faces = np.array([[0, i, i + 1] for i in range(1, count - 1)], np.int32).reshape(-1, 3)
    everything = {name: region_of(name, np.arange(count)) for name in ("face", "lips", "upper_face")}
    given: dict[str, Any] = {
        "name": "anna_s1", "subject": "anna", "fps": 25.0, "unit": "m",
        "template": np.zeros((count, 3), np.float32), "topology": Topology(faces, count),
        **more,
    }  # fmt: skip
    return Example(
        reference=reference,
        samples=[np.asarray(sample, np.float32) for sample in samples],
        regions={**everything, **(regions or {})},
        **given,
    )


def small_example(seed: int = 0, num_frames: int = 23, num_samples: int = 4, num_vertices: int = 40) -> Example:
    """Random motion of a few millimetres; the lips have fractional weights, the upper face plain ones."""
    rng = np.random.default_rng([seed, 77])
    template = rng.normal(0, 0.05, (num_vertices, 3)).astype(np.float32)
    reference = template + rng.normal(0, 0.003, (num_frames, num_vertices, 3)).astype(np.float32)
    half = num_vertices // 2
    regions = {
        "lips": region_of("lips", np.arange(1, half, 2), rng.uniform(0.2, 1, len(range(1, half, 2))).tolist()),
        "upper_face": region_of("upper_face", np.arange(half, num_vertices, 3)),
    }
    samples = [reference + rng.normal(0, 0.002, reference.shape).astype(np.float32) for _ in range(num_samples)]
    return face_of(reference, samples, regions, template=template, name=f"anna_s{seed}")


def make_example(
    *,
    seed: int = 0,
    num_samples: int = 3,
    fps: float = 30.0,
    error: float = 0.1,
    subject: int = 3,
    perfect: bool = False,
) -> Example:
    """The shipped head speaks LINE, about three seconds with the pauses around it.

    Args:
        seed: of the performance and of the errors; "name" carries it, so that several go into one Accumulator.
        num_samples: predictions; each is the reference with errors of its own.
        fps: frames per second.
        error: deviation of the predicted shape weights; the errors change slowly, over about 0.2 s.
        subject: whose face and manner.
        perfect: every sample equals the reference.
    """
    example = _made(seed, num_samples, fps, 0.0 if perfect else error, subject)
    return replace(example, samples=list(example.samples))


def _phones() -> tuple[Phone, ...]:
    phones, now = [], 0.0
    for symbol in LINE.split():
        end = now + SECONDS.get(symbol, 0.16)
        phones.append(Phone(symbol, now, end, 1 if symbol in ("AA", "IY") else -1))
        now = end
    return tuple(phones)


def _sound(phones: Sequence[Phone], rng: np.random.Generator) -> np.ndarray:
    """Buzz for vowels, quiet buzz for nasals, hiss for fricatives, nothing else; (S,) float32 at 16 kHz."""
    times = np.arange(round(phones[-1].end * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 20))
    level = np.zeros((2, len(times)))
    for phone in phones:
        inside = (times >= phone.start) & (times < phone.end)
        level[0, inside] = 0.1 if phone.is_vowel else 0.02 if phone.symbol in "MVB" else 0.0
        level[1, inside] = 0.02 if phone.symbol in "FV" else 0.0
    smooth = np.hanning(320) / np.hanning(320).sum()
    level = np.stack([np.convolve(row, smooth, mode="same") for row in level])
    return (level[0] * buzz + level[1] * rng.standard_normal(len(times))).astype(np.float32)


@lru_cache(maxsize=16)
def _made(seed: int, num_samples: int, fps: float, error: float, subject: int) -> Example:
    from vultus.head import load_head
    from vultus.synthesis.performance import combine, perform
    from vultus.synthesis.style import Style

    rng = np.random.default_rng([seed, subject, 78])
    head = load_head(subject)
    style = Style(jaw_gain=1.2, lip_gain=1.1, smile=0.1)
    phones = _phones()
    sound = _sound(phones, rng)
    takes = [perform(phones, sound, style, head, seed=100 * seed + k, fps=fps) for k in range(2)]
    motion, other = (combine(take.speech, take.expression, take.random, head=head) for take in takes)

    def with_errors() -> np.ndarray:
        knots = rng.normal(0, error, (int(len(motion) / fps * 5) + 2, motion.shape[1]))
        at = np.arange(len(motion)) / fps * 5
        slow = np.stack([np.interp(at, np.arange(len(knots)), knots[:, k]) for k in range(motion.shape[1])], 1)
        return head.rig.vertices(np.clip(motion + slow, 0, 1).astype(np.float32), head.template)

    reference = head.rig.vertices(motion, head.template)
    samples = [with_errors() if error else reference for _ in range(num_samples)]
    regions = {name: region_of(name, numbers) for name, numbers in head.topology.regions.items()}
    return Example(
        name=f"p{subject}_line{seed}",
        subject=f"p{subject}",
        fps=fps,
        unit="m",
        reference=reference,
        samples=samples,
        template=head.template.vertices,
        topology=head.topology,
        regions={**regions, "face": region_of("face", np.arange(head.topology.num_vertices))},
        speech=Speech(sound, f"p{subject}_line{seed}"),
        phones=phones,
        style_reference=head.rig.vertices(other, head.template) - head.template.vertices,
        style_subject=f"p{subject}",
    )
