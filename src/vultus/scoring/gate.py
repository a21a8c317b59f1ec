"""Validity gates: a scoring network scores nothing unless it works on recorded motion.

Sync: on reference motion the best offset is within one frame for at least 90 % of the clips, and the mean cosine falls
at every step of shifts by 0, 1, 2, 4, 8 frames (1/25 s), by 0.1 or more in all. Once nine tenths of the fall are done
a value may rise again within the last tenth: a sharp network has lost everything at 4 frames, and the rhythm of
syllables brings like mouths back after 8.
Style: of four subjects or more with two clips each, the nearest centroid of the other reference clips is the right
subject's far more often than by chance (the lower end of the 95 % interval covers a quarter of the way from chance to
1), and the mean cosine in a subject is above that across subjects by a margin (the lower end of the interval of the
difference is 0.3 or more). The margin is needed as a few subjects differ in their resting shape alone: a network after
4 steps recognises them by it, at cosines of 0.86 and 0.72, while one that tells manners apart has 0.84 and -0.03.

Letters: n clips, S subjects, E embedding.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.metrics.base import Example, Unavailable
from vultus.scoring import signals
from vultus.scoring.runtime import Kind, Scorer, StyleScorer, SyncScorer, find_scorer
from vultus.statistics import mean, proportion

SHIFTS = (0, 1, 2, 4, 8)
LEAST_ACCURACY, LEAST_ABOVE_CHANCE = 0.9, 0.25
LEAST_FALL, FLOOR_SHARE = 0.1, 0.1
LEAST_SUBJECTS, LEAST_MARGIN = 4, 0.3
LIMIT = 200
"""Clips that a gate looks at, at most."""


@dataclass(frozen=True)
class GateReport:
    """What a gate measured.

    Attributes:
        kind: "sync" or "style".
        passed: whether the network may score.
        reason: why not, or what was measured, in one line.
        values: the measured values, by name.
        clips: how many clips it rests on.
    """

    kind: str
    passed: bool
    reason: str
    values: dict[str, float]
    clips: int

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def check_sync(scorer: SyncScorer, examples: Iterable[Example], limit: int = LIMIT) -> GateReport:
    """The sync gate on the reference motion of `examples`, read one after another, `limit` at most."""
    rows = (sync_row(scorer, example) for example in examples)
    return sync_report(list(itertools.islice((row for row in rows if row is not None), limit)))


def check_style(scorer: StyleScorer, examples: Iterable[Example], limit: int = LIMIT) -> GateReport:
    """The style gate on the reference motion of `examples`, read one after another, `limit` at most."""
    rows = ((style_row(scorer, example), example.subject) for example in examples)
    kept = list(itertools.islice(((row, subject) for row, subject in rows if row is not None), limit))
    return style_report([row for row, _ in kept], [subject for _, subject in kept])


def sync_row(scorer: SyncScorer, example: Example) -> np.ndarray | None:
    """1 where the best offset is within a frame, and the mean cosine at each shift, both ways; None if too short."""
    motion = scorer.mesh(example.reference, example.template, example.fps, example.scale)
    if example.speech is None or len(motion) < signals.LEAST_WINDOWS:
        return None
    audio = scorer.audio(example.speech, len(motion))
    near = abs(signals.OFFSETS[signals.distances(audio, motion).argmin()]) <= 1
    cosines, middle = signals.cosines(audio, motion), len(signals.OFFSETS) // 2
    return np.array([near, *(cosines[[middle - shift, middle + shift]].mean() for shift in SHIFTS)], np.float64)


def style_row(scorer: StyleScorer, example: Example) -> np.ndarray | None:
    """The embedding of the reference motion, (E,); None for a short clip."""
    return scorer.clip(example.reference - example.template, example.fps, example.scale)


def sync_report(rows: Sequence[np.ndarray]) -> GateReport:
    """The sync gate on the rows of `sync_row`."""
    if not rows:
        return GateReport("sync", False, f"no reference clip with sound of {signals.LEAST_WINDOWS} windows", {}, 0)
    accuracy, *cosines = np.mean(rows, 0).tolist()
    values = {"offset_accuracy": accuracy}
    values |= {f"cos_shift_{shift}": value for shift, value in zip(SHIFTS, cosines, strict=True)}
    listed = ", ".join(f"{value:.3f}" for value in cosines)
    measured = f"offset accuracy {accuracy:.3f}, cosine at shifts {', '.join(map(str, SHIFTS))}: {listed}"
    wrong = []
    if accuracy < LEAST_ACCURACY:
        wrong.append(f"expected an offset accuracy of {LEAST_ACCURACY:g} or more")
    fall, lowest = cosines[0] - min(cosines), min(cosines)
    rises = [later >= earlier and later > lowest + FLOOR_SHARE * fall for earlier, later in itertools.pairwise(cosines)]
    if fall < LEAST_FALL or any(rises):
        wrong.append(f"expected a cosine that falls at every shift, by {LEAST_FALL:g} or more")
    return _report("sync", wrong, measured, values, len(rows))


def style_report(rows: Sequence[np.ndarray], subjects: Sequence[str]) -> GateReport:
    """The style gate on embeddings (E,) of length 1 and their subjects."""
    names, number, count = np.unique(np.array(subjects, str), return_inverse=True, return_counts=True)
    pairs = int((count > 1).sum())
    if pairs < 2:
        reason = (
            f"{len(rows)} clips of {len(names)} subjects, {pairs} with two clips or more; expected {LEAST_SUBJECTS} "
            "subjects with two clips each or more"
        )
        return GateReport("style", False, reason, {}, len(rows))
    embeddings = np.stack(rows)
    known = np.bincount(number)[number] > 1
    hits = nearest_subject(embeddings, embeddings, number)[known] == number[known]
    likeness = embeddings @ embeddings.T
    same = number[:, None] == number
    np.fill_diagonal(likeness, np.nan)
    clips = np.arange(len(number))
    with np.errstate(invalid="ignore"):
        own = np.nanmean(np.where(same & ~np.eye(len(number), dtype=bool), likeness, np.nan)[known], 1)
        others = np.nanmean(np.where(same, np.nan, likeness)[known], 1)
    top1, gap = proportion(hits, clips[known]), mean(own - others, clips[known])
    chance = 1 / len(np.unique(number))
    values = {
        "top1": top1.value, "top1_low": top1.low, "top1_high": top1.high, "chance": chance,
        "cos_same": float(own.mean()), "cos_other": float(others.mean()), "gap_low": gap.low, "subjects": pairs,
    }  # fmt: skip
    measured = (
        f"top-1 {top1.value:.3f} (95 % interval {top1.low:.3f} to {top1.high:.3f}, chance {chance:.3f}), mean cosine "
        f"{values['cos_same']:.3f} in a subject, {values['cos_other']:.3f} across (difference {gap.low:.3f} or more)"
    )
    wrong = []
    least = chance + LEAST_ABOVE_CHANCE * (1 - chance)
    if not top1.low >= least:
        wrong.append(f"expected a lower end of {least:.3f} or more")
    if not gap.low >= LEAST_MARGIN:
        wrong.append(f"expected a lower end of the difference of {LEAST_MARGIN:g} or more")
    if pairs < LEAST_SUBJECTS:
        wrong.append(f"{pairs} subjects with two clips each; expected {LEAST_SUBJECTS} or more")
    return _report("style", wrong, measured, values, len(number))


def nearest_subject(
    embeddings: np.ndarray, gallery: np.ndarray, number: np.ndarray, times: np.ndarray | None = None
) -> np.ndarray:
    """The subject whose centroid is nearest, (n,); clip i of the gallery is left out for row i, as it has its words.

    Args:
        embeddings: (n, E) to place.
        gallery: (n, E) reference embeddings, row i of the same sentence as row i of `embeddings`.
        number: (n,) subjects of the gallery, 0 .. S - 1.
        times: (n,) how often each clip is in the gallery; once where None.
    """
    weighted = gallery if times is None else gallery * times[:, None]
    sums = np.zeros((number.max() + 1, gallery.shape[1]))
    np.add.at(sums, number, weighted)
    scores = embeddings @ signals.unit_rows(sums).T
    without = signals.unit_rows(sums[number] - weighted)
    scores[np.arange(len(number)), number] = np.einsum("ne,ne->n", embeddings, without)
    nearest: np.ndarray = scores.argmax(1)
    return nearest


def scorer_extras(examples: Iterable[Example], folders: Iterable[str | Path] = ()) -> dict[str, Any]:
    """What `Example.extras` of every example is to hold so that scores are gated on the data themselves.

    Args:
        examples: of the data to be scored; only reference motion and sound are read. Give an iterator: the examples
            are looked at one by one and not kept, and at most 200 of them.
        folders: searched before the shipped bundles.

    Returns:
        {"scorers": folders, "scorer_gates": {kind: GateReport}}; a kind without a network has no report.
    """
    chosen = tuple(folders)
    scorers: dict[str, Scorer] = {}
    sync, style, subjects = [], [], []
    for index, example in enumerate(itertools.islice(examples, LIMIT)):
        if not index:
            scorers = _scorers(example, chosen)
        for scorer in scorers.values():
            row = sync_row(scorer, example) if isinstance(scorer, SyncScorer) else None
            if row is not None:
                sync.append(row)
            row = style_row(scorer, example) if isinstance(scorer, StyleScorer) else None
            if row is not None:
                style.append(row)
                subjects.append(example.subject)
    reports = {"sync": sync_report(sync), "style": style_report(style, subjects)}
    return {"scorers": chosen, "scorer_gates": {kind: reports[kind] for kind in scorers}}


def _scorers(example: Example, folders: Sequence[str | Path]) -> dict[str, Scorer]:
    found: dict[str, Scorer] = {}
    kinds: tuple[Kind, ...] = ("sync", "style")
    for kind in kinds:
        with contextlib.suppress(Unavailable):
            scorer = find_scorer(kind, example.topology, folders)
            if scorer.unit == example.unit:
                found[kind] = scorer
    return found


def scorer_for(kind: Kind, example: Example) -> Scorer:
    """The network that may score an example.

    Raises:
        Unavailable: none for its topology, one for another unit, or one whose gate failed, with what was measured.
    """
    scorer = find_scorer(kind, example.topology, example.extras.get("scorers", ()))
    if scorer.unit != example.unit:
        raise Unavailable(f"the {kind} network is for coordinates in '{scorer.unit}'; these are in '{example.unit}'")
    reports: Mapping[str, GateReport] = example.extras.get("scorer_gates", {})
    if not scorer.gate.get("passed"):
        raise Unavailable(f"the {kind} network failed its gate when it was made: {scorer.gate.get('reason')}")
    if kind in reports and not reports[kind].passed:
        raise Unavailable(f"the {kind} network fails its gate on these data: {reports[kind].reason}")
    return scorer


def _report(kind: str, wrong: list[str], measured: str, values: dict[str, float], clips: int) -> GateReport:
    reason = "; ".join([measured, *wrong])
    return GateReport(kind, not wrong, reason, values, clips)
