"""Evaluations on the data sets themselves: a small synthetic corpus, and miniatures of recorded ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.benchmark.evaluate import evaluate
from vultus.datasets import open_dataset
from vultus.datasets.synthetic import SyntheticCorpus
from vultus.errors import VultusError
from vultus.export.npz import write as write_npz
from vultus.head import load_head
from vultus.motion import Motion, Take
from vultus.synthesis.plan import Settings

sys.path.append(str(Path(__file__).parents[1] / "datasets"))
import miniature_biwi
import miniature_vocaset
import miniature_voxceleb2
import small_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(subjects=3, test_lines=2, test_takes=3)
    return small_corpus.make(tmp_path_factory.mktemp("synthetic"), settings, ("anna", "ben", "cleo"))


def run(root: Path, out: Path, protocol: str = "synthetic", **more: Any) -> dict[str, Any]:
    return evaluate(protocol, root, out, **more)


def values(results: dict[str, Any]) -> dict[str, float | None]:
    return {name: entry["value"] for name, entry in results["metrics"].items()}


def test_synthetic_recorded_row_and_the_random_layer(corpus: Path, tmp_path: Path) -> None:
    found = values(run(corpus, tmp_path / "out", baseline="recorded"))
    assert found["lip_mean"] == found["upper_mean"] == 0.0 and found["closure_recall"] == 1.0
    assert found["jerk_ratio_face"] == pytest.approx(1.0)
    assert found["upper_mean@with_random"] > 0.01 and found["fdd_abs@with_random"] > 0  # type: ignore[operator]


def test_synthetic_true_takes_are_samples(corpus: Path, tmp_path: Path) -> None:
    results = run(corpus, tmp_path / "out", baseline="takes", allow_missing=True)
    found = values(results)
    assert results["samples"] == 2 and results["sequences"] == 2 and len(results["missing"]) == 1
    assert 0 < found["l_cover"] < found["l_vertex"] and found["div_lips"] > 0  # type: ignore[operator]
    assert found["coverage_curve"] is None and "best of 10" in results["metrics"]["coverage_curve"]["reason"]


def test_synthetic_models_and_their_style(corpus: Path, tmp_path: Path) -> None:
    base = run(corpus, tmp_path / "base", model="base")
    assert base["source"]["style"].startswith("another clip of the same subject") and base["flags"] == []
    loudness = run(corpus, tmp_path / "loudness", model="loudness")
    assert loudness["source"]["style"] == "none: the model has no styles"
    assert values(base)["lip_mean"] != values(loudness)["lip_mean"] and values(base)["rho"] == 1.0
    oracle = run(corpus, tmp_path / "oracle", model="base", oracle="self", metrics=["lip_mean"])
    assert any("ORACLE self" in flag for flag in oracle["flags"])
    with pytest.raises(VultusError, match="deterministic and gives 1 take"):
        run(corpus, tmp_path / "many", model="base", samples=3)
    assert not (tmp_path / "many").exists()


@pytest.mark.parametrize("kept", ["weights", "vertices", "wrong fps", "other face"])
def test_synthetic_predictions_of_our_exporter(corpus: Path, tmp_path: Path, kept: str) -> None:
    (tmp_path / "p").mkdir()
    clips = [clip for clip in SyntheticCorpus(corpus).split("test") if clip.is_speech]
    for clip in clips:
        fps = 60.0 if kept == "wrong fps" else 30.0
        head = load_head(9) if kept == "other face" else clip.head
        motion = Motion(clip.motion(fps=fps), fps, head.rig)
        if kept in ("vertices", "other face"):
            from vultus.rigs.offsets import OffsetsRig

            flat = (head.rig.vertices(motion.values, head.template) - head.template.vertices).reshape(len(motion), -1)
            motion = Motion(flat, fps, OffsetsRig(head.topology.num_vertices))
        take = Take(motion, head.template, np.zeros((len(motion), 3), np.float32))
        write_npz(take, tmp_path / "p" / f"{clip.name}.npz")
    if kept == "wrong fps":
        with pytest.raises(VultusError, match="is at 60 fps; the motion is compared at 30"):
            run(corpus, tmp_path / "out", predictions=tmp_path / "p")
    elif kept == "other face":
        with pytest.raises(VultusError, match="neutral face lies"):
            run(corpus, tmp_path / "out", predictions=tmp_path / "p")
    else:
        assert values(run(corpus, tmp_path / "out", predictions=tmp_path / "p"))["lip_max"] < 1e-3  # type: ignore
    assert (tmp_path / "out").exists() == (kept in ("weights", "vertices"))


@pytest.fixture(scope="module")
def vocaset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature_vocaset.vocaset_faceformer(tmp_path_factory.mktemp("vocaset") / "vocaset")


def write_conditions(root: Path, protocol: str, fps: float, folder: Path) -> list[str]:
    """Predictions as FaceFormer's program names them: the recording, one frame short, under two conditions."""
    folder.mkdir()
    data = open_dataset("vocaset_faceformer", str(root), protocol=protocol)
    names = []
    for sequence in data.split("test"):
        moving = sequence.vertices(fps=fps)[:-1]
        for condition in miniature_vocaset.SPOKEN_BY[:2]:
            np.save(folder / f"{sequence.name}_condition_{condition}.npy", moving.reshape(len(moving), -1))
        names.append(sequence.name)
    return names


