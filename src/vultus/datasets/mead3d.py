"""3DMEAD: the emotional talking-face videos of MEAD as FLAME numbers, in the layout that ProbTalk3D trains on.

    ROOT/param/M003_001_0_0.npy   subject, sentence, emotion 0-7, intensity 0-2: (1, T, 403), 25 fps
    ROOT/wav/M003_001_0_0.wav

403 = 300 shape + 100 expression + 3 jaw. Sources: EMOTE (Danecek et al. 2023) made the reconstruction, ProbTalk3D
(Wu et al. 2024, section 4 and its released loader) the layout and the splits; docs/datasets/mead3d.md.

Letters: T motion frames, E expression numbers.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np

from vultus.datasets.base import Finding, SplitTable, by_reason, shortened
from vultus.datasets.durations import compare_durations
from vultus.datasets.flame_sequence import MAX_GAP, FlameSequence, FlameSource, check_neutral
from vultus.errors import VultusError
from vultus.readers.numpy_files import read_npy
from vultus.rigs.flame import NUM_EXPRESSION, NUM_SHAPE, FlameModel
from vultus.speech import Speech

FPS = 25.0
EMOTIONS = ("neutral", "happy", "sad", "surprised", "fear", "disgusted", "angry", "contempt")
#: The 32 subjects of the published second stage; each is in train, val and test, with other sentences.
SUBJECTS = (
    *("M003", "M005", "M007", "M009", "M011", "M012", "M013", "M019", "M022", "M023", "M024", "M025", "M026", "M027"),
    *("M028", "M029", "M030", "M031", "W009", "W011", "W014", "W015", "W016", "W018", "W019", "W021", "W023", "W024"),
    *("W025", "W026", "W028", "W029"),
)
#: Subjects whom the second stage leaves out; validation and test of its first stage (the motion prior).
UNSEEN = {
    "val_unseen": ("M032", "M033", "M034", "M035", "W033", "W035", "W036"),
    "test_unseen": ("M037", "M039", "M040", "M041", "M042", "W037", "W038", "W040"),
}
SPLITS = ("train", "val", "test", "val_unseen", "test_unseen")
#: Last sentence of train, val and test: neutral takes have 40 sentences, emotional ones 30.
_LAST = {"neutral": {"train": 32, "val": 36, "test": 40}, "emotional": {"train": 24, "val": 27, "test": 30}}
_NAME = re.compile(r"([MW]\d{3})_(\d{1,3})_([0-7])_([0-2])")
_SOUNDS = (".wav", ".flac", ".m4a")
PAGE = "docs/datasets/mead3d.md"
_REMEDY = (
    f"expected ROOT/param/M003_001_0_0.npy ... and ROOT/wav, see {PAGE}; look with `vultus data check mead3d ROOT`"
)
#: The published model's inputs are (x - low) / (high - low): bounds of expression and jaw.
EXPRESSION_BOUNDS, JAW_BOUNDS = (-3.0, 3.0), (-0.1, 0.5)


def scaled(motion: np.ndarray) -> np.ndarray:
    """Motion (T, E + 3) -> the published model's input, where the bounds above become 0 and 1; nothing is clipped."""
    low, span = _bounds(motion)
    return ((np.asarray(motion, np.float32) - low) / span).astype(np.float32)


def unscaled(motion: np.ndarray) -> np.ndarray:
    """The inverse of `scaled`: what the published model gives -> FLAME numbers."""
    low, span = _bounds(motion)
    return (np.asarray(motion, np.float32) * span + low).astype(np.float32)


