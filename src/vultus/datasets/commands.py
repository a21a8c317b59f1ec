"""`vultus data check NAME ROOT` and `vultus data convert NAME ROOT -o DIR`, for every data set of the table."""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vultus.datasets import DATASETS, open_dataset
from vultus.datasets.base import Dataset, Finding, by_reason, shortened
from vultus.datasets.coordinates import fault
from vultus.datasets.options import read_options
from vultus.datasets.survey import Progress, SplitSurvey, survey, try_reading
from vultus.errors import VultusError

_SHOWN = 20  # findings of a kind, names of the worst


def add_commands(commands: Any) -> None:
    """Adds `check` and `convert` to the subcommands of `vultus data`."""
    names = ", ".join(DATASETS)
    check = commands.add_parser(
        "check",
        help="what a data set on disk holds, what is missing and how to get it",
        description="Looks at a data set on disk: what is there, what is missing and how to obtain it, sequences, "
        "subjects and hours of each split, sound against motion, and coordinates: finite, and of the size of the "
        "neutral face. Exit status 0 where it can be used, else 2.",
        epilog=f"data sets: {names}; their pages are in docs/datasets",
    )
    _common(check)
    check.add_argument("--fast", action="store_true", help="open no sequence: neither lengths nor what is damaged")
    check.set_defaults(run=_check)
    convert = commands.add_parser(
        "convert",
        help="write a data set in our own form, for fast training",
        description="Writes a data set as shards: offsets from the template as memory-mapped .npy and sound as flac. "
        "Run it again after an interruption: it goes on. Read the result as data set `shards`.",
        epilog=f"data sets: {names}",
    )
    _common(convert)
    convert.add_argument("-o", "--out", required=True, metavar="DIR", help="a new or empty folder")
    convert.add_argument("--split", action="append", metavar="S", help="only this split; may be given again")
    convert.add_argument("--fps", type=float, metavar="F", help="frames per second (default: as the data set has)")
    convert.add_argument(
        "--offsets", default="float32", choices=("float32", "float16"), help="how they are stored (default %(default)s)"
    )
    convert.set_defaults(run=_convert)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the data set")
    parser.add_argument("root", metavar="ROOT", help="its folder")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE",
        help="an option of its reader, such as mesh=FILE; may be given again",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _check(options: argparse.Namespace) -> int:
    keywords = read_options(options.name, options.option)
    where = f"{options.name} at {options.root}"
    _say(where)
    told = module_findings(options.name, options.root, keywords, durations=False)  # the survey compares them all
    _show(told)
    try:
        data = open_dataset(options.name, options.root, **keywords)
    except Exception as error:  # a bad root may fail in any way; here it is one line
        why = _one_line(error)
        raise VultusError(f"{where} cannot be used: {why}") from None
    if not told:
        _show(_readers_remarks(data))
    with _bar("durations", options.quiet or options.fast) as bar:
        found = survey(data, durations=not options.fast, progress=_moves(bar))
    _say("")
    _table(found)
    unusable = _damage(data, found, options.fast, options.quiet)
    if unusable:
        raise VultusError(f"{where} cannot be used: {' '.join(unusable.split())}")
    bad = sum(not finding.good for finding in told) + sum(len(split.broken) for split in found)
    _say(f"{where} can be used" + (f"; {bad} things to look at, see above" if bad else ""))
    return 0


def module_findings(name: str, root: str, options: dict[str, Any], *, durations: bool = True) -> list[Finding]:
    """What the data set's own `check` says; nothing where it has none.

    Args:
        durations: compare sound and motion too.
    """
    module = importlib.import_module(DATASETS[name].partition(":")[0])
    check = getattr(module, "check", None)
    if check is None:
        return []
    parameters = inspect.signature(check).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = {key: value for key, value in options.items() if takes_all or key in parameters}
    found: list[Finding] = check(root, **known, durations=durations)
    return found


def _readers_remarks(data: Dataset) -> list[Finding]:
    remarks = [Finding(True, str(note)) for note in getattr(data, "notes", ())]
    for why, names in by_reason(getattr(data, "left_out", {})).items():
        remarks.append(Finding(False, f"{len(names)} left out, {why}: {shortened(names)}"))
    return remarks


def _show(findings: list[Finding]) -> None:
    """Good ones first; many bad ones of one data set are cut short."""
    for finding in (f for f in findings if f.good):
        _say(f"  ok       {_one_line(finding.what)}")
    bad = [f for f in findings if not f.good]
    for finding in bad[:_SHOWN]:
        _say(f"  missing  {_one_line(finding.what)}" + (f" -> {_one_line(finding.remedy)}" if finding.remedy else ""))
    if bad[_SHOWN:]:
        _say(f"  missing  {len(bad) - _SHOWN} more of the kind")


