"""vultus.synthesis.align and .asterisk: words, alignment of real recordings, prompts from packages."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.speech import Speech
from vultus.synthesis import asterisk
from vultus.synthesis.align import Aligner, align, number_words, text_words
from vultus.synthesis.phones import Phone, read_pocketsphinx_json

pytest.importorskip("pocketsphinx", reason='needs PocketSphinx: pip install "vultus[corpus]"')

LIBRIVOX = "speech/pocketsphinx_librivox/sense_and_sensibility_01_austen_64kb-"


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    return Aligner()


def test_numbers_and_signs_become_words() -> None:
    spoken = "dial zero thirteen or forty one hundred five and twenty one"
    assert " ".join(text_words("Dial 0, 13 or 40; 105 & 21.")) == spoken
    assert text_words("It’s the world's -- 'end'... 3D!") == ["it's", "the", "world's", "end", "three", "d"]
    assert text_words(" ?! ") == []
    assert number_words(999_999)[:2] == ["nine", "hundred"] and number_words(70) == ["seventy"]
    with pytest.raises(VultusError, match="1000000"):
        number_words(1_000_000)


def test_words_out_of_the_dictionary(aligner: Aligner) -> None:
    assert aligner.unknown_words("the beauty's glutton, glutton; dogs") == ["glutton"]  # 's is made by rule
    sound = Speech(np.zeros(32000, np.float32), "nothing")
    with pytest.raises(VultusError, match=r"nothing.*dictionary: xyzzy, plugh") as caught:
        aligner.align(sound, "xyzzy says plugh")
    assert "\n" not in str(caught.value)
    with pytest.raises(VultusError, match="ARPABET"):
        aligner.add_word("xyzzy", "Z IH ZZ IY")
    aligner.add_word("xyzzy", "Z IH Z IY")
    assert aligner.unknown_words("Xyzzy") == []


def test_what_cannot_be_aligned_is_told(aligner: Aligner) -> None:
    noise = Speech((0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32), "noise")
    for speech, text, words in (
        (noise, "...", "no words"),
        (noise, "please hold the line while I try to connect your call to the operator", "does not fit|check"),
        (Speech(np.zeros(16000 * 181, np.float32), "long"), "hello", "at most 180 s"),
    ):
        with pytest.raises(VultusError, match=words) as caught:
            aligner.align(speech, text)
        assert speech.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.needs_data
@pytest.mark.parametrize("number", ["0880", "0890"])
def test_boundaries_agree_with_labels_of_others(aligner: Aligner, real_data: Path, number: str) -> None:
    sound = Speech.load(real_data / f"{LIBRIVOX}{number}.wav")
    text = (real_data / f"{LIBRIVOX}{number}.txt").read_text()
    phones = aligner.align(sound, text)
    assert phones[0].start == 0 and phones[-1].end == pytest.approx(sound.duration)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(phones))
    wanted = [p for p in read_pocketsphinx_json(real_data / f"{LIBRIVOX}{number}.phone.json") if not p.is_silence]
    mine = [p for p in phones if not p.is_silence]
    assert len(mine) == len(wanted)
    assert np.mean([a.symbol == b.symbol for a, b in zip(mine, wanted, strict=True)]) >= 0.95  # variants of words
    off = [abs(a.start - b.start) for a, b in zip(mine, wanted, strict=True)]
    off += [abs(a.end - b.end) for a, b in zip(mine, wanted, strict=True)]
    assert np.median(off) <= 0.03 and np.percentile(off, 90) <= 0.05
    assert aligner.align(sound, text) == phones  # what was aligned before does not matter
    late = Speech(np.concatenate([np.zeros(22, np.float32), sound.samples]), "late")  # 1.4 ms: the codec's delay
    shifted = [p for p in aligner.align(late, text) if not p.is_silence]
    assert np.median([abs(a.start - b.start) for a, b in zip(mine, shifted, strict=True)]) <= 0.03


@pytest.mark.needs_data
def test_a_wrong_text_does_not_fit(aligner: Aligner, real_data: Path) -> None:
    sound = Speech.load(real_data / f"{LIBRIVOX}0880.wav")
    for text in ("please press one to hear the menu again", "he was not", "yes", "please hold the line"):
        with pytest.raises(VultusError, match="text"):
            aligner.align(sound, text)


@pytest.mark.needs_data
def test_jfk(real_data: Path) -> None:
    """The pauses of the speech are where it is quiet, and the text can be told with figures and signs."""
    sound = Speech.load(real_data / "speech/jfk/jfk.flac")
    text = (
        "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
    )
    phones = align(sound, text)
    assert sum(p.symbol == "F" for p in phones) == 3 and sum(p.symbol == "M" for p in phones) == 2
    silent = np.zeros(sound.num_samples, bool)
    for p in phones:
        if p.is_silence:
            silent[round(p.start * 16000) : round(p.end * 16000)] = True
    rms = [np.sqrt(np.mean(sound.samples[mask] ** 2)) for mask in (silent, ~silent)]
    assert rms[1] > 5 * rms[0]


def deb(files: dict[str, bytes]) -> bytes:
    """A Debian package: an ar archive with a data.tar.xz."""
    tar_bytes = io.BytesIO()
    with tarfile.open(fileobj=tar_bytes, mode="w:xz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    out = b"!<arch>\n"
    for name, data in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", tar_bytes.getvalue())):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def g722(samples: np.ndarray) -> bytes:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="g722") as file:
        stream = file.add_stream("g722", rate=16000, layout="mono")
        for i in range(0, len(samples) // 320 * 320, 320):
            pcm = np.round(samples[None, i : i + 320] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
            frame.sample_rate = 16000
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return out.getvalue()


def put_packages(folder: Path, sounds: dict[str, bytes], sheet: str) -> None:
    folder.mkdir()
    root = "./usr/share/asterisk/sounds/en_US_f_Allison/"
    named = {f"{root}{k}.g722": v for k, v in sounds.items()}
    (folder / "asterisk-core-sounds-en-g722_1.6.1-1_all.deb").write_bytes(deb({**named, "./usr/share/doc/x": b"no"}))
    text = {"./usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz": gzip.compress(sheet.encode())}
    (folder / "asterisk-core-sounds-en_1.6.1-1_all.deb").write_bytes(deb(text))


@pytest.mark.needs_data
def test_prompts_are_decoded_aligned_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_data: Path) -> None:
    sound = Speech.load(real_data / f"{LIBRIVOX}0880.wav")
    text = (real_data / f"{LIBRIVOX}0880.txt").read_text().strip()
    put_packages(
        tmp_path / "debs",
        {
            "digits/man": g722(sound.samples),
            "beep": g722(sound.samples),
            "odd": g722(sound.samples),
            "tiny": g722(sound.samples[:3200]),
        },
        f"; a comment\ndigits/man: {text.capitalize()}.\nbeep: [this is a beep]\nodd: Please hold the line.\ntiny: a\n",
    )
    seen: list[tuple[int, int]] = []
    lines = asterisk.prepare(tmp_path / "made", tmp_path / "debs", lambda done, n: seen.append((done, n)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [line.audio.name for line in lines] == ["digits_man.wav"]
    index = json.loads((tmp_path / "made/index.json").read_text())
    assert set(index["left_out"]) == {"beep", "odd", "tiny"} and "CC-BY-SA" in index["licence"]
    kept = Speech.load(lines[0].audio)
    assert kept.num_samples == pytest.approx(sound.num_samples, abs=640)
    n = min(kept.num_samples, sound.num_samples)
    lag = max(range(-60, 61), key=lambda k: float(np.dot(np.roll(kept.samples[:n], -k), sound.samples[:n])))
    assert abs(lag) <= 32  # the codec's delay is under 2 ms
    direct = [p.symbol for p in Aligner().align(sound, text)]
    assert [p.symbol for p in lines[0].phones] == direct and isinstance(lines[0].phones[0], Phone)
    # A second call reads what is there: neither packages nor the aligner are needed.
    monkeypatch.setattr(asterisk, "Aligner", None)
    assert asterisk.prepare(tmp_path / "made") == lines


def test_packages_that_are_missing_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VultusError, match="lacks"):
        asterisk.prepare(tmp_path / "made", tmp_path)
    monkeypatch.setattr(asterisk.shutil, "which", lambda name: None)
    with pytest.raises(VultusError, match="no apt-get"):
        asterisk.prepare(tmp_path / "made")
    monkeypatch.setattr(asterisk.shutil, "which", lambda name: "apt-get")
    failed = subprocess.CompletedProcess([], 100, "", "E: odd\nE: Unable to locate package\n")
    monkeypatch.setattr(asterisk.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(VultusError, match="Unable to locate package"):
        asterisk.prepare(tmp_path / "made")
    put_packages(tmp_path / "debs", {}, "")
    for data in (b"no package", b"!<arch>\n", b"!<arch>\n" + b"x" * 100, deb({})[:-40]):
        for path in (tmp_path / "debs").glob("*.deb"):
            path.write_bytes(data)
        with pytest.raises(VultusError, match=r"again|expected"):
            asterisk.prepare(tmp_path / "made", tmp_path / "debs")
    (tmp_path / "made").mkdir(exist_ok=True)
    (tmp_path / "made/index.json").write_text('{"names": ["gone"]}')
    with pytest.raises(VultusError, match="no aligned Asterisk prompts"):
        asterisk.prepare(tmp_path / "made")
