"""The inventory of phones and the maps into it from ARPABET and IPA.

The inventory is ARPABET (39 phones), `SIL`, and what Spanish, French, Italian and Portuguese need beyond it. Labels
from elsewhere become the phone whose mouth is nearest, or a VultusError where nothing is near.
"""

from __future__ import annotations

import re
import unicodedata

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

SILENT_LABELS = frozenset({"", "sil", "SIL", "sp", "SP", "pau", "PAU", "spn", "SPN", "<sil>", "<s>", "</s>", "#",
                            "<p:>", "+SPN+", "+NSN+", "++NOISE++", "[noise]", "_noise_", "breath", "br", "h#", "epi",
                            "q_"})  # fmt: skip
_ARPABET_EXTRAS: dict[str, str] = {
    "AXR": "ER", "IX": "IH", "UX": "UW", "EL": "L", "EM": "M", "EN": "N", "NX": "N", "HV": "HH", "WH": "W", "ENG": "NG",
    "BCL": "B", "PCL": "P", "DCL": "D", "TCL": "T", "GCL": "G", "KCL": "K",
}  # fmt: skip

VOWEL_SET = frozenset(VOWELS)
INVENTORY_SET = frozenset(INVENTORY)


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
    if label in SILENT_LABELS:
        return SILENCE, -1
    match = re.fullmatch(r"([A-Za-z]+)([0-2])?", label)
    if match:
        symbol, digit = match.group(1).upper(), match.group(2)
        symbol = _ARPABET_EXTRAS.get(symbol, symbol)
        if symbol in INVENTORY_SET:
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
    if label in SILENT_LABELS:
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
    raise VultusError(
        f"phone label {label!r} has no near phone; expected an IPA symbol or one of {' '.join(INVENTORY)}"
    )


_IPA_NORMAL = {unicodedata.normalize(form, k): v for k, v in _IPA.items() for form in ("NFC", "NFD")}


def from_label(label: str, warnings: list[str] | None = None) -> tuple[str, int]:
    """Any label of an aligner (ARPABET, or IPA) -> (symbol, stress).

    A label that merges several phones ("PT") becomes the last of them that stops the mouth's outline from being wrong:
    the first bilabial or labiodental in it, else its first phone; `warnings` gets a sentence.

    Raises:
        VultusError: nothing near.
    """
    label = label.strip()
    if label in SILENT_LABELS:
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
