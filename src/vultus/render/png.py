"""Writes PNG (ISO/IEC 15948) with zlib alone, so that pictures need no imaging library."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from vultus.errors import VultusError


def png_bytes(pixels: np.ndarray) -> bytes:
    """(H, W, 3) or (H, W) uint8 -> the bytes of a PNG file; the same pixels give the same bytes.

    Each row takes the filter whose differences are smallest in sum, the heuristic of the PNG specification, 12.8.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise VultusError(f"picture is {pixels.dtype} {pixels.shape}; expected uint8 (H, W, 3) or (H, W)")
    height, width = pixels.shape[:2]
    depth = 1 if pixels.ndim == 2 else 3
    row = np.ascontiguousarray(pixels).reshape(height, width * depth).astype(np.int16)
    left, above = np.zeros_like(row), np.zeros_like(row)
    left[:, depth:] = row[:, :-depth]
    above[1:] = row[:-1]
    corner = np.zeros_like(row)
    corner[1:, depth:] = row[:-1, :-depth]
    estimate = left + above - corner
    to_left, to_above, to_corner = abs(estimate - left), abs(estimate - above), abs(estimate - corner)
    paeth = np.where(
        (to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner)
    )
    filtered = np.stack(
        [row, row - left, row - above, row - (left + above) // 2, row - paeth]
    ).astype(np.uint8)  # modulo 256  # fmt: skip
    cost = np.abs(filtered.view(np.int8).astype(np.int32)).sum(2)
    choice = cost.argmin(0)
    lines = np.empty((height, 1 + width * depth), np.uint8)
    lines[:, 0] = choice
    lines[:, 1:] = filtered[choice, np.arange(height)]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2 if depth == 3 else 0, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def write_png(path: str | Path, pixels: np.ndarray) -> None:
    """Writes (H, W, 3) or (H, W) uint8 as a PNG file."""
    Path(path).write_bytes(png_bytes(pixels))
