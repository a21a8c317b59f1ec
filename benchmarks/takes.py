"""Cost of taking several performances of one recording: whole processes, parts of one, torch against exported graphs.

    python benchmarks/takes.py                        # the shipped bundle: 10 s and 10 min, one and four takes
    python benchmarks/takes.py --run RUNS/prior       # adds the step loop of the torch method in the same process
    python benchmarks/takes.py --hour                 # adds peak memory of an hour beside that of `base`

"core-s" are user + system seconds, on one thread. The target for one take of 10 s, start-up and speech encoder
included, is 0.1 core-seconds a second of speech, and for four takes 2.5 times one; it is not to grow to 10 min.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from animate import make_recording, run

SAMPLINGS = ("plain", "avg-10")
STEPS = 450
"""Steps of the loop that is timed alone: 30 s."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="takes", help="name or folder (default %(default)s)")
    parser.add_argument("--run", type=Path, help="training run of the same prior, for the torch method")
    parser.add_argument("--sampling", action="append", help="default: the bundle's own, plain and avg-10")
    parser.add_argument("--hour", action="store_true", help="measure an hour's memory too")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy's own threads start
    from vultus.runtime.bundle import load

    model: Any = load(options.bundle)
    samplings = options.sampling or list(dict.fromkeys([model.default_sampling, *SAMPLINGS]))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for seconds in (10, 600, *((3600,) if options.hour else ())):
            make_recording(folder / f"{seconds}.wav", seconds)
        _processes(options.bundle, samplings, folder, options.repeat)
        if options.hour:  # before torch: a new process counts what its parent had in memory when it was made
            _hour(options.bundle, folder)
        _parts(model, samplings, folder / "10.wav", options.repeat)
        _loops(model, options.run, options.repeat)


def _animate(folder: Path, seconds: int, *arguments: str) -> tuple[float, float, float]:
    return run(["animate", str(folder / f"{seconds}.wav"), "-o", str(folder / "x.csv"), "--quiet", *arguments], 1)


def _processes(bundle: str, samplings: list[str], folder: Path, repeat: int) -> None:
    print("whole processes to .csv, start-up included: core-s a second of speech\n")
    print(f"{'sampling':<24}{'1 x 10 s':>10}{'4 x 10 s':>10}{'4 over 1':>10}{'1 x 600 s':>11}{'4 x 600 s':>11}"
          f"{'4 over 1':>10}{'MB':>6}")  # fmt: skip
    _animate(folder, 10, "--model", bundle)
    for sampling in samplings:
        cost, peak = {}, 0.0
        for seconds, times in ((10, repeat), (600, 1)):
            for takes in (1, 4):
                given = ("--model", bundle, "--sampling", sampling, "--takes", str(takes))
                runs = [_animate(folder, seconds, *given) for _ in range(times)]
                cost[seconds, takes] = statistics.median(core for _, core, _ in runs) / seconds
                peak = max(peak, *(memory for _, _, memory in runs))
        print(
            f"{sampling:<24}{cost[10, 1]:>10.4f}{cost[10, 4]:>10.4f}{cost[10, 4] / cost[10, 1]:>10.2f}"
            f"{cost[600, 1]:>11.4f}{cost[600, 4]:>11.4f}{cost[600, 4] / cost[600, 1]:>10.2f}{peak:>6.0f}"
        )


def _core(call: Callable[[], object], repeat: int) -> float:
    """Median core-seconds of a call, the first one not counted."""
    call()
    found = []
    for _ in range(repeat):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return statistics.median(found)


def _parts(model: Any, samplings: list[str], recording: Path, repeat: int) -> None:
    from vultus.speech import Speech

    speech = Speech.load(recording)
    encoder = _core(lambda: model.encoder(speech), repeat) / speech.duration
    print(f"\nin one process, loaded: core-s a second of speech; the speech encoder alone {encoder:.4f}\n")
    print(f"{'sampling':<24}{'1 take':>10}{'4 takes':>10}{'4 over 1':>10}")
    for sampling in samplings:
        one, four = (
            _core(lambda n=number, s=sampling: model.predict(speech, num_takes=n, sampling=s), repeat) / speech.duration
            for number in (1, 4)
        )
        print(f"{sampling:<24}{one:>10.4f}{four:>10.4f}{four / one:>10.2f}")


def _loops(model: Any, training_run: Path | None, repeat: int) -> None:
    import numpy as np

    from vultus.methods.draws import noise
    from vultus.methods.sampling import Sampling

    network = model.network
    heard = np.random.default_rng(0).normal(size=(STEPS, network.sizes.width)).astype(np.float32)
    style, other = model.style(None)[None], None
    if training_run is not None:
        import torch

        from vultus.head import load_head
        from vultus.train.loop import load_run

        torch.set_num_threads(1)
        other, _ = load_run(training_run, rig=load_head().rig.matrix)
    print(f"\ndrawing alone ({STEPS} steps, coarse and fine): ms a step of all draws\n")
    print(f"{'draws':>6}{'graphs':>10}" + (f"{'torch':>10}{'torch over graphs':>20}" if other is not None else ""))
    for draws in (1, 4, 10, 40):
        numbers = np.stack([noise(0, 0, draw, STEPS, network.num_levels) for draw in range(draws)])

        def draw(
            method: Any, sound: Any, manner: Any, numbers: np.ndarray = numbers, few: int = max(1, repeat - 1)
        ) -> float:
            return 1e3 * _core(lambda: method.draw(sound, manner, Sampling(), numbers), few) / STEPS

        ours = draw(network, heard, style)
        line = f"{draws:>6}{ours:>10.3f}"
        if other is not None:
            theirs = draw(other, torch.from_numpy(heard)[None], torch.from_numpy(style))
            line += f"{theirs:>10.3f}{theirs / ours:>20.2f}"
        print(line)


def _hour(bundle: str, folder: Path) -> None:
    print("\nan hour to .csv: peak memory\n")
    _, core, least = _animate(folder, 3600, "--model", "base")
    print(f"{'base':<40}{least:>8.0f} MB{core / 3600:>10.4f} core-s a second")
    for takes, sampling in ((1, "plain"), (4, "plain"), (1, "avg-10")):
        given = ("--model", bundle, "--sampling", sampling, "--takes", str(takes))
        _, core, peak = _animate(folder, 3600, *given)
        print(f"{f'{takes} x {sampling}':<40}{peak:>8.0f} MB{core / 3600:>10.4f} core-s a second"
              f"{peak - least:>+8.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
