"""Metrics on the synthetic corpus, where the process behind a clip is known and can be asked again.

Three kinds of knowledge: clips changed by a known amount (construction), the same numbers from plain loops over the
same arrays (brute force), and fresh draws of the process that made the takes (Monte Carlo).

Letters: T motion frames, V vertices, N samples, n lip vertices, E embedding, W windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from vultus.benchmark.proof_check import Check, check, compare, unmeasured
from vultus.benchmark.proof_clips import FPS, example_of, fresh_take, head_regions, true_motion, with_samples
from vultus.benchmark.proof_faults import fitted, shifted
from vultus.datasets.synthetic import Clip
from vultus.metrics import Accumulator, Example, Unavailable, load_metric
from vultus.synthesis.inventory import BILABIALS, LABIODENTALS, OPEN_VOWELS
from vultus.synthesis.phones import Phone

TAKES = 10
"""Samples of a take group; the reference is another one."""
REFERENCES = 4
"""Takes of a line that are the reference in turn: one alone may by chance lie near the middle of all."""
PLAIN = 3
"""Lines whose values are found by plain loops as well."""
MM = 1000.0


def shift_checks(examples: Sequence[Example]) -> list[Check]:
    """Clips moved by whole frames: the shift is what a metric of time is to find."""
    out = []
    wanted = {
        80.0: ("lip_timing", "lip_offset", "onset_error", "onset_offset", "audio_lag_gap"),
        -80.0: ("lip_offset", "onset_offset", "audio_lag_gap"),
    }
    for shift, metrics in wanted.items():
        frames = round(shift / 1000 * FPS)
        moved = [with_samples(e, [shifted(e.reference, frames)]) for e in examples]
        case = f"the truth {abs(shift):g} ms {'late' if shift > 0 else 'early'}"
        # A closure at the very end may lose its opening, and held ends blur the first and last 80 ms.
        out += [check(name, case, "construction", shift, moved, tolerance=5.0) for name in metrics]
    return out


def contact_checks(examples: Sequence[Example]) -> list[Check]:
    """Every second closure, contact or open vowel of a clip spoilt by hand."""
    out = []
    for metric, symbols, around, perfect in (
        ("closure_recall", BILABIALS, 0.04, 1.0),
        ("fv_contact", LABIODENTALS, 0.04, 1.0),
        ("false_closure", OPEN_VOWELS, 0.0, 0.0),
    ):
        counted = [load_metric(metric).measure(e)[1] for e in examples]
        spoilt, number = [], 0
        for example in examples:
            moved = example.reference.copy()
            height = example.reference[:, head_regions()["lower_lip"].vertices, 1].mean(1)
            wide = example.reference[int(height.argmin())]
            for chosen in _every_second(example.phones or (), symbols, around):
                first, last = (math.ceil((t * FPS) - 1e-6) for t in (chosen.start - around, chosen.end + around))
                if last > max(first, 0):
                    moved[max(first, 0) : last] = example.template if metric == "false_closure" else wide
                    number += 1
            spoilt.append(with_samples(example, [moved]))
        if not sum(counted):
            out.append(unmeasured(metric, "spoilt by hand", "construction", "no such phone in these clips"))
            continue
        share = number / sum(counted)
        word = "shut" if metric == "false_closure" else "opened"
        out.append(check(metric, "the truth itself", "construction", perfect, examples, tolerance=1e-6))
        case = f"{number} of {sum(counted):g} {word} by hand"
        out.append(check(metric, case, "construction", abs(perfect - share), spoilt, tolerance=1e-6))
    return out


def _every_second(phones: Sequence[Phone], symbols: frozenset[str] | Sequence[str], around: float) -> list[Phone]:
    """Every second phone of a kind, of those that last 70 ms or more and keep clear of the others of their kind."""
    found = [p for p in phones if p.symbol in symbols]
    clear = [
        p
        for p in found
        if p.duration >= 0.07 and all(q is p or q.start - p.end > 2 * around + 0.1 or p.start - q.end > 2 * around + 0.1
                                      for q in found)
    ]  # fmt: skip
    return clear[::2]


def network_checks(examples: Sequence[Example]) -> list[Check]:
    """Scores of the networks from plain loops over their embeddings, and at a known shift."""
    case, names = "the truth itself", ("sync_cos", "lse_d", "lse_c", "offset_accuracy", "style_cos", "style_top1")
    from vultus.scoring.examples import lips, manner, sound, wanted_manner

    try:
        pairs = [(sound(e).astype(np.float64), lips(e, None).astype(np.float64)) for e in examples]
    except Unavailable as reason:
        return [unmeasured(name, case, "brute force", str(reason)) for name in names]
    late = [with_samples(e, [shifted(e.reference, 2)]) for e in examples]
    curves = [_distances(a, m) for a, m in pairs]
    cosines = [float(np.mean([x @ y for x, y in zip(a, m, strict=True)])) for a, m in pairs]
    moved = [float(np.mean([x @ y for x, y in zip(a[2:], m[:-2], strict=True)])) for a, m in pairs]
    confidence = [sorted(c.values())[len(c) // 2] - min(c.values()) for c in curves]
    least, place = [min(c.values()) for c in curves], [abs(min((d, o) for o, d in c.items())[1]) <= 1 for c in curves]
    out = [
        check("sync_cos", case, "brute force", float(np.mean(cosines)), examples, tolerance=1e-4),
        check("sync_cos", "the truth 80 ms late", "construction", float(np.mean(moved)), late, tolerance=0.03),
        check("lse_d", case, "brute force", float(np.mean(least)), examples, tolerance=1e-4),
        check("lse_d", "the truth 80 ms late", "construction", float(np.mean(least)), late, tolerance=0.03),
        check("lse_c", case, "brute force", float(np.mean(confidence)), examples, tolerance=1e-4),
        check("lse_c", "the truth 80 ms late", "construction", float(np.mean(confidence)), late, tolerance=0.05),
        check("offset_accuracy", case, "brute force", float(np.mean(place)), examples, tolerance=1e-6),
        check("offset_accuracy", "the truth 80 ms late", "construction", 0.0, late, tolerance=0.1),
    ]
    try:
        found = [[_unit(w.astype(np.float64).mean(0)) for w in (manner(e, None), wanted_manner(e))] for e in examples]
    except Unavailable as reason:
        return out + [unmeasured(name, case, "brute force", str(reason)) for name in names[4:]]
    likeness = float(np.mean([a @ b for a, b in found]))
    out.append(check("style_cos", case, "brute force", likeness, examples, tolerance=1e-4))
    swapped = swap(examples)
    out.append(check("style_top1", case, "construction", 1.0, examples, tolerance=0.1))
    case = "motion of another subject, asked for the first"
    out.append(check("style_top1", case, "construction", 0.0, swapped, tolerance=0.1))
    asked = [with_samples(e, e.samples, style_subject=e.extras["donor"]) for e in swapped]
    case = "motion of another subject, asked for that one"
    return [*out, check("style_top1", case, "construction", 1.0, asked, tolerance=0.1)]


def swap(examples: Sequence[Example]) -> list[Example]:
    """Every clip with the motion of another subject's clip as its prediction; extras["donor"] names that subject."""
    out = []
    for number, example in enumerate(examples):
        others = [e for e in examples[number:] + examples[:number] if e.subject != example.subject]  # type: ignore
        offsets = others[0].reference - others[0].template
        moved = example.template + fitted(offsets, len(example.reference))
        out.append(with_samples(example, [moved], extras={**example.extras, "donor": others[0].subject}))
    return out


