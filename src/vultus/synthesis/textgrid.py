"""Praat TextGrids: the phone tier as phones. Long and short form, UTF-8 and UTF-16."""

from __future__ import annotations

import re
from pathlib import Path

from vultus.errors import VultusError
from vultus.synthesis.inventory import from_label
from vultus.synthesis.phones import LabelledLine, Phone, tidy

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|<exists>|(?<![\w.\[])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w\]])')


def read_textgrid(path: str | Path, tier: str | None = None) -> LabelledLine:
    """Reads the phone tier of a Praat TextGrid (long or short form, UTF-8 or UTF-16).

    Args:
        path: the file.
        tier: name of the interval tier; None takes the one whose name begins with "phone" or "segment", or the only
        one.

    Returns:
        A LabelledLine with only phones, seconds and warnings filled; `audio` is the path with the suffix .wav.

    Raises:
        VultusError: not a TextGrid, or no such tier.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        text = data.decode(encoding)
    except OSError as error:
        raise VultusError(f"cannot read {path.name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise VultusError(f"{path.name} is neither UTF-8 nor UTF-16; save the TextGrid as UTF-8 in Praat") from None
    tokens: list[str | float] = [
        float(number) if number else quoted.replace('""', '"') for quoted, number in _TOKEN.findall(text)
    ]
    seconds, tiers = _parse_tiers(tokens, path.name)
    chosen = _choose_tier(tiers, tier, path.name)
    warnings: list[str] = []
    phones = [
        Phone(symbol, start, end, stress)
        for start, end, label in chosen
        for symbol, stress in [from_label(label, warnings)]
    ]
    return LabelledLine(tuple(tidy(phones, seconds)), path.with_suffix(".wav"), "", "", "", seconds, tuple(warnings))


def _parse_tiers(
    tokens: list[str | float], name: str
) -> tuple[float, list[tuple[str, list[tuple[float, float, str]]]]]:
    wrong = VultusError(f"{name} is not a TextGrid; expected 'ooTextFile' and tiers of intervals as Praat writes them")
    tiers = []
    try:
        if tokens[0] != "ooTextFile" or tokens[1] != "TextGrid":
            raise wrong
        seconds = float(tokens[3])
        at = 5 + (tokens[4] == "")  # "<exists>" matches as an empty string
        for _ in range(int(float(tokens[at - 1]))):
            kind, tier_name, count = tokens[at], str(tokens[at + 1]), int(float(tokens[at + 4]))
            at += 5
            step = 3 if kind == "IntervalTier" else 2
            if step == 3:
                rows = [
                    (float(tokens[i]), float(tokens[i + 1]), str(tokens[i + 2])) for i in range(at, at + 3 * count, 3)
                ]
                tiers.append((tier_name, rows))
            at += step * count
    except (IndexError, ValueError, TypeError):
        raise wrong from None
    return seconds, tiers


def _choose_tier(
    tiers: list[tuple[str, list[tuple[float, float, str]]]], wanted: str | None, name: str
) -> list[tuple[float, float, str]]:
    for tier_name, rows in tiers:
        if tier_name == wanted or (wanted is None and re.match(r"\W*(phone|segment|phn)", tier_name, re.IGNORECASE)):
            return rows
    if wanted is None and len(tiers) == 1:
        return tiers[0][1]
    have = ", ".join(repr(t[0]) for t in tiers) or "none"
    raise VultusError(f"{name} has no phone tier {wanted or ''}; interval tiers found: {have}; name one")