def _table(found: list[SplitSurvey]) -> None:
    _say(f"  {'split':14} {'sequences':>9} {'subjects':>8} {'hours':>7} {'frames':>9}  sound against motion")
    for split in found:
        told = ("-", "-", "not looked at")
        if split.frames is not None:
            told = (f"{split.seconds / 3600:.2f}", str(split.frames), _gap(split))
        _say(f"  {split.name:14} {split.sequences:9} {split.subjects:8} {told[0]:>7} {told[1]:>9}  {told[2]}")
    for split in found:
        for gap, _, name in split.beyond()[:5]:
            _say(f"  {split.name}: {name}: sound minus motion is {1000 * gap:+.0f} ms")
        for name, why in list(split.broken.items())[:_SHOWN]:
            _say(f"  {split.name}: {name} cannot be read: {' '.join(why.split())}")
        if len(split.broken) > _SHOWN:
            _say(f"  {split.name}: {len(split.broken) - _SHOWN} more cannot be read")


def _gap(split: SplitSurvey) -> str:
    if split.largest is None:
        return "none could be read"
    gap, frame, name = split.largest
    beyond = split.beyond()
    if not beyond:
        return f"all within one frame ({1000 * frame:.0f} ms); {1000 * abs(gap):.0f} ms at most"
    return f"{len(beyond)} beyond one frame ({1000 * frame:.0f} ms); {1000 * gap:+.0f} ms at most ({name})"


def _damage(data: Dataset, found: list[SplitSurvey], fast: bool, quiet: bool) -> str | None:
    """Why the data set is of no use though it opens, or None."""
    empty = next((split for split in found if split.broken and not split.gaps), None)
    if empty is not None:
        return f"no sequence of split {empty.name} can be read: {next(iter(empty.broken.values()))}"
    if fast:
        return None
    why = try_reading(data) or _bad_coordinates(data, found, quiet)
    if why is None and hasattr(data, "verify"):
        try:
            takes_progress = "progress" in inspect.signature(data.verify).parameters
            with _bar("sha256", quiet or not takes_progress) as bar:
                data.verify(**({"progress": _moves(bar)} if takes_progress else {}))
        except VultusError as error:
            return str(error)
    return why


def _bad_coordinates(data: Dataset, found: list[SplitSurvey], quiet: bool) -> str | None:
    """Names the sequences that can be opened and yet hold impossible coordinates; tells the first, or None."""
    faults: dict[str, str] = {}
    with _bar("coordinates", quiet) as bar:
        bar.total = sum(split.sequences for split in found)
        for split in found:
            for sequence in data.split(split.name) if split.sequences else ():
                bar.update()
                if sequence.name not in split.broken and sequence.name not in faults and (why := fault(sequence)):
                    faults[sequence.name] = _one_line(why if sequence.name in why else f"{sequence.name}: {why}")
    for why in list(faults.values())[:_SHOWN]:
        _say(f"  {why}")
    return f"coordinates cannot be true (sequences: {len(faults)}): {next(iter(faults.values()))}" if faults else None


def _convert(options: argparse.Namespace) -> int:
    from vultus.datasets.convert import convert

    keywords = read_options(options.name, options.option)
    data = open_dataset(options.name, options.root, **keywords)
    with _bar("sequences", options.quiet) as bar:
        told = convert(
            data, options.out, splits=options.split, fps=options.fps, offsets=options.offsets, options=keywords,
            progress=_moves(bar),
        )  # fmt: skip
    unit = getattr(data.split(data.splits[0])[0], "unit", "m")
    error = f"{1e6 * told['motion_error']:.3g} um" if unit == "m" else f"{told['motion_error']:.3g} of the unit {unit}"
    size = sum(path.stat().st_size for path in Path(options.out).rglob("*") if path.is_file())
    _say(
        f"{options.out}: {told['sequences']:.0f} sequences, {told['hours']:.2f} h, {size / 1e6:.0f} MB; against the "
        f"original coordinates differ by {error} at most ({options.offsets} offsets), samples by "
        f"{told['sound_error']:.2g} of full scale (16 bits); read it as data set `shards`"
    )
    return 0


def _bar(what: str, hidden: bool) -> tqdm[Any]:
    return tqdm(desc=what, disable=hidden or not sys.stderr.isatty(), file=sys.stderr, dynamic_ncols=True)


def _moves(bar: tqdm[Any]) -> Progress:
    def move(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return move


def _one_line(value: object) -> str:
    return " ".join(str(value).split()) or type(value).__name__


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