def _distances(audio: np.ndarray, motion: np.ndarray) -> dict[int, float]:
    """Offset in frames -> mean distance of A_{t + offset} and M_t by plain loops; every offset has the same t."""
    out = {}
    for offset in range(-15, 16):
        both = [(audio[t + offset], motion[t]) for t in range(15, len(motion) - 15)]
        out[offset] = float(np.mean([math.sqrt(float(((a - m) ** 2).sum())) for a, m in both]))
    return out


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


Group = tuple[Clip, ...]
SAMPLED = ("l_vertex", "l_cover", "l_cover_frame", "l_mean", "rho", "coverage_curve", "div_lips", "div_upper",
           "div_face", "lip_mean", "upper_mean", "face_mean")  # fmt: skip
"""Metrics whose value over true takes is found from fresh draws."""
BALANCED = {
    **dict.fromkeys(("fdd", "onset_offset", "lip_offset", "audio_lag_gap"), 0.0),
    **{f"{kind}_{r}": 1.0 for kind in ("jerk_ratio", "high_frequency") for r in ("lips", "upper_face", "face")},
}
"""Metrics whose value is known where prediction and reference are draws of one process: neither is ahead."""


def take_checks(
    groups: Sequence[Group], extras: Mapping[str, Any], seed: int = 0, progress: Callable[[Any], Any] = iter
) -> list[Check]:
    """True takes as a model's samples: a sampler of the true conditional distribution.

    Args:
        groups: takes of one line each, more than TAKES.
        extras: for `Example.extras`.
        seed: of the fresh draws and of the bootstrap.
        progress: wraps the groups, as tqdm does.
    """
    measured: dict[str, list[np.ndarray]] = {name: [] for name in SAMPLED}
    known: dict[str, list[np.ndarray]] = {name: [] for name in SAMPLED}
    plain: dict[str, list[np.ndarray]] = {}
    scores = {name: Accumulator(load_metric(name)) for name in (*BALANCED, "fd_sync", "fd_style")}
    reasons: dict[str, str] = {}
    for number, group in enumerate(progress(groups)):
        example = example_of(group[0], None, extras)
        takes = [example.reference, *(true_motion(take) for take in group[1:])]
        samplers = [_sampler(example, takes, turn * len(takes) // REFERENCES) for turn in range(REFERENCES)]
        for name in SAMPLED:
            rows = [_row(name, sampler) for sampler in samplers]
            measured[name].append(np.sum(rows, 0))
        for name, row in fresh_values(group[0], number, seed).items():
            known[name].append(row)
        if number < PLAIN:
            for name, value in plain_values(samplers[0]).items():
                plain.setdefault(name, []).append(np.stack([_row(name, samplers[0]), [value, 1.0]]))
        single = with_samples(example, takes[1:2])
        for name, accumulator in scores.items():
            try:
                accumulator.update(single)
            except Unavailable as reason:
                reasons[name] = str(reason)
    case = f"{TAKES} true takes of each of {len(groups)} lines, {REFERENCES} others as the truth in turn"
    out = [compare(n, case, "Monte Carlo", np.stack(measured[n]), np.stack(known[n]), seed=seed) for n in SAMPLED]
    case = f"{TAKES} true takes of each of {min(PLAIN, len(groups))} lines"
    for name, pairs in plain.items():
        first, second = np.stack(pairs, 1)
        out.append(compare(name, case, "brute force", first, second, tolerance=1e-4))
    case = "another true take, which is as good as the truth"
    for name, value in BALANCED.items():
        out.append(Check(name, case, "Monte Carlo", value, scores[name].compute(seed)))
    for name in ("fd_sync", "fd_style"):
        if name in reasons:
            out.append(unmeasured(name, case, "Monte Carlo", reasons[name]))
            continue
        rows_of_all = np.stack([scores[name].rows[key] for key in sorted(scores[name].rows)])
        floor = scores[name].metric.floor(rows_of_all, seed)  # type: ignore[attr-defined]
        text = f"another true take; at most the distance of two halves of the truth, {floor:.3g}"
        out.append(Check(name, text, "Monte Carlo", 0.0, scores[name].compute(seed), tolerance=floor))
    return out


def _sampler(example: Example, takes: Sequence[np.ndarray], first: int) -> Example:
    """Take `first` as the truth, those after it as samples; from the beginning again where they end."""
    turned = [*takes[first:], *takes[:first]]
    return with_samples(example, turned[1 : TAKES + 1], reference=turned[0])


def _row(metric: str, example: Example) -> np.ndarray:
    """Sum and weight of a metric of SAMPLED."""
    row = load_metric(metric).measure(example)
    return np.array([row[TAKES - 1], 1.0]) if metric == "coverage_curve" else row


def fresh_values(clip: Clip, number: int, seed: int) -> dict[str, np.ndarray]:
    """What the metrics of samples are for fresh draws of a line, as rows (sum, weight), by plain loops over draws.

    Every draw is the truth once, the other TAKES are the samples. Over the upper and the whole face, of which one
    frame has thousands of vertices, only neighbouring draws are compared.
    """
    regions, lips, pairs = head_regions(), [], []
    before: np.ndarray | None = None
    for draw in range(TAKES + 1):
        of_draw = np.random.default_rng([seed, 8, number, draw]).integers(2**31)
        motion = fresh_take(clip, int(of_draw)) * MM
        lips.append(motion[:, regions["lips"].vertices].astype(np.float64))
        if before is not None:
            apart = np.linalg.norm(motion - before, axis=2)
            pairs.append([apart[:, regions["upper_face"].vertices].mean(), apart.mean()])
        before = motion
    found: dict[str, list[float]] = {}
    for truth, samples in _rotations(lips):
        for name, value in lip_values(truth, samples).items():
            found.setdefault(name, []).append(value)
    values = {name: float(np.mean(each)) for name, each in found.items()}
    upper, face = np.mean(pairs, 0).tolist()
    values |= {"upper_mean": upper, "div_upper": upper, "face_mean": face, "div_face": face}
    values["lip_mean"] = values["div_lips"]
    rows = {name: np.array([value, 1.0]) for name, value in values.items()}
    return {**rows, "rho": np.array([values["l_vertex"], values["l_mean"]]), "coverage_curve": rows["l_cover"]}


def _rotations(draws: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    for number, truth in enumerate(draws):
        yield truth, [other for k, other in enumerate(draws) if k != number]


def lip_values(truth: np.ndarray, samples: Sequence[np.ndarray]) -> dict[str, float]:
    """Errors of samples (T, n, 3) in mm by their definitions, and the mean distance of two samples."""
    largest = np.array([np.sqrt(((sample - truth) ** 2).sum(2)).max(1) for sample in samples])
    middle = sum(samples) / len(samples)
    apart = [np.sqrt(((a - b) ** 2).sum(2)).mean() for a, b in combinations(samples, 2)]
    return {
        "l_vertex": float(largest.mean()),
        "l_cover": float(min(one.mean() for one in largest)),
        "l_cover_frame": float(largest.min(0).mean()),
        "l_mean": float(np.sqrt(((middle - truth) ** 2).sum(2)).max(1).mean()),
        "div_lips": float(np.mean(apart)),
    }


def plain_values(example: Example) -> dict[str, float]:
    """The metrics of samples for an example, by their definitions."""
    lips = example.region("lips").vertices
    truth, *samples = (m[:, lips].astype(np.float64) * MM for m in (example.reference, *example.samples))
    return lip_values(truth, samples)
