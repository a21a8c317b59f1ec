"""`vultus train RECIPE --data ROOT --out RUN [--resume] [--set table.key=value]`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; nothing here imports torch until it runs."""
    parser = subparsers.add_parser("train", help="train a method from a recipe", description=__doc__)
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a .toml of the recipes folder")
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="run folder to make (or to resume)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder for speech features (default: in ROOT)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN, to the same numbers")
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="TABLE.KEY=VALUE",
        help="override one setting of the recipe, such as train.lr=1e-4; may be repeated",
    )  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run_train)


def run_train(options: argparse.Namespace) -> int:
    """Runs the training that the command line describes."""
    import importlib.util

    from vultus.errors import VultusError

    for package in ("torch", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise VultusError(f"vultus train needs the package {package}; install it with: pip install 'vultus[train]'")
    from vultus.train.loop import train

    train(options.recipe, options.overrides, options.out, root=options.data, cache=options.cache, resume=options.resume)
    return 0
