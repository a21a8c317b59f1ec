"""Start-up is part of the product: what an import pulls in, and what every table and page points to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import vultus

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "transformers", "scipy", "numba", "av", "onnxruntime", "onnx")


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sorted(sys.modules)))"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return {name.split(".")[0] for name in done.stdout.split()}


def test_import_pulls_in_nothing_heavy() -> None:
    assert modules_after("import vultus").isdisjoint((*HEAVY, "numpy"))


def test_animating_needs_no_training_extra_and_no_renderer(tmp_path: Path) -> None:
    code = (
        "import numpy as np, vultus\n"
        "take = vultus.animate(np.sin(np.arange(16000) / 20).astype('float32') * 0.1)\n"
        f"take.save({str(tmp_path / 'x.glb')!r}); take.save({str(tmp_path / 'x.csv')!r})"
    )
    assert modules_after(code).isdisjoint({"torch", "transformers", "scipy", "numba", "av", "onnx"})


def test_lazy_names() -> None:
    assert callable(vultus.animate) and callable(vultus.animate_takes) and callable(vultus.load)
    assert set(vultus.__all__) <= {*dir(vultus), "animate", "animate_takes", "load", "Take"}


def test_places_that_the_readme_names_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tour = [line.split("`")[1] for line in readme.splitlines() if line.startswith("| `src/")]
    assert len(tour) >= 6
    for path in tour:
        assert (ROOT / path).exists(), path


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
