"""Cost of `vultus animate` as a user runs it: whole processes, one thread, start-up taken apart from the rate.

    python benchmarks/animate.py                 # 10 s .. 10 min to .csv
    python benchmarks/animate.py --hour          # adds 1 h to .csv and .glb, 10 min to .npz, 5 min to .mp4

The recording is a shipped example repeated to length. "core-s" are user + system seconds of the process; the cost per
second of speech is the slope against the shortest clip, so that start-up does not flatter or blame it. Printed beside
it are the published methods' figures on one core of a like machine (random weights of the real size; see
docs/results.md for where they come from).
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
#: core-seconds per second of a 10 s clip, one thread, VOCASET size
PEERS = {"UniTalker-B": 0.207, "FaceFormer": 0.426, "MM'23 released code": 0.531, "CodeTalker": 19.9}


def make_recording(path: Path, seconds: float) -> None:
    """A wav of the shipped examples, one after the other, to length; written in pieces."""
    clips = [soundfile.read(clip, dtype="float32") for clip in sorted((ROOT / "examples").glob("*.wav"))]
    rate = clips[0][1]
    pause = np.zeros(rate // 2, np.float32)
    unit = np.concatenate([piece for clip, _ in clips for piece in (clip, pause)])
    left = round(seconds * rate)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as out:
        while left > 0:
            out.write(unit[:left])
            left -= len(unit)


def run(arguments: list[str], threads: int) -> tuple[float, float, float]:
    """(wall seconds, core-seconds, peak MB) of one `vultus` process."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "vultus", *arguments], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"vultus {' '.join(arguments)} failed with status {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hour", action="store_true", help="measure one hour too")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    print(
        f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lengths = [10, 60, 600] + ([3600] if options.hour else [])
        for seconds in lengths:
            make_recording(folder / f"{seconds}.wav", seconds)
        run(["animate", str(folder / "10.wav"), "-o", str(folder / "warm.csv"), "--quiet"], 1)

        print("\n.csv, one thread\nspeech s   wall s   core-s   core-s per speech s beyond start-up   peak MB")
        base = None
        for seconds in lengths:
            repeat = 1 if seconds > 600 else options.repeat
            runs = [
                run(["animate", str(folder / f"{seconds}.wav"), "-o", str(folder / "x.csv"), "--quiet"], 1)
                for _ in range(repeat)
            ]
            wall, core, peak = (float(np.median(column)) for column in zip(*runs, strict=True))
            if base is None:
                base = (seconds, core)
                rate = "-"
            else:
                rate = f"{(core - base[1]) / (seconds - base[0]):.4f}"
            print(f"{seconds:8d} {wall:8.2f} {core:8.2f}   {rate:>36} {peak:9.0f}")
        print("peers, core-s per speech s at 10 s: " + ", ".join(f"{k} {v}" for k, v in PEERS.items()))

        print("\n10 s to .glb, two threads, start included")
        walls = [
            run(["animate", str(folder / "10.wav"), "-o", str(folder / "x.glb"), "--quiet"], 2)[0] for _ in range(5)
        ]
        print(f"wall s: median {np.median(walls):.2f}, worst {max(walls):.2f}")
        imports = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import vultus"], check=True)
            imports.append(time.perf_counter() - started)
        print(f"`python -c 'import vultus'`: median {np.median(imports):.3f} s")

        # An hour of vertices is 7 GB and an hour of video takes most of one: those are shown not to grow with length.
        long = ((".glb", 3600), (".npz", 60), (".npz", 600), (".mp4", 60), (".mp4", 300)) if options.hour else ()
        for suffix, seconds in long:
            make_recording(folder / f"{seconds}.wav", seconds)
            wall, core, peak = run(
                ["animate", str(folder / f"{seconds}.wav"), "-o", str(folder / f"x{suffix}"), "--quiet"], 2
            )
            size = (folder / f"x{suffix}").stat().st_size / 1e6
            print(
                f"{seconds} s to {suffix}: wall {wall:.0f} s, core-s {core:.0f}, peak {peak:.0f} MB, file {size:.0f} MB"
            )
            (folder / f"x{suffix}").unlink()


if __name__ == "__main__":
    main()
