"""Decoding and resampling of sound files, below `vultus.speech`.

Who decodes what:
    soundfile (libsndfile) reads wav, aiff, au, caf, w64 and the like, flac, ogg (vorbis, opus, flac) and mp3;
    PyAV, imported only then, decodes m4a, aac and the sound track of mp4, mov, webm, mkv, mpg, and what soundfile
    cannot read right: a format it refuses, and a file cut short or damaged.
How damage is found:
    ogg: every page is checked (checksum, order, one stream) when the file is opened, because libsndfile drops a bad
    page without a word and stops after the first of several streams joined end to end;
    mp3: the chain of frame headers is followed when the file is opened, because libmpg123 skips over a break without
    a word to its caller and believes a wrong frame count in the Xing header. Damage within frames is not seen; it
    sounds, and time goes on;
    everything else: libsndfile says so, or ends before the length it told; PyAV goes on from that very sample.
Measured with soundfile 0.14 (libsndfile 1.2.2) and PyAV: flac is the same bit for bit, mp3, vorbis and opus differ by
less than 1e-4, and the onset of a tone falls on the same sample. The delay of the mp3 encoder is taken off by both if
the LAME tag states it (measured: onset 0.1 ms late); without the tag both give the tone 25.2 ms late.

libmpg123 writes remarks about odd mp3 files to file descriptor 2, which its caller cannot turn off; see `_hushed`.

Letters: S samples.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from vultus.errors import VultusError

MIN_SECONDS = 0.05
"""Shorter sound is refused, seconds: it has no motion worth a frame."""

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Sample rates accepted, Hz."""

MAX_CHANNELS = 64
MAX_LEVEL = 100.0
"""Largest sample accepted, full scale = 1 (40 dB above): beyond it the numbers are not sound in [-1, 1]."""

Way = Literal["pcm", "packed", "mp3", "av"]
"""How a file is decoded: soundfile with seeking, soundfile from the beginning, the same hushed, PyAV."""

#: First bytes of the containers that soundfile reads here; mp3 is told by its frames.
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"dns.", b"caff", b"NIST", b"Crea", b"fLaC", b"OggS")
_PCM_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
#: The only demuxers that PyAV may use: playlists and the like could make it open other files.
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mp3,flac,ogg,aac,mpeg,mpegts,avi,wav,aiff,caf,asf,flv,amr,ac3,eac3"
READ = 32_768  # frames read from a file at a time
_MIN_GAP, _MAX_GAP = 0.05, 60.0  # seconds of missing sound that are filled with silence

_STDERR = threading.RLock()  # file descriptor 2 belongs to the whole process
if hasattr(os, "register_at_fork"):
    # A child forked while the descriptor is redirected would keep it so, and would wait for the lock for ever.
    os.register_at_fork(before=_STDERR.acquire, after_in_parent=_STDERR.release, after_in_child=_STDERR.release)


@contextmanager
def _hushed(hush: bool) -> Iterator[None]:
    """Sends file descriptor 2 to the null device while libmpg123 works, for that is where it writes its remarks.

    The descriptor is shared by all threads: what another thread writes to it in these milliseconds is lost, and a
    program that another thread starts in them has no standard error. Hence only for mp3, only around single calls of
    libsndfile, never across a yield, and one thread at a time.
    """
    if not hush:
        yield
        return
    with _STDERR:
        try:
            saved = os.dup(2)
        except OSError:  # closed: nothing to hush
            yield
            return
        try:
            try:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 2)
                os.close(null)
            except OSError:  # no descriptor left: better noise than no sound
                pass
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def open_sound(path: Path) -> tuple[Way, int, int | None]:
    """How to decode a file, its rate in Hz, and the frames it must give (exact for "pcm"; None where unsure).

    Raises:
        VultusError: nothing can decode it; a rate or a number of channels out of range.
    """
    try:
        with path.open("rb") as file:
            head, start = _skip_tags(file)
            mp3 = _mp3_chain(file, start) if head[:1] == b"\xff" else None
            fit = head.startswith(_MAGIC) and (not head.startswith(b"OggS") or _ogg_is_whole(file, start))
    except OSError as error:
        raise VultusError(f"'{path}': cannot be read ({one_line(error)}); check the file") from None
    opened = _open_soundfile(path, mp3) if fit or mp3 else None
    return opened or ("av", _probe_av(path), None)


