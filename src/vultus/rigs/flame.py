"""FLAME, read from the user's own model file: shape, expression and pose -> vertices by linear blend skinning.

    model = load_flame("generic_model.pkl")            # FLAME 2020, 2023 or 2023 Open, of flame.is.tue.mpg.de
    rig = FlameRig(model)                               # motion = 50 expression + 3 jaw numbers
    vertices = rig.vertices(motion, rig.template)       # on the common neutral face (zero shape)

Model: Li et al. 2017, "Learning a model of facial shape and expression from 4D scans", section 3, which takes its
skinning and pose correctives from SMPL (Loper et al. 2015, equations 2 to 10). Nothing of FLAME is shipped here.

Letters: T frames, B frames of a block, V vertices (5023), J joints (5), S shape and E expression numbers. Metres,
radians (axis-angle).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.readers.numpy_files import read_npz
from vultus.readers.safe_pickle import load_pickle
from vultus.topology import Template, Topology

#: Joints of FLAME in the order of the pose; left and right are the subject's.
JOINTS = ("global", "neck", "jaw", "left_eye", "right_eye")
NUM_SHAPE, NUM_EXPRESSION = 300, 100
OBTAIN = (
    "sign up at https://flame.is.tue.mpg.de, download FLAME 2020, 2023 or 2023 Open and pass its model file "
    "(such as flame=generic_model.pkl); see docs/datasets/flame.md"
)
_BLOCK = 32  # frames: about 8 MB of work at a time, which stays in the cache of most machines
_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


@dataclass(frozen=True, eq=False)
class FlameModel:
    """What a FLAME file holds, checked and laid out for speed.

    Attributes:
        neutral: (V, 3) float32, the face of zero shape and expression, metres.
        directions: (400, 3V) float32; 300 of shape, then 100 of expression.
        correctives: (9 (J - 1), 3V) float32; offsets for each entry of (rotation - identity) of joints 1 to J - 1.
        regressor: (J, V) float32; joints = regressor @ vertices.
        weights: (V, J) float32, rows that sum to 1.
        parents: of each joint, -1 for the first.
        digest: first 12 hexadecimal digits of the file's sha256: the releases differ, results should say which it was.
    """

    neutral: np.ndarray
    directions: np.ndarray
    correctives: np.ndarray
    regressor: np.ndarray
    weights: np.ndarray
    parents: tuple[int, ...]
    topology: Topology
    digest: str

    def face(self, shape: np.ndarray | None = None) -> Template:
        """The neutral face of a shape (up to 300 numbers); None is the common one, zero shape."""
        if shape is None:
            return Template(self.topology, self.neutral)
        numbers = np.asarray(shape, np.float32)
        if numbers.ndim != 1 or len(numbers) > NUM_SHAPE:
            raise VultusError(f"flame: shape numbers have shape {numbers.shape}; expected up to ({NUM_SHAPE},)")
        return Template(self.topology, self.neutral + (numbers @ self.directions[: len(numbers)]).reshape(-1, 3))

    def vertices(
        self,
        expression: np.ndarray,
        pose: Mapping[str, np.ndarray] | None = None,
        *,
        face: Template | None = None,
        shape: np.ndarray | None = None,
    ) -> np.ndarray:
        """Frames of parameters -> (T, V, 3) float32 metres.

        Args:
            expression: (T, E), E up to 100.
            pose: rotations by name of the joint (see JOINTS), each (T, 3); joints left out rest.
            face: the neutral face to move; the common one where None.
            shape: (T, S) numbers added frame by frame, for reconstructions whose shape is not constant.

        The joints follow shape and expression, as in the software that fits FLAME to pictures; the paper lets them
        follow the shape alone.

        Raises:
            VultusError: an array of another size, an unknown joint, numbers that are not finite.
        """
        psi = _rows("expression", expression, NUM_EXPRESSION)
        parts = [(psi, NUM_SHAPE)]
        if shape is not None:
            parts.append((_rows("shape", shape, NUM_SHAPE, len(psi)), 0))
        rotations = np.zeros((len(psi), len(JOINTS), 3))
        for joint, turn in (pose or {}).items():
            if joint not in JOINTS:
                raise VultusError(f"flame: no joint '{joint}'; expected some of {', '.join(JOINTS)}")
            rotations[:, JOINTS.index(joint)] = _rows(joint, turn, 3, len(psi), exact=True)
        base = (face or self.face()).vertices
        if base.shape != self.neutral.shape:
            raise VultusError(
                f"template has vertices of shape {base.shape}; rig 'flame' expects {self.neutral.shape}; "
                "use a template of the same topology"
            )
        turns = turn_matrices(rotations)
        out = np.empty((len(psi), *base.shape), np.float32)
        flat = np.asarray(base, np.float32).reshape(1, -1)
        for start in range(0, len(psi), _BLOCK):
            part = slice(start, start + _BLOCK)
            rest = out[part].reshape(-1, flat.shape[1])
            rest[:] = flat
            for numbers, first in parts:
                rest += numbers[part] @ self.directions[first : first + numbers.shape[1]]
            self._skin(out[part], turns[part])
        return out

    def _skin(self, rest: np.ndarray, turns: np.ndarray) -> None:
        """Poses (B, V, 3) in place. turns: (B, J, 3, 3), each rotation minus the identity, so that rest stays exact."""
        if not turns.any():
            return
        joints = np.einsum("jv,bvc->bjc", self.regressor, rest)
        flat = rest.reshape(len(rest), -1)
        for j in range(1, len(self.parents)):
            if turns[:, j].any():
                flat += turns[:, j].reshape(-1, 9) @ self.correctives[9 * (j - 1) : 9 * j]
        unposed = rest.copy()
        # A joint takes x to x + W x + s. With A_parent before it: W = T + W_p + W_p T, s = s_p - (T + W_p T) joint.
        world = np.zeros_like(turns)
        shift = np.zeros_like(joints)
        for j, parent in enumerate(self.parents):
            own = turns[:, j]
            if parent >= 0:
                own = own + world[:, parent] @ own
                world[:, j], shift[:, j] = world[:, parent], shift[:, parent]
            world[:, j] += own
            shift[:, j] -= np.einsum("bcd,bd->bc", own, joints[:, j])
            if world[:, j].any():
                here, weight = self._held[j]
                moved = unposed[:, here] @ world[:, j].transpose(0, 2, 1) + shift[:, j, None]
                rest[:, here] += weight * moved

    @functools.cached_property
    def _held(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each joint the vertices it holds and their weights (n, 1)."""
        found = [np.flatnonzero(column) for column in self.weights.T]
        return [(here, self.weights[here, j, None]) for j, here in enumerate(found)]


