"""Proof that the metrics measure: every one where its value is known, and on motion broken on purpose.

    python -m vultus.benchmark.proof --data CORPUS --out docs/results.md [--real-data DIR]

CORPUS is a synthetic corpus (`vultus data synthesize`) with several takes of each test line. Its clips are draws of a
known process, so a metric can be held against a formula, against what was put in, against plain loops over the same
arrays and against fresh draws (`proof_truth`, `proof_takes`). Then true motion is broken from mildly to badly, and each
metric made for a fault must rank the steps as a person would (`proof_faults`, `proof_rank`). With the data folder, the
FACEGOOD takes are added (`timing_proof`).

The tables go between two marks of the .md file, so that other text in it stays; the numbers go into the .json beside it
under "proof". The same corpus and seed give the same numbers. Exit status 1: some value does not agree with its known
one, or the recorded alignment is missed; 2: the command could not run.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vultus.benchmark import timing_proof
from vultus.benchmark.proof_check import Check
from vultus.benchmark.proof_clips import FPS, choose, example_of
from vultus.benchmark.proof_faults import SAMPLERS, SERIES, scene
from vultus.benchmark.proof_rank import Race, Ranking
from vultus.benchmark.proof_takes import TAKES, contact_checks, network_checks, shift_checks, take_checks
from vultus.benchmark.proof_truth import made_up
from vultus.benchmark.results_page import write_section
from vultus.datasets.synthetic import SyntheticCorpus
from vultus.errors import VultusError
from vultus.metrics import METRICS, load_metric
from vultus.scoring.gate import scorer_extras
from vultus.statistics import Estimate
from vultus.version import __version__

PROTOCOL = "proof 1"
HEADING = "## Proof that the metrics measure"
BEGIN, END = "<!-- proof: begin -->", "<!-- proof: end -->"


@dataclass(frozen=True)
class Proof:
    """What was measured.

    Attributes:
        about: protocol, seed, corpus, clips, networks: JSON values.
        checks: metrics beside their known values.
        rankings: metrics along series of broken motion.
        recorded: cases of `timing_proof`; empty without the data folder.
    """

    about: dict[str, Any]
    checks: tuple[Check, ...]
    rankings: tuple[Ranking, ...]
    recorded: tuple[timing_proof.Case, ...] = ()

    @property
    def failures(self) -> list[str]:
        """Values that do not agree with the known ones, and what the recorded takes refute; in words."""
        wrong = [
            f"{c.metric}, {c.case}: {c.measured.value:.4g}, known {c.expected:.4g}"
            for c in self.checks
            if c.agrees is False
        ]
        return wrong + (timing_proof.failures(self.recorded) if self.recorded else [])

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            **self.about,
            "checks": [c.to_dict() for c in self.checks],
            "rankings": [r.to_dict() for r in self.rankings],
            "recorded": [
                {"take": c.take, "motion": c.state, "values": {k: v.to_dict() for k, v in c.values.items()},
                 "agreement": c.agreement, "accepted": c.accepted} for c in self.recorded
            ],
        }  # fmt: skip


def prove(
    corpus: SyntheticCorpus,
    *,
    num_clips: int = 30,
    num_lines: int = 20,
    num_sampler_lines: int = 8,
    seed: int = 0,
    real_data: str | Path | None = None,
    progress: bool = False,
) -> Proof:
    """Measures everything.

    Args:
        corpus: with 11 takes or more of some test lines.
        num_clips: clips that are broken, evenly over the test subjects.
        num_lines: lines whose takes are samples of the truth.
        num_sampler_lines: lines whose takes are broken as samples.
        seed: of all noise, draws and intervals.
        real_data: the data folder with the FACEGOOD takes; None leaves them out.
        progress: shows bars on a terminal.

    Raises:
        VultusError: a corpus that is too small.
    """
    from tqdm import tqdm

    def shown(items: Sequence[Any], label: str) -> Any:
        return tqdm(items, label, unit="clip", disable=None if progress else True)

    chosen = choose(corpus, num_clips, num_lines, TAKES + 1)
    recorded = timing_proof.cases(Path(real_data) / "facegood_mandarin") if real_data is not None else []

    def references() -> Iterator[Any]:
        for clip in shown(chosen.clips, "gates of the networks"):
            yield example_of(clip)

    extras = scorer_extras(references())
    checks = made_up(seed)
    some = [example_of(clip, corpus, extras) for clip in chosen.clips[:: max(1, len(chosen.clips) // 15)]]
    checks += shift_checks(some) + contact_checks(some) + network_checks(some)
    checks += take_checks(chosen.groups, extras, seed, lambda groups: shown(groups, "true takes"))
    del some
    motion, samplers = Race(SERIES), Race(SAMPLERS)
    for clip in shown(chosen.clips, "broken motion"):
        motion.update(scene(clip, example_of(clip, corpus, extras), corpus, chosen.clips, seed))
    for group in shown(chosen.groups[:: -(-len(chosen.groups) // num_sampler_lines)], "broken samplers"):
        clip, takes = group[0], group[1 : TAKES + 1]
        samplers.update(scene(clip, example_of(clip, None, extras), corpus, chosen.clips, seed, takes))
    about = {
        "protocol": PROTOCOL, "vultus": __version__, "seed": seed, "fps": FPS,
        "corpus": {key: corpus.info.get(key) for key in ("plan", "teacher", "settings", "num_clips")},
        "clips": [clip.name for clip in chosen.clips], "lines": [group[0].name for group in chosen.groups],
        "networks": {kind: report.to_dict() for kind, report in extras["scorer_gates"].items()},
    }  # fmt: skip
    return Proof(about, tuple(checks), (*motion.rankings(seed), *samplers.rankings(seed)), tuple(recorded))


def text(proof: Proof) -> str:
    """The tables as Markdown."""
    about, corpus = proof.about, proof.about["corpus"]
    settings = ", ".join(
        f"{key} {value}" for key, value in (corpus["settings"] or {}).items() if value not in (None, [])
    )
    missing = [name for name in METRICS if name not in {c.metric for c in proof.checks}]
    agree = [c.agrees for c in proof.checks]
    verdicts = [r.verdict for r in proof.rankings]
    lines = [
        f"Protocol `{about['protocol']}`, vultus {about['vultus']}, seed {about['seed']}. Synthetic corpus of plan "
        f"`{corpus['plan']}` ({settings}), all layers at {about['fps']:g} fps: {len(about['clips'])} test clips, "
        f"{len(about['lines'])} lines with takes.",
        "",
        *(f"- The {kind} network on these clips: {gate['reason']}." for kind, gate in about["networks"].items()),
        "",
        "### Where the value is known",
        "",
        f"{agree.count(True)} of {len(agree)} agree"
        + (f", {agree.count(None)} could not be measured" if None in agree else "")
        + ". Agrees: the known value lies within the 99.9 % interval of the measured one (wider than the 95 % interval "
        "that is printed, because many are looked at), or within the rounding of the method where nothing is left to "
        "chance. Against fresh draws the interval is that of the difference, line by line.",
        "",
        "| metric | measured on | known from | known | measured (95 %) | agrees |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    order = {name: k for k, name in enumerate(METRICS)}
    for c in sorted(proof.checks, key=lambda c: order[c.metric]):
        verdict = {True: "yes", False: "**no**", None: "–"}[c.agrees]
        known = "–" if math.isnan(c.expected) else f"{_number(c.expected)} {c.unit}".strip()
        case = f"{c.case} ({c.reason})" if c.reason else c.case
        lines.append(f"| {c.metric} | {case} | {c.how} | {known} | {_cell(c.measured)} | {verdict} |")
    if missing:
        lines += ["", f"Not checked: {', '.join(missing)}."]
    lines += [
        "",
        "### Broken motion, ranked",
        "",
        f"{verdicts.count('yes')} of {len(verdicts)} surely right, {verdicts.count('yes, unsure')} right with a step "
        f"within chance, {verdicts.count('no')} wrong. `a < b`: b is worse than a. Ranked right: each step is worse "
        "than the one before it, by more than chance (95 % interval of the difference over clips). Counts of yes and "
        "no (`a ≤ b`) may stand still between steps. Not seen: steps that cannot be told from the first one. A true "
        "take is a fresh performance by the same subject, as good as the truth but not equal to it.",
        "",
        "| fault | metric | wanted | measured | ranked right |",
        "| --- | --- | --- | --- | --- |",
    ]
    for r in proof.rankings:
        found = ", ".join(_number(v.value) for v in r.values) or "–"
        unit = load_metric(r.metric).info.unit("m")
        remarks = [f"not seen: {', '.join(r.unseen)}"] if r.unseen and r.verdict != "-" else []
        remarks += [r.note] if r.note else []
        verdict = f"**{r.verdict}**" if r.verdict == "no" else r.verdict
        cell = "; ".join([verdict, *remarks])
        lines.append(f"| {r.series} | {r.metric} | {r.wanted} | {found} {unit}".rstrip() + f" | {cell} |")
    if proof.recorded:
        lines += ["", "### Recorded sound and motion", "", timing_proof.table(proof.recorded).rstrip("\n")]
        wrong = timing_proof.failures(proof.recorded)
        lines += ["", f"Missed: {'; '.join(wrong)}." if wrong else "The recorded alignment is found in both takes."]
    return "\n".join(lines) + "\n"


def write(proof: Proof, out: Path) -> None:
    """Writes the tables into `out` (.md) between their marks, at its end where it has none, and the .json beside it.

    Raises:
        VultusError: one mark without the other, or a .json that holds no table of names.
    """
    write_section(out, (BEGIN, END), text(proof), {"proof": proof.to_dict()}, HEADING)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m vultus.benchmark.proof", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", required=True, help="a synthetic corpus")
    parser.add_argument("--real-data", help="the data folder with facegood_mandarin in it; left out if not given")
    parser.add_argument("--clips", type=int, default=30, help="clips to break (default %(default)s)")
    parser.add_argument("--lines", type=int, default=20, help="lines with true takes (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of noise, draws and intervals (default %(default)s)")
    parser.add_argument("--out", required=True, help="the .md file; the .json is written beside it")
    options = parser.parse_args(arguments)
    try:
        for name in ("clips", "lines"):
            if getattr(options, name) < 2:
                raise VultusError(f"--{name} is {getattr(options, name)}; expected 2 or more")
        corpus, out = SyntheticCorpus(options.data), Path(options.out)
        found = prove(
            corpus,
            num_clips=options.clips,
            num_lines=options.lines,
            seed=options.seed,
            real_data=options.real_data,
            progress=True,
        )
        write(found, out)
    except VultusError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(text(found))
    sys.stderr.writelines(f"{line}\n" for line in found.failures)
    return 1 if found.failures else 0


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    rounded = f"{value:.{digits}f}"
    return "0" if float(rounded) == 0 else rounded


def _cell(e: Estimate) -> str:
    if not math.isfinite(e.low):
        return _number(e.value)
    return f"{_number(e.value)} ({_number(e.low)} to {_number(e.high)})"


if __name__ == "__main__":
    raise SystemExit(main())
