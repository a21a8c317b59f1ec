"""An evaluation under a protocol, from top to bottom:

1. the protocol, the data set and its split;
2. the regions, and where predictions come from;
3. what is missing, and whether anything is wrong with the files, before any work;
4. sequence by sequence: reference, prediction, a row for each metric, kept below the folder as it comes;
5. rows -> values with intervals; results.json, table.md and plots.

Bad input leaves nothing behind; a run that was stopped goes on where it was, unless anything that its rows depend on
is another now: the data too (`data_digest`), of which three references are read again and the others are not.

Letters: n sequences.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vultus.benchmark.data_digest import data_digest, data_place
from vultus.benchmark.examples import Bench, common_length, count_frames, evenly
from vultus.benchmark.model_source import ModelSource
from vultus.benchmark.prediction_files import PredictionFiles
from vultus.benchmark.predictions import Baseline, Source, true_takes
from vultus.benchmark.protocol import Protocol, load_protocol
from vultus.benchmark.regions import Regions, find_regions
from vultus.benchmark.results import counted, make_results
from vultus.benchmark.rows import Row, RowStore, WriteError, writing
from vultus.benchmark.scorers import gated_extras, scorer_digests
from vultus.benchmark.styles import StyleChooser
from vultus.datasets import DATASETS, Dataset, FaceSequence, open_dataset
from vultus.datasets.options import read_options
from vultus.errors import VultusError, unknown_name
from vultus.files import write_atomically
from vultus.metrics import Metric, load_metric


def evaluate(
    protocol: str | Path | Protocol,
    data: str | Path,
    out: str | Path,
    *,
    model: str | Path | None = None,
    predictions: str | Path | None = None,
    baseline: str | None = None,
    options: Mapping[str, Any] | None = None,
    regions: str | Path | None = None,
    allow_missing: bool = False,
    samples: int | None = None,
    seed: int = 0,
    scorers: Iterable[str | Path] = (),
    limit: int | None = None,
    oracle: str | None = None,
    metrics: Sequence[str] | None = None,
    sampling: str | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Scores predictions and writes results.json, table.md and plots.

    Args:
        protocol: name, .toml file or Protocol.
        data: folder of the data set; NAME:FOLDER for another of the protocol's data sets than its first.
        out: folder of the results.
        model: name or folder of a bundle, or a training run. One of model, predictions and baseline.
        predictions: folder of files, see `prediction_files`.
        baseline: one of `predictions.BASELINES`.
        options: of the data set, over those of the protocol.
        regions: folder of the user's regions, see `regions`.
        allow_missing: score what is there.
        samples: takes; None for one of a model, all of a folder.
        seed: of takes, style references and the bootstrap.
        scorers: folders of scoring networks of the user's own.
        limit: only so many sequences, evenly over the split.
        oracle: "self" or "best-of-n": the published choices of a style that look at the truth; labelled in the result.
        metrics: only these; None for all of the protocol.
        sampling: how a model draws its takes, see `vultus.methods.sampling.Sampling.parse_text`; None for its own way.
        progress: show a bar where standard error is a terminal.

    Returns:
        What results.json holds.

    Raises:
        VultusError: anything wrong with the request or the data; nothing is written then.
    """
    chosen = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
    if sum(choice is not None for choice in (model, predictions, baseline)) != 1:
        raise VultusError("expected one of --model, --predictions and --baseline")
    for what, number in (("samples", samples), ("limit", limit)):
        if number is not None and number < 1:
            raise VultusError(f"{what} is {number}; expected 1 or more")
    if sampling is not None and model is None:
        raise VultusError("--sampling tells how a --model draws takes; predictions and baselines draw none")
    dataset, about_data, root, given = open_data(chosen, data, options or {})
    split = speaking(dataset, chosen)
    absent = check_split(split, chosen, limit, allow_missing)
    found = find_regions(split[0].template, split[0].unit, regions)
    wanted = _metrics(chosen, metrics)
    styles = StyleChooser(dataset, chosen, seed, oracle)
    sequences = evenly(split, limit)
    source: Source
    if predictions is not None:
        if oracle is not None:
            raise VultusError("--oracle chooses the style of a --model; a folder of predictions has been made already")
        source = PredictionFiles(Path(predictions), split, chosen, styles, samples)
    elif model is not None:
        source = ModelSource(model, split[0].template.topology, chosen, styles, samples or 1, seed, sampling)
    else:
        if oracle is not None:
            raise VultusError(f"--oracle chooses the style of a --model; baseline '{baseline}' asks for none")
        choose = styles.choose if chosen.style == "other_clip" else None
        source = Baseline(str(baseline), dataset, chosen.fps, choose, samples)
    folders = tuple(str(folder) for folder in scorers)
    missing = find_missing(source, sequences, allow_missing)
    present = [sequence for sequence in sequences if source.conditions(sequence)]
    if isinstance(source, PredictionFiles):
        source.check(present)
        _check_lengths(source, present, chosen)
    about_data["digest"] = data_digest(split, chosen.fps, given)
    made: dict[str, Any] = {
        "protocol": [chosen.name, chosen.version], "data": about_data,
        "place of the data": data_place(root, split, given), "source": source.about, "seed": seed,
        "regions": found.describe(), "metrics": {name: metric.info.version for name, metric in wanted.items()},
        "scorers": scorer_digests(split[0].template.topology, wanted, folders), "oracle": oracle,
    }  # fmt: skip
    store = RowStore(Path(out), made)
    try:
        store.begin()
        rows = score(chosen, dataset, found, wanted, source, present, store, split, folders, progress)
    except BaseException as error:
        bad_input = isinstance(error, VultusError) and not isinstance(error, WriteError)
        if bad_input or not store.kept:
            store.forget()
        raise
    results = make_results(
        rows, wanted, chosen, found, source, about_data, seed=seed, missing=missing, split=len(split), limit=limit,
        oracle=oracle, scorers=made["scorers"], absent=absent,
    )  # fmt: skip
    from vultus.benchmark.report import write_report

    with writing(Path(out)):
        write_report(Path(out), results, rows, wanted, chosen)
        text = json.dumps(results, indent=1, allow_nan=False) + "\n"
        write_atomically(Path(out) / "results.json", text.encode())
    return results


