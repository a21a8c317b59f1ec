"""Speech of the espeak-ng program, run as a separate process (GPL-3 program; what it speaks is free to use).

espeak-ng writes phoneme times only for MBROLA voices, whose data is not free. So the sound comes from the program and
the times from forced alignment (`vultus.synthesis.align`, the `corpus` extra), which suits so clear a voice well.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.synthesis.sources.base import Line, SpokenLine
from vultus.synthesis.sources.english import spell_out

if TYPE_CHECKING:
    from vultus.speech import Speech

MARGIN = 0.3
"""Seconds of rest put before and after a line. With it, and a floor of noise at -80 dB, 60 of 60 lines of seven voices
could be aligned; as espeak-ng writes them (digital silence, no margin) 34 of 60."""
PACES = (165, 140, 120)
DEFAULT_VOICES = ("en-us", "en-gb", "en-us+f2", "en-us+f4", "en-us+m3", "en-us+m7", "en-gb+f3", "en-gb+m4")


class EspeakSource:
    """Texts spoken by espeak-ng; optional, for more and odder voices.

    Args:
        texts: English sentences.
        voices: espeak-ng voice names with a variant ("en-us+f2").
        hours: how much to plan; None speaks each text once.
        program: the program's name or path.
    """

    name = "espeak"
    terms = "spoken by the espeak-ng program (GPL-3; its output is free); texts: Apache-2.0 (vultus)"

    def __init__(
        self,
        texts: Sequence[str],
        voices: Sequence[str] = (),
        hours: float | None = None,
        seed: int = 0,
        program: str = "espeak-ng",
    ) -> None:
        found = shutil.which(program)
        if found is None:
            raise VultusError(
                f"espeak: `{program}` is not installed; expected the program; on Debian `apt install espeak-ng`"
            )
        self.program, self.texts, self.voices = found, tuple(texts), tuple(voices) or DEFAULT_VOICES
        self.hours, self.seed = hours, seed

    def lines(self) -> list[Line]:
        """The plan; `seconds` are estimates (about 15 letters a second at the default pace).

        Sentences with a word that the aligner does not know are left out.
        """
        from vultus.synthesis.align import Aligner

        aligner = Aligner()
        texts = [text for text in self.texts if not aligner.unknown_words(spell_out(text))]
        if not texts:
            raise VultusError("espeak: every sentence has a word that the aligner does not know; give other texts")
        rng = np.random.default_rng([self.seed, 0xE5])
        wanted = np.inf if self.hours is None else self.hours * 3600
        out: list[Line] = []
        seconds = 0.0
        for turn in range(1 if self.hours is None else len(self.voices)):
            for k in rng.permutation(len(texts)):
                if seconds >= wanted:
                    return out
                voice = self.voices[(int(k) + turn) % len(self.voices)]
                length = 0.4 + len(texts[k]) / 15
                # "+" parts the voices of a blend, so a variant's name is written with "."
                plain = voice.replace("+", ".")
                out.append(Line(f"e{k:04d}_{plain}", plain, voice[:5], texts[k], round(length, 2)))
                seconds += length
        return out

    def read(self, line: Line) -> SpokenLine:
        """Speaks and aligns one line.

        Raises:
            VultusError: the program refuses the voice, or the words cannot be aligned.
        """
        from vultus.synthesis.align import Aligner

        aligner = self.__dict__.setdefault("_aligner", Aligner())
        reason: VultusError | None = None
        for pace in PACES:  # words per minute; a line that cannot be aligned is spoken more slowly
            speech = self._speak(line, pace)
            try:
                phones = aligner.align(speech, spell_out(line.text))
            except VultusError as error:
                reason = error
                continue
            return SpokenLine(line.name, line.voice, line.language, line.text, speech.samples, phones, self.name)
        raise VultusError(f"espeak: line {line.name} cannot be aligned ({reason}); take the sentence out of the texts")

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_aligner"}  # a decoder does not pickle

    def _speak(self, line: Line, pace: int) -> Speech:
        from vultus.speech import Speech

        with tempfile.TemporaryDirectory() as scratch:
            sound = Path(scratch) / "line.wav"
            voice = line.voice.replace(".", "+")
            command = [self.program, "-v", voice, "-s", str(pace), "-w", str(sound), "--", line.text]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode or not sound.is_file():
                last = (done.stderr.strip().splitlines() or ["no sound written"])[-1]
                raise VultusError(f"espeak: voice '{line.voice}' failed: {last[:160]}; see `espeak-ng --voices`")
            spoken = Speech.load(sound).samples
        rest = np.zeros(round(MARGIN * SAMPLE_RATE), np.float32)
        samples = np.concatenate([rest, spoken, rest])
        faint = np.random.default_rng(len(samples)).standard_normal(len(samples)) * 1e-4
        return Speech(samples + faint.astype(np.float32), line.name)
