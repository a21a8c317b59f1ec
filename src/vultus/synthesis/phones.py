"""Phones: one inventory, and the ways in (Kokoro/IPA labels, ARPABET, TextGrid, PocketSphinx JSON).

The inventory is ARPABET (39 phones), `SIL`, and what Spanish, French, Italian and Portuguese need beyond it. Everything
after this file knows only these symbols; times are seconds from the start of the speech.

Readers are forgiving about foreign symbols where the mouth has a near neighbour, and say so in `warnings`; they raise
VultusError where nothing sensible can be chosen.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError

SILENCE = "SIL"

VOWELS: tuple[str, ...] = (
    "AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW",
    "AX",   # schwa
    "AC",   # open central /a/ of Spanish, French, Italian
    "EE",   # close-mid /e/ without glide
    "OO",   # close-mid /o/ without glide
    "UE",   # front rounded /y/
    "OE",   # front rounded mid /ø œ/
    "AAN", "EHN", "AON", "OEN",  # nasal vowels
)  # fmt: skip

CONSONANTS: tuple[str, ...] = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y",
    "Z", "ZH",
    "BH",   # bilabial approximant /β/: the lips near each other, they need not touch
    "DX",   # flap /ɾ/
    "RR",   # trill /r/
    "RX",   # uvular /ʁ/
    "X",    # velar fricative /x ɣ/
    "NY", "LY",  # palatal /ɲ ʎ/
    "TS", "DZ",
    "HW",   # labial-palatal glide /ɥ/
    "Q",    # glottal stop
)  # fmt: skip

INVENTORY: tuple[str, ...] = (SILENCE, *VOWELS, *CONSONANTS)

BILABIALS: frozenset[str] = frozenset({"P", "B", "M"})
LABIODENTALS: frozenset[str] = frozenset({"F", "V"})
ROUNDED: frozenset[str] = frozenset({"UW", "W", "OW", "OO", "UE", "HW"})
"""Phones whose lips are clearly rounded (those that the rounding measure counts; R, SH and AO are half-rounded)."""
OPEN_VOWELS: frozenset[str] = frozenset({"AA", "AE", "AH", "AO", "EH", "AY", "AW", "AC", "AAN", "EHN", "AON"})

_TO_ARPABET: dict[str, str] = {
    "AX": "AH", "AC": "AA", "EE": "EH", "OO": "OW", "UE": "UW", "OE": "ER", "AAN": "AA", "EHN": "AE", "AON": "AO",
    "OEN": "ER", "BH": "V", "DX": "D", "RR": "R", "RX": "K", "X": "K", "NY": "N", "LY": "L", "TS": "S", "DZ": "Z",
    "HW": "W", "Q": "HH",
}  # fmt: skip

_KOKORO_CAPITALS: dict[str, str] = {"A": "EY", "I": "AY", "W": "AW", "O": "OW", "Q": "OW", "Y": "OY"}

_IPA: dict[str, str] = {
    # vowels
    "ɑ": "AA", "ɒ": "AO", "æ": "AE", "ʌ": "AH", "ɔ": "AO", "ə": "AX", "ɐ": "AH", "a": "AC", "ɛ": "EH", "e": "EE",
    "ɜ": "ER", "ɝ": "ER", "ɚ": "ER", "ɪ": "IH", "i": "IY", "ᵻ": "IH", "ɨ": "IH", "ᵊ": "AX", "ɘ": "AX", "ɵ": "OO",
    "o": "OO", "ʊ": "UH", "u": "UW", "ɯ": "UH", "ʉ": "UW", "y": "UE", "ʏ": "UE", "ø": "OE", "œ": "OE", "ɤ": "AH",
    "ɑ̃": "AAN", "ɐ̃": "AAN", "ã": "AAN", "ɛ̃": "EHN", "ẽ": "EHN", "æ̃": "EHN", "ɔ̃": "AON", "õ": "AON", "œ̃": "OEN",
    "ũ": "UW", "ʊ̃": "UH", "ĩ": "IY", "ɪ̃": "IH",
    "eɪ": "EY", "aɪ": "AY", "aʊ": "AW", "oʊ": "OW", "əʊ": "OW", "ɔɪ": "OY",
    # consonants
    "p": "P", "b": "B", "m": "M", "f": "F", "v": "V", "ɱ": "F", "ʋ": "V", "β": "BH", "ɸ": "BH", "θ": "TH", "ð": "DH",
    "t": "T", "d": "D", "n": "N", "l": "L", "ɫ": "L", "ɬ": "L", "s": "S", "z": "Z", "ɾ": "DX", "r": "RR", "ɹ": "R",
    "ɻ": "R", "ʈ": "T", "ɖ": "D", "ɳ": "N", "ʃ": "SH", "ʒ": "ZH", "ʂ": "SH", "ʐ": "ZH", "ɕ": "SH", "ʑ": "ZH",
    "ʧ": "CH", "tʃ": "CH", "ʨ": "CH", "tɕ": "CH", "ʤ": "JH", "dʒ": "JH", "ʥ": "JH", "ʦ": "TS", "ts": "TS", "ʣ": "DZ",
    "dz": "DZ", "j": "Y", "ʝ": "Y", "ç": "Y", "c": "K", "ɟ": "G", "k": "K", "ɡ": "G", "g": "G", "ŋ": "NG", "x": "X",
    "ɣ": "X", "χ": "X", "ʁ": "RX", "ʀ": "RX", "q": "K", "ɲ": "NY", "ʎ": "LY", "w": "W", "ʍ": "W", "ɥ": "HW", "h": "HH",
    "ɦ": "HH", "ʔ": "Q", "ɴ": "NG",
}  # fmt: skip

_SILENT_LABELS = frozenset({"", "sil", "SIL", "sp", "SP", "pau", "PAU", "spn", "SPN", "<sil>", "<s>", "</s>", "#", "<p:>",
                            "+SPN+", "+NSN+", "++NOISE++", "[noise]", "_noise_", "breath", "br", "h#", "epi", "q_"})  # fmt: skip
_ARPABET_EXTRAS: dict[str, str] = {
    "AXR": "ER", "IX": "IH", "UX": "UW", "EL": "L", "EM": "M", "EN": "N", "NX": "N", "HV": "HH", "WH": "W", "ENG": "NG",
    "BCL": "B", "PCL": "P", "DCL": "D", "TCL": "T", "GCL": "G", "KCL": "K",
}  # fmt: skip


@dataclass(frozen=True)
class Phone:
    """One sound in time.

    Attributes:
        symbol: one of INVENTORY.
        start: seconds.
        end: seconds, > start.
        stress: 1 primary, 2 secondary, 0 unstressed, -1 not known (only vowels carry stress).
    """

    symbol: str
    start: float
    end: float
    stress: int = -1

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start

    @property
    def is_silence(self) -> bool:
        return self.symbol == SILENCE

    @property
    def is_vowel(self) -> bool:
        return self.symbol in _VOWEL_SET


_VOWEL_SET = frozenset(VOWELS)
_INVENTORY_SET = frozenset(INVENTORY)


@dataclass(frozen=True)
class LabelledLine:
    """One line of a speech corpus as its label file tells it.

    Attributes:
        phones: covering [0, seconds] without gaps, silences included.
        audio: path of the sound file that lies beside the labels.
        voice, language, text: as in the file; "" where it says nothing.
        seconds: length of the sound.
        warnings: what the reader had to guess, one sentence each.
    """

    phones: tuple[Phone, ...]
    audio: Path
    voice: str
    language: str
    text: str
    seconds: float
    warnings: tuple[str, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)


def nearest_arpabet(symbol: str) -> str:
    """The ARPABET phone (or SIL) whose mouth is nearest to a symbol of the inventory.

    >>> nearest_arpabet("UE"), nearest_arpabet("M")
    ('UW', 'M')
    """
    return _TO_ARPABET.get(symbol, symbol)


def from_arpabet(label: str) -> tuple[str, int]:
    """ARPABET with or without a stress digit -> (symbol, stress).

    >>> from_arpabet("AA1"), from_arpabet("t"), from_arpabet("SIL")
    (('AA', 1), ('T', -1), ('SIL', -1))

    Raises:
        VultusError: the label is not ARPABET.
    """
    if label in _SILENT_LABELS:
        return SILENCE, -1
    match = re.fullmatch(r"([A-Za-z]+)([0-2])?", label)
    if match:
        symbol, digit = match.group(1).upper(), match.group(2)
        symbol = _ARPABET_EXTRAS.get(symbol, symbol)
        if symbol in _INVENTORY_SET:
            return symbol, -1 if digit is None else int(digit)
    raise VultusError(f"phone label {label!r} is not ARPABET; expected one of {' '.join(INVENTORY)}")


def from_ipa(label: str, *, kokoro: bool = False) -> str:
    """One IPA symbol (length, stress, tone and tie marks ignored) -> symbol of the inventory.

    Args:
        label: the IPA symbol.
        kokoro: whether capitals mean diphthongs (A = ei, I = ai, W = au, O = ou, Q = British ou, Y = oi).

    Raises:
        VultusError: no phone of the inventory is near.
    """
    if label in _SILENT_LABELS:
        return SILENCE
    if kokoro and label in _KOKORO_CAPITALS:
        return _KOKORO_CAPITALS[label]
    text = unicodedata.normalize("NFD", label)
    text = re.sub(r"[ːˑˈˌ͡ʰʲʷˠˤ˞̥̬̩̯̪̺̻̝̞̟̠̆]", "", text)
    for candidate in (text, unicodedata.normalize("NFC", text), text.replace("\u0303", "")):
        if candidate in _IPA_NORMAL:
            return _IPA_NORMAL[candidate]
    base = "".join(c for c in text if not unicodedata.combining(c))
    if base in _IPA_NORMAL:
        return _IPA_NORMAL[base]
    raise VultusError(f"phone label {label!r} has no near phone; expected an IPA symbol or one of {' '.join(INVENTORY)}")


_IPA_NORMAL = {unicodedata.normalize(form, k): v for k, v in _IPA.items() for form in ("NFC", "NFD")}


def from_label(label: str, warnings: list[str] | None = None) -> tuple[str, int]:
    """Any label of an aligner (ARPABET, or IPA) -> (symbol, stress).

    A label that merges several phones ("PT") becomes the last of them that stops the mouth's outline from being wrong:
    the first bilabial or labiodental in it, else its first phone; `warnings` gets a sentence.

    Raises:
        VultusError: nothing near.
    """
    label = label.strip()
    if label in _SILENT_LABELS:
        return SILENCE, -1
    ascii_upper = label.isascii() and label[:1].isupper()
    if ascii_upper:
        try:
            return from_arpabet(label)
        except VultusError:
            pass
    try:
        return from_ipa(label), -1
    except VultusError:
        pass
    try:
        return from_arpabet(label)
    except VultusError:
        pass
    parts: list[str] = []
    for part in label:
        try:
            parts.append(from_arpabet(part)[0] if ascii_upper else from_ipa(part))
        except VultusError:
            continue
    if not parts:
        raise VultusError(f"phone label {label!r} is unknown; expected ARPABET or IPA: {' '.join(INVENTORY)}")
    chosen = next((p for p in parts if p in BILABIALS | LABIODENTALS), parts[0])
    if warnings is not None:
        warnings.append(f"phone label {label!r} is not in the inventory; took {chosen}")
    return chosen, -1


def tidy(phones: Iterable[Phone], seconds: float | None = None) -> list[Phone]:
    """Sorts, fills gaps with silence, cuts overlaps, drops empty phones, joins neighbouring silences.

    Args:
        phones: in any order.
        seconds: length of the speech; the list then covers exactly [0, seconds]. None keeps the last end.

    Raises:
        VultusError: a symbol outside the inventory, or a time that is not a finite number.
    """
    ordered = sorted(phones, key=lambda p: (p.start, p.end))
    out: list[Phone] = []
    now = 0.0
    limit = np.inf if seconds is None else float(seconds)
    for phone in ordered:
        if phone.symbol not in _INVENTORY_SET:
            raise VultusError(f"phone '{phone.symbol}' is not in the inventory; expected one of {' '.join(INVENTORY)}")
        if not (np.isfinite(phone.start) and np.isfinite(phone.end)):
            raise VultusError(f"phone '{phone.symbol}' has times {phone.start}, {phone.end}; expected finite seconds")
        start, end = max(phone.start, now), min(phone.end, limit)
        if end - start < 1e-6:
            continue
        if start - now > 1e-3:
            _append(out, Phone(SILENCE, now, start))
            now = start
        _append(out, replace(phone, start=now, end=end))
        now = end
    if seconds is not None and limit - now > 1e-3:
        _append(out, Phone(SILENCE, now, limit))
    return out


def _append(out: list[Phone], phone: Phone) -> None:
    if phone.is_silence and out and out[-1].is_silence:
        out[-1] = replace(out[-1], end=phone.end)
    else:
        out.append(phone)


def share_boundaries(items: Sequence[tuple[str, float, float, int]], mark: str = "_") -> list[tuple[str, float, float, int]]:
    """Gives the time of word-boundary tokens to their neighbours, half each; beside a silence all of it goes to the
    other side, for the voice runs through a boundary and not through a pause."""
    out: list[tuple[str, float, float, int]] = []
    pending = None  # start of the boundary time that the next item takes over
    for k, (label, start, end, stress) in enumerate(items):
        if label == mark:
            previous_silent = not out or out[-1][0] in _SILENT_LABELS
            following = next((i[0] for i in items[k + 1 :] if i[0] != mark), "sil")
            next_silent = following in _SILENT_LABELS
            if previous_silent and next_silent:
                cut = start if not out else end
            elif previous_silent:
                cut = start
            else:
                cut = end if next_silent else (start + end) / 2
            if out:
                out[-1] = (out[-1][0], out[-1][1], cut, out[-1][3])
            pending = cut
            continue
        out.append((label, start if pending is None else pending, end, stress))
        pending = None
    return out


def read_corpus_json(path: str | Path) -> LabelledLine:
    """Reads one label file of the Kokoro corpus layout (NAME.json beside NAME.ogg).

    Word boundaries are shared between their neighbours; `pau` and `sil` become SIL. Call `settle_pauses` with the samples
    to trim what the last phone before a pause swallowed.

    Raises:
        VultusError: the file is missing or is not such a file.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VultusError(f"cannot read labels {path.name}: {error.strerror}") from None
    except ValueError:
        raise VultusError(f"labels {path.name} are not JSON; expected the corpus layout (phonemes: [p, start, end])") from None
    try:
        raw = [(str(p["p"]), float(p["start"]), float(p["end"]), int(p.get("stress", 0))) for p in data["phonemes"]]
        seconds = float(data["seconds"])
        audio = path.with_name(Path(str(data["audio"])).name)
    except (KeyError, TypeError, ValueError) as error:
        raise VultusError(
            f"labels {path.name} lack {error}; expected audio, seconds and phonemes with p, start, end"
        ) from None
    warnings: list[str] = []
    phones = []
    for label, start, end, stress in share_boundaries(raw):
        try:
            symbol = from_ipa(label, kokoro=True)
        except VultusError:
            symbol, _ = from_label(label, warnings)
        phones.append(Phone(symbol, start, end, stress if symbol in _VOWEL_SET else -1))
    info = {k: data[k] for k in ("speed", "ipa") if k in data}
    return LabelledLine(
        tuple(tidy(phones, seconds)), audio, str(data.get("voice", "")), str(data.get("language", "")),
        str(data.get("text", "")), seconds, tuple(warnings), info,
    )  # fmt: skip


