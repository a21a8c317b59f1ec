"""Builds a synthetic corpus: plan -> clips in parallel -> manifest, subjects, data card.

Layout of a corpus:

    corpus.json      settings, digests, state
    subjects.json    name -> split, voice, identity, style
    manifest.jsonl   one clip a line, with sha256 of its two files (manifest.py)
    card.md          the data card
    audio/           one sound for each line, shared by its takes
    clips/SPLIT/     one npz for each clip (clipfile.py)

A build can be killed at any moment and run again: files appear whole or not at all, the manifest is appended to while
building, and what it says is checked (sha256) before it is trusted. The result depends on sources, settings, seed and
teacher only: not on the number of workers, nor on interruptions.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.files import write_atomically
from vultus.synthesis.card import write_card
from vultus.synthesis.clipfile import LAYER_BYTES_PER_FRAME
from vultus.synthesis.making import LINKED_SUFFIXES, Context, Job, Spoken, audio_name, run_jobs
from vultus.synthesis.manifest import json_bytes, record_line, trusted_records, write_manifest
from vultus.synthesis.plan import CORPUS_VERSION, SAFE_NAME, ClipPlan, Plan, Settings, make_plan
from vultus.synthesis.sources.base import LineSource

FLAC_BYTES_PER_SECOND = 2 * SAMPLE_RATE
"""An upper bound: 16-bit samples that do not compress at all."""
OTHER_FILES = frozenset((
    "__init__", "align", "asterisk", "build", "card", "clipfile", "commands", "export_layout", "making", "manifest",
    "plan", "textgrid",
))  # fmt: skip
"""The modules of vultus/synthesis that do not decide how a face moves; all others do."""

Progress = Callable[[int, int], None]


def teacher_digest() -> str:
    """16 hexadecimal digits of the code and the head that make the motion: clips of two teachers must not mix."""
    from vultus import assets, head, measures, synthesis

    code = sorted(p for folder in synthesis.__path__ for p in Path(folder).glob("*.py") if p.stem not in OTHER_FILES)
    shapes = sorted(path for folder in assets.__path__ for path in Path(folder).glob("*.npz"))
    sha = hashlib.sha256()
    for path in [*code, Path(head.__file__), Path(measures.__file__), *shapes]:
        sha.update(path.name.encode() + b"\0" + path.read_bytes())
    return sha.hexdigest()[:16]


def synthesize(
    out: str | Path,
    sources: LineSource | Sequence[LineSource],
    settings: Settings | None = None,
    *,
    workers: int = 1,
    max_gb: float | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Builds a corpus under `out`, or finishes one that was interrupted.

    Args:
        out: the corpus folder; made where it does not exist.
        sources: speech sources, see `vultus.synthesis.sources.open_source`.
        settings: what to make of them.
        workers: processes; the result does not depend on it.
        max_gb: refuse a corpus that may become larger (10^9 bytes); None bounds it by the free space alone.
        fresh: throw away what a corpus folder holds and begin again.
        progress: called with (clips done, clips planned).

    Returns:
        `out`.

    Raises:
        VultusError: no usable speech, another corpus in `out`, or not enough room on the disk.
    """
    settings = settings or Settings()
    if workers < 1:
        raise VultusError(f"corpus: workers is {workers}; expected 1 or more")
    many = tuple(sources) if isinstance(sources, Sequence) else (sources,)
    spoken = _list_lines(many)
    plan = make_plan([replace(item.line, name=name) for name, item in spoken.items()], settings)
    out = Path(out)
    _check_room(out, plan, spoken, max_gb)
    head = {
        "format": "vultus synthetic corpus", "version": CORPUS_VERSION, "plan": plan.digest,
        "teacher": teacher_digest(), "settings": asdict(settings), "num_clips": len(plan.clips),
        "sources": [{"name": s.name, "terms": s.terms} for s in many], "left_out": plan.left_out,
    }  # fmt: skip
    _open_folder(out, head, fresh)
    audio_of = {clip.line: audio_name(clip.line, spoken.get(clip.line)) for clip in plan.clips}
    done = trusted_records(out, plan, audio_of)
    write_atomically(out / "subjects.json", json_bytes({s.name: asdict(s) for s in plan.subjects.values()}))
    if progress:
        progress(len(done), len(plan.clips))
    jobs = _jobs(plan, done, spoken, audio_of)
    with (out / "manifest.jsonl").open("a", encoding="utf-8") as manifest:
        for records in run_jobs(Context(out.resolve(), many, plan), jobs, workers):
            for record in records:
                manifest.write(record_line(record))
                done[record["name"]] = record
            manifest.flush()
            if progress:
                progress(len(done), len(plan.clips))
    ordered = [done[clip.name] for clip in plan.clips]
    write_manifest(out, ordered)
    write_atomically(out / "card.md", write_card(head, plan, ordered).encode())
    write_atomically(out / "corpus.json", json_bytes({**head, "state": "complete"}))
    return out


