"""The shipped head: one mesh, 52 ARKit shapes and 3 of the tongue, and any number of people to wear them.

The asset is made by tools/build_head.py from CC0 parts; docs/head.md tells how. Identities are sums of stored fields:
MakeHuman's macro targets, each weighed by the product of the weights of the words in its name (a "young african female"
target by young x african x female), and local targets, weighed one by one.

Letters: V vertices, K shapes, I identity fields. Metres; the origin is the joint between skull and spine, about
between the ears.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from vultus.errors import VultusError, unknown_name
from vultus.rigs.blendshapes import BlendshapeRig
from vultus.topology import Template, Topology

MACRO_DEFAULTS: dict[str, float] = {
    "age": 0.5,
    "sex": 0.5,
    "weight": 0.5,
    "muscle": 0.5,
    "african": 1 / 3,
    "asian": 1 / 3,
    "caucasian": 1 / 3,
}
"""The parameters of a body, all in [0, 1], and the average adult.

age: 0 baby, 0.1875 child of 10, 0.5 adult of 25, 1 old; sex: 0 female, 1 male; the three origins count relative to
their sum.
"""

AGES = {"baby": 0.0, "child": 0.1875, "young": 0.5, "old": 1.0}
LOCAL_DEVIATION = 0.18  # of the local parameters of a random person; 0.35 gives caricatures
LOCAL_LIMIT = 0.5
WEIGHT_ON_FACE = 0.6  # of "head-fat" at weight 1


@dataclass(frozen=True, eq=False)
class Head:
    """A person's face, ready to move.

    Attributes:
        template: the neutral face.
        rig: the blendshapes; the same deltas for every person.
        topology: the mesh, shared by all persons.
        pivot: (3,) float32, the point in the neck about which `head_rotation` turns, metres.
        identity: the parameters that made the person; empty for the average adult.
    """

    template: Template
    rig: BlendshapeRig
    topology: Topology
    pivot: np.ndarray
    identity: dict[str, float]

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that tell this neutral face and its shapes from others."""
        sha = hashlib.sha256(self.topology.digest.encode())
        # To 10 um: the last bits of a sum may differ from machine to machine.
        sha.update(np.round(self.template.vertices * 1e5).astype("<i4").tobytes())
        sha.update(",".join(self.rig.names).encode())
        sha.update(asset_digest().encode())
        return sha.hexdigest()[:16]


@cache
def _asset() -> tuple[dict[str, Any], Any]:
    """(meta, open archive); arrays are read when asked for."""
    path = resources.files("vultus") / "assets" / "head.npz"
    archive = np.load(str(path), allow_pickle=False)
    return json.loads(archive["meta"].tobytes()), archive


@cache
def asset_digest() -> str:
    """16 hexadecimal digits of the asset file."""
    return hashlib.sha256((resources.files("vultus") / "assets" / "head.npz").read_bytes()).hexdigest()[:16]


@cache
def _shared() -> tuple[Topology, BlendshapeRig, np.ndarray]:
    """Topology, rig and the vertices of the average adult (V, 3): read once, shared by all heads."""
    meta, archive = _asset()
    vertices = archive["vertices"]
    part_of = archive["face_parts"]
    topology = Topology(
        faces=archive["faces"].astype(np.int32),
        num_vertices=len(vertices),
        regions={name: archive[f"region_{name}"] for name in meta["regions"]},
        parts={name: np.flatnonzero(part_of == i).astype(np.int32) for i, name in enumerate(meta["parts"])},
        colours=archive["colours"].astype(np.float32) / 4095,
        name="head",
    )
    deltas = archive["deltas"].astype(np.float32)
    deltas *= np.float32(meta["delta_step"])
    rig = BlendshapeRig("blendshapes", tuple(meta["names"]), deltas, topology)
    return topology, rig, vertices


@cache
def _identity_fields() -> np.ndarray:
    """(I, V, 3) int16, multiples of meta["identity_step"] metres. Read on first use only (0.1 s)."""
    fields: np.ndarray = _asset()[1]["identity"]
    return fields


@cache
def local_parameters() -> dict[str, tuple[float, float]]:
    """Name -> (lowest, highest) of the local parameters of a face, such as "nose-hump"."""
    limits: dict[str, tuple[float, float]] = {}
    for label in _asset()[0]["identity"]:
        kind, *rest = label.split(":")
        if kind == "local":
            low, high = limits.get(rest[0], (0.0, 0.0))
            limits[rest[0]] = (min(low, -1.0), high) if rest[1] == "-" else (low, max(high, 1.0))
    return limits


def identity_names() -> list[str]:
    """Every key that an identity may have, besides "seed"."""
    return [*MACRO_DEFAULTS, *sorted(local_parameters())]


def random_identity(seed: int) -> dict[str, float]:
    """The parameters of a plausible adult; the same for the same seed on every machine."""
    generator = np.random.Generator(np.random.PCG64(seed))
    origins = generator.dirichlet([0.6, 0.6, 0.6])
    identity = {
        "age": generator.uniform(0.42, 0.85),
        "sex": generator.beta(0.5, 0.5),
        "weight": np.clip(generator.normal(0.5, 0.16), 0.1, 0.95),
        "muscle": np.clip(generator.normal(0.5, 0.16), 0.1, 0.95),
        "african": origins[0],
        "asian": origins[1],
        "caucasian": origins[2],
    }
    for name, (low, high) in sorted(local_parameters().items()):
        value = np.clip(generator.normal(0.0, LOCAL_DEVIATION), -LOCAL_LIMIT, LOCAL_LIMIT)
        identity[name] = float(np.clip(value, low, high))
    return {name: round(float(value), 4) for name, value in identity.items()}


