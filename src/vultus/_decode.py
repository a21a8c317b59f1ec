"""Decoding and resampling of sound files, below `vultus.speech`.

Who decodes what:
    uncompressed files (wav, aiff, au, caf, w64, NIST ...) are read by soundfile, which can seek to a sample;
    everything else (flac, ogg vorbis, ogg opus, mp3, m4a, aac, and the sound track of mp4, mov, webm, mkv, mpg) is
    decoded by PyAV, imported only then. Both decode flac to the same samples and vorbis, opus and mp3 to within 1e-5
    and at the same time, but libsndfile writes remarks to standard error about odd mp3 files and gives up on a flac
    file that was cut short.

Letters: S samples.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import VultusError

MIN_SECONDS = 0.05
"""Shorter sound is refused, seconds: it has no motion worth a frame."""

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Sample rates accepted, Hz."""

MAX_CHANNELS = 64
MAX_LEVEL = 100.0
"""Largest sample accepted, full scale = 1 (40 dB above): beyond it the numbers are not sound in [-1, 1]."""

#: First bytes of the containers that soundfile reads here.
PCM_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"dns.", b"caff", b"NIST", b"Crea")
_PCM_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
#: The only demuxers that PyAV may use: playlists and the like could make it open other files.
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mp3,flac,ogg,aac,mpeg,mpegts,avi,wav,aiff,caf,asf,flv,amr,ac3,eac3"
READ = 32_768  # frames read from a file at a time
_MIN_GAP, _MAX_GAP = 0.05, 60.0  # seconds of missing sound that are filled with silence


def open_pcm(path: Path) -> tuple[int, int | None] | None:
    """(rate, exact frames or None where unsure) of an uncompressed file; None where PyAV should try."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            # 0 frames: PyAV knows wav files written to a pipe, whose header was never completed.
            if not file.subtype.startswith(_PCM_SUBTYPES) or file.frames <= 0:
                return None
            rate = check_rate(file.samplerate, f"'{path}'")
            if file.channels > MAX_CHANNELS:
                raise VultusError(f"'{path}': has {file.channels} channels; expected 1 to {MAX_CHANNELS}")
            frames = file.frames
            file.seek(frames - 1)
            return rate, frames if len(file.read(1)) == 1 else None
    except (soundfile.SoundFileError, OSError):
        return None


def decode_pcm(path: Path, rate: int, first: int, stop: int | None) -> Iterator[np.ndarray]:
    """Mono float32 pieces of frames first .. stop - 1 of an uncompressed file."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate != rate:
                raise VultusError(f"'{path}': has changed since it was opened; open it again")
            file.seek(min(first, file.frames))
            left = (file.frames if stop is None else min(stop, file.frames)) - first
            while left > 0:
                data = file.read(min(left, READ), dtype="float32", always_2d=True)
                if len(data) == 0:
                    break
                left -= len(data)
                yield mono(data, f"'{path}'")
    except (soundfile.SoundFileError, OSError) as error:
        raise VultusError(f"'{path}': reading stopped ({one_line(error)}); convert the file to wav") from None


