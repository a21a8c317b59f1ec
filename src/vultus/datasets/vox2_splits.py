"""Which clip of VoxCeleb2 is in which split: from the user's lists, or by a rule that needs no list.

The rule looks at names alone, so two labs that rebuilt the same videos get the same splits even if filters dropped
some clips of one of them, and the two reconstructions of one build agree. docs/datasets/voxceleb2.md tells it in words.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from vultus.errors import VultusError

SPLITS = ("train", "val_seen", "test_seen", "val_unseen", "test_unseen")
#: Clips that are in no split: they may lend their manner to clips of other videos of their speaker.
SPARE = "spare"
#: Shares of speakers: of the 5,994 of dev, 200 for val_seen and 500 for test_seen; of the 118 of test, 18 for val.
_VAL_SEEN, _TEST_SEEN, _VAL_UNSEEN = 200 / 5994, 500 / 5994, 18 / 118
_CLIPS_SEEN, _CLIPS_UNSEEN = 2, 10
_PATTERN = re.compile(r"(dev|test)/(id\d{5})/([A-Za-z0-9_-]{1,32})/([A-Za-z0-9_-]{1,64})")


class ClipName(NamedTuple):
    """dev/id00012/21Uxsk56VDQ/00001."""

    part: str
    speaker: str
    video: str
    utterance: str

    @classmethod
    def parse(cls, text: str, where: str) -> ClipName:
        """VultusError unless it is a name as above."""
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise VultusError(f"{where}: '{text}' is no clip; expected names such as dev/id00012/21Uxsk56VDQ/00001")
        return cls(*map(sys.intern, match.groups()))  # a million names share their parts

    def __str__(self) -> str:
        return "/".join(self)


def draw(text: str) -> float:
    """A number in [0, 1) that depends on a name alone.

    >>> draw("id00012") == draw("id00012") and 0 <= draw("id00012") < 1
    True
    """
    return int.from_bytes(hashlib.sha256(f"vultus vox2 1 {text}".encode()).digest()[:8], "big") / 2**64


def split_by_rule(clips: Iterable[ClipName]) -> dict[str, list[ClipName]]:
    """Clips of every split, and SPARE, each sorted by name."""
    speakers: dict[tuple[str, str], list[ClipName]] = {}
    for clip in clips:
        speakers.setdefault((clip.part, clip.speaker), []).append(clip)
    found: dict[str, list[ClipName]] = {split: [] for split in (*SPLITS, SPARE)}
    for (part, speaker), own in speakers.items():
        order = sorted(own, key=lambda clip: (draw(str(clip)), clip))
        chance = draw(speaker)
        if part == "test":
            split = "val_unseen" if chance < _VAL_UNSEEN else "test_unseen"
            found[split] += order[:_CLIPS_UNSEEN]
            found[SPARE] += order[_CLIPS_UNSEEN:]
        elif chance < _VAL_SEEN + _TEST_SEEN:
            held = _held_out(order)
            scored = [clip for clip in order if clip.video in held]
            found["val_seen" if chance < _VAL_SEEN else "test_seen"] += scored[:_CLIPS_SEEN]
            found[SPARE] += scored[_CLIPS_SEEN:]
            found["train"] += [clip for clip in order if clip.video not in held]
        else:
            found["train"] += order
    return {split: sorted(names) for split, names in found.items()}


def _held_out(clips: list[ClipName]) -> set[str]:
    """Videos of one speaker to hold back: as few as give enough clips, and never the last one."""
    videos = sorted({clip.video for clip in clips}, key=lambda video: (draw(f"{clips[0].speaker}/{video}"), video))
    held: set[str] = set()
    for video in videos[:-1]:
        if sum(clip.video in held for clip in clips) >= _CLIPS_SEEN:
            break
        held.add(video)
    return held


def check_lists(lists: Mapping[str, Iterable[ClipName]], where: str) -> dict[str, list[ClipName]]:
    """Lists as the user gave them, sorted.

    Raises:
        VultusError: a clip twice, a source video in two lists, a speaker of an unseen list in another.
    """
    found = {split: sorted(lists.get(split, ())) for split in (*SPLITS, SPARE)}
    videos: dict[tuple[str, str], str] = {}
    people: dict[str, str] = {}
    for split, clips in found.items():
        for clip, following in pairwise(clips):
            if clip == following:
                raise VultusError(f"{where}: {split}.txt names {clip} twice; expected each clip once")
        for clip in clips:
            if split == SPARE:
                continue
            other = videos.setdefault((clip.speaker, clip.video), split)
            if other != split:
                raise VultusError(
                    f"{where}: source video {clip.speaker}/{clip.video} is in {other}.txt and {split}.txt; expected "
                    "all clips of a video in one split"
                )
            group = split if split.endswith("_unseen") else "seen"
            known = people.setdefault(clip.speaker, group)
            if known != group:
                raise VultusError(
                    f"{where}: speaker {clip.speaker} is in {split}.txt and in a list of other speakers; expected the "
                    "speakers of val_unseen and test_unseen in no other list"
                )
    return found
