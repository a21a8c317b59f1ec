"""English text -> phonemes in Kokoro's symbols, from the dictionaries of PyPI `misaki` (Apache-2.0) read as plain JSON.

The dictionaries give stress-marked pronunciations (`həlˈO`); capitals are diphthongs (A I O Q W Y). Words that they
lack are taken apart (endings, compounds), spelt out (all capitals) or, at last, read letter by letter with a small rule
table of our own. Good enough for a corpus whose phones come from the synthesis itself: the label is what was asked
for.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from vultus.errors import VultusError

VOWELS = frozenset("AIOQWYaiueoæɑɐɒɔəɛɜɪʊʌᵻ")
PUNCTUATION = ".,!?;:—…"

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_SHORT_FORMS = {
    "mr.": "mister", "mrs.": "missus", "ms.": "miz", "dr.": "doctor", "st.": "saint", "vs.": "versus", "no.": "number",
    "etc.": "et cetera", "e.g.": "for example", "i.e.": "that is",
}  # fmt: skip
_LETTER_NAMES = {
    "a": "ˈA", "b": "bˈi", "c": "sˈi", "d": "dˈi", "e": "ˈi", "f": "ˈɛf", "g": "ʤˈi", "h": "ˈAʧ", "i": "ˈI",
    "j": "ʤˈA", "k": "kˈA", "l": "ˈɛl", "m": "ˈɛm", "n": "ˈɛn", "o": "ˈO", "p": "pˈi", "q": "kjˈu", "r": "ˈɑɹ",
    "s": "ˈɛs", "t": "tˈi", "u": "jˈu", "v": "vˈi", "w": "dˈʌbᵊlju", "x": "ˈɛks", "y": "wˈI", "z": "zˈi",
}  # fmt: skip
# Letter groups, tried longest first at each place of an unknown word.
_SPELLINGS = {
    "tion": "ʃən", "sion": "ʒən", "ture": "ʧəɹ", "ough": "O", "eigh": "A", "tch": "ʧ", "dge": "ʤ", "igh": "I",
    "sch": "sk", "eer": "ɪɹ", "ear": "ɪɹ", "air": "ɛɹ", "oor": "ɔɹ", "our": "ɔɹ", "sh": "ʃ", "ch": "ʧ",
    "th": "θ", "ph": "f", "wh": "w", "ck": "k", "ng": "ŋ", "qu": "kw", "kn": "n", "wr": "ɹ", "ee": "i",
    "ea": "i", "oo": "u", "ou": "W", "ow": "O", "oi": "Y", "oy": "Y", "ai": "A", "ay": "A", "ei": "i",
    "ey": "i", "ie": "i", "oa": "O", "au": "ɔ", "aw": "ɔ", "ew": "u", "ue": "u", "er": "əɹ", "ir": "ɜɹ",
    "ur": "ɜɹ", "ar": "ɑɹ", "or": "ɔɹ", "bb": "b", "cc": "k", "dd": "d", "ff": "f", "gg": "ɡ", "ll": "l",
    "mm": "m", "nn": "n", "pp": "p", "rr": "ɹ", "ss": "s", "tt": "t", "zz": "z", "ce": "s", "ci": "sɪ",
    "cy": "si", "ge": "ʤ", "gi": "ʤɪ", "a": "æ", "b": "b", "c": "k", "d": "d", "e": "ɛ", "f": "f", "g": "ɡ",
    "h": "h", "i": "ɪ", "j": "ʤ", "k": "k", "l": "l", "m": "m", "n": "n", "o": "ɑ", "p": "p", "q": "k",
    "r": "ɹ", "s": "s", "t": "t", "u": "ʌ", "v": "v", "w": "w", "x": "ks", "y": "i", "z": "z",
}  # fmt: skip
_LONG = {"a": "A", "e": "i", "i": "I", "o": "O", "u": "u", "y": "I"}
_PREFIXES = {"un": "ʌn", "re": "ɹi", "non": "nɑn", "pre": "pɹi", "mis": "mɪs", "over": "Ovəɹ", "out": "Wt"}


def number_words(number: int) -> str:
    """A whole number in words.

    >>> number_words(1984)
    'one thousand nine hundred and eighty four'
    """
    if number < 0:
        return "minus " + number_words(-number)
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f" {_ONES[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = number % 100
        return f"{_ONES[number // 100]} hundred" + (f" and {number_words(rest)}" if rest else "")
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand")):
        if number >= size:
            head, rest = divmod(number, size)
            joint = " and " if 0 < rest < 100 else " "
            return f"{number_words(head)} {name}" + (joint + number_words(rest) if rest else "")
    raise AssertionError("unreachable")


def _ordinal(number: int) -> str:
    head, _, last = number_words(number).rpartition(" ")
    last = _ORDINALS.get(last, last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return f"{head} {last}".strip()


def spell_out(text: str) -> str:
    """Numbers, sums, times and short forms as words; everything else stays.

    >>> spell_out("At 7:30 Dr. Ray paid $5 for the 21st, i.e. 3.5%.")
    'At seven thirty doctor Ray paid five dollars for the twenty first, that is three point five percent.'
    """

    def short(match: re.Match[str]) -> str:
        return _SHORT_FORMS.get(match.group().lower(), match.group())

    def clock(match: re.Match[str]) -> str:
        hour, minute = int(match.group(1)), int(match.group(2))
        tail = "o'clock" if minute == 0 else ("oh " if minute < 10 else "") + number_words(minute)
        return f"{number_words(hour)} {tail}"

    def plain(match: re.Match[str]) -> str:
        whole, _, fraction = match.group().replace(",", "").partition(".")
        words = number_words(int(whole)) if len(whole) <= 12 else " ".join(_ONES[int(d)] for d in whole)
        return words + (" point " + " ".join(_ONES[int(d)] for d in fraction) if fraction else "")

    text = text.replace("’", "'").replace("–", "—").replace("...", "…")
    text = re.sub(r"\b(?:mr|mrs|ms|dr|st|vs|etc|e\.g|i\.e)\.", short, text, flags=re.IGNORECASE)
    text = re.sub(r"\b(\d{1,2}):(\d\d)\b", clock, text)
    text = re.sub(r"\b(\d{1,9})(?:st|nd|rd|th)\b", lambda m: _ordinal(int(m.group(1))), text)
    text = re.sub(
        r"\$(\d+(?:,\d{3})*(?:\.\d+)?)", lambda m: f"{m.group(1)} dollar{'' if m.group(1) == '1' else 's'}", text
    )
    text = text.replace("%", " percent").replace("&", " and ")
    return re.sub(r"\d+(?:,\d{3})*(?:\.\d+)?", plain, text)


@cache
def _dictionary(folder: str, accent: str) -> dict[str, str | dict[str, str | None]]:
    merged: dict[str, str | dict[str, str | None]] = {}
    for grade in ("silver", "gold"):  # gold overrides
        path = Path(folder) / f"{accent}_{grade}.json"
        try:
            merged.update(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise VultusError(
                f"kokoro: no {path.name} under {folder}; expected the dictionaries of PyPI misaki 0.9.4; "
                "run `vultus data fetch kokoro --to DIR`"
            ) from None
        except (ValueError, UnicodeDecodeError):
            raise VultusError(f"kokoro: {path} is no JSON dictionary; fetch it again") from None
    return merged


class Pronouncer:
    """Text -> phoneme string for one accent, "us" or "gb"."""

    def __init__(self, folder: Path, accent: str = "us") -> None:
        if accent not in ("us", "gb"):
            raise VultusError(f"english: unknown accent '{accent}'; expected us or gb")
        self.accent = accent
        self._words = _dictionary(str(folder), accent)

    def phonemes(self, text: str) -> str:
        """The phonemes of a sentence: words parted by a space, punctuation as it stands.

        Raises:
            VultusError: nothing in the text can be spoken.
        """
        spoken = re.sub(r"[-/]", " ", spell_out(text))
        tokens = re.findall(rf"[A-Za-z]+(?:'[A-Za-z]+)*|[{re.escape(PUNCTUATION)}]", spoken)
        if not any(token[0].isalpha() for token in tokens):
            raise VultusError(f"english: {text!r} holds no word to speak")
        sounds: list[str] = [""] * len(tokens)
        following = ""  # first sound after the current word, as "the", "a" and "to" depend on it
        for i in range(len(tokens) - 1, -1, -1):
            if tokens[i][0].isalpha():
                sounds[i] = self.word(tokens[i], following)
                following = sounds[i].lstrip("ˈˌ")[:1]
            else:
                sounds[i], following = tokens[i], ""
        out = ""
        for sound in sounds:
            out += sound if sound in PUNCTUATION or not out else " " + sound
        return out

    def word(self, word: str, following: str = "") -> str:
        """One word; `following` is the first sound of the next word of the clause, "" at its end."""
        lower = word.lower()
        before_vowel = following in VOWELS if following else False
        if lower == "the":
            return "ði" if before_vowel else "ðə"
        if lower == "a" and following:
            return "ɐ"
        if lower == "an":
            return "ɐn"
        if lower == "to" and following:
            return "tʊ" if before_vowel else "tə"
        found = self._look_up(word, final=not following)
        if found:
            return found
        if word.isupper() and len(word) > 1:
            letters = [_LETTER_NAMES[c] for c in lower if c in _LETTER_NAMES]
            return "".join(p.replace("ˈ", "ˌ") for p in letters[:-1]) + letters[-1]
        return self._ending(lower) or self._compound(lower) or self._by_letters(lower)

    def _look_up(self, word: str, final: bool = False, verb: bool = False) -> str | None:
        for form in (word, word.lower(), word.capitalize()):
            entry = self._words.get(form)
            if isinstance(entry, dict):
                entry = (entry.get("None") if final else entry.get("VERB") if verb else None) or entry.get("DEFAULT")
            if entry:
                return entry
        return None

    def _ending(self, word: str) -> str | None:
        if word.endswith("'s"):
            whole = self.word(word[:-2], "x")
            return whole + _plural(whole)
        if word.endswith("s'"):
            return self._known(word[:-1])
        for ending, sound in (("ly", "li"), ("ness", "nəs"), ("less", "ləs"), ("ment", "mənt"), ("ful", "fᵊl")):
            base = word[: -len(ending)]
            stem = self._known(base) or (self._known(base[:-1] + "y") if base.endswith("i") else None)
            if word.endswith(ending) and stem:
                return stem + sound
        for ending, sound in (
            ("ing", "ɪŋ"),
            ("ers", "əɹz"),
            ("er", "əɹ"),
            ("est", "ɪst"),
            ("ed", ""),
            ("es", ""),
            ("s", ""),
        ):
            if not word.endswith(ending):
                continue
            base = word[: -len(ending)]
            stems = [base, base + "e"]
            if re.search(r"[^aeiou][aeiou][^aeiouwxy]$", base) and ending[0] == "e":
                stems.reverse()  # hated is of hate, for of hat it would be hatted
            if len(base) > 2 and base[-1] == base[-2]:
                stems.insert(0, base[:-1])
            if base.endswith("i"):
                stems.append(base[:-1] + "y")
            for candidate in stems:
                if stem := self._known(candidate, verb=True):
                    return stem + (sound or (_past(stem) if ending == "ed" else _plural(stem)))
        for prefix, sound in _PREFIXES.items():
            if word.startswith(prefix) and (stem := self._known(word[len(prefix) :])):
                return sound + stem
        return None

    def _known(self, word: str, verb: bool = False) -> str | None:
        return self._look_up(word, verb=verb) if len(word) > 2 else None

    def _compound(self, word: str) -> str | None:
        for cut in range(len(word) - 3, 2, -1):
            first, second = self._known(word[:cut]), self._known(word[cut:])
            if first and second:
                return first + second.replace("ˈ", "ˌ")
        return None

    def _by_letters(self, word: str) -> str:
        letters = word.replace("'", "")
        silent_e = len(letters) > 3 and letters.endswith("e") and letters[-2] not in "aeiou" and letters[-3] in _LONG
        body = letters[:-1] if silent_e else letters
        out, i = "", 0
        while i < len(body):
            if silent_e and i == len(body) - 2:
                out += _LONG[body[i]]
                i += 1
                continue
            size = next(n for n in (4, 3, 2, 1) if body[i : i + n] in _SPELLINGS and i + n <= len(body))
            out += _SPELLINGS[body[i : i + size]]
            i += size
        if body[:1] == "y" and body[1:2] in set("aeou"):
            out = "j" + out[1:]
        if body[-1:] in {"a", "i"} and out[-1] in "æɪ":
            out = out[:-1] + ("ə" if body[-1] == "a" else "i")
        first = next((k for k, c in enumerate(out) if c in VOWELS), None)
        return out if first is None else out[:first] + "ˈ" + out[first:]


def _plural(stem: str) -> str:
    if stem[-1] in "szʃʒʧʤ":
        return "ᵻz"
    return "s" if stem[-1] in "ptkfθ" else "z"


def _past(stem: str) -> str:
    if stem[-1] in "td":
        return "ᵻd"
    return "t" if stem[-1] in "pkfθsʃʧ" else "d"
