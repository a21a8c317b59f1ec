"""The contract of metrics, run over every entry of the table on the shipped head and one made-up line.

A metric that answers Unavailable (a network that is not there, say) must say why; its values are then not looked at.
"""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.metrics import METRICS, Accumulator, Example, Metric, Unavailable, load_metric

EXAMPLES = Path(__file__).resolve().parents[1] / "metrics"
sys.path.append(str(EXAMPLES))

from examples import make_example, small_example  # noqa: E402

NAMES = sorted(METRICS)
LENGTHS = {"length": 1, "length2": 2, "frames x length": 1}
DIRECTIONS = ("lower", "higher", "zero", "one", "none")
SAMPLES = 10  # what the coverage curve needs


@cache
def sequences() -> tuple[Example, ...]:
    """Three of two subjects, different in length of motion."""
    made = [make_example(seed=seed, subject=3 + seed % 2, num_samples=SAMPLES) for seed in range(3)]
    short = made[2]
    cut = slice(0, len(short.reference) - 6)
    made[2] = replace(short, reference=short.reference[cut], samples=[sample[cut] for sample in short.samples])
    return tuple(made)


@cache
def row(name: str, which: int) -> np.ndarray:
    return load_metric(name).measure(sequences()[which])


def available(name: str) -> Metric:
    try:
        row(name, 0)
    except Unavailable as why:
        assert str(why)
        pytest.skip(f"{name}: {why}")
    return load_metric(name)


def value(metric: Metric, example: Example) -> float:
    return float(metric.combine(metric.measure(example)[None], np.ones((1, 1)))[0])


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is(name: str) -> None:
    metric = load_metric(name)
    info = metric.info
    assert isinstance(metric, Metric) and info.name == name
    assert info.version >= 1 and info.draws >= 50
    assert info.direction in DIRECTIONS
    for words in (info.title, info.formula, info.source, info.pooling):
        assert words and words == words.strip() and "\n" not in words
    assert isinstance(info.unit("m"), str) and isinstance(info.unit("area"), str)


