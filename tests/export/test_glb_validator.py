"""The Khronos glTF validator on our files: no errors, no warnings, nothing to note.

It is an npm package; `npm install` in the repository (see package.json) puts it where this test looks, or
VULTUS_GLTF_VALIDATOR names the folder `gltf-validator`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.export import save
from vultus.motion import Motion, Take

SCRIPT = """
const validator = require(process.argv[1]);
const bytes = new Uint8Array(require('fs').readFileSync(process.argv[2]));
validator.validateBytes(bytes, {maxIssues: 50}).then(report => console.log(JSON.stringify(report)));
"""


def report_on(path: Path) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    root = Path(__file__).resolve().parents[2]
    package = Path(os.environ.get("VULTUS_GLTF_VALIDATOR") or root / "node_modules" / "gltf-validator")
    if (package / "gltf-validator").is_dir():  # a node_modules folder is as good
        package /= "gltf-validator"
    if not package.is_dir():
        pytest.skip(f"no gltf-validator in {package}; run `npm install` or set VULTUS_GLTF_VALIDATOR")
    done = subprocess.run(
        [node, "-e", SCRIPT, str(package.resolve()), str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def assert_clean(path: Path) -> dict[str, Any]:
    report = report_on(path)
    counts = {key: report["issues"][key] for key in ("numErrors", "numWarnings", "numInfos", "numHints")}
    assert counts == dict.fromkeys(counts, 0), report["issues"]["messages"]
    return report["info"]


def test_the_validator_sees_faults(make_take: Callable[..., Take], tmp_path: Path) -> None:
    data = bytearray(save(make_take(), tmp_path / "take.glb", pivot=(0, 0, 0)).read_bytes())
    data[-8:] = np.array([np.nan, np.nan], "<f4").tobytes()
    (tmp_path / "broken.glb").write_bytes(data)
    assert report_on(tmp_path / "broken.glb")["issues"]["numErrors"] > 0


@pytest.mark.parametrize("options", [{}, {"frames": 1}, {"extras": False, "fps": 59.94}])
def test_toy_heads(make_take: Callable[..., Take], tmp_path: Path, options: dict[str, Any]) -> None:
    info = assert_clean(save(make_take(**options), tmp_path / "take.glb", pivot=(0, 0.02, 0)))
    assert info["hasMorphTargets"]
    assert info["animationCount"] == 1


def test_the_shipped_head(tmp_path: Path) -> None:
    from vultus.head import load_head

    head = load_head()
    values = np.random.default_rng(0).uniform(0, 1, (30, head.rig.dimension)).astype(np.float32)
    take = Take(Motion(values, 30.0, head.rig), head.template, np.full((30, 3), 0.1, np.float32))
    info = assert_clean(save(take, tmp_path / "take.glb"))
    assert info["totalTriangleCount"] == len(head.topology.faces)
