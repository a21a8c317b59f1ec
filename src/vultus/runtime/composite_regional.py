"""Runs exported bundles of `methods/composite_regional.py` with onnxruntime and numpy: no torch.

The decoder is convolutional, so a long recording is decoded in chunks that overlap by exactly what a code depends on:
streamed output equals whole output, and memory does not grow with the sound.

Letters: T motion frames, R reference frames, F feature frames, C feature channels, V vertices, K blendshapes, Z codes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus import clock
from vultus.errors import VultusError
from vultus.motion import Motion
from vultus.rigs.embedding import EmbeddingRig
from vultus.runtime.base import Progress, one_take_only
from vultus.runtime.decoding import CHUNK, Decoding
from vultus.runtime.sessions import open_session
from vultus.runtime.styles import MIN_REFERENCE_FRAMES, fits_mesh, reference_frames, reference_weights, style_vector
from vultus.topology import Template, Topology

if TYPE_CHECKING:
    from vultus.export.read import StyleClip
    from vultus.methods.sampling import Sampling
    from vultus.rigs.blendshapes import BlendshapeRig
    from vultus.speech import SpeechSource

_BLOCK = 256  # reference frames embedded at a time: a minute of a fast capture is a gigabyte of vertices


@dataclass(frozen=True, eq=False)
class Style:
    """How a subject moves: a scale and a shift (Z,) for the speech features (equation 2)."""

    scale: np.ndarray
    shift: np.ndarray

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> Style:
        """From 2 Z = 512 stored numbers."""
        scale, shift = np.split(np.asarray(vector, np.float32), 2)
        return cls(scale, shift)

    @property
    def vector(self) -> np.ndarray:
        """(2 Z,) float32, to store."""
        return np.concatenate([self.scale, self.shift])


class CompositeRegional:
    """The network of a bundle.

    Attributes:
        config: config.json.
        fps: motion frames per second that it was trained at.
        styles: preset name -> Style.
    """

    def __init__(self, folder: Path, config: dict[str, Any], threads: int = 1) -> None:
        self.config, self.folder, self._threads = config, folder, threads
        try:
            self.fps, self.unit, self.alpha = float(config["fps"]), float(config["unit"]), float(config["alpha"])
            self.channels, self.context = int(config["channels"]), int(config["context_frames"])
            self.encoder_rate = float(config["encoder"]["rate"])
            self.encoder_offset = float(config["encoder"]["offset"])
            self.centre = np.asarray(config["centre"], np.float32)
            self.streams, names = bool(config["streams"]), list(config["styles"])
            with open(folder / "weights.npz", "rb") as file, np.load(file, allow_pickle=False) as arrays:
                self._matrix = arrays["W"].astype(np.float32)  # (Z, 3V)
                vectors = arrays["styles"]
                self.template_vertices = arrays.get("template")
                self.faces = arrays.get("faces")
        except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise VultusError(f"{folder}: not a whole bundle ({error!r}); expected one that vultus exported") from None
        self.styles = {name: Style.from_vector(vector) for name, vector in zip(names, vectors, strict=True)}
        self._decoder = self._session("model.onnx")

    @classmethod
    def load(cls, folder: str | Path, config: dict[str, Any] | None = None, threads: int = 1) -> CompositeRegional:
        """The network in a bundle folder; VultusError where the folder is not a whole bundle."""
        from vultus.runtime.bundle import read_config

        folder = Path(folder)
        return cls(folder, read_config(folder) if config is None else config, threads)

    @property
    def W(self) -> np.ndarray:
        """(3V, Z) float32."""
        return self._matrix.T

    @property
    def offset_matrix(self) -> np.ndarray:
        """(Z, 3V): metres of offset for each unit of code, alpha W^T of equation 3."""
        return self._matrix * np.float32(self.alpha * self.unit)

    @property
    def num_vertices(self) -> int:
        return self._matrix.shape[1] // 3

    def embed_template(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) metres -> (Z,)."""
        if vertices.shape != (self.num_vertices, 3):
            raise VultusError(f"the template has shape {vertices.shape}; this model is for ({self.num_vertices}, 3)")
        return self._matrix @ ((np.asarray(vertices, np.float32) - self.centre) / np.float32(self.unit)).reshape(-1)

    def style_from_offsets(self, offsets: np.ndarray) -> Style:
        """The style of a performance: (R, V, 3) or (R, 3V) offsets from its own template, metres, at `fps`."""
        return self._style(self.embed_offsets(offsets))

    def embed_offsets(self, offsets: np.ndarray) -> np.ndarray:
        """(R, V, 3) or (R, 3V) offsets, metres -> (R, Z)."""
        flat = np.asarray(offsets, np.float32).reshape(len(offsets), -1)
        if flat.shape[1] != self._matrix.shape[1]:
            raise VultusError(f"the style moves {flat.shape[1] // 3} vertices; this model is for {self.num_vertices}")
        return np.asarray(flat / np.float32(self.unit) @ self._matrix.T)

    def style_from_vertices(self, clip: StyleClip) -> Style:
        """The style of the first minute of a clip's vertices, on this model's mesh."""
        frames, count = reference_frames(clip, self.fps)
        blocks = (clip.vertices(start, min(frames, start + _BLOCK)) for start in range(0, frames, _BLOCK))
        codes = np.concatenate([self.embed_offsets(block - clip.template) for block in blocks])
        return self._style(clock.resample_motion(codes, clip.fps, self.fps, count))

    def style_from_weights(self, weights: np.ndarray, rig_matrix: np.ndarray) -> Style:
        """The style of a performance given as weights (R, K) of a linear rig B (K, 3V), metres."""
        cross = np.asarray(rig_matrix, np.float32) / np.float32(self.unit) @ self._matrix.T
        return self._style(np.asarray(weights, np.float32) @ cross)

    def decode_stream(
        self,
        blocks: Iterable[np.ndarray],
        style: Style,
        template: np.ndarray,
        num_frames: int | None = None,
        chunk: int = CHUNK,
    ) -> Iterator[np.ndarray]:
        """Blocks of speech features (f, C) -> blocks of codes (n, Z).

        Args:
            template: (V, 3) metres.
            num_frames: T where it is known; else as many as there are features for. A caller that learns it from the
                sound uses `Decoding` itself.
            chunk: frames decoded at a time; smaller is sooner and slower, the codes are the same.
        """
        decoding = Decoding(self, style, template, chunk)
        for block in blocks:
            yield from decoding.feed(block)
        yield from decoding.finish(num_frames)

    def decode(self, features: np.ndarray, style: Style, embedded_template: np.ndarray) -> np.ndarray:
        """Features on motion frames (T, C) -> codes (T, Z), in one pass."""
        inputs = {
            "features": np.ascontiguousarray(features[None], np.float32),
            "scale": style.scale, "shift": style.shift, "template": np.asarray(embedded_template, np.float32),
        }  # fmt: skip
        codes: np.ndarray = self._decoder.run(None, inputs)[0][0]
        return codes

    def _style(self, embedded: np.ndarray) -> Style:
        if not self.config.get("composite", True):
            raise VultusError("this model was trained without the composite part; it has no styles")
        if len(embedded) < MIN_REFERENCE_FRAMES:
            raise VultusError(f"the style has {len(embedded)} frames; expected at least {MIN_REFERENCE_FRAMES}")
        if self.config.get("reference_norm") == "sequence_mean":
            embedded = embedded - embedded.mean(0)  # equation 1, after W: both are linear
        scale, shift = self._style_session.run(None, {"reference": np.ascontiguousarray(embedded[None], np.float32)})
        return Style(scale[0], shift[0])

    @cached_property
    def _style_session(self) -> Any:
        return self._session("style.onnx")

    def _session(self, name: str) -> Any:
        return open_session(self.folder, name, self._threads)


