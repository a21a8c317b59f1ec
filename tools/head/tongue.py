"""The tongue: lower and narrower at rest than the source's, and the shapes that it lacks."""

from __future__ import annotations

import numpy as np

from head.geometry import smoothstep
from head.mesh import HeadMesh

JAW_TONGUE = 0.6  # of tongueDown in jawOpen: a tongue lies down as the mouth opens
OUT_LIFT = 0.07  # decimetres
UP_BACK = -0.05  # of the tip of the tongue when it rises, decimetres
UP_JAW, BACK_JAW = 0.1, 0.15  # the jaw opening at which the raised tip, or body, just touches the palate


class Tongue:
    """Smooth fields over the tongue at rest, from root (0) to tip (1), and the shapes made of them.

    Attributes:
        vertices: the vertices of the tongue in the head.
        tip, dorsum: the vertex of the tip, and the one on top of the body.
        ridge_z, dorsum_z: depths at which the raised tip, and the raised body, meet the palate.
    """

    def __init__(self, mesh: HeadMesh, rest: np.ndarray) -> None:
        self.size = len(rest)
        self.vertices = mesh.part_vertices("tongue")
        self.p = rest[self.vertices]
        z = self.p[:, 2]
        self.tip_z = float(z.max())
        self.along = smoothstep(z, self.tip_z - 0.66, self.tip_z)
        middle = np.abs(self.p[:, 0]) < 1e-3
        self.tip = int(self.vertices[np.argmax(np.where(middle, z + 0.5 * self.p[:, 1], -9))])
        dorsum = np.where(middle & (np.abs(z - (self.tip_z - 0.42)) < 0.1), self.p[:, 1], -9)
        self.dorsum = int(self.vertices[np.argmax(dorsum)])
        self.dorsum_z = float(rest[self.dorsum, 2] - 0.05)
        self.ridge_z = float(rest[self.tip, 2] + UP_BACK)

    def _field(self, d: np.ndarray) -> np.ndarray:
        out = np.zeros((self.size, 3))
        out[self.vertices] = d
        return out

    def rest_shift(self) -> np.ndarray:
        """The source's tongue fills the mouth: blade and body go down, the tip a little back."""
        front = smoothstep(self.p[:, 2], self.tip_z - 0.75, self.tip_z - 0.2)
        top = smoothstep(self.p[:, 1], self.p[:, 1].min() + 0.15, self.p[:, 1].max())
        return self._field(
            np.stack([-(0.22 + 0.08 * front) * self.p[:, 0], -0.022 * front - 0.02 * front * top, -0.04 * front], 1)
        )

    def up(self, rise: float) -> np.ndarray:
        """The tip curls up by `rise` to the ridge behind the upper teeth and draws back; the edges rise less."""
        z = self.p[:, 2]
        blade = np.clip((z - (self.tip_z - 0.42)) / 0.42, 0, 1) ** 1.7
        edge = 1 - 0.25 * np.clip(np.abs(self.p[:, 0]) / 0.25, 0, 1) ** 2
        return self._field(np.stack([-0.12 * blade * self.p[:, 0], rise * blade * edge, UP_BACK * blade], 1))

    def down(self) -> np.ndarray:
        """Blade and body flatten onto the floor of the mouth, the tip goes a little forward."""
        z, y = self.p[:, 2], self.p[:, 1]
        front = smoothstep(z, self.tip_z - 0.7, self.tip_z - 0.25)
        bins = np.round((z - z.min()) / 0.08).astype(int)
        floor = np.array([y[np.abs(bins - b) <= 1].min() for b in bins])  # the underside below each vertex
        return self._field(np.stack([0 * y, -0.03 * front - 0.4 * front * (y - floor), -0.01 * front], 1))

    def over_lip(self) -> np.ndarray:
        """What tongueOut lacks: the blade narrows and lifts over the lower teeth."""
        front = smoothstep(self.p[:, 2], self.tip_z - 0.6, self.tip_z - 0.15)
        return self._field(np.stack([-0.25 * front * self.p[:, 0], OUT_LIFT * front, 0 * front], 1))

    def back(self, rise: float) -> np.ndarray:
        """The body rises by `rise` and draws back, the tip follows back and sinks."""
        z = self.p[:, 2]
        rest_z = self.tip_z - 0.46
        bump = np.exp(-(((z - rest_z) / 0.2) ** 2))
        hump = bump * smoothstep(self.p[:, 1], self.p[:, 1].max() - 0.35, self.p[:, 1].max() - 0.15)
        front = smoothstep(z, self.tip_z - 0.5, self.tip_z)
        return self._field(
            np.stack([0 * z, rise * hump - 0.02 * front, -0.05 * hump - 0.07 * front - 0.02 * self.along], 1)
        )


def find_contacts(mesh: HeadMesh, tongue: Tongue, rest: np.ndarray) -> tuple[int, int]:
    """The vertices on the midline of the palate that the tip and the body of the tongue rise to: ridge, dome."""
    palate = mesh.part_vertices("palate")
    palate = palate[np.abs(rest[palate, 0]) < 1e-6]
    ridge, dome = (int(palate[np.argmin(np.abs(rest[palate, 2] - z))]) for z in (tongue.ridge_z, tongue.dorsum_z))
    return ridge, dome


def add_tongue_shapes(
    shapes: dict[str, np.ndarray], tongue: Tongue, rest: np.ndarray, contacts: tuple[int, int]
) -> None:
    """tongueDown, tongueUp and tongueBack are new; jawOpen and tongueOut are changed in place."""
    shapes["tongueDown"] = tongue.down()
    shapes["jawOpen"] = shapes["jawOpen"] + JAW_TONGUE * shapes["tongueDown"]
    ridge, dome = contacts
    jaw = shapes["jawOpen"][:, 1]
    shapes["tongueUp"] = tongue.up(rest[ridge, 1] - rest[tongue.tip, 1] - UP_JAW * jaw[tongue.tip])
    shapes["tongueBack"] = tongue.back(rest[dome, 1] - rest[tongue.dorsum, 1] - BACK_JAW * jaw[tongue.dorsum])
    shapes["tongueOut"] = shapes["tongueOut"] + tongue.over_lip()
