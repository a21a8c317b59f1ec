"""Writes docs/metrics.md from the metrics themselves.

python tools/metric_reference.py            # into this repository's docs/
python tools/metric_reference.py --check    # exit status 1 where docs/metrics.md is not what would be written
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path

from vultus.metrics import METRICS, Metric, load_metric

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "metrics.md"

GROUPS: dict[str, tuple[str, ...]] = {
    "Distances (MM'23)": ("lip_mean", "lip_max", "upper_mean", "face_mean", "f_dtw", "f_dtw_mm23"),
    "The classic board": ("lve", "lve_sq", "mve", "fdd", "fdd_abs", "mod"),
    "Samples of a probabilistic model": (
        "l_vertex", "l_cover", "l_cover_frame", "l_mean", "rho", "coverage_curve", "div_lips", "div_upper", "div_face",
    ),
    "Contacts": ("closure_recall", "false_closure", "fv_contact", "interpenetration", "interpenetration_depth"),
    "Timing": ("onset_error", "onset_offset", "lip_timing", "lip_offset", "audio_lag", "audio_lag_gap"),
    "Liveliness": (
        "loudness_response", "loudness_gap", "stillness", "jerk_ratio_lips", "jerk_ratio_upper_face",
        "jerk_ratio_face", "high_frequency_lips", "high_frequency_upper_face", "high_frequency_face",
    ),
    "Speech and mesh (sync network)": ("sync_cos", "lse_d", "lse_c", "offset_accuracy", "fd_sync"),
    "Manner (style network)": ("style_cos", "style_top1", "fd_style"),
}  # fmt: skip
"""Title -> metrics in the order of the page; every metric stands in one group."""

NETWORKS = {
    "Speech and mesh (sync network)": "a sync network for the topology",
    "Manner (style network)": "a style network for the topology",
}
"""Title of a group -> what its metrics need besides their Info's needs."""

HEAD = """# Metrics

Made by `python tools/metric_reference.py` from the metrics' own words; do not edit.

In Python: `vultus.metrics.score(NAME, example)` for one sequence, `Accumulator` for many, with a 95 % bootstrap
interval over sequences. On the command line: `vultus evaluate`. `python -m vultus.benchmark.proof` holds each of them
against known values and against motion that was broken on purpose ([results](results.md)).

- Unit: the first where coordinates are metres, the second where a data set scales every mesh to a surface of 1.
- Better: `zero` and `one` are the values of a perfect prediction, nearer to it being better; `-` where neither side is
  better by itself.
- Needs: regions of the protocol, and parts of a sequence that not every data set has. Without them a value is null, and
  the result says why.
- A version is raised whenever a value could change. Values of unequal versions do not compare.
"""


def main() -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args()
    wanted = page()
    if options.check:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        sys.stderr.write(f"{PAGE.name} is not up to date; run python tools/metric_reference.py\n")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


def page() -> str:
    """docs/metrics.md.

    Raises:
        ValueError: a metric stands in no group, or in two.
    """
    listed = [name for names in GROUPS.values() for name in names]
    if sorted(listed) != sorted(METRICS):
        odd = sorted({n for n in listed if listed.count(n) > 1} | (set(listed) ^ set(METRICS)))
        raise ValueError(f"metrics {', '.join(odd)}: expected each of METRICS in one group of GROUPS")
    lines = [HEAD, "| metric | what | unit | better | version |", "| --- | --- | --- | --- | ---: |"]
    for name in listed:
        info = load_metric(name).info
        better = "-" if info.direction == "none" else info.direction
        lines.append(f"| [`{name}`](#{name}) | {capital(info.title)} | {unit(name)} | {better} | {info.version} |")
    for title, names in GROUPS.items():
        lines += ["", f"## {title}"]
        first: dict[str, str] = {}
        for name in names:
            module = METRICS[name].partition(":")[0]
            words = f"How to read it: as [`{first[module]}`](#{first[module]})." if module in first else about(module)
            first.setdefault(module, name)
            lines += ["", *entry(name, words, NETWORKS.get(title))]
    return "\n".join(lines) + "\n"


def entry(name: str, words: str, network: str | None = None) -> list[str]:
    """The section of one metric; `words` stand between its title and its fields."""
    info = load_metric(name).info
    needs = ", ".join([*info.needs, *filter(None, [network])]) or "nothing but the motion"
    better = {"lower": "lower", "higher": "higher", "zero": "nearer to 0", "one": "nearer to 1"}
    return [
        f"### {name}",
        "",
        f"{capital(info.title)}. Version {info.version}.",
        "",
        words,
        "",
        f"- Formula: `{info.formula}`",
        f"- Unit: {unit(name)}; better: {better.get(info.direction, 'neither side by itself')}",
        f"- Pooling: {info.pooling}; {info.draws} draws of the bootstrap",
        f"- Needs: {needs}",
        f"- Source: {info.source}",
        f"- Code: `{METRICS[name].partition(':')[0].replace('.', '/')}.py`",
    ]


def about(module: str) -> str:
    """What a metric's file says at its head: how to read the values, and the letters of the formulas."""
    text = (importlib.import_module(module).__doc__ or "").strip()
    kept, example = [], False
    for line in text.splitlines():
        example = line.startswith((">>>", "...")) or (example and line.strip() != "")
        if not example:
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def unit(name: str) -> str:
    """Both units of a metric, or that it is a pure number."""
    metric: Metric = load_metric(name)
    both = dict.fromkeys(metric.info.unit(coordinates) for coordinates in ("m", "area"))
    return " or ".join(one for one in both if one) or "none"


def capital(text: str) -> str:
    """Text with a capital letter at its beginning, fit for a table."""
    return (text[0].upper() + text[1:]).replace("|", "\\|")


if __name__ == "__main__":
    raise SystemExit(main())
