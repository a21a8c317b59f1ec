"""The contract of data sets, run over every entry of the table on a miniature of its folder shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vultus.clock import num_motion_frames
from vultus.datasets import DATASETS, Dataset, FaceSequence, open_dataset
from vultus.errors import VultusError


def _synthetic(folder: Path) -> Path:
    from vultus.synthesis.build import synthesize
    from vultus.synthesis.plan import Settings
    from vultus.synthesis.sources.kokoro_folder import KokoroFolder

    speech = folder / "speech"
    speech.mkdir()
    for voice in ("anna", "ben", "cleo"):
        soundfile.write(speech / f"{voice}.flac", 0.2 * np.sin(np.arange(7000) / 12), 16_000)
        phones = [{"p": "b", "start": 0, "end": 0.1}, {"p": "a", "start": 0.1, "end": 7000 / 16_000}]
        data = {"audio": f"{voice}.flac", "voice": voice, "language": "en", "text": "ba", "seconds": 7000 / 16_000}
        (speech / f"{voice}.json").write_text(json.dumps({**data, "phonemes": phones}), encoding="utf-8")
    return synthesize(folder / "corpus", KokoroFolder(speech), Settings(subjects=3, test_takes=1))


MINIATURES: dict[str, Callable[[Path], Path]] = {"synthetic": _synthetic}


def test_every_entry_has_a_miniature() -> None:
    assert set(MINIATURES) == set(DATASETS)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_contract(name: str, tmp_path: Path) -> None:
    data = open_dataset(name, str(MINIATURES[name](tmp_path)))
    assert isinstance(data, Dataset) and data.name == name
    assert set(data.splits) >= {"train", "val", "test"}
    people: dict[str, str] = {}
    for split in data.splits:
        for sequence in data.split(split):
            assert isinstance(sequence, FaceSequence) and sequence.split == split
            assert people.setdefault(sequence.subject, split) == split
            samples = sequence.speech().num_samples
            vertices = sequence.vertices()
            assert len(vertices) == num_motion_frames(samples, sequence.fps)
            assert vertices.dtype == np.float32 and np.isfinite(vertices).all()
            template = sequence.template.vertices
            assert vertices.shape[1:] == template.shape
            size = np.ptp(template, axis=0).max()
            assert 0.15 < size < 0.6  # a head in metres
            assert np.abs(vertices - template).max() < 0.08
            assert len(sequence.vertices(fps=25)) == num_motion_frames(samples, 25)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_missing_data_names_the_next_step(name: str, tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="`vultus data "):
        open_dataset(name, str(tmp_path / "absent"))
