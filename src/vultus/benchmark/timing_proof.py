"""Do the timing metrics find the true alignment of recorded sound and recorded motion, and refuse a false one?

    python -m vultus.benchmark.timing_proof --real-data DIR

The two FACEGOOD takes of the data folder (one woman, Mandarin, 30 fps): their mouth curves are put on the shipped head
by the sheet that comes with them, cut into pieces of ten seconds, and scored as if they were predictions: as recorded,
moved by 200 ms to both sides, and under the sound of the other take. Prints a Markdown table.

Sign of every time: above 0 the motion is late. Frame i is taken to stand at i / 30 s, which nothing in the data states:
half a frame is open, hence the limit of two frames, 67 ms.

Letters: T motion frames, K lags.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.benchmark.motion_tests import MotionTake, read_facegood
from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.head import Head, load_head
from vultus.metrics import Accumulator, Example, load_metric
from vultus.metrics.audio_lag import LAGS
from vultus.metrics.base import Region
from vultus.motion import WEIGHT_NAMES
from vultus.speech import Speech
from vultus.statistics import Estimate

LIMIT = 2000 / 30
"""ms: two frames at 30 fps; a lag within it is in time, and a shift counts as found within it."""
SHIFT = 0.2
"""Seconds."""
PIECE = 10.0
"""Seconds of a sequence: the bootstrap draws these."""
LEAST_SHARE = 0.5
"""Sound and motion of different takes must agree by less than this share of what those of one take do."""
METRICS = ("audio_lag", "lip_offset", "lip_timing", "onset_error")


@dataclass(frozen=True)
class Case:
    """One take in one state.

    Attributes:
        shift: ms by which the motion was moved; None where it is another take's.
        values: by metric; times in ms.
        agreement: highest correlation of level and opening over all lags.
        accepted: whether the metrics take it for the recorded alignment: audio_lag within LIMIT of 0 and lip_timing
            under LIMIT.
    """

    take: str
    state: str
    shift: float | None
    values: dict[str, Estimate]
    agreement: float

    @property
    def accepted(self) -> bool:
        lag, timing = self.values["audio_lag"].value, self.values["lip_timing"].value
        return bool(abs(lag) <= LIMIT and timing < LIMIT)


def face_weights(folder: str | Path, take: MotionTake) -> np.ndarray:
    """The recorded curves as weights of the shipped head, (T, 55) float32; the sheet's valid rows, the largest counts.

    Raises:
        VultusError: the files are missing or of another shape.
    """
    folder = Path(folder)
    try:
        with np.load(folder / f"{take.clip.name}.npz", allow_pickle=False) as archive:
            curves = archive["curves"]
        with (folder / "arkit_mapping.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["status"] == "valid"]
        weights = np.zeros((len(curves), len(WEIGHT_NAMES)), np.float32)
        for row in rows:
            for name in row["arkit_names"].split(";"):
                column = WEIGHT_NAMES.index(name)
                weights[:, column] = np.maximum(weights[:, column], curves[:, int(row["channel"])])
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise VultusError(f"'{folder}': take {take.clip.name} cannot be read ({error}); expected its curves") from None
    return np.clip(weights, 0, 1)


def cases(folder: str | Path) -> list[Case]:
    """Every take as recorded, 200 ms late, 200 ms early, and moved by the other take's curves.

    Args:
        folder: with the FACEGOOD takes.
    """
    takes = read_facegood(folder)
    head = load_head()
    recorded = [face_weights(folder, take) for take in takes]
    out = []
    for number, take in enumerate(takes):
        own, other = recorded[number], recorded[number - 1]
        frames = round(SHIFT * take.fps)
        states: list[tuple[str, float | None, np.ndarray]] = [
            ("as recorded", 0.0, own),
            ("200 ms late", 1000 * SHIFT, np.concatenate([np.repeat(own[:1], frames, 0), own[:-frames]])),
            ("200 ms early", -1000 * SHIFT, np.concatenate([own[frames:], np.repeat(own[-1:], frames, 0)])),
        ]
        if len(takes) > 1:
            states.append(("motion of the other take", None, other))
        out += [_score(take, head, own, *state) for state in states]
    return out


def _score(take: MotionTake, head: Head, own: np.ndarray, state: str, shift: float | None, moved: np.ndarray) -> Case:
    scores = {name: Accumulator(load_metric(name)) for name in METRICS}
    source = take.clip.source
    assert isinstance(source, Speech)
    regions = {"face": np.arange(head.topology.num_vertices), "lips": head.topology.region("lips")}
    size = round(PIECE * take.fps)
    for begin in range(0, min(len(own), len(moved)) - size + 1, size):
        frames = slice(begin, begin + size)
        first, last = (round(edge / take.fps * SAMPLE_RATE) for edge in (frames.start, frames.stop))
        example = Example(
            name=f"{take.clip.name}_{begin:05d}",
            subject="facegood",
            fps=take.fps,
            unit="m",
            reference=head.rig.vertices(own[frames], head.template),
            samples=[head.rig.vertices(moved[frames], head.template)],
            template=head.template.vertices,
            topology=head.topology,
            regions={
                n: Region(n, v.astype(np.int64), np.ones(len(v), np.float32), "topology") for n, v in regions.items()
            },
            speech=Speech(source.samples[first:last], take.clip.name),
        )
        for accumulator in scores.values():
            accumulator.update(example)
    curves = np.stack(list(scores["audio_lag"].rows.values()))
    agreement = float((curves[:, : len(LAGS)].sum(0) / curves[:, -1].sum()).max())
    return Case(take.clip.name, state, shift, {name: a.compute() for name, a in scores.items()}, agreement)


def failures(found: Sequence[Case]) -> list[str]:
    """What the metrics got wrong, in words; empty where they passed."""
    out = []
    agreement = {case.take: case.agreement for case in found if case.shift == 0}
    for case in found:
        where = f"{case.take}, {case.state}"
        if case.accepted != (case.shift == 0):
            out.append(f"{where}: {'accepted' if case.accepted else 'refused'}")
        if case.shift is None:
            if case.agreement > LEAST_SHARE * agreement[case.take]:
                out.append(f"{where}: sound and motion agree with r = {case.agreement:.2f}")
        else:
            for name in ("audio_lag", "lip_offset"):
                if abs(case.values[name].value - case.shift) > LIMIT:
                    out.append(f"{where}: {name} is {case.values[name].value:.0f} ms")
    return out


def table(found: Sequence[Case]) -> str:
    """The cases as Markdown."""
    lines = [
        "Value (95 % interval over pieces of 10 s) in ms; above 0 the motion is late. `audio_lag` compares motion and "
        "sound, the others motion and recorded motion. r: correlation of speech level and lip opening at the best lag. "
        f"Accepted: audio_lag within {LIMIT:.0f} ms of 0 and lip_timing under {LIMIT:.0f} ms.",
        "",
        "| take | motion | " + " | ".join(METRICS) + " | r | accepted |",
        "| --- | --- |" + " ---: |" * (len(METRICS) + 1) + " --- |",
    ]
    for case in found:
        cells = [_cell(case.values[name]) for name in METRICS]
        verdict = "yes" if case.accepted else "no"
        lines.append(f"| {case.take} | {case.state} | {' | '.join(cells)} | {case.agreement:.2f} | {verdict} |")
    return "\n".join(lines) + "\n"


def _cell(estimate: Estimate) -> str:
    value, low, high = (f"{v:.0f}" for v in (estimate.value, estimate.low, estimate.high))
    return value if np.isnan(estimate.low) or low == high else f"{value} ({low} to {high})"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status: 1 where a metric misses the alignment."""
    parser = argparse.ArgumentParser(
        prog="python -m vultus.benchmark.timing_proof", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--real-data", required=True, help="the data folder, with facegood_mandarin in it")
    options = parser.parse_args(arguments)
    try:
        found = cases(Path(options.real_data) / "facegood_mandarin")
    except VultusError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(table(found))
    wrong = failures(found)
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
