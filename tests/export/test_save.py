"""The one place that writes files: refusals before work, nothing half-written after any failure."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.export import EXPORTERS, check_target, csv, save
from vultus.motion import Take

OURS = [".glb", ".csv", ".json", ".npz"]


def options_for(suffix: str) -> dict[str, object]:
    return {"pivot": (0.0, 0.02, 0.0)} if suffix == ".glb" else {}


@pytest.mark.parametrize("suffix", OURS)
def test_same_take_same_bytes(make_take: Callable[..., Take], tmp_path: Path, suffix: str) -> None:
    first = save(make_take(), tmp_path / f"a{suffix}", **options_for(suffix)).read_bytes()
    second = make_take().save(tmp_path / f"b{suffix}", **options_for(suffix))
    os.utime(second, (0, 0))
    assert first == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]
    other = save(make_take(seed=1), tmp_path / f"c{suffix}", **options_for(suffix)).read_bytes()
    assert other != first


@pytest.mark.parametrize("suffix", OURS)
def test_progress_reaches_the_end(make_take: Callable[..., Take], tmp_path: Path, suffix: str) -> None:
    seen: list[tuple[int, int]] = []
    save(make_take(), tmp_path / f"a{suffix}", lambda done, total: seen.append((done, total)), **options_for(suffix))
    assert seen[-1] == (31, 31)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("take.gbl", "did you mean '.glb'"),
        ("take.fbx", ".glb .csv .json .npz .mp4 .png"),
        ("take", "no suffix"),
        ("missing/take.glb", "make it first"),
        ("file.txt/take.glb", "is not a folder"),
        ("folder.glb", "is a folder"),
        ("fifo.csv", "not an ordinary file"),
        ("x" * 300 + ".csv", "cannot be written"),
    ],
)
def test_impossible_targets_are_refused_before_the_work(
    make_take: Callable[..., Take], tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "file.txt").write_text("kept")
    (tmp_path / "folder.glb").mkdir()
    os.mkfifo(tmp_path / "fifo.csv")
    before = sorted(tmp_path.iterdir())
    for attempt in (lambda: check_target(tmp_path / name), lambda: save(make_take(), tmp_path / name)):
        with pytest.raises(VultusError, match=words.replace(".", r"\.")) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_every_exporter_suffix_passes_the_check(tmp_path: Path) -> None:
    for suffix in EXPORTERS:
        assert check_target(tmp_path / f"take{suffix.upper()}") == tmp_path / f"take{suffix.upper()}"


def test_unknown_option_is_refused(make_take: Callable[..., Take], tmp_path: Path) -> None:
    with pytest.raises(VultusError, match=r"\.npz takes no option 'vertex'; did you mean 'vertices'"):
        save(make_take(), tmp_path / "take.npz", vertex=False)
    with pytest.raises(VultusError, match=r"\.csv takes no option 'size'; it takes: none"):
        save(make_take(), tmp_path / "take.csv", size=256)
    assert not list(tmp_path.iterdir())


def test_values_that_are_no_numbers_are_refused(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take()
    take.motion.values[3, 4] = np.nan
    with pytest.raises(VultusError, match="not finite"):
        save(take, tmp_path / "take.csv")
    take = make_take()
    take.head_rotation[0, 0] = np.inf
    with pytest.raises(VultusError, match="not finite"):
        save(take, tmp_path / "take.glb")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", OURS)
def test_full_disk_leaves_the_old_file(
    make_take: Callable[..., Take], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """The exporter's own writes go to /dev/full, which fails as a full disk does: while the buffer is flushed."""
    import importlib

    target = tmp_path / f"take{suffix}"
    target.write_text("the old file")
    module = importlib.import_module(EXPORTERS[suffix])
    real = module.write

    def write_to_full_disk(take: Take, path: Path, *, progress: object = None, **options: object) -> None:
        path.unlink()
        path.symlink_to("/dev/full")
        real(take, path, progress=progress, **options)

    monkeypatch.setattr(module, "write", write_to_full_disk)
    monkeypatch.setattr("vultus.export._check_options", lambda *_: None)
    with pytest.raises(VultusError, match="no space left"):
        save(make_take(), target, **options_for(suffix))
    assert target.read_text() == "the old file"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("fault"), OSError(errno.EIO, "Input/output error")]
)
def test_any_exception_leaves_nothing(
    make_take: Callable[..., Take], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def half(take: Take, path: Path, *, progress: object = None) -> None:
        path.write_text("half")
        raise error

    monkeypatch.setattr(csv, "write", half)
    expected = VultusError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        save(make_take(), tmp_path / "take.csv")
    assert not list(tmp_path.iterdir())


def test_errors_about_other_files_are_not_blamed_on_the_output(
    make_take: Callable[..., Take], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_sound(take: Take, path: Path, *, progress: object = None) -> None:
        open(tmp_path / "gone.wav").close()

    monkeypatch.setattr(csv, "write", lose_the_sound)
    with pytest.raises(FileNotFoundError, match=r"gone\.wav"):
        save(make_take(), tmp_path / "take.csv")
    assert not list(tmp_path.iterdir())


def test_the_file_appears_whole_with_ordinary_rights(make_take: Callable[..., Take], tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "take.csv"
    link.symlink_to(tmp_path / "real" / "take.csv")
    save(make_take(), link)
    assert link.is_symlink()
    mode = stat.S_IMODE((tmp_path / "real" / "take.csv").stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    assert mode == 0o666 & ~mask
