"""A synthetic corpus of a few short lines, and true takes of some of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from vultus.synthesis.build import synthesize
from vultus.synthesis.plan import Settings
from vultus.synthesis.sources.kokoro_folder import KokoroFolder

SPANS = [("sil", 0, 0.3), ("m", 0.3, 0.42), ("a", 0.42, 0.8), ("p", 0.8, 0.92), ("a", 0.92, 1.3), ("f", 1.3, 1.45),
         ("i", 1.45, 1.8), ("sil", 1.8, 2.1)]  # fmt: skip


def make(
    folder: Path,
    settings: Settings,
    voices: tuple[str, ...] = ("anna", "ben", "cleo", "dora"),
    *,
    own_words: bool = False,
) -> Path:
    """The corpus below a folder; with `own_words` no two voices say the same line."""
    (folder / "in").mkdir()
    for voice in voices:
        for n in range(3):
            time = np.arange(33600) / 16_000
            sound = 0.3 * np.sin(2 * np.pi * (150 + 30 * n) * time) * ((time > 0.3) & (time < 1.8))
            soundfile.write(folder / "in" / f"{voice}{n}.flac", sound, 16_000)
            data = {
                "audio": f"{voice}{n}.flac", "voice": voice, "language": "en", "seconds": 2.1,
                "text": f"mapafi {voice} {n}" if own_words else f"mapafi {n}",
                "phonemes": [{"p": p, "start": a, "end": b} for p, a, b in SPANS],
            }  # fmt: skip
            (folder / "in" / f"{voice}{n}.json").write_text(json.dumps(data), encoding="utf-8")
    return synthesize(folder / "corpus", KokoroFolder(folder / "in"), settings)
