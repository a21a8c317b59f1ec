"""Vertices and weights as .npz, read back by numpy alone; and the reader against damaged and hostile files."""

from __future__ import annotations

import io
import json
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.export import save
from vultus.export.npz import read_npz
from vultus.motion import ARKIT_NAMES, EXTRA_NAMES, Take

KEYS = {
    "fps", "vertices", "template", "faces", "weights", "weight_names", "extra_weights", "extra_weight_names",
    "head_rotation", "region_lips", "region_upper_lip", "region_lower_lip", "region_upper_face", "region_lower_face",
    "info",
}  # fmt: skip


@pytest.mark.parametrize("frames", [1, 31, 600])
def test_numpy_opens_it(make_take: Callable[..., Take], tmp_path: Path, frames: int) -> None:
    take = make_take(frames=frames)
    with np.load(save(take, tmp_path / "take.npz")) as data:
        assert set(data) == KEYS
        assert (float(data["fps"]), data["vertices"].dtype, data["faces"].dtype) == (30, np.float32, np.int32)
        assert data["vertices"].shape == (frames, *take.template.vertices.shape)
        assert tuple(data["weight_names"]) == ARKIT_NAMES
        assert tuple(data["extra_weight_names"]) == EXTRA_NAMES
        for number in (0, frames - 1):
            expected = take.vertices(number, number + 1)[0]  # BLAS rounds by the size of the block
            np.testing.assert_allclose(data["vertices"][number], expected, rtol=0, atol=1e-7)
        np.testing.assert_array_equal(data["weights"], take.weights)
        np.testing.assert_array_equal(data["extra_weights"], take.extra_weights)
        np.testing.assert_array_equal(data["template"], take.template.vertices)
        np.testing.assert_array_equal(data["head_rotation"], take.head_rotation)
        np.testing.assert_array_equal(data["region_lips"], take.template.topology.regions["lips"])
        assert json.loads(str(data["info"])) == take.info
    assert zipfile.ZipFile(tmp_path / "take.npz").testzip() is None


