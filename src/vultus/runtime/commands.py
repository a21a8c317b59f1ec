"""`vultus animate`, `models` and `styles`. Imports nothing heavy until a command runs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vultus.errors import VultusError
from vultus.runtime.defaults import DEFAULT_MODEL, MAX_TAKES, TAKES_MODEL


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """The parsers of the commands that need a model and nothing else."""
    _add_animate(commands)
    _add_models(commands)
    _add_styles(commands)


def _add_animate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "animate",
        help="a recording -> a speaking face",
        description="Animates a face from a recording. The suffix of each -o chooses the format: "
        ".glb (52 ARKit morph targets), .csv (Live Link Face), .json (weights), .npz (vertices and weights), "
        ".mp4 (video with sound), .png (contact sheet).",
        epilog="examples: vultus animate talk.wav -o talk.glb -o talk.mp4 --style lively --gain jaw=1.2,brows=0.5; "
        "vultus animate talk.wav -o talk.glb --takes 4 --seed 7 --style ref.glb",
    )
    parser.add_argument("recording", help="wav, flac, ogg, opus, mp3, m4a, or the sound of an mp4 / webm")
    parser.add_argument("-o", "--out", action="append", required=True, metavar="FILE", help="may be given again")
    parser.add_argument(
        "--model",
        help=f"name or folder of a bundle (default {DEFAULT_MODEL}; {TAKES_MODEL} with --sampling or several takes)",
    )
    parser.add_argument(
        "--style",
        metavar="STYLE",
        help="preset name (`vultus styles`), a recorded clip (.npz .csv .json .glb) whose manner is taken over, or a "
        "mixture: lively*0.3+clip.glb*0.7",
    )
    parser.add_argument(
        "--takes",
        type=int,
        default=1,
        metavar="N",
        help=f"so many performances, 1 to {MAX_TAKES}: talk.glb becomes talk.1.glb ... talk.N.glb "
        "(default %(default)s)",
    )
    parser.add_argument(
        "--sampling", metavar="HOW", help="how takes are drawn, such as plain or avg-10 (docs/probabilistic.md)"
    )
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
        help="seeded blinks, gaze, brows and small head motion where the model makes none (default: on)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all that is random (default %(default)s)")
    parser.add_argument("--size", type=int, help="side of the .mp4 or of one .png picture, pixels")
    parser.add_argument("--quiet", action="store_true", help="no progress and no closing line")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_animate)


def _animate(options: argparse.Namespace) -> int:
    # Sums of floats depend on how many threads share them; with one, the same input gives the same bytes everywhere
    # on a machine. It must be said before numpy is imported, and costs nothing: the products here are small.
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    from vultus.runtime.animate import check_num_takes, each_take

    check_num_takes(options.takes)
    targets = _targets(options)
    started = time.perf_counter()
    with _Progress(quiet=options.quiet) as progress:
        takes = each_take(
            options.recording,
            num_takes=options.takes,
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
            sampling=options.sampling,
            progress=progress.stage("listening"),
        )
        written: list[Path] = []
        for take, names in zip(takes, targets, strict=True):
            for target in names:
                extra = {}
                if options.size is not None and target.suffix.lower() in (".mp4", ".png"):
                    extra["size"] = options.size
                try:
                    take.save(target, progress=progress.stage(f"writing {target.name}"), **extra)
                except (VultusError, OSError, MemoryError) as error:
                    if written and isinstance(error, VultusError):
                        raise VultusError(f"{error} (written before: {_listed(written)})") from error
                    raise
                written.append(target)
            length, frames, fps = take.duration, len(take), take.fps
            del take
    if not options.quiet:
        seconds = time.perf_counter() - started
        several = f"{options.takes} takes of " if options.takes > 1 else ""
        sys.stderr.write(
            f"{_listed(written)}: {several}{length:.2f} s of speech, {frames} frames at "
            f"{fps:g} fps, made in {seconds:.2f} s ({options.takes * length / seconds:.1f} times real time)\n"
        )
    return 0


def _targets(options: argparse.Namespace) -> list[list[Path]]:
    """For each take the files to write, all of them checked: before the work, not after it."""
    from vultus.export import EXPORTERS, check_target, exporter
    from vultus.runtime.styles import files_of

    several = options.takes > 1
    targets = [
        [name.with_name(f"{name.stem}.{take}{name.suffix}") if several else name for name in map(Path, options.out)]
        for take in range(1, options.takes + 1)
    ]
    every = [target for names in targets for target in names]
    for name in map(Path, options.out):
        if name.suffix.lower() not in EXPORTERS:
            exporter(name)  # says so, of the name that was given
        if name.suffix.lower() in (".mp4", ".png") and options.size is not None:
            from vultus.render.look import check_size

            check_size(options.size, even=name.suffix.lower() == ".mp4")
    for target in every:
        check_target(target)
    if len({os.path.realpath(target) for target in every}) != len(every):
        raise VultusError("the same output file is named twice")
    sources = [(Path(options.recording), "the recording itself")]
    sources += [(path, "the style's own clip") for path in (files_of(options.style) if options.style else ())]
    for target in every:
        for source, what in sources:
            if target.exists() and source.exists() and target.samefile(source):
                raise VultusError(f"{target}: the output is {what}; name another file")
    return targets


def _listed(paths: Sequence[Path], most: int = 4) -> str:
    """Names in a line; of many the first and the last."""
    names = [str(path) for path in paths]
    return ", ".join(names if len(names) <= most else [*names[:2], "...", names[-1]])


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
    parser = commands.add_parser(
        "styles", help="list the style presets of a model", description="Lists the style presets of a model."
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder of a bundle (default %(default)s)")
    parser.add_argument(
        "--from",
        dest="clip",
        metavar="CLIP",
        help="a recorded clip (.npz .csv .json .glb): list the presets by how near they are to its manner (cosine)",
    )
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=_styles)


def _styles(options: argparse.Namespace) -> int:
    from vultus.runtime.bundle import load
    from vultus.runtime.styles import describe_styles, nearest_presets

    model = load(options.model)
    if not model.styles:
        raise VultusError(f"model '{model.name}' has no styles")
    if options.clip is None:
        lines = describe_styles(model)
    else:
        lines = [f"{name:<12} {likeness:6.3f}" for name, likeness in nearest_presets(model, options.clip)]
    sys.stdout.write("\n".join(lines) + "\n")
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
