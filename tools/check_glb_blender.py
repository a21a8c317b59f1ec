"""Imports a .glb of ours into Blender and checks what an artist would find there.

    python3.11 -m venv blender && blender/bin/pip install bpy==5.0.1
    blender/bin/python tools/check_glb_blender.py talk.glb

Checks: four meshes under the empty "Head"; the 52 ARKit shape keys by name (and the tongue's extra ones); one action
with a curve for each key and the head's rotation; the frame range; every key's value in the first and the last frame
against the file; that jawOpen lowers the face's and the teeth's vertices. Blender's Python is a process of its own
since bpy is GPL and holds one scene for each process. Exit status 1 and one line for each fault.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import bpy  # type: ignore[import-not-found]

FPS = 30


def document_of(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON of a GLB, and its binary chunk."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def floats(document: dict[str, Any], binary: bytes, accessor: int) -> tuple[float, ...]:
    """The numbers of a plain float accessor."""
    fields = document["accessors"][accessor]
    count = fields["count"] * {"SCALAR": 1, "VEC4": 4}[fields["type"]]
    return struct.unpack_from(f"<{count}f", binary, document["bufferViews"][fields["bufferView"]]["byteOffset"])


def curves_of(action: Any) -> dict[tuple[str, int], Any]:
    """(data path, index) -> curve, over all layers and slots of an action (Blender 4.4 and later)."""
    return {
        (curve.data_path, curve.array_index): curve
        for layer in action.layers
        for strip in layer.strips
        for bag in strip.channelbags
        for curve in bag.fcurves
    }


def heights(mesh: Any) -> list[float]:
    """z of every evaluated vertex (Blender is z up), metres."""
    evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return [vertex.co.z for vertex in evaluated.to_mesh().vertices]


def check(path: Path) -> list[str]:
    faults: list[str] = []

    def expect(condition: bool, fault: str) -> None:
        if not condition:
            faults.append(fault)

    document, binary = document_of(path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = FPS
    bpy.ops.import_scene.gltf(filepath=str(path))
    meshes = {found.name: found for found in bpy.data.objects if found.type == "MESH"}
    root = bpy.data.objects.get("Head")
    expect(set(meshes) == {"Face", "Teeth", "Eyes", "Tongue"}, f"meshes are {sorted(meshes)}")
    expect(root is not None and all(mesh.parent == root for mesh in meshes.values()), "meshes are not under Head")

    frames, fps = document["asset"]["extras"]["frames"], document["asset"]["extras"]["fps"]
    (animation,) = document["animations"]
    for channel in animation["channels"]:
        node = document["nodes"][channel["target"]["node"]]
        sampler = animation["samplers"][channel["sampler"]]
        values = floats(document, binary, sampler["output"])
        if channel["target"]["path"] == "rotation":
            turning = [path for path, _ in curves_of(root.animation_data.action) if path == "rotation_quaternion"]
            expect(len(turning) == 4, f"the head has {len(turning)} rotation curves")
            continue
        names = document["meshes"][node["mesh"]]["extras"]["targetNames"]
        keys = meshes[node["name"]].data.shape_keys
        found = [block.name for block in keys.key_blocks][1:]
        expect(found == names, f"{node['name']}: shape keys are {found[:3]} ... ({len(found)})")
        curves = curves_of(keys.animation_data.action)
        for number, name in enumerate(names):
            curve = curves.get((f'key_blocks["{name}"].value', 0))
            if curve is None:
                faults.append(f"{node['name']}: no curve for {name}")
                continue
            first, last = curve.range()
            expect(abs(first) < 1e-3, f"{node['name']}.{name} starts at {first}")
            expect(abs(last - (frames - 1) / fps * FPS) < 1e-2, f"{node['name']}.{name} ends at {last}")
            for frame in (0, frames - 1):
                shown, written = curve.evaluate(frame / fps * FPS), values[frame * len(names) + number]
                expect(abs(shown - written) < 1e-4, f"{node['name']}.{name}: {shown} in frame {frame}, wrote {written}")

    for mesh in meshes.values():
        mesh.data.shape_keys.animation_data_clear()
        for block in mesh.data.shape_keys.key_blocks:
            block.value = 0
    for name in ("Face", "Teeth", "Tongue"):
        rest = heights(meshes[name])
        meshes[name].data.shape_keys.key_blocks["jawOpen"].value = 1
        moved = max(before - after for before, after in zip(rest, heights(meshes[name]), strict=True))
        expect(moved > 0.005, f"jawOpen lowers {name} by {1000 * moved:.1f} mm; expected over 5")
    return faults


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: check_glb_blender.py FILE.glb", file=sys.stderr)
        return 2
    faults = check(Path(sys.argv[1]))
    for fault in faults:
        print(f"fault: {fault}")
    print(f"{sys.argv[1]}: {len(faults)} faults in Blender {bpy.app.version_string}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