class FlameRig:
    """Motion = expression numbers, then 3 of the jaw (axis-angle), on a template of FLAME's topology.

    Args:
        model: see `load_flame`.
        num_expression: E; 50 as most reconstructions give.
    """

    name = "flame"

    def __init__(self, model: FlameModel, num_expression: int = 50) -> None:
        if not 1 <= num_expression <= NUM_EXPRESSION:
            raise VultusError(f"rig 'flame' has {num_expression} expression numbers; expected 1 to {NUM_EXPRESSION}")
        self.model = model
        self.num_expression = num_expression
        self.dimension = num_expression + 3

    @property
    def template(self) -> Template:
        """The common neutral face: zero shape."""
        return self.model.face()

    def vertices(self, motion: np.ndarray, template: Template) -> np.ndarray:
        """(T, E + 3) -> (T, V, 3) float32 metres; zero motion is the template, exactly.

        Raises:
            VultusError: the motion or the template is of another size.
        """
        motion = np.asarray(motion, np.float32)
        if motion.ndim != 2 or motion.shape[1] != self.dimension:
            raise VultusError(f"motion has shape {motion.shape}; rig 'flame' expects (frames, {self.dimension})")
        split = self.num_expression
        return self.model.vertices(motion[:, :split], {"jaw": motion[:, split:]}, face=template)


def turn_matrices(rotations: np.ndarray) -> np.ndarray:
    """Axis-angle (..., 3) radians -> rotation minus identity (..., 3, 3) float32; zeros give exact zeros."""
    r = np.asarray(rotations, np.float64)
    angle = np.linalg.norm(r, axis=-1)[..., None, None]
    cross = np.zeros((*r.shape, 3))
    cross[..., [2, 0, 1], [1, 2, 0]] = r
    cross[..., [1, 2, 0], [2, 0, 1]] = -r
    # Rodrigues: sin(a)/a K + (1 - cos a)/a^2 K^2; sinc is smooth where the angle is 0.
    full: np.ndarray = np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (cross @ cross)
    return full.astype(np.float32)


