"""Reading .vl files in folders and archives: strangers' archives can do no harm."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import miniature_biwi as mini
import pytest

from vultus.datasets import biwi_vl
from vultus.errors import VultusError


def test_archives_can_do_no_harm(tmp_path: Path) -> None:
    """Members that leave the folder, links and giant headers: read in memory, passed over, refused."""
    frames = [mini.vl(frame) for frame in mini.raw_motion("F2")[:2]]
    path = tmp_path / "in" / "e01.tgz"
    mini.write_archive(path, {"../../escaped/frame_001.vl": frames[0], "/tmp/absolute/frame_002.vl": frames[1]})
    assert biwi_vl.read_frames(path).shape == (2, 23370, 3)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["e01.tgz", "in"]
    link = tarfile.TarInfo("frame_003.vl")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(link)
    with pytest.raises(VultusError, match="holds no frame_NNN"):
        biwi_vl.read_frames(path)
    giant = tarfile.TarInfo("name")
    giant.type, giant.size = tarfile.GNUTYPE_LONGNAME, 1 << 32
    path.write_bytes(gzip.compress(giant.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    with pytest.raises(VultusError, match="a header is too large"):
        biwi_vl.read_frames(path)


def test_frames_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(biwi_vl, "MAX_FRAMES", 2)
    frames = {f"frame_{i:03d}.vl": mini.vl(frame) for i, frame in enumerate(mini.raw_motion("F2")[:3])}
    mini.write_archive(tmp_path / "e01.tar", frames)
    with pytest.raises(VultusError, match="holds more than 2 frames"):
        biwi_vl.count_frames(tmp_path / "e01.tar")


def test_gnu_sparse_members_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "e01.tar"
    info = tarfile.TarInfo("frame_001.vl")
    info.size, info.type = biwi_vl.BODY + 4, tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % info.size  # the size that the sparse file claims
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + bytes(281_088) + bytes(1024))
    with pytest.raises(VultusError, match="holds no frame_NNN"):
        biwi_vl.read_frames(path)
