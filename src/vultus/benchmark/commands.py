"""`vultus evaluate --protocol P --data ROOT (--model BUNDLE | --predictions DIR | --baseline NAME) --out FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from vultus.errors import VultusError


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; nothing heavy is imported until it runs."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a model or a folder of predictions under a protocol, and compare results",
        description="Scores predicted motion against recordings under a versioned protocol; writes results.json, "
        "table.md with 95 % intervals, and plots. docs/benchmark.md is the guide.",
        epilog="example: vultus evaluate --protocol vocaset-faceformer --data VOCASET --predictions result/ --regions "
        "masks/ --out scores   |   vultus evaluate --compare scores-a scores-b   |   vultus evaluate --list",
    )
    parser.add_argument("--protocol", metavar="P", help="name (see --list) or a .toml of your own")
    parser.add_argument(
        "--data", metavar="[SET:]ROOT", help="folder of the data set; SET: another layout that P allows"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the data set: flame=FILE"
    )
    parser.add_argument("--model", metavar="BUNDLE", help="name or folder of a bundle, or the folder of a training run")
    parser.add_argument("--predictions", type=Path, metavar="DIR", help="SUBJECT_SENTENCE.npy and the like")
    parser.add_argument("--baseline", metavar="NAME", help="recorded, still or takes: rows to read a table by")
    parser.add_argument("--regions", type=Path, metavar="DIR", help="lips.txt, upper_face.txt ... of your own")
    parser.add_argument("--allow-missing", action="store_true", help="score what is there, and say so")
    parser.add_argument("--samples", type=int, metavar="N", help="takes of a model, or of a folder at most")
    parser.add_argument(
        "--sampling", metavar="TEXT", help="how a model draws takes: plain, avg-10, plain,temperature=0.8 ..."
    )
    parser.add_argument("--seed", type=int, default=0, help="of takes, styles and intervals (default %(default)s)")
    parser.add_argument(
        "--scorers", action="append", default=[], metavar="DIR", help="sync and style networks of yours"
    )
    parser.add_argument("--metrics", metavar="NAME,...", help="only these of the protocol")
    parser.add_argument("--limit", type=int, metavar="N", help="only N sequences, evenly over the split")
    parser.add_argument("--oracle", metavar="KIND", help="self or best-of-n: styles chosen by the truth, as published")
    parser.add_argument("--compare", nargs="+", metavar="FOLDER", help="side by side, the first being the base")
    parser.add_argument("--allow-different", action="store_true", help="compare other protocols or regions, and say so")
    parser.add_argument("--list", action="store_true", help="list the protocols")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="of the results; with --compare a .md file, optional"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and no table")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> int:
    """Runs what the command line describes."""
    if options.list:
        return _list()
    if options.seed < 0:
        raise VultusError(f"--seed is {options.seed}; expected 0 or more")
    if options.compare is not None:
        return _compare(options)
    for name in ("protocol", "data", "out"):
        if getattr(options, name) is None:
            raise VultusError(
                f"no --{name}; expected --protocol P --data ROOT --out FOLDER (see `vultus evaluate --help`)"
            )
    from vultus.benchmark.evaluate import evaluate

    if options.out.exists() and not options.out.is_dir():
        raise VultusError(f"--out {options.out} is a file; expected a folder")
    evaluate(
        options.protocol,
        options.data,
        options.out,
        model=options.model,
        predictions=options.predictions,
        baseline=options.baseline,
        options=_pairs(options.option),
        regions=options.regions,
        allow_missing=options.allow_missing,
        samples=options.samples,
        seed=options.seed,
        scorers=options.scorers,
        limit=options.limit,
        oracle=options.oracle,
        metrics=None if options.metrics is None else [name.strip() for name in options.metrics.split(",")],
        sampling=options.sampling,
        progress=not options.quiet,
    )
    if not options.quiet:
        sys.stdout.write((options.out / "table.md").read_text(encoding="utf-8"))
        sys.stderr.write(f"{options.out / 'results.json'}: written, with table.md and plots beside it\n")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from vultus.benchmark.compare import compare
    from vultus.files import write_atomically

    text = compare(options.compare, allow_different=options.allow_different, seed=options.seed)
    if options.out is not None:
        if options.out.is_dir() or options.out.suffix != ".md":
            raise VultusError(f"--out {options.out}: expected a .md file for a comparison")
        write_atomically(options.out, text.encode())
    if not options.quiet:
        sys.stdout.write(text)
    return 0


def _list() -> int:
    from vultus.benchmark.protocol import load_protocol, protocol_names

    for name in protocol_names():
        protocol = load_protocol(name)
        sys.stdout.write(f"{name:<28} {protocol.version}  {protocol.title} (data: {', '.join(protocol.data)})\n")
    return 0


def _pairs(texts: list[str]) -> dict[str, Any]:
    """KEY=VALUE options, as text: the data set's reader knows their types."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise VultusError(f"--option {text}: expected KEY=VALUE such as flame=FILE")
        found[key] = value
    return found