def parse_identity(identity: int | str | Mapping[str, float] | None) -> dict[str, float]:
    """What a user may write -> parameters; empty for the average adult.

    >>> parse_identity("age=0.7, sex=1")
    {'age': 0.7, 'sex': 1.0}
    """
    if identity is None:
        return {}
    if isinstance(identity, bool):
        raise VultusError(f"identity is {identity}; expected a seed, or text such as 'seed=7,age=0.6'")
    if isinstance(identity, int | np.integer):
        items: Iterable[tuple[str, Any]] = [("seed", int(identity))]
    elif isinstance(identity, str):
        items = [_parse_item(item) for item in identity.split(",") if item.strip()]
        if not items:
            raise VultusError("identity is empty; expected a seed, or text such as 'seed=7,age=0.6'")
        if len(dict(items)) != len(items):
            raise VultusError(f"identity '{identity}' names a parameter twice")
    elif isinstance(identity, Mapping):
        items = identity.items()
    else:
        raise VultusError(f"identity is a {type(identity).__name__}; expected a seed, text or a mapping")
    given = dict(items)
    result: dict[str, float] = {}
    if "seed" in given:
        seed = given.pop("seed")
        try:
            whole = int(seed)
        except (TypeError, ValueError):
            whole = -1
        if whole < 0 or whole != float(seed):
            raise VultusError(f"identity seed is {seed!r}; expected a whole number from 0 on")
        result = random_identity(whole)
    for name, value in given.items():
        low, high = (0.0, 1.0) if name in MACRO_DEFAULTS else local_parameters().get(name, (1.0, 0.0))
        if low > high:
            raise unknown_name("identity parameter", name, ["seed", *identity_names()])
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise VultusError(f"identity parameter {name} is {value!r}; expected a number") from None
        if not low <= number <= high:
            raise VultusError(f"identity parameter {name} is {number:g}; expected {low:g} to {high:g}")
        result[name] = number
    return result


def _parse_item(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals:
        if item.strip().isdigit():
            return "seed", item.strip()
        raise VultusError(f"identity has '{item.strip()}'; expected a seed, or name=value such as age=0.6")
    return name.strip(), value.strip()


def _shares(value: float, anchors: list[float]) -> list[float]:
    """Linear interpolation as weights of the anchors."""
    return [float(np.interp(value, anchors, np.eye(len(anchors))[i])) for i in range(len(anchors))]


def field_weights(identity: Mapping[str, float]) -> np.ndarray:
    """(I,) float64: how much of each stored field a person has, by MakeHuman's product rule."""
    full = {**MACRO_DEFAULTS, **identity}
    share: dict[str, float] = dict(zip(AGES, _shares(full["age"], list(AGES.values())), strict=True))
    share |= {"female": 1 - full["sex"], "male": full["sex"]}
    for kind in ("muscle", "weight"):
        words = [f"{level}{kind}" for level in ("min", "average", "max")]
        share |= dict(zip(words, _shares(full[kind], [0.0, 0.5, 1.0]), strict=True))
    origins = ("african", "asian", "caucasian")
    total = sum(full[name] for name in origins)
    if total <= 0:
        raise VultusError("identity has african, asian and caucasian all 0; expected a sum above 0")
    share |= {name: full[name] / total for name in origins}
    weights = []
    for label in _asset()[0]["identity"]:
        kind, *words = label.split(":")
        if kind == "macro":
            weights.append(float(np.prod([share[word] for word in words])))
        else:
            value = full.get(words[0], 0.0)
            if words[0] == "head-fat":  # the weight targets hardly touch the face
                value = float(np.clip(value + WEIGHT_ON_FACE * (2 * full["weight"] - 1), -1, 1))
            weights.append(max(-value, 0.0) if words[1] == "-" else max(value, 0.0))
    return np.array(weights)


def load_head(identity: int | str | Mapping[str, float] | None = None) -> Head:
    """The shipped head, worn by a person.

    Args:
        identity: None for the average adult; a whole number (also as text, "7") for the random adult of that seed; or
            parameters as a mapping or as text, "seed=7,age=0.6,sex=0.2": what is given replaces what the seed (or
            the average adult) has. `identity_names()` lists the keys.

    Returns:
        The head. Topology and rig are shared between calls; the lips of every person are closed at rest.

    Raises:
        VultusError: an unknown parameter or a value out of range.
    """
    parameters = parse_identity(identity)
    topology, rig, vertices = _shared()
    if parameters:
        change = field_weights(parameters) - field_weights({})
        used = np.flatnonzero(change)
        fields = _identity_fields().reshape(len(change), -1)
        step = _asset()[0]["identity_step"]
        offset = (change[used].astype(np.float32) * np.float32(step)) @ fields[used].astype(np.float32)
        vertices = vertices + offset.reshape(-1, 3)
    else:
        vertices = vertices.copy()
    pivot = np.array(_asset()[0]["pivot"], np.float32)
    return Head(Template(topology, vertices.astype(np.float32)), rig, topology, pivot, parameters)
