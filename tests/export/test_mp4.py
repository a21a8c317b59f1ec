"""Video: read back by PyAV, compared with pictures drawn directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.motion import Take
from vultus.render.scene import Scene
from vultus.speech import Speech

SIZE = 64


def frames_of(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [
        float(frame.pts * frame.time_base) for frame in frames
    ]


def sound_of(path: Path) -> tuple[np.ndarray, int]:
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        pieces = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        return np.concatenate(pieces), track.rate


def drawn(take: Take, number: int, size: int = SIZE) -> np.ndarray:
    return Scene(take.template).render(take.vertices(number, number + 1)[0], take.head_rotation[number], size)


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found.astype(int) - expected).mean())


def tone(seconds: float, hz: float = 300.0) -> Speech:
    times = np.arange(round(seconds * 16000)) / 16000
    return Speech((0.4 * np.sin(2 * np.pi * hz * times) * (times > seconds / 2)).astype(np.float32))


@pytest.fixture(scope="module")
def lively(make_take: Callable[..., Take]) -> Take:
    """A take whose head turns far enough that neighbouring frames differ clearly."""
    take = make_take(frames=23, fps=30.0)
    take.head_rotation[:, 1] = np.linspace(-0.8, 0.8, 23)
    return take


def test_every_frame_shows_its_own_motion_frame(lively: Take, tmp_path: Path) -> None:
    lively.save(tmp_path / "a.mp4", size=SIZE, quality=8)
    frames, times = frames_of(tmp_path / "a.mp4")
    assert len(frames) == 23
    np.testing.assert_allclose(times, np.arange(23) / 30, atol=1e-6)
    pictures = [drawn(lively, i) for i in range(23)]
    distance = np.array([[error(frame, picture) for picture in pictures] for frame in frames])
    np.testing.assert_array_equal(distance.argmin(1), np.arange(23))
    assert distance.diagonal().max() < 4.0


def test_colours_survive(make_take: Callable[..., Take], tmp_path: Path) -> None:
    make_take(frames=2).save(tmp_path / "a.mp4", size=SIZE, background="#20c080", quality=4)
    frames, _ = frames_of(tmp_path / "a.mp4")
    assert np.abs(frames[0][:4, :4].astype(int) - [0x20, 0xC0, 0x80]).max() <= 4


def test_rate_size_and_streams(lively: Take, tmp_path: Path) -> None:
    lively.save(tmp_path / "a.mp4", size=(96, 64))
    with av.open(str(tmp_path / "a.mp4")) as container:
        video = container.streams.video[0]
        assert (video.width, video.height, video.average_rate) == (96, 64, 30)
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert not container.streams.audio
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")  # playable while it loads


@pytest.mark.parametrize("fps", [24.0, 60.0, 30000 / 1001])
def test_another_rate_keeps_duration_and_ends(lively: Take, tmp_path: Path, fps: float) -> None:
    lively.save(tmp_path / "a.mp4", size=SIZE, fps=fps, quality=8)
    frames, times = frames_of(tmp_path / "a.mp4")
    assert len(frames) == round(23 / 30 * fps)
    np.testing.assert_allclose(times, np.arange(len(frames)) / fps, atol=1e-5)
    assert error(frames[0], drawn(lively, 0)) < 4.0
    nearest = [np.argmin([error(frames[-1], drawn(lively, i)) for i in range(18, 23)]) + 18]
    assert abs(nearest[0] / 30 - times[-1]) <= 0.5 / 30 + 0.02


def test_sound_has_the_length_and_place_of_the_speech(lively: Take, tmp_path: Path) -> None:
    lively.speech = tone(23 / 30)
    try:
        lively.save(tmp_path / "a.mp4", size=SIZE)
    finally:
        lively.speech = None
    sound, rate = sound_of(tmp_path / "a.mp4")
    assert rate == 48000
    assert abs(len(sound) / rate - 23 / 30) < 1024 / 48000
    onset = np.flatnonzero(np.abs(sound) > 0.1)[0] / rate
    assert abs(onset - 23 / 60) < 0.01
    assert np.sqrt(np.mean(sound[int(0.5 * rate) : int(0.7 * rate)] ** 2)) == pytest.approx(0.4 / 2**0.5, rel=0.1)


def test_sound_in_odd_pieces_is_the_same(make_take: Callable[..., Take], tmp_path: Path) -> None:
    whole = np.sin(np.arange(24000) * 0.05).astype(np.float32) * np.float32(0.5)

    class Pieces:
        name, num_samples, duration = "pieces", 8000, 0.5

        def __init__(self, *cuts: int) -> None:
            self.cuts = cuts

        def blocks(self, block: int = 160_000) -> Iterator[np.ndarray]:
            yield whole[::3]

        def sound(self, rate: int) -> Iterator[np.ndarray]:
            assert rate == 48000
            yield from np.split(whole, self.cuts)

    for name, cuts in (("a", ()), ("b", (1, 1, 700, 5000, 5001, 23999))):
        take = make_take(frames=15)
        take.speech = Pieces(*cuts)
        take.save(tmp_path / f"{name}.mp4", size=SIZE)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_same_take_same_file_and_progress(lively: Take, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    lively.save(tmp_path / "a.mp4", size=SIZE, progress=lambda done, total: steps.append((done, total)))
    lively.save(tmp_path / "b.mp4", size=SIZE)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert steps == [(i + 1, 23) for i in range(23)]


def test_a_rig_without_weights_and_a_take_of_one_frame(make_take: Callable[..., Take], tmp_path: Path) -> None:
    make_take(frames=1, blendshapes=False).save(tmp_path / "a.mp4", size=SIZE)
    assert len(frames_of(tmp_path / "a.mp4")[0]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 65}, "even"),
        ({"size": 8}, "picture size is 8; expected 16 to 4096"),
        ({"size": 8192}, "picture size is 8192"),
        ({"fps": 0}, "fps is 0"),
        ({"quality": 99}, "quality is 99"),
        ({"background": "blue"}, "#rrggbb"),
        ({"framing": "feet"}, "unknown framing"),
    ],
)
def test_impossible_options_leave_nothing_behind(
    make_take: Callable[..., Take], tmp_path: Path, options: dict, message: str
) -> None:
    with pytest.raises(VultusError, match=message):
        make_take(frames=2).save(tmp_path / "a.mp4", **{"size": SIZE, **options})
    assert not list(tmp_path.iterdir())
