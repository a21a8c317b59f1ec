"""The synthetic corpus under its protocol, opened once for many evaluations of one model.

Each evaluation has a folder of its own below the output, made as `vultus evaluate` makes it: a stopped command goes on,
and `vultus evaluate --compare` reads any two of them.

Letters: n rows, R draws.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vultus.benchmark.data_digest import data_digest, data_place
from vultus.benchmark.evaluate import open_data, score, speaking
from vultus.benchmark.evaluations import Evaluation
from vultus.benchmark.examples import evenly
from vultus.benchmark.model_source import ModelSource
from vultus.benchmark.open_model import OpenModel, open_model
from vultus.benchmark.predictions import Prediction, Source
from vultus.benchmark.protocol import load_protocol
from vultus.benchmark.regions import find_regions
from vultus.benchmark.results import estimate, make_results
from vultus.benchmark.rows import RowStore, writing
from vultus.benchmark.scorers import gated_extras, scorer_digests
from vultus.benchmark.styles import StyleChooser
from vultus.datasets.base import FaceSequence
from vultus.errors import VultusError
from vultus.files import write_atomically
from vultus.metrics import Metric, load_metric
from vultus.statistics import Estimate, draws, interval

SAMPLES = 10
"""N: takes of each clip."""


class Setting:
    """What all evaluations of the evidence share.

    Args:
        data: a synthetic corpus whose test lines have several true takes.
        out: folder of the evaluations.
        seed: of takes, styles and intervals.
        progress: show bars where standard error is a terminal.

    Raises:
        VultusError: no such corpus, or one without takes.
    """

    def __init__(self, data: str | Path, out: Path, seed: int = 0, progress: bool = False) -> None:
        self.out, self.seed, self.progress = out, seed, progress
        self.protocol = load_protocol("synthetic")
        self.dataset, self.about, self.root, self.options = open_data(self.protocol, data, {})
        self.split = speaking(self.dataset, self.protocol)
        self.regions = find_regions(self.split[0].template, self.split[0].unit, None)
        self.styles = StyleChooser(self.dataset, self.protocol, seed)
        self.about["digest"] = data_digest(self.split, self.protocol.fps, self.options)
        self.groups: list[Any] = [g for g in self.dataset.take_groups() if g[0].name in self.names]  # type: ignore
        if not self.groups:
            raise VultusError(
                f"corpus {data}: no test line has several takes; make it with `--test-lines` and `--test-takes`"
            )

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """Of all clips of the split."""
        return frozenset(sequence.name for sequence in self.split)

    def clips(self, count: int) -> list[FaceSequence]:
        """So many clips of the split, evenly over it."""
        return evenly(self.split, count)

    def open(self, model: str | Path) -> OpenModel:
        """A model, shown style clips at the protocol's rate."""
        return open_model(model, self.protocol.fps)

    def source(self, model: OpenModel, sampling: str | None = None, samples: int = SAMPLES) -> ModelSource:
        """A model as `vultus evaluate` asks it: in the manner of another clip of the subject."""
        count = samples if model.default_sampling is not None else 1
        topology = self.split[0].template.topology
        return ModelSource(model, topology, self.protocol, self.styles, count, self.seed, sampling)

    def evaluation(
        self, name: str, source: Source, clips: Sequence[FaceSequence], metrics: Sequence[str]
    ) -> Evaluation:
        """An evaluation in OUT/name; rows that are there already are not made again."""
        folder = self.out / name
        wanted: dict[str, Metric] = {metric: load_metric(metric) for metric in metrics}
        made: dict[str, Any] = {
            "protocol": [self.protocol.name, self.protocol.version], "data": self.about,
            "place of the data": data_place(self.root, self.split, self.options), "source": source.about,
            "seed": self.seed, "regions": self.regions.describe(),
            "metrics": {metric: tool.info.version for metric, tool in wanted.items()},
            "scorers": scorer_digests(self.split[0].template.topology, wanted, ()), "oracle": None,
        }  # fmt: skip
        store = RowStore(folder, made)
        store.begin()
        rows = score(
            self.protocol, self.dataset, self.regions, wanted, source, clips, store, self.split, (), self.progress,
            lambda: self.extras,
        )  # fmt: skip
        results = make_results(
            rows, wanted, self.protocol, self.regions, source, self.about, seed=self.seed, missing=[],
            split=len(self.split), limit=len(clips), oracle=None, scorers=made["scorers"],
        )  # fmt: skip
        with writing(folder):
            text = json.dumps(results, indent=1, allow_nan=False) + "\n"
            write_atomically(folder / "results.json", text.encode())
        return Evaluation(name, results, {row.name: row for row in rows})

    @functools.cached_property
    def extras(self) -> Mapping[str, Any]:
        """Scoring networks, gated on the recorded motion of the split once for all evaluations."""
        names = [name for name in self.protocol.all_metrics() if "@" not in name]
        tools = {name: load_metric(name) for name in names}
        return gated_extras(self.protocol, self.regions, tools, self.split, ())


