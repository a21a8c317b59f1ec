"""Plates: the pages that PNG figures are laid out on, with matplotlib; titles, colour bars with units, notes.

The colour map is magma reversed, perceptually uniform: what is still stays as pale as clay, so the shape of the face
shows, and what moves grows dark.

Letters: V vertices, H rows and W columns of a picture.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vultus.figures.base import need
from vultus.render.figures import quieten

MAP_RANGE = (0.02, 0.90)
"""The part of the map that is used: its ends, nearly white and black, would hide the shape of a face."""

INK, FAINT = "#26262b", "#6c6c74"
_DPI = 100


@dataclass(frozen=True)
class Cell:
    """One picture of a plate: (H, W, 3) uint8 and the words above it."""

    picture: np.ndarray
    title: str = ""


def colour_table() -> np.ndarray:
    """(256, 3) uint8 display RGB of the colour map, for the smallest value to the largest."""
    colours = need("matplotlib").colormaps["magma_r"](np.linspace(*MAP_RANGE, 256))
    table: np.ndarray = np.round(colours[:, :3] * 255).astype(np.uint8)
    return table


def heat_colours(values: np.ndarray, high: float) -> np.ndarray:
    """Values from 0 to `high`, (V,) -> (V, 3) uint8; larger ones take the last colour."""
    share = np.clip(np.asarray(values, np.float64) / (high or 1.0), 0, 1)
    return colour_table()[np.round(share * 255).astype(int)]


def top_of(values: Sequence[np.ndarray | float]) -> float:
    """A round upper end of a colour bar for these values: 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten."""
    largest = max((float(np.max(value)) for value in values), default=0.0)
    if not largest > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(largest))
    return float(next(power * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if power * step >= largest * (1 - 1e-9)))


def new_page(width: float, height: float) -> Any:
    """A matplotlib figure of so many pixels that no global state knows of."""
    need("matplotlib.backends.backend_agg")
    figure = need("matplotlib.figure").Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    need("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    return figure


def page_png(figure: Any) -> bytes:
    """The page as PNG; the same page gives the same bytes."""
    figure.canvas.draw()
    pixels = quieten(np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]))
    buffer = io.BytesIO()
    need("PIL.Image").fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def write_heading(figure: Any, title: str, note: str, width: float, height: float) -> float:
    """Title and note at the top of a page; returns the y (0 to 1) under them."""
    lines = textwrap.wrap(note, max(40, int(width / 6.6)))
    figure.text(14 / width, 1 - 12 / height, title, fontsize=13, fontweight="bold", color=INK, va="top")
    figure.text(14 / width, 1 - 36 / height, "\n".join(lines), fontsize=8.5, color=FAINT, va="top", linespacing=1.35)
    return 1 - (heading_height(note, width)) / height


def heading_height(note: str, width: float) -> float:
    """Pixels that `write_heading` takes."""
    return 44 + 16 * len(textwrap.wrap(note, max(40, int(width / 6.6))))


def colour_bar(figure: Any, place: tuple[float, float, float, float], high: float, label: str) -> None:
    """An upright colour bar from 0 to `high` at (left, bottom, width, height), shares of the page."""
    axes = figure.add_axes(place)
    axes.imshow(colour_table()[:, None], origin="lower", aspect="auto", extent=(0, 1, 0, high))
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.tick_params(labelsize=8.5, colors=INK)
    axes.set_ylabel(label, fontsize=9, color=INK)


def face_plate(rows: Sequence[Sequence[Cell]], *, title: str, note: str, bar: tuple[float, str] | None) -> bytes:
    """Rows of faces under a heading, with one colour bar for all.

    Args:
        rows: cells of one size; a row may be shorter than others.
        title: of the plate.
        note: one paragraph that tells what is drawn.
        bar: upper end and label of the colour bar; None for none.

    Returns:
        The PNG.
    """
    cell_height, cell_width = rows[0][0].picture.shape[:2]
    gap, words, edge, bar_width = 6, 20, 14, 84 if bar else 0
    columns = max(len(row) for row in rows)
    body = len(rows) * (cell_height + words + gap)
    width = max(2 * edge + columns * (cell_width + gap) - gap + bar_width, 420)
    height = heading_height(note, width) + body + edge
    figure = new_page(width, height)
    top = write_heading(figure, title, note, width, height) * height
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            x, y = edge + j * (cell_width + gap), top - (i + 1) * (cell_height + words + gap) + gap
            axes = figure.add_axes((x / width, y / height, cell_width / width, cell_height / height))
            axes.imshow(cell.picture, interpolation="none")
            axes.axis("off")
            figure.text(
                (x + cell_width / 2) / width, (y + cell_height + 4) / height, cell.title,
                fontsize=8.5, color=INK, ha="center", va="bottom",
            )  # fmt: skip
    if bar:
        tall = min(body - words - 2 * gap, 260)
        left = (edge + columns * (cell_width + gap) + 8) / width
        colour_bar(figure, (left, (top - words - tall) / height, 14 / width, tall / height), *bar)
    return page_png(figure)


def in_rows(cells: Sequence[Cell], columns: int) -> list[list[Cell]]:
    """Cells in reading order."""
    return [list(cells[start : start + columns]) for start in range(0, len(cells), columns)]


def same_size(cells: Sequence[Cell]) -> list[Cell]:
    """Pictures of one height, widened with paper to the widest."""
    widest = max(cell.picture.shape[1] for cell in cells)
    wide = []
    for cell in cells:
        extra = widest - cell.picture.shape[1]
        sides = ((0, 0), (extra // 2, extra - extra // 2), (0, 0))
        wide.append(Cell(np.pad(cell.picture, sides, constant_values=255), cell.title))
    return wide
