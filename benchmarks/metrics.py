"""Cost of the metrics on one long clip of a large mesh: CPU seconds and peak memory, side by side.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [--frames 300] [--vertices 23370] [--samples 100]

Each row is a process of its own, one thread, on made-up motion; BIWI's size by default. Two questions are answered:

- what all frame-wise metrics together cost against one `np.linalg.norm(p - r, axis=-1).mean()` over the same arrays
  (wanted: under 10 times);
- how exact time warping compares with the same computed by numpy, frame against blocks of frames (wanted: half the time
  at most, and a peak under 1 GB; all differences at once would need the memory printed below).

"CPU s" leaves out imports and the making of the arrays, and is the best of `--repeats`; "peak" is the largest resident
memory of the whole process, "grown" how much of it came after the arrays were made and the loops were loaded. The rows
with samples use one array again and again, so that they time the metrics and not the reading of files.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FRAMEWISE = ("lip_mean", "lip_max", "upper_mean", "face_mean", "lve", "lve_sq", "mve", "fdd", "fdd_abs")
WARPING = ("f_dtw", "f_dtw_mm23")
FAMILY = ("l_vertex", "l_cover", "l_cover_frame", "l_mean", "rho", "coverage_curve")
DIVERSITY = ("div_lips", "div_upper", "div_face")
GROUPS = {"frame-wise": FRAMEWISE, "warping": WARPING, "family": FAMILY, "diversity": DIVERSITY}
ROWS = {
    "norm": "np.linalg.norm(p - r, axis=-1).mean()",
    "frame-wise": f"all {len(FRAMEWISE)} frame-wise metrics",
    "numpy warping": "time warping, numpy in blocks",
    "warping": "f_dtw and f_dtw_mm23",
    "family": "lip errors and coverage of {samples} samples",
    "diversity": "diversity of {samples} samples, 3 regions",
}


def peak_megabytes() -> float:
    """Largest resident memory of this process so far; `getrusage` counts that of the parent before exec as well."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status; this benchmark needs Linux")


class Same(Sequence):  # type: ignore[type-arg]
    """One array as often as wanted."""

    def __init__(self, array: Any, count: int) -> None:
        self.array, self.count = array, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: Any) -> Any:
        if number >= self.count:
            raise IndexError(number)
        return self.array


def measure(row: str, frames: int, vertices: int, samples: int, repeats: int) -> dict[str, Any]:
    """One row, in this process."""
    import numpy as np

    from vultus.metrics import Example, kernels, score

    assert kernels.CHUNK  # the loops are loaded
    rng = np.random.default_rng(0)
    template = rng.normal(0, 0.05, (vertices, 3)).astype(np.float32)
    reference = np.empty((frames, vertices, 3), np.float32)
    prediction = np.empty_like(reference)
    for t in range(frames):  # frame by frame: nothing larger than the two arrays
        reference[t] = template + 0.005 * np.sin(t / 9 + template[:, :1] * 40)
        prediction[t] = reference[t] + rng.standard_normal((vertices, 3), np.float32) * np.float32(0.001)
    regions = {"lips": np.arange(0, vertices, 5)[: 4996 * vertices // 23_370], "upper_face": np.arange(1, vertices, 3)}

    def ours() -> list[float]:
        count = samples if row in ("family", "diversity") else 1
        example = Example.from_arrays(reference, Same(prediction, count), template, regions)
        return [score(name, example) for name in GROUPS[row]]

    def norm() -> list[float]:
        return [1000 * float(np.linalg.norm(prediction - reference, axis=-1).mean())]

    def numpy_warping() -> list[float]:
        cost = np.empty((frames, frames))
        block = max(1, (4 << 20) // (12 * vertices))
        for i in range(frames):
            for begin in range(0, frames, block):
                d = prediction[begin : begin + block] - reference[i]
                cost[i, begin : begin + block] = np.sqrt(np.einsum("tvk,tvk->tv", d, d)).mean(1)
        total = cost.copy()
        total[0] = np.cumsum(cost[0])
        total[:, 0] = np.cumsum(cost[:, 0])
        for i in range(1, frames):
            for j in range(1, frames):
                total[i, j] += min(total[i - 1, j], total[i, j - 1], total[i - 1, j - 1])
        return [1000 * float(total[-1, -1]) / frames]

    todo: dict[str, Callable[[], list[float]]] = {"norm": norm, "numpy warping": numpy_warping}
    work = todo.get(row, ours)
    held = peak_megabytes()
    best, values = float("inf"), [0.0]
    for _ in range(repeats):
        begin = time.process_time()
        values = work()
        best = min(best, time.process_time() - begin)
    peak = peak_megabytes()
    return {"seconds": best, "peak": peak, "grown": peak - held, "values": values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--vertices", type=int, default=23_370)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = (arguments.frames, arguments.vertices, arguments.samples)
    if arguments.row:
        print(json.dumps(measure(arguments.row, *size, arguments.repeats)))
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    print(f"{arguments.frames} frames of {arguments.vertices} vertices")
    print(f"{'':<44}{'CPU s':>9}{'peak MB':>9}{'grown MB':>10}")
    rows = {}
    for row, title in ROWS.items():
        command = [sys.executable, __file__, "--row", row]
        command += [f"--frames={size[0]}", f"--vertices={size[1]}", f"--samples={size[2]}"]
        command += ["--repeats", str(1 if row in ("numpy warping", "diversity") else arguments.repeats)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        rows[row] = json.loads(done.stdout)
        title = title.format(samples=arguments.samples)
        print(
            f"{title:<44}{rows[row]['seconds']:>9.3f}{rows[row]['peak']:>9.0f}{rows[row]['grown']:>10.0f}", flush=True
        )
    direct = arguments.frames**2 * arguments.vertices * 3 * 4 / 1e9
    print(f"frame-wise metrics together / norm: {rows['frame-wise']['seconds'] / rows['norm']['seconds']:.2f}")
    print(f"numpy warping / ours: {rows['numpy warping']['seconds'] / rows['warping']['seconds']:.1f}")
    print(f"all differences of all pairs of frames at once: {direct:.1f} GB")
    plain, ours = rows["numpy warping"]["values"][0], rows["warping"]["values"][0]
    print(f"f_dtw by numpy {plain:.6f} mm, ours {ours:.6f} mm")


if __name__ == "__main__":
    main()
