"""The manifest of a corpus: one clip a line of JSON, with the sha256 of its two files.

Written by the builder, read by the builder (to go on after an interruption) and by the data set. What stands in it
may be half-written or hostile: a record is used only if its fields have the right types and its file names stay inside
the corpus.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vultus.clock import check_fps, num_motion_frames
from vultus.errors import VultusError
from vultus.files import write_atomically
from vultus.synthesis.plan import SAFE_NAME, SPLITS, ClipPlan, Plan, Subject

FIELDS: dict[str, type] = {
    "name": str, "file": str, "audio": str, "split": str, "subject": str, "line": str, "take": int, "kind": str,
    "seed": int, "fps": float, "voice": str, "language": str, "text": str, "num_samples": int, "frames": int,
    "sha256": str, "audio_sha256": str,
}  # fmt: skip
_SHAPES = {
    "name": SAFE_NAME,
    "split": "|".join(SPLITS),
    "file": rf"clips/({'|'.join(SPLITS)})/{SAFE_NAME}\.npz",
    "audio": rf"audio/{SAFE_NAME}\.(ogg|opus|flac)",
    "sha256": "[0-9a-f]{64}",
    "audio_sha256": "[0-9a-f]{64}",
}


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_bytes(value: object) -> bytes:
    """Indented JSON with sorted keys: equal values give equal bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def record_line(record: Mapping[str, Any]) -> str:
    """One line of the manifest."""
    return json.dumps(record, sort_keys=True, ensure_ascii=False) + "\n"


def write_manifest(root: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes manifest.jsonl as a whole, atomically."""
    write_atomically(root / "manifest.jsonl", "".join(map(record_line, records)).encode())


def clip_file(clip: ClipPlan) -> str:
    """Where a clip lies, relative to the corpus."""
    return f"clips/{clip.split}/{clip.name}.npz"


def fixed_fields(clip: ClipPlan, fps: float, audio: str) -> dict[str, Any]:
    """What the plan alone says about a clip."""
    return {
        "name": clip.name, "file": clip_file(clip), "audio": audio, "split": clip.split, "subject": clip.subject,
        "line": clip.line, "take": clip.take, "kind": clip.kind, "seed": clip.seed, "fps": fps,
    }  # fmt: skip


def check_record(record: Any) -> dict[str, Any]:
    """A record as read from JSON -> the same, if it can be true.

    Raises:
        VultusError: a field is missing, of another type, outside the corpus, or contradicts another.
    """
    if not isinstance(record, dict) or set(record) != set(FIELDS):
        raise VultusError("the fields are not those of a clip")
    for key, kind in FIELDS.items():
        good = isinstance(record[key], (int, float) if kind is float else kind)
        if not good or isinstance(record[key], bool):
            raise VultusError(f"{key} is {str(record[key])[:60]!r}")
    for key, shape in _SHAPES.items():
        if not re.fullmatch(shape, record[key]):
            raise VultusError(f"{key} is {record[key][:60]!r}")
    samples, fps = record["num_samples"], check_fps(record["fps"])
    if not 0 < samples < 2**31 or record["frames"] != num_motion_frames(samples, fps):
        raise VultusError(f"{record['frames']} frames do not fit {samples} samples at {fps:g} fps")
    return record


def trusted_records(root: Path, plan: Plan, audio_of: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The records of an interrupted build that belong to the plan and whose files are there, unchanged.

    Everything else is dropped from the manifest, be it a half-written last line or nonsense: its clip is made again.

    Args:
        root: the corpus.
        plan: what is wanted.
        audio_of: line -> its sound, relative to the corpus.
    """
    planned = {clip.name: clip for clip in plan.clips}
    good: dict[str, dict[str, Any]] = {}
    audio_seen: dict[str, str] = {}
    path = root / "manifest.jsonl"
    if not path.is_file():
        return good
    for raw in path.read_bytes().splitlines():
        try:
            record = check_record(json.loads(raw))
            clip = planned[record["name"]]
            audio = audio_of[clip.line]
            if any(record[key] != value for key, value in fixed_fields(clip, plan.settings.fps, audio).items()):
                continue
            if audio not in audio_seen:
                audio_seen[audio] = file_sha256(root / audio)
            if record["sha256"] == file_sha256(root / record["file"]) and record["audio_sha256"] == audio_seen[audio]:
                good[clip.name] = record
        except (ValueError, KeyError, OSError, RecursionError):
            continue
    write_manifest(root, (good[clip.name] for clip in plan.clips if clip.name in good))
    return good


_REMEDY = "expected a folder made by `vultus data synthesize --out DIR`; run it again, it keeps what is good"


def read_json(root: Path, name: str) -> dict[str, Any]:
    """One of the JSON files of a corpus; VultusError where it is missing or no JSON object."""
    try:
        value = json.loads((root / name).read_text(encoding="utf-8"))
    except OSError:
        raise VultusError(f"corpus {root}: no {name}; {_REMEDY}") from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise VultusError(f"corpus {root}: {name} is damaged; {_REMEDY}")
    return value


def read_subjects(root: Path) -> dict[str, Subject]:
    """The subjects of a corpus by name; VultusError where one cannot be used."""
    from vultus.synthesis.style import Style

    subjects: dict[str, Subject] = {}
    for name, entry in read_json(root, "subjects.json").items():
        try:
            subject = Subject(**entry)
            Style.from_dict(subject.style)
            if type(subject.identity) is not int or subject.name != name:
                raise VultusError("its name or identity is not as written")
        except (TypeError, AttributeError, VultusError) as error:
            raise VultusError(
                f"corpus {root}: subject '{name}' in subjects.json is wrong ({error}); {_REMEDY}"
            ) from None
        subjects[name] = subject
    return subjects


def read_manifest(root: Path, expected: object, subjects: Mapping[str, object], partial: bool) -> list[dict[str, Any]]:
    """Every record of a corpus, checked.

    Args:
        root: the corpus.
        expected: how many clips corpus.json promises.
        subjects: the names that a record may give as its subject.
        partial: whether the build may still be going on: fewer clips and a half-written last line are then accepted.

    Raises:
        VultusError: the manifest is missing, short, or has a wrong line.
    """
    try:
        lines: Sequence[bytes] = (root / "manifest.jsonl").read_bytes().splitlines()
    except OSError:
        raise VultusError(f"corpus {root}: no manifest.jsonl; {_REMEDY}") from None
    records: dict[str, dict[str, Any]] = {}
    for number, raw in enumerate(lines, 1):
        try:
            record = check_record(json.loads(raw))
            if record["subject"] not in subjects:
                raise VultusError(f"subject {record['subject'][:60]!r} is not in subjects.json")
            if record["name"] in records:
                raise VultusError(f"clip {record['name']} comes twice")
        except (ValueError, RecursionError) as error:  # VultusError is a ValueError
            if partial and number == len(lines):
                break
            reason = str(error) if isinstance(error, VultusError) else "not JSON"
            raise VultusError(f"corpus {root}: manifest.jsonl line {number} is wrong ({reason}); {_REMEDY}") from None
        records[record["name"]] = record
    if not partial and len(records) != expected:
        raise VultusError(f"corpus {root}: manifest.jsonl lists {len(records)} clips; expected {expected}; {_REMEDY}")
    if not records:
        raise VultusError(f"corpus {root}: manifest.jsonl lists no clip; {_REMEDY}")
    return list(records.values())
