"""Where a training set comes from: the data set, the encoder and the measures that [data] names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vultus.errors import VultusError, unknown_name
from vultus.rigs.flame import FlameRig
from vultus.train.cache import Progress
from vultus.train.data import TrainingSet
from vultus.train.recipe import DataConfig

if TYPE_CHECKING:
    from vultus.features.base import Encoder


def encoder_maker(config: DataConfig) -> Callable[[], Encoder]:
    """A picklable call that loads the encoder which [data] names."""
    from vultus.features import load_encoder

    options = {"checkpoint": config.checkpoint} if config.checkpoint else {}
    return partial(load_encoder, config.encoder, **options)


def open_split(
    config: DataConfig,
    root: Path,
    split: str,
    make_encoder: Callable[[], Encoder] | None,
    cache_folder: Path | None,
    *,
    augment: bool,
    progress: Progress | None = None,
) -> TrainingSet:
    """The training set of one split of the data set that [data] names, below `root`."""
    from vultus.datasets import open_dataset
    from vultus.datasets.options import read_options, split_options

    options = read_options(config.dataset, split_options(config.options))
    data = open_dataset(config.dataset, str(root), **options)
    clips = data.split(split)
    rig, gaps = None, None
    if config.space == "weights":
        from vultus.head import load_head

        head = load_head()
        rig, gaps = head.rig.matrix, measure_functionals(config.measures)
    elif config.space == "parameters":
        flame = getattr(data, "flame", None)
        if flame is None:
            raise VultusError(f"data.space is 'parameters', which {config.dataset} does not have; expected 'vertices'")
        rig = linearise(FlameRig(flame()))
    return TrainingSet(clips, config, make_encoder, cache_folder, rig, gaps, augment, progress)


def linearise(rig: FlameRig, step: float = 0.05) -> np.ndarray:
    """(D, 3V) metres: what one unit of each number does to the vertices near rest, by central differences.

    Expression is linear anyway; the jaw's rotation is not, and the matrix only weighs its errors, which are small.
    """
    face, steps = rig.template, step * np.eye(rig.dimension, dtype=np.float32)
    moved = rig.vertices(steps, face) - rig.vertices(-steps, face)
    matrix: np.ndarray = moved.reshape(rig.dimension, -1) / (2.0 * step)
    return matrix


def measure_functionals(names: str) -> np.ndarray:
    """(M, 3V) mm per metre: named measures of the shipped head, as linear functionals of its vertices' offsets.

    Raises:
        VultusError: a measure that the head does not have.
    """
    from vultus.measures import MM, head_terms

    terms = head_terms()
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in terms.names:
            raise unknown_name("data.measures", name, terms.names)
    every = np.zeros((len(terms.names), terms.num_vertices, 3), np.float32)
    np.add.at(every, tuple(terms.rows.T), terms.weights * MM)
    return every[[terms.names.index(name) for name in wanted]].reshape(len(wanted), -1)
