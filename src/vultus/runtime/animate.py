"""From a recording to a take: the story that `vultus animate` and `vultus.animate` tell.

1. open the recording (read in blocks, so that an hour fits);
2. the model listens and predicts motion at its own frame rate; the same reading feeds the prosody;
3. the motion moves to the wanted frame rate;
4. it comes to rest where nobody speaks, is smoothed and scaled as asked;
5. the layer of life (blinks, gaze, small head motion) is added to models that have none;
6. lips that should touch touch, and no lips pass through each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus import clock
from vultus.errors import VultusError, unknown_name
from vultus.head import load_head
from vultus.motion import Motion, Take
from vultus.runtime import finish
from vultus.runtime.base import Progress, TeeSource
from vultus.runtime.bundle import load
from vultus.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vultus.speech import SpeechSource


def animate(
    recording: str | Path | np.ndarray | SpeechSource,
    *,
    rate: int = clock.SAMPLE_RATE,
    model: str | Path | Any = "base",
    style: str | Path | None = None,
    identity: int | str | Mapping[str, float] | None = None,
    fps: float | str = 30.0,
    gain: str | Mapping[str, float] | None = None,
    smooth: float = 0.0,
    start: float | None = None,
    end: float | None = None,
    life: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Take:
    """Animates a face from a recording.

    Args:
        recording: a path, a mono array of samples at `rate`, or a Speech.
        rate: samples per second of an array, Hz.
        model: name or folder of a bundle, or a loaded model.
        style: preset name of the model, or a .npz/.csv of ours whose manner of moving is taken over.
        identity: another face: a seed, "seed=7,age=0.6,...", or a mapping; None is the average adult.
        fps: motion frames per second.
        gain: scale for each of jaw, lips, tongue, brows, eyes, head: "jaw=1.2,brows=0.5" or a mapping.
        smooth: standard deviation of extra temporal smoothing, ms.
        start: begin at this second of the recording.
        end: end at this second of the recording.
        life: add seeded blinks, gaze and small head motion where the model has none.
        seed: seed of whatever is random.
        progress: called with (done, total) while it works.

    Returns:
        A take; `take.save("talk.glb")` writes it.

    Raises:
        VultusError: anything wrong with the recording or the options, in one line.
    """
    fps = clock.check_fps(fps)  # type: ignore[arg-type]
    gains = finish.parse_gains(gain)
    if not 0.0 <= smooth <= 1000.0:
        raise VultusError(f"smooth is {smooth:g}; expected 0 to 1000 ms")
    source = _open(recording, rate, start, end)
    speaker = load(model) if isinstance(model, str | Path) else model
    head = load_head(identity)
    on_head = speaker.template.topology.digest == head.topology.digest
    if not on_head and identity is not None:
        raise VultusError(f"model '{speaker.name}' speaks with a face of its own topology; --identity does not apply")
    template = head.template if on_head else speaker.template
    reference = _reference(style, speaker)

    listener = finish.Listener()
    (motion,) = speaker.predict(
        TeeSource(source, listener), style=reference, template=template, seed=seed, progress=progress
    )
    num_frames = clock.num_motion_frames(listener.num_samples, fps)
    values = clock.resample_motion(motion.values, motion.fps, fps, num_frames)
    info = {
        "made_by": f"vultus {__version__}", "model": speaker.name, "style": str(style) if style else None,
        "identity": head.identity, "seed": seed, "life": life, "gain": gains, "smooth_ms": smooth,
    }  # fmt: skip
    if not on_head:  # another topology has no weights to finish: the vertices are as the model made them
        moved = finish.smooth_motion(values, fps, smooth)
        return Take(Motion(moved, fps, motion.rig), template, np.zeros((num_frames, 3), np.float32), source, info)
    values, head_rotation = finish.finish(
        values,
        fps,
        head=head,
        prosody=listener.prosody(),
        gains=gains,
        smooth=smooth,
        life=life,
        seed=seed,
        style=str(style) if style in speaker.styles else None,
        brows="browInnerUp" in speaker.still_shapes,
    )
    return Take(Motion(values, fps, head.rig), head.template, head_rotation, source, info)


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


def _reference(style: str | Path | None, speaker: Any) -> Any:
    """A preset name stays a name; anything that looks like a file becomes a style clip."""
    if style is None or (isinstance(style, str) and style in speaker.styles):
        return style
    from vultus.export.read import READABLE, read_motion

    if Path(style).suffix.lower() in READABLE:
        return read_motion(style)
    raise unknown_name(f"style of model '{speaker.name}'", str(style), speaker.styles)
