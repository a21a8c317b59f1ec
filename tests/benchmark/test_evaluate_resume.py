"""What an evaluation goes on from, what it refuses to, and what it says where it cannot write."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_faces as toy

from vultus.benchmark import rows
from vultus.benchmark.data_digest import data_digest, data_place
from vultus.benchmark.evaluate import evaluate
from vultus.benchmark.examples import Bench
from vultus.cli import main
from vultus.errors import VultusError


@pytest.fixture(autouse=True)
def toy_data(monkeypatch: pytest.MonkeyPatch) -> None:
    toy.use(monkeypatch)


@pytest.fixture
def regions(tmp_path: Path) -> Path:
    return toy.write_regions(tmp_path / "regions")


def run(tmp_path: Path, out: str = "out", **more: Any) -> dict[str, Any]:
    data = more.pop("data", tmp_path)
    more.setdefault("baseline", "still")
    return evaluate(
        more.pop("protocol", toy.toy_protocol()), data, tmp_path / out, regions=tmp_path / "regions", **more
    )


def test_rows_of_other_data_are_not_reused(tmp_path: Path, regions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path)
    assert first["data"]["digest"] == run(tmp_path)["data"]["digest"]
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(VultusError, match=r"holds another evaluation \(other place of the data"):
        run(tmp_path, data=tmp_path / "elsewhere")
    moved = run(tmp_path, "moved", data=tmp_path / "elsewhere")
    assert moved["data"]["digest"] == first["data"]["digest"]  # the same recordings in another folder
    motion = toy.motion
    monkeypatch.setattr(toy, "motion", lambda *names: toy.template(names[0]).vertices * 0 + motion(*names) * 1.01)
    with pytest.raises(VultusError, match=r"holds another evaluation \(other data"):
        run(tmp_path)
    assert run(tmp_path, "other")["data"]["digest"] != first["data"]["digest"]


def test_files_and_order_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = toy.ToyFaces("").split("test")
    table = tmp_path / "flame.txt"
    table.write_text("one")
    digest, place = data_digest(split, 25.0, {"flame": table}), data_place(str(tmp_path), split, {"flame": table})
    table.write_text("two!")
    assert data_digest(split, 25.0, {"flame": table}) != digest
    assert data_place(str(tmp_path), split, {"flame": table})["files"] != place["files"]
    np.save(tmp_path / "data_verts.npy", np.zeros(3))
    with_array = data_place(str(tmp_path), split, {})
    np.save(tmp_path / "data_verts.npy", np.zeros(4))
    assert data_place(str(tmp_path), split, {}) != with_array
    motion = toy.motion
    plain = data_digest(split, 25.0, {})
    monkeypatch.setattr(toy, "motion", lambda *names: motion(*names)[::-1])
    assert data_digest(split, 25.0, {}) != plain  # the same coordinates, backwards
    monkeypatch.setattr(toy, "motion", lambda *names: motion(*names) + np.float32(1e-9))
    assert data_digest(split, 25.0, {}) == plain  # the last bits are another machine's


@pytest.mark.parametrize("content", ["[]", "3", "{", "null"])
def test_a_damaged_run_file_is_named(tmp_path: Path, regions: Path, content: str) -> None:
    run(tmp_path)
    path = tmp_path / "out" / "rows" / "run.json"
    path.write_text(content)
    with pytest.raises(VultusError, match=r"run.json: damaged .*; delete .*rows and evaluate again"):
        run(tmp_path)


def _meta(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, np.ndarray]], None]:
    def damage(arrays: dict[str, np.ndarray]) -> None:
        arrays["meta"] = np.array(json.dumps(change(json.loads(str(arrays["meta"])))))

    return damage


def _drop(arrays: dict[str, np.ndarray]) -> None:
    del arrays["row:lip_mean"]


def _reshape(arrays: dict[str, np.ndarray]) -> None:
    arrays["row:lip_mean"] = arrays["row:lip_mean"][None]


@pytest.mark.parametrize(
    "damage",
    [_meta(lambda meta: {**meta, "extra": 1}), _meta(lambda meta: [meta]), _meta(lambda meta: {**meta, "notes": 3}),
     _meta(lambda meta: {**meta, "frames": "7"}), _drop, _reshape],
)  # fmt: skip
def test_a_damaged_row_is_measured_again(
    tmp_path: Path, regions: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[dict[str, np.ndarray]], None]
) -> None:
    whole = run(tmp_path)
    path = min((tmp_path / "out" / "rows").glob("*.npz"))
    with np.load(path) as archive:
        arrays = dict(archive)
    damage(arrays)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    measure, calls = Bench.measure, []

    def counting(self: Bench, sequence: Any, *rest: Any) -> Any:
        calls.append(sequence.name)
        return measure(self, sequence, *rest)

    monkeypatch.setattr(Bench, "measure", counting)
    assert run(tmp_path) == whole and len(calls) == 1


def _full_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if len(written) == count:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(rows, "write_atomically", write)


@pytest.mark.parametrize("count", [0, 1])
def test_a_full_disk_at_the_start_leaves_nothing(
    tmp_path: Path, regions: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    _full_after(count, monkeypatch)
    with pytest.raises(VultusError, match=r"cannot be written to .*out \(No space left on device\); free space"):
        run(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_later_keeps_what_was_measured(
    tmp_path: Path, regions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _full_after(3, patch)
        with pytest.raises(VultusError, match="No space left on device"):
            run(tmp_path)
    assert len(list((tmp_path / "out" / "rows").glob("*.npz"))) == 2
    assert run(tmp_path) == run(tmp_path, "whole")


def test_an_interrupt_before_the_first_row_leaves_nothing(
    tmp_path: Path, regions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bench, "measure", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path, regions: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VultusError, match=r"the folder cannot be made, .*file is a file"):
        run(tmp_path, "file/below")


def test_baselines_take_no_oracle(tmp_path: Path, regions: Path) -> None:
    with pytest.raises(VultusError, match="--oracle chooses the style of a --model; baseline 'still'"):
        run(tmp_path, oracle="self")
    assert not (tmp_path / "out").exists()


def test_absent_subjects_and_fewer_sequences_are_told(tmp_path: Path, regions: Path) -> None:
    protocol = toy.toy_protocol(sequences_at_most=8, subjects=["cleo", "dan", "eve"])
    with pytest.raises(VultusError, match=r"no sequence of eve, of the 3 subjects .* --allow-missing"):
        run(tmp_path, protocol=protocol)
    results = run(tmp_path, protocol=protocol, allow_missing=True)
    assert results["flags"] == [
        "the data hold 6 of at most 8 sequences", "no sequence of eve, which the protocol scores"
    ]  # fmt: skip
    text = (tmp_path / "out" / "table.md").read_text()
    assert results["sequences_at_most"] == 8 and "6 of at most 8 sequences, " in text and "eve" in text
    one = run(tmp_path, "one", limit=1)
    assert "1 sequence, " in (tmp_path / "one" / "table.md").read_text() and one["sequences_at_most"] is None


def test_a_protocol_measures_something(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="expected a metric"):
        toy.toy_protocol(published=[], metrics=[])
    with pytest.raises(VultusError, match=r"subjects is .3.; expected a list of names"):
        toy.toy_protocol(subjects=[3])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--option", "foo=1"], "unknown option of data set toy 'foo'; Known: damaged, empty"),
        (["--option", "empty=perhaps"], "option empty of data set toy is 'perhaps'; expected true or false"),
        (["--data", "toi:corpus"], "'toi'; did you mean 'toy'?"),
    ],
)
def test_requests_are_told_in_their_words(
    tmp_path: Path, regions: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    command = ["evaluate", "--protocol", str(toy.write_toml(tmp_path)), "--baseline", "still", "--data", str(tmp_path)]
    assert main([*command, "--regions", str(regions), "--out", str(tmp_path / "out"), *more]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1 and not (tmp_path / "out").exists()


def test_help_has_plain_percents(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    told = capsys.readouterr().out
    assert "95 % intervals" in " ".join(told.split()) and "%%" not in told
