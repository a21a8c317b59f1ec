"""The exit test of a codec: what its codes lose, before a prior is trained on them.

    OMP_NUM_THREADS=1 python benchmarks/codec_exit_test.py RUN --data ROOT [--split val] [--limit 9] [--sync sync_head]

RUN is a finished run of `vultus train recipes/probabilistic_codec.toml`. Each clip of the split is coded whole and
decoded from 1, 2 ... Q levels. Wanted: lip error under 1.5 mm with all levels and under 4 mm with the first alone, more
than 80 % of the codes of each level used, a sync score (`--sync`, a scoring bundle) within 0.03 of the motion, and at
least 0.8 of the variance of upper face and head rotation explained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from vultus.benchmark.codec_exit import measure_codec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=100, help="clips, evenly spaced; default %(default)s")
    parser.add_argument("--sync", help="name or folder of a sync network")
    options = parser.parse_args()
    torch.set_num_threads(1)
    measured = measure_codec(options.run, options.data, split=options.split, limit=options.limit, sync=options.sync)
    found = measured.test
    print(f"{options.run.name}: {measured.clips} clips of {options.split}, {measured.seconds:.0f} s")
    for level, (error, use) in enumerate(zip(found.l_vertex, found.code_use, strict=True), 1):
        print(f"levels 1..{level}: l_vertex {error:.2f} mm; level {level} uses {100 * use:.0f} % of its codes")
    if found.sync_loss is not None:
        print(f"sync score lost: {found.sync_loss:+.3f}")
    for name, share in found.explained.items():
        print(f"{name.replace('_', ' ')}: {share:.2f} of the variance explained")
    print("passed" if found.passed else "FAILED")


if __name__ == "__main__":
    main()
