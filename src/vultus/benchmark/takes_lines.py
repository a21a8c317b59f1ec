"""A model's takes of lines whose true takes are known: spread, energy and life, a row for each line, kept on disk.

Letters: N takes of the model, M true takes, n lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vultus.benchmark.data_digest import data_place
from vultus.benchmark.open_model import OpenModel
from vultus.benchmark.rows import Row, RowStore
from vultus.benchmark.takes_curves import UNITS, model_curves, true_curves
from vultus.benchmark.takes_life import AGREEMENTS, MEASURES, life
from vultus.benchmark.takes_setting import Setting
from vultus.benchmark.takes_spread import WIDTH, energy, ratio_of_sums, row, spread_ratio, true_spread
from vultus.statistics import Estimate

VERSION = 1
"""Of the numbers in a row."""


@dataclass(frozen=True)
class Lines:
    """What was measured of one sampling.

    Attributes:
        sampling: its text.
        takes: N.
        true_takes: M of the line that has fewest.
        rows: curve -> (n, 5), see `takes_spread.row`.
        life: measure -> (n, 2) of the model.
        true_life: the same of the true takes.
    """

    sampling: str
    takes: int
    true_takes: int
    rows: Mapping[str, np.ndarray]
    life: Mapping[str, np.ndarray]
    true_life: Mapping[str, np.ndarray]

    @property
    def count(self) -> int:
        """n."""
        return len(self.rows["lips"])

    def spreads(self, seed: int) -> dict[str, tuple[float, Estimate, Estimate]]:
        """Curve -> true spread, the takes' over it, coefficient of energy; only curves that the model has."""
        return {
            name: (true_spread(rows), spread_ratio(rows, seed), energy(rows, seed))
            for name, rows in self.rows.items()
            if np.isfinite(rows).all()
        }

    def lives(self, seed: int) -> dict[str, tuple[Estimate, Estimate]]:
        """Measure -> true takes, the model's."""
        return {
            name: (ratio_of_sums(self.true_life[name], seed), ratio_of_sums(self.life[name], seed))
            for name in (*MEASURES, *AGREEMENTS)
        }

    def to_dict(self, seed: int) -> dict[str, Any]:
        """JSON values."""
        return {
            "sampling": self.sampling, "lines": self.count, "takes": self.takes, "true_takes": self.true_takes,
            "spread": {
                name: {"unit": UNITS[name], "true": true, "ratio": ratio.to_dict(), "energy": far.to_dict()}
                for name, (true, ratio, far) in self.spreads(seed).items()
            },
            "life": {
                name: {"unit": {**MEASURES, **AGREEMENTS}[name], "true": true.to_dict(), "takes": own.to_dict()}
                for name, (true, own) in self.lives(seed).items()
            },
        }  # fmt: skip


def measure(setting: Setting, model: OpenModel, sampling: str, groups: Sequence[Sequence[Any]], takes: int) -> Lines:
    """Takes of lines in the manner of another clip of the subject, against the true takes of the lines.

    Args:
        setting: gives corpus, protocol, seed and output.
        model: draws takes.
        sampling: how.
        groups: true takes of each line; the first lends its sound.
        takes: N.
    """
    from tqdm import tqdm

    source = setting.source(model, sampling, takes)
    names = [*UNITS, *(f"{side}:{name}" for side in ("true", "takes") for name in (*MEASURES, *AGREEMENTS))]
    store = RowStore(
        setting.out / f"lines_{as_folder(sampling)}",
        {
            "what": "takes of lines", "version": VERSION, "data": setting.about, "source": source.about,
            "place of the data": data_place(setting.root, setting.split, setting.options), "seed": setting.seed,
            "metrics": dict.fromkeys(names, VERSION),
        },
    )  # fmt: skip
    store.begin()
    found = []
    quiet = None if setting.progress else True
    for group in tqdm(groups, desc=f"lines {sampling}", unit="line", disable=quiet):
        kept = store.load(group[0].name, str(len(group)))
        if kept is None:
            kept = _measure_line(setting, model, source, group, takes)
            store.keep(kept)
        found.append(kept)
    return Lines(
        sampling, takes, min(len(group) for group in groups),
        {name: np.stack([kept.values[name] for kept in found]) for name in UNITS},
        *({name: np.stack([kept.values[f"{side}:{name}"] for kept in found]) for name in (*MEASURES, *AGREEMENTS)}
          for side in ("takes", "true")),
    )  # fmt: skip


def _measure_line(setting: Setting, model: OpenModel, source: Any, group: Sequence[Any], takes: int) -> Row:
    clip, fps, regions = group[0], setting.protocol.fps, setting.regions.regions
    truth = [true_curves(take, fps, regions) for take in group]
    style = setting.styles.choose(clip)
    manner = None if style is None else model.manner([style], None)
    motions = model.speak(clip, manner, takes, setting.seed, source.sampling)
    own = [model_curves(motion, clip, fps, regions) for motion in motions]
    values = {
        name: row(np.stack([take[name] for take in own]), np.stack([take[name] for take in truth]))
        if name in own[0]
        else np.full(WIDTH, np.nan)
        for name in UNITS
    }
    for side, some in (("true", truth), ("takes", own)):
        values |= {f"{side}:{name}": pair for name, pair in life(some, fps).items()}
    return Row(clip.name, clip.name, len(own[0]["lips"]), takes, values, stamp=str(len(group)))


def as_folder(text: str) -> str:
    """A text as part of a folder's name."""
    return "".join(c if c.isalnum() or c in "-." else "_" for c in text)