def test_vocaset_as_faceformer_scores_it(vocaset: Path, tmp_path: Path) -> None:
    names = write_conditions(vocaset, "faceformer", 30.0, tmp_path / "p")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "lve.txt").write_text(", ".join(map(str, range(3000, 3100))) + ", 3000")
    results = run(
        vocaset, tmp_path / "out", "vocaset-faceformer", predictions=tmp_path / "p", regions=tmp_path / "masks"
    )
    assert results["sequences"] == len(names) == 4 and results["rows"] == 8
    assert {name.rpartition("_sentence")[2][:2] for name in names} == {"21", "40"}
    assert values(results)["lve_sq"] == 0.0 and results["metrics"]["lve_sq"]["unit"] == "mm2"
    assert results["regions"]["lips"]["duplicates"] == 1 and "upper_face" not in results["regions"]
    assert values(results)["fdd"] is None and "upper_face" in results["metrics"]["fdd"]["reason"]
    assert "give --regions" in results["regions_refused"]  # an egg has no mouth
    with pytest.raises(VultusError, match="looks like 30 fps"):
        there = Path(f"vocaset_faceformer:{vocaset}")
        run(there, tmp_path / "o", "vocaset-mm23", predictions=tmp_path / "p", allow_missing=True)


def test_vocaset_layouts_give_the_same_numbers(vocaset: Path, tmp_path: Path) -> None:
    package = miniature_vocaset.vocaset(tmp_path / "package")
    found = [
        values(run(Path(f"{name}:{root}"), tmp_path / name, "vocaset-mm23", baseline="still", metrics=["face_mean"]))
        for name, root in (("vocaset", package), ("vocaset_faceformer", vocaset))
    ]
    assert found[0]["face_mean"] == pytest.approx(found[1]["face_mean"], rel=1e-5) and found[0]["face_mean"]
    with pytest.raises(VultusError, match="or name the layout: --data vocaset:"):
        run(package, tmp_path / "o", "vocaset-mm23", baseline="still")


def test_biwi_is_scored_in_area_and_misses_are_said(tmp_path: Path) -> None:
    root = miniature_biwi.biwi_area(tmp_path / "biwi")
    with pytest.raises(VultusError, match="hold 1 of the 24 sequences"):
        run(root, tmp_path / "out", "biwi-codetalker-testa", baseline="still")
    results = run(
        root, tmp_path / "out", "biwi-codetalker-testa", baseline="still", allow_missing=True,
        metrics=["mve", "lve_sq", "fdd"],
    )  # fmt: skip
    assert results["unit"] == "area" and results["metrics"]["mve"]["unit"] == "area"
    assert any("published list 4996" in flag for flag in results["flags"])


def test_voxceleb2_across_reconstructions(tmp_path: Path) -> None:
    root = miniature_voxceleb2.build(tmp_path / "vox", kind="videowise")
    results = run(
        root, tmp_path / "out", "vox2-framewise-to-videowise", baseline="still", metrics=["face_mean", "f_dtw"]
    )
    assert results["trained_on"] == "vox2_framewise" and values(results)["face_mean"] > 0  # type: ignore[operator]
