"""The default encoder: Moonshine tiny-en (MIT), cut after its fifth block, run by onnxruntime; no torch.

A frame holds the residual stream after block 3 and after block 5 (288 channels each) and, unless `loudness=False`, two
channels of loudness (see loudness.py): 578 in all. Frame i stands at (384 i + 447) / 16000 s: the strides of the three
convolutions multiply to 64 * 3 * 2 = 384 samples and a frame sees 127 + 6 * 64 + 2 * 192 = 895.

Two things in the original take in all it is given, so that no window could give what one pass gives, and both are
bounded here. A frame attends to one second on either side (`REACH`); that changes the states of a ten-second clip by
about a quarter (relative L2 norm; correlation 0.96), which a method trained on them does not mind. And the first
normalisation, which takes out the level of the recording, goes by 20 s about each moment, 1.6 s of them ahead (`SPAN`,
`AHEAD_STEPS`): sound of up to 20 s as a whole, as in the original; longer sound by what a listener still remembers. Of
the sound before a window, 20 s of levels are kept, so that it knows as much as one pass.

Sound of more than 20 s goes through in windows of 20 s that overlap by 3.6 s, so that a kept frame has seen 1.6 seconds
on both sides; neighbours are cross-faded over 0.4 s. The states are within 1e-2 of those of a single pass (relative L2
norm; `benchmarks/windows.py`). 20 dB less or 10 dB more of level change them by 2 to 6 % (correlation 0.998).

Letters: S samples at 16 kHz, F feature frames, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.features.base import Features, as_samples, blocks_of
from vultus.features.loudness import AHEAD, Loudness
from vultus.features.windows import Grid, WindowedRun, Windows

if TYPE_CHECKING:
    from vultus.speech import SpeechSource

ASSET = Path(__file__).parent.parent / "assets" / "moonshine_tiny_block5.onnx"
FRAME_STRIDE, MIN_SAMPLES = 384, 895
RATE = SAMPLE_RATE / FRAME_STRIDE
CENTRE = MIN_SAMPLES // 2
OFFSET = CENTRE / SAMPLE_RATE
GRID = Grid(FRAME_STRIDE, MIN_SAMPLES)
#: Frames to either side that a frame attends to: one second.
REACH = 42
#: The first normalisation at step t of the first convolution goes by SPAN steps that end AHEAD_STEPS after t; 250 steps
#: are a second. The margin of a window is not to be less than AHEAD_STEPS, its length not less than SPAN.
SPAN, AHEAD_STEPS, STEPS_PER_FRAME = 5000, 390, 6
WINDOWS = Windows(length=20.0, hop=16.4, margin=1.6, fade=0.4)


def num_frames(num_samples: int) -> int:
    """Frames of a speech of `num_samples` samples; at least one, since shorter sound is padded.

    >>> num_frames(16000)
    40
    """
    return max(1, GRID.num_frames(num_samples))


class MoonshineEncoder:
    """Speech -> (F, 578) at 41.67 Hz.

    Args:
        loudness: whether the two channels of loudness are appended.
        threads: of onnxruntime; more than one helps only on an idle machine.
        windows: how long sound is cut; the default suits files. A live session takes short ones, such as
            `Windows(length=1.5, hop=0.1, margin=0.2, fade=0.0, first=0.4)`, and waits for `hop + margin`.
        path: a graph written by `moonshine_export` in place of the shipped one (a fine-tuned encoder).
    """

    name = "moonshine"
    rate, offset = RATE, OFFSET

    def __init__(
        self,
        *,
        loudness: bool = True,
        threads: int = 1,
        windows: Windows = WINDOWS,
        path: str | Path | None = None,
    ) -> None:
        self._plan = windows.in_frames(RATE)
        if loudness and self._plan[2] + self._plan[3] < AHEAD:
            raise VultusError(
                f"moonshine: margin + fade are {windows.margin + windows.fade:g} s; the loudness needs"
                f" {AHEAD / RATE:.2f} s of future; lengthen the margin or pass loudness=False"
            )
        self.loudness = loudness
        self._session = _session(Path(path) if path is not None else ASSET, threads)
        self._local = len(self._session.get_inputs()) == 2  # a graph with `local=False` keeps no levels
        self._channels = int(self.states(np.zeros(MIN_SAMPLES, np.float32)).shape[1])
        self.dimension = self._channels + (Loudness.dimension if loudness else 0)

    def __call__(self, speech: SpeechSource) -> Features:
        """Features of a whole speech; `values` (F, C) with F = max(1, (S - 895) // 384 + 1)."""
        return Features(np.concatenate(list(self.stream(speech.blocks()))), self.rate, self.offset)

    def stream(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Blocks (S,) float32 of any sizes -> blocks (f, C); see `Encoder.stream`."""
        states = WindowedRun(_Pass(self), GRID, self._plan, self._channels)
        loudness = Loudness(FRAME_STRIDE, CENTRE, MIN_SAMPLES)
        unheard: list[np.ndarray] = []  # sound that the loudness has not measured: it is asked only for settled frames
        waiting = np.zeros((0, Loudness.dimension), np.float32)
        for block in blocks:
            # A long block passes in pieces, so that it does not lie in memory many times over.
            for piece in blocks_of(as_samples(block)):
                frames = states.feed(piece)
                if self.loudness:
                    unheard.append(piece.copy())
                if not len(frames):
                    continue
                if self.loudness:
                    waiting = np.concatenate([waiting, loudness.feed(np.concatenate(unheard))])
                    unheard.clear()
                    frames, waiting = _join(frames, waiting)
                yield frames
        frames = states.finish()
        if self.loudness:
            last = np.concatenate([np.zeros(0, np.float32), *unheard])
            frames, _ = _join(frames, np.concatenate([waiting, loudness.feed(last), loudness.finish()]))
        yield frames

    def states(self, samples: np.ndarray) -> np.ndarray:
        """One pass of the network: samples (S,) float32, S >= 895 -> states (F, C) float32."""
        return _Pass(self)(samples, 0)


class _Pass:
    """One sound on its way through the network: remembers the levels that the next window has to know."""

    def __init__(self, encoder: MoonshineEncoder) -> None:
        self._run, self._local = encoder._session.run, encoder._local
        self._levels = np.zeros((0, 2))  # the last SPAN steps' levels, up to step `_end`
        self._end = 0

    def __call__(self, samples: np.ndarray, begin: int) -> np.ndarray:
        if not self._local:
            states: np.ndarray = self._run(None, {"samples": samples[None]})[0][0]
            return states
        first = begin * STEPS_PER_FRAME
        past = self._levels[: len(self._levels) - (self._end - first)][-SPAN:]
        states, levels = (out[0] for out in self._run(None, {"samples": samples[None], "history": past[None]}))
        self._levels, self._end = np.concatenate([past, levels]), first + len(levels)
        return states


def _join(frames: np.ndarray, loudness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sets frames (f, C) and the first f rows of loudness side by side; gives back the rows that are left."""
    count = len(frames)
    return np.concatenate([frames, loudness[:count]], axis=1), loudness[count:]


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    if threads < 1:
        raise VultusError(f"moonshine: threads is {threads}; expected 1 or more")
    if not path.is_file():
        raise VultusError(
            f"moonshine: no graph at {path}; the package ships one; reinstall vultus or, in a source tree, run"
            " python tools/build_moonshine.py"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Keeps a long run's memory at what one window needs.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common base class for its errors
        raise VultusError(
            f"moonshine: cannot load {path} ({str(error).splitlines()[0]}); expected an ONNX graph"
        ) from None