def _open_soundfile(path: Path, mp3: tuple[int, int | None] | None) -> tuple[Way, int, int | None] | None:
    """What `open_sound` returns, or None where soundfile cannot read the file."""
    import soundfile

    try:
        with _hushed(mp3 is not None), soundfile.SoundFile(path.absolute()) as file:
            # PyAV knows wav and flac files written to a pipe, whose header was never completed.
            if not 0 < file.frames < 1 << 62:
                return None
            rate, frames = check_rate(file.samplerate, f"'{path}'"), file.frames
            if file.channels > MAX_CHANNELS:
                raise VultusError(f"'{path}': has {file.channels} channels; expected 1 to {MAX_CHANNELS}")
            if mp3 is not None:
                held, told = mp3
                if told is None:  # libsndfile guesses the length, and reads no further than its guess
                    return ("mp3", rate, held) if frames >= held else None
                # A frame count that is wrong makes libsndfile stop early; delay and padding have 12 bits each.
                return ("mp3", rate, frames) if told == held and 0 <= held - frames < 8192 else None
            if file.subtype.startswith(_PCM_SUBTYPES) and file.format not in ("FLAC", "OGG"):
                file.seek(frames - 1)
                return "pcm", rate, frames if len(file.read(1)) == 1 else None
            if len(file.read(1)) == 0:
                return None
            return "packed", rate, None if file.format == "OGG" else frames
    except (soundfile.SoundFileError, OSError, TypeError):  # TypeError: soundfile will not look into a .raw
        return None


def decode(path: Path, way: Way, rate: int, frames: int | None, first: int, stop: int | None) -> Iterator[np.ndarray]:
    """Mono float32 pieces of frames first .. stop - 1 of a file, from what `open_sound` told of it.

    Raises:
        VultusError: the file cannot be read, or is not the one that was opened.
    """
    if way == "av":
        yield from _decode_av(path, rate, first, stop)
        return
    import soundfile

    hush = way == "mp3"
    try:
        with _hushed(hush):
            file = soundfile.SoundFile(path.absolute())
    except (soundfile.SoundFileError, OSError) as error:
        raise VultusError(f"'{path}': reading stopped ({one_line(error)}); convert the file to wav") from None
    with file:
        if file.samplerate != rate or file.channels > MAX_CHANNELS:
            raise VultusError(f"'{path}': has changed since it was opened; open it again")
        # An ogg file has passed its checks when it was opened, and PyAV may give opus at another rate.
        may_go_on = way != "pcm" and file.format != "OGG"
        last = min(math.inf if frames is None else frames, math.inf if stop is None else stop)
        # Compressed files are decoded from their beginning: seeking in mp3 and opus is not exact to a bit.
        position = min(first, file.frames) if way == "pcm" else 0
        try:
            if way == "pcm":
                file.seek(position)
            while position < last:
                with _hushed(hush):
                    data = file.read(int(min(last - position, READ)), dtype="float32", always_2d=True)
                if len(data) == 0:
                    break
                piece = mono(data, f"'{path}'")[max(first - position, 0) :]
                position += len(data)
                if len(piece):
                    yield piece
        except (soundfile.SoundFileError, OSError) as error:
            if not may_go_on:
                raise VultusError(f"'{path}': reading stopped ({one_line(error)}); convert the file to wav") from None
    if may_go_on and position < last:
        yield from _decode_av(path, rate, max(first, position), stop)


