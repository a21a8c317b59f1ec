"""The English voice prompts of Asterisk (one real speaker, 25 min) with aligned phones: measured on, never trained on.

Source: Debian packages asterisk-core-sounds-en-g722 and asterisk-core-sounds-en 1.6.1, recorded by Allison Smith,
Creative Commons Attribution-ShareAlike 3.0. Nothing of them is shipped: they are fetched by `apt-get download`, or read
from a folder that holds the two .deb files, decoded (G.722, 16 kHz) and aligned with their transcripts into a folder of
the user's:

    NAME.wav      16 kHz mono, 16 bit
    NAME.json     name, text, seconds, phones [[symbol, start, end], ...]
    index.json    version, source, licence, names, and why each other prompt was left out
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.files import write_atomically
from vultus.speech import Speech
from vultus.synthesis.align import Aligner
from vultus.synthesis.phones import LabelledLine, Phone

PACKAGES = ("asterisk-core-sounds-en-g722", "asterisk-core-sounds-en")
VERSION = "1.6.1"
LICENCE = "CC-BY-SA-3.0, voice: Allison Smith (Asterisk core sounds, Digium)"
MIN_SECONDS = 0.4
"""Shorter prompts (single letters and digits) have no clip-wide percentile worth the name."""

#: Words of the prompts that the dictionary lacks; misspelt ones of the transcript as they are said.
PRONUNCIATIONS = {
    "unmute": "AH N M Y UW T", "unmuted": "AH N M Y UW T IH D", "umute": "AH N M Y UW T", "pbx": "P IY B IY EH K S",
    "digium": "D IH JH IY AH M", "iax": "IY K S", "undelete": "AH N D IH L IY T", "undeleted": "AH N D IH L IY T IH D",
    "rerecord": "R IY R IH K AO R D", "decending": "D IH S EH N D IH NG", "ivr": "AY V IY AA R",
    "www": "D AH B AH L Y UW D AH B AH L Y UW D AH B AH L Y UW", "fourtieth": "F AO R T IY AH TH",
    "touchtone": "T AH CH T OW N", "semicolon": "S EH M IY K OW L AH N", "caret": "K EH R AH T",
    "backtick": "B AE K T IH K", "exclaimation": "EH K S K L AH M EY SH AH N", "lowercase": "L OW ER K EY S",
    "uppercase": "AH P ER K EY S", "xray": "EH K S R EY", "forevermore": "F ER EH V ER M AO R",
    "represenatives": "R EH P R IH Z EH N T AH T IH V Z", "indentified": "AY D EH N T AH F AY D",
    "witheld": "W IH TH HH EH L D", "prepend": "P R IY P EH N D", "prepending": "P R IY P EH N D IH NG",
}  # fmt: skip


def prepare(
    folder: str | Path, packages: str | Path | None = None, progress: Callable[[int, int], None] | None = None
) -> list[LabelledLine]:
    """Makes the aligned prompts, or returns them where they are already made.

    Args:
        folder: where to keep them; made if missing.
        packages: folder with the two .deb files; None downloads them into `folder`/packages.
        progress: called with (done, all) after each prompt.

    Returns:
        The prompts in order of their names.

    Raises:
        VultusError: no packages and no apt-get, or PocketSphinx is missing.
    """
    folder = Path(folder)
    if (folder / "index.json").exists():
        return read(folder)
    sounds, sheet = find_packages(Path(packages) if packages is not None else folder / "packages", packages is None)
    transcripts = read_transcripts(sheet)
    aligner = Aligner()
    for word, spoken in PRONUNCIATIONS.items():
        aligner.add_word(word, spoken)
    prompts = {
        re.sub(r".*/sounds/[^/]+/", "", name).removesuffix(".g722"): data for name, data in members(sounds, ".g722")
    }
    kept: list[str] = []
    left_out: dict[str, str] = {}
    for done, name in enumerate(sorted(prompts), 1):
        flat = name.replace("/", "_")
        try:
            if name not in transcripts:
                raise VultusError("no transcript")
            text = transcripts[name]
            speech = Speech(decode_g722(prompts[name]), flat)
            if speech.duration < MIN_SECONDS:
                raise VultusError(f"shorter than {MIN_SECONDS:g} s")
            phones = aligner.align(speech, text)
        except VultusError as error:
            left_out[flat] = str(error)
        else:
            rows = [[p.symbol, round(p.start, 4), round(p.end, 4)] for p in phones]
            entry = {"name": flat, "text": text, "seconds": speech.duration, "phones": rows}
            write_atomically(folder / f"{flat}.wav", _wav(speech.samples))
            write_atomically(folder / f"{flat}.json", _json(entry))
            kept.append(flat)
        if progress is not None:
            progress(done, len(prompts))
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (sounds, sheet)}
    index = {"version": VERSION, "licence": LICENCE, "sha256": digests, "names": kept, "left_out": left_out}
    write_atomically(folder / "index.json", _json(index))  # last: a folder without it is made again
    return read(folder)


def read(folder: str | Path) -> list[LabelledLine]:
    """The aligned prompts of a folder that `prepare` made.

    Raises:
        VultusError: it is not such a folder.
    """
    folder = Path(folder)
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        lines = []
        for name in index["names"]:
            entry = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            phones = tuple(Phone(str(s), float(a), float(b)) for s, a, b in entry["phones"])
            audio = folder / f"{name}.wav"
            lines.append(LabelledLine(phones, audio, "allison", "en-us", entry["text"], float(entry["seconds"])))
        return lines
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VultusError(
            f"'{folder}' holds no aligned Asterisk prompts ({type(error).__name__}: {error}); expected index.json and"
            " the files that it names; empty the folder and prepare it again"
        ) from None


def find_packages(folder: Path, download: bool) -> tuple[Path, Path]:
    """The .deb of the sounds and the .deb of the transcripts in a folder; downloads them where allowed.

    Raises:
        VultusError: they are not there and cannot be fetched.
    """
    wanted = [f"{name}_{VERSION}*.deb" for name in PACKAGES]
    found = [sorted(folder.glob(pattern)) for pattern in wanted]
    if not all(found) and download:
        if shutil.which("apt-get") is None:
            raise VultusError(
                f"no apt-get here; get the .deb files of {PACKAGES[0]} and {PACKAGES[1]} {VERSION} from Debian and name"
                " their folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, capture_output=True, text=True)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise VultusError(
                f"apt-get download failed ({reason}); run apt-get update, or name a folder with the .deb files"
            )
        found = [sorted(folder.glob(pattern)) for pattern in wanted]
    if not all(found):
        raise VultusError(f"'{folder}' lacks {' or '.join(wanted)}; put the two Debian packages there")
    return found[0][-1], found[1][-1]


def members(package: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files in a .deb whose names end so; nothing is unpacked to disk.

    Raises:
        VultusError: the file is no .deb, or is damaged.
    """
    try:
        data = package.read_bytes()
        if not data.startswith(b"!<arch>\n"):
            raise VultusError(f"'{package}' is not a Debian package; download it again")
        at = 8
        while at + 60 <= len(data):  # ar: 60-byte headers, contents padded to even lengths
            name, size = data[at : at + 16].decode("ascii").strip().rstrip("/"), int(data[at + 48 : at + 58])
            at += 60
            if name.startswith("data.tar"):
                with tarfile.open(fileobj=io.BytesIO(data[at : at + size]), mode="r:*") as tar:
                    for member in tar:
                        file = tar.extractfile(member) if member.name.endswith(suffix) and member.isfile() else None
                        if file is not None:
                            yield member.name, file.read()
                return
            at += size + size % 2
    except (OSError, ValueError, tarfile.TarError, EOFError) as error:
        if isinstance(error, VultusError):
            raise
        raise VultusError(f"'{package}' cannot be read ({type(error).__name__}); download it again") from None
    raise VultusError(f"'{package}' holds no files; download it again")


def read_transcripts(package: Path) -> dict[str, str]:
    """Prompt name -> what is said; prompts that are no speech are left out (their text stands in brackets)."""
    sheet = dict(members(package, "core-sounds-en.txt.gz"))
    if not sheet:
        raise VultusError(f"'{package}' holds no core-sounds-en.txt.gz; expected version {VERSION}")
    out = {}
    for line in gzip.decompress(next(iter(sheet.values()))).decode("utf-8", "replace").splitlines():
        name, colon, text = line.partition(":")
        said = re.sub(r"\[[^\]]*\]", " ", text).strip()
        if colon and said and not line.startswith(";"):
            out[name.strip()] = said
    return out


def decode_g722(data: bytes) -> np.ndarray:
    """Raw G.722 at 64 kbit/s -> (S,) float32 at 16 kHz."""
    import av

    try:
        container: Any
        with av.open(io.BytesIO(data), mode="r", format="g722") as container:
            parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    except av.FFmpegError as error:
        raise VultusError(f"G.722 sound cannot be decoded ({error})") from None
    return (np.concatenate(parts) / 32768.0).astype(np.float32) if parts else np.zeros(0, np.float32)


def _wav(samples: np.ndarray) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