@pytest.mark.parametrize("module", sorted({place.partition(":")[0] for place in METRICS.values()}))
def test_example_in_the_docstring_holds(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0, f"{module} has no doctest with a number"
    assert not results.failed


@pytest.mark.parametrize("name", NAMES)
def test_rows(name: str) -> None:
    metric = available(name)
    rows = [row(name, which) for which in range(3)]
    assert all(r.ndim == 1 and r.dtype == np.float64 and r.shape == rows[0].shape for r in rows)
    times = np.array([[1.0, 1, 1], [3.0, 0, 0], [0, 2.0, 1]])
    values = metric.combine(np.stack(rows), times)
    assert values.shape == (3,)
    alone = metric.combine(np.stack(rows[:1]), np.ones((1, 1)))
    np.testing.assert_allclose(values[1], alone[0])  # three times the same sequence is that sequence
    again = load_metric(name).measure(replace(sequences()[0], samples=list(sequences()[0].samples)))
    np.testing.assert_allclose(again, rows[0], rtol=1e-9)  # an example that was measured before gives the same


@pytest.mark.parametrize("name", NAMES)
def test_best_on_identical_input(name: str) -> None:
    metric = available(name)
    example = sequences()[0]
    perfect = value(metric, replace(example, samples=[example.reference] * SAMPLES))
    info = metric.info
    if info.direction == "one":
        assert perfect == pytest.approx(1, abs=1e-6)
    elif info.direction in ("lower", "zero") and info.quantity != "score":
        assert perfect == pytest.approx(0, abs=1e-6)
    elif info.direction == "higher" and info.quantity in ("ratio", "correlation"):
        assert perfect <= 1 + 1e-6
    else:  # a perfect prediction has no value of its own here: networks' scores, ratios of errors
        assert not np.isinf(perfect)


@pytest.mark.parametrize("name", [n for n in NAMES if load_metric(n).info.quantity in LENGTHS])
def test_lengths_scale_as_the_unit_says(name: str) -> None:
    metric = available(name)
    example = sequences()[0]
    power = LENGTHS[metric.info.quantity]
    expected = value(metric, example)
    factor = 1000.0**power
    try:
        area = value(metric, replace(example, unit="area"))
    except Unavailable:
        pass
    else:
        # Not to the last digit: contacts of the lips are looked for by other rules where lengths are unknown.
        assert area == pytest.approx(expected / factor, rel=0.05)
    larger = replace(
        example,
        reference=1000 * example.reference,
        samples=[1000 * sample for sample in example.samples],
        template=1000 * example.template,
    )
    assert value(metric, larger) == pytest.approx(expected * factor, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_two_batches_are_one_pass(name: str) -> None:
    metric = available(name)
    whole, first, second = (Accumulator(load_metric(name)) for _ in range(3))
    for which, batch in ((2, first), (0, second), (1, first)):
        for scores in (whole, batch):
            scores.rows[sequences()[which].name] = row(name, which)
    second.merge([first])
    assert str(second.compute(seed=1)) == str(whole.compute(seed=1))
    estimate = whole.compute()
    assert estimate.n == 3
    assert whole.compute() == estimate or np.isnan(estimate.low)
    assert list(whole.each()) == sorted(example.name for example in sequences())
    direct = metric.combine(np.stack([row(name, which) for which in range(3)]), np.ones((1, 3)))[0]
    np.testing.assert_allclose(estimate.value, direct, rtol=1e-9)
    with pytest.raises(VultusError, match="twice"):
        second.merge([first])


@pytest.mark.parametrize("name", NAMES)
def test_wrong_shapes_raise(name: str) -> None:
    metric = available(name)
    example = sequences()[0]
    for bad in (example.prediction[:, :-1], example.prediction[..., :2], example.prediction[:, :, 0]):
        with pytest.raises(VultusError):
            metric.measure(replace(example, samples=[bad] * SAMPLES))
    if not name.startswith("f_dtw"):
        with pytest.raises(VultusError):
            metric.measure(replace(example, samples=[example.prediction[:-1]] * SAMPLES))


def test_a_sequence_counts_once() -> None:
    scores = Accumulator(load_metric("lve"))
    scores.update(small_example())
    with pytest.raises(VultusError, match="came twice"):
        scores.update(small_example())


def test_unknown_metric_gets_near_misses() -> None:
    with pytest.raises(VultusError, match="did you mean 'lve_sq'"):
        load_metric("lve_sg")


def test_importing_the_table_loads_nothing_heavy() -> None:
    modules = sorted({place.partition(":")[0] for place in METRICS.values()})
    code = f"import sys, {', '.join(modules)}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"torch", "scipy", "numba", "matplotlib", "transformers"})


PROCESS = """
import json, sys
import torch.distributed as dist
from examples import small_example
from vultus.metrics import Accumulator, load_metric

rank, meeting = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=2)
found = {}
for name in ("lve", "rho"):
    scores = Accumulator(load_metric(name))
    for seed in range(rank, 7, 2):
        scores.update(small_example(seed, num_frames=4 + seed))
    everybody = [None, None]
    dist.all_gather_object(everybody, scores)
    everybody[0].merge(everybody[1:])
    found[name] = everybody[0].compute(seed=3).to_dict()
print(json.dumps(found))
dist.destroy_process_group()
"""


def test_two_processes_are_one_pass(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code = f"import sys; sys.path.append({str(EXAMPLES)!r})\n{PROCESS}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), str(tmp_path / "meeting")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    answers = []
    for process in running:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        answers.append(json.loads(out.strip().splitlines()[-1]))
    assert answers[0] == answers[1]
    for name in ("lve", "rho"):
        scores = Accumulator(load_metric(name))
        for seed in range(7):
            scores.update(small_example(seed, num_frames=4 + seed))
        assert scores.compute(seed=3).to_dict() == answers[0][name]
