"""Prints what the rule-made performances of a speech corpus measure: is the teacher within the ranges of real mouths?

    python tools/teacher_report.py CORPUS_FOLDER [--every 40] [--style neutral] [--identity 7] [--language en]

CORPUS_FOLDER holds NAME.ogg + NAME.json with phone times (`vultus.synthesis.phones.read_corpus_json`).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from vultus.benchmark.mouth_tests import Clip, Face, phone_tests
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.measures import FaceMeasures
from vultus.motion import WEIGHT_NAMES
from vultus.speech import Speech
from vultus.synthesis import gestures
from vultus.synthesis.articulation import Articulator, articulate
from vultus.synthesis.performance import combine, perform
from vultus.synthesis.phones import BILABIALS, LABIODENTALS, read_corpus_json, settle_pauses
from vultus.synthesis.prosody import analyse
from vultus.synthesis.style import Style

FPS = 60.0


def power_share(curve: np.ndarray, fps: float, low: float = 2.0, high: float = 8.0) -> float:
    """Share of a curve's power (without its mean) between two frequencies in Hz."""
    power = np.abs(np.fft.rfft(curve - curve.mean())) ** 2
    hertz = np.fft.rfftfreq(len(curve), 1 / fps)
    return float(power[(hertz >= low) & (hertz <= high)].sum() / max(power[1:].sum(), 1e-12))


def spread(values: list[float], unit: str) -> str:
    """Percentiles as text."""
    if not values:
        return "none"
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"{middle:8.2f} {unit:5s} (5-95 %: {low:.2f} to {high:.2f}; n = {len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=40, help="take every n-th clip (default 40)")
    parser.add_argument("--style", default="neutral")
    parser.add_argument("--identity", help="as `vultus animate --identity`")
    parser.add_argument("--language", default="", help="only languages beginning so, as en")
    args = parser.parse_args()
    lines = [read_corpus_json(p) for p in sorted(args.folder.glob("*.json"))[:: max(1, args.every)]]
    lines = [line for line in lines if line.language.startswith(args.language)]
    if not lines:
        raise VultusError(
            f"{args.folder} has no labelled clips of language '{args.language}'; expected NAME.json files"
        )
    style, head = Style.preset(args.style), load_head(args.identity)
    measures = FaceMeasures(head.rig, head.template)
    row = {name: i for i, name in enumerate(measures.names)}
    seconds = spent = 0.0
    found: dict[str, list[float]] = {name: [] for name in (
        "jaw p95", "jaw max", "share", "closing", "closure", "seal widest", "seal closest", "lip to teeth",
        "closest", "combined seal", "combined closest",
    )}  # fmt: skip
    jaws, clips = [], []
    for line in lines:
        samples = Speech.load(line.audio).samples
        began = time.perf_counter()
        show = perform(line.phones, samples, style, head, seed=1, fps=FPS)
        final = combine(show, head=head)
        spent += time.perf_counter() - began
        seconds += len(samples) / 16000
        prosody = analyse(samples)
        score = gestures.plan(show.phones, prosody, style, 1, int(prosody.seconds * gestures.RATE) + 2)
        values = measures.measure(show.speech)
        gap, crossing = measures.lip_gap(show.speech)
        final_gap, final_crossing = measures.lip_gap(final)
        jaw = values[:, row["jaw_opening"]] - measures.rest[row["jaw_opening"]]
        jaws.append(show.speech[:, WEIGHT_NAMES.index("jawOpen")])
        found["jaw p95"].append(float(np.percentile(jaw, 95)))
        found["jaw max"].append(float(jaw.max()))
        found["share"].append(power_share(jaws[-1], FPS))
        found["closest"].append(float(crossing.min()))
        found["combined closest"].append(float(final_crossing.min()))
        aperture = score.values[:, 1] * (1 - np.minimum(score.seal, 1))
        for start, end in score.closures:
            window = aperture[max(0, int((start - 0.12) * gestures.RATE)) : int(start * gestures.RATE) + 2]
            if len(window) > 2 and window.max() > 4:
                found["closing"].append(float(-np.diff(window).min() * gestures.RATE))
            found["closure"].append(1000 * (end - start))
        times = np.arange(len(gap)) / FPS
        for phone in show.phones:
            near = np.flatnonzero((times >= phone.start - 1 / FPS) & (times <= phone.end + 1 / FPS))
            if phone.symbol in BILABIALS and len(near):
                best = near[np.argmin(gap[near])]
                found["seal widest"].append(float(gap[best]))
                found["seal closest"].append(float(crossing[best]))
                found["combined seal"].append(float(final_gap[near].min()))
            if phone.symbol in LABIODENTALS and len(near) and (gap[near] > 0.8).any():
                distance = np.abs(values[near, row["lower_lip_to_upper_incisor"]])
                found["lip to teeth"].append(float(distance[gap[near] > 0.8].min()))
        clips.append(
            Clip(line.audio.stem, Speech.from_array(samples, 16000), tuple(settle_pauses(line.phones, samples)))
        )
    print(
        f"{len(lines)} clips, {seconds:.0f} s of speech, style {args.style}; "
        f"perform + combine at {spent / seconds:.4f} of real time"
    )
    print(f"jaw travel, p95 of a clip   {spread(found['jaw p95'], 'mm')}   wanted 5 to 15")
    print(f"jaw travel, largest         {spread(found['jaw max'], 'mm')}")
    print(f"jaw power at 2-8 Hz, clip   {spread(found['share'], '')}")
    print(f"jaw power at 2-8 Hz, all    {power_share(np.concatenate(jaws), FPS):8.2f}         wanted 0.20 to 0.40")
    print(f"lip closing speed           {spread(found['closing'], 'mm/s')}   wanted 100 to 250 (from over 4 mm)")
    print(f"lip closure                 {spread(found['closure'], 'ms')}   wanted 50 to 120")
    print(f"seal, widest column         {spread(found['seal widest'], 'mm')}   wanted <= 0.2")
    print(f"seal, closest column        {spread(found['seal closest'], 'mm')}   wanted >= -0.6")
    print(f"seal, all layers together   {spread(found['combined seal'], 'mm')}   wanted <= 0.2")
    print(f"closest lips of a clip      {spread(found['closest'], 'mm')}   wanted >= -0.6")
    print(f"closest, all layers         {spread(found['combined closest'], 'mm')}   wanted >= -0.6")
    print(f"lip to teeth at /f v/       {spread(found['lip to teeth'], 'mm')}   wanted <= 0.7")
    known = {id(c.source): (c.phones, c.source.samples) for c in clips if isinstance(c.source, Speech)}
    own = Articulator.of(load_head())
    face = Face()
    tracks = [face.track(c, lambda s: (articulate(*known[id(s)], style, own, 1, FPS), FPS)) for c in clips]
    print("label-driven tests on the default head (vultus.benchmark.mouth_tests):")
    for name, estimate in phone_tests(tracks).items():
        print(f"  {name:22s} {estimate.value:8.3f}  n = {estimate.n}")


if __name__ == "__main__":
    try:
        main()
    except VultusError as error:
        sys.exit(f"teacher_report: {error}")
