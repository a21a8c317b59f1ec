"""table.md and the plots of an evaluation: for people; results.json holds the same for programs.

Letters: T motion frames, n sequences.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.benchmark.protocol import Protocol
from vultus.benchmark.results import counted, stacked
from vultus.benchmark.rows import Row
from vultus.files import write_atomically
from vultus.metrics import Metric

WORDS = {"lower": "lower", "higher": "higher", "zero": "nearer 0", "one": "nearer 1", "none": ""}
BARS = 60
"""Sequences of which a bar can still be told from the next."""


def write_report(
    folder: Path, results: dict[str, Any], rows: Sequence[Row], metrics: Mapping[str, Metric], protocol: Protocol
) -> None:
    """Writes table.md, and plots/*.png where matplotlib is installed; `results` then says which plots there are."""
    plots = draw_plots(rows, metrics, protocol, str(results["source"]["name"]))
    for name, png in plots.items():
        write_atomically(folder / "plots" / f"{name}.png", png)
    results["plots"] = [f"plots/{name}.png" for name in plots]
    write_atomically(folder / "table.md", table(results, metrics, protocol).encode())


def table(results: Mapping[str, Any], metrics: Mapping[str, Metric], protocol: Protocol) -> str:
    """The Markdown of one evaluation."""
    told, source = results["protocol"], results["source"]
    scored, most = counted(results["sequences"], "sequence"), results.get("sequences_at_most")
    if most:
        scored = f"{results['sequences']} of at most {counted(most, 'sequence')}"
    lines = [
        f"# {source['name']} under `{told['name']}` {told['version']}",
        "",
        f"{told['title']}. {scored}, {counted(results['frames'], 'frame')} at {told['fps']:g} fps, "
        f"{counted(results['samples'], 'take')} each; {source['kind']} `{source['name']}`; data "
        f"set {results['data']['name']}, split {results['data']['split']}; seed {results['seed']}; "
        f"{results['revision']}.",
    ]
    if source.get("style"):
        lines[-1] += f" Style: {source['style']}."
    lines += [f"\n**{flag}.**" for flag in results["flags"]]
    lines += ["", "Intervals: 95 %, bootstrap over sequences.", ""]
    groups = [("Main metrics", protocol.published), ("Further metrics", protocol.all_metrics())]
    shown: set[str] = set()
    for heading, listed in groups:
        own = [name for name in listed if name in metrics and name not in shown]
        shown |= set(own)
        valued = [name for name in own if results["metrics"][name]["value"] is not None]
        if valued:
            lines += [f"## {heading}", "", "| metric | value (95 % interval) | unit | better | n | what |"]
            lines.append("| --- | --- | --- | --- | --- | --- |")
            lines += [_line(name, results["metrics"][name], metrics[name]) for name in valued]
            lines.append("")
    absent = {name: entry["reason"] for name, entry in results["metrics"].items() if entry["value"] is None}
    if absent:
        lines += ["## Not to be had", ""]
        for reason in dict.fromkeys(absent.values()):
            names = ", ".join(f"`{name}`" for name, why in absent.items() if why == reason)
            lines.append(f"- {names}: {reason}")
        lines.append("")
    remarks = [e["note"] for e in results["metrics"].values() if e.get("note")]
    remarks += [f"{name}: {counted(count, 'sequence')} left out: {reason}" for name, entry in results["metrics"].items()
                for reason, count in list(entry.get("left_out", {}).items())[:1]]  # fmt: skip
    remarks += [f"{counted(count, 'sequence')}: {note}" for note, count in list(results["notes"].items())[:20]]
    if results["missing"]:
        remarks.append(f"without a prediction: {', '.join(results['missing'])}")
    if remarks:
        lines += ["## Remarks", "", *(f"- {remark}" for remark in remarks), ""]
    lines += [
        "## Regions",
        "",
        "| region | vertices | source | digest | repeated entries |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {region['vertices']} | {region['source']} | `{region['digest']}` | {region['duplicates']} |"
        for name, region in results["regions"].items()
    ]
    if results["regions_refused"]:
        lines += ["", results["regions_refused"]]
    lines += ["", f"What the protocol stands for and how it differs from published tables: {protocol.page}.", ""]
    return "\n".join(lines)


def digits(value: float) -> str:
    """Three significant digits, without an exponent where that reads well.

    >>> digits(0.01234), digits(123.4), digits(2.0), digits(0.0)
    ('0.0123', '123', '2.00', '0.00')
    """
    if value == 0 or not np.isfinite(value):
        return f"{value:.2f}"
    magnitude = int(np.floor(np.log10(abs(value))))
    return f"{value:.2e}" if magnitude < -4 or magnitude > 5 else f"{value:.{max(0, 2 - magnitude)}f}"


def _line(name: str, entry: Mapping[str, Any], metric: Metric) -> str:
    value = digits(entry["value"])
    if entry["low"] is not None:
        value += f" ({digits(entry['low'])} to {digits(entry['high'])})"
    if entry.get("floor") is not None:
        value += f"; floor {digits(entry['floor'])}"
    what = metric.info.title + (f", reference {name.partition('@')[2].replace('_', ' ')}" if "@" in name else "")
    return f"| `{name}` | {value} | {entry['unit']} | {WORDS[entry['direction']]} | {entry['sequences']} | {what} |"


def draw_plots(rows: Sequence[Row], metrics: Mapping[str, Metric], protocol: Protocol, title: str) -> dict[str, bytes]:
    """Name -> PNG; empty without matplotlib."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        return {}
    from matplotlib.figure import Figure

    plots: dict[str, bytes] = {}
    published = [name for name in protocol.published if name in metrics and stacked(rows, name)[0]]
    if published:
        figure = Figure(figsize=(9, 1.6 + 1.6 * len(published)), layout="constrained")
        panels = np.atleast_1d(figure.subplots(len(published), 1))  # names under the last one only
        for axes, name in zip(panels, published, strict=True):
            _bars(axes, rows, name, metrics[name], protocol)
        for axes in panels[:-1]:
            axes.set_xticklabels([])
            axes.set_xlabel("")
        figure.suptitle(f"{title}: each sequence")
        plots["per_sequence"] = _png(figure)
    curves = [row.error for row in rows if len(row.error)]
    if curves:
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        _over_time(figure.subplots(), curves, protocol)
        figure.suptitle(f"{title}: error over time")
        plots["error_over_time"] = _png(figure)
    have, values, _ = stacked(rows, "coverage_curve")
    if have and "coverage_curve" in metrics:
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes, mean = figure.subplots(), np.mean(values, 0)
        known = np.flatnonzero(np.isfinite(mean))
        axes.plot(known + 1, mean[known], marker="." if len(known) < 30 else "")
        axes.set(xlabel="samples", ylabel=f"lip error of the best ({_unit(protocol)})", ylim=(0, None))
        figure.suptitle(f"{title}: coverage")
        plots["coverage_curve"] = _png(figure)
    return plots


def _bars(axes: Any, rows: Sequence[Row], name: str, metric: Metric, protocol: Protocol) -> None:
    have, values, _ = stacked(rows, name)
    each = np.array([metric.combine(value[None], np.ones((1, 1)))[0] for value in values])
    if len(have) <= BARS:
        axes.bar(np.arange(len(have)), each, color="#4878a8")
        axes.set_xticks(np.arange(len(have)), [row.name[-18:] for row in have], rotation=90, fontsize=5)
    else:
        axes.bar(np.arange(len(have)), np.sort(each), width=1.0, color="#4878a8")
        axes.set_xlabel("sequences, sorted")
    axes.axhline(float(np.nanmean(each)), color="black", linewidth=0.8)
    unit = metric.info.unit("area" if protocol.unit == "area" else "m")
    axes.set_ylabel(f"{name} ({unit})" if unit else name)


def _over_time(axes: Any, curves: Sequence[np.ndarray], protocol: Protocol) -> None:
    """Mean and middle half over the sequences that still last; where fewer than a fifth do, nothing."""
    longest = max(len(curve) for curve in curves)
    laid = np.full((len(curves), longest), np.nan)
    for row, curve in zip(laid, curves, strict=True):
        row[: len(curve)] = curve
    enough = np.isfinite(laid).sum(0) >= max(1, len(curves) / 5)
    laid = laid[:, : int(enough.sum())]
    seconds = np.arange(laid.shape[1]) / protocol.fps
    low, high = np.nanpercentile(laid, [25, 75], axis=0)
    axes.fill_between(seconds, low, high, color="#4878a8", alpha=0.3, linewidth=0, label="middle half of sequences")
    axes.plot(seconds, np.nanmean(laid, 0), color="#28486a", label="mean")
    axes.set(xlabel="seconds", ylabel=f"mean lip error ({_unit(protocol)})", ylim=(0, None))
    axes.legend(frameon=False)


def _unit(protocol: Protocol) -> str:
    return "area" if protocol.unit == "area" else "mm"


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
