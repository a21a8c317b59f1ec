"""Runs the graphs of an exported `methods/probabilistic.py` with onnxruntime and numpy: codes drawn, motion decoded.

It is what `vultus.methods.sampling` asks of a model (`Sampled`): the torch method and this give the same codes for the
same random numbers. A step of the coarse model is one call into a graph whose inputs stay bound: keys and values of
earlier steps lie in ring buffers that the graph reads in place.

Letters: N draws, T' steps, T frames, A steps of a window, W width, H heads, d = W / H, S style numbers, K codes of a
level, Q levels, Z numbers of a code, D motion dimension (55 weights, 3 of head rotation).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.methods.draws import choose
from vultus.methods.sampling import Sampling
from vultus.runtime.coarse_steps import NEVER, CoarseSizes, Lane, turns
from vultus.runtime.sessions import open_session

WINDOW = 256
"""Steps that are prepared at once; it bounds memory and changes nothing."""
FINE_WINDOW, FINE_DRAWS = 128, 8
"""Steps and draws that the fine model sees at once."""
REFERENCE_STRIDE = 4
"""Frames in a piece of reference motion."""
_INJECTED = 2  # steps to both sides that are added to a token


class ProbabilisticGraphs:
    """The networks of a bundle.

    Attributes:
        config: config.json.
        fps: motion frames per second.
        styles: preset name -> (S,) float32.
        no_style: (S,) float32, the style of nobody.
        mean: (D,) float32, mean motion of the training data.
        lips: (D, 3 L) float32, what each column does to the lips, metres; set by whoever knows the head.
        tick: called with a number of draws' steps as they are made.
    """

    def __init__(self, folder: Path, config: dict[str, Any], threads: int = 1) -> None:
        self.config, self.folder, self._threads = config, folder, threads
        try:
            self.fps, self.stride, self.num_levels = float(config["fps"]), int(config["stride"]), int(config["levels"])
            self.channels, self.context_steps = int(config["channels"]), int(config["context_steps"])
            self.codes, names = int(config["codes"]), list(config["styles"])
            self.guided, self.heads = bool(config["guidance"]), int(config["heads"])
            self.style_head = int(config["style_width"]) // self.heads
            self.sizes = CoarseSizes(
                int(config["width"]), self.heads, int(config["coarse_layers"]), max(1, int(config["memory"]) - 1),
                int(config["memory"]) > 1, max(_INJECTED, int(config["band"])), self.codes,
            )  # fmt: skip
            self.fine_band = int(config["fine_band"])
            self.fine_around = int(config["fine_layers"]) * self.fine_band + _INJECTED
            self.mouth = np.asarray(config["mouth"], np.int64)
            with open(folder / "weights.npz", "rb") as file, np.load(file, allow_pickle=False) as arrays:
                self.codebooks = arrays["codebooks"].astype(np.float32)  # (Q, K, Z)
                self.no_sound, self.no_style = arrays["no_sound"], arrays["no_style"]
                self.mean, vectors = arrays["mean"], arrays["styles"]
            self.styles = dict(zip(names, vectors, strict=True))
            if self.codebooks.shape[:2] != (self.num_levels, self.codes) or not self.styles:
                raise ValueError(f"codebooks {self.codebooks.shape}, {len(self.styles)} styles")
        except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise VultusError(f"{folder}: not a whole bundle ({error!r}); expected one that vultus exported") from None
        self.dimension = len(self.mean)
        self.lips = np.zeros((self.dimension, 0), np.float32)
        self.tick: Callable[[int], None] = lambda steps: None
        self._hearing, self._conditions = self._session("hearing.onnx"), self._session("conditions.onnx")
        self._step, self._decoder = self._session("step.onnx", keep_memory=True), self._session("decoder.onnx")
        self._fine_model = self._session("fine.onnx") if self.num_levels > 1 else None
        self._bands: dict[int, np.ndarray] = {}
        self._check_sizes()

    def _check_sizes(self) -> None:
        """VultusError where the graphs are of other sizes than config.json says."""
        sizes, style = self.sizes, len(self.no_style)
        cached = {"keys": [sizes.heads, sizes.head, sizes.kept], "values": [sizes.heads, sizes.kept, sizes.head]}
        wanted = [
            (self._hearing, {"features": [self.stride * self.channels]}),
            (self._conditions, {"heard": [sizes.width], "style": [1, style]}),
            (self._step, {f"{name}_{layer}": shape for layer in range(sizes.layers) for name, shape in cached.items()}),
            (self._decoder, {"latents": [self.codebooks.shape[2]]}),
            (self._fine_model, {"tokens": [self.num_levels - 1], "heard": [sizes.width], "style": [1, style]}),
        ]
        for session, inputs in wanted:
            shapes = {} if session is None else {item.name: item.shape for item in session.get_inputs()}
            for name, shape in inputs.items() if session is not None else ():
                found = [size for size in shapes.get(name, []) if isinstance(size, int)]
                if found != shape or f"keys_{sizes.layers}" in shapes:
                    raise VultusError(
                        f"{self.folder}: config.json wants {name} of size {shape}, the graphs have {found}; expected a "
                        "whole bundle"
                    )

    # Speech and style

    @property
    def hearing_context(self) -> int:
        """Steps to both sides that what is heard at a step depends on."""
        return _INJECTED

    def hear(self, frames: np.ndarray) -> np.ndarray:
        """Features of whole steps (A stride, C) -> heard (A, W)."""
        features = np.ascontiguousarray(frames, np.float32).reshape(-1, self.stride * self.channels)
        heard: np.ndarray = self._hearing.run(None, {"features": features})[0]
        return heard

    def style_vector(self, motion: np.ndarray) -> np.ndarray:
        """Reference motion (R, D) at `fps` -> (S,) float32."""
        count = -(-len(motion) // REFERENCE_STRIDE) * REFERENCE_STRIDE
        held = np.asarray(motion, np.float32)[np.minimum(np.arange(count), len(motion) - 1)]
        pieces = held.reshape(-1, REFERENCE_STRIDE * self.dimension)
        cosine, sine = turns(np.arange(len(pieces)), self.style_head)
        vector: np.ndarray = self._style.run(None, {"pieces": pieces, "cosine": cosine, "sine": sine})[0][0]
        return vector

    @cached_property
    def _style(self) -> Any:
        return self._session("style.onnx")

    # What sampling asks for (`vultus.methods.sampling.Sampled`)

    def num_steps(self, heard: np.ndarray) -> int:
        return len(heard)

    def check_sampling(self, sampling: Sampling) -> None:
        """VultusError for guidance where the model was not trained for it."""
        if sampling.guidance != 1.0 and not self.guided:
            raise VultusError("sampling: guidance needs a model that was trained with method.audio_dropout above 0")
        if sampling.strategy == "region":
            self.mouth_columns()

    def mouth_columns(self) -> np.ndarray:
        """(D,) bool: columns that move lips or tongue."""
        if (self.mouth < 0).any():
            raise VultusError(
                "sampling: region needs columns that move either mouth or upper face; expected another way"
            )
        return np.pad(self.mouth > 0, (0, self.dimension - len(self.mouth)))

    def lip_vertices(self, motion: np.ndarray) -> np.ndarray:
        """(..., D) -> offsets of the lips (..., L, 3), metres."""
        flat = motion @ self.lips
        return flat.reshape(*flat.shape[:-1], -1, 3)

    def latents(self, codes: np.ndarray) -> np.ndarray:
        """(N, T', Q) -> (N, T', Z) float32."""
        total = self.codebooks[0][codes[..., 0]]
        for level in range(1, codes.shape[2]):
            total += self.codebooks[level][codes[..., level]]
        return total

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """(N, T', Z) -> motion (N, T' stride, D) float32."""
        motion: np.ndarray = self._decoder.run(None, {"latents": latents})[0]
        return motion

    def draw(
        self, heard: np.ndarray, style: np.ndarray, sampling: Sampling, noise: np.ndarray,
        coarse: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Noise (N, T', Q) -> codes (N, T', Q) int16."""
        first = self._coarse(heard, style, sampling, noise) if coarse is None else coarse
        codes = np.zeros(noise.shape, np.int16)
        codes[..., 0] = first
        for few in range(0, len(codes), FINE_DRAWS):
            for level in range(1, self.num_levels):
                self._fine(codes[few : few + FINE_DRAWS], level, heard, style, sampling, noise[few : few + FINE_DRAWS])
        return codes

    def likeliest(self, heard: np.ndarray, style: np.ndarray, sampling: Sampling, noise: np.ndarray) -> np.ndarray:
        """Noise (N, M, T', Q) -> level 1 (N, T') int16."""
        return self._coarse(heard, style, sampling, noise.reshape(-1, *noise.shape[2:]), noise.shape[1])

    def _coarse(
        self, heard: np.ndarray, style: np.ndarray, sampling: Sampling, noise: np.ndarray, together: int = 0
    ) -> np.ndarray:
        """Step by step: (N, T') int16; `together` M > 0 gives, of each M draws, the likeliest codes by their mean."""
        draws, steps = noise.shape[:2]
        lanes = [Lane(self._step, self.sizes, draws) for _ in range(1 if sampling.guidance == 1.0 else 2)]
        codes = np.empty((draws // max(1, together), steps), np.int16)
        for start in range(0, steps, WINDOW):
            stop = min(steps, start + WINDOW)
            for lane, sound in zip(lanes, (heard, None), strict=False):
                lane.prepare(self._prepare(sound, style, start, stop, steps))
            for step in range(start, stop):
                logits = lanes[0].logits(step - start)
                if len(lanes) > 1:
                    without = lanes[1].logits(step - start)
                    logits = without + np.float32(sampling.guidance) * (logits - without)
                drawn = choose(logits, noise[:, step, 0], sampling.temperature, sampling.top_k, sampling.top_p)
                for lane in lanes:
                    lane.went(drawn)
                codes[:, step] = _likeliest(logits, sampling.temperature, together) if together else drawn
            self.tick(draws * (stop - start))
        return codes

    def _prepare(
        self, heard: np.ndarray | None, style: np.ndarray, start: int, stop: int, steps: int
    ) -> dict[str, np.ndarray]:
        """Conditions of steps start .. stop - 1 and of those around, zeros beyond the ends; `heard` None: no sound."""
        around = self.sizes.around
        places = np.arange(start - around, stop + around)
        real = (places >= 0) & (places < steps)
        window = np.zeros((len(places), self.sizes.width), np.float32)
        window[real] = self.no_sound if heard is None else heard[places[real]]
        cosine, sine = turns(places, self.sizes.head)
        inputs = {"heard": window, "style": style, "cosine": cosine, "sine": sine}
        names = [output.name for output in self._conditions.get_outputs()]
        found = dict(zip(names, self._conditions.run(names, inputs), strict=True))
        found |= {"cosine": cosine, "sine": sine}
        found["silent"] = np.where(real, np.float32(0.0), NEVER)
        return found

    def _fine(
        self, codes: np.ndarray, level: int, heard: np.ndarray, style: np.ndarray, sampling: Sampling, noise: np.ndarray
    ) -> None:
        """Fills in one level of codes (N, T', Q), in windows that overlap by what a step depends on."""
        assert self._fine_model is not None
        steps, number = codes.shape[1], np.array([level], np.int64)
        offsets = 1 + self.codes * np.arange(level)
        for start in range(0, steps, FINE_WINDOW):
            stop = min(steps, start + FINE_WINDOW)
            low, high = max(0, start - self.fine_around), min(steps, stop + self.fine_around)
            tokens = np.zeros((len(codes), high - low, self.num_levels - 1), np.int64)
            tokens[..., :level] = codes[:, low:high, :level] + offsets
            cosine, sine = turns(np.arange(high - low), self.sizes.head)
            inputs = {
                "tokens": tokens, "level": number, "heard": heard[low:high], "style": style,
                "band": self._band(high - low), "cosine": cosine, "sine": sine,
            }  # fmt: skip
            logits = self._fine_model.run(None, inputs)[0][:, start - low : stop - low]
            codes[:, start:stop, level] = choose(logits, noise[:, start:stop, level], sampling.fine_temperature)

    def _band(self, size: int) -> np.ndarray:
        if size not in self._bands:
            place = np.arange(size)
            away = np.abs(place[:, None] - place)
            self._bands[size] = np.where(away <= self.fine_band, np.float32(0.0), NEVER)
        return self._bands[size]

    def _session(self, name: str, keep_memory: bool = False) -> Any:
        return open_session(self.folder, name, self._threads, keep_memory=keep_memory)


def _likeliest(logits: np.ndarray, temperature: float, together: int) -> np.ndarray:
    """Logits (N M, K) -> (N,): the likeliest code by the mean of each M draws' probabilities."""
    scaled = logits / np.float32(max(temperature, 1e-3))
    chance = np.exp(scaled - scaled.max(-1, keepdims=True))
    chance /= chance.sum(-1, keepdims=True)
    likeliest: np.ndarray = chance.reshape(-1, together, chance.shape[1]).mean(1).argmax(-1)
    return likeliest
