"""How well regions found by geometry agree with the shipped head's own: prints the table of docs/benchmark.md.

python tools/check_face_geometry.py [IDENTITIES]
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from vultus.benchmark.face_geometry import find_regions
from vultus.head import load_head


def main() -> None:
    """Intersection over union of each region, over identities."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    scores: dict[str, list[float]] = {}
    for identity in (None, *range(count)):
        head = load_head(identity)
        bare = replace(head.template, topology=replace(head.topology, regions={}, parts={}))
        for name, found in find_regions(bare, "m").items():
            own = head.topology.regions[name]
            share = len(np.intersect1d(found, own)) / len(np.union1d(found, own))
            scores.setdefault(name, []).append(share)
    print(f"| region | mean overlap of {count + 1} faces | least |\n| --- | --- | --- |")
    for name, values in scores.items():
        print(f"| {name} | {np.mean(values):.2f} | {np.min(values):.2f} |")


if __name__ == "__main__":
    main()
