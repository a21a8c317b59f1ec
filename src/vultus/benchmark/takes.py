"""Evidence that a model of takes does what the probabilistic paper claims, on the synthetic corpus.

    python -m vultus.benchmark.takes --model takes --base base --data CORPUS --out DIR --into docs/results.md

MODEL is a bundle or a training run that draws takes, BASE a deterministic one. CORPUS is a synthetic corpus
(`vultus data synthesize`) whose test lines have several true takes. In this order: the relations R1 to R7 with
calibration (`takes_relations`), the table of sampling strategies with the rule that picks a default (`takes_sampling`),
style matching (`takes_style`), and takes against true takes (`takes_lines`). Every evaluation keeps its folder below
DIR, so a stopped command goes on, and `vultus evaluate --compare` reads any two.

The section goes between two marks of the page given by --into, its numbers into the .json beside the page under "takes"
and the picture of the trade-off into img/ beside it; all three lie in DIR in any case. Exit status 2: the command could
not run. docs/probabilistic.md tells how to read the section.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vultus.benchmark import takes_lines, takes_relations, takes_sampling, takes_style
from vultus.benchmark.evaluations import Evaluation
from vultus.benchmark.open_model import OpenModel
from vultus.benchmark.predictions import Baseline, true_takes
from vultus.benchmark.results import revision
from vultus.benchmark.results_page import write_section
from vultus.benchmark.takes_draws import remember_draws
from vultus.benchmark.takes_lines import Lines, as_folder
from vultus.benchmark.takes_picture import trade_off
from vultus.benchmark.takes_relations import METRICS, Relation
from vultus.benchmark.takes_sampling import MANY, STRATEGIES, Pick, Strategy
from vultus.benchmark.takes_setting import SAMPLES, Setting, only
from vultus.benchmark.takes_style import StyleMatch
from vultus.errors import VultusError
from vultus.files import write_atomically

PROTOCOL = "takes 1"
HEADING = "## Takes: the probabilistic method"
BEGIN, END = "<!-- takes: begin -->", "<!-- takes: end -->"
PICTURE = "takes_trade_off.png"
ON_ALL_CLIPS = ("plain", "avg-10")
"""Strategies that are measured on all clips; for the others a part of them tells enough."""


@dataclass(frozen=True)
class Limits:
    """How much each part measures.

    Attributes:
        clips: of the relations, under base and ON_ALL_CLIPS.
        table: clips of the other strategies, some of those.
        many: clips of the average of many draws, some of those.
        style: clips of style matching, under each condition.
        lines: lines with true takes.
        takes: of the model, for each of these lines.
    """

    clips: int = 60
    table: int = 24
    many: int = 12
    style: int = 30
    lines: int = 20
    takes: int = 20

    def at_most(self, count: int | None) -> Limits:
        """The same with no part above `count` clips or lines."""
        if count is None:
            return self
        fewer = {item.name: min(getattr(self, item.name), count) for item in fields(self) if item.name != "takes"}
        return replace(self, **fewer)


@dataclass(frozen=True)
class Evidence:
    """What was measured.

    Attributes:
        about: protocol, models, data, limits, seed, machine, core seconds: JSON values.
        relations: R1 ... R7.
        table: strategies.
        beside: rows to read the table by.
        pick: what the rule says.
        style: style matching.
        lines: takes against true takes, by sampling.
    """

    about: dict[str, Any]
    relations: list[Relation]
    table: list[Strategy]
    beside: list[Strategy]
    pick: Pick
    style: StyleMatch
    lines: list[Lines]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        seed = self.about["seed"]
        return {
            "about": self.about,
            "relations": takes_relations.to_json(self.relations),
            "sampling": {row.name: row.to_dict() for row in [*self.table, *self.beside]},
            "default": {"name": self.pick.name, "left_out": dict(self.pick.left_out), "reason": self.pick.reason},
            "style": self.style.to_dict(seed),
            "lines": {lines.sampling: lines.to_dict(seed) for lines in self.lines},
        }


def prove(setting: Setting, model: OpenModel, base: OpenModel, limits: Limits) -> Evidence:
    """All parts.

    Raises:
        VultusError: a model that draws no takes, or a base that does.
    """
    check_models(model, base)
    if model.network is not None:
        remember_draws(model.network)
    spent: dict[str, float] = {}
    clips, seed = setting.clips(limits.clips), setting.seed
    fewer = {"table": _some(clips, limits.table), "many": _some(clips, limits.many)}
    with _timed(setting.out, "relations and sampling", spent):
        still = setting.evaluation("base", setting.source(base), clips, METRICS)
        found: dict[str, Evaluation] = {}
        for name in STRATEGIES:
            chosen = clips if name in ON_ALL_CLIPS else fewer["many" if name == MANY else "table"]
            source = setting.source(model, name)
            found[name] = setting.evaluation(f"sampling_{as_folder(name)}", source, chosen, METRICS)
        relations = takes_relations.relations(still, found["plain"], found[MANY], MANY, seed)
        table = [takes_sampling.row(name, only(found[name], fewer["table"]), seed) for name in STRATEGIES]
        picked = takes_sampling.pick(table)
        beside = _beside(setting, still, fewer["table"])
    with _timed(setting.out, "style", spent):
        style = takes_style.match(setting, model, setting.clips(limits.style), "plain")
        right, wrong = (style.conditions[key].evaluation for key in ("right", "wrong"))
        relations.append(takes_relations.style_relation(right, wrong, seed))
    with _timed(setting.out, "lines", spent):
        groups = _some(setting.groups, limits.lines)
        names = ["plain", *([picked.name] if picked.name not in (None, "plain") else [])]
        lines = [takes_lines.measure(setting, model, str(name), groups, limits.takes) for name in names]
    about = {
        "protocol": PROTOCOL, "under": f"{setting.protocol.name} {setting.protocol.version}", "revision": revision(),
        "model": {"name": model.name, "kind": model.kind, "digest": model.digest},
        "base": {"name": base.name, "kind": base.kind, "digest": base.digest},
        "data": setting.about, "split": len(setting.split),
        "subjects": len({clip.subject for clip in setting.split}), "seed": seed, "samples": SAMPLES,
        "limits": {item.name: getattr(limits, item.name) for item in fields(limits)},
        "measured": {"clips": len(clips), **{name: len(some) for name, some in fewer.items()},
                     "style": len(right.rows), "lines": len(groups)},
        "machine": machine(), "core_seconds": spent,
    }  # fmt: skip
    return Evidence(about, relations, table, beside, picked, style, lines)


def check_models(model: OpenModel, base: OpenModel) -> None:
    """VultusError unless one draws takes and the other is deterministic."""
    if model.default_sampling is None:
        raise VultusError(f"--model {model.name} is deterministic; expected a model that draws takes")
    if base.default_sampling is not None:
        raise VultusError(f"--base {base.name} draws takes; expected a deterministic model such as 'base'")


def _beside(setting: Setting, still: Evaluation, clips: Sequence[Any]) -> list[Strategy]:
    """The deterministic model, the recorded motion, and other true takes of the lines that have them."""
    rows = [takes_sampling.row("deterministic", only(still, clips), setting.seed)]
    recorded = Baseline("recorded", setting.dataset, setting.protocol.fps)
    rows.append(takes_sampling.row("recorded", setting.evaluation("recorded", recorded, clips, METRICS), setting.seed))
    lines = [group[0] for group in _some(setting.groups, len(clips))]
    count = min(SAMPLES, *(len(takes) for takes in true_takes(setting.dataset).values()))
    true = Baseline("takes", setting.dataset, setting.protocol.fps, None, count)
    rows.append(takes_sampling.row("true takes", setting.evaluation("true_takes", true, lines, METRICS), setting.seed))
    return rows


def _some(items: Sequence[Any], count: int) -> list[Any]:
    from vultus.benchmark.examples import evenly

    return evenly(items, count)


@contextmanager
def _timed(out: Path, part: str, spent: dict[str, float]) -> Iterator[None]:
    """Puts a part's core seconds into `spent`, those of earlier runs on this output added, which stopped on the way."""
    path, begin = out / "seconds.json", time.process_time()
    try:
        yield
    finally:
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            before = float(known.get(part, 0.0))
        except (OSError, ValueError, AttributeError, TypeError):
            known, before = {}, 0.0
        spent[part] = round(before + time.process_time() - begin, 1)
        write_atomically(path, (json.dumps({**known, **spent}, indent=1) + "\n").encode())


