"""`vultus figures NAME|all --data SET:ROOT --out DIR`: figures of Wu et al. 2023 from any data set.

vultus figures all --data vocaset:VOCASET --predictions results/ --out figures/
vultus figures intensity subjects_map --data synthetic:my-corpus --subjects 12 --out figures/
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.clock import check_fps
from vultus.datasets import FaceSequence, open_dataset
from vultus.errors import VultusError
from vultus.figures import FIGURES, figure_class
from vultus.figures.base import Figure, FigureMaker, Request, Unavailable, need
from vultus.files import write_atomically

USUAL_FPS = 30.0
"""Rates that are a multiple of it are read at it: the statistics are the same and half the frames do."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `figures`; nothing heavy is imported before it runs."""
    listing = "; ".join(f"{name}: {what}" for name, (_, _, what) in FIGURES.items())
    parser = subparsers.add_parser(
        "figures",
        help="draw what a data set and a model do, as PNG and interactive HTML",
        description=f"Draws figures of a data set, of predictions and of a model. {listing}.",
        epilog="example: vultus figures all --data synthetic:my-corpus --split test --out figures",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"{', '.join(FIGURES)} or all")
    parser.add_argument("--data", required=True, metavar="SET:ROOT", help="a data set and its folder, as vocaset:DIR")
    parser.add_argument("--split", metavar="S", help="(default: test, or the first there is)")
    parser.add_argument("--subjects", metavar="N", help="only N subjects, evenly chosen; or their names: ANNA,BEN")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N sequences, as many of each subject as can be")
    parser.add_argument(
        "--model", metavar="MODEL", help="bundle (name or folder) or, for activated_regions, a run folder"
    )
    parser.add_argument("--compare", metavar="RUN", help="a second bundle or run beside it, for activated_regions")
    parser.add_argument(
        "--predictions", metavar="DIR", help="predicted vertices, SUBJECT_SENTENCE.npy; without it --model predicts"
    )
    parser.add_argument("--fps", help="read motion at this rate (default: the data's own, or 30 where it divides that)")
    parser.add_argument("--turn", metavar="X,Y,Z", help="degrees about the axes that stand the faces upright")
    parser.add_argument("--seed", type=int, default=0, help="of t-SNE and regions (default %(default)s)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for NAME.png, .html and .json")
    parser.add_argument("--quiet", action="store_true", help="no progress and no closing lines")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run_figures)


def run_figures(options: argparse.Namespace) -> int:
    """Makes all figures, then writes them: where anything is wrong nothing is written."""
    names = _figure_names(options.names)
    if options.out.exists() and not options.out.is_dir():
        raise VultusError(f"{options.out}: is a file; expected a folder, or a new name for one")
    for module in ("matplotlib", "sklearn"):
        need(module)
    request, predictor = _request(options)
    makers: dict[str, FigureMaker] = {}
    for name in names:
        try:
            makers[name] = figure_class(name)(request)
        except Unavailable as reason:
            if "all" not in options.names:
                raise VultusError(f"{name}: {reason}") from None
            _say(options, f"{name}: left out, {reason}")
    if not makers:
        raise VultusError(f"{options.data}: no figure can be made from it; see the reasons above")
    figures = make_figures(request, makers, predictor, quiet=options.quiet)
    for figure in figures:
        write_figure(figure, options.out)
        _say(options, f"{options.out / figure.name}.png .html .json")
    return 0


def make_figures(
    request: Request,
    makers: dict[str, FigureMaker],
    predict: Callable[[FaceSequence], np.ndarray] | None,
    *,
    quiet: bool = True,
) -> list[Figure]:
    """Reads every sequence once for all figures, one at a time, and draws.

    Args:
        predict: gives (T, V, 3) offsets for a sequence at the rate of the request, or None.

    Raises:
        VultusError: a sequence of another topology or unit; a prediction that does not fit.
    """
    from tqdm import tqdm

    from vultus.benchmark.examples import common_length

    readers = [maker for maker in makers.values() if maker.reads_motion]
    sequences = request.sequences if readers else []
    shape = request.template.vertices.shape
    # Only in a terminal: a log has no use for a bar.
    for sequence in tqdm(sequences, "reading", unit="sequence", leave=False, disable=quiet or None):
        template = sequence.template.vertices
        if template.shape != shape or sequence.unit != request.unit:
            raise VultusError(
                f"{sequence.name}: {len(template)} vertices in {sequence.unit}; the first sequence has {shape[0]} in "
                f"{request.unit}; choose subjects of one topology with --subjects"
            )
        offsets = sequence.vertices(fps=request.fps) - np.asarray(template, np.float32)
        prediction = None
        if predict is not None:
            prediction = predict(sequence)
            rate = sequence.fps if request.fps is None else request.fps
            common = common_length(sequence.name, (len(prediction),), len(offsets), rate)
            prediction, offsets = prediction[:common], offsets[:common]
        for maker in readers:
            maker.add(sequence, offsets, prediction)
    finished = []
    for name, maker in tqdm(makers.items(), "drawing", unit="figure", leave=False, disable=quiet or None):
        try:
            finished.append(maker.finish())
        except VultusError as error:
            raise VultusError(str(error) if str(error).startswith(name) else f"{name}: {error}") from None
    return finished


