"""A made-up corpus: tones whose loudness moves the shapes of a 30-vertex face. Shared by the training tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.clock import SAMPLE_RATE, num_motion_frames
from vultus.features.base import Features
from vultus.speech import Speech
from vultus.topology import Template, Topology
from vultus.train.data import TrainingSet
from vultus.train.recipe import DataConfig

V, K, C = 30, 6, 5
RIG = np.random.default_rng(7).normal(0.0, 0.002, (K, 3 * V)).astype(np.float32)
GAPS = (1000.0 * np.eye(3 * V)[:2] - 1000.0 * np.eye(3 * V)[3:5]).astype(np.float32)


class ToyEncoder:
    """Log energy of 20 ms pieces and its powers: (F, 5) at 50 Hz."""

    name, dimension, rate, offset = "toy", C, 50.0, 0.01

    def __call__(self, speech: Speech) -> Features:
        samples = speech.samples
        pieces = samples[: max(len(samples) // 320, 1) * 320].reshape(-1, 320)
        energy = np.log(np.mean(pieces**2, axis=1, keepdims=True) + 1e-6) / 10.0
        return Features(np.concatenate([energy**n for n in range(1, C + 1)], 1).astype(np.float32), 50.0, 0.01)


@dataclass(frozen=True)
class ToyClip:
    """A tone with a moving envelope; the weights follow it."""

    number: int
    seconds: float
    fps: float = 60.0

    @property
    def name(self) -> str:
        return f"toy{self.number}"

    @property
    def subject(self) -> str:
        return f"subject{self.number % 2}"

    @property
    def template(self) -> Template:
        face = np.random.default_rng(self.number % 2).normal(0.0, 0.08, (V, 3)).astype(np.float32)
        return Template(Topology(np.zeros((1, 3), np.int32), V), face)

    def _envelope(self, times: np.ndarray) -> np.ndarray:
        rate = 1.0 + 0.37 * self.number
        return 0.5 - 0.5 * np.cos(2 * np.pi * rate * times)

    def speech(self) -> Speech:
        times = np.arange(round(self.seconds * SAMPLE_RATE)) / SAMPLE_RATE
        tone = 0.5 * np.sin(2 * np.pi * 220.0 * times) * self._envelope(times)
        return Speech(tone.astype(np.float32), self.name)

    def motion(self, layers: tuple[str, ...] = (), fps: float = 60.0) -> np.ndarray:
        frames = num_motion_frames(round(self.seconds * SAMPLE_RATE), fps)
        envelope = self._envelope(np.arange(frames) / fps)
        gains = (1.0 + self.number % 2) * np.linspace(0.1, 0.4, K)
        return (envelope[:, None] * gains).astype(np.float32)

    def vertices(self) -> np.ndarray:
        offsets = (self.motion(fps=self.fps) @ RIG).reshape(-1, V, 3)
        return offsets + self.template.vertices


class ToyData:
    """The toy clips behind the contract of a data set."""

    name, splits = "toy", ("train", "val")

    def __init__(self, root: str) -> None:
        self.root = root

    def split(self, name: str) -> list[ToyClip]:
        return toy_clips(6) if name == "train" else toy_clips(3)


def toy_clips(count: int = 6) -> list[ToyClip]:
    return [ToyClip(number, 1.2 + 0.35 * number) for number in range(count)]


def toy_set(folder: Path, *, augment: bool = True, count: int = 6, **config: object) -> TrainingSet:
    settings = {"crop": 1.5, "copies": 1, "reference": "subject", "reference_seconds": 1.0, **config}
    data_config = DataConfig(**settings)  # type: ignore[arg-type]
    by_weights = data_config.space == "weights"
    return TrainingSet(toy_clips(count), data_config, ToyEncoder, folder, RIG if by_weights else None, GAPS, augment)


def tiny_hubert(folder: Path, **changes: Any) -> None:
    """A HuBERT checkpoint of width 16 and one block, unless changed."""
    transformers = pytest.importorskip("transformers", reason="needs transformers (pip install 'vultus[train]')")
    sizes = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 11,
        "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip
    transformers.HubertModel(transformers.HubertConfig(**{**sizes, **changes})).save_pretrained(folder)
