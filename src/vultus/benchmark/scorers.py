"""The scoring networks of an evaluation: which there are for the topology, and their gates on the recorded motion."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vultus.benchmark.examples import Bench, evenly
from vultus.benchmark.protocol import Protocol
from vultus.benchmark.regions import Regions
from vultus.datasets.base import FaceSequence
from vultus.metrics import METRICS, Example, Metric, Unavailable
from vultus.topology import Topology

if TYPE_CHECKING:
    from vultus.scoring.runtime import Kind

FILES = ("sync", "fd", "style")
"""Files of metrics that ask a scoring network."""


def asks_network(name: str) -> bool:
    """Whether a metric asks a scoring network.

    >>> asks_network("sync_cos"), asks_network("lip_mean@with_random")
    (True, False)
    """
    module = METRICS.get(name.partition("@")[0], "").partition(":")[0]
    return module.rpartition(".")[2] in FILES


def scorer_digests(topology: Topology, metrics: Mapping[str, Metric], folders: Sequence[str]) -> dict[str, str]:
    """Kind -> 12 hexadecimal digits of the network that scores; rows and results of others do not go together.

    Raises:
        VultusError: a folder that does not exist or holds no scoring bundle, whether or not a metric asks for one.
    """
    from vultus.scoring.runtime import find_scorer, scoring_bundles

    kinds: tuple[Kind, ...] = ("sync", "style")
    found: dict[str, str] = {}
    for folder in folders:
        scoring_bundles(folder)
    if not any(asks_network(name) for name in metrics):
        return found
    for kind in kinds:
        try:
            scorer = find_scorer(kind, topology, folders)
        except Unavailable:
            continue
        found[kind] = hashlib.sha256((scorer.folder / "SHA256SUMS").read_bytes()).hexdigest()[:12]
    return found


def gated_extras(
    protocol: Protocol,
    regions: Regions,
    metrics: Mapping[str, Metric],
    split: Sequence[FaceSequence],
    folders: tuple[str, ...],
) -> dict[str, Any]:
    """For `Example.extras`: folders of networks, and their gates on the split's recorded motion where there are any."""
    from vultus.scoring.gate import LIMIT, scorer_extras

    if not scorer_digests(split[0].template.topology, metrics, folders):
        return {"scorers": folders}
    bench = Bench(protocol, regions.regions, {}, {}, {})

    def references() -> Iterator[Example]:
        for sequence in evenly(split, LIMIT):
            yield bench.example(sequence, bench.reference(sequence), [])

    return scorer_extras(references(), folders)
