"""The plan of a synthetic corpus: who says which line in which take, in which split. Pure: lines + settings -> plan.

Subjects are identity x voice x style. A voice belongs to one split; a line spoken by a blend of voices is used only
where all of them belong to the same split, so train, val and test share no voice, no identity and no style.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from vultus.errors import VultusError
from vultus.synthesis.negatives import KINDS
from vultus.synthesis.sources.base import Line, voice_parts

CORPUS_VERSION = "1"
"""Raised whenever the same settings would give another corpus (other than through the teacher's own code)."""
SPLITS = ("train", "val", "test", "takes")
"""`takes` holds the further takes of the shared lines of the test subjects (take 0 of each lies in `test`)."""
HELD_OUT = {"test": ("bm_lewis", "af_nova", "am_eric", "bf_lily", "am_onyx"), "val": ("af_sky", "bm_fable", "em_santa")}
"""Kokoro voices kept out of training by default."""
SAFE_NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,180}"


@dataclass(frozen=True)
class Settings:
    """What decides a corpus, together with its sources.

    Attributes:
        seed: every random choice.
        hours: hours of distinct lines to use; None takes all.
        subjects: how many; None takes one for each voice, at least 24.
        takes: performances of each line.
        test_lines: lines of the test subjects that get many takes.
        test_takes: takes of each of those (at least `takes`).
        negatives: share of clips without speech, face at rest, in [0, 0.5].
        fps: motion frames per second of the stored layers.
        test_voices, val_voices: voices to hold out; empty chooses.
    """

    seed: int = 0
    hours: float | None = None
    subjects: int | None = None
    takes: int = 1
    test_lines: int = 50
    test_takes: int = 20
    negatives: float = 0.06
    fps: float = 60.0
    test_voices: tuple[str, ...] = ()
    val_voices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks = (
            (self.hours is None or 0 < self.hours <= 10_000, "hours", self.hours, "more than 0, at most 10000"),
            (self.subjects is None or 1 <= self.subjects <= 100_000, "subjects", self.subjects, "1 to 100000"),
            (1 <= self.takes <= 1000, "takes", self.takes, "1 to 1000"),
            (0 <= self.test_lines <= 100_000, "test_lines", self.test_lines, "0 to 100000"),
            (1 <= self.test_takes <= 1000, "test_takes", self.test_takes, "1 to 1000"),
            (0 <= self.negatives <= 0.5, "negatives", self.negatives, "0 to 0.5"),
            (10 <= self.fps <= 240, "fps", self.fps, "10 to 240"),
            (0 <= self.seed < 2**63, "seed", self.seed, "0 or more"),
        )
        for good, name, found, expected in checks:
            if not good:
                raise VultusError(f"corpus: {name} is {found}; expected {expected}")


@dataclass(frozen=True)
class Subject:
    """A synthetic person. identity: seed for `load_head`; style: the numbers of `vultus.synthesis.style.Style`."""

    name: str
    split: str
    voice: str
    identity: int
    style: dict[str, float]


