"""Cost of the encoders that need no torch: core-seconds per second of sound and peak memory.

    OMP_NUM_THREADS=1 python benchmarks/features.py [--seconds 10 60 600] [--sound FILE]

Each row is a process of its own, one thread. "core-s/s" is CPU time (user and system) of the features alone over the
sound's duration, the best of `--repeats`; "start" is the CPU time of imports and loading; "peak" is the largest
resident memory of the whole process, "grown" how much of it came after loading and making the sound. "whole" holds the
sound and all its features; "stream" passes blocks of 0.1 s and drops the frames, so its memory must not grow with the
duration.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ENCODERS = ("moonshine", "mel")


def peak_megabytes() -> float:
    """Largest resident memory of this process so far; `getrusage` counts that of the parent before exec as well."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status; this benchmark needs Linux")


def measure(name: str, seconds: float, way: str, repeats: int, sound: str | None) -> dict[str, float]:
    """One row, in this process."""
    begin = time.process_time()
    import numpy as np

    from vultus.features import load_encoder
    from vultus.speech import Speech

    encoder = load_encoder(name)
    start = time.process_time() - begin
    count = round(seconds * 16_000)
    if sound is None:
        # Speed does not depend on what is said: noise that swells like syllables.
        swell = 0.1 * np.sin(np.arange(160_000) / 2500) ** 2
        piece = (swell * np.random.default_rng(0).standard_normal(160_000)).astype(np.float32)
    else:
        piece = Speech.load(sound).samples
    samples = np.empty(count if way == "whole" else min(count, len(piece)), np.float32)
    for i in range(0, len(samples), len(piece)):
        samples[i : i + len(piece)] = piece[: len(samples) - i]
    held = peak_megabytes()
    best, frames = float("inf"), 0
    for _ in range(repeats):
        begin = time.process_time()
        if way == "whole":
            frames = len(encoder(Speech(samples)))
        else:
            starts = (i % (len(samples) - 1599) for i in range(0, count, 1600))
            blocks = (samples[i : i + 1600] for i in starts)
            frames = sum(len(block) for block in encoder.stream(blocks))
        best = min(best, time.process_time() - begin)
    peak = peak_megabytes()
    return {"cost": best / seconds, "start": start, "peak": peak, "grown": peak - held, "frames": frames}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10, 60, 600])
    parser.add_argument("--sound", help="a recording, repeated to the length wanted; default: made noise")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        name, seconds, way = arguments.row
        print(json.dumps(measure(name, float(seconds), way, arguments.repeats, arguments.sound)))
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    print(f"{'encoder':<12}{'way':<8}{'sound s':>8}{'core-s/s':>11}{'start s':>9}{'peak MB':>9}{'grown MB':>10}")
    for name in ENCODERS:
        for seconds in arguments.seconds:
            for way in ("whole", "stream"):
                command = [sys.executable, __file__, "--row", name, str(seconds), way]
                command += ["--repeats", str(1 if seconds > 120 else arguments.repeats)]
                command += ["--sound", arguments.sound] if arguments.sound else []
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
                row = json.loads(done.stdout)
                print(
                    f"{name:<12}{way:<8}{seconds:>8g}{row['cost']:>11.5f}{row['start']:>9.2f}"
                    f"{row['peak']:>9.0f}{row['grown']:>10.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
