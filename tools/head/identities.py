"""People: MakeHuman's macro targets, which are weighed by products of shares, and its local targets."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from head.lips import Lips
from head.mesh import HeadMesh
from head.source import DATA, Source

MACRO = {
    "age": ("baby", "child", "young", "old"),
    "sex": ("female", "male"),
    "race": ("african", "asian", "caucasian"),
    "muscle": ("minmuscle", "averagemuscle", "maxmuscle"),
    "weight": ("minweight", "averageweight", "maxweight"),
}
LOCAL_FOLDERS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
LOCAL_SKIP = (
    "head-trans-",
    "neck-trans-",
    "measure-neck",
    "neck-scale-vert",
    "neck-back",
    "head-age",
    "ear-shape-pointed",
    "mouth-trans-in",
    "mouth-trans-out",
    "nose-trans-in",
    "nose-trans-out",
)  # crooked
OPPOSITES = (("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("concave", "convex"),
             ("compress", "uncompress"))  # fmt: skip


def identity_targets(source: Source) -> dict[str, list[str]]:
    """Names of the stored identity fields, and the target files that each is the sum of."""
    return macro_targets() | local_targets(source)


def macro_targets() -> dict[str, list[str]]:
    """One file for each mix of race, sex and age, and for each of sex, age, muscle and weight."""
    files = {}
    folder = "mpfb2/targets/macrodetails/"
    for sex in MACRO["sex"]:
        for age in MACRO["age"]:
            for race in MACRO["race"]:
                files[f"macro:{race}:{sex}:{age}"] = [f"{folder}{race}-{sex}-{age}.target.gz"]
            for muscle in MACRO["muscle"]:
                for weight in MACRO["weight"]:
                    path = f"{folder}universal-{sex}-{age}-{muscle}-{weight}.target.gz"
                    files[f"macro:{sex}:{age}:{muscle}:{weight}"] = [path]
    return files


def local_targets(source: Source) -> dict[str, list[str]]:
    """Single features; left and right are joined, and the two ways of a feature get one name and a sign."""
    paths_of: dict[str, list[str]] = defaultdict(list)
    for sub in LOCAL_FOLDERS:
        prefix = f"{DATA}mpfb2/targets/{sub}/"
        for path in sorted(n for n in source.names if n.startswith(prefix) and n.endswith(".target.gz")):
            stem = path[len(prefix) : -len(".target.gz")]
            if any(k in stem for k in LOCAL_SKIP):
                continue
            paths_of[stem[2:] if stem[:2] in ("l-", "r-") else stem].append(path[len(DATA) :])
    files = {}
    for stem, paths in sorted(paths_of.items()):
        for low, high in OPPOSITES:
            if stem.endswith((f"-{low}", f"-{high}")):
                base = stem.rsplit("-", 1)[0]
                # "mouth-trans" goes three ways: the way is part of the name, "mouth-trans-up" below 0 goes down.
                ways = sum(f"{base}-{opposite[1]}" in paths_of for opposite in OPPOSITES)
                name = f"{base}-{high}" if ways > 1 else base
                label = f"local:{name}:{'+' if stem.endswith(f'-{high}') else '-'}"
                break
        else:
            label = f"local:{stem}:+"
        files[label] = paths
    return files


def skull_joint(source: Source) -> np.ndarray:
    """The vertices of the joint between skull and spine, which stays in place in every person."""
    return source.group("joint-head")


def carry_identities(source: Source, mesh: HeadMesh) -> dict[str, np.ndarray]:
    """Name -> offsets (V, 3), as the source has them: lips may part."""
    skull, lips = skull_joint(source), Lips(mesh, mesh.base)

    def carry(d: np.ndarray) -> np.ndarray:
        out = mesh.carry(d)
        return out - d[skull].mean(0) if d[skull].any() else out

    def seat(field: np.ndarray) -> np.ndarray:
        """Teeth, palate and tongue follow the lips of another person: the source's own teeth lag behind."""
        inner_lips = (field[lips.loops[2][0]] + field[lips.loops[2][19]]) / 2
        line, tooth = lips.middle(field), field[mesh.incisor("upper")]
        mesh.shift_inside(field, np.array([0.0, line[1] - tooth[1], inner_lips[2] - tooth[2]]))
        return field

    return {
        name: seat(carry(np.sum([source.target(path) for path in paths], axis=0)))
        for name, paths in identity_targets(source).items()
    }


def average_adult() -> dict[str, float]:
    """Weights of the macro targets of the default head: all mixes even, age 'young' (about 25 years)."""
    weights = {f"macro:{race}:{sex}:young": 1 / 6 for race in MACRO["race"] for sex in MACRO["sex"]}
    weights |= {f"macro:{sex}:young:averagemuscle:averageweight": 0.5 for sex in MACRO["sex"]}
    return weights


def average_face(mesh: HeadMesh, identities: dict[str, np.ndarray]) -> np.ndarray:
    """(V, 3) vertices of the default head, before its lips are closed."""
    return mesh.base + sum(identities[name] * weight for name, weight in average_adult().items())
