"""A take as .mp4: H.264 (yuv420p, BT.709) with AAC sound, drawn by the built-in renderer.

Video frame i shows the motion at i / fps; with the take's own rate that is motion frame i. Frames go through one by
one, so that an hour takes the memory of a minute. B-frames are off: the first frame then stands at time 0 in every
player, also in those that pass over edit lists, and lips stay with the sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.clock import check_fps, motion_times, resample_at
from vultus.errors import VultusError
from vultus.motion import Take

if TYPE_CHECKING:
    from vultus.render.look import Size

SOUND_RATE = 48_000
"""Hz of the sound track: the rate that players and editors expect beside video."""

_BLOCK = 64
_AAC_FRAME = 1024
_BT709 = 1
_ENCODER_THREADS = 2  # fixed: with another number x264 decides otherwise, and the same take would give other frames


def write(
    take: Take,
    path: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    size: Size = 512,
    fps: float | None = None,
    background: str | tuple[int, int, int] | None = None,
    framing: str = "head",
    quality: int = 20,
) -> None:
    """Writes a take as .mp4, with the sound of `take.speech`, or silent where there is none.

    Args:
        take: any take.
        path: the file.
        progress: called with (frames done, frames in all).
        size: pixels, one even number or (width, height).
        fps: frames per second of the video; None takes the take's own.
        background: "#rrggbb" or RGB bytes; None for a grey gradient.
        framing: "head", "face" or "mouth".
        quality: constant rate factor of x264, 0 (lossless) to 51; smaller is better and larger.

    Raises:
        VultusError: a size, rate, colour or framing that cannot be; an encoder missing from the installed PyAV.
    """
    import av

    from vultus.render.look import check_size
    from vultus.render.scene import Scene

    width, height = check_size(size, even=True)
    rate = check_fps(take.fps if fps is None else fps)
    if not 0 <= quality <= 51:
        raise VultusError(f"quality is {quality}; expected 0 (best, largest) to 51")
    scene = Scene(take.template, framing=framing, background=background)
    for codec in ("libx264", "aac"):
        if codec not in av.codecs_available:
            raise VultusError(
                f"this PyAV {av.__version__} lacks the encoder {codec}; install PyAV from PyPI: pip install av"
            )

    exact_rate = Fraction(rate).limit_denominator(1001)  # 29.97... becomes 30000/1001
    total = max(1, round(len(take) / take.fps * rate))
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        options = {"preset": "veryfast", "crf": str(quality), "bf": "0", "threads": str(_ENCODER_THREADS)}
        video: Any = container.add_stream("libx264", rate=exact_rate, options=options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = video.codec_context.time_base = 1 / exact_rate
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = 1  # 16 to 235
        sound = None
        if take.speech is not None:
            track: Any = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
            track.bit_rate = 128_000
            sound = _sound_packets(track, take.speech.sound(SOUND_RATE))
        sound_time = 0.0
        for number, pixels in enumerate(_pictures(take, scene, rate, total, (width, height))):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = number, 1 / exact_rate
            container.mux(video.encode(frame))
            # Both tracks advance together, or the muxer would hold back one of them in memory.
            while sound is not None and sound_time <= number / rate:
                piece = next(sound, None)
                if piece is None:
                    sound = None
                    break
                sound_time, packets = piece
                container.mux(packets)
            if progress is not None:
                progress(number + 1, total)
        container.mux(video.encode(None))
        for _, packets in sound or ():
            container.mux(packets)


def _pictures(take: Take, scene: Any, rate: float, total: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Rendered frames (H, W, 3) uint8 at `rate`, `total` of them."""
    for start in range(0, total, _BLOCK):
        stop = min(start + _BLOCK, total)
        if rate == take.fps:
            motion, rotation = take.motion.values[start:stop], take.head_rotation[start:stop]
        else:
            times = motion_times(stop - start, rate, start)
            motion = resample_at(take.motion.values, take.fps, 0.0, times)
            # Axis-angle vectors of head movements stay far below half a turn, where their mean is a rotation between.
            rotation = resample_at(take.head_rotation, take.fps, 0.0, times)
        for vertices, turn in zip(take.motion.rig.vertices(motion, take.template), rotation, strict=True):
            yield scene.render(vertices, turn, size)


def _sound_packets(track: Any, pieces: Iterator[np.ndarray]) -> Iterator[tuple[float, list[Any]]]:
    """Encodes pieces of sound of any length; yields (seconds encoded so far, packets)."""
    import av

    def frames() -> Iterator[np.ndarray]:
        rest = np.empty(0, np.float32)
        for piece in pieces:
            rest = np.concatenate([rest, np.asarray(piece, np.float32)])
            whole = len(rest) - len(rest) % _AAC_FRAME
            for start in range(0, whole, _AAC_FRAME):
                yield rest[start : start + _AAC_FRAME]
            rest = rest[whole:]
        if len(rest):
            yield rest

    written = 0
    for samples in frames():
        frame = av.AudioFrame.from_ndarray(np.clip(samples, -1, 1)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, written, Fraction(1, SOUND_RATE)
        written += len(samples)
        yield written / SOUND_RATE, track.encode(frame)
    yield written / SOUND_RATE, track.encode(None)
