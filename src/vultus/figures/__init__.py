"""Figures of Wu et al. 2023 from any data set, each as a PNG and as one HTML file that needs nothing else.

Table: name -> (module, class, what it shows). A class is a `vultus.figures.base.FigureMaker`.
"""

from __future__ import annotations

import importlib
from typing import Any

from vultus.errors import unknown_name

__all__ = ["FIGURES", "figure_class"]

FIGURES: dict[str, tuple[str, str, str]] = {
    "subjects_map": ("subjects_map", "SubjectsMap", "sequences by how their faces move, t-SNE (figure 2)"),
    "regional_correlation": ("regional_correlation", "RegionalCorrelation", "which parts move together (figure 3)"),
    "intensity": ("intensity", "Intensity", "how much each subject's face moves (figure 4)"),
    "styles": ("styles", "Styles", "one speech in several styles (figure 6)"),
    "activated_regions": ("activated_regions", "ActivatedRegions", "what each element of W moves (figure 7)"),
    "error_maps": ("error_maps", "ErrorMaps", "where predictions miss the recording"),
}


def figure_class(name: str) -> Any:
    """The class of a figure; VultusError with near misses where there is none."""
    if name not in FIGURES:
        raise unknown_name("figure", name, [*FIGURES, "all"])
    module, attribute, _ = FIGURES[name]
    return getattr(importlib.import_module(f"vultus.figures.{module}"), attribute)