def _rows(what: str, values: Any, width: int, count: int | None = None, exact: bool = False) -> np.ndarray:
    array = np.asarray(values, np.float32)
    good = array.ndim == 2 and (array.shape[1] == width if exact else array.shape[1] <= width)
    if not good or (count is not None and len(array) != count):
        frames = "frames" if count is None else count
        most = "" if exact else " at most"
        raise VultusError(f"flame: {what} has shape {array.shape}; expected ({frames}, {width}{most})")
    if not np.isfinite(array).all():
        raise VultusError(f"flame: {what} holds NaN or infinite numbers; expected finite ones")
    return array


def load_flame(path: str | Path) -> FlameModel:
    """Reads a FLAME model file (.pkl, or .npz with the same names); the file read last is kept in memory.

    Raises:
        VultusError: no such file, a file that is not FLAME's, or a pickle that holds more than data.
    """
    path = Path(path)
    try:
        state = path.stat()
    except OSError:
        raise VultusError(f"flame: no file {path}; {OBTAIN}") from None
    return _load(path.resolve(), state.st_mtime_ns, state.st_size)


def _read(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".npz":
        return read_npz(path, "flame", OBTAIN, _KEYS)
    content = load_pickle(path, what="flame")
    if not isinstance(content, dict):
        raise VultusError(
            f"flame: {path} holds a {type(content).__name__}; expected the dict of a FLAME file; {OBTAIN}"
        )
    return content


def _dense(path: Path, key: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not array.size:
        raise VultusError(f"flame: {path}: {key} holds {array.dtype} {array.shape}; expected numbers; {OBTAIN}")
    if not np.isfinite(array).all():
        raise VultusError(f"flame: {path}: {key} holds NaN or infinite numbers; the file is damaged")
    return array


@functools.lru_cache(maxsize=2)
def _load(path: Path, changed: int, size: int) -> FlameModel:
    if not path.is_file():
        raise VultusError(f"flame: {path} is not a file; {OBTAIN}")
    raw = _read(path)
    missing = [key for key in _KEYS if key not in raw]
    if missing:
        raise VultusError(f"flame: {path} has no {', '.join(missing)}; expected a FLAME model file; {OBTAIN}")
    arrays = {key: _dense(path, key, raw[key]) for key in _KEYS}
    count = len(arrays["v_template"])
    joints = len(JOINTS)
    expected = {
        "v_template": (count, 3), "shapedirs": (count, 3, NUM_SHAPE + NUM_EXPRESSION), "weights": (count, joints),
        "posedirs": (count, 3, 9 * (joints - 1)), "J_regressor": (joints, count), "kintree_table": (2, joints),
        "f": (len(arrays["f"]), 3),
    }  # fmt: skip
    for key, shape in expected.items():
        if arrays[key].shape != shape:
            raise VultusError(f"flame: {path}: {key} has shape {arrays[key].shape}; expected {shape}; {OBTAIN}")
    faces = arrays["f"].astype(np.int64)
    if len(faces) and not 0 <= faces.min() <= faces.max() < count:
        raise VultusError(f"flame: {path}: f names vertices outside 0 to {count - 1}; the file is damaged")
    weights = arrays["weights"]
    if np.abs(weights.sum(1) - 1).max() > 1e-3:
        raise VultusError(f"flame: {path}: weights of a vertex do not sum to 1; the file is damaged")
    parents = (-1, *(int(p) for p in arrays["kintree_table"][0, 1:]))
    if any(not 0 <= parent < j for j, parent in enumerate(parents[1:], 1)):
        raise VultusError(f"flame: {path}: kintree_table is {parents}; expected parents before their children")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return FlameModel(
        neutral=arrays["v_template"].astype(np.float32),
        directions=np.ascontiguousarray(arrays["shapedirs"].reshape(3 * count, -1).T, np.float32),
        correctives=np.ascontiguousarray(arrays["posedirs"].reshape(3 * count, -1).T, np.float32),
        regressor=arrays["J_regressor"].astype(np.float32),
        weights=weights.astype(np.float32),
        parents=parents,
        topology=Topology(faces.astype(np.int32), count, parts=_parts(faces, weights), name="flame"),
        digest=digest,
    )


def _parts(faces: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Eyeballs are what the eye joints hold; the rest is skin."""
    owner = weights.argmax(1)[faces]
    eyes = {"eye_left": (owner == 3).all(1), "eye_right": (owner == 4).all(1)}
    masks = {"skin": ~(eyes["eye_left"] | eyes["eye_right"]), **eyes}
    return {name: np.flatnonzero(mask).astype(np.int32) for name, mask in masks.items()}
