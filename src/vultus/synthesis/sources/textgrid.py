"""The user's own speech: sound files with a Praat TextGrid beside each, as aligners write them.

    FOLDER/[SPEAKER/]NAME.wav            any sound file that vultus reads
    FOLDER/[SPEAKER/]NAME.TextGrid       or NAME_something.TextGrid with a phone tier
    FOLDER/[SPEAKER/]NAME.txt or .lab    the words (optional)

A subfolder's name is the speaker's; files at the top belong to one speaker named as the folder. Parsing is done by
`vultus.synthesis.phones.read_textgrid`.
"""

from __future__ import annotations

import re
from pathlib import Path

from vultus.errors import VultusError
from vultus.synthesis.sources.base import Line, SpokenLine

SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".mp4", ".webm")


class TextGridFolder:
    """Recordings with TextGrids.

    Args:
        folder: where they lie.
        tier: name of the phone tier; None finds it.
        language: the tag that the lines get.
    """

    name = "textgrid"
    terms = "the user's own recordings; their terms apply to every corpus made from them"

    def __init__(self, folder: str | Path, tier: str | None = None, language: str = "en") -> None:
        self.folder, self.tier, self.language = Path(folder), tier, language

    def _grid(self, sound: Path) -> Path | None:
        """The TextGrid of a sound: its own name first, else the first NAME_* that has a phone tier."""
        from vultus.synthesis.phones import read_textgrid

        exact = sound.with_suffix(".TextGrid")
        if exact.is_file():
            return exact
        reason: VultusError | None = None
        for grid in sorted(sound.parent.glob("*.TextGrid")):
            if not grid.stem.startswith(sound.stem + "_"):
                continue
            try:
                read_textgrid(grid, self.tier)
                return grid
            except VultusError as error:
                reason = error
        if reason is not None:
            raise reason
        return None

    def lines(self) -> list[Line]:
        """Every sound that has a TextGrid, by path.

        Raises:
            VultusError: none has one, two would share a name, or a TextGrid cannot be read.
        """
        from vultus.synthesis.phones import read_textgrid

        out: dict[str, Line] = {}
        for sound in sorted(p for p in self.folder.rglob("*") if p.suffix.lower() in SOUND_SUFFIXES):
            grid = self._grid(sound)
            if grid is None:
                continue
            inside = sound.relative_to(self.folder)
            speaker = inside.parts[0] if len(inside.parts) > 1 else self.folder.resolve().name
            name = _plain("-".join(inside.with_suffix("").parts))
            if name in out:
                raise VultusError(f"textgrid: {inside} has the same name as another sound; rename one of them")
            seconds = read_textgrid(grid, self.tier).seconds
            out[name] = Line(name, _plain(speaker), self.language, _words(sound), seconds, sound)
        if not out:
            raise VultusError(
                f"textgrid: no sound with a TextGrid under {self.folder}; expected NAME.wav beside NAME.TextGrid"
            )
        return list(out.values())

    def read(self, line: Line) -> SpokenLine:
        """Decodes the sound; tiers may begin after it or end before it, so the phones are fitted to its length."""
        from vultus.speech import Speech
        from vultus.synthesis.phones import read_textgrid, tidy

        assert line.audio is not None
        grid = self._grid(line.audio)
        if grid is None:
            raise VultusError(
                f"textgrid: the TextGrid of {line.audio.name} is gone; put it back or list the folder again"
            )
        speech = Speech.load(line.audio)
        phones = tidy(read_textgrid(grid, self.tier).phones, speech.duration)
        return SpokenLine(line.name, line.voice, line.language, line.text, speech.samples, phones, self.name)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "speaker"


def _words(sound: Path) -> str:
    for suffix in (".txt", ".lab"):
        path = sound.with_suffix(suffix)
        if path.is_file():
            try:
                return " ".join(path.read_text(encoding="utf-8-sig").split())
            except UnicodeDecodeError:
                raise VultusError(f"textgrid: {path.name} is not UTF-8; save the words as UTF-8") from None
    return ""
