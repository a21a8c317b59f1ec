"""Runs scoring bundles with onnxruntime and numpy, and finds the one for a topology. No torch.

Letters: T motion frames, V vertices, L lip vertices, W windows, D components, E embedding.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vultus.errors import VultusError, unknown_name
from vultus.metrics.base import Unavailable
from vultus.runtime.bundle import BUNDLES, read_config, verify
from vultus.scoring import signals
from vultus.topology import Topology

if TYPE_CHECKING:
    from vultus.speech import Speech

Kind = Literal["sync", "style"]
SHIPPED = BUNDLES / "scoring"
BATCH = 256
BLOCK = 64
"""Windows and frames handled together: what a network is given at once, and what is projected at once."""


class Scorer:
    """A scoring network of a bundle.

    Attributes:
        config: config.json.
        digest: of the topology that it is for.
        unit: of the coordinates that it was trained on, "m" or "area"; it is given mm or `area`.
        gate: the GateReport of its training, as a dict.
        embedding: E.
    """

    kind: Kind
    graphs: tuple[str, ...]

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        import onnxruntime

        wrong = verify(folder)
        if wrong:
            raise VultusError(f"{folder}: {wrong[0]} does not agree with SHA256SUMS; expected the files as they came")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.folder, self.config = folder, config
        try:
            self.digest, self.unit = str(config["topology"]), str(config["unit"])
            self.num_vertices, self.embedding = int(config["num_vertices"]), int(config["embedding"])
            self.gate: dict[str, Any] = dict(config["gate"])
            with open(folder / "arrays.npz", "rb") as file, np.load(file, allow_pickle=False) as arrays:
                self.arrays = {name: arrays[name] for name in arrays.files}
            self._sessions = [
                onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
                for name in self.graphs
            ]
        except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile, RuntimeError) as error:
            raise VultusError(f"{folder}: not a whole scoring bundle ({error!r})") from None

    @property
    def name(self) -> str:
        """As the bundle calls itself."""
        return str(self.config.get("name", self.folder.name))

    def check_shape(self, offsets: np.ndarray) -> None:
        """VultusError unless (T, V, 3) of this topology."""
        if offsets.ndim != 3 or offsets.shape[1:] != (self.num_vertices, 3) or not len(offsets):
            raise VultusError(
                f"{self.name}: offsets have shape {offsets.shape}; expected (frames, {self.num_vertices}, 3)"
            )

    def _run(self, graph: int, windows: np.ndarray) -> np.ndarray:
        session = self._sessions[graph]
        name = session.get_inputs()[0].name
        parts = [session.run(None, {name: windows[i : i + BATCH]})[0] for i in range(0, len(windows), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.embedding), np.float32)


class SyncScorer(Scorer):
    """Embeds 0.2 s of lips and 0.2 s of sound; W = T' - 4 windows, one at each of T' frames at 25 fps."""

    kind: Kind = "sync"
    graphs = ("mesh.onnx", "audio.onnx")

    def mesh(self, moving: np.ndarray, template: np.ndarray, fps: float, scale: float) -> np.ndarray:
        """Embeddings (W, E) of a motion; W is 0 where it is shorter than 0.2 s.

        Args:
            moving: (T, V, 3).
            template: (V, 3), the neutral face.
            fps: of the motion.
            scale: what coordinates are multiplied by to be in mm (or 1 for `area`).
        """
        self.check_shape(moving)
        lips = self.arrays["lips"]
        offsets = (np.asarray(moving[:, lips], np.float32) - template[lips]) * np.float32(scale)
        return self.lips(signals.at_25(offsets.reshape(len(offsets), -1), fps))

    def lips(self, motion: np.ndarray) -> np.ndarray:
        """Embeddings (W, E) of lips at 25 fps, (T', 3 L) mm away from the neutral face."""
        starts = np.arange(max(0, len(motion) - signals.SYNC_FRAMES + 1))
        return self._in_batches(0, starts, lambda some: signals.motion_windows(motion, some))

    def audio(self, speech: Speech, num_windows: int) -> np.ndarray:
        """Embeddings (W, E) of the sound of the first W windows; a sound that ends earlier is held at its end."""
        return self.sound(signals.log_mel(speech), np.arange(num_windows))

    def sound(self, mel: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Embeddings (W, E) of the windows of log-mel frames (F, 80) that begin at these frames of 25 fps."""
        return self._in_batches(1, starts, lambda some: signals.mel_windows(mel, some))

    def _in_batches(self, graph: int, starts: np.ndarray, windows: Any) -> np.ndarray:
        parts = [self._run(graph, windows(starts[i : i + BATCH])) for i in range(0, len(starts), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.embedding), np.float32)


class StyleScorer(Scorer):
    """Embeds 4 s of a whole face's motion."""

    kind: Kind = "style"
    graphs = ("style.onnx",)

    def windows(self, offsets: np.ndarray, fps: float, scale: float) -> np.ndarray:
        """Embeddings (W, E), one each 2 s; a clip of 1.6 to 4 s gives one, a shorter one none.

        Args:
            offsets: (T, V, 3) from the neutral face.
            fps: of the motion.
            scale: as in `SyncScorer.mesh`.
        """
        self.check_shape(offsets)
        basis, mean = self._basis
        flat = offsets.reshape(len(offsets), -1)
        blocks = [(flat[i : i + BLOCK] * np.float32(scale) - mean) @ basis for i in range(0, len(flat), BLOCK)]
        motion = signals.at_25(np.concatenate(blocks) / self.arrays["deviation"], fps)
        starts = signals.style_starts(len(motion))
        return self._run(0, signals.motion_windows(motion, starts, min(len(motion), signals.STYLE_FRAMES)))

    def clip(self, offsets: np.ndarray, fps: float, scale: float) -> np.ndarray | None:
        """The embedding of a clip, (E,) of length 1: the mean of its windows; None where it is shorter than 1.6 s."""
        windows = self.windows(offsets, fps, scale)
        return signals.unit_rows(windows.mean(0)) if len(windows) else None

    @functools.cached_property
    def _basis(self) -> tuple[np.ndarray, np.ndarray]:
        return self.arrays["basis"].astype(np.float32), self.arrays["mean"].astype(np.float32)


KINDS: dict[str, type[Scorer]] = {"sync": SyncScorer, "style": StyleScorer}


def load_scorer(name_or_folder: str | Path) -> Scorer:
    """A shipped network by name, or the one in a bundle folder; VultusError where there is none."""
    shipped = [path.name for path, _ in scoring_bundles(SHIPPED)]
    folder = SHIPPED / name_or_folder if str(name_or_folder) in shipped else Path(name_or_folder)
    if not folder.is_dir():
        raise unknown_name("scoring network", str(name_or_folder), shipped)
    config = read_config(folder)
    if config.get("kind") not in KINDS:
        raise VultusError(f"{folder}: kind is {config.get('kind')!r}; expected the folder of a sync or style network")
    return KINDS[config["kind"]](folder, config)


def scoring_bundles(folder: str | Path) -> list[tuple[Path, dict[str, Any]]]:
    """Scoring bundles and their config.json: the folder itself and those one level below it; VultusError if none."""
    folder = Path(folder)
    there = [path.resolve() for path in (folder, *sorted(folder.glob("*/"))) if (path / "config.json").is_file()]
    found = [(path, config) for path in there if (config := read_config(path)).get("kind") in KINDS]
    if not found:
        what = "holds no scoring bundle" if folder.is_dir() else "no such folder"
        raise VultusError(f"{folder}: {what}; expected a folder made by `vultus scorer train`")
    return found


@functools.lru_cache(maxsize=8)
def _loaded(folder: Path) -> Scorer:
    return load_scorer(folder)


def find_scorer(kind: Kind, topology: Topology, folders: Iterable[str | Path] = (), use: str = "score") -> Scorer:
    """The first network of a kind for a topology, in the user's folders, then among the shipped bundles.

    Args:
        kind: "sync" or "style".
        topology: told by its digest.
        folders: bundles, or folders of bundles.
        use: "score", or "select" for the network that a sampler may choose by; the two are never the same.

    Raises:
        VultusError: a folder that does not exist or holds no bundle.
        Unavailable: none for this topology.
    """
    wanted = (kind, topology.digest, use)
    for folder in (*map(Path, folders), SHIPPED):
        for candidate, config in scoring_bundles(folder):
            if (config["kind"], config.get("topology"), config.get("use", "score")) == wanted:
                return _loaded(candidate)
    raise Unavailable(
        f"no {kind} network for this topology; train one: vultus scorer train {kind} --data NAME:ROOT --out DIR"
    )
