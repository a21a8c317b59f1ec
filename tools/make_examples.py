"""Makes the three example recordings in examples/ with the corpus's own voices.

    python tools/make_examples.py --kokoro DIR     # DIR as filled by `vultus data fetch kokoro --to DIR`

The parts are fetched when DIR lacks them. The same parts give the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from vultus.clock import SAMPLE_RATE
from vultus.synthesis.sources.kokoro import speak
from vultus.synthesis.sources.kokoro_parts import fetch

EXAMPLES = {
    "hello": (
        "af_heart",
        1.0,
        "Hello! My name is Vultus. Give me a voice, and I'll give you a face that moves with it.",
    ),
    "story": (
        "bm_george",
        1.0,
        "By midnight she had found the fox, the well, and the broken wall. Nobody believed her.",
    ),
    "question": ("am_michael", 1.05, "Wow, what a view! Would you believe it's only five past four?"),
}


def main() -> None:
    """Speaks each example and writes it as 16-bit mono WAV at 16 kHz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kokoro", type=Path, required=True, help="folder with the voice model's parts")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "examples")
    options = parser.parse_args()
    fetch(options.kokoro, print)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, (voice, speed, text) in EXAMPLES.items():
        samples = speak(options.kokoro, text, voice, speed).samples
        samples = samples * np.float32(0.7 / max(float(np.abs(samples).max()), 1e-6))
        soundfile.write(options.out / f"{name}.wav", samples, SAMPLE_RATE, subtype="PCM_16")
        print(f"{name}.wav  {len(samples) / SAMPLE_RATE:.1f} s  {voice}: {text}")


if __name__ == "__main__":
    main()
