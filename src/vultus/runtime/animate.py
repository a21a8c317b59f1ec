"""From a recording to takes: the story that `vultus animate` and `vultus.animate` tell.

1. open the recording (read in blocks, so that an hour fits);
2. the model listens once and predicts every take at its own frame rate; the same reading feeds the prosody;
3. the motion moves to the wanted frame rate;
4. it comes to rest where nobody speaks, is smoothed and scaled as asked;
5. the layer of life adds what the model does not make of blinks, gaze, brows and head motion;
6. lips that should touch touch, and no lips pass through each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus import clock
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.motion import Motion, Take
from vultus.runtime import finish
from vultus.runtime.base import Progress, TeeSource
from vultus.runtime.bundle import load
from vultus.runtime.defaults import MAX_TAKES, default_model
from vultus.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vultus.export.read import StyleClip
    from vultus.speech import SpeechSource

_SEEDS_OF_TAKE = 1 << 32
"""Life of take n + 1 starts this far from that of take n: seeds below it never meet."""


def animate(
    recording: str | Path | np.ndarray | SpeechSource,
    *,
    rate: int = clock.SAMPLE_RATE,
    model: str | Path | Any = None,
    style: str | Path | StyleClip | None = None,
    identity: int | str | Mapping[str, float] | None = None,
    fps: float | str = 30.0,
    gain: str | Mapping[str, float] | None = None,
    smooth: float = 0.0,
    start: float | None = None,
    end: float | None = None,
    life: bool = True,
    seed: int = 0,
    sampling: str | None = None,
    progress: Progress | None = None,
) -> Take:
    """Animates a face from a recording.

    Args:
        recording: a path, a mono array of samples at `rate`, or a Speech.
        rate: samples per second of an array, Hz.
        model: name or folder of a bundle, or a loaded model; None for `runtime.defaults.default_model`.
        style: preset name of the model; a recorded clip (.npz, .csv, .json or .glb) whose manner is taken over; or a
            mixture of those, "lively*0.3+clip.glb*0.7".
        identity: another face: a seed, "seed=7,age=0.6,...", or a mapping; None is the average adult.
        fps: motion frames per second.
        gain: scale for each of jaw, lips, tongue, brows, eyes, head: "jaw=1.2,brows=0.5" or a mapping.
        smooth: standard deviation of extra temporal smoothing, ms.
        start: begin at this second of the recording.
        end: end at this second of the recording.
        life: add seeded blinks, gaze, brows and head motion where the model makes none.
        seed: seed of whatever is random.
        sampling: how a model that gives several takes draws them, such as "plain" or "avg-10"
            (docs/probabilistic.md); None is the model's own way.
        progress: called with (done, total) while it works.

    Returns:
        A take; `take.save("talk.glb")` writes it.

    Raises:
        VultusError: anything wrong with the recording or the options, in one line.
    """
    return next(
        each_take(
            recording, num_takes=1, rate=rate, model=model, style=style, identity=identity, fps=fps, gain=gain,
            smooth=smooth, start=start, end=end, life=life, seed=seed, sampling=sampling, progress=progress,
        )
    )  # fmt: skip


def animate_takes(
    recording: str | Path | np.ndarray | SpeechSource, *, num_takes: int = 4, **options: Any
) -> list[Take]:
    """Several performances of one recording, from one listening.

    Args:
        recording: as for `animate`.
        num_takes: 1 to 100; more than one needs a model that gives several.
        options: those of `animate`. Take n is the same whatever `num_takes` is.

    Raises:
        VultusError: anything wrong with the recording or the options, in one line.
    """
    return list(each_take(recording, num_takes=num_takes, **options))


def each_take(
    recording: str | Path | np.ndarray | SpeechSource,
    *,
    num_takes: int,
    rate: int = clock.SAMPLE_RATE,
    model: str | Path | Any = None,
    style: str | Path | StyleClip | None = None,
    identity: int | str | Mapping[str, float] | None = None,
    fps: float | str = 30.0,
    gain: str | Mapping[str, float] | None = None,
    smooth: float = 0.0,
    start: float | None = None,
    end: float | None = None,
    life: bool = True,
    seed: int = 0,
    sampling: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Take]:
    """As `animate_takes`, one take at a time: the model has listened and predicted when this returns, and each take is
    finished when it is asked for, so that many takes of an hour fit in memory."""
    fps = clock.check_fps(fps)  # type: ignore[arg-type]
    gains = finish.parse_gains(gain)
    if not 0.0 <= smooth <= 1000.0:
        raise VultusError(f"smooth is {smooth:g}; expected 0 to 1000 ms")
    check_num_takes(num_takes)
    source = _open(recording, rate, start, end)
    model = default_model(num_takes, sampling) if model is None else model
    speaker = load(model) if isinstance(model, str | Path) else model
    head = load_head(identity)
    on_head = speaker.template.topology.digest == head.topology.digest
    if not on_head and identity is not None:
        raise VultusError(f"model '{speaker.name}' speaks with a face of its own topology; --identity does not apply")
    style = str(style) if isinstance(style, Path) else style

    listener = finish.Listener()
    predicted = speaker.predict(
        TeeSource(source, listener), style=style, template=head.template if on_head else speaker.template,
        num_takes=num_takes, seed=seed, sampling=sampling, progress=progress,
    )  # fmt: skip
    motions = list(predicted)
    del predicted  # each take's motion is let go of when it is finished
    num_frames = clock.num_motion_frames(listener.num_samples, fps)
    info = {
        "made_by": f"vultus {__version__}", "model": speaker.name,
        "style": style if style is None or isinstance(style, str) else style.source,
        "identity": head.identity, "seed": seed, "life": life, "gain": gains, "smooth_ms": smooth,
    }  # fmt: skip
    if speaker.takes_apart:
        info["sampling"] = speaker.default_sampling if sampling is None else sampling
    prosody = listener.prosody()

    def finished() -> Iterator[Take]:
        for number in range(1, num_takes + 1):
            motion = motions.pop(0)
            values = clock.resample_motion(motion.values, motion.fps, fps, num_frames)
            turn = motion.head_rotation
            turn = None if turn is None else clock.resample_motion(turn, motion.fps, fps, num_frames)
            rig = motion.rig
            del motion
            told = {**info, "take": number} if speaker.takes_apart else dict(info)
            if not on_head:  # another topology has no weights to finish: the vertices are as the model made them
                moved = finish.smooth_motion(values, fps, smooth)
                turn = (
                    np.zeros((num_frames, 3), np.float32) if turn is None else turn * np.float32(gains.get("head", 1))
                )
                yield Take(Motion(moved, fps, rig), speaker.template, turn, source, told)
                continue
            values, turn = finish.finish(
                values,
                fps,
                head=head,
                prosody=prosody,
                gains=gains,
                smooth=smooth,
                life=life,
                seed=seed + (number - 1) * _SEEDS_OF_TAKE,
                style=style if isinstance(style, str) else None,
                still=speaker.still_shapes,
                head_rotation=turn,
            )
            yield Take(Motion(values, fps, head.rig), head.template, turn, source, told)

    return finished()


def check_num_takes(num_takes: int) -> None:
    """VultusError where so many takes cannot be asked for."""
    if isinstance(num_takes, bool) or not isinstance(num_takes, int | np.integer) or not 1 <= num_takes <= MAX_TAKES:
        raise VultusError(f"{num_takes} takes asked for; expected 1 to {MAX_TAKES}")


def _open(
    recording: str | Path | np.ndarray | SpeechSource, rate: int, start: float | None, end: float | None
) -> SpeechSource:
    from vultus.speech import Speech, open_speech

    if isinstance(recording, str | Path):
        return open_speech(recording, start=start, end=end)
    if isinstance(recording, np.ndarray):
        recording = Speech.from_array(recording, rate)
    if start is not None or end is not None:
        raise VultusError("start and end apply to a file; cut the array instead")
    return recording