def write_figure(figure: Figure, folder: Path) -> None:
    """NAME.png, NAME.html and NAME.json in a folder."""
    write_atomically(folder / f"{figure.name}.png", figure.png)
    write_atomically(folder / f"{figure.name}.html", figure.html.encode())
    text = json.dumps(figure.numbers, indent=1, sort_keys=True) + "\n"
    write_atomically(folder / f"{figure.name}.json", text.encode())


def choose_sequences(
    sequences: Sequence[FaceSequence], subjects: str | None = None, limit: int | None = None
) -> list[FaceSequence]:
    """Some of the sequences, in their order: of so many subjects, or of those named; at most `limit`, fairly shared.

    Sounds without speech, which some data sets have, are left out.

    Raises:
        VultusError: unknown subjects, numbers under 1, or nothing left.
    """
    chosen = [sequence for sequence in sequences if getattr(sequence, "is_speech", True)]
    known = list(dict.fromkeys(sequence.subject for sequence in chosen))
    if subjects is not None:
        wanted = [name.strip() for name in subjects.split(",") if name.strip()]
        if len(wanted) == 1 and wanted[0].isdigit() and wanted[0] not in known:
            count = int(wanted[0])
            if count < 1:
                raise VultusError("--subjects is 0; expected 1 or more, or names")
            places = np.linspace(0, len(known) - 1, min(count, len(known))).round().astype(int)
            wanted = [known[place] for place in places]
        for name in wanted:
            if name not in known:
                from vultus.errors import unknown_name

                raise unknown_name("subject", name, known)
        chosen = [sequence for sequence in chosen if sequence.subject in wanted]
    if limit is not None:
        if limit < 1:
            raise VultusError(f"--limit is {limit}; expected 1 or more")
        turn: dict[str, int] = {}
        turns = []
        for place, sequence in enumerate(chosen):
            turn[sequence.subject] = turn.get(sequence.subject, 0) + 1
            turns.append((turn[sequence.subject], place))
        kept = sorted(place for _, place in sorted(turns)[:limit])
        chosen = [chosen[place] for place in kept]
    if not chosen:
        raise VultusError("the split has no sequence with speech; choose another with --split")
    return chosen


def _request(options: argparse.Namespace) -> tuple[Request, Callable[[FaceSequence], np.ndarray] | None]:
    name, colon, root = options.data.partition(":")
    if not (name and colon and root):
        raise VultusError(f"--data is '{options.data}'; expected SET:ROOT, as synthetic:my-corpus")
    data = open_dataset(name, root)
    if not data.splits:
        raise VultusError(f"{root}: the data set has no sequence; `vultus data check {name} {root}` says what is there")
    split = options.split or ("test" if "test" in data.splits else data.splits[0])
    sequences = choose_sequences(data.split(split), options.subjects, options.limit)
    fps = _reading_rate(options.fps, sequences[0].fps)
    predictor: Any = None
    if options.predictions is not None:
        from vultus.figures.predictions import FolderPredictions

        predictor = FolderPredictions(options.predictions, sequences, fps)
    elif options.model is not None and not (Path(options.model) / "settings.json").is_file():
        from vultus.figures.models import ModelPredictions

        predictor = ModelPredictions(options.model, sequences, fps)
    request = Request(
        sequences=sequences,
        template=sequences[0].template,
        data_name=f"{data.name}, split {split}",
        fps=fps,
        model=options.model,
        compare=options.compare,
        predicted_by="" if predictor is None else predictor.label,
        turn=_turn(options.turn),
        seed=options.seed,
    )
    return request, None if predictor is None else predictor.offsets


def _reading_rate(asked: str | None, stored: float) -> float | None:
    if asked is not None:
        return check_fps(asked)  # type: ignore[arg-type]
    multiple = stored / USUAL_FPS
    return USUAL_FPS if multiple > 1 and multiple == round(multiple) else None


def _turn(text: str | None) -> tuple[float, float, float]:
    if text is None:
        return 0.0, 0.0, 0.0
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise VultusError(f"--turn is '{text}'; expected three angles in degrees, as 180,0,0") from None
    if not np.isfinite([x, y, z]).all():
        raise VultusError(f"--turn is '{text}'; expected finite angles in degrees")
    return x, y, z


def _figure_names(asked: Sequence[str]) -> list[str]:
    names: list[str] = []
    for name in asked:
        plain = name.replace("-", "_")
        if plain != "all":
            figure_class(plain)
        names += list(FIGURES) if plain == "all" else [plain]
    return list(dict.fromkeys(names))


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.quiet:
        sys.stderr.write(line + "\n")