def machine() -> str:
    """The processor and how many of its cores there are."""
    name = platform.processor() or platform.machine()
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        told = ""
    for line in told.splitlines():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    return f"{name}, {os.cpu_count()} cores"


def write(evidence: Evidence, out: Path, page: Path | None) -> None:
    """Picture, text and numbers into `out`, and into a page where one is given.

    Raises:
        VultusError: the page has one mark without the other.
    """
    from vultus.benchmark.takes_text import note, text

    png = trade_off([*evidence.table, *evidence.beside], evidence.pick.name, note(evidence.about))
    write_atomically(out / PICTURE, png)
    for place, picture in ((out / "takes.md", PICTURE), *([(page, f"img/{PICTURE}")] if page else [])):
        write_section(place, (BEGIN, END), text(evidence, picture), {"takes": evidence.to_dict()}, HEADING)
    if page is not None:
        write_atomically(page.parent / "img" / PICTURE, png)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m vultus.benchmark.takes", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--model", required=True, help="a bundle or a training run that draws takes")
    parser.add_argument("--base", default="base", help="a deterministic model (default %(default)s)")
    parser.add_argument("--data", required=True, help="a synthetic corpus whose test lines have several takes")
    parser.add_argument("--out", required=True, type=Path, help="folder of the evaluations, the section, the picture")
    parser.add_argument(
        "--into", type=Path, metavar="PAGE", help="a .md page that gets the section, as docs/results.md"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most N clips or lines in every part")
    parser.add_argument("--seed", type=int, default=0, help="of takes, styles and intervals (default %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no bars and no text")
    options = parser.parse_args(arguments)
    try:
        if options.limit is not None and options.limit < 2:
            raise VultusError(f"--limit is {options.limit}; expected 2 or more")
        if options.seed < 0:
            raise VultusError(f"--seed is {options.seed}; expected 0 or more")
        if options.into is not None and (options.into.suffix != ".md" or options.into.is_dir()):
            raise VultusError(f"--into {options.into}: expected a .md page")
        if options.out.exists() and not options.out.is_dir():
            raise VultusError(f"--out {options.out} is a file; expected a folder")
        setting = Setting(options.data, options.out, options.seed, not options.quiet)
        base, model = setting.open(options.base), setting.open(options.model)
        found = prove(setting, model, base, Limits().at_most(options.limit))
        write(found, options.out, options.into)
    except VultusError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not options.quiet:
        from vultus.benchmark.takes_text import text

        sys.stdout.write(text(found, PICTURE))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