def _open_av(path: Path) -> Any:
    import av

    try:
        # "file:" keeps a name such as concat:x from being taken for a protocol.
        return av.open(
            f"file:{path.absolute()}",
            options={"protocol_whitelist": "file", "format_whitelist": _DEMUXERS},
            metadata_errors="ignore",
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VultusError(
            f"'{path}': is not a sound or video file that can be read ({one_line(error)}); expected wav, flac, ogg,"
            " mp3, m4a, mp4, mov, webm, mkv or mpg; convert it to wav"
        ) from None


def probe_av(path: Path) -> int:
    """Sample rate of the first frame that PyAV decodes, Hz; VultusError where there is none."""
    for rate, _ in _frames_av(path):
        return check_rate(rate, f"'{path}'")
    raise VultusError(f"'{path}': no sound in it can be decoded; the file is empty or damaged; convert it to wav")


def _frames_av(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """(rate, mono float32 frame) one after another; silence stands for sound that is missing inside."""
    import av

    subject = f"'{path}'"
    with _open_av(path) as container:
        if not container.streams.audio:
            raise VultusError(f"{subject}: has no sound track; expected a sound or video file with sound")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise VultusError(f"{subject}: its sound is in a format that is not known; convert it to wav")
        stream.codec_context.thread_count = 1
        origin: float | None = None  # time stamp of sample 0, seconds
        count, filled, failed, warned = 0, 0.0, False, False
        for packet in _until_error(container.demux(stream), av.FFmpegError):
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                failed = True  # an error with nothing after it is the end of a file that was cut short
                continue
            for frame in frames:
                rate = frame.sample_rate
                if rate < 1 or frame.samples < 1:
                    continue
                if len(frame.layout.channels) > MAX_CHANNELS:
                    raise VultusError(
                        f"{subject}: has {len(frame.layout.channels)} channels; expected 1 to {MAX_CHANNELS}"
                    )
                lost = 0.0
                if frame.pts is not None and frame.time_base is not None:
                    stamp = float(frame.pts * frame.time_base)
                    origin = stamp if origin is None else origin
                    lost = stamp - origin - count / rate
                    if not _MIN_GAP <= lost <= _MAX_GAP - filled:
                        # Jitter is not accumulated; a jump too large to be a gap starts a new count.
                        origin = stamp - count / rate if abs(lost) > _MIN_GAP else origin
                        lost = 0.0
                if (lost or failed) and count and not warned:
                    warned = True
                    text = f"{subject}: the sound is damaged or has a gap at {count / rate:.2f} s; silence fills it"
                    warnings.warn(text, stacklevel=2)
                failed = False
                if lost and count:
                    filled += lost
                    count += round(lost * rate)
                    yield rate, np.zeros(round(lost * rate), np.float32)
                data = frame.to_ndarray()
                data = data.T if frame.format.is_planar else data.reshape(frame.samples, -1)
                count += len(data)
                yield rate, mono(data, subject)


def _until_error(packets: Iterable[Any], error: type[Exception]) -> Iterator[Any]:
    """Packets up to the first that the container cannot give: a file cut short ends there."""
    try:
        yield from packets
    except error:
        return


def decode_av(path: Path, rate: int, first: int, stop: int | None) -> Iterator[np.ndarray]:
    """Mono float32 pieces of frames first .. stop - 1 of a compressed file."""
    position = 0
    for hz, data in _frames_av(path):
        if hz != rate:
            raise VultusError(
                f"'{path}': the rate changes from {rate} to {hz} Hz at {position / rate:.2f} s; convert it to wav"
            )
        piece = data[max(first - position, 0) : None if stop is None else max(stop - position, 0)]
        position += len(data)
        if len(piece):
            yield piece
        if stop is not None and position >= stop:
            return


def mono(data: np.ndarray, subject: str) -> np.ndarray:
    """(S, channels) of any common sample type -> (S,) float32, the mean of the channels, full scale 1."""
    if data.dtype.kind == "f":
        scale, middle = 1.0, 0.0
    elif data.dtype in (np.int16, np.int32):
        scale, middle = 1.0 / -float(np.iinfo(data.dtype).min), 0.0
    elif data.dtype == np.uint8:
        scale, middle = 1.0 / 128.0, 128.0
    else:
        raise VultusError(f"{subject}: samples are {data.dtype}; expected float, int16, int32 or uint8")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by check_level
        total = data[:, 0].astype(np.float32)
        for channel in range(1, data.shape[1]):
            total += data[:, channel].astype(np.float32)
        if middle:
            total -= np.float32(middle * data.shape[1])
        total *= np.float32(scale / data.shape[1])
    return total


def resampled_length(num: int, rate: int, to: int) -> int:
    """Samples that `num` samples at `rate` become at `to`: rounded half up, as soxr does."""
    return (2 * num * to + rate) // (2 * rate)


def resample(pieces: Iterable[np.ndarray], rate: int, to: int) -> Iterator[np.ndarray]:
    """Streams mono pieces from one rate to another (soxr, high quality); how the pieces are cut does not matter."""
    if rate == to:
        yield from pieces
        return
    import soxr

    stream = soxr.ResampleStream(rate, to, 1, dtype="float32", quality="HQ")
    taken, given = 0, 0
    for piece in pieces:
        taken += len(piece)
        out = stream.resample_chunk(np.ascontiguousarray(piece))
        given += len(out)
        if len(out):
            yield out
    tail = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    missing = resampled_length(taken, rate, to) - given
    if missing > 0:
        yield np.pad(tail[:missing], (0, max(missing - len(tail), 0)))


def reblock(pieces: Iterable[np.ndarray], block: int) -> Iterator[np.ndarray]:
    """Pieces of any length -> pieces of `block` samples; the last may be shorter."""
    held: list[np.ndarray] = []
    have = 0
    for piece in pieces:
        held.append(piece)
        have += len(piece)
        if have < block:
            continue
        joined = np.concatenate(held) if len(held) > 1 else piece
        whole = have - have % block
        for i in range(0, whole, block):
            yield joined[i : i + block]
        held, have = ([joined[whole:]] if whole < have else []), have - whole
    if have:
        yield np.concatenate(held)


def check_block(block: int) -> None:
    if isinstance(block, bool) or not isinstance(block, (int, np.integer)) or block < 1:
        raise VultusError(f"block is {block!r}; expected a number of samples, 1 or more")


def check_rate(rate: float, subject: str) -> int:
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.integer, np.floating)) or rate != rate // 1:
        raise VultusError(f"{subject}: sample rate is {rate!r}; expected a whole number of Hz")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise VultusError(f"{subject}: sample rate is {rate:g} Hz; expected {MIN_RATE} to {MAX_RATE}")
    return int(rate)


def check_level(samples: np.ndarray, subject: str) -> None:
    """Raises VultusError for NaN, infinite or absurd samples."""
    if len(samples) == 0:
        return
    peak = max(float(samples.max()), -float(samples.min()))  # NaN spreads through max and min
    if not math.isfinite(peak):
        raise VultusError(
            f"{subject}: has samples that are NaN or infinite; expected finite sound; write the file again"
        )
    if peak > MAX_LEVEL:
        raise VultusError(f"{subject}: samples reach {peak:g}; expected floats in [-1, 1]; divide by full scale first")


def too_short(subject: str, seconds: float) -> VultusError:
    return VultusError(
        f"{subject}: has {seconds:.3g} s of sound; expected at least {MIN_SECONDS:g} s; check the cut or the file"
    )


def one_line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(str(text).split())[:120] or type(error).__name__