def _skip_tags(file: BinaryIO) -> tuple[bytes, int]:
    """The first 4 bytes after any ID3v2 tags, and where they are."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or not head.startswith(b"ID3"):
            return head[:4], at
        at += 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + (10 if head[5] & 16 else 0)


def _ogg_is_whole(file: BinaryIO, at: int) -> bool:
    """Whether all of an ogg file is one stream of whole pages in order, each with the right checksum (RFC 3533)."""
    file.seek(at)
    serial: bytes | None = None
    number = 0
    while head := file.read(27):
        if len(head) < 27 or not head.startswith(b"OggS\0"):
            return False
        table = file.read(head[26])
        body = file.read(sum(table))
        if len(table) < head[26] or len(body) < sum(table):
            return False
        if bool(head[5] & 2) != (serial is None) or (serial is not None and head[14:18] != serial):
            return False
        index = int.from_bytes(head[18:22], "little")
        if serial is not None and index != number + 1:
            return False
        serial, number = head[14:18], index
        page = (head[:22] + bytes(4) + head[26:] + table + body).translate(_REVERSED)
        # Ogg's checksum takes the bits of each byte the other way round than zlib's and inverts nothing.
        crc = (zlib.crc32(page, 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "big").translate(_REVERSED)
        if crc != head[22:26]:
            return False
    return serial is not None


_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))  # the bits of each byte the other way round

_MP3_KBPS = {  # layer III, by index 1 .. 14: MPEG 1; MPEG 2 and 2.5
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def _mp3_chain(file: BinaryIO, at: int) -> tuple[int, int | None] | None:
    """Follows the frame headers of an mp3 file from byte `at` to its end (ISO 11172-3 2.4.1.3, 13818-3, MPEG 2.5).

    Returns:
        (samples in its whole frames, samples by the count of its Xing header or None where it has none); None where
        the chain breaks, which is a damaged file or no mp3 of one rate.
    """
    file.seek(at)
    first = file.read(2048)
    if len(first) < 4 or first[0] != 0xFF or first[1] & 0xE6 != 0xE2 or first[1] & 0x18 == 0x08:
        return None  # no layer III
    one, half = first[1] & 0x18 == 0x18, first[1] & 0x18 == 0
    base = (44100, 48000, 32000, 0)[first[2] >> 2 & 3]
    if not base:
        return None
    rate = base if one else base // 4 if half else base // 2
    samples = 1152 if one else 576
    sizes = {  # (second byte, third byte) -> bytes of the frame
        ((first[1] & 0xFE | crc) << 8 | index << 4 | first[2] & 0x0C | pad << 1 | private): (
            samples * 125 * _MP3_KBPS[one][index - 1] // rate + pad
        )
        for crc in (0, 1)
        for index in range(1, 15)
        for pad in (0, 1)
        for private in (0, 1)
    }
    mono_frame = first[3] & 0xC0 == 0xC0
    tag = 4 + ((17 if mono_frame else 32) if one else (9 if mono_frame else 17))
    told: int | None = None
    xing = first[tag : tag + 4] in (b"Xing", b"Info")
    if xing:
        if not first[tag + 7] & 1:
            return None
        told = int.from_bytes(first[tag + 8 : tag + 12], "big") * samples
    count = 0
    end = file.seek(0, os.SEEK_END)
    while True:
        file.seek(at)
        data = file.read(1 << 20)
        i, stop = 0, len(data) - 3
        while i < stop and data[i] == 0xFF:
            size = sizes.get(data[i + 1] << 8 | data[i + 2])
            if size is None:
                return None
            count += 1
            i += size
        at += i
        if at >= end or i < stop:
            break
        if i == 0:  # less than a header is left
            return None
    count -= at > end  # the last frame is cut off
    if at < end and not _only_tags(file, at, end):
        return None
    count -= xing
    return (count * samples, told) if count > 0 else None


def _only_tags(file: BinaryIO, at: int, end: int) -> bool:
    """Whether bytes at .. end of an mp3 file are an APE tag (version 2), an ID3 tag (version 1) or both."""
    file.seek(at)
    head = file.read(32)
    if len(head) == 32 and head.startswith(b"APETAGEX"):
        at += 32 + int.from_bytes(head[12:16], "little")
        file.seek(at)
        head = file.read(3)
    return at == end or (at == end - 128 and head.startswith(b"TAG"))


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
            f"'{path}': is not a sound or video file that can be read ({_reason(error)}); expected wav, flac, ogg,"
            " mp3, m4a, mp4, mov, webm, mkv or mpg; convert it to wav"
        ) from None


def _probe_av(path: Path) -> int:
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


def _decode_av(path: Path, rate: int, first: int, stop: int | None) -> Iterator[np.ndarray]:
    """Mono float32 pieces of frames first .. stop - 1 as PyAV decodes them, from the beginning."""
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


def _reason(error: Exception) -> str:
    """What FFmpeg says, without its number and without the path again."""
    told = getattr(error, "strerror", None)
    return told if isinstance(told, str) and told else one_line(error)
