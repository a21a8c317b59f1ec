"""The command line: animate | models | styles | data | train | evaluate | scorer | figures.

Bad input gets one line on standard error and exit status 2; `--debug` shows the traceback.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from vultus.errors import VultusError
from vultus.runtime import commands as runtime_commands
from vultus.version import __version__

#: Subcommands that live beside what they command: name -> module with `add_parser(subparsers)`.
#: Imported only when asked for, since some need the training extra.
PLUGINS = {
    "data": "vultus.synthesis.commands",
    "train": "vultus.train.commands",
    "evaluate": "vultus.benchmark.commands",
    "scorer": "vultus.scoring.commands",
    "figures": "vultus.figures.commands",
}
PLUGIN_HELP = {
    "data": "make and look at the open synthetic corpus; check and convert data sets",
    "train": "train a method from a recipe",
    "evaluate": "score a model or a folder of predictions under a protocol, and compare results",
    "scorer": "train and check the sync and style networks",
    "figures": "draw what a data set and a model do, as PNG and interactive HTML",
}


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as all of ours are."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see `{self.prog} --help`)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:  # wherever it strikes, an import or the handling of an error included
        sys.stderr.write("vultus: interrupted; nothing half-written was left\n")
        return 130


def _main(arguments: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser(arguments)
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    for name in ("SIGTERM", "SIGHUP"):  # asked to stop: leave as tidily as on Ctrl-C
        if hasattr(signal, name) and threading.current_thread() is threading.main_thread():
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        return int(options.run(options) or 0)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (VultusError, OSError, MemoryError) as error:
        if getattr(options, "debug", False):
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"vultus: error: {message}\n")
        return 2
    except Exception as error:
        if getattr(options, "debug", False):
            raise
        message = " ".join(f"{type(error).__name__}: {error}".split())
        sys.stderr.write(f"vultus: a fault of ours: {message}; run again with --debug and report what it shows\n")
        return 1


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; a plug-in subcommand is imported only if it is the one that `arguments` name."""
    parser = OneLineParser(prog="vultus", description="Speech to 3D facial motion.")
    parser.add_argument("--version", action="version", version=f"vultus {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=OneLineParser)
    runtime_commands.add_parsers(commands)
    named = next((word for word in arguments if not word.startswith("-")), None)
    for name, module in PLUGINS.items():
        if name == named:
            importlib.import_module(module).add_parser(commands)
        else:
            commands.add_parser(name, help=PLUGIN_HELP[name], add_help=False)
    return parser


__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