@dataclass(frozen=True)
class ClipPlan:
    """One clip to make. `seed` decides its performance; `kind` is "speech" or a kind of negative sound."""

    name: str
    line: str
    kind: str
    split: str
    subject: str
    take: int
    seed: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """Subjects and clips in their final order, and the lines left out with the reason."""

    settings: Settings
    subjects: dict[str, Subject]
    clips: tuple[ClipPlan, ...]
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of everything planned."""
        plain = [asdict(self.settings), [asdict(s) for s in self.subjects.values()], [asdict(c) for c in self.clips]]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def derive_seed(*parts: object) -> int:
    """A seed of 63 bits that depends on its parts only, not on any order of work."""
    text = "/".join(str(part) for part in (CORPUS_VERSION, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _rng(*parts: object) -> np.random.Generator:
    return np.random.default_rng(derive_seed(*parts))


def split_voices(voices: Sequence[str], settings: Settings) -> dict[str, str]:
    """Plain voice -> split. Named or default held-out voices first; else a seeded tenth to val, a seventh to test."""
    voices = sorted(set(voices))
    for name in (*settings.test_voices, *settings.val_voices):
        if name not in voices:
            raise VultusError(f"corpus: voice '{name}' is to be held out but speaks no line; have {', '.join(voices)}")
    both = set(settings.test_voices) & set(settings.val_voices)
    if both:
        raise VultusError(f"corpus: voice '{min(both)}' is held out for val and for test; expected one of them")
    test = settings.test_voices or tuple(v for v in HELD_OUT["test"] if v in voices and v not in settings.val_voices)
    val = settings.val_voices or tuple(v for v in HELD_OUT["val"] if v in voices and v not in test)
    rest = [v for v in voices if v not in test and v not in val]
    rest = [rest[k] for k in _rng(settings.seed, "voices").permutation(len(rest))]
    if not test and len(rest) >= 3:
        count = max(1, round(len(voices) / 7))
        test, rest = tuple(rest[:count]), rest[count:]
    if not val and len(rest) >= 2:
        count = max(1, round(len(voices) / 10))
        val, rest = tuple(rest[:count]), rest[count:]
    if not rest:
        raise VultusError(
            "corpus: every voice is held out and none is left to train on; name fewer test and val voices"
        )
    return {v: "test" if v in test else "val" if v in val else "train" for v in voices}


def _pick_hours(by_voice: dict[str, list[Line]], settings: Settings) -> dict[str, list[Line]]:
    """Lines of every voice in turn until the wanted hours are reached."""
    shuffled = {
        voice: [lines[k] for k in _rng(settings.seed, "lines", voice).permutation(len(lines))]
        for voice, lines in sorted(by_voice.items())
    }
    if settings.hours is None:
        return shuffled
    picked: dict[str, list[Line]] = defaultdict(list)
    seconds, turn = 0.0, 0
    while seconds < settings.hours * 3600 and any(len(lines) > turn for lines in shuffled.values()):
        for voice, lines in shuffled.items():
            if len(lines) > turn and seconds < settings.hours * 3600:
                picked[voice].append(lines[turn])
                seconds += lines[turn].seconds
        turn += 1
    return dict(picked)


def _subject_counts(by_voice: dict[str, list[Line]], split_of: dict[str, str], settings: Settings) -> dict[str, int]:
    """Voice -> number of subjects that speak with it."""
    voices = sorted(by_voice)
    wanted = max(24, len(voices)) if settings.subjects is None else settings.subjects
    if wanted < len(voices):  # too few for all voices: keep the splits' shares, drop voices
        order = [voices[k] for k in _rng(settings.seed, "drop").permutation(len(voices))]
        quota = {
            s: max(1, round(wanted * sum(split_of[v] == s for v in voices) / len(voices))) for s in ("val", "test")
        }
        quota["train"] = max(1, wanted - sum(n for s, n in quota.items() if s in set(split_of.values())))
        kept: list[str] = []
        for voice in order:
            if sum(split_of[v] == split_of[voice] for v in kept) < quota[split_of[voice]] and len(kept) < wanted:
                kept.append(voice)
        return {v: 1 for v in sorted(kept)}
    counts = dict.fromkeys(voices, 1)
    train = [v for v in voices if split_of[v] == "train"]
    for _ in range(wanted - len(voices)):  # extra subjects go where most speech is left for each subject
        busiest = max(train, key=lambda v: (sum(line.seconds for line in by_voice[v]) / counts[v], v))
        counts[busiest] += 1
    return counts


def make_plan(lines: Sequence[Line], settings: Settings) -> Plan:
    """Plans a corpus from lines; the same lines and settings give the same plan.

    Raises:
        VultusError: no line can be used, or settings that cannot be met.
    """
    from vultus.synthesis.style import Style

    split_of = split_voices([part for line in lines for part in voice_parts(line.voice)], settings)
    by_voice: dict[str, list[Line]] = defaultdict(list)
    left_out = {"blends across splits": 0, "voices without a subject": 0, "beyond the wanted hours": 0}
    for line in lines:
        parts = voice_parts(line.voice)
        if len({split_of[part] for part in parts}) == 1:
            by_voice[parts[0]].append(line)
        else:
            left_out["blends across splits"] += 1
    counts = _subject_counts(by_voice, split_of, settings)
    left_out["voices without a subject"] = sum(len(ls) for v, ls in by_voice.items() if v not in counts)
    by_voice = {voice: by_voice[voice] for voice in counts}
    usable = sum(map(len, by_voice.values()))
    by_voice = _pick_hours(by_voice, settings)
    left_out["beyond the wanted hours"] = usable - sum(map(len, by_voice.values()))
    counts = {voice: count for voice, count in counts.items() if by_voice.get(voice)}

    subjects: dict[str, Subject] = {}
    clips: list[ClipPlan] = []
    for voice, count in counts.items():
        names = []
        for _ in range(count):
            name = f"s{len(subjects):03d}"
            style = Style.random(_rng(settings.seed, "style", name, voice)).to_dict()
            identity = derive_seed(settings.seed, "identity", name, voice) % 2**31
            subjects[name] = Subject(name, split_of[voice], voice, identity, {k: float(v) for k, v in style.items()})
            names.append(name)
        for k, line in enumerate(by_voice[voice]):
            many = split_of[voice] == "test" and k < _shared_lines(settings, counts, split_of, voice)
            for take in range(max(settings.takes, settings.test_takes if many else 1)):
                subject = names[(k if many else k + take) % count]
                split = "takes" if many and take else split_of[voice]
                clips.append(_clip(line.name, "speech", split, subject, take, line.seconds, settings))
    clips += _negatives(clips, subjects, settings)
    if len({s.identity for s in subjects.values()}) != len(subjects):
        raise VultusError(f"corpus: seed {settings.seed} draws one identity twice; choose another seed")
    return Plan(settings, subjects, tuple(clips), left_out)


def _shared_lines(settings: Settings, counts: dict[str, int], split_of: dict[str, str], voice: str) -> int:
    """How many lines of one test voice get many takes: an equal share of `test_lines`."""
    test = [v for v in counts if split_of[v] == "test"]
    each, more = divmod(settings.test_lines, len(test))
    return each + (test.index(voice) < more)


def _clip(line: str, kind: str, split: str, subject: str, take: int, seconds: float, settings: Settings) -> ClipPlan:
    name = f"{line}.{subject}.t{take:02d}"
    seed = derive_seed(settings.seed, "clip", line, subject, take)
    return ClipPlan(name, line, kind, split, subject, take, seed, round(float(seconds), 4))


def _negatives(clips: Sequence[ClipPlan], subjects: dict[str, Subject], settings: Settings) -> list[ClipPlan]:
    out: list[ClipPlan] = []
    kinds = list(KINDS)
    for split in ("train", "val", "test"):
        spoken = sum(c.split == split for c in clips)
        people = [s.name for s in subjects.values() if s.split == split]
        rng = _rng(settings.seed, "negatives", split)
        for k in range(math.ceil(spoken * settings.negatives / (1 - settings.negatives))):
            person = people[int(rng.integers(len(people)))]
            kind, seconds = kinds[k % len(kinds)], round(float(rng.uniform(2.0, 6.0)), 2)
            out.append(_clip(f"neg-{split}-{k:04d}", kind, split, person, 0, seconds, settings))
    return out
