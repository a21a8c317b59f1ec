"""`vultus data check` and `vultus data convert` as a user meets them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import miniature_biwi
import miniature_mead3d
import miniature_unitalker
import miniature_vocaset
import numpy as np
import pytest
import soundfile

from vultus.cli import main
from vultus.datasets import DATASETS, open_dataset
from vultus.datasets.options import read_options, split_options
from vultus.datasets.survey import survey, try_reading
from vultus.errors import VultusError


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature_vocaset.vocaset_faceformer(tmp_path_factory.mktemp("commands") / "data")


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "data"))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["data", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_check_says_what_is_there_and_counts_each_split(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, error = run(capsys, "check", "vocaset_faceformer", str(root))
    assert status == 0 and error == ""
    assert "ok       templates.pkl" in out and "missing  126 skipped" in out and "voca.is.tue.mpg.de" in out
    rows = {line.split()[0]: line.split()[1:5] for line in out.splitlines() if line.split()[:1] in (["train"], ["val"])}
    assert rows == {"train": ["7", "2", "0.00", "108"], "val": ["1", "1", "0.00", "24"]}
    assert "all within one frame (17 ms)" in out and "sound minus motion" not in out  # lengths are told once
    assert "split train (protocol faceformer): 7 sequences of 320 possible" in out
    assert out.splitlines()[-1].endswith("can be used; 2 things to look at, see above")


def test_check_finds_the_sequences_whose_sound_and_motion_differ(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = miniature_vocaset.SPOKEN_BY[0]
    for sentence, frames in (("sentence01", 18), ("sentence02", 8), ("sentence40", 13)):
        soundfile.write(root / "wav" / f"{subject}_{sentence}.wav", miniature_vocaset.tone(frames, 22050), 22050)
    status, out, _ = run(capsys, "check", "vocaset_faceformer", str(root))
    assert status == 0
    row = next(line for line in out.splitlines() if line.strip().startswith("train "))
    assert f"2 beyond one frame (17 ms); +100 ms at most ({subject}_sentence01)" in row
    assert f"train: {subject}_sentence01: sound minus motion is +100 ms" in out
    assert f"train: {subject}_sentence02: sound minus motion is -67 ms" in out


def test_fast_opens_no_sequence(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (*(root / "wav").glob("*"), *(root / "vertices_npy").glob("*")):
        path.write_bytes(b"")
    status, out, _ = run(capsys, "check", "vocaset_faceformer", str(root), "--fast")
    assert status == 0 and "not looked at" in out and "126 skipped" in out
    assert any(line.split()[:3] == ["train", "7", "2"] for line in out.splitlines())
    assert "split train (protocol faceformer): 7 sequences of 320 possible" in out
    status, out, error = run(capsys, "check", "vocaset_faceformer", str(root))
    assert status == 2 and "no sequence of split train can be read" in error and error.count("\n") == 1


def test_a_damaged_sequence_is_a_line_and_not_the_end(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{miniature_vocaset.SPOKEN_BY[0]}_sentence40"
    (root / "vertices_npy" / f"{name}.npy").write_bytes(b"not an array")
    status, out, _ = run(capsys, "check", "vocaset_faceformer", str(root))
    assert status == 0 and f"train: {name} cannot be read" in out and "things to look at" in out
    assert any(line.split()[:5] == ["train", "7", "2", "0.00", "96"] for line in out.splitlines())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values * 1000, "from the neutral face on average; expected metres"),
        (lambda values: np.where(np.arange(len(values))[:, None] == len(values) - 1, np.nan, values), "holds NaN"),
    ],
    ids=["another unit", "NaN at the end"],
)
def test_impossible_coordinates_are_found(
    root: Path, capsys: pytest.CaptureFixture[str], change: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    name = f"{miniature_vocaset.SPOKEN_BY[0]}_sentence40"
    path = root / "vertices_npy" / f"{name}.npy"
    values = np.load(path)
    np.save(path, change(values.reshape(len(values), -1)).astype(values.dtype).reshape(values.shape))
    status, out, error = run(capsys, "check", "vocaset_faceformer", str(root))
    assert status == 2 and error.count("\n") == 1 and f"{name}: " in out
    assert "cannot be used: coordinates cannot be true (sequences: 1): " in error and words in error
    assert run(capsys, "check", "vocaset_faceformer", str(root), "--fast")[0] == 0


def test_many_damaged_sequences_are_cut_short(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = miniature_unitalker.build(tmp_path / "data")
    for path in (root / "annot").glob("train*"):
        path.write_bytes(b"")
    status, out, error = run(capsys, "check", "unitalker", str(root))
    assert status == 2 and error.startswith("vultus: error: unitalker at ") and error.count("\n") == 1
    assert "Traceback" not in out + error


@pytest.mark.parametrize("name", sorted(DATASETS))
@pytest.mark.parametrize("kind", ["empty folder", "file", "missing"])
@pytest.mark.parametrize("fast", [False, True])
def test_a_bad_root_ends_in_one_line_and_status_2(
    name: str, kind: str, fast: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    if kind == "empty folder":
        root.mkdir()
    elif kind == "file":
        root.write_bytes(b"nothing of the kind")
    status, out, error = run(capsys, "check", name, str(root), *(["--fast"] if fast else []))
    assert status == 2 and error.count("\n") == 1 and "cannot be used: " in error
    assert "Traceback" not in out and (out.count("missing  ") >= 1 or fast or name == "synthetic")
    status, _, error = run(capsys, "convert", name, str(root), "-o", str(tmp_path / "out"))
    assert status == 2 and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_without_flame_it_cannot_be_used_and_the_way_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VULTUS_FLAME", raising=False)
    root = miniature_mead3d.build(tmp_path / "data", flame=False)
    status, out, error = run(capsys, "check", "mead3d", str(root))
    assert status == 2 and "flame.is.tue.mpg.de" in error and error.count("\n") == 1
    assert any(line.split()[:2] == ["train", "4"] for line in out.splitlines())  # the motion is counted all the same


def test_options_reach_the_reader(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("check", "vocaset_faceformer", str(root), "--option", "protocol=mm23")
    status, out, _ = run(capsys, *words)
    assert status == 0 and any(line.split()[:2] == ["test", "8"] for line in out.splitlines())
    for option, message in (
        ("protocoll=mm23", "unknown option of data set vocaset_faceformer 'protocoll'; did you mean 'protocol'?"),
        ("protocol", "expected KEY=VALUE"),
        ("protocol=mm32", "unknown protocol of vocaset_faceformer 'mm32'; did you mean 'mm23'?"),
    ):
        status, _, error = run(capsys, "check", "vocaset_faceformer", str(root), "--option", option)
        assert status == 2 and message in error and error.count("\n") == 1
    status, _, error = run(capsys, "check", "vocasset", str(root))
    assert status == 2 and "did you mean 'vocaset'" in error


def test_options_get_the_types_of_their_defaults() -> None:
    assert read_options("unitalker", ["published=no", "metres_per_unit=0.01", "resources=/r"]) == {
        "published": False, "metres_per_unit": 0.01, "resources": "/r",
    }  # fmt: skip
    assert read_options("mead3d", ["num_expression=100"]) == {"num_expression": 100}
    for text, message in (
        ("published=maybe", "expected true or false"),
        ("metres_per_unit=small", "expected a number"),
        ("root=/elsewhere", "unknown option"),
    ):
        with pytest.raises(VultusError, match=message):
            read_options("unitalker", [text])
    with pytest.raises(VultusError, match="expected a whole number"):
        read_options("mead3d", ["num_expression=1.5"])
    assert split_options("") == () and split_options("a=1,b=2") == ("a=1", "b=2")


def test_convert_and_what_it_tells(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "shards"
    words = ("convert", "vocaset_faceformer", str(root), "-o", str(out), "--split", "train", "--split", "val")
    status, told, error = run(capsys, *words, "--fps", "30", "--offsets", "float16", "--option", "protocol=voca")
    assert status == 0 and error == "" and told.count("\n") == 1
    assert "8 sequences" in told and " um at most (float16 offsets)" in told and "of full scale (16 bits)" in told
    data = open_dataset("shards", str(out))
    assert data.splits == ("train", "val") and data.split("train")[0].fps == 30.0
    assert len(data.split("train")[0].vertices()) == 6
    status, told, _ = run(capsys, "check", "shards", str(out))
    assert status == 0 and "vocaset_faceformer, float16 offsets: 8 sequences" in told and told.endswith("can be used\n")
    changed = next((out / "motion").rglob("*.npy"))
    content = bytearray(changed.read_bytes())
    content[2000] ^= 255
    changed.write_bytes(bytes(content))
    status, _, error = run(capsys, "check", "shards", str(out))
    assert status == 2 and "is missing or changed" in error and error.count("\n") == 1
    # Where errors have a unit that is no length, none is named.
    area = miniature_biwi.biwi_area(tmp_path / "biwi")
    words = ("convert", "biwi_area", str(area), "-o", str(tmp_path / "b"), "--split", "train")
    assert "of the unit area" in run(capsys, *words)[1]


def test_convert_refuses_a_foreign_folder(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes").write_text("mine")
    status, _, error = run(capsys, "convert", "vocaset_faceformer", str(root), "-o", str(tmp_path / "out"))
    assert status == 2 and "holds other files" in error and error.count("\n") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes"]


def test_a_survey_counts_what_was_written(root: Path) -> None:
    data = open_dataset("vocaset_faceformer", str(root))
    calls: list[tuple[int, int]] = []
    found = {split.name: split for split in survey(data, progress=lambda done, total: calls.append((done, total)))}
    assert calls == [(n, 12) for n in range(1, 13)]
    train = found["train"]
    assert (train.sequences, train.subjects, train.frames) == (7, 2, 108)
    assert train.seconds == pytest.approx(108 / 60) and train.beyond() == [] and train.broken == {}
    assert train.largest is not None and abs(train.largest[0]) < 1e-3
    assert try_reading(data) is None
    for subject, told in ((miniature_vocaset.SPOKEN_BY[0], None), (miniature_vocaset.SPOKEN_BY[2], "split val")):
        path = root / "vertices_npy" / f"{subject}_sentence21.npy"  # one of seven of train, the only one of val
        np.save(path, np.load(path) * np.nan)
        assert try_reading(data) is None if told is None else told in str(try_reading(data))


def test_the_page_of_all_data_sets_names_each() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "datasets" / "README.md"
    rows = [line.split("|") for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert [row[1].strip(" `") for row in rows] == list(DATASETS)
    for link in {part for row in rows for part in row[-2].split("](")[1:]}:
        assert (page.parent / link.split(")")[0]).is_file()
