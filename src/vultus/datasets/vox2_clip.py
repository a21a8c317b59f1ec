"""The files of one clip of a VoxCeleb2 rebuild (see voxceleb2.py): its .npz and its sound.

Letters: T motion frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.clock import SAMPLE_RATE
from vultus.datasets.vox2_splits import ClipName
from vultus.errors import VultusError
from vultus.readers.numpy_files import read_npz
from vultus.speech import Speech

FPS = 25.0
SOUNDS = (".wav", ".flac", ".m4a", ".ogg", ".opus", ".mp4")
PAGE = "docs/datasets/voxceleb2.md"
_WIDTHS = {"exp": 50, "jaw": 3}
_FPS_WRITTEN = ("25", "25.0")
_SLACK = 0.1  # seconds that a decoded sound may fall short of its motion: AAC comes in blocks of 64 ms


@dataclass(frozen=True)
class ClipFiles:
    """Reads a clip. Every method raises VultusError where a file is missing, damaged or of another clip.

    Attributes:
        source: name of the data set, for messages.
        root: folder of the rebuild.
        audio: folder of VoxCeleb2's own sound, or None.
    """

    source: str
    root: Path
    audio: Path | None
    name: ClipName

    def motion(self) -> np.ndarray:
        """(T, 53): expression, then jaw."""
        found = self._read("exp", "jaw")
        if len(found["exp"]) != len(found["jaw"]):
            raise VultusError(
                f"{self}: exp has {len(found['exp'])} frames and jaw {len(found['jaw'])}; expected the same number"
            )
        return np.concatenate([found["exp"], found["jaw"]], axis=1)

    def shape(self) -> np.ndarray:
        """(100,), the mean over the clip's frames."""
        return self._read("shape")["shape"]

    def speech(self) -> Speech:
        """The sound of exactly the clip's frames."""
        found = self._read("exp", optional=("wav", "start"))
        seconds = len(found["exp"]) / FPS
        label = "_".join(self.name[1:])
        if "wav" in found:
            samples = Speech.from_array(found["wav"], SAMPLE_RATE, label).samples
        else:
            start = found.get("start", np.float64(0))
            if start.shape or start.dtype.kind not in "fiu":
                raise VultusError(f"{self}: start holds {start.dtype} {start.shape}; expected one number, seconds")
            samples = Speech.load(self._sound(), float(start), float(start) + seconds).samples
        wanted = round(seconds * SAMPLE_RATE)
        if len(samples) < wanted - _SLACK * SAMPLE_RATE:
            raise VultusError(
                f"{self}: sound lasts {len(samples) / SAMPLE_RATE:.2f} s; expected {seconds:.2f} s as the motion; "
                "check `start` and the sound"
            )
        return Speech(np.pad(samples, (0, max(0, wanted - len(samples))))[:wanted], label)

    def _read(self, *keys: str, optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
        """Some arrays, after checking what the file says of itself."""
        wanted = ("speaker", "video", "fps", *keys)
        path = self.root / f"{self.name}.npz"
        found = read_npz(path, self.source, f"make it again, see {PAGE}", (*wanted, *optional))
        missing = [key for key in wanted if key not in found]
        if missing:
            raise VultusError(f"{self} has no {', '.join(missing)}; expected the keys of {PAGE}; make it again")
        told = tuple(str(found.pop(key)) for key in ("speaker", "video", "fps"))
        if told[:2] != (self.name.speaker, self.name.video) or told[2] not in _FPS_WRITTEN:
            raise VultusError(
                f"{self} says speaker {told[0]}, video {told[1]}, fps {told[2]}; expected {self.name.speaker}, "
                f"{self.name.video}, {FPS:g} as its place says; make it again or move it"
            )
        for key in keys:
            width, shape = _WIDTHS.get(key), found[key].shape
            if len(shape) != (1 if width is None else 2) or (width is not None and shape[1] != width):
                expected = "(numbers,)" if width is None else f"(frames, {width})"
                raise VultusError(f"{self}: {key} has shape {shape}; expected {expected}; make it again")
        return found

    def _sound(self) -> Path:
        name, whole = self.name, self.name.utterance.partition("_")[0]  # 00001_2 is the second piece of 00001
        beside = self.root / name.part / name.speaker / name.video
        stems = [beside / name.utterance, beside / whole]
        if self.audio is not None:
            places = (f"{name.part}/aac", name.part, "aac")
            stems += [self.audio / place / name.speaker / name.video / whole for place in places]
        for file in (stem.with_name(stem.name + suffix) for stem in stems for suffix in SOUNDS):
            if file.is_file():
                return file
        raise VultusError(
            f"{self}: no sound: no wav in it, no sound file beside it; pass audio=FOLDER, the folder of VoxCeleb2's "
            "own sound"
        )

    def __str__(self) -> str:
        return f"{self.source}: {self.name}.npz"
