"""The rule that picks a default, its picture, and draws that are made once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from vultus.benchmark.takes_draws import RememberedDraws, remember_draws
from vultus.benchmark.takes_picture import trade_off
from vultus.benchmark.takes_relations import METRICS
from vultus.benchmark.takes_sampling import STRATEGIES, Strategy, draws_of, pick
from vultus.methods.sampling import Sampling
from vultus.statistics import Estimate


def made(name: str, clips: int = 24, **values: float) -> Strategy:
    usual = {"div_upper": 1.0, "high_frequency_lips": 1.0, "closure_recall": 0.95, "sync_cos": 0.5, **values}
    found = {metric: usual.get(metric, 1.0) for metric in METRICS}
    return Strategy(name, clips, {metric: Estimate(v, v - 0.1, v + 0.1, clips) for metric, v in found.items()})


def test_the_rule() -> None:
    rows = [
        made("plain", closure_recall=0.93),
        made("avg-10", sync_cos=0.9, div_upper=0.4),
        made("region-avg-10", sync_cos=0.7, closure_recall=0.94),
        made("region-sync-10", sync_cos=0.6),
        made("plain,guidance=2", sync_cos=0.8, high_frequency_lips=1.4),
        made("avg-40", clips=12, sync_cos=0.95),
        made("avg-100", sync_cos=0.95),
        made("avg-4", sync_cos=0.75, closure_recall=0.8),
        made("knn-10-3", sync_cos=math.nan),
    ]
    found = pick(rows)
    assert found.name == "region-avg-10" and "region-sync-10 0.600" in found.reason
    assert found.left_out.keys() == {"avg-10", "plain,guidance=2", "avg-40", "avg-100", "avg-4", "knn-10-3"}
    for name, word in (("avg-10", "40 %"), ("plain,guidance=2", "tremble"), ("avg-40", "12 of 24 clips"),
                       ("avg-100", "costs 100 draws"), ("avg-4", "0.800"), ("knn-10-3", "measured")):  # fmt: skip
        assert word in found.left_out[name]
    better = [made("region-sync-10", sync_cos=0.71) if row.name == "region-sync-10" else row for row in rows]
    assert pick(better).name == "region-sync-10"
    assert pick([made("plain", high_frequency_lips=2.0)]).name is None


def test_every_strategy_of_the_table_is_one() -> None:
    assert all(draws_of(name) >= 1 for name in STRATEGIES) and len(set(STRATEGIES)) == len(STRATEGIES)
    assert draws_of("avg-40") == 40 and draws_of("region-coarse-avg-10") == 10


def test_the_picture_is_the_same_for_the_same_rows() -> None:
    rows = [made(name, div_lips=0.1 * k, sync_cos=0.5 + 0.01 * k) for k, name in enumerate(STRATEGIES)]
    one = made("deterministic", div_lips=math.nan)
    first = trade_off([*rows, one], "plain", "made up")
    assert first == trade_off([*rows, one], "plain", "made up") and first.startswith(b"\x89PNG")
    assert first != trade_off([*rows, one], None, "made up")


class Network:
    """Codes that tell which noise, sound, style and heat they were made of; counts what it makes."""

    def __init__(self) -> None:
        self.made = 0

    def draw(self, heard: Any, style: Any, sampling: Sampling, noise: np.ndarray, coarse: Any = None) -> np.ndarray:
        self.made += len(noise)
        shade = float(np.sum(heard)) + 10 * float(np.sum(style)) + 100 * sampling.temperature
        return (noise * 50 + shade).astype(np.int16)


def test_draws_are_made_once_and_are_the_same() -> None:
    rng = np.random.default_rng(0)
    noise, heard, style = rng.random((6, 4, 2)).astype(np.float32), np.ones((4, 3)), np.zeros((1, 5))
    plain, network = Network(), Network()
    remember_draws(network)
    remember_draws(network)  # once is enough
    asked: list[tuple[Any, Any, Sampling]] = [
        (heard, style, Sampling()), (heard, style, Sampling(temperature=0.5)), (heard + 1, style, Sampling()),
        (heard, style + 1, Sampling()), (heard, style, Sampling.parse("knn-10-3")),
    ]  # fmt: skip
    for some in (slice(0, 4), slice(2, 6)):
        for sound, manner, sampling in asked:
            expected = plain.draw(sound, manner, sampling, noise[some])
            assert np.array_equal(network.draw(sound, manner, sampling, noise[some]), expected)
    assert network.made == 4 * 6  # four kinds of six draws; the strategy itself does not matter
    assert isinstance(network.draw, RememberedDraws) and network.draw.made == 24
    coarse = network.draw(heard, style, Sampling(), noise, np.zeros((6, 4)))
    assert np.array_equal(coarse, plain.draw(heard, style, Sampling(), noise)) and network.made == 30
    with pytest.raises(TypeError, match="cannot be told"):
        network.draw(object(), style, Sampling(), noise)
