"""Writing shards: what may stop a conversion, and what it must leave behind."""

from __future__ import annotations

import dataclasses
import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import miniature_vocaset
import numpy as np
import pytest

from vultus.datasets import convert as convert_module
from vultus.datasets import open_dataset
from vultus.datasets.convert import convert
from vultus.datasets.shards import Shards
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.speech import Speech
from vultus.topology import Template, Topology


@pytest.fixture(scope="module")
def vocaset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_dataset("vocaset", str(miniature_vocaset.vocaset(tmp_path_factory.mktemp("vocaset") / "data")))


def by_key(data: Any) -> dict[tuple[str, str], Any]:
    return {(split, s.name): s for split in data.splits for s in data.split(split)}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class OneSequence:
    """A data set of one sequence on any topology."""

    name, splits = "one", ("train",)

    def __init__(self, **changes: Any) -> None:
        head = load_head()
        vertices = np.repeat(head.template.vertices[None], 3, axis=0)
        self.sequence = Plain(head.template, vertices, **changes)

    def split(self, name: str) -> list[Any]:
        return [self.sequence]


@dataclasses.dataclass
class Plain:
    template: Template
    values: np.ndarray
    name: str = "a/b: c"
    subject: str = "../éve"
    sentence: str = "1"
    split: str = "train"
    source: str = "one"
    fps: float = 25.0
    unit: str = "m"
    is_speech: bool = False
    labels: dict[str, str] = dataclasses.field(default_factory=lambda: {"emotion": "sad"})
    samples: np.ndarray = dataclasses.field(default_factory=lambda: np.linspace(-1.2, 1.2, 2000, dtype=np.float32))

    def speech(self) -> Speech:
        return Speech(self.samples, self.name)

    def vertices(self, *, fps: float | None = None) -> np.ndarray:
        return self.values


def test_names_that_are_no_file_names_regions_and_loud_sound(tmp_path: Path) -> None:
    data: Any = OneSequence()
    told = convert(data, tmp_path / "out")
    sequence = open_dataset("shards", str(tmp_path / "out")).split("train")[0]
    assert (sequence.name, sequence.subject) == ("a/b: c", "../éve")
    assert sequence.labels == {"emotion": "sad"} and not sequence.is_speech
    assert {p.parent.name for p in tmp_path.iterdir()} == {tmp_path.name}  # nothing beside the folder
    one, other = data.sequence.template.topology, sequence.template.topology
    assert other.regions.keys() == one.regions.keys() and other.parts.keys() == one.parts.keys()
    assert all(np.array_equal(one.regions[key], other.regions[key]) for key in one.regions)
    assert np.array_equal(one.colours, other.colours) and one.name == other.name
    samples = sequence.speech().samples
    assert samples.max() == np.float32(32767 / 32768) and samples.min() == -1.0
    assert told["sound_error"] == pytest.approx(1.2 - 32767 / 32768, abs=1e-6)  # what is cut off is told