def score(
    protocol: Protocol,
    dataset: Dataset,
    regions: Regions,
    metrics: Mapping[str, Metric],
    source: Source,
    sequences: Sequence[FaceSequence],
    store: RowStore,
    split: Sequence[FaceSequence],
    scorers: tuple[str, ...] = (),
    progress: bool = False,
    extras: Callable[[], Mapping[str, Any]] | None = None,
) -> list[Row]:
    """The rows of all sequences: those that are there already, and those measured now.

    Scoring networks are gated on the recorded motion of `split`, whatever part of it is scored; `extras` gives what a
    gate told earlier of the same split.
    """
    from tqdm import tqdm

    todo = [(sequence, condition) for sequence in sequences for condition in source.conditions(sequence)]
    rows: list[Row] = []
    bench: Bench | None = None
    held: tuple[str, Any] = ("", None)
    for sequence, condition in tqdm(todo, desc=protocol.name, unit="clip", disable=None if progress else True):
        stamp = source.stamp(sequence, condition)
        name = sequence.name + (f"_condition_{condition}" if condition else "")
        row = store.load(name, stamp)
        if row is None:
            if bench is None:
                told = gated_extras(protocol, regions, metrics, split, scorers) if extras is None else extras()
                bench = Bench(protocol, regions.regions, metrics, told, true_takes(dataset))
            if held[0] != sequence.name:
                held = (sequence.name, bench.reference(sequence))
            prediction = source.predict(sequence, condition, held[1])
            row = bench.measure(sequence, prediction, held[1], stamp)
            store.keep(row)
        rows.append(row)
    return rows


