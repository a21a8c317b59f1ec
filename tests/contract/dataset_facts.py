"""What is particular to each data set, and the miniature that the contract is run on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

sys.path.append(str(Path(__file__).resolve().parents[1] / "datasets"))

import miniature_biwi as biwi
import miniature_mead3d as mead3d
import miniature_multiface as multiface
import miniature_unitalker as unitalker
import miniature_vocaset as vocaset
import miniature_voxceleb2 as voxceleb2

from vultus.datasets import open_dataset
from vultus.datasets.convert import convert


def _synthetic(folder: Path) -> Path:
    from vultus.synthesis.build import synthesize
    from vultus.synthesis.plan import Settings
    from vultus.synthesis.sources.kokoro_folder import KokoroFolder

    speech = folder / "speech"
    speech.mkdir(parents=True)
    for voice in ("anna", "ben", "cleo"):
        soundfile.write(speech / f"{voice}.flac", 0.2 * np.sin(np.arange(7000) / 12), 16_000)
        phones = [{"p": "b", "start": 0, "end": 0.1}, {"p": "a", "start": 0.1, "end": 7000 / 16_000}]
        data = {"audio": f"{voice}.flac", "voice": voice, "language": "en", "text": "ba", "seconds": 7000 / 16_000}
        (speech / f"{voice}.json").write_text(json.dumps({**data, "phonemes": phones}), encoding="utf-8")
    return synthesize(folder / "corpus", KokoroFolder(speech), Settings(subjects=3, test_takes=1))


def _videowise(folder: Path) -> Path:
    return voxceleb2.build(folder, "videowise")


def _shards(folder: Path) -> Path:
    data = open_dataset("vocaset_faceformer", str(vocaset.vocaset_faceformer(folder / "original")))
    convert(data, folder / "shards")
    return folder / "shards"


@dataclass(frozen=True)
class Facts:
    """What is particular to a data set.

    Attributes:
        build: writes the miniature, gives its root.
        splits: name -> names of its sequences, or (subjects, how many) where names are drawn by a rule.
        fps: stored rates.
        needed: files or folders without which it is of no use, relative to the root; "*" stands for any name.
        pickles: files of it that are pickles.
        unit: of the coordinates.
        subjects_apart: no subject is in two splits; else sentences part them.
        twice: splits that share sequences, as published.
        size: least and greatest extent of a neutral face, in the unit.
        gap: frames that sound and motion may differ by.
    """

    build: Callable[[Path], Path]
    splits: dict[str, set[str] | tuple[set[str], int]]
    fps: set[float]
    needed: tuple[str, ...]
    pickles: tuple[str, ...] = ()
    unit: str = "m"
    subjects_apart: bool = True
    twice: tuple[str, ...] = ()
    size: tuple[float, float] = (0.15, 0.6)
    gap: float = 1.0


_S = vocaset.SPOKEN_BY
_VOCASET: dict[str, set[str] | tuple[set[str], int]] = {
    "train": {f"{s}_{n}" for s in _S[:2] for n in vocaset.SENTENCES} - {vocaset.NO_MOTION},
    "val": {f"{_S[2]}_sentence21"},  # sentences 21 to 40; the last one has no sound
    "test": {f"{s}_sentence{n}" for s in _S[3:] for n in (21, 40)},
}
_VOCASET_MM23 = {**_VOCASET, "test": {f"{s}_{n}" for s in _S[3:] for n in vocaset.SENTENCES}}
_BIWI: dict[str, set[str] | tuple[set[str], int]] = {
    "train": {"F2_e01"}, "val": {"F2_e33"}, "test_a": {"F2_e37"}, "test_b": {"F1_e37"}, "rest": {"F2_01"},
}  # fmt: skip
_MULTIFACE = {split: {f"{subject}_{multiface.SENTENCE}"} for split, subject in multiface.SUBJECTS.items()}
_VOX2: dict[str, set[str] | tuple[set[str], int]] = {
    "train": ({voxceleb2.SPEAKERS[s] for s in ("train", "val_seen", "test_seen")}, 14),
    **{split: ({voxceleb2.SPEAKERS[split]}, 2) for split in ("val_seen", "test_seen")},
    **{split: ({voxceleb2.SPEAKERS[split]}, 6) for split in ("val_unseen", "test_unseen")},
}
_VOX2_NEEDED = ("d*|test", "flame.npz")

FACTS: dict[str, Facts] = {
    "synthetic": Facts(
        _synthetic,
        {
            split: {f"{voice}.s{n:03}.t00", f"neg-{split}-0000.s{n:03}.t00"}
            for n, (split, voice) in enumerate((("train", "anna"), ("val", "ben"), ("test", "cleo")))
        },
        {60.0}, ("corpus.json", "clips", "audio"),
    ),
    "vocaset": Facts(
        vocaset.vocaset, _VOCASET, {60.0},
        ("data_verts.npy", "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl", "templates.pkl"),
        ("subj_seq_to_idx.pkl", "raw_audio_fixed.pkl", "templates.pkl"),
    ),
    "vocaset_faceformer": Facts(
        vocaset.vocaset_faceformer, _VOCASET, {60.0}, ("vertices_npy", "wav", "templates.pkl"), ("templates.pkl",)
    ),
    "vocaset_mm23": Facts(
        vocaset.vocaset_mm23, _VOCASET_MM23, {60.0}, ("verts_data.pkl", "audio", "templates"), ("verts_data.pkl",)
    ),
    "biwi": Facts(biwi.biwi_raw, _BIWI, {25.0}, ("faces", "rigid_scans", "audio"), subjects_apart=False),
    "biwi_area": Facts(
        biwi.biwi_area, _BIWI, {25.0}, ("vertices_npy", "wav", "templates.pkl", "templates"), ("templates.pkl",),
        unit="area", subjects_apart=False, size=(0.7, 1.5),
    ),
    "biwi_mm23": Facts(
        biwi.biwi_mm23, {split: _BIWI[split] for split in ("train", "val", "test_b")}, {25.0},
        ("audio", "mesh_sequences", "templates"), unit="area", subjects_apart=False, size=(0.7, 1.5),
    ),
    "multiface": Facts(multiface.multiface, {**_MULTIFACE}, {30.0}, ("*/tracked_mesh", "*/audio", "*/*/*/*.obj")),
    "meshtalk": Facts(
        multiface.meshtalk, {**_MULTIFACE}, {30.0}, ("*/tracked_mesh", "*/*/*/*.obj", "multiface2meshtalk.py")
    ),
    "meshtalk_mm23": Facts(
        multiface.meshtalk_mm23, {**_MULTIFACE, "val": _MULTIFACE["val"] | _MULTIFACE["test"]}, {30.0},
        ("audio", "mesh_sequences", "template_regen"), subjects_apart=False, twice=("val", "test"),
    ),
    "mead3d": Facts(
        mead3d.build,
        {split: {n for n, of in mead3d.CLIPS.items() if of == split} for split in dict.fromkeys(mead3d.CLIPS.values())},
        {25.0}, ("param", "wav", "flame.npz"), ("flame.pkl",), subjects_apart=False,
    ),
    "vox2_framewise": Facts(voxceleb2.build, _VOX2, {25.0}, _VOX2_NEEDED, ("flame.pkl",), subjects_apart=False),
    "vox2_videowise": Facts(_videowise, _VOX2, {25.0}, _VOX2_NEEDED, ("flame.pkl",), subjects_apart=False),
    "unitalker": Facts(
        unitalker.build,
        {
            "train": {"annot_train_0000", "annot_train_0001"},  # the third is too short
            "val": {"annot_val_0000"}, "test": {"annot_test_0000"},
        },
        {30.0}, ("*.json", "id_template.npy", "annot", "audio", "audio/test_0000.wav"),
    ),
    "shards": Facts(
        _shards, _VOCASET, {60.0}, ("shards.json", "index.jsonl", "templates", "topologies", "motion", "sound")
    ),
}  # fmt: skip
