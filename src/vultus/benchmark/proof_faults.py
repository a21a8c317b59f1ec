"""Broken motion, from mildly to badly, and the metrics made for each way of breaking it.

A series begins with a good prediction and gets worse step by step, as anybody would see; a metric made for that fault
must say so in the same order. Faults of one motion start from the recorded (here: true) motion of a clip, faults of a
sampler from true takes of one line.

Letters: T motion frames, V vertices, N samples.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from vultus.benchmark.proof_clips import FPS, fresh_take, head_regions, true_motion
from vultus.datasets.synthetic import Clip, SyntheticCorpus
from vultus.metrics import Example

MM = 0.001


@dataclass(frozen=True, eq=False)
class Scene:
    """What faults are made of.

    Attributes:
        clip: whose motion is broken.
        example: with the truth as its prediction.
        words: another clip of the same subject.
        stranger: a clip of another subject.
        takes: true takes of the clip's line, for samplers; else empty.
        rng: for noise.
    """

    clip: Clip
    example: Example
    words: Clip
    stranger: Clip
    takes: tuple[np.ndarray, ...]
    rng: np.random.Generator

    @functools.cached_property
    def take(self) -> np.ndarray:
        """A fresh performance of the same words by the same subject: as good as the truth, but not equal to it."""
        return fresh_take(self.clip, self.clip.seed + 1)


Make = Callable[[Scene], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Series:
    """One fault, growing.

    Attributes:
        name: in words.
        steps: name -> how its samples are made; the first is good, the last worst.
        metrics: made for the fault: each step must be worse than the one before.
        coarse: made for it, too, but they count yes or no: no step may be better than the one before, and the last
            must be worse than the first.
    """

    name: str
    steps: Mapping[str, Make]
    metrics: tuple[str, ...]
    coarse: tuple[str, ...] = ()


def shifted(motion: np.ndarray, frames: int) -> np.ndarray:
    """Later by some frames, earlier where they are below 0; the ends are held.

    >>> shifted(np.arange(4), 1)
    array([0, 0, 1, 2])
    """
    return np.asarray(motion[np.clip(np.arange(len(motion)) - frames, 0, len(motion) - 1)])


def fitted(motion: np.ndarray, frames: int) -> np.ndarray:
    """Cut, or held at its last frame, to a length.

    >>> fitted(np.arange(3), 5)
    array([0, 1, 2, 2, 2])
    """
    return np.asarray(motion[np.minimum(np.arange(frames), len(motion) - 1)])


def smoothed(motion: np.ndarray, sigma: float, fps: float = FPS) -> np.ndarray:
    """Under a Gaussian of `sigma` ms along time; the ends are held.

    >>> smoothed(np.array([0.0, 0, 0, 1, 0, 0, 0])[:, None], 40.0)[:, 0].round(3)
    array([0.004, 0.054, 0.242, 0.399, 0.242, 0.054, 0.004])
    """
    width = sigma / 1000 * fps
    reach = math.ceil(4 * width)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    bell /= bell.sum()
    held = np.concatenate([np.repeat(motion[:1], reach, 0), motion, np.repeat(motion[-1:], reach, 0)])
    total = np.zeros(motion.shape)
    for k, weight in enumerate(bell):
        total += weight * held[k : k + len(motion)]
    return total.astype(motion.dtype)


def _truth(scene: Scene) -> list[np.ndarray]:
    return [scene.example.reference]


def _take(scene: Scene) -> list[np.ndarray]:
    return [scene.take]


def _late(scene: Scene, ms: float) -> list[np.ndarray]:
    return [shifted(scene.example.reference, round(ms / 1000 * FPS))]


def _smooth(scene: Scene, sigma: float) -> list[np.ndarray]:
    return [smoothed(scene.example.reference, sigma)]


def _scaled(scene: Scene, factor: float, region: str = "face") -> list[np.ndarray]:
    out, chosen = scene.example.reference.copy(), head_regions()[region].vertices
    template = scene.example.template[chosen]
    out[:, chosen] = template + np.float32(factor) * (out[:, chosen] - template)
    return [out]


def _white(scene: Scene, deviation: float) -> list[np.ndarray]:
    truth = scene.example.reference
    return [truth + scene.rng.normal(0, deviation * MM, truth.shape).astype(np.float32)]


def _wandering(scene: Scene, deviation: float) -> list[np.ndarray]:
    truth = scene.example.reference
    slow = smoothed(scene.rng.standard_normal(truth.shape).astype(np.float32), 200.0)
    return [truth + slow * np.float32(deviation * MM / slow.std())]


def _other_words(scene: Scene) -> list[np.ndarray]:
    return [fitted(true_motion(scene.words), len(scene.example.reference))]


def _other_manner(scene: Scene) -> list[np.ndarray]:
    return [fresh_take(scene.clip, scene.clip.seed + 2, scene.stranger.style)]


def _other_person(scene: Scene) -> list[np.ndarray]:
    other = scene.stranger
    offsets = fitted(true_motion(other) - other.template.vertices, len(scene.example.reference))
    return [scene.example.template + offsets]


def _mean_face(scene: Scene) -> list[np.ndarray]:
    truth = scene.example.reference
    return [np.repeat(true_motion(scene.words).mean(0, keepdims=True), len(truth), 0)]


def _neutral(scene: Scene) -> list[np.ndarray]:
    return [np.repeat(scene.example.template[None], len(scene.example.reference), 0)]


def _lowered(scene: Scene, region: str, mm: float) -> list[np.ndarray]:
    out = scene.example.reference.copy()
    out[:, head_regions()[region].vertices, 1] -= np.float32(mm * MM)
    return [out]


def _takes(scene: Scene) -> list[np.ndarray]:
    return list(scene.takes)


def _spread(scene: Scene, factor: float) -> list[np.ndarray]:
    middle = np.mean(scene.takes, axis=0, dtype=np.float32)
    return [middle + np.float32(factor) * (take - middle) for take in scene.takes]


def _repeated(scene: Scene) -> list[np.ndarray]:
    return [scene.takes[0]] * len(scene.takes)


def _takes_of_other_words(scene: Scene) -> list[np.ndarray]:
    seeds = range(1, len(scene.takes) + 1)
    made = (fresh_take(scene.words, scene.words.seed + k) for k in seeds)
    return [fitted(take, len(scene.example.reference)) for take in made]


_ERRORS = ("lip_mean", "lip_max", "face_mean", "lve", "lve_sq", "mve")
_TIMES = ("lip_timing", "lip_offset", "onset_error", "onset_offset", "audio_lag", "audio_lag_gap")
_RATIOS = tuple(f"{kind}_{region}" for kind in ("jerk_ratio", "high_frequency") for region in
                ("lips", "upper_face", "face"))  # fmt: skip
_CONTACTS = ("closure_recall", "fv_contact")
_DIVERSITY = ("div_lips", "div_upper", "div_face")

SERIES: tuple[Series, ...] = (
    Series("late", {"truth": _truth, **{f"{ms} ms": partial(_late, ms=ms) for ms in (40, 80, 200)}},
           (*_TIMES, "sync_cos", "lip_max", "lve"), ("offset_accuracy", "closure_recall")),
    Series("early", {"truth": _truth, **{f"{ms} ms": partial(_late, ms=-ms) for ms in (40, 80, 200)}},
           (*_TIMES, "sync_cos", "lip_max", "lve"), ("offset_accuracy", "closure_recall")),
    Series("over-smoothed", {"truth": _truth, **{f"{s} ms": partial(_smooth, sigma=s) for s in (40, 80)}},
           (*_RATIOS, "mod", "f_dtw", "f_dtw_mm23", "sync_cos", "lse_d", "lse_c", "fd_sync"), _CONTACTS),
    Series("other words, same speaker", {"true take": _take, "another line": _other_words},
           (*_ERRORS, "f_dtw", "f_dtw_mm23", "mod", "lip_timing", "onset_error", "sync_cos", "lse_d", "lse_c",
            "offset_accuracy", "loudness_response", "loudness_gap", *_CONTACTS)),
    Series("speaker swapped, same words", {"true take": _take, "another subject": _other_manner},
           ("style_cos", "style_top1", "fd_style", "face_mean", "upper_mean", "fdd_abs", "f_dtw", "f_dtw_mm23")),
    Series("speaker swapped, other words", {"true take": _take, "another subject": _other_person},
           (*_ERRORS, "sync_cos", "lse_d", "lse_c", "offset_accuracy", "style_cos", "style_top1", "fd_style",
            "closure_recall")),
    Series("frozen upper face", {"truth": _truth, "half": partial(_scaled, factor=0.5, region="upper_face"),
                                 "frozen": partial(_scaled, factor=0.0, region="upper_face")},
           ("fdd", "fdd_abs", "upper_mean", "jerk_ratio_upper_face", "fd_style"), ("high_frequency_upper_face",)),
    Series("amplitude too large", {"truth": _truth, **{f"x {f:g}": partial(_scaled, factor=f) for f in (1.5, 2.0)}},
           ("mod", *_ERRORS, "fdd", "fdd_abs", "jerk_ratio_lips", "jerk_ratio_face", "stillness",
            "interpenetration_depth", "fd_style"), ("interpenetration",)),
    Series("amplitude too small", {"truth": _truth, **{f"x {f:g}": partial(_scaled, factor=f) for f in (0.75, 0.5)}},
           ("mod", *_ERRORS, "f_dtw", "f_dtw_mm23", "fdd", "fdd_abs", "jerk_ratio_lips", "jerk_ratio_face", "fd_style",
            "sync_cos", "fd_sync")),
    Series("white noise", {"truth": _truth, **{f"{mm} mm": partial(_white, deviation=mm) for mm in (0.1, 0.3)}},
           (*_RATIOS, "stillness", "fd_sync", "fd_style")),
    Series("slow noise", {"truth": _truth, **{f"{mm} mm": partial(_wandering, deviation=mm) for mm in (0.3, 1.0)}},
           (*_ERRORS, "upper_mean", "f_dtw", "f_dtw_mm23", "stillness", "mod")),
    Series("mean face", {"true take": _take, "not moving": _mean_face},
           ("lip_timing", "onset_error", "mod", "fdd", "fdd_abs", *_RATIOS, "loudness_response", "loudness_gap",
            "sync_cos", "lse_d", "lse_c", "offset_accuracy", "fd_sync", "fd_style", "style_cos", "style_top1",
            *_CONTACTS)),
    Series("mouth stays shut", {"true take": _take, "neutral face": _neutral},
           ("false_closure", "mod", "loudness_gap")),
    Series("lips never meet", {"truth": _truth, **{f"{mm:g} mm apart": partial(_lowered, region="lower_lip", mm=mm)
                                                   for mm in (1.0, 3.0)}},
           ("mod", "lip_mean"), ("closure_recall", "fv_contact", "onset_error")),
    Series("lips through each other", {"truth": _truth, **{f"{mm:g} mm": partial(_lowered, region="upper_lip", mm=mm)
                                                           for mm in (0.5, 1.0)}},
           ("interpenetration", "interpenetration_depth")),
)  # fmt: skip

SAMPLERS: tuple[Series, ...] = (
    Series("samples too much alike", {"true takes": _takes, "half the spread": partial(_spread, factor=0.5),
                                      "their mean only": partial(_spread, factor=0.0)},
           ("rho", "l_cover", "l_cover_frame", "coverage_curve", *_DIVERSITY)),
    Series("one sample repeated", {"true takes": _takes, "one take": _repeated},
           ("rho", "l_cover", "l_cover_frame", "l_mean", "coverage_curve", *_DIVERSITY)),
    Series("samples too wide", {"true takes": _takes, **{f"x {f:g}": partial(_spread, factor=f) for f in (1.5, 2.5)}},
           ("rho", "l_vertex", "l_cover", *_DIVERSITY)),
    Series("samples of other words", {"true takes": _takes, "another line": _takes_of_other_words},
           ("l_vertex", "l_cover", "l_cover_frame", "l_mean", "coverage_curve")),
)  # fmt: skip


def scene(
    clip: Clip,
    example: Example,
    corpus: SyntheticCorpus,
    strangers: Sequence[Clip],
    seed: int,
    takes: Sequence[Clip] = (),
) -> Scene:
    """What is needed to break a clip.

    Args:
        clip: to break.
        example: of it, the truth as its prediction.
        corpus: where the other line comes from.
        strangers: clips of several subjects.
        seed: of the noise.
        takes: of the clip's line.
    """
    rng = np.random.default_rng([seed, 9, clip.seed % 2**32])
    others = [other for other in strangers if other.subject != clip.subject]
    stranger = others[int(rng.integers(len(others)))]
    words = corpus.reference(clip, seed)
    return Scene(clip, example, words, stranger, tuple(true_motion(take) for take in takes), rng)
