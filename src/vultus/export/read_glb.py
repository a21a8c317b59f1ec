"""Recorded motion back from a .glb: the animation of morph targets with ARKit's names, ours or another program's.

What is understood: target names in a mesh's or its primitives' `extras.targetNames`, or as names of accessors; names as
ARKit writes them, in any case, with `_L` and `_R`, or behind a prefix that ends in a dot; LINEAR, STEP and CUBICSPLINE
samplers; key times of any spacing. Of several animations the one that moves most shapes counts. The head's rotation is
taken where one animated node turns the face and nothing else does (docs/formats.md).

Source: Khronos, glTF 2.0 specification, section 3.11 and appendix C (animations).
Letters: T motion frames, n keys, K targets, C columns that are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vultus.export.glb_curves import MAX_SECONDS, Curve, frame_rate, interpolate, read_curve
from vultus.export.glb_file import GlbFile
from vultus.motion import ARKIT_NAMES, EXTRA_NAMES

MIN_ARKIT = 5
"""A face with fewer shapes of ARKit tells no manner."""

_MAX_FACES = 16  # meshes with shapes
_MAX_TURN = np.radians(60)  # a head that is turned further all the time is an axis convention, not a pose
_KNOWN = {name.lower(): name for name in (*ARKIT_NAMES, *EXTRA_NAMES)}


def read_glb(path: str | Path) -> tuple[np.ndarray, tuple[str, ...], float, np.ndarray]:
    """Reads the first minute of a .glb's animation.

    Returns:
        weights (T, 52 + E) float32 in [0, 1]; their names, ARKit's first, then those of ours that the file has; fps;
        head rotation (T, 3) float32, axis-angle, radians, zeros where the file does not clearly tell it.

    Raises:
        VultusError: no .glb, a damaged or hostile one; no animation of morph targets; fewer than MIN_ARKIT names;
            values that are no weights.
    """
    file = GlbFile(Path(path))
    nodes, meshes = file.objects(file.json, "nodes"), file.objects(file.json, "meshes")
    names = [_target_names(file, mesh) for mesh in meshes]
    animations = file.objects(file.json, "animations")
    channels = [_face_channels(file, animation, nodes, names) for animation in animations]
    if not any(channels):
        file.refuse("has no animation of morph targets" + _hint(names))
    best = max(range(len(channels)), key=lambda i: len({name for _, _, shapes in channels[i] for name in shapes}))
    animation = _with_companions(file, animations, best)
    # Those with most shapes: a face, its teeth, its tongue; a scene of a hundred faces shows no one's manner.
    faces = sorted(_face_channels(file, animation, nodes, names), key=lambda face: -len(face[2]))[:_MAX_FACES]
    found = {name for _, _, shapes in faces for name in shapes}
    arkit = [name for name in ARKIT_NAMES if name in found]
    if len(arkit) < MIN_ARKIT:
        file.refuse(f"animates {len(arkit)} of the 52 ARKit shapes by name; expected at least {MIN_ARKIT}, as jawOpen")
    tracks = []
    for node, sampler, shapes in faces:
        curve = read_curve(file, animation, sampler, _num_targets(file, nodes[node]), list(shapes.values()))
        tracks.append((tuple(shapes), curve))
    head = _head_curve(file, animation, nodes, [node for node, _, _ in faces])
    curves = [curve for _, curve in tracks] + ([head] if head is not None else [])
    start = min(float(curve.times[0]) for curve in curves)
    length = min(max(float(curve.times[-1]) for curve in curves) - start, MAX_SECONDS)
    fps = frame_rate(max((curve for _, curve in tracks), key=lambda curve: len(curve.times)))
    times = start + np.arange(int(length * fps + 1e-3) + 1) / fps

    extras = tuple(name for name in EXTRA_NAMES if name in found)
    columns = (*ARKIT_NAMES, *extras)
    weights = np.zeros((len(times), len(columns)), np.float32)
    for told, curve in tracks:  # meshes of one face repeat its shapes: the one that moves most is meant
        values = curve.at(times)
        if values.min() < -1 or values.max() > 2:
            file.refuse(f"its weights reach from {values.min():g} to {values.max():g}; expected 0 to 1")
        for name, column in zip(told, np.clip(values, 0, 1).T, strict=True):
            place = columns.index(name)
            if np.ptp(column) > np.ptp(weights[:, place]) or not weights[:, place].any():
                weights[:, place] = column
    return weights, columns, fps, _rotation(head, times)


def _hint(names: list[dict[str, int]]) -> str:
    known = len({name for shapes in names for name in shapes if name in ARKIT_NAMES})
    return f"; its meshes have {known} of the 52 ARKit shapes, expected a .glb with them and an animation of them"


# ---------------------------------------------------------------------------------------------------------- names


def arkit_name(name: str) -> str | None:
    """The shape of ours that a target's name means, or None.

    >>> arkit_name("blendShape1.JawOpen"), arkit_name("eyeBlink_L"), arkit_name("Basis")
    ('jawOpen', 'eyeBlinkLeft', None)
    """
    short = name.rpartition(".")[2].lower()
    for ending, side in (("_l", "left"), ("_r", "right")):
        if short.endswith(ending):
            short = short[:-2] + side
    return _KNOWN.get(short.replace("_", ""))


def _target_names(file: GlbFile, mesh: dict[str, Any]) -> dict[str, int]:
    """Shape of ours -> number of the target, of one mesh."""
    primitives = file.objects(mesh, "primitives")
    targets = file.objects(primitives[0], "targets") if primitives else []
    told: Any = None
    for holder in (mesh, *primitives):
        extras = holder.get("extras")
        if told is None and isinstance(extras, dict) and isinstance(extras.get("targetNames"), list):
            told = extras["targetNames"]
    if told is None:
        accessors = file.objects(file.json, "accessors")
        places = [target.get("POSITION") for target in targets]
        told = [accessors[i].get("name") if type(i) is int and 0 <= i < len(accessors) else None for i in places]
    out: dict[str, int] = {}
    exact = {name: i for i, name in enumerate(told) if isinstance(name, str) and name in _KNOWN.values()}
    for number, name in enumerate(told[: len(targets)]):
        known = arkit_name(name) if isinstance(name, str) else None
        if known is not None and exact.get(known, number) == number:
            out.setdefault(known, number)
    return out


# ------------------------------------------------------------------------------------------------------- channels


def _with_companions(file: GlbFile, animations: list[dict[str, Any]], best: int) -> dict[str, Any]:
    """The best animation, and those beside it that move other things: some programs write one for each object."""
    num_nodes = len(file.objects(file.json, "nodes"))
    taken: set[tuple[int, str]] = set()
    channels: list[dict[str, Any]] = []
    samplers: list[dict[str, Any]] = []
    for animation in [animations[best], *animations[:best], *animations[best + 1 :]]:
        own = {
            (node, path): sampler
            for path in ("weights", "rotation")
            for node, sampler in _channels(file, animation, path, num_nodes)
        }
        if taken.isdisjoint(own):
            taken.update(own)
            channels += [
                {"sampler": sampler + len(samplers), "target": {"node": node, "path": path}}
                for (node, path), sampler in own.items()
            ]
            samplers += file.objects(animation, "samplers")
    return {"channels": channels, "samplers": samplers}


def _num_targets(file: GlbFile, node: dict[str, Any]) -> int:
    meshes = file.objects(file.json, "meshes")
    primitives = file.objects(meshes[file.number(node, "mesh", len(meshes))], "primitives")
    return len(file.objects(primitives[0], "targets")) if primitives else 0


def _face_channels(
    file: GlbFile, animation: dict[str, Any], nodes: list[dict[str, Any]], names: list[dict[str, int]]
) -> list[tuple[int, int, dict[str, int]]]:
    """(node, sampler, its shapes) of the channels of an animation that move shapes of ours."""
    out = []
    for number, sampler in _channels(file, animation, "weights", len(nodes)):
        shapes = names[file.number(nodes[number], "mesh", len(names))] if "mesh" in nodes[number] else {}
        if shapes:
            out.append((number, sampler, shapes))
    return out


def _channels(file: GlbFile, animation: dict[str, Any], path: str, num_nodes: int) -> list[tuple[int, int]]:
    """(node, sampler) of the channels of an animation that move `path`."""
    out = []
    for channel in file.objects(animation, "channels"):
        target = file.child(channel, "target")
        if target.get("path") == path and "node" in target:
            out.append((file.number(target, "node", num_nodes), file.number(channel, "sampler", 1 << 31)))
    return out


# ----------------------------------------------------------------------------------------------------------- head


def _head_curve(
    file: GlbFile, animation: dict[str, Any], nodes: list[dict[str, Any]], faces: list[int]
) -> Curve | None:
    """The rotation of the one animated node that carries all faces and is not itself turned; None where unclear."""
    parent: dict[int, int] = {}
    for number, node in enumerate(nodes):
        children = node.get("children", [])
        for child in children if isinstance(children, list) else []:
            if type(child) is int:
                parent.setdefault(child, number)
    chains = []
    for face in faces:
        chain = [face]
        while chain[-1] in parent and parent[chain[-1]] not in chain:
            chain.append(parent[chain[-1]])
        chains.append(chain)
    turning = dict(_channels(file, animation, "rotation", len(nodes)))
    carrying = [number for number in chains[0] if all(number in chain for chain in chains)]
    candidates = [number for number in carrying if number in turning]
    if len(candidates) != 1 or any(number in turning for chain in chains for number in chain if number not in carrying):
        return None
    above = carrying[carrying.index(candidates[0]) + 1 :]
    if any(nodes[number].get(key) not in (None, straight) for number in above for key, straight in _STRAIGHT.items()):
        return None
    return read_curve(file, animation, turning[candidates[0]], 4, None)


_STRAIGHT: dict[str, list[int]] = {"rotation": [0, 0, 0, 1], "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}


def _rotation(curve: Curve | None, times: np.ndarray) -> np.ndarray:
    """(T, 3) float32 axis-angle; zeros without a curve, and where it is no pose of a head."""
    still = np.zeros((len(times), 3), np.float32)
    if curve is None:
        return still
    # Between keys by normalised interpolation, on the shorter way: keys of a head lie close together.
    keys = curve.load()
    middle = keys[:, keys.shape[1] // 2]
    flips = np.cumprod(np.concatenate([[1.0], np.where((middle[1:] * middle[:-1]).sum(1) < 0, -1.0, 1.0)]))
    quaternion = interpolate(curve.times, keys * flips[:, None, None], curve.mode, times)
    length = np.linalg.norm(quaternion, axis=1, keepdims=True)
    if not np.isfinite(length).all() or length.min() < 1e-6:
        return still
    quaternion = quaternion / length * np.where(quaternion[:, 3:] < 0, -1.0, 1.0)
    sine = np.linalg.norm(quaternion[:, :3], axis=1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[:, 3:])
    if np.median(angle) > _MAX_TURN:
        return still
    factor = np.where(sine < 1e-8, 2.0, angle / np.maximum(sine, 1e-12))
    return (quaternion[:, :3] * factor).astype(np.float32)
