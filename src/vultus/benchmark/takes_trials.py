"""Trainings that tell what the parts of the probabilistic method are worth, and what is measured of each.

A trial is a recipe with some settings changed. A trial that was stopped goes on where it was; one that is done is
measured anew only where the model or the request is another.

Letters: Q levels of the codec, N takes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vultus.benchmark.evaluations import Evaluation, read_evaluation
from vultus.errors import VultusError
from vultus.files import write_atomically

GROUPS = ("codecs", "priors", "small")
SYNC = "sync_head"
"""The network that scores synchrony."""

METRICS = ("sync_cos", "offset_accuracy", "l_vertex", "l_mean", "rho", "closure_recall")
EXIT_CLIPS = 100
COST = "core_minutes.json"
"""Processor time of a training that ran in one go, beside its settings; what runs beside it does not count."""


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        name: of its folder.
        label: in the table.
        settings: "table.key=value" over the recipe and the budget.
    """

    name: str
    label: str
    settings: tuple[str, ...] = ()


CODEC_BUDGET = ("train.epochs=6", "method.free_steps=300")
CODECS = (
    *(Trial(f"levels{q}", f"Q = {q}, stride 2", (f"method.levels={q}",)) for q in (1, 2, 4, 8)),
    *(Trial(f"stride{r}", f"Q = 4, stride {r}", (f"method.stride={r}",)) for r in (1, 4)),
)
DEFAULT_CODEC = "levels4"

PRIOR_BUDGET = (
    "method.width=96", "method.coarse_layers=3", "method.fine_layers=2", "method.memory=64", "train.epochs=2",
    "train.batch=16", "train.ema=0.99",
)  # fmt: skip
PRIORS = (
    Trial("default", "A1+A2+A3 (default)"),
    *(Trial(way, way, (f"method.conditioning={way}",)) for way in ("A5", "A4", "A3", "A2", "A1", "A1+A2")),
    Trial("no_noise", "A1+A2+A3, no history noise", ("method.history_noise=0.0", "method.history_dropout=0.0")),
    Trial("other_seed", "A1+A2+A3, another seed", ("method.seed=1", "train.seed=1")),
)
EXPECTED = ("A5", "A4", "A3", "default")
"""Trials in the order in which the design expects them on `sync_cos`, the worst first."""


