"""Phones in time: the list that drives a performance, its readers, and pauses settled by what is heard.

Symbols are those of `inventory`; times are seconds from the start of the speech. Readers are forgiving about foreign
symbols where the mouth has a near neighbour, and say so in `warnings`. `textgrid` reads Praat's files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.synthesis.inventory import (
    BILABIALS,
    CONSONANTS,
    INVENTORY,
    INVENTORY_SET,
    LABIODENTALS,
    OPEN_VOWELS,
    ROUNDED,
    SILENCE,
    SILENT_LABELS,
    VOWEL_SET,
    VOWELS,
    from_arpabet,
    from_ipa,
    from_label,
    nearest_arpabet,
)

__all__ = [
    "BILABIALS", "CONSONANTS", "INVENTORY", "LABIODENTALS", "OPEN_VOWELS", "ROUNDED", "SILENCE", "VOWELS",
    "LabelledLine", "Phone", "from_arpabet", "from_ipa", "from_label", "in_speech", "nearest_arpabet", "phones_at",
    "read_corpus_json", "read_pocketsphinx_json", "read_textgrid", "settle_pauses", "tidy",
]  # fmt: skip


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
        return self.symbol in VOWEL_SET


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
        if phone.symbol not in INVENTORY_SET:
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


def share_boundaries(
    items: Sequence[tuple[str, float, float, int]], mark: str = "_"
) -> list[tuple[str, float, float, int]]:
    """Gives the time of word-boundary tokens to their neighbours, half each; beside a silence all of it goes to the
    other side, for the voice runs through a boundary and not through a pause."""
    out: list[tuple[str, float, float, int]] = []
    pending = None  # start of the boundary time that the next item takes over
    for k, (label, start, end, stress) in enumerate(items):
        if label == mark:
            previous_silent = not out or out[-1][0] in SILENT_LABELS
            following = next((i[0] for i in items[k + 1 :] if i[0] != mark), "sil")
            next_silent = following in SILENT_LABELS
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

    Word boundaries are shared between their neighbours; `pau` and `sil` become SIL. Call `settle_pauses` with the
    samples to trim what the last phone before a pause swallowed.

    Raises:
        VultusError: the file is missing or is not such a file.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VultusError(f"cannot read labels {path.name}: {error.strerror}") from None
    except ValueError:
        raise VultusError(
            f"labels {path.name} are not JSON; expected the corpus layout (phonemes: [p, start, end])"
        ) from None
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
        phones.append(Phone(symbol, start, end, stress if symbol in VOWEL_SET else -1))
    info = {k: data[k] for k in ("speed", "ipa") if k in data}
    voice, language, text = (str(data.get(k, "")) for k in ("voice", "language", "text"))
    return LabelledLine(tuple(tidy(phones, seconds)), audio, voice, language, text, seconds, tuple(warnings), info)


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
        raise VultusError(
            f"labels {path.name} are not a PocketSphinx alignment ({error}); expected w/w with b, d, t"
        ) from None
    return tidy(phones)


def read_textgrid(path: str | Path, tier: str | None = None) -> LabelledLine:
    """`textgrid.read_textgrid`, here for those who look for readers among the phones."""
    from vultus.synthesis import textgrid

    return textgrid.read_textgrid(path, tier)


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

    The phone before a silence ends where its sound ends (it often swallows the closing silence), and a "silence"
    shorter than 80 ms that is not quiet at all is given to its neighbours.

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
    ends = np.array([p.end for p in phones] + [-np.inf])  # the last one is found by index -1
    index = np.searchsorted([p.start for p in phones], np.asarray(times) + 1e-9, side="right") - 1
    return np.where(np.asarray(times) < ends[index] + 1e-9, index, -1)


def in_speech(phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    """(T,) bool: whether a phone other than silence sounds at each time."""
    silent = np.array([p.is_silence for p in phones] + [True])
    return ~silent[phones_at(phones, times)]
