"""A take as a contact sheet: frames at even distances with their times, and below them how loud the speech is and how
far the mouth opens, so that one look tells whether the lips follow the sound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.motion import Take

COLUMNS, NUM_FRAMES = 5, 20
_GAP = 4
_PAPER = (24, 26, 30)
_LOUDNESS, _APERTURE, _MARK = (96, 104, 118), (255, 176, 84), (60, 64, 74)
_STRIP = 96
_MAX_SHEET = 16_000


def write(
    take: Take,
    path: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    size: int = 224,
    frames: int | Sequence[int] | None = None,
    columns: int = COLUMNS,
    background: str | tuple[int, int, int] | None = None,
    framing: str = "head",
) -> None:
    """Writes a contact sheet as .png.

    Args:
        take: any take.
        path: the file.
        progress: called with (frames drawn, frames to draw).
        size: side of one picture, pixels.
        frames: how many frames at even distances, or their numbers; None shows 20, or all where there are fewer.
        columns: pictures in a row.
        background: "#rrggbb" or RGB bytes; None for a grey gradient.
        framing: "head", "face" or "mouth".

    Raises:
        VultusError: a size, frame number, colour or framing that cannot be.
    """
    from vultus.render.look import check_size
    from vultus.render.png import write_png
    from vultus.render.scene import Scene
    from vultus.render.text import HEIGHT, draw_text

    check_size(size)
    numbers = choose_frames(len(take), NUM_FRAMES if frames is None else frames)
    columns = min(columns, len(numbers))
    if columns < 1:
        raise VultusError(f"a contact sheet of {columns} columns; expected 1 or more")
    rows = math.ceil(len(numbers) / columns)
    step = size + _GAP
    width, height = columns * step + _GAP, rows * step + _GAP + _STRIP
    if max(width, height) > _MAX_SHEET:
        raise VultusError(f"contact sheet of {width} x {height} pixels; at most {_MAX_SHEET}: lower size or frames")
    scene = Scene(take.template, framing=framing, background=background)
    sheet = np.empty((height, width, 3), np.uint8)
    sheet[:] = _PAPER
    scale = 2 if size >= 400 else 1
    for place, number in enumerate(numbers):
        picture = scene.render(take.vertices(number, number + 1)[0], take.head_rotation[number], size)
        x, y = _GAP + place % columns * step, _GAP + place // columns * step
        draw_text(picture, f"{number / take.fps:.2f} s", 5 * scale, size - (HEIGHT + 3) * scale, scale=scale)
        sheet[y : y + size, x : x + size] = picture
        if progress is not None:
            progress(place + 1, len(numbers))
    _draw_strip(sheet[rows * step + _GAP :, _GAP : width - _GAP], take, numbers)
    write_png(path, sheet)


def choose_frames(total: int, frames: int | Sequence[int]) -> list[int]:
    """Frame numbers: the middles of equal parts of the take, or those given.

    >>> choose_frames(100, 4)
    [12, 37, 62, 87]
    """
    if isinstance(frames, int):
        if frames < 1:
            raise VultusError(f"{frames} frames on a contact sheet; expected 1 or more")
        count = min(frames, total)
        return [int((i + 0.5) * total / count) for i in range(count)]
    numbers = [int(number) for number in frames]
    if not numbers:
        raise VultusError("no frames chosen for the contact sheet; name at least one")
    for number in numbers:
        if not 0 <= number < total:
            raise VultusError(f"frame {number} for the contact sheet; the take has frames 0 to {total - 1}")
    return numbers


def aperture(take: Take, count: int) -> np.ndarray | None:
    """Opening of the mouth at `count` even times, (count,) metres, or None where the mesh names no lips.

    It is the median height of the upper lip's vertices over that of the lower lip's, in the middle fifth of the mouth,
    less the template's own (vertices of both regions, at the corners, do not count).
    """
    regions = take.template.topology.regions
    if not len(regions.get("upper_lip", ())) or not len(regions.get("lower_lip", ())):
        return None
    rest = take.template.vertices
    lips = rest[np.union1d(regions["upper_lip"], regions["lower_lip"]), 0]
    middle, reach = (lips.min() + lips.max()) / 2, np.ptp(lips) / 10
    upper, lower = (
        lip[np.abs(rest[lip, 0] - middle) <= reach]
        for lip in (
            np.setdiff1d(regions["upper_lip"], regions["lower_lip"]),
            np.setdiff1d(regions["lower_lip"], regions["upper_lip"]),
        )
    )
    if not len(upper) or not len(lower):
        return None
    numbers = np.linspace(0, len(take) - 1, count).round().astype(int)
    opening = np.empty(count, np.float32)
    for start in range(0, count, 64):
        chosen = numbers[start : start + 64]
        vertices = take.motion.rig.vertices(take.motion.values[chosen], take.template)
        opening[start : start + 64] = np.median(vertices[:, upper, 1], 1) - np.median(vertices[:, lower, 1], 1)
    return opening - np.float32(np.median(rest[upper, 1]) - np.median(rest[lower, 1]))


def loudness(take: Take, count: int) -> np.ndarray | None:
    """Root mean square of the speech in `count` equal parts of the take, (count,), or None where there is none."""
    if take.speech is None:
        return None
    power, samples = np.zeros(count), np.zeros(count)
    position, per_part = 0, take.duration * SAMPLE_RATE / count
    for piece in take.speech.sound(SAMPLE_RATE):
        part = ((position + np.arange(len(piece))) / per_part).astype(int)
        inside = part < count
        power += np.bincount(part[inside], np.square(piece[inside], dtype=np.float64), count)
        samples += np.bincount(part[inside], minlength=count)
        position += len(piece)
    return np.sqrt(power / np.maximum(samples, 1))


def _draw_strip(strip: np.ndarray, take: Take, numbers: list[int]) -> None:
    """Loudness as bars, aperture as a line, a mark at each frame that is shown; into (H, W, 3) uint8."""
    from vultus.render.text import draw_text

    height, width = strip.shape[:2]
    floor, room = height - 14, height - 30
    for number in numbers:
        strip[14:floor, min(width - 1, int((number + 0.5) / len(take) * width))] = _MARK
    sound = loudness(take, width)
    if sound is not None:
        tall = np.round(sound / max(float(sound.max()), 1e-6) * room).astype(int)
        for x, rise in enumerate(tall):
            strip[floor - rise : floor, x] = _LOUDNESS
        draw_text(strip, "loudness", 2, 2, _LOUDNESS)
    opening = aperture(take, width)
    if opening is not None:
        tallest = max(float(opening.max()), 1e-3)
        place = floor - 1 - np.round(np.clip(opening / tallest, 0, 1) * room).astype(int)
        for x in range(width):
            before = place[max(0, x - 1)]
            strip[min(place[x], before) : max(place[x], before) + 2, x] = _APERTURE
        draw_text(strip, f"mouth opening, at most {tallest * 1000:.0f} mm", 66, 2, _APERTURE)
    strip[floor] = _LOUDNESS
    draw_text(strip, "0 s", 2, height - 11)
    end = f"{take.duration:.2f} s"
    draw_text(strip, end, width - 6 * len(end), height - 11)