def test_a_stopped_conversion_goes_on_and_ends_the_same(
    vocaset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(vocaset, tmp_path / "whole")
    out, calls = tmp_path / "out", []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(vocaset, out, progress=stop)
    with pytest.raises(VultusError, match="has not finished; run the same `vultus data convert` again"):
        Shards(out)
    assert len(Shards(out, allow_partial=True).records) == 5
    kept = {p: p.stat().st_mtime_ns for p in out.rglob("*.npy")}
    # What a killed process leaves: a part of a file, a part of a line, a file that is too short.
    (out / "motion" / ".x.npy.123.part").write_bytes(b"half")
    with (out / "index.jsonl").open("ab") as file:
        file.write(b'{"name": "half a li')
    short = next((out / "sound").rglob("*.flac"))
    short.write_bytes(short.read_bytes()[:50])
    made: list[str] = []
    original = convert_module._write_sequence

    def write(folder: Path, sequence: Any, *rest: Any) -> dict[str, Any]:
        made.append(sequence.name)
        return original(folder, sequence, *rest)

    monkeypatch.setattr(convert_module, "_write_sequence", write)
    convert(vocaset, out)
    assert len(made) == 12 - 5 + 1
    assert tree(out) == tree(tmp_path / "whole")
    assert sum(p.stat().st_mtime_ns == when for p, when in kept.items()) >= 4
    made.clear()
    convert(vocaset, out)
    assert made == [] and tree(out) == tree(tmp_path / "whole")


KILLED = """
import os, signal, sys
from vultus.datasets import open_dataset
from vultus.datasets.convert import convert
def after(done, total):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)
convert(open_dataset("vocaset", sys.argv[1]), sys.argv[2], progress=after)
"""


def test_a_killed_process_loses_nothing(vocaset: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(vocaset.root), str(tmp_path / "out")]
    assert subprocess.run(command, timeout=120, check=False).returncode == -signal.SIGKILL
    convert(vocaset, tmp_path / "out")
    convert(vocaset, tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_splits_one_after_the_other(vocaset: Any, tmp_path: Path) -> None:
    convert(vocaset, tmp_path / "out", splits=["test"])
    assert Shards(tmp_path / "out").splits == ("test",)
    told = convert(vocaset, tmp_path / "out", splits=["train", "val"])
    found = Shards(tmp_path / "out")
    assert set(found.splits) == {"train", "val", "test"} and told["sequences"] == 12
    assert by_key(found).keys() == by_key(vocaset).keys()


def test_a_full_disk_leaves_nothing_half_written(vocaset: Any, tmp_path: Path) -> None:
    """The system refuses every file over 0.5 MB: the motion of 12 frames has 0.7 MB."""
    out = tmp_path / "out"
    convert(vocaset, out, splits=["val"])
    before = tree(out)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limit[1]))
    try:
        with pytest.raises(VultusError, match="the disk is full; free some space and run the same command again"):
            convert(vocaset, out, splits=["train"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    after = tree(out)
    assert {k: v for k, v in after.items() if k != "shards.json"} == {
        k: v for k, v in before.items() if k != "shards.json"
    }
    convert(vocaset, out, splits=["train"])
    assert len(Shards(out).split("train")) == 7


def test_a_disk_that_fills_up_at_the_index_leaves_whole_lines(
    vocaset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real, calls = tmp_path / "out", os.fsync, []

    def full(number: int) -> None:
        calls.append(number)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VultusError, match="the disk is full"):
        convert(vocaset, out)
    assert len((out / "index.jsonl").read_text().splitlines()) == 2
    assert (out / "index.jsonl").read_bytes().endswith(b"\n")
    convert(vocaset, out)
    assert len(Shards(out).records) == 12


def test_foreign_folders_are_refused_and_left_alone(vocaset: Any, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(VultusError, match="holds other files; expected a new or empty folder"):
        convert(vocaset, foreign)
    assert tree(foreign) == {"thesis.tex": b"years of work"}
    with pytest.raises(VultusError, match="is a file; expected a folder"):
        convert(vocaset, foreign / "thesis.tex")
    out = tmp_path / "out"
    convert(vocaset, out, splits=["val"])
    before = tree(out)
    for change, message in (
        ({"fps": 30.0}, "was converted with fps = None, now 30.0"),
        ({"offsets": "float16"}, "was converted with offsets = 'float32', now 'float16'"),
        ({"options": {"protocol": "mm23"}}, "was converted with options"),
    ):
        with pytest.raises(VultusError, match=message):
            convert(vocaset, out, **change)  # type: ignore[arg-type]
    with pytest.raises(VultusError, match="did you mean 'train'"):
        convert(vocaset, tmp_path / "none", splits=["trian"])
    with pytest.raises(VultusError, match="unknown type of offsets 'float8'"):
        convert(vocaset, tmp_path / "none", offsets="float8")
    with pytest.raises(VultusError, match="fps is 0"):
        convert(vocaset, tmp_path / "none", fps=0)
    assert tree(out) == before and not (tmp_path / "none").exists()


def test_a_broken_sequence_stops_it_in_one_line_and_what_was_done_stays(tmp_path: Path) -> None:
    root = miniature_vocaset.vocaset_faceformer(tmp_path / "data")
    path = root / "vertices_npy" / f"{miniature_vocaset.SPOKEN_BY[0]}_sentence21.npy"
    good = path.read_bytes()
    values = np.load(path)
    values[3, 5] = np.nan
    np.save(path, values)
    data = open_dataset("vocaset_faceformer", str(root))
    with pytest.raises(VultusError, match=r"sentence21 holds NaN.*/out keeps 2 sequences, run it again and it goes on"):
        convert(data, tmp_path / "out")
    assert len(Shards(tmp_path / "out", allow_partial=True).records) == 2
    path.write_bytes(good)
    convert(data, tmp_path / "out")
    assert len(Shards(tmp_path / "out").records) == 12


def test_a_broken_first_sequence_leaves_nothing(tmp_path: Path) -> None:
    class Broken(Plain):
        def vertices(self, *, fps: float | None = None) -> np.ndarray:
            raise VultusError("one: holds NaN")

    data: Any = OneSequence()
    data.sequence = Broken(data.sequence.template, data.sequence.values)
    with pytest.raises(VultusError, match=r"one: holds NaN$"):
        convert(data, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_two_sequences_of_one_name_are_refused(tmp_path: Path) -> None:
    data: Any = OneSequence()
    twin = dataclasses.replace(data.sequence, subject="other")
    data.split = lambda name: [data.sequence, twin]
    with pytest.raises(VultusError, match="two sequences of train are called a/b: c"):
        convert(data, tmp_path / "out")


def test_memory_is_that_of_a_sequence_and_not_of_the_data_set(tmp_path: Path) -> None:
    """40 sequences of 6 MB each; what is kept at once stays under five of them."""
    import tracemalloc

    template = Template(Topology(np.zeros((0, 3), np.int32), 5000), np.zeros((5000, 3), np.float32))

    class Many:
        name, splits = "many", ("train",)

        def split(self, name: str) -> list[Any]:
            return [Made(template, np.zeros(0), name=f"n{i}", subject="s") for i in range(40)]

    class Made(Plain):
        def vertices(self, *, fps: float | None = None) -> np.ndarray:
            return np.full((100, 5000, 3), 0.01, np.float32)

    data: Any = Many()
    tracemalloc.start()
    convert(data, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 6_000_000, peak
