"""The ablations of the probabilistic method: its ways of conditioning, its codec's levels and stride, its least form.

    OMP_NUM_THREADS=1 python -m vultus.benchmark.takes_ablations --data CORPUS --work DIR --out docs/results.md

CORPUS is a synthetic corpus (docs/corpus.md), DIR holds the trainings; the recipes are those of the folder `recipes`.
About an hour on one core. Stopped, it goes on where it was; done, it writes the tables again. What is trained and
measured: `takes_trials`. The trainings are short and of one seed each: the table has the seed's own spread as a row.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vultus.benchmark import takes_trials as trials
from vultus.benchmark.results_page import write_section
from vultus.benchmark.takes_ablations_text import Found, numbers, text
from vultus.benchmark.takes_trials import Bench
from vultus.errors import VultusError

HEADINGS = {
    "codecs": "## The takes' codec: levels and stride",
    "priors": "## The takes' prior: how speech enters",
    "small": "## The smallest model of takes",
}
"""Of the sections of a page that has none yet."""


def run(bench: Bench, groups: Sequence[str], codec: Path | None = None, out: Path | None = None) -> Found:
    """Trains and measures what is not there yet.

    Args:
        bench: see there.
        groups: some of `takes_trials.GROUPS`.
        codec: a finished codec for all priors; None trains the default one of the codecs' trials.
        out: the page of results, written after every trial; None for none.

    Raises:
        VultusError: bad input; a folder of `bench.work` that holds another training.
    """
    found = Found(bench)

    def told() -> None:
        if out is not None:
            write(found, out)

    if codec is not None:
        trials.model_digest(codec)
        if "codecs" in groups:
            found.full = bench.exit_test(codec, bench.work / "codecs" / "given.json")
    for trial in trials.CODECS if "codecs" in groups else ():
        found.codecs[trial.name] = bench.codec(trial)
        told()
    if "priors" in groups:
        if codec is None:
            default = next(trial for trial in trials.CODECS if trial.name == trials.DEFAULT_CODEC)
            bench.codec(default)
            codec = bench.work / "codecs" / default.name
        found.recorded = bench.evaluate(bench.work / "recorded")
        for trial in trials.PRIORS:
            found.priors[trial.name] = bench.prior(trial, codec)
            told()
    if "small" in groups:
        found.small = bench.small()
        told()
    return found


def write(found: Found, out: Path) -> None:
    """Writes a section for each group between its marks, at the end of a page without them, and the .json beside it.

    Raises:
        VultusError: see `write_section`.
    """
    told = numbers(found)
    for group, section in text(found).items():
        write_section(out, marks(group), section, {f"takes_{group}": told[group]}, HEADINGS[group])


def marks(group: str) -> tuple[str, str]:
    """Around the section of a group."""
    return f"<!-- takes {group}: begin -->", f"<!-- takes {group}: end -->"


def _say(told: str) -> None:
    sys.stderr.write(f"{told}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m vultus.benchmark.takes_ablations", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", required=True, type=Path, help="a synthetic corpus")
    parser.add_argument("--work", required=True, type=Path, help="folder of the trainings")
    parser.add_argument("--codec", type=Path, help="a finished codec for all priors; one is trained if not given")
    parser.add_argument("--only", default=",".join(trials.GROUPS), help="of %(default)s")
    parser.add_argument("--recipes", type=Path, default=Path("recipes"), help="folder; default %(default)s")
    parser.add_argument("--cache", type=Path, help="folder of speech features; default: in the corpus")
    parser.add_argument("--clips", type=int, default=30, help="sequences to score (default %(default)s)")
    parser.add_argument("--samples", type=int, default=10, help="takes of each (default %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="of every training")
    parser.add_argument("--out", type=Path, required=True, help="the .md file; the .json is written beside it")
    options = parser.parse_args(arguments)
    try:
        bench = Bench(
            options.data, options.work, options.recipes, options.cache, options.clips, options.samples,
            tuple(options.set), _say,
        )  # fmt: skip
        if options.out.suffix != ".md":
            raise VultusError(f"--out {options.out}: expected a .md file")
        found = run(bench, trials.chosen_groups(options.only), options.codec, options.out)
    except VultusError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("\n".join(text(found).values()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