class CompositeRegionalModel:
    """A bundle as `animate` uses it (see `vultus.runtime.base.Model`).

    On the shipped head the motion is blendshape weights; on any other topology it is codes of an `EmbeddingRig`.
    """

    def __init__(self, network: CompositeRegional) -> None:
        from vultus.features import load_encoder

        config = network.config
        self.network, self.name = network, str(config.get("name", network.folder.name))
        self.styles = tuple(network.styles)
        self.still_shapes = tuple(config.get("still_shapes", ()))
        self.takes_apart, self.default_sampling = False, None
        self.encoder = load_encoder(config["encoder"]["name"], **config["encoder"].get("options", {}))
        if not np.isclose(self.encoder.rate, network.encoder_rate) or not np.isclose(
            self.encoder.offset, network.encoder_offset
        ):
            raise VultusError(f"model '{self.name}' was trained with features of another rate than this version makes")
        self._rig: BlendshapeRig | EmbeddingRig
        self._on_head = config["rig"] == "head"
        if self._on_head:
            from vultus.head import load_head
            from vultus.rigs.solve import WeightSolver

            head = load_head()
            if head.rig.matrix.shape[1] != network.W.shape[0]:
                raise VultusError(f"model '{self.name}' is for another version of the head; train or export it again")
            self.template, self._rig, self._shapes = head.template, head.rig, head.rig.matrix
            # Shapes that never moved in training cannot be meant; without them the others are better told apart.
            self._moving = np.array([name not in self.still_shapes for name in head.rig.names])
            shapes = head.rig.matrix[self._moving]
            self._solver = WeightSolver(shapes)
            self._to_rhs = (network.offset_matrix @ shapes.T).astype(np.float64)  # codes -> B o
        else:
            if network.template_vertices is None or network.faces is None:
                raise VultusError(f"{network.folder}: weights.npz has no template; expected a whole bundle")
            topology = Topology(network.faces, network.num_vertices, name=self.name)
            self.template = Template(topology, network.template_vertices)
            self._rig = EmbeddingRig(network.offset_matrix)

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any]) -> CompositeRegionalModel:
        """The model in a bundle folder."""
        return cls(CompositeRegional(folder, config))

    def predict(
        self,
        source: SpeechSource,
        *,
        style: str | StyleClip | Style | None = None,
        template: Template | None = None,
        num_takes: int = 1,
        seed: int = 0,
        sampling: str | Sampling | None = None,
        progress: Progress | None = None,
    ) -> list[Motion]:
        """One Motion at the model's own fps; `seed` changes nothing."""
        one_take_only(self.name, num_takes, sampling)
        decoding = Decoding(self.network, self.style(style), (template or self.template).vertices)
        heard = 0
        parts: list[np.ndarray] = []

        def listen() -> Iterator[np.ndarray]:
            nonlocal heard
            for block in source.blocks():
                heard += len(block)
                if progress is not None:
                    progress(heard, getattr(source, "expected_samples", 0))
                yield block

        for features in self.encoder.stream(listen()):
            parts.extend(self._motion(codes) for codes in decoding.feed(features))
        frames = clock.num_motion_frames(heard, self.network.fps)
        parts.extend(self._motion(codes) for codes in decoding.finish(frames))
        return [Motion(np.concatenate(parts), self.network.fps, self._rig)]

    def style(self, wish: str | StyleClip | Style | None) -> Style:
        """None for the first preset; a preset, a file or a mixture by name; or the manner of a recorded clip."""
        if isinstance(wish, Style):
            return wish
        if wish is None:
            return next(iter(self.network.styles.values()))
        if isinstance(wish, str):
            known = {name: style.vector for name, style in self.network.styles.items()}
            return Style.from_vector(style_vector(wish, self.name, known, lambda clip: self._measure(clip).vector))
        return self._measure(wish)

    def _measure(self, clip: StyleClip) -> Style:
        if clip.weights is not None and self._on_head:
            weights = reference_weights(clip, self.network.fps)
            weights[:, ~self._moving] = 0.0  # blinks and gaze: not the model's to learn
            return self.network.style_from_weights(weights, self._shapes)
        fits_mesh(clip, self.template.topology, on_head=self._on_head)
        return self.network.style_from_vertices(clip)

    def _motion(self, codes: np.ndarray) -> np.ndarray:
        if not self._on_head:
            return codes
        weights = np.zeros((len(codes), len(self._moving)), np.float32)
        weights[:, self._moving] = self._solver.solve(codes @ self._to_rhs)
        return weights