def read_pocketsphinx_json(path: str | Path) -> list[Phone]:
    """Reads PocketSphinx' alignment JSON (utterance -> words -> phones; `b` start, `d` duration, `t` text).

    Raises:
        VultusError: the file is missing or has another shape.
    """
    path = Path(path)
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        phones = []
        for word in tree["w"]:
            for item in word.get("w", []):
                symbol, stress = from_label(str(item["t"]))
                phones.append(Phone(symbol, float(item["b"]), float(item["b"]) + float(item["d"]), stress))
    except OSError as error:
        raise VultusError(f"cannot read labels {path.name}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise VultusError(f"labels {path.name} are not a PocketSphinx alignment ({error}); expected w/w with b, d, t") from None
    return tidy(phones)


_TOKEN = re.compile(r'"((?:[^"]|"")*)"|<exists>|(?<![\w.\[])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w\]])')


def read_textgrid(path: str | Path, tier: str | None = None) -> LabelledLine:
    """Reads the phone tier of a Praat TextGrid (long or short form, UTF-8 or UTF-16).

    Args:
        path: the file.
        tier: name of the interval tier; None takes the one whose name begins with "phone" or "segment", or the only one.

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


def _parse_tiers(tokens: list[str | float], name: str) -> tuple[float, list[tuple[str, list[tuple[float, float, str]]]]]:
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


def frame_loudness(samples: np.ndarray, rate: float = 200.0, window: float = 0.020) -> np.ndarray:
    """Level in dB of windows centred on i / rate, (n,) float64; digital silence gives -120."""
    power = np.concatenate([[0.0], np.cumsum(np.asarray(samples, np.float64) ** 2)])
    centres = np.arange(max(1, int(len(samples) / SAMPLE_RATE * rate) + 1)) / rate * SAMPLE_RATE
    half = window * SAMPLE_RATE / 2
    low = np.clip(np.round(centres - half), 0, len(samples)).astype(np.int64)
    high = np.clip(np.round(centres + half), 0, len(samples)).astype(np.int64)
    mean = (power[high] - power[low]) / np.maximum(high - low, 1)
    return 10 * np.log10(np.maximum(mean, 1e-12))


def settle_pauses(phones: Sequence[Phone], samples: np.ndarray, quiet_db: float = 32.0) -> list[Phone]:
    """Corrects pauses by what is heard.

    The phone before a silence ends where its sound ends (it often swallows the closing silence), and a "silence" shorter
    than 80 ms that is not quiet at all is given to its neighbours.

    Args:
        phones: covering the speech.
        samples: (S,) at 16 kHz.
        quiet_db: how far under the loud parts of the speech (95th percentile) counts as silent, dB.

    Returns:
        A tidy list covering [0, S / 16000].
    """
    seconds = len(samples) / SAMPLE_RATE
    items = tidy(phones, seconds)
    if len(samples) < SAMPLE_RATE // 50:
        return items
    rate = 200.0
    level = frame_loudness(samples, rate)
    floor = max(float(np.percentile(level, 95)) - quiet_db, -70.0)

    def span(start: float, end: float) -> np.ndarray:
        return level[int(np.ceil(start * rate)) : int(np.floor(end * rate)) + 1]

    out: list[Phone] = []
    for index, phone in enumerate(items):
        following = items[index + 1] if index + 1 < len(items) else None
        if phone.is_silence and out and following is not None and phone.duration < 0.08:
            inside = span(phone.start, phone.end)
            if len(inside) and inside.min() > floor + 6:
                middle = (phone.start + phone.end) / 2
                out[-1] = replace(out[-1], end=middle)
                items[index + 1] = replace(following, start=middle)
                continue
        if not phone.is_silence and phone.duration > 0.09 and (following is None or following.is_silence):
            loud = np.flatnonzero(span(phone.start, phone.end) > floor)
            heard = phone.start + (loud[-1] + 1.5) / rate if len(loud) else phone.start
            end = float(min(phone.end, max(heard + 0.015, phone.start + 0.06)))
            if phone.end - end > 0.03:
                out.append(replace(phone, end=end))
                out.append(Phone(SILENCE, end, phone.end))
                continue
        out.append(phone)
    return tidy(out, seconds)


def phones_at(phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    """Index into `phones` of the phone at each time, (T,) int64; -1 outside all of them."""
    starts = np.array([p.start for p in phones])
    ends = np.array([p.end for p in phones])
    index = np.searchsorted(starts, np.asarray(times) + 1e-9, side="right") - 1
    inside = (index >= 0) & (np.asarray(times) < ends[np.maximum(index, 0)] + 1e-9) if len(phones) else index >= 0
    return np.where(inside, index, -1)


def in_speech(phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    """(T,) bool: whether a phone other than silence sounds at each time."""
    index = phones_at(phones, times)
    silent = np.array([p.is_silence for p in phones] + [True])
    return ~silent[index]