def _bounds(motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.array([EXPRESSION_BOUNDS] * (motion.shape[1] - 3) + [JAW_BOUNDS] * 3, np.float32)
    return edges[:, 0], edges[:, 1] - edges[:, 0]


def split_of(subject: str, sentence: int, emotion: int) -> str | None:
    """The split of a clip; None for subjects and sentences that the published lists do not name."""
    for split, people in UNSEEN.items():
        if subject in people:
            return split
    if subject not in SUBJECTS or sentence < 1:
        return None
    last = _LAST["emotional" if emotion else "neutral"]
    return next((split for split in ("train", "val", "test") if sentence <= last[split]), None)


class Mead3D(SplitTable[FlameSequence]):
    """3DMEAD on disk.

    Args:
        root: the folder that holds param and wav.
        flame: FLAME 2020 model file; see `FlameSource` for where else it is looked for. Only vertices need it.
        neutral: "common" (zero shape for all) or "own" (the clip's mean shape).
        num_expression: E, the first of the 100 expression numbers; 50 as published.

    Attributes:
        left_out: name of a file in param -> why it is in no split.

    Raises:
        VultusError: nothing of the kind at `root`, or a bad option.
    """

    name = "mead3d"

    def __init__(
        self,
        root: str | Path,
        *,
        flame: str | Path | FlameModel | None = None,
        neutral: str = "common",
        num_expression: int = 50,
    ) -> None:
        self.root = Path(root)
        if not 1 <= num_expression <= NUM_EXPRESSION:
            raise VultusError(f"mead3d: num_expression is {num_expression}; expected 1 to {NUM_EXPRESSION}")
        for folder in ("param", "wav"):
            if not (self.root / folder).is_dir():
                raise VultusError(f"mead3d: no folder {folder} under {self.root}; {_REMEDY}")
        self._num_expression = num_expression
        self._neutral = check_neutral(neutral)
        self.flame = FlameSource(flame, self.root)
        sounds = {path.stem: path for path in sorted((self.root / "wav").iterdir()) if path.suffix in _SOUNDS}
        self._by_split: dict[str, list[FlameSequence]] = {split: [] for split in SPLITS}
        self.left_out: dict[str, str] = {}
        for path in sorted((self.root / "param").glob("*.npy")):
            clip = self._clip(path, sounds.get(path.stem))
            if isinstance(clip, FlameSequence):
                self._by_split[clip.split].append(clip)
            else:
                self.left_out[path.stem] = clip
        if not self.splits:
            raise VultusError(f"mead3d: no clip with sound under {self.root}; {_REMEDY}")

    def _clip(self, path: Path, sound: Path | None) -> FlameSequence | str:
        """The clip, or why it is left out."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return "no name of 3DMEAD"
        subject, sentence, emotion, intensity = match.groups()
        split = split_of(subject, int(sentence), int(emotion))
        if split is None:
            return "in no published list"
        if sound is None:
            return "no sound of the same name"
        return FlameSequence(
            name=path.stem,
            subject=subject,
            # Sentence 5 of one emotion has other words than sentence 5 of another.
            sentence=f"{EMOTIONS[int(emotion)]}_{sentence}",
            split=split,
            source=self.name,
            fps=FPS,
            read_speech=functools.partial(Speech.load, sound),
            read_motion=functools.partial(_read_motion, path, self._num_expression),
            read_shape=functools.partial(_read_shape, path),
            flame=self.flame,
            neutral=self._neutral,
            labels={"emotion": EMOTIONS[int(emotion)], "intensity": intensity},
        )


def _read(path: Path) -> np.ndarray:
    """(T, 403), memory-mapped."""
    array = read_npy(path, "mead3d", f"obtain it again, see {PAGE}")
    width = NUM_SHAPE + NUM_EXPRESSION + 3
    if array.ndim != 3 or array.shape[0] != 1 or array.shape[2] != width:
        raise VultusError(f"mead3d: {path} has shape {array.shape}; expected (1, frames, {width})")
    return array[0]


def _read_motion(path: Path, num_expression: int) -> np.ndarray:
    rows = _read(path)
    return np.concatenate([rows[:, NUM_SHAPE : NUM_SHAPE + num_expression], rows[:, -3:]], axis=1)


def _read_shape(path: Path) -> np.ndarray:
    return np.asarray(_read(path)[:, :NUM_SHAPE].mean(0), np.float32)


def check(root: str | Path, flame: str | Path | None = None, *, durations: bool = True) -> list[Finding]:
    """What is at `root`; reads a few clips of each split. Never raises on a bad folder."""
    try:
        data = Mead3D(root, flame=flame)
    except Exception as error:  # a bad root may fail in any way, and this function is there to tell about it
        return [Finding(False, str(error) or type(error).__name__, f"see {PAGE}")]
    people = {clip.subject for split in data.splits for clip in data.split(split)}
    findings = [Finding(True, f"{len(people)} subjects")]
    missing = sorted({*SUBJECTS, *UNSEEN["val_unseen"], *UNSEEN["test_unseen"]} - people)
    if missing:
        what = f"no clips of {len(missing)} of the 47 published subjects: {shortened(missing)}"
        findings.append(Finding(False, what, f"obtain them, see {PAGE}"))
    for why, names in by_reason(data.left_out).items():
        findings.append(Finding(False, f"{len(names)} left out, {why}: {shortened(names)}", f"see {PAGE}"))
    for split in data.splits if durations else ():
        findings += compare_durations(f"split {split}", data.split(split), f"see {PAGE}", allowed=MAX_GAP, most=8)
    return [*findings, data.flame.finding()]
