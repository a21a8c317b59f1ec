"""Speed of the built-in renderer on one core: frames a second by size, and what a process pays to start.

    OMP_NUM_THREADS=1 python benchmarks/render.py

A frame is the blendshape sum, normals, drawing and the conversion to display bytes; "to .mp4" adds H.264 encoding.
Times are medians of CPU time, so that neighbours on a shared machine count for little.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vultus.head import load_head
from vultus.motion import Motion, Take
from vultus.render.scene import Scene

FRAMES = 60

START = """
import time
import numba, numpy
from vultus.head import load_head
head = load_head()
start = time.perf_counter()
from vultus.render.scene import Scene
kernels = time.perf_counter()
scene = Scene(head.template, pivot=head.pivot)
scene.render(head.template.vertices)
print(kernels - start, time.perf_counter() - kernels)
"""


def talk(frames: int) -> Take:
    """A head that talks and turns, without sound."""
    head = load_head()
    times = np.arange(frames)[:, None] / 30
    generator = np.random.default_rng(0)
    values = 0.25 + 0.25 * np.sin(times * generator.uniform(4, 20, head.rig.dimension))
    rotation = 0.1 * np.sin(times * [1.1, 0.7, 0.3])
    motion = Motion(values.astype(np.float32), 30.0, head.rig)
    return Take(motion, head.template, rotation.astype(np.float32))


def milliseconds(take: Take, size: int, supersample: bool) -> float:
    """Median CPU time of one frame, blendshape sum included."""
    scene = Scene(take.template, supersample=supersample)
    spent = []
    for i in range(len(take)):
        start = time.process_time()
        scene.render(take.vertices(i, i + 1)[0], take.head_rotation[i], size)
        spent.append(time.process_time() - start)
    return float(np.median(spent[5:])) * 1000


def starts() -> list[tuple[str, float, float]]:
    """(cache, seconds for kernels, seconds for scene and first frame) of fresh processes, empty cache and filled."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cache in ("empty", "filled"):
            environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
            done = subprocess.run(
                [sys.executable, "-c", START], env=environment, capture_output=True, text=True, check=True
            )
            kernels, first = map(float, done.stdout.split())
            rows.append((cache, kernels, first))
    return rows


def main() -> None:
    take = talk(FRAMES)
    topology = take.template.topology
    print(f"{topology.num_vertices} vertices, {len(topology.faces)} triangles, one core\n")
    print("| size | samples a pixel | ms a frame | frames/s |\n|---:|---:|---:|---:|")
    for size in (256, 512, 720, 1080):
        for supersample in (True, False):
            spent = milliseconds(take, size, supersample)
            print(f"| {size} | {4 if supersample else 1} | {spent:.1f} | {1000 / spent:.0f} |")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk.mp4"
        start = time.process_time()
        take.save(path, size=512)
        spent = (time.process_time() - start) / len(take) * 1000
    print(f"| 512 to .mp4 | 4 | {spent:.1f} | {1000 / spent:.0f} |\n")
    print("| kernel cache | kernels, s | scene and first frame, s |\n|---|---:|---:|")
    for cache, kernels, first in starts():
        print(f"| {cache} | {kernels:.2f} | {first:.2f} |")


if __name__ == "__main__":
    main()
