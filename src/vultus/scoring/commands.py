"""`vultus scorer train sync|style --data NAME:ROOT --out DIR` and `vultus scorer check BUNDLE --data NAME:ROOT`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vultus.errors import VultusError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vultus.datasets.base import FaceSequence


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; nothing here imports torch until it trains."""
    parser = subparsers.add_parser("scorer", help="train and check the sync and style networks", description=__doc__)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    train = actions.add_parser("train", help="train a network; its bundle is written to --out")
    train.add_argument("kind", choices=("sync", "style"), help="lips and sound, or manner of moving")
    _add_data(train)
    train.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the bundle, and DIR/run the log and state"
    )
    train.add_argument("--name", help="what the bundle calls itself (default: the name of DIR)")
    train.add_argument("--split", default="train", help="split to train on (default %(default)s)")
    train.add_argument(
        "--held-out", default="val,test", metavar="SPLITS", help="splits of the gate (default %(default)s)"
    )
    train.add_argument("--lips", type=Path, metavar="FILE", help="vertex numbers, where the topology names no lips")
    train.add_argument(
        "--folds", default="0/1", metavar="K,K/N",
        help="subjects to train on: those whose place in the sorted list is K modulo N (default: all)",
    )  # fmt: skip
    train.add_argument("--use", choices=("score", "select"), default="score", help="select: for samplers, never scores")
    train.add_argument("--seed", type=int, default=0, help="default %(default)s")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, as steps=500")
    train.add_argument("--cache", type=Path, metavar="DIR", help="folder for what is read once (default: DIR of --out)")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out, to the same numbers")
    train.set_defaults(run=run_train)
    check = actions.add_parser("check", help="the gate of a network on the reference motion of a data set")
    check.add_argument("bundle", type=Path, metavar="BUNDLE", help="a folder, or the name of a shipped network")
    _add_data(check)
    check.add_argument("--split", default="test", help="default %(default)s")
    check.set_defaults(run=run_check)
    for each in (train, check):
        each.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, metavar="NAME:ROOT", help="such as synthetic:my-corpus")


def run_train(options: argparse.Namespace) -> int:
    """Trains, exports, gates, and writes the card; exit status 1 where the gate fails: the bundle then never scores."""
    for package in ("torch", "safetensors", "onnx"):
        if importlib.util.find_spec(package) is None:
            raise VultusError(f"vultus scorer train needs {package}; install it with: pip install 'vultus[train]'")
    from vultus.scoring.make import Request, make

    name, sequences = _sequences(options.data, (options.split,))
    held_out = _sequences(options.data, tuple(options.held_out.split(",")))[1]
    request = Request(
        kind=options.kind, out=options.out, name=options.name or options.out.name, data=name, split=options.split,
        held_out=options.held_out, use=options.use, folds=options.folds, seed=options.seed,
        settings=tuple(options.set), lips=options.lips, cache=options.cache, resume=options.resume,
    )  # fmt: skip
    report = make(request, sequences, held_out)
    sys.stdout.write(f"{options.out}: {'passed' if report.passed else 'FAILED'}: {report.reason}\n")
    return 0 if report.passed else 1


def run_check(options: argparse.Namespace) -> int:
    """Prints what the gate measured; exit status 1 where it fails."""
    from vultus.scoring.gate import check_style, check_sync
    from vultus.scoring.prepare import example, is_speech, spread
    from vultus.scoring.runtime import StyleScorer, SyncScorer, load_scorer

    scorer = load_scorer(options.bundle)
    _, sequences = _sequences(options.data, (options.split,))
    examples = (example(sequence) for sequence in spread([s for s in sequences if is_speech(s)]))
    if isinstance(scorer, SyncScorer):
        report = check_sync(scorer, examples)
    else:
        assert isinstance(scorer, StyleScorer)
        report = check_style(scorer, examples)
    sys.stdout.write(
        f"{scorer.name} on {report.clips} clips: {'passed' if report.passed else 'FAILED'}: {report.reason}\n"
    )
    return 0 if report.passed else 1


def _sequences(data: str, splits: tuple[str, ...]) -> tuple[str, Sequence[FaceSequence]]:
    from vultus.datasets import open_dataset

    name, colon, root = data.partition(":")
    if not colon or not root:
        raise VultusError(f"--data is '{data}'; expected NAME:ROOT, such as synthetic:my-corpus")
    dataset = open_dataset(name, root)
    return name, [sequence for split in splits for sequence in dataset.split(split)]
