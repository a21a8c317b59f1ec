"""VOCASET in its three layouts: what is read is what was written, splits are the published ones, damage is one line."""

from __future__ import annotations

import importlib
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import miniature_vocaset as mini
import numpy as np
import pytest

from vultus.clock import num_motion_frames
from vultus.datasets import Dataset, FaceSequence, open_dataset
from vultus.datasets import vocaset as package
from vultus.datasets.base import Finding
from vultus.datasets.vocaset_layout import (
    NUM_VERTICES,
    PROTOCOLS,
    SPLITS,
    SUBJECTS,
    Motion,
    Sound,
    VocasetLayout,
    VocasetSequence,
    as_template,
    find_topology,
)
from vultus.errors import VultusError
from vultus.readers.safe_pickle import load_pickle

NAMES = sorted(mini.LAYOUTS)
DEFAULTS = {"vocaset": "voca", "vocaset_faceformer": "faceformer", "vocaset_mm23": "mm23"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("vocaset")
    return {name: build(folder / name) for name, build in mini.LAYOUTS.items()}


@pytest.fixture
def copy(made: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(made[name], tmp_path / name))


def opened(name: str, root: Path, **options: Any) -> VocasetLayout:
    data = open_dataset(name, str(root), **options)
    assert isinstance(data, VocasetLayout)
    return data


def all_of(data: VocasetLayout) -> dict[str, VocasetSequence]:
    return {sequence.name: sequence for split in data.splits for sequence in data.split(split)}


def check(name: str, root: Path) -> list[Finding]:
    found: list[Finding] = importlib.import_module(f"vultus.datasets.{name}").check(root)
    return found


def faults(findings: list[Finding]) -> str:
    assert all(finding.remedy for finding in findings if not finding.good)
    assert all("\n" not in finding.what for finding in findings)
    return " | ".join(finding.what for finding in findings if not finding.good)


def assert_refused(name: str, root: Path, *parts: str, **options: Any) -> None:
    with pytest.raises(VultusError) as caught:
        for sequence in all_of(opened(name, root, **options)).values():
            sequence.speech()
            sequence.vertices()
    message = str(caught.value)
    assert "\n" not in message and all(part in message for part in parts), message


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_what_was_written(name: str, made: dict[str, Path]) -> None:
    data = opened(name, made[name])
    assert isinstance(data, Dataset) and data.name == name and data.splits == ("train", "val", "test")
    people: dict[str, str] = {}
    for sequence in all_of(data).values():
        assert isinstance(sequence, FaceSequence)
        assert people.setdefault(sequence.subject, sequence.split) == sequence.split
        assert (sequence.fps, sequence.unit, sequence.source) == (60.0, "m", name)
        wanted = mini.motion(sequence.subject, sequence.sentence)
        vertices = sequence.vertices()
        assert vertices.dtype == np.float32 and vertices.flags.aligned
        np.testing.assert_allclose(vertices, wanted, atol=1e-7)
        np.testing.assert_allclose(sequence.template.vertices, mini.neutral(sequence.subject), atol=1e-7)
        assert 0.15 < np.ptp(sequence.template.vertices[:, 1]) < 0.6
        speech = sequence.speech()
        assert len(vertices) == sequence.count_frames() == num_motion_frames(speech.num_samples, 60)
        assert abs(sequence.count_seconds() - len(vertices) / 60) < 1 / 60
        assert len(sequence.vertices(fps=25)) == num_motion_frames(speech.num_samples, 25)
        assert 0.2 < np.abs(speech.samples).max() < 0.3  # 8000 of 32768
        np.testing.assert_array_equal(sequence.template.topology.faces, mini.triangles())


@pytest.mark.parametrize("name", NAMES)
def test_30_fps_is_every_second_frame(name: str, made: dict[str, Path]) -> None:
    sequence = opened(name, made[name]).split("train")[0]
    np.testing.assert_array_equal(sequence.vertices(fps=30), sequence.vertices()[::2])


@pytest.mark.parametrize("name", NAMES)
def test_splits_of_the_miniature(name: str, made: dict[str, Path]) -> None:
    first, second = SPLITS["train"][:2]
    sentences = {
        split: [(s.subject, s.sentence[-2:]) for s in opened(name, made[name]).split(split)] for split in SPLITS
    }
    assert sentences["train"] == [
        *((first, n) for n in ("01", "02", "21", "40")),
        *((second, n) for n in ("01", "21", "40")),
    ]
    assert sentences["val"] == [(SPLITS["val"][0], "21")]
    numbers = ("01", "02", "21", "40") if DEFAULTS[name] == "mm23" else ("21", "40")
    assert sentences["test"] == [(subject, n) for subject in SPLITS["test"] for n in numbers]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_protocol_is_an_option_of_every_layout(name: str, protocol: str, made: dict[str, Path]) -> None:
    data = opened(name, made[name], protocol=protocol)
    assert data.protocol == protocol and data.scored_fps == (30 if protocol == "faceformer" else 60)
    assert len(data.split("test")) == (8 if protocol == "mm23" else 4)
    assert opened(name, made[name]).protocol == DEFAULTS[name]


def test_unknown_names_offer_near_misses(made: dict[str, Path]) -> None:
    with pytest.raises(VultusError, match=r"protocol of vocaset 'vocca'; did you mean 'voca'"):
        opened("vocaset", made["vocaset"], protocol="vocca")
    with pytest.raises(VultusError, match="did you mean 'test'"):
        opened("vocaset", made["vocaset"]).split("tset")


@pytest.mark.parametrize(("protocol", "test"), [("voca", 40), ("faceformer", 40), ("mm23", 80)])
def test_published_numbers_of_sequences(protocol: str, test: int, tmp_path: Path) -> None:
    template = as_template(mini.neutral(SUBJECTS[0]), find_topology("vocaset", tmp_path, None), "template")
    motion, sound = Motion(lambda: 0, lambda: np.empty(0)), Sound(lambda: 0.0, lambda: pytest.fail("was read"))
    data = VocasetLayout(tmp_path, protocol, lambda *_: motion, lambda *_: sound, dict.fromkeys(SUBJECTS, template))
    assert {split: len(data.split(split)) for split in data.splits} == {"train": 320, "val": 40, "test": test}
    assert len(set(data.subjects)) == 12 and not data.left_out
    assert {s.subject for s in data.split("test")} == {"FaceTalk_170809_00138_TA", "FaceTalk_170731_00024_TA"}
    assert {s.subject for s in data.split("val")} == {"FaceTalk_170811_03275_TA", "FaceTalk_170908_03277_TA"}
    assert [s.subject for s in data.split("train")][::40] == list(data.subjects[:8])
    assert data.subjects[0] == "FaceTalk_170728_03272_TA" and data.subjects[7] == "FaceTalk_170912_03278_TA"
    assert data.split("train")[0].name == "FaceTalk_170728_03272_TA_sentence01"
    assert data.split("val")[0].sentence == "sentence21"


@pytest.mark.parametrize("name", NAMES)
def test_missing_sentences_are_skipped_and_counted(name: str, made: dict[str, Path]) -> None:
    data = opened(name, made[name])
    assert data.left_out[mini.NO_MOTION] == "no motion" and mini.NO_MOTION not in all_of(data)
    assert data.left_out[mini.NO_SOUND] == "no sound" and mini.NO_SOUND not in all_of(data)
    findings = check(name, made[name])
    lines = [finding.what for finding in findings]
    assert any(line.startswith(f"split train (protocol {DEFAULTS[name]}): 7 sequences of 320") for line in lines)
    assert f"1 skipped, no motion: {mini.NO_MOTION}" in lines
    assert any("sound minus motion is +0 ms at most" in line for line in lines)
    assert "skipped, no motion and no sound" in faults(findings)  # of a release of 480, far too many
    assert "no mesh" not in faults(findings)


def test_check_of_the_package_tells_rows(made: dict[str, Path]) -> None:
    rows = len(np.load(made["vocaset"] / "data_verts.npy", mmap_mode="r"))
    assert check("vocaset", made["vocaset"])[0].what == f"data_verts.npy: {rows} frames of {NUM_VERTICES} vertices"


def test_rows_in_a_run_are_a_view_of_the_file(made: dict[str, Path]) -> None:
    sequences = all_of(opened("vocaset", made["vocaset"]))
    whole = sequences[f"{SUBJECTS[0]}_sentence01"].read_vertices()
    assert not whole.flags.owndata and not whole.flags.writeable
    assert sequences[mini.SCATTERED].read_vertices().flags.writeable  # a copy


def test_large_tensors_are_views_of_the_file(tmp_path: Path) -> None:
    import torch

    (tmp_path / "big.pkl").write_bytes(pickle.dumps({"a": {"b": torch.ones(300, NUM_VERTICES, 3)}}))
    found = load_pickle(tmp_path / "big.pkl", what="test")["a"]["b"]
    assert found.shape == (300, NUM_VERTICES, 3) and not found.flags.owndata and not found.flags.writeable
    assert (found == 1).all()


def test_mm23_is_read_without_torch(made: dict[str, Path]) -> None:
    code = (
        "import sys; from vultus.datasets import open_dataset; "
        f"data = open_dataset('vocaset_mm23', {str(made['vocaset_mm23'])!r}); data.split('test')[0].vertices(); "
        "assert not {'torch', 'scipy', 'matplotlib', 'pickle'} & set(sys.modules) - set(BEFORE)"
    )
    before = "import sys, numpy, soundfile, soxr, pickle; BEFORE = tuple(sys.modules); "
    subprocess.run([sys.executable, "-c", before + code], check=True)


def test_frames_are_in_the_order_of_their_numbers(copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    sequence = all_of(opened("vocaset", root))[mini.SCATTERED]
    np.testing.assert_allclose(sequence.vertices(), mini.motion(sequence.subject, sequence.sentence), atol=1e-7)


def test_a_gap_in_frame_numbers_is_told(copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    table = load_pickle(root / "subj_seq_to_idx.pkl", what="test")
    del table[SUBJECTS[0]]["sentence01"][5]
    (root / "subj_seq_to_idx.pkl").write_bytes(mini.python2(table))
    assert len(all_of(opened("vocaset", root))[f"{SUBJECTS[0]}_sentence01"].vertices()) == 11
    assert any("1 sequences lack frames inside" in finding.what for finding in check("vocaset", root))


def test_keys_may_be_bytes_and_numbers_numpy_scalars(copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    table = load_pickle(root / "subj_seq_to_idx.pkl", what="test")
    as_bytes = {
        subject.encode(): {
            sentence.encode(): {np.int64(a): np.int32(b) for a, b in rows.items()} for sentence, rows in of.items()
        }
        for subject, of in table.items()
    }
    (root / "subj_seq_to_idx.pkl").write_bytes(pickle.dumps(as_bytes, 2))
    assert len(all_of(opened("vocaset", root))) == 12


@pytest.mark.parametrize("name", NAMES)
def test_without_mesh_there_are_no_triangles_and_check_says_so(name: str, copy: Callable[[str], Path]) -> None:
    root = copy(name)
    meshes = list(root.rglob("*.ply"))
    kept = root.parent / "mesh.ply"
    shutil.copy(meshes[0], kept)
    if name != "vocaset_mm23":  # its neutral faces are meshes
        for mesh in meshes:
            mesh.unlink()
        faces = opened(name, root).split("train")[0].template.topology.faces
        assert faces.shape == (0, 3) and faces.dtype == np.int32
        assert "no mesh" in faults(check(name, root))
    assert len(opened(name, root, mesh=kept).split("train")[0].template.topology.faces) == NUM_VERTICES - 2


def test_a_mesh_of_another_topology_is_refused(copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    mini.write_ply(root / "other.ply", np.eye(3), np.array([[0, 1, 2]]))
    assert_refused("vocaset", root, "has 3 vertices", "expected 5023", mesh=root / "other.ply")


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_names_every_file_and_where_to_get_it(name: str, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "absent"):
        assert_refused(name, root, "https://voca.is.tue.mpg.de", f"`vultus data check {name} ")
        findings = check(name, root)
        assert len(findings) >= 3 and not any(finding.good for finding in findings)
        assert all("non-commercial" in finding.remedy for finding in findings)
    (tmp_path / "file").write_text("x")
    assert faults(check(name, tmp_path / "file"))


@pytest.mark.parametrize("missing", package.FILES)
def test_each_missing_file_is_named(missing: str, copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    (root / missing).unlink()
    assert_refused("vocaset", root, f"no {missing}", "voca.is.tue.mpg.de")
    assert faults(check("vocaset", root)) == f"no {missing}"


def test_faceformer_root_may_be_the_folder_above(made: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(made["vocaset_faceformer"], tmp_path / "vocaset")
    assert len(all_of(opened("vocaset_faceformer", tmp_path))) == 12
    assert not faults(check("vocaset_faceformer", tmp_path)).startswith("no ")


def _millimetres(root: Path, name: str) -> None:
    if name == "vocaset":
        np.save(root / "data_verts.npy", 1000 * np.load(root / "data_verts.npy"))
    elif name == "vocaset_faceformer":
        for path in (root / "vertices_npy").iterdir():
            np.save(path, 1000 * np.load(path))
    else:
        table = load_pickle(root / "verts_data.pkl", what="test")
        scaled = {s: {k: 1000 * v for k, v in of.items()} for s, of in table.items()}
        (root / "verts_data.pkl").write_bytes(pickle.dumps(scaled))


@pytest.mark.parametrize("name", NAMES)
def test_motion_in_millimetres_is_refused(name: str, copy: Callable[[str], Path]) -> None:
    root = copy(name)
    _millimetres(root, name)
    assert_refused(name, root, "expected metres")


def test_templates_in_millimetres_are_refused(copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    scaled = {subject: 1000 * mini.neutral(subject) for subject in mini.SPOKEN_BY}
    (root / "templates.pkl").write_bytes(pickle.dumps(scaled))
    assert_refused("vocaset", root, "high; expected a head in metres")


class _Evil:
    """Makes a folder where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        import os

        return os.mkdir, (str(self.trace),)


PICKLES = [("vocaset", file) for file in package.FILES[1:]]
PICKLES += [("vocaset_faceformer", "templates.pkl"), ("vocaset_mm23", "verts_data.pkl")]


@pytest.mark.parametrize(("name", "file"), PICKLES)
@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_is_refused_and_never_run(
    name: str, file: str, protocol: int, made: dict[str, Path], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(made[name], root, copy_function=lambda a, b: Path(b).symlink_to(a))
    (root / file).unlink()
    trace = tmp_path / "trace"
    (root / file).write_bytes(pickle.dumps({SUBJECTS[0]: _Evil(trace)}, protocol))
    assert_refused(name, root, "mkdir", "nothing in it was run")
    assert "mkdir" in faults(check(name, root))
    assert not trace.exists()


@pytest.mark.parametrize(("name", "file"), PICKLES)
def test_a_truncated_pickle_is_one_line(name: str, file: str, copy: Callable[[str], Path]) -> None:
    root = copy(name)
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])
    assert_refused(name, root, file)
    assert file in faults(check(name, root))


@pytest.mark.parametrize(("name", "file"), PICKLES)
def test_a_pickle_of_something_else_is_one_line(name: str, file: str, copy: Callable[[str], Path]) -> None:
    root = copy(name)
    for content in ([1, 2], {SUBJECTS[0]: 3}, {SUBJECTS[0]: {"sentence01": "text"}}, {}, {1: {2: {3: 4}}}):
        (root / file).write_bytes(pickle.dumps(content))
        if content in ({}, {1: {2: {3: 4}}}):
            assert_refused(name, root, "no sequence with motion, sound and neutral face")
        else:
            assert_refused(name, root, name)


def test_damaged_arrays_are_one_line(copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    content = (root / "data_verts.npy").read_bytes()
    for broken in (content[: len(content) // 2], b"", b"\x93NUMPY\x01\x00", b"no array"):
        (root / "data_verts.npy").write_bytes(broken)
        assert_refused("vocaset", root, "data_verts.npy")
        assert "data_verts.npy" in faults(check("vocaset", root))
    np.save(root / "data_verts.npy", np.zeros((10, 5022, 3), "f4"))
    assert_refused("vocaset", root, "(10, 5022, 3)", "expected floats (frames, 5023, 3)")
    np.save(root / "data_verts.npy", np.zeros((10, 5023, 3), "f4"))
    assert_refused("vocaset", root, "subj_seq_to_idx.pkl", "names row", "0 to 9")


def test_nan_in_motion_is_refused(copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    frames = np.load(root / "data_verts.npy")
    frames[3, 100, 1] = np.nan
    np.save(root / "data_verts.npy", frames)
    assert_refused("vocaset", root, "NaN")


def test_an_array_of_objects_is_read_by_the_safe_reader(copy: Callable[[str], Path], tmp_path: Path) -> None:
    root = copy("vocaset_faceformer")
    path = root / "vertices_npy" / f"{SUBJECTS[0]}_sentence01.npy"
    np.save(path, np.array([_Evil(tmp_path / "trace")], object), allow_pickle=True)
    assert_refused("vocaset_faceformer", root, "mkdir")
    np.save(path, np.array([None, "x"], object), allow_pickle=True)
    assert_refused("vocaset_faceformer", root, "holds object (2,)")
    assert not (tmp_path / "trace").exists()


def test_the_rate_of_the_sound_is_read_not_assumed(copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    sounds = load_pickle(root / "raw_audio_fixed.pkl", what="test")
    sounds[SUBJECTS[0]]["sentence01"] = {"audio": mini.tone(12, 44100), "sample_rate": 44100}
    del sounds[SUBJECTS[0]]["sentence02"]["sample_rate"]
    (root / "raw_audio_fixed.pkl").write_bytes(mini.python2(sounds))
    sequences = all_of(opened("vocaset", root))
    assert sequences[f"{SUBJECTS[0]}_sentence01"].speech().num_samples == 3200
    with pytest.raises(VultusError, match=r'sentence02: lacks "audio" or a true "sample_rate"'):
        sequences[f"{SUBJECTS[0]}_sentence02"].speech()
    assert "sentence02" in faults(check("vocaset", root))


def test_unequal_lengths_are_found_by_the_check(copy: Callable[[str], Path]) -> None:
    root = copy("vocaset")
    sounds = load_pickle(root / "raw_audio_fixed.pkl", what="test")
    sounds[SUBJECTS[0]]["sentence01"]["sample_rate"] = 11025
    (root / "raw_audio_fixed.pkl").write_bytes(mini.python2(sounds))
    told = faults(check("vocaset", root))
    assert f"is +200 ms at most ({SUBJECTS[0]}_sentence01)" in told and "1 beyond 100 ms" in told
