"""Multiface, MeshTalk's topology derived from it, and the MM'23 layout: read as written, splits exact, damage named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import miniature_biwi
import miniature_multiface as mini
import numpy as np
import pytest

from vultus.clock import num_motion_frames
from vultus.datasets import meshtalk, meshtalk_mm23, multiface, multiface_meshes, open_dataset
from vultus.datasets.base import Dataset
from vultus.datasets.recorded import FileSequence, RecordedDataset
from vultus.errors import VultusError

KEPT = np.setdiff1d(np.arange(7306), mini.DROPPED)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("multiface")
    return {
        "meshtalk": mini.meshtalk(folder / "meshtalk"),  # Multiface with a vertex list
        "mm23": mini.meshtalk_mm23(folder / "mm23"),
    }


@pytest.fixture
def copy(made: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(made[kind], tmp_path / kind))


def by_split(data: RecordedDataset) -> dict[str, FileSequence]:
    return {split: data.split(split)[0] for split in data.splits}


def one_line(error: pytest.ExceptionInfo[VultusError]) -> None:
    assert "\n" not in str(error.value) and "expected" in str(error.value)


def test_published_splits() -> None:
    full = [f"m--20180227--0000--{number}--GHS" for number in (*multiface.TRAIN, *multiface.VAL, *multiface.TEST)]
    assert [len(multiface.TRAIN), len(multiface.VAL), len(multiface.TEST), len(set(full))] == [9, 2, 2, 13]
    for published, val in ((False, {"6674443", "5372021"}), (True, {"6674443", "5372021", "002643814", "002421669"})):
        in_split = {s: {multiface.subject_id(f) for f in full if s in multiface.splits_of(f, published)} for s in
                    ("train", "val", "test", "rest")}  # fmt: skip
        assert in_split == {
            "train": set(multiface.TRAIN), "val": val, "test": {"002643814", "002421669"}, "rest": set(),
        }  # fmt: skip
    assert multiface.splits_of("somebody", True) == ("rest",)


@pytest.mark.parametrize(
    ("name", "kind", "vertices"),
    [("multiface", "meshtalk", 7306), ("meshtalk", "meshtalk", 6172), ("meshtalk_mm23", "mm23", 6172)],
)
def test_every_form_keeps_the_contract(made: dict[str, Path], name: str, kind: str, vertices: int) -> None:
    data = open_dataset(name, str(made[kind]))
    assert isinstance(data, Dataset) and isinstance(data, RecordedDataset) and data.splits == ("train", "val", "test")
    neutral = mini.head()[0][KEPT if vertices == 6172 else slice(None)] / 1000
    for split, sequence in by_split(data).items():
        assert (sequence.unit, sequence.fps, sequence.split) == ("m", 30.0, split)
        assert (sequence.subject, sequence.sentence) == (mini.SUBJECTS[split], mini.SENTENCE)
        motion = sequence.vertices()
        assert motion.dtype == np.float32 and motion.shape == (mini.FRAMES, vertices, 3)
        assert len(motion) == sequence.count_frames() == num_motion_frames(sequence.speech().num_samples, 30)
        assert sequence.template.topology.num_vertices == vertices
        np.testing.assert_allclose(sequence.template.vertices, neutral, atol=1e-6)
        expected = miniature_biwi.speaking(mini.head()[0], mini.FRAMES) / 1000
        seen = [i for i in range(mini.FRAMES) if not (split == "test" and i == 3 and name != "meshtalk_mm23")]
        kept = KEPT if vertices == 6172 else slice(None)
        np.testing.assert_allclose(motion[seen], expected[seen][:, kept], atol=1e-6)
        if len(seen) < mini.FRAMES:  # the hole is bridged by a straight line
            np.testing.assert_allclose(motion[3], (motion[2] + motion[4]) / 2, atol=1e-7)


def test_published_validation_holds_the_test_subjects(made: dict[str, Path]) -> None:
    mm23 = meshtalk_mm23.MeshTalkMM23(made["mm23"])
    assert {s.subject for s in mm23.split("val")} == {mini.SUBJECTS["val"], mini.SUBJECTS["test"]}
    assert {s.subject for s in mm23.split("test")} == {mini.SUBJECTS["test"]}
    ours = meshtalk.MeshTalk(made["meshtalk"])
    assert {s.subject for s in ours.split("val")} == {mini.SUBJECTS["val"]}
    published = meshtalk.MeshTalk(made["meshtalk"], published_val=True)
    assert {s.subject for s in published.split("val")} == {s.subject for s in mm23.split("val")}


def test_what_is_left_out_and_where_neutral_faces_are_from(made: dict[str, Path]) -> None:
    data = multiface.Multiface(made["meshtalk"])
    silent = f"{mini.SUBJECTS['train']}_SEN_they_had_slapped_their_thighs"
    assert data.left_out == {silent: "no sound"}
    assert [note.rpartition(" ")[2] for note in data.notes] == [
        "EXP_neutral_peak", "E001_Neutral_Eyes_Open", "vert_mean.bin",
    ]  # fmt: skip
    assert meshtalk_mm23.MeshTalkMM23(made["mm23"]).left_out == {
        f"{mini.SUBJECTS['test']}_SEN_without_sound": "no sound"
    }


def test_reduced_triangles(made: dict[str, Path]) -> None:
    faces, reduced = (
        by_split(open_dataset(name, str(made["meshtalk"])))["train"].template.topology.faces
        for name in ("multiface", "meshtalk")
    )
    wanted = [tuple(np.searchsorted(KEPT, f)) for f in faces if np.isin(f, KEPT).all()]
    assert [tuple(face) for face in reduced] == wanted and reduced.dtype == np.int32
    assert by_split(open_dataset("meshtalk_mm23", str(made["mm23"])))["train"].template.topology.digest == (
        by_split(open_dataset("meshtalk", str(made["meshtalk"])))["train"].template.topology.digest
    )


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("list.txt", ", ".join(map(str, mini.DROPPED))),
        ("list.txt", "\n".join(map(str, mini.DROPPED)) + "\n"),
        ("list.txt", "[" + ",\n ".join(map(str, KEPT)) + "]"),
        ("list.npy", np.array(mini.DROPPED)),
        ("list.npy", KEPT.astype(np.int32)),
    ],
    ids=["commas", "lines", "kept", "npy", "npy kept"],
)
def test_vertex_lists(tmp_path: Path, file: str, content: str | np.ndarray) -> None:
    path = tmp_path / file
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        np.save(path, content)
    np.testing.assert_array_equal(meshtalk.kept_vertices(path), KEPT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1, 2, 3", "holds no list of 1134 or 6172"),
        ("", "holds no list"),
        (", ".join(map(str, [*mini.DROPPED[:-1], 551])), "lists 1133 different vertices .* expected 1134 .* each once"),
        (", ".join(map(str, [*mini.DROPPED[:-1], 7306])), "from 551 to 7306; expected 1134 between 0 and 7305"),
        ("\0\xff", "holds no list"),
    ],
)
def test_bad_vertex_lists(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(content, encoding="utf-8")
    with pytest.raises(VultusError, match=message) as error:
        meshtalk.kept_vertices(tmp_path / "list.txt")
    one_line(error)
    np.save(tmp_path / "list.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(VultusError, match=r"list\.npy': cannot be read"):
        meshtalk.kept_vertices(tmp_path / "list.npy")


def test_without_a_vertex_list_the_next_step_is_told(copy: Callable[[str], Path]) -> None:
    root = copy("meshtalk")
    (root / "multiface2meshtalk.py").rename(root / "other.txt")
    with pytest.raises(VultusError, match=r"vertex_list=FILE .*multiface2meshtalk\.py of facebookresearch/meshtalk"):
        meshtalk.MeshTalk(root)
    assert meshtalk.MeshTalk(root, vertex_list=root / "other.txt").splits
    assert any(f.good for f in meshtalk.check(root, vertex_list=str(root / "other.txt")))


def _sequence(root: Path, split: str) -> Path:
    return root / mini.SUBJECTS[split] / "tracked_mesh" / mini.SENTENCE


def test_holes(copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    motion = miniature_biwi.speaking(mini.head()[0], 12)
    kept = [0, 1, 2, 3, 6, 7, 11]
    mini.write_frames(folder, motion[kept], [300 + 3 * i for i in kept])
    read = multiface_meshes.read_frames(folder)
    assert read.shape == (12, 7306, 3)
    for slot in range(12):
        low, high = max(k for k in kept if k <= slot), min(k for k in kept if k >= slot)
        part = (slot - low) / max(1, high - low)
        expected = ((1 - part) * motion[low] + part * motion[high]) / 1000
        np.testing.assert_allclose(read[slot], expected, atol=1e-6)
    root = copy("meshtalk")
    for i in range(8):  # the last two frames stand 8 frames later
        mini.write_frames(_sequence(root, "val"), motion[:1], [9000 + mini.FRAMES + 7 + i])
    data = multiface.Multiface(root)
    assert data.left_out[f"{mini.SUBJECTS['val']}_{mini.SENTENCE}"] == "more than 6 frames in a row missing"
    assert "val" not in data.splits


def test_irregular_frame_numbers_are_left_out_with_the_reason(copy: Callable[[str], Path]) -> None:
    root = copy("meshtalk")
    frames = _sequence(root, "train")
    (frames / "000105.bin").rename(frames / "000106.bin")
    data = multiface.Multiface(root)
    assert "train" not in data.splits
    reason = data.left_out[f"{mini.SUBJECTS['train']}_{mini.SENTENCE}"]
    assert "frame numbers advance by [2, 3, 4]; expected multiples of 3" in reason


def test_damaged_meshes(copy: Callable[[str], Path]) -> None:
    root = copy("meshtalk")
    path = _sequence(root, "train") / "000105.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-6])
    with pytest.raises(VultusError, match=r"000105\.bin': has 87666 bytes; expected 87672") as error:
        by_split(multiface.Multiface(root))["train"].vertices()
    one_line(error)
    path.write_bytes(content[:-12] + np.float32([np.nan, 0, 0]).tobytes())
    with pytest.raises(VultusError, match="holds NaN"):
        by_split(multiface.Multiface(root))["train"].vertices()
    neutral = root / mini.SUBJECTS["test"] / "vert_mean.bin"
    neutral.write_bytes((np.fromfile(neutral, "<f4") / 1000).tobytes())
    with pytest.raises(VultusError, match=r"vert_mean\.bin': is 0\.4 high along y; expected 200 to 600 mm;") as error:
        multiface.Multiface(root)
    one_line(error)


def test_templates_and_triangles_by_option(copy: Callable[[str], Path], tmp_path: Path) -> None:
    root = copy("meshtalk")
    vertices, faces = mini.head()
    for path in root.glob("*/tracked_mesh/*/*.obj"):
        path.rename(tmp_path / "any.obj")
    for name in ("E001_Neutral_Eyes_Open",):
        shutil.rmtree(root / mini.SUBJECTS["train"] / "tracked_mesh" / name)
    with pytest.raises(VultusError, match=r"no frame as \.obj; expected .* mesh=FILE"):
        multiface.Multiface(root)
    data = multiface.Multiface(root, mesh=tmp_path / "any.obj")
    assert data.left_out[f"{mini.SUBJECTS['train']}_{mini.SENTENCE}"] == "no neutral face of the subject"
    given = tmp_path / "neutral"
    miniature_biwi.write_obj(given / f"{mini.SUBJECTS['train']}.obj", vertices * 1.1, faces)
    data = multiface.Multiface(root, mesh=tmp_path / "any.obj", templates=given)
    np.testing.assert_allclose(by_split(data)["train"].template.vertices, vertices * 1.1e-3, atol=1e-6)
    miniature_biwi.write_obj(given / f"{mini.SUBJECTS['train']}.obj", vertices[KEPT], faces[:5])
    reduced = meshtalk.MeshTalk(root, mesh=tmp_path / "any.obj", templates=given)
    np.testing.assert_allclose(by_split(reduced)["train"].template.vertices, vertices[KEPT] / 1000, atol=1e-6)


def test_mm23_arrays(copy: Callable[[str], Path]) -> None:
    root = copy("mm23")
    data = meshtalk_mm23.MeshTalkMM23(root)
    path = root / "mesh_sequences" / mini.SUBJECTS["train"] / f"{mini.SENTENCE}.npy"
    values = np.load(path)
    assert values.dtype == np.float32
    for content, message in (
        (values / 1000, "times as large as the neutral face"),
        (values[:, :-1], r"holds float32 \(7, 6171, 3\); expected floats \(frames, 18516\) or \(frames, 6172, 3\)"),
        (values[:0], r"holds float32 \(0, 6172, 3\)"),
        (values.astype(int), "holds int64"),
    ):
        np.save(path, content)
        with pytest.raises(VultusError, match=message) as error:
            by_split(data)["train"].vertices()
        one_line(error)
    path.write_bytes(b"")
    with pytest.raises(VultusError, match="cannot be read"):
        by_split(data)["train"].vertices()
    (root / "template_regen").rename(root / "own")
    assert meshtalk_mm23.MeshTalkMM23(root, templates="own").splits == data.splits


@pytest.mark.parametrize("module", [multiface, meshtalk, meshtalk_mm23])
def test_bad_roots(module: object, tmp_path: Path) -> None:
    name = module.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow").mkdir()
    for folder in ("somebody/tracked_mesh/SEN_x", "audio", "mesh_sequences", "templates"):
        (tmp_path / "hollow" / folder).mkdir(parents=True)
    for root in ("absent", "file", "empty", "hollow"):
        with pytest.raises(VultusError, match=rf"expected .*`vultus data check {name} ") as error:
            open_dataset(name, str(tmp_path / root))
        one_line(error)
        findings = module.check(tmp_path / root)  # type: ignore[attr-defined]
        assert len(findings) == 1 and not findings[0].good and "docs/datasets/multiface.md" in findings[0].remedy
    assert not module.check(None)[0].good  # type: ignore[attr-defined]


def test_check_tells_what_is_there(copy: Callable[[str], Path]) -> None:
    root = copy("meshtalk")
    miniature_biwi.write_sound(root / mini.SUBJECTS["val"] / "audio" / f"{mini.SENTENCE}.wav", 1.0, 48_000)
    shutil.rmtree(root / mini.SUBJECTS["test"])
    told = {f.what: f.good for f in multiface.check(root)}
    assert told["split train: 1 sequences"] is True and told["split test: 0 sequences, fewer than 1"] is False
    lengths = {what.split(":")[0]: (what, good) for what, good in told.items() if "sound minus motion" in what}
    assert lengths["split train"][1] is True and lengths["split val"][1] is False
    assert f"1 beyond one frame (33 ms): {mini.SUBJECTS['val']}" in lengths["split val"][0]
    assert not any("sound minus motion" in f.what for f in multiface.check(root, durations=False))
    assert any(what.startswith("1 left out, no sound: ") for what in told)
    assert sum(what.startswith("neutral face of ") for what in told) == 2
    assert [f.what for f in meshtalk_mm23.check(copy("mm23")) if not f.good] == [
        f"1 left out, no sound: {mini.SUBJECTS['test']}_SEN_without_sound"
    ]
