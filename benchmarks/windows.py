"""What windows change: long speech through the encoder in windows against one pass over all of it, and what of it
reaches the face.

    python benchmarks/windows.py RECORDING ... [--seconds 20 30 60 100]

Prints the relative difference of the encoder's states (Frobenius norm) after blocks 3 and 5, and that of the weights of
`base`. Up to one window (20 s) it is one pass.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.features import load_encoder
from vultus.features.windows import Windows
from vultus.runtime.bundle import load
from vultus.speech import Speech


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+")
    parser.add_argument("--seconds", type=float, nargs="+", default=[20.0, 30.0, 60.0, 100.0])
    options = parser.parse_args()
    model = load("base")
    whole = load_encoder("moonshine", windows=Windows(length=600.0, hop=500.0, margin=2.0, fade=1.0))
    shipped = model.encoder
    print("recording             seconds  states 3  states 5  weights mean  weights p99  r of jawOpen")
    for recording, seconds in itertools.product(options.recordings, options.seconds):
        speech = Speech.load(recording, end=seconds)
        found = len(speech.samples) / SAMPLE_RATE
        if found < seconds - 1 and seconds > options.seconds[0]:
            continue
        windowed, once = shipped(speech).values, whole(speech).values
        states = [
            np.linalg.norm(windowed[:, part] - once[:, part]) / np.linalg.norm(once[:, part])
            for part in (slice(0, 288), slice(288, 576))
        ]
        motions = []
        for encoder in (shipped, whole):
            model.encoder = encoder
            motions.append(model.predict(speech)[0].values)
        difference = np.abs(motions[0] - motions[1])[:, np.ptp(motions[1], axis=0) > 0.05]
        jaw = np.corrcoef(motions[0][:, 17], motions[1][:, 17])[0, 1]
        print(
            f"{Path(recording).name:20s}  {found:7.0f}  {states[0]:8.4f}  {states[1]:8.4f}  {difference.mean():12.4f}  "
            f"{np.percentile(difference, 99):11.4f}  {jaw:12.4f}"
        )


if __name__ == "__main__":
    main()