@dataclass(frozen=True)
class Bench:
    """Where trials are trained and what they are measured on.

    Attributes:
        root: a synthetic corpus.
        work: folder of the trainings.
        recipes: folder of the recipes.
        cache: folder of speech features; None for the one beside the corpus.
        clips: sequences that are measured, evenly over the split.
        samples: N.
        extra: settings for every training, after those of the budget.
        say: told what begins.
    """

    root: Path
    work: Path
    recipes: Path = Path("recipes")
    cache: Path | None = None
    clips: int = 30
    samples: int = 10
    extra: tuple[str, ...] = ()
    say: Callable[[str], None] = field(default=lambda text: None)

    def __post_init__(self) -> None:
        for name, least in (("clips", 1), ("samples", 2)):
            if getattr(self, name) < least:
                raise VultusError(f"--{name} is {getattr(self, name)}; expected {least} or more")

    def recipe(self, name: str) -> Path:
        """The file of a recipe; VultusError where it is not there."""
        path = self.recipes / f"probabilistic_{name}.toml"
        if not path.is_file():
            raise VultusError(f"{path}: no such recipe; run in the repository's root or give --recipes FOLDER")
        return path

    def train(self, recipe: str, settings: Iterable[str], out: Path) -> Path:
        """The finished run of a recipe: trained, gone on with, or found.

        Raises:
            VultusError: the folder holds a run of other settings, and all that `vultus train` refuses.
        """
        from vultus.train.loop import MODEL, train
        from vultus.train.recipe import read_recipe
        from vultus.train.run_folder import SETTINGS, check_folder

        path, wanted = self.recipe(recipe), (*settings, *self.extra)
        begun = (out / SETTINGS).is_file()
        if (out / MODEL).is_file():
            check_folder(out, read_recipe(path, wanted), resume=True)
            return out
        self.say(f"training {out.name}")
        began = time.process_time()
        train(path, wanted, out, root=self.root, cache=self.cache, resume=begun, progress=False)
        if not begun:  # else only the last part of it was measured
            cost = {"core_minutes": (time.process_time() - began) / 60.0}
            write_atomically(out / COST, (json.dumps(cost) + "\n").encode())
        return out

    def codec(self, trial: Trial) -> dict[str, Any]:
        """Trains a codec; what its exit test finds."""
        run = self.train("codec", (*CODEC_BUDGET, *trial.settings), self.work / "codecs" / trial.name)
        return self.exit_test(run, self.work / "codecs" / f"{trial.name}.json")

    def exit_test(self, run: Path, kept: Path) -> dict[str, Any]:
        """The exit test of a codec on the validation split, kept in a file for the next time."""
        from vultus.benchmark.codec_exit import measure_codec

        request = {"digest": model_digest(run), "data": str(self.root.resolve()), "clips": EXIT_CLIPS, "sync": SYNC}
        old = _read(kept)
        if old.get("request") == request:
            return old
        self.say(f"testing codec {run.name}")
        found = measure_codec(run, self.root, limit=EXIT_CLIPS, sync=SYNC)
        result = {
            "request": request, "clips": found.clips, "seconds": found.seconds, "passed": found.test.passed,
            "codes_per_second": found.codes_per_second, "l_vertex": list(found.test.l_vertex),
            "code_use": list(found.test.code_use), "sync_loss": found.test.sync_loss,
            "explained": dict(found.test.explained), **training_cost(run),
        }  # fmt: skip
        write_atomically(kept, (json.dumps(result, indent=1) + "\n").encode())
        return result

    def prior(self, trial: Trial, codec: Path) -> tuple[dict[str, Any], Evaluation]:
        """Trains a prior on a finished codec; its validation terms and its evaluation."""
        settings = (*PRIOR_BUDGET, *trial.settings, f"method.codec={codec.resolve()}")
        run = self.train("prior", settings, self.work / "priors" / trial.name)
        return training_cost(run), self.evaluate(self.work / "priors" / f"{trial.name}_scores", model=run)

    def small(self) -> tuple[float | None, Evaluation]:
        """Trains the smallest codec and prior; core-minutes of both, and the evaluation."""
        costs = []
        for stage in ("codec", "prior"):
            settings = (f"method.codec={(self.work / 'small' / 'codec').resolve()}",) if stage == "prior" else ()
            costs.append(training_cost(self.train(f"{stage}_small", settings, self.work / "small" / stage))["minutes"])
        cost = None if None in costs else sum(costs)
        return cost, self.evaluate(self.work / "small" / "scores", model=self.work / "small" / "prior")

    def evaluate(self, out: Path, *, model: Path | None = None) -> Evaluation:
        """Under the protocol `synthetic`; the recorded motion where no model is given."""
        from vultus.benchmark.evaluate import evaluate

        digest = None if model is None else model_digest(model)
        if (out / "results.json").is_file():
            old = read_evaluation(out)
            there = (old.results["source"].get("digest"), old.results["source"].get("samples"))
            same = there == (digest, None if model is None else self.samples)
            if same and len(old.results["per_sequence"]) == self.clips:
                return old
        self.say(f"scoring {out.name}")
        which: dict[str, Any] = {"baseline": "recorded"}
        if model is not None:
            which = {"model": model, "samples": self.samples, "sampling": "plain"}
        metrics = [name for name in METRICS if model is not None or name != "rho"]
        evaluate("synthetic", self.root, out, limit=self.clips, metrics=metrics, **which)
        return read_evaluation(out)


def model_digest(run: Path) -> str:
    """12 hexadecimal digits of a run's model; VultusError where it has none."""
    path = run / "model.safetensors"
    if not path.is_file():
        raise VultusError(f"{run}: no {path.name}; expected a finished run of `vultus train`")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def training_cost(run: Path) -> dict[str, Any]:
    """Of a run: steps, hours of speech seen, core-minutes (None: unknown), and its last terms on validation clips."""
    from vultus.train.log import read_log

    settings = json.loads((run / "settings.json").read_text(encoding="utf-8"))
    lines = read_log(run)
    steps = max(line["step"] for line in lines)
    measured = [line for line in lines if "val/loss" in line]
    terms = {key: value for key, value in measured[-1].items() if key.startswith("val/")} if measured else {}
    hours = settings["hours"] * settings["train"]["epochs"]
    return {"steps": steps, "speech_hours": hours, "minutes": _read(run / COST).get("core_minutes"), "terms": terms}


def chosen_groups(text: str) -> tuple[str, ...]:
    """Groups of a list with commas, in our order; VultusError for one that there is none of."""
    from vultus.errors import unknown_name

    names: Sequence[str] = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in GROUPS:
            raise unknown_name("group of trials", name, GROUPS)
    return tuple(group for group in GROUPS if group in names)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