Ask = Callable[[FaceSequence], tuple[Any, FaceSequence]]
"""A sequence -> the manner that the model is asked for, and the clip that style metrics compare its takes with."""


class Asked(ModelSource):
    """A model that is asked for manners by a rule of its own.

    Args:
        setting: gives protocol, seed and topology.
        model: draws takes.
        ask: the rule.
        label: tells it from other rules, in results and for resuming.
        samples: N.
        sampling: how takes are drawn.
    """

    def __init__(
        self, setting: Setting, model: OpenModel, ask: Ask, label: str, samples: int = SAMPLES,
        sampling: str | None = None,
    ) -> None:  # fmt: skip
        topology = setting.split[0].template.topology
        super().__init__(model, topology, setting.protocol, setting.styles, samples, setting.seed, sampling)
        self.ask = ask
        self.about["style"] = label

    def predict(self, sequence: FaceSequence, condition: str, reference: np.ndarray) -> Prediction:
        """See Source."""
        manner, target = self.ask(sequence)
        samples = self.say(sequence, manner, len(reference))
        return Prediction("", samples, tuple(len(sample) for sample in samples), target)


@dataclass(frozen=True)
class Side:
    """One side of a contrast: a metric of an evaluation."""

    evaluation: Evaluation
    metric: str


def value(evaluation: Evaluation, metric: str, seed: int = 0) -> Estimate:
    """A metric over all rows, with a 95 % bootstrap interval over clips."""
    return estimate(load_metric(metric), list(evaluation.rows.values()), metric, seed)


def only(evaluation: Evaluation, clips: Sequence[FaceSequence]) -> Evaluation:
    """The rows of some clips; results.json is of all, and only rows are read of what this gives."""
    names = {clip.name for clip in clips}
    return replace(evaluation, rows={name: row for name, row in evaluation.rows.items() if row.sequence in names})


def contrast(first: Side, second: Side, form: Literal["difference", "ratio"], seed: int = 0) -> Estimate:
    """second - first, or second / first, over the clips of both; the 95 % bootstrap draws the same clips for both.

    An `Estimate` of NaN where they share no clip that has both metrics.
    """
    shared = sorted(
        name
        for name in first.evaluation.rows.keys() & second.evaluation.rows.keys()
        if all(side.metric in side.evaluation.rows[name].values for side in (first, second))
    )
    nan = float("nan")
    if not shared:
        return Estimate(nan, nan, nan, 0)

    def over(side: Side, times: np.ndarray) -> np.ndarray:
        rows = np.stack([side.evaluation.rows[name].values[side.metric] for name in shared])
        return load_metric(side.metric).combine(rows, times)

    def of(times: np.ndarray) -> np.ndarray:
        a, b = over(first, times), over(second, times)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: np.ndarray = b - a if form == "difference" else b / a
        return found

    single = float(of(np.ones((1, len(shared))))[0])
    if len(shared) < 2:
        return Estimate(single, nan, nan, len(shared))
    count = min(load_metric(side.metric).info.draws for side in (first, second))
    return Estimate(single, *interval(of(draws(len(shared), seed)[:count])), len(shared))
