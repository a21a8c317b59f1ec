"""Reading speech: core-seconds per second of sound and memory, beside soundfile.read + soxr.resample of whole files.

    python benchmarks/speech_in.py [--minutes 10]

Each line is measured in its own process. "stream" reads `open_speech(path).blocks()` and drops the blocks; "whole" is
`Speech.load(path)`; "plain" is soundfile.read of the whole file, the mean of the channels and one soxr.resample.
Growth is the largest resident size after reading minus the size before it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

KINDS = {
    "wav 44.1 kHz stereo": ("a.wav", 44100, "PCM_16"),
    "wav 16 kHz stereo": ("b.wav", 16000, "PCM_16"),
    "flac 44.1 kHz stereo": ("c.flac", 44100, "PCM_16"),
    "ogg vorbis 44.1 kHz stereo": ("d.ogg", 44100, "VORBIS"),
    "mp3 44.1 kHz stereo": ("e.mp3", 44100, "MPEG_LAYER_III"),
}


def make(path: Path, rate: int, subtype: str, minutes: float) -> None:
    """Writes a buzz with a syllable-like envelope and some noise, a second at a time."""
    import soundfile

    rng = np.random.default_rng(0)
    t = np.arange(rate) / rate
    with soundfile.SoundFile(path, "w", rate, 2, subtype=subtype) as file:
        for second in range(round(minutes * 60)):
            voice = np.sin(2 * np.pi * (110 + second % 40) * t + 3 * np.sin(2 * np.pi * 220 * t))
            x = 0.2 * voice * (1 + np.sin(2 * np.pi * 4 * t)) + 0.01 * rng.standard_normal(rate)
            for i in range(0, rate, 4096):
                file.write(np.stack([x, 0.8 * x], 1).astype(np.float32)[i : i + 4096])


def read(way: str, path: str) -> int:
    """Reads a file one way; returns the number of samples at 16 kHz."""
    if way == "plain":
        import soundfile
        import soxr

        data, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return len(soxr.resample(data.mean(axis=1), rate, 16000, "HQ"))
    from vultus.speech import Speech, open_speech

    if way == "whole":
        return Speech.load(path).num_samples
    return sum(len(block) for block in open_speech(path).blocks())


def child(way: str, path: str) -> None:
    """Prints samples, core-seconds and growth in MB of one reading, imports and warm-up apart."""
    import av  # noqa: F401  (imported before the size is noted)
    import soundfile
    import soxr

    import vultus.speech  # noqa: F401

    soxr.resample(np.zeros(44100, np.float32), 44100, 16000)
    with soundfile.SoundFile(path):
        before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    began = time.process_time()
    samples = read(way, path)
    took = time.process_time() - began
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(samples, took, (largest - before) / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return
    print(f"{'file':28} {'way':7} {'core-s per audio s':>19} {'growth, MB':>11}")
    with tempfile.TemporaryDirectory() as folder:
        for kind, (name, rate, subtype) in KINDS.items():
            path = Path(folder) / name
            make(path, rate, subtype, args.minutes)
            for way in ("stream", "whole", "plain"):
                command = [sys.executable, __file__, "--child", way, str(path)]
                environment = {**os.environ, "OMP_NUM_THREADS": "1"}
                out = subprocess.run(
                    command, check=True, capture_output=True, text=True, env=environment
                ).stdout.split()
                print(
                    f"{kind:28} {way:7} {float(out[1]) / (int(out[0]) / 16000):19.6f} {float(out[2]):11.1f}", flush=True
                )
            path.unlink()


if __name__ == "__main__":
    main()
