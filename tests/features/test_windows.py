from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.features.windows import Grid, WindowedRun, Windows

GRID = Grid(stride=4, receptive=10)


def local(samples: np.ndarray) -> np.ndarray:
    """A network that sees only its own samples: windows must not be able to change it."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, GRID.receptive)[:: GRID.stride]
    return np.stack([frames.mean(1), frames[:, 0]], axis=1).astype(np.float32)


@pytest.mark.parametrize("num_samples", [10, 13, 14, 90, 93, 94, 97, 98, 131, 500, 1003])
@pytest.mark.parametrize("plan", [(20, 14, 2, 2, 20), (20, 1, 3, 0, 5), (6, 2, 0, 1, 6), (7, 7, 0, 0, 7)])
def test_a_local_network_is_left_unchanged(num_samples: int, plan: tuple[int, int, int, int, int]) -> None:
    samples = np.random.default_rng(num_samples).standard_normal(num_samples).astype(np.float32)
    run = WindowedRun(lambda sound, _: local(sound), GRID, plan, 2)
    parts = [run.feed(samples[i : i + 7]) for i in range(0, num_samples, 7)]
    values = np.concatenate([*parts, run.finish()])
    np.testing.assert_allclose(values, local(samples), rtol=1e-5, atol=1e-6)


def test_which_windows_are_run_and_how_they_blend() -> None:
    """A network that answers with the number of its call: the joins show, and can be worked out by hand."""
    calls: list[int] = []
    starts: list[int] = []

    def counting(samples: np.ndarray, begin: int) -> np.ndarray:
        starts.append(begin)
        calls.append(GRID.num_frames(len(samples)))
        return np.full((calls[-1], 1), len(calls) - 1, np.float32)

    run = WindowedRun(counting, GRID, (10, 6, 1, 3, 10), 1)
    values = np.concatenate([run.feed(np.zeros(4 * 17 + 10, np.float32)), run.finish()])[:, 0]
    # 18 frames. Windows: 0-9, 6-15 and the last one, 12-17. Fades: frames 6-8 and 12-14.
    assert calls == [10, 10, 6]
    assert starts == [0, 6, 12]
    np.testing.assert_allclose(values, [0] * 6 + [0.25, 0.5, 0.75] + [1] * 3 + [1.25, 1.5, 1.75] + [2] * 3)


def test_memory_holds_no_more_than_a_window_and_a_block() -> None:
    run = WindowedRun(lambda sound, _: local(sound), GRID, (20, 14, 2, 2, 20), 2)
    for _ in range(300):
        run.feed(np.zeros(100, np.float32))
        assert sum(len(part) for part in run._parts) <= 4 * 20 + 10 + 4 * 14 + 100


@pytest.mark.parametrize(
    "windows",
    [
        Windows(length=1.0, hop=0.9, margin=0.1, fade=0.1),
        Windows(length=1.0, hop=0.001, margin=0.1, fade=0.1),
        Windows(length=1.0, hop=0.5, margin=0.1, fade=0.1, first=0.2),
        Windows(length=1.0, hop=0.5, margin=0.1, fade=0.1, first=1.2),
        Windows(length=1.0, hop=0.5, margin=-0.2, fade=0.1),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(windows: Windows) -> None:
    with pytest.raises(VultusError, match=r"expected hop \+ margin \+ fade <= length"):
        windows.in_frames(50.0)
