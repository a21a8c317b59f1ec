"""The picture of what a sampling strategy gives up: lips in time against variety, and error against coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vultus.benchmark.takes_sampling import Strategy
from vultus.figures.plates import FAINT, INK, new_page, page_png, write_heading

WIDTH, HEIGHT = 1180.0, 600.0
FAMILIES = {
    "plain": "#28486a", "avg": "#b5472f", "knn": "#8a6d1f", "medoid": "#8a6d1f", "sync": "#6a3d8a",
    "coarse": "#2f7d4f", "region": "#c2751a",
}  # fmt: skip
"""Colour by the beginning of a strategy's name; rows to read the table by are grey."""


def trade_off(rows: Sequence[Strategy], chosen: str | None, note: str) -> bytes:
    """PNG with two panels: sync_cos over div_lips, and l_cover over l_vertex; one mark for each strategy.

    Args:
        rows: strategies, and rows to read the table by, which have no diversity and stand in as lines.
        chosen: the strategy that the rule picked; it is ringed.
        note: one paragraph: model, protocol, clips, takes, seed.
    """
    page = new_page(WIDTH, HEIGHT)
    top = write_heading(page, "What sampling gives up: variety for lips", note, WIDTH, HEIGHT)
    panels = (
        ("div_lips", "sync_cos", "variety of the lips, div_lips (mm)", "lips and sound, sync_cos (higher is better)"),
        ("l_vertex", "l_cover", "error of a take, l_vertex (mm)", "error of the best take, l_cover (mm)"),
    )
    for place, (across, up, x_label, y_label) in enumerate(panels):
        axes = page.add_axes((0.06 + 0.5 * place, 0.11, 0.42, top - 0.16))
        axes.set_xlabel(x_label, fontsize=9, color=INK)
        axes.set_ylabel(y_label, fontsize=9, color=INK)
        axes.tick_params(labelsize=8, colors=INK)
        axes.grid(color="#e6e6ea", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        points, levels = [], 0
        for found in rows:
            if across == "l_vertex" and found.values[across].value == 0:
                continue  # the recording itself: no error at all, and it would shrink the rest
            x, y = found.values[across].value, found.values[up].value
            colour = next((c for family, c in FAMILIES.items() if found.name.startswith(family)), FAINT)
            if y == y and x != x:  # one take: a level without variety
                axes.axhline(y, color=colour, linewidth=0.8, linestyle=(0, (4, 3)))
                axes.annotate(
                    found.name, (levels % 2, y), xycoords=("axes fraction", "data"), fontsize=7, color=colour,
                    ha="right" if levels % 2 else "left", va="bottom", xytext=(0, 1), textcoords="offset points",
                )  # fmt: skip
                levels += 1
            elif x == x and y == y:
                axes.plot([x], [y], "o" if colour != FAINT else "s", color=colour, markersize=5)
                if found.name == chosen:
                    axes.plot([x], [y], "o", color=colour, markersize=11, fillstyle="none")
                points.append((x, y, found.name, colour))
        _name(axes, points)
    return page_png(page)


def _name(plot: Any, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Names beside points, moved down where they would lie upon another name."""
    plot.margins(0.12)
    plot.figure.canvas.draw()
    places = [plot.transData.transform(point[:2]) for point in points]
    taken = [(px - 4.0, py, px + 4.0) for px, py in places]
    for x, y, name, colour in sorted(points, key=lambda point: (-point[1], point[0])):
        px, py = plot.transData.transform((x, y))
        width, line = 5.8 * len(name), 11.0
        left = px + 7 + width > plot.bbox.x1
        start, at = (px - 7 - width if left else px + 7), py
        while any(abs(at - b) < line and start < c and a < start + width for a, b, c in taken):
            at -= line
        taken.append((start, at, start + width))
        plot.annotate(
            name, (x, y), xytext=(0, at - py), textcoords="offset pixels", fontsize=7, color=colour, va="center",
            ha="right" if left else "left",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4} if at != py else None,
        ).set_position((-7 if left else 7, at - py))  # fmt: skip