def test_our_reader(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take()
    data = read_npz(save(take, tmp_path / "take.npz"))
    assert isinstance(data.vertices, np.memmap)  # an hour opens at once
    np.testing.assert_array_equal(data.vertices, take.vertices())
    np.testing.assert_array_equal(data.weights, take.weights)
    assert data.topology_digest == take.template.topology.digest
    assert data.regions.keys() == take.template.topology.regions.keys()
    assert (data.fps, data.info, len(data)) == (30, take.info, 31)


def test_saved_again_by_numpy(make_take: Callable[..., Take], tmp_path: Path) -> None:
    take = make_take()
    with np.load(save(take, tmp_path / "take.npz")) as data:
        np.savez_compressed(tmp_path / "again.npz", **data)
    data = read_npz(tmp_path / "again.npz")
    np.testing.assert_array_equal(data.vertices, take.vertices())


def test_options_and_other_rigs(make_take: Callable[..., Take], tmp_path: Path) -> None:
    light = read_npz(save(make_take(), tmp_path / "light.npz", vertices=False))
    assert light.vertices is None
    assert light.weights is not None
    mesh = read_npz(save(make_take(blendshapes=False), tmp_path / "mesh.npz"))
    assert mesh.weights is None
    np.testing.assert_array_equal(mesh.vertices, make_take(blendshapes=False).vertices())
    with pytest.raises(VultusError, match="leaves nothing"):
        save(make_take(blendshapes=False), tmp_path / "none.npz", vertices=False)
    bare = read_npz(save(make_take(extras=False), tmp_path / "bare.npz"))
    assert bare.extra_weight_names == ()


def test_long_takes_are_streamed(make_take: Callable[..., Take], tmp_path: Path) -> None:
    """4000 frames of 528 vertices are 25 MB of vertices; writing them must not hold them."""
    take = make_take(frames=4000)
    tracemalloc.start()
    save(take, tmp_path / "take.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "take.npz").stat().st_size > 25e6
    assert peak < 10e6


def changed(source: Path, target: Path, **arrays: np.ndarray | bytes | None) -> Path:
    """A copy of an .npz with entries replaced (bytes go in as they are, None leaves the entry out)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            value = arrays.pop(name.removesuffix(".npy"), old.read(name))
            if isinstance(value, np.ndarray):
                buffer = io.BytesIO()
                np.save(buffer, value, allow_pickle=True)
                value = buffer.getvalue()
            if value is not None:
                new.writestr(name, value)
    assert not arrays
    return target


class Bomb:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (pytest.fail, ("a pickle was run",))


def huge_header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"weights": np.array([Bomb()], object)}, "not read"),
        ({"weights": pickle.dumps(Bomb())}, "cannot be read"),
        ({"weights": b"\x93NUMPY\x01\x00\x20\x00" + b"('f4', " * 4}, "cannot be read"),
        ({"weights": np.zeros((31, 51), np.float32)}, "shape"),
        ({"weights": np.zeros((30, 52), np.float32)}, "shape"),
        ({"weights": np.full((31, 52), np.nan, np.float32)}, "not a finite"),
        ({"weights": np.full((31, 52), 3, np.float32)}, "expected 0 to 1"),
        ({"weights": huge_header((31, 52))}, "full length"),
        ({"vertices": huge_header((31, 528, 3)) + b"\0" * 8}, "full length"),
        ({"vertices": np.full((31, 528, 3), np.inf, np.float32)}, "not a finite"),
        ({"template": huge_header((10**12, 3))}, "full length"),
        ({"template": huge_header((-1, 3))}, "shape"),
        ({"weight_names": np.array(sorted(ARKIT_NAMES))}, "Live Link Face's order"),
        ({"faces": np.full((5, 3), 528, np.int32)}, "beyond the 528"),
        ({"faces": np.full((5, 3), 0.5, np.float32)}, "not read"),
        ({"region_lips": np.array([-1], np.int32)}, "beyond"),
        ({"fps": np.array(0.0)}, "fps is 0"),
        ({"fps": np.array(np.nan)}, "not a finite"),
        ({"fps": None}, "no array 'fps'"),
        ({"head_rotation": None}, "no array 'head_rotation'"),
        ({"vertices": None, "weights": None}, "neither"),
        ({"info": np.array("{")}, "cannot be read"),
    ],
)
def test_hostile_entries(
    make_take: Callable[..., Take], tmp_path: Path, entries: dict[str, np.ndarray | bytes | None], words: str
) -> None:
    source = save(make_take(), tmp_path / "take.npz")
    with pytest.raises(VultusError, match=words):
        read_npz(changed(source, tmp_path / "bad.npz", **entries))


def test_zip_bomb(make_take: Callable[..., Take], tmp_path: Path) -> None:
    """3 GB of zeros in 3 MB would be unpacked only after its size is known: and it is too much."""
    source = save(make_take(), tmp_path / "take.npz")
    frames = 600_000
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as new:
        for name in ("fps", "template", "faces"):
            new.writestr(f"{name}.npy", old.read(f"{name}.npy"))
        buffer = io.BytesIO()
        np.save(buffer, np.zeros((frames, 3), np.float32))
        new.writestr("head_rotation.npy", buffer.getvalue())
        # A forged directory: it claims the size that the header promises.
        new.writestr("vertices.npy", huge_header((frames, 528, 3)))
        new.getinfo("vertices.npy").file_size = len(huge_header((frames, 528, 3))) + frames * 528 * 12
    with pytest.raises(VultusError, match="over 2 GB"):
        read_npz(tmp_path / "bomb.npz")


@pytest.mark.parametrize("keep", [0, 10, 1000, -30])
def test_cut_files(make_take: Callable[..., Take], tmp_path: Path, keep: int) -> None:
    data = save(make_take(), tmp_path / "take.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[:keep])
    with pytest.raises(VultusError):
        read_npz(tmp_path / "cut.npz")


def test_flipped_bytes_never_crash(make_take: Callable[..., Take], tmp_path: Path) -> None:
    """Whatever one damaged byte does, the answer is our error or arrays of the right shapes."""
    data = save(make_take(frames=2), tmp_path / "take.npz", vertices=False).read_bytes()
    rng = np.random.default_rng(3)
    for place in rng.choice(len(data), 150, replace=False):
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "broken.npz").write_bytes(broken)
        try:
            assert read_npz(tmp_path / "broken.npz").head_rotation.shape == (2, 3)
        except VultusError as error:
            assert "\n" not in str(error)
