"""Forced alignment: a recording and its English text -> phones with times, by PocketSphinx (its model is in its wheel).

Two passes, as PocketSphinx asks for: words and optional pauses first, then phones. Times are multiples of 10 ms; by
sibilant and vowel energy they are 5-15 ms early. Alignment costs about 0.04 core-seconds per second of sound.

Needs `pip install "vultus[corpus]"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.speech import Speech
from vultus.synthesis.inventory import SILENCE, from_arpabet
from vultus.synthesis.phones import Phone, tidy

FRAME = 0.01
"""Seconds between two frames of PocketSphinx."""

MAX_SECONDS = 180.0
"""Longer speech is refused: the second pass keeps every state of every frame."""

MAX_PHONE = 0.8
"""A sound held longer than this (seconds) is a sign of a text that does not fit."""

MAX_LOUD_SILENCE = 0.12
"""Largest share of the loud frames that may fall into labelled silence."""

MIN_SCORE = -38.0
"""Least mean score of a frame of speech: right texts have -2 to -27 on 535 prompts, wrong ones tried had -41 to -63."""

PADS = (0.0, 0.2, 0.35)
"""Silence put before and after the speech, seconds, tried in this order."""

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SIGNS = {"&": "and", "%": "percent", "#": "pound", "*": "star", "+": "plus", "@": "at"}
_VOICELESS, _SIBILANT = frozenset(("P", "T", "K", "F", "TH")), frozenset(("S", "Z", "SH", "ZH", "CH", "JH"))


def number_words(value: int) -> list[str]:
    """A whole number below a million as English words.

    >>> " ".join(number_words(1984))
    'one thousand nine hundred eighty four'
    """
    if value >= 1_000_000 or value < 0:
        raise VultusError(f"number {value} in the text; expected 0 to 999999; write it out in words")
    if value < 20:
        return [_ONES[value]]
    if value < 100:
        return [_TENS[value // 10], *([_ONES[value % 10]] if value % 10 else [])]
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        if value >= unit:
            rest = number_words(value % unit) if value % unit else []
            return [*number_words(value // unit), name, *rest]
    raise AssertionError


def text_words(text: str) -> list[str]:
    """English text -> the words to align: lower case, numbers and signs written out, punctuation gone.

    >>> text_words("Press 21, or the # key - it's \\"free\\".")
    ['press', 'twenty', 'one', 'or', 'the', 'pound', 'key', "it's", 'free']
    """
    text = text.lower().replace("’", "'").replace("‘", "'")
    for sign, word in _SIGNS.items():
        text = text.replace(sign, f" {word} ")
    words: list[str] = []
    for token in re.findall(r"\d+|[^\W\d_]+(?:'[^\W\d_]+)*'?", text):
        if token.isdigit():
            words += number_words(int(token))
        else:
            words.append(token.rstrip("'"))
    return words


class Aligner:
    """PocketSphinx with its US English model; made once, used for many recordings."""

    def __init__(self) -> None:
        """Loads the model (0.1 s).

        Raises:
            VultusError: PocketSphinx is not installed.
        """
        try:
            import pocketsphinx
        except ImportError:
            raise VultusError('alignment needs PocketSphinx; pip install "vultus[corpus]"') from None
        model = pocketsphinx.get_model_path
        self._dictionary: dict[str, str] = {}
        self._config = pocketsphinx.Config(
            hmm=model("en-us/en-us"), dict=model("en-us/cmudict-en-us.dict"), lm=None, loglevel="FATAL"
        )
        self._decoder: Any = pocketsphinx.Decoder(self._config)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that the dictionary lacks and no rule makes, each once."""
        return [w for w in dict.fromkeys(text_words(text)) if not self._know(w)]

    def add_word(self, word: str, phones: str) -> None:
        """Teaches a word: `add_word("riper", "R AY P ER")`. Ignored where the word is known already."""
        if self._decoder.lookup_word(word.lower()) is None:
            symbols = " ".join(from_arpabet(p)[0] for p in phones.split())
            try:
                self._decoder.add_word(word.lower(), symbols, True)
            except RuntimeError:
                raise VultusError(
                    f"word '{word}': pronunciation '{phones}' was refused; expected ARPABET phones"
                ) from None

    def align(self, speech: Speech, text: str, pronunciations: Mapping[str, str] | None = None) -> list[Phone]:
        """Times of the phones of a text in a recording of it.

        Args:
            speech: the recording, at most three minutes.
            text: what is said in it, English; numbers and signs may be figures.
            pronunciations: word -> ARPABET for words that the dictionary lacks.

        Returns:
            Phones (ARPABET without stress, and SIL) covering [0, speech.duration] without gaps.

        Raises:
            VultusError: unknown words, no words, speech too long, or a text that does not fit the sound.
        """
        subject = f"alignment of '{speech.name}'"
        for word, spoken in (pronunciations or {}).items():
            self.add_word(word, spoken)
        words = text_words(text)
        if not words:
            raise VultusError(f"{subject}: the text has no words; expected what is said in the recording")
        unknown = self.unknown_words(text)
        if unknown:
            raise VultusError(
                f"{subject}: not in the dictionary: {', '.join(unknown)}; give pronunciations or leave the clip out"
            )
        if speech.duration > MAX_SECONDS:
            raise VultusError(
                f"{subject}: {speech.duration:.0f} s long; expected at most {MAX_SECONDS:g} s; cut it at sentences"
            )
        phones = self._run(speech, words)
        if phones is None:
            raise VultusError(f"{subject}: the text does not fit the sound; check that it is what is said, in full")
        phones = tidy(phones, speech.duration)
        _check_fit(phones, speech.samples, subject)
        return phones

    def _run(self, speech: Speech, words: list[str]) -> list[Phone] | None:
        """Both passes; None where the last word is not reached.

        The second pass sometimes fails on the closing silence that the first one found; it succeeds with some more
        silence at both ends.
        """
        decoder = self._decoder
        for pad in PADS:
            silence = np.zeros(round(pad * SAMPLE_RATE), np.float32)
            samples = np.concatenate([silence, np.clip(speech.samples, -1, 1), silence])
            raw = (samples * 32767).astype("<i2").tobytes()
            decoder.reinit_feat()  # forget the level of the clip before, so that results do not depend on the order
            try:
                decoder.set_align_text(" ".join(words))
                self._pass(raw)
                if decoder.hyp() is None:
                    return None
                decoder.set_alignment()
                self._pass(raw)
            except RuntimeError:
                continue
            phones, score, frames = [], 0, 0
            for word in decoder.get_alignment():
                for item in word:
                    if item.name != SILENCE:
                        score, frames = score + item.score, frames + item.duration
                    start, end = item.start * FRAME - pad, (item.start + item.duration) * FRAME - pad
                    if end > 1e-9:
                        phones.append(Phone(from_arpabet(item.name)[0], max(start, 0.0), end))
            return phones if score >= MIN_SCORE * frames else None
        return None

    def _pass(self, raw: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(raw, full_utt=True)
        self._decoder.end_utt()

    def _know(self, word: str) -> bool:
        """Whether a word can be aligned; makes possessives and plurals of known words on the way."""
        if self._decoder.lookup_word(word) is not None:
            return True
        match = re.fullmatch(r"(.+?)'?s", word)
        base = self._decoder.lookup_word(match.group(1)) if match else None
        if base is None:
            return False
        last = base.split()[-1]
        ending = "IH Z" if last in _SIBILANT else "S" if last in _VOICELESS else "Z"
        self.add_word(word, f"{base} {ending}")
        return True


def align(speech: Speech, text: str, pronunciations: Mapping[str, str] | None = None) -> list[Phone]:
    """One recording and its text -> phones; see `Aligner.align`."""
    return Aligner().align(speech, text, pronunciations)


def _check_fit(phones: list[Phone], samples: np.ndarray, subject: str) -> None:
    """Raises VultusError where the result cannot be right: a sound held too long, or loud sound called silence."""
    for phone in phones:
        if phone.symbol != SILENCE and phone.duration > MAX_PHONE:
            raise VultusError(
                f"{subject}: {phone.symbol} at {phone.start:.2f} s would last {phone.duration:.2f} s; check the text"
            )
    hop = SAMPLE_RATE // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    level = 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-12)
    loud = level > np.percentile(level, 95) - 15
    times = (np.arange(len(frames)) + 0.5) / 100
    silent = np.zeros(len(frames), bool)
    for phone in phones:
        if phone.symbol == SILENCE:  # 30 ms off each end: labels are that coarse
            silent |= (times > phone.start + 0.03) & (times < phone.end - 0.03)
    share = float(np.sum(loud & silent) / max(np.sum(loud), 1))
    if share > MAX_LOUD_SILENCE:
        raise VultusError(f"{subject}: {share:.0%} of the loud sound has no words; the text does not fit, check it")
