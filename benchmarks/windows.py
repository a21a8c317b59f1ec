"""What windows change: long speech through the encoder in windows against one pass over all of it, and what of it
reaches the face.

    python benchmarks/windows.py RECORDING [--seconds 28]

Prints the relative difference of the encoder's states (Frobenius norm) and that of the weights of `base`. The encoder
attends over everything it is given, so a window cannot give what one pass gives; up to one window it is one pass.
"""

from __future__ import annotations

import argparse

import numpy as np

from vultus.features import load_encoder
from vultus.features.windows import Windows
from vultus.runtime.bundle import load
from vultus.speech import Speech


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording")
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 14.0, 20.0, 28.0])
    options = parser.parse_args()
    model = load("base")
    whole = load_encoder("moonshine", windows=Windows(length=120.0, hop=100.0, margin=2.0, fade=1.0))
    shipped = model.encoder
    print("seconds  states 3  states 5  weights mean  weights p99  r of jawOpen")
    for seconds in options.seconds:
        speech = Speech.load(options.recording, end=seconds)
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
            f"{seconds:7.0f}  {states[0]:8.4f}  {states[1]:8.4f}  {difference.mean():12.4f}  "
            f"{np.percentile(difference, 99):11.4f}  {jaw:12.4f}"
        )


if __name__ == "__main__":
    main()