def _list_lines(sources: tuple[LineSource, ...]) -> dict[str, Spoken]:
    """Corpus-wide line name -> line; with several sources their number comes first in the name."""
    found: dict[str, Spoken] = {}
    for k, source in enumerate(sources):
        for line in source.lines():
            name = line.name if len(sources) == 1 else f"{k}-{line.name}"
            if name in found:
                raise VultusError(f"corpus: source '{source.name}' lists line '{name}' twice; expected unique names")
            if not re.fullmatch(SAFE_NAME, name) or len(name) > 160:
                raise VultusError(
                    f"corpus: line {name[:80]!r} cannot name a file; expected at most 160 of letters, digits "
                    "and _ . + -, a letter or digit first; rename the sound and its labels"
                )
            found[name] = Spoken(k, line)
    if not found:
        raise VultusError("corpus: the speech sources list no line; expected at least one")
    return found


def _check_room(out: Path, plan: Plan, spoken: dict[str, Spoken], max_gb: float | None) -> None:
    """Refuses before any work what may exceed the wanted size or the disk."""
    frames = sum(clip.seconds for clip in plan.clips) * plan.settings.fps
    total = frames * LAYER_BYTES_PER_FRAME + 2000 * len(plan.clips)
    for name, seconds in {clip.line: clip.seconds for clip in plan.clips}.items():
        path = spoken[name].line.audio if name in spoken else None
        linked = path is not None and path.suffix.lower() in LINKED_SUFFIXES
        total += path.stat().st_size if path is not None and linked else seconds * FLAC_BYTES_PER_SECOND
    found = f"corpus: up to {total / 1e9:.3f} GB for {len(plan.clips)} clips"
    if max_gb is not None and total > max_gb * 1e9:
        raise VultusError(f"{found}; the bound is {max_gb:g} GB; lower --hours, --takes or --test-takes, or raise it")
    place = next(p for p in (out.resolve(), *out.resolve().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if total > 0.95 * free:
        raise VultusError(f"{found}, but {place} has {free / 1e9:.1f} GB free; lower --hours or choose another disk")


def _open_folder(out: Path, head: dict[str, Any], fresh: bool) -> None:
    """Makes the folder, or checks that it holds this same corpus."""
    settled = out / "corpus.json"
    if settled.is_file() and fresh:
        for name in ("audio", "clips"):
            shutil.rmtree(out / name, ignore_errors=True)
        for name in ("manifest.jsonl", "subjects.json", "card.md", "corpus.json"):
            (out / name).unlink(missing_ok=True)
    if settled.is_file():
        try:
            found = json.loads(settled.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        for key, meaning in (("version", "format"), ("plan", "settings or speech"), ("teacher", "teacher")):
            other = found.get(key) if isinstance(found, dict) else "damaged"
            if other != head[key]:
                raise VultusError(
                    f"corpus: {out} holds a corpus of another {meaning} ({str(other)[:40]}; now {head[key]}); "
                    "name another folder or pass --fresh to make it anew"
                )
    elif out.exists() and not out.is_dir():
        raise VultusError(f"corpus: {out} is a file; expected a folder")
    elif out.is_dir() and any(out.iterdir()):
        raise VultusError(f"corpus: {out} is neither empty nor a corpus; expected a new or empty folder")
    out.mkdir(parents=True, exist_ok=True)
    for leftover in out.rglob(".*.part"):  # of a build that was killed while writing
        leftover.unlink(missing_ok=True)
    write_atomically(settled, json_bytes({**head, "state": "building"}))


def _jobs(plan: Plan, done: dict[str, Any], spoken: dict[str, Spoken], audio_of: dict[str, str]) -> list[Job]:
    """One job for each line that lacks clips, in plan order, so that a worker meets the same head again and again."""
    by_line: dict[str, list[ClipPlan]] = {}
    for clip in plan.clips:
        if clip.name not in done:
            by_line.setdefault(clip.line, []).append(clip)
    return [Job(audio_of[line], spoken.get(line), tuple(clips)) for line, clips in by_line.items()]
