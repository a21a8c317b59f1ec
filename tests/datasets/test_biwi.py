"""BIWI as released, and the contract of all its forms: what is read is what was written, damage is one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import miniature_biwi as mini
import numpy as np
import pytest
from miniature_biwi import by_name, one_line

from vultus.clock import num_motion_frames
from vultus.datasets import biwi, biwi_area, biwi_mm23, open_dataset
from vultus.datasets.base import Dataset
from vultus.datasets.recorded import RecordedDataset
from vultus.errors import VultusError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("biwi")
    return {
        "raw": mini.biwi_raw(folder / "raw"),
        "area": mini.biwi_area(folder / "area"),
        "mm23": mini.biwi_mm23(folder / "mm23"),
    }


@pytest.fixture
def copy(made: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(made[kind], tmp_path / kind))


def test_published_splits() -> None:
    sentences = [f"{e}{n:02d}" for e in ("", "e") for n in range(1, 41)]
    found: dict[str, list[str]] = {}
    for speaker in biwi.SPEAKERS:
        for sentence in sentences:
            found.setdefault(biwi.split_of(speaker, sentence), []).append(f"{speaker}_{sentence}")
    assert {split: len(found[split]) for split in biwi.PUBLISHED} == biwi.PUBLISHED == {
        "train": 192, "val": 24, "test_a": 24, "test_b": 32,
    }  # fmt: skip
    assert {name[:2] for name in found["test_b"]} == {"F1", "F5", "F6", "F7", "F8", "M1", "M2", "M6"}
    assert {name[3:] for name in found["test_b"]} == {"e37", "e38", "e39", "e40"}
    assert sum(map(len, found.values())) == 14 * 80


@pytest.mark.parametrize(("kind", "unit"), [("raw", "m"), ("area", "area"), ("mm23", "area")])
def test_every_form_keeps_the_contract(made: dict[str, Path], kind: str, unit: str) -> None:
    name = {"raw": "biwi", "area": "biwi_area", "mm23": "biwi_mm23"}[kind]
    data = open_dataset(name, str(made[kind]))
    assert isinstance(data, Dataset) and isinstance(data, RecordedDataset)
    assert set(data.splits) == {"train", "val", "test_b"} | ({"test_a", "rest"} if kind != "mm23" else set())
    for name, sequence in by_name(data).items():
        vertices = sequence.vertices()
        assert (sequence.unit, sequence.fps, name) == (unit, 25.0, f"{sequence.subject}_{sequence.sentence}")
        assert sequence.split == biwi.split_of(sequence.subject, sequence.sentence)
        assert vertices.dtype == np.float32 and vertices.shape == (mini.FRAMES, 23370, 3)
        assert len(vertices) == sequence.count_frames() == num_motion_frames(sequence.speech().num_samples, 25)
        assert sequence.template.vertices.dtype == np.float32
        size = np.ptp(sequence.template.vertices[:, 1])
        assert 0.15 < size < 0.25 if unit == "m" else 0.8 < size < 1.2
        assert np.abs(vertices - sequence.template.vertices).max() < 0.12 * size
    with pytest.raises(VultusError, match=r"unknown split .*Known: "):
        data.split("tets_b")


def test_raw_is_read_alike_from_folders_and_archives(made: dict[str, Path]) -> None:
    found = by_name(biwi.Biwi(made["raw"]))
    assert set(found) == set(mini.SPOKEN)
    for name, sequence in found.items():
        raw = mini.raw_motion(sequence.subject)
        np.testing.assert_allclose(sequence.vertices(), raw * np.float32([1, -1, -1]) / 1000, atol=1e-7)
        neutral, faces = mini.raw_face(sequence.subject)
        np.testing.assert_allclose(sequence.template.vertices, neutral * (1, -1, -1) / 1000, atol=1e-7)
        assert np.array_equal(sequence.template.topology.faces, faces), name
    assert biwi.Biwi(made["raw"]).left_out == {"F1_e38": "no sound"}


@pytest.mark.parametrize("factor", [0.1, 0.001], ids=["cm", "m"])
def test_unit_of_raw_is_told_by_the_height(copy: Callable[[str], Path], factor: float) -> None:
    root = copy("raw")
    for speaker in ("F1", "F2"):
        vertices, faces = mini.raw_face(speaker)
        mini.write_obj(root / "rigid_scans" / f"{speaker}.obj", vertices * factor, faces)
    shutil.rmtree(root / "faces" / "F1")
    place = root / "faces" / "F2" / "e01"
    for i, frame in enumerate(mini.raw_motion("F2")):
        (place / f"frame_{i + 1:03d}.vl").write_bytes(mini.vl(frame * np.float32(factor)))
    sequence = by_name(biwi.Biwi(root))["F2_e01"]
    expected = mini.raw_motion("F2") * np.float32([1, -1, -1]) / 1000
    np.testing.assert_allclose(sequence.vertices(), expected, atol=2e-6)
    with pytest.raises(VultusError, match=r"its first frame is .* from the speaker's neutral face"):
        by_name(biwi.Biwi(root))["F2_e33"].vertices()  # still in millimetres


def test_a_height_plausible_in_no_unit_is_refused(copy: Callable[[str], Path]) -> None:
    root = copy("raw")
    vertices, faces = mini.raw_face("F1")
    mini.write_obj(root / "rigid_scans" / "F1.obj", biwi_area.to_area(vertices, faces), faces)
    with pytest.raises(VultusError, match=r"F1\.obj.* high along y; expected 120 to 350 mm in mm, cm, m") as error:
        biwi.Biwi(root)
    one_line(error)


def test_eight_byte_headers_and_templates_beside_the_faces(copy: Callable[[str], Path]) -> None:
    root = copy("raw")
    (root / "rigid_scans").rename(root / "neutral")
    for speaker in ("F1", "F2"):
        shutil.copy(root / "neutral" / f"{speaker}.obj", root / "faces" / f"{speaker}.obj")
    for i, frame in enumerate(mini.raw_motion("F2")):
        (root / "faces/F2/e01" / f"frame_{i + 1:03d}.vl").write_bytes(mini.vl(frame, header=8))
    first = by_name(biwi.Biwi(root))["F2_e01"].vertices()
    np.testing.assert_array_equal(first, by_name(biwi.Biwi(root, templates="neutral"))["F2_01"].vertices())


def _cut(root: Path) -> None:
    path = root / "faces/F2/e01/frame_003.vl"
    path.write_bytes(path.read_bytes()[:-10])


def _wrong_count(root: Path) -> None:
    path = root / "faces/F2/e01/frame_003.vl"
    path.write_bytes(b"\x05\0\0\0" + path.read_bytes()[4:])


def _nan(root: Path) -> None:
    frame = mini.raw_motion("F2")[2]
    frame[7, 1] = np.nan
    (root / "faces/F2/e01/frame_003.vl").write_bytes(mini.vl(frame))


def _archive(root: Path, members: dict[str, bytes]) -> None:
    shutil.rmtree(root / "faces/F2/e01")
    mini.write_archive(root / "faces/F2/e01.tgz", members)


def _cut_archive(root: Path) -> None:
    _archive(root, {"frame_001.vl": mini.vl(mini.raw_motion("F2")[0])})
    path = root / "faces/F2/e01.tgz"
    path.write_bytes(path.read_bytes()[:5000])


def _no_archive(root: Path) -> None:
    shutil.rmtree(root / "faces/F2/e01")
    (root / "faces/F2/e01.tar").write_bytes(b"not an archive" * 100)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, r"frame_003\.vl': has 280434 bytes; expected 280444"),
        (_wrong_count, r"begins with a count of 5; expected 23370"),
        (_nan, r"F2_e01 holds NaN"),
        (lambda root: (root / "faces/F2/e01/frame_003.vl").unlink(), r"frame 4 follows frame 2; expected every frame"),
        (lambda root: _archive(root, {"e01/frame_001.vl": b"short"}), r"e01\.tgz: frame_001\.vl': has 5 bytes"),
        (lambda root: _archive(root, {"texture.png": b"png"}), r"holds no frame_NNN\.vl"),
        (_cut_archive, r"e01\.tgz': cannot be read .*expected frames in \.vl files; unpack or download it again"),
        (_no_archive, r"e01\.tar': cannot be read"),
    ],
    ids=["cut", "count", "nan", "hole", "short member", "textures only", "cut archive", "no archive"],
)
def test_damaged_frames(copy: Callable[[str], Path], damage: Callable[[Path], None], message: str) -> None:
    root = copy("raw")
    damage(root)
    with pytest.raises(VultusError, match=message) as error:
        by_name(biwi.Biwi(root))["F2_e01"].vertices()
    one_line(error)


@pytest.mark.parametrize("damage", ["points", "short", "nan"])
def test_bad_neutral_faces(copy: Callable[[str], Path], damage: str) -> None:
    root = copy("raw")
    vertices, faces = mini.raw_face("F1")
    if damage == "nan":
        vertices[3, 1] = np.nan
    kept = vertices[:-1] if damage == "short" else vertices
    mini.write_obj(root / "rigid_scans/F1.obj", kept, faces[:0] if damage == "points" else faces[:9])
    with pytest.raises(VultusError, match=r"F1\.obj") as error:
        biwi.Biwi(root)
    one_line(error)


@pytest.mark.parametrize("module", [biwi, biwi_area, biwi_mm23])
def test_bad_roots(module: object, tmp_path: Path) -> None:
    name = module.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow").mkdir()
    for folder in ("faces/F1/e01", "vertices_npy", "wav", "audio", "mesh_sequences", "templates"):
        (tmp_path / "hollow" / folder).mkdir(parents=True)
    for root in ("absent", "file", "empty", "hollow"):
        with pytest.raises(VultusError, match=rf"expected .*`vultus data check {name} ") as error:
            open_dataset(name, str(tmp_path / root))
        one_line(error)
        findings = module.check(tmp_path / root)  # type: ignore[attr-defined]
        assert len(findings) == 1 and not findings[0].good and "docs/datasets/biwi.md" in findings[0].remedy
    assert not module.check(None)[0].good  # type: ignore[attr-defined]


def test_sound_of_videos(copy: Callable[[str], Path]) -> None:
    """A release whose sound is only in its videos: 44.1 kHz AAC in .flv, read by PyAV."""
    import av

    root = copy("raw")
    (root / "audio" / "F2_e01_cut.wav").unlink()
    (root / "videos").mkdir()
    with av.open(str(root / "videos" / "F2_e01.flv"), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        assert isinstance(stream, av.AudioStream)
        sound = (0.3 * np.sin(np.arange(int(44_100 * mini.FRAMES / 25)) / 40)).astype(np.float32)
        for start in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44_100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sequence = by_name(biwi.Biwi(root))["F2_e01"]
    assert sequence.sound.suffix == ".flv"
    assert abs(sequence.speech().duration - mini.FRAMES / 25) < 2 * 1024 / 44_100  # blocks of the codec


def test_packed_release_is_named(tmp_path: Path) -> None:
    (tmp_path / "faces01.tgz").write_bytes(b"")
    with pytest.raises(VultusError, match=r"packed faces01\.tgz to faces05\.tgz; unpack them and rest\.tgz"):
        biwi.Biwi(tmp_path)


def test_check_tells_what_is_there(copy: Callable[[str], Path]) -> None:
    root = copy("raw")
    good = [f.what for f in biwi.check(root) if f.good]
    assert good[0] == "split rest: 1 sequences" and len(good) == 6  # and a line about the lengths of each split
    assert all(" ms at most (F" in line and "; looked at 1 of 1 sequences" in line for line in good[1:])
    assert [f.what for f in biwi.check(root, durations=False) if f.good] == good[:1]
    bad = {f.what: f.remedy for f in biwi.check(root) if not f.good}
    assert "split train: 1 sequences, fewer than 192" in bad and "1 left out, no sound: F1_e38" in bad
    mini.write_sound(root / "audio/F2_e33_cut.wav", 1.0, 44_100)
    _cut(root)
    (root / "audio/F2_01_cut.wav").write_bytes(b"RIFF")
    told = "\n".join(f.what for f in biwi.check(root))
    assert "1 beyond one frame (40 ms): F2_e33 (+760 ms)" in told
    assert "F2_e01: '" in told and "F2_01: '" in told
