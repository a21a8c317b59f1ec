"""Data for figures: a tiny synthetic corpus, and the toy data of toy_data.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from vultus.synthesis.build import synthesize
from vultus.synthesis.plan import Settings
from vultus.synthesis.sources.kokoro_folder import KokoroFolder

if TYPE_CHECKING:
    from toy_data import ToyData


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures_corpus")
    (folder / "in").mkdir()
    for voice in ("anna", "ben", "cleo"):
        for n in range(4):
            time = np.arange(12_001) / 16_000
            sound = 0.3 * np.sin(2 * np.pi * (180 + 30 * n) * time) * ((time > 0.1) & (time < 0.6))
            soundfile.write(folder / "in" / f"{voice}{n}.flac", sound, 16_000)
            spans = [
                ("sil", 0, 0.1),
                ("m", 0.1, 0.2),
                ("a", 0.2, 0.45),
                ("u", 0.45, 0.6),
                ("sil", 0.6, 12_001 / 16_000),
            ]
            data = {
                "audio": f"{voice}{n}.flac", "voice": voice, "language": "en", "text": f"mau {n}",
                "seconds": 12_001 / 16_000, "phonemes": [{"p": p, "start": a, "end": b} for p, a, b in spans],
            }  # fmt: skip
            (folder / "in" / f"{voice}{n}.json").write_text(json.dumps(data), encoding="utf-8")
    settings = Settings(subjects=3, test_lines=1, test_takes=2, negatives=0.1)
    return synthesize(folder / "corpus", KokoroFolder(folder / "in"), settings)


@pytest.fixture
def toy() -> ToyData:
    from toy_data import ToyData  # only where the extra is: it skips the tests that import it elsewhere

    return ToyData()
