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
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from vultus.errors import VultusError
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
    _add_animate(commands)
    _add_models(commands)
    _add_styles(commands)
    named = next((word for word in arguments if not word.startswith("-")), None)
    for name, module in PLUGINS.items():
        if name == named:
            importlib.import_module(module).add_parser(commands)
        else:
            commands.add_parser(name, help=PLUGIN_HELP[name], add_help=False)
    return parser


def _add_animate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "animate",
        help="a recording -> a speaking face",
        description="Animates a face from a recording. The suffix of each -o chooses the format: "
        ".glb (52 ARKit morph targets), .csv (Live Link Face), .json (weights), .npz (vertices and weights), "
        ".mp4 (video with sound), .png (contact sheet).",
        epilog="example: vultus animate talk.wav -o talk.glb -o talk.mp4 --style lively --gain jaw=1.2,brows=0.5",
    )
    parser.add_argument("recording", help="wav, flac, ogg, opus, mp3, m4a, or the sound of an mp4 / webm")
    parser.add_argument("-o", "--out", action="append", required=True, metavar="FILE", help="may be given again")
    parser.add_argument("--model", default="base", help="name or folder of a bundle (default %(default)s)")
    parser.add_argument("--style", metavar="STYLE", help="preset name, or a .npz/.csv of ours as reference clip")
    parser.add_argument("--identity", help="a seed, or seed=7,age=0.6,sex=0.2,...: another face (default: average)")
    parser.add_argument("--fps", default="30", help="motion frames per second (default %(default)s)")
    parser.add_argument(
        "--gain", metavar="PART=G,...", help="scale parts: jaw, lips, tongue, brows, eyes, head; e.g. jaw=1.2,brows=0"
    )
    parser.add_argument(
        "--smooth", type=float, default=0.0, metavar="MS", help="extra temporal smoothing, standard deviation in ms"
    )
    parser.add_argument("--start", type=float, metavar="S", help="begin at this second of the recording")
    parser.add_argument("--end", type=float, metavar="S", help="end at this second of the recording")
    parser.add_argument(
        "--life",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="seeded blinks, gaze and small head motion for models that have none (default: on)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random layer (default %(default)s)")
    parser.add_argument("--size", type=int, help="side of the .mp4 or of one .png picture, pixels")
    parser.add_argument("--quiet", action="store_true", help="no progress and no closing line")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_animate)


def _animate(options: argparse.Namespace) -> int:
    # Sums of floats depend on how many threads share them; with one, the same input gives the same bytes everywhere
    # on a machine. It must be said before numpy is imported, and costs nothing: the products here are small.
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    from vultus.export import check_target
    from vultus.runtime.animate import animate

    targets = [Path(name) for name in options.out]
    if len({os.path.realpath(target) for target in targets}) != len(targets):
        raise VultusError("the same output file is named twice")
    for target in targets:  # before the work, not after it
        check_target(target)
        if target.exists() and Path(options.recording).exists() and target.samefile(options.recording):
            raise VultusError(f"{target}: the output is the recording itself; name another file")
        if options.size is not None and target.suffix.lower() in (".mp4", ".png"):
            from vultus.render.look import check_size

            check_size(options.size, even=target.suffix.lower() == ".mp4")
    started = time.perf_counter()
    with _Progress(quiet=options.quiet) as progress:
        take = animate(
            options.recording,
            model=options.model,
            style=options.style,
            identity=options.identity,
            fps=options.fps,
            gain=options.gain,
            smooth=options.smooth,
            start=options.start,
            end=options.end,
            life=options.life,
            seed=options.seed,
            progress=progress.stage("listening"),
        )
        for target in targets:
            extra = {}
            if options.size is not None and target.suffix.lower() in (".mp4", ".png"):
                extra["size"] = options.size
            take.save(target, progress=progress.stage(f"writing {target.name}"), **extra)
    if not options.quiet:
        seconds = time.perf_counter() - started
        sys.stderr.write(
            f"{', '.join(str(target) for target in targets)}: {take.duration:.2f} s of speech, {len(take)} frames at "
            f"{take.fps:g} fps, made in {seconds:.2f} s ({take.duration / seconds:.1f} times real time)\n"
        )
    return 0


def _add_models(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("models", help="list the models at hand")
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=_models)


def _models(options: argparse.Namespace) -> int:
    from vultus.runtime.bundle import describe_bundles

    for line in describe_bundles():
        sys.stdout.write(line + "\n")
    return 0


def _add_styles(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("styles", help="list the style presets of a model")
    parser.add_argument("--model", default="base", help="name or folder of a bundle (default %(default)s)")
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=_styles)


def _styles(options: argparse.Namespace) -> int:
    from vultus.runtime.bundle import load

    for name in load(options.model).styles:
        sys.stdout.write(name + "\n")
    return 0


class _Progress:
    """A line on standard error that tells how far a stage has come; silent where no terminal listens."""

    def __init__(self, quiet: bool):
        self._on = not quiet and sys.stderr.isatty()
        self._shown = 0.0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._on:
            sys.stderr.write("\r\x1b[K")

    def stage(self, label: str) -> Callable[[int, int], None]:
        """A callback (done, total); a total of 0 means that it is not known yet."""

        def show(done: int, total: int) -> None:
            now = time.monotonic()
            if not self._on or (now - self._shown < 0.2 and done != total):
                return
            self._shown = now
            how_far = f"{100 * done / total:3.0f} %" if total else f"{done}"
            sys.stderr.write(f"\r\x1b[K{label}: {how_far}")
            sys.stderr.flush()

        return show


__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