def open_data(
    protocol: Protocol, data: str | Path, options: Mapping[str, Any]
) -> tuple[Dataset, dict[str, Any], str, dict[str, Any]]:
    """The data set of a protocol at a folder, what results say about it, its folder and its options.

    Options given as text get the types that the data set's reader has.
    """
    name, colon, root = str(data).partition(":")
    named = bool(root) and name in DATASETS
    if colon and not named and re.fullmatch(r"[A-Za-z]\w+", name) and not Path(data).exists():
        raise unknown_name(f"data set of protocol {protocol.name}", name, protocol.data)
    if not named:
        name, root = next(iter(protocol.data)), str(data)
    if name not in protocol.data:
        raise unknown_name(f"data set of protocol {protocol.name}", name, protocol.data)
    given = {**protocol.data[name], **options}
    given |= read_options(name, [f"{key}={value}" for key, value in given.items()])
    given |= {key: value for key, value in options.items() if not isinstance(value, str)}
    try:
        dataset = open_dataset(name, root, **given)
    except VultusError as error:
        others = [other for other in protocol.data if other != name]
        if not others or named:
            raise
        raise VultusError(f"{error}; or name the layout: --data {others[0]}:{root}") from None
    about = {"name": name, "split": protocol.split, "options": {k: str(v) for k, v in given.items()}}
    return dataset, about, root, given


def speaking(dataset: Dataset, protocol: Protocol) -> list[FaceSequence]:
    """The sequences of the protocol's split in which somebody speaks; VultusError where there are none."""
    if protocol.split not in dataset.splits:
        there = ", ".join(dataset.splits) or "none"
        raise VultusError(
            f"{dataset.name}: split '{protocol.split}' holds no sequence (splits here: {there}); protocol "
            f"{protocol.name} scores it; look at the folder with `vultus data check {dataset.name} ROOT`"
        )
    found = [sequence for sequence in dataset.split(protocol.split) if getattr(sequence, "is_speech", True)]
    if not found:
        raise VultusError(f"{dataset.name}: nobody speaks in split '{protocol.split}'; expected one sequence at least")
    names = [sequence.name for sequence in found]
    if len(set(names)) != len(names):
        raise VultusError(f"{dataset.name}: sequence {max(names, key=names.count)} comes twice; expected it once")
    if found[0].unit != protocol.unit:
        raise VultusError(
            f"{dataset.name}: coordinates are in '{found[0].unit}'; protocol {protocol.name} scores '{protocol.unit}'; "
            f"see {protocol.page}"
        )
    return found


def check_split(split: Sequence[FaceSequence], protocol: Protocol, limit: int | None, allowed: bool) -> tuple[str, ...]:
    """Subjects of the protocol that the data lack; VultusError where they, or sequences, are missing unasked."""
    there = {part for sequence in split for part in (sequence.subject, *sequence.subject.split("--"))}
    absent = tuple(subject for subject in protocol.subjects if subject not in there)
    if absent and not allowed:
        raise VultusError(
            f"the data hold no sequence of {', '.join(absent)}, of the {counted(len(protocol.subjects), 'subject')} of "
            f"protocol {protocol.name}; obtain the others, or score what is there with --allow-missing"
        )
    if protocol.sequences and len(split) < protocol.sequences and limit is None and not allowed:
        raise VultusError(
            f"the data hold {len(split)} of the {protocol.sequences} sequences of protocol {protocol.name}; obtain the "
            "others, or score what is there with --allow-missing"
        )
    return absent


def find_missing(source: Source, sequences: Sequence[FaceSequence], allowed: bool) -> list[str]:
    """Names without a prediction; VultusError where that is not allowed, or nothing is there at all."""
    missing = [sequence.name for sequence in sequences if not source.conditions(sequence)]
    count = counted(len(sequences), "sequence")
    if len(missing) == len(sequences):
        raise VultusError(f"{source.about['name']}: none of {count} has a prediction; {missing[0]}, ...")
    if missing and not allowed:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise VultusError(
            f"{source.about['name']}: {len(missing)} of {count} have no prediction ({some}); predict them, or score "
            "what is there with --allow-missing"
        )
    return missing


def _metrics(protocol: Protocol, only: Sequence[str] | None) -> dict[str, Metric]:
    names = protocol.all_metrics()
    for name in only or ():
        if name not in names:
            raise unknown_name(f"metric of protocol {protocol.name}", name, names)
    return {name: load_metric(name.partition("@")[0]) for name in names if not only or name in only}


def _check_lengths(source: PredictionFiles, sequences: Sequence[FaceSequence], protocol: Protocol) -> None:
    for sequence in sequences:
        frames = count_frames(sequence, protocol.fps)
        for condition in source.conditions(sequence):
            common_length(sequence.name, source.lengths(sequence, condition), frames, protocol.fps)
