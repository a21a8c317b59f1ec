"""The probabilistic method through the loop: a codec, then a prior on it; weights, vertices, head rotation."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from toy import GAPS, RIG, K, ToyClip, ToyEncoder, V, tiny_hubert

from vultus.cli import main
from vultus.errors import VultusError
from vultus.methods.probabilistic_codec import codec_exit_test
from vultus.train.checkpoint import load_tensors
from vultus.train.data import TrainingSet
from vultus.train.log import read_log
from vultus.train.loop import load_run, run
from vultus.train.recipe import DataConfig, Recipe, make_recipe, read_recipe

SMALL: dict[str, Any] = {
    "name": "probabilistic", "width": 32, "heads": 2, "coarse_layers": 2, "fine_layers": 1, "style_size": 8,
    "style_width": 16, "style_layers": 1, "memory": 12, "dropout": 0.0,
}  # fmt: skip
SIZES: dict[str, Any] = {"levels": 2, "codes": 16, "code_size": 8, "channels": 16, "codebook_decay": 0.8}


@dataclass(frozen=True)
class LivelyClip(ToyClip):
    """Two layers asked for by name, and a head that turns."""

    def motion(self, layers: tuple[str, ...] = (), fps: float = 60.0) -> np.ndarray:
        return super().motion(layers, fps)

    def head_rotation(self, fps: float | None = None) -> np.ndarray:
        frames = len(self.motion(fps=fps or self.fps))
        return (0.1 * np.sin(np.arange(frames) / 9.0)[:, None] * np.ones(3)).astype(np.float32)


def recipe(stage: dict[str, Any], data: dict[str, Any] | None = None, **train: Any) -> Recipe:
    settings = {"epochs": 3, "batch": 4, "lr": 3e-3, "log_every": 1, "optimizer": "adamw", "ema": 0.9, **train}
    return make_recipe({"method": {**SMALL, **stage}, "data": data or {}, "train": settings})


def lively_set(folder: Path | None, hears: Any = ToyEncoder, **config: Any) -> TrainingSet:
    settings = DataConfig(crop=1.5, reference="subject", reference_seconds=1.0, **config)
    clips = [LivelyClip(number, 1.2 + 0.35 * number) for number in range(6)]
    return TrainingSet(clips, settings, hears, folder, None if config.get("space") == "vertices" else RIG, GAPS)


@pytest.fixture(scope="module")
def codec_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two_stages")
    data = lively_set(None, None, encoder="none", head_rotation=True)
    table = {"encoder": "none", "head_rotation": True}
    return run(recipe({"stage": "codec", **SIZES}, table, epochs=12), data, data, folder / "codec")


def test_codec_then_prior(codec_run: Path, tmp_path: Path) -> None:
    losses = [line["loss"] for line in read_log(codec_run) if "loss" in line]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])
    codec, _ = load_run(codec_run, rig=RIG, gaps=GAPS)
    data = lively_set(tmp_path / "c", head_rotation=True)
    assert codec.codec.dimension == K + 3 and codec.codec.lips.shape[0] == K
    stored = np.concatenate([np.asarray(entry.motion, np.float32) for entry in data.entries])
    np.testing.assert_allclose(codec.codec.mean.numpy(), stored.mean(0), atol=0.05)
    if codec.codec.lips.shape[1]:
        assert len(codec_exit_test(codec.codec, [np.asarray(data.entries[0].motion, np.float32)]).l_vertex) == 2

    chosen = recipe({"stage": "prior", "codec": str(codec_run)}, {"head_rotation": True})
    assert chosen.method.levels == 2 and chosen.method.codes == 16  # the codec's sizes
    folder = run(chosen, data, data, tmp_path / "prior")
    tensors, kept = load_tensors(folder / "model.safetensors")[0], load_tensors(codec_run / "model.safetensors")[0]
    assert all(torch.equal(tensors[key], value) for key, value in kept.items())
    logged = [line for line in read_log(folder) if "prior/coarse" in line]
    assert np.mean([line["loss"] for line in logged[-3:]]) < logged[0]["loss"]
    assert all("prior/fine" in line for line in logged)


def test_a_finished_prior_needs_its_codec_no_more_and_resumes_to_the_same_numbers(
    codec_run: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "codec"
    shutil.copytree(codec_run, copied)
    data = lively_set(tmp_path / "c", head_rotation=True)
    chosen = recipe({"stage": "prior", "codec": str(copied)}, {"head_rotation": True}, save_every=2)
    whole = run(chosen, data, None, tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(step: int) -> None:
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        run(chosen, data, None, tmp_path / "cut", after_step=stop)
    shutil.rmtree(copied)
    run(chosen, data, None, tmp_path / "cut", resume=True)
    one, other = (load_tensors(tmp_path / name / "model.safetensors")[0] for name in ("whole", "cut"))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    model, settings = load_run(whole, rig=RIG, gaps=GAPS)
    assert settings["dimensions"]["head_rotation"] is True
    takes = model.perform(np.zeros((20, ToyEncoder.dimension), np.float32), num_takes=2)
    assert takes.shape == (2, 20, K + 3)


def test_a_resumed_codec_equals_one_that_was_not_cut(tmp_path: Path) -> None:
    """Codes, their moving averages and the numbers that replace dead ones come back too."""

    class Stop(Exception):
        pass

    def stop(step: int) -> None:
        if step == 5:
            raise Stop

    data = lively_set(None, None, encoder="none")
    chosen = recipe({"stage": "codec", **SIZES}, {"encoder": "none"}, save_every=2)
    whole = run(chosen, data, None, tmp_path / "whole")
    with pytest.raises(Stop):
        run(chosen, data, None, tmp_path / "cut", after_step=stop)
    run(chosen, data, None, tmp_path / "cut", resume=True)
    one, other = (load_tensors(folder / "model.safetensors")[0] for folder in (whole, tmp_path / "cut"))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_motion_must_be_the_codecs(codec_run: Path, tmp_path: Path) -> None:
    data = lively_set(tmp_path / "c", head_rotation=True, fps=25.0)
    chosen = recipe({"stage": "prior", "codec": str(codec_run)}, {"head_rotation": True, "fps": 25.0})
    with pytest.raises(VultusError, match=r"data.fps is 25.0; the codec in .* 30.0"):
        run(chosen, data, None, tmp_path / "run")
    data = lively_set(tmp_path / "c", head_rotation=True)
    data.rig = RIG[::-1].copy()
    with pytest.raises(VultusError, match="trained on another rig"):
        run(recipe({"stage": "prior", "codec": str(codec_run)}), data, None, tmp_path / "run")
    with pytest.raises(VultusError, match=r"data.head_rotation is set; expected data.space 'weights'"):
        DataConfig(head_rotation=True, space="vertices")


def test_vertices_are_coded_by_their_principal_components(tmp_path: Path) -> None:
    data = lively_set(None, None, encoder="none", space="vertices")
    with pytest.raises(VultusError, match=r"method.components is 200"):
        run(recipe({"stage": "codec", **SIZES, "components": 200}), data, None, tmp_path / "many")
    sizes = {**SIZES, "components": 3}
    folder = run(
        recipe({"stage": "codec", **sizes}, {"encoder": "none", "space": "vertices"}), data, None, tmp_path / "r"
    )
    model, _ = load_run(folder, gaps=GAPS)
    offsets = torch.from_numpy(np.asarray(data.entries[0].motion[:40], np.float32))
    back = model.codec.coordinates(offsets) @ model.codec.matrix
    assert float((back - offsets).norm()) < 1e-3 * float(offsets.norm())  # the toy's motion has one direction
    codes, _ = model.codec.encode(offsets[None])
    assert model.codec.decode(model.codec.latents(codes), 40).shape == (1, 40, 3)
    assert model.codec.matrix.shape == (3, 3 * V)


def test_nothing_is_heard_without_an_encoder() -> None:
    data = lively_set(None, None, encoder="none")
    batch, sound = data.batch(0, 0, 3)
    assert sound is None and batch.features.shape == (3, batch.motion.shape[1], 0) and data.feature_dimension == 0
    assert batch.motion.shape[2] == K


def test_the_mouth_of_the_head_is_told_from_the_rest() -> None:
    from vultus.head import load_head
    from vultus.methods.base import Dimensions
    from vultus.methods.probabilistic_codec import Codec, CodecConfig
    from vultus.motion import WEIGHT_NAMES

    class Data:
        """As much of a TrainingSet as statistics need."""

        config = DataConfig()
        entries: ClassVar[list[Any]] = [SimpleNamespace(motion=np.random.default_rng(0).random((50, 55), np.float32))]

        def region(self, name: str) -> np.ndarray:
            return np.asarray(head.topology.region(name), np.int64)

    head = load_head()
    dims = Dimensions(len(head.template.vertices), 0)
    codec = Codec(CodecConfig(channels=4, code_size=2), dims, head.rig.matrix, None, learn=True)
    codec.prepare(Data())  # type: ignore[arg-type]
    mouth = {name for name, yes in zip(WEIGHT_NAMES, codec.mouth_columns().tolist(), strict=True) if yes}
    assert mouth == {name for name in WEIGHT_NAMES if name.startswith(("jaw", "mouth", "tongue", "cheekPuff"))}
    mixed = np.eye(55, dtype=np.float32)
    mixed[0, WEIGHT_NAMES.index("jawOpen")] = 0.3  # a shape that blinks and opens the jaw
    codec = Codec(CodecConfig(channels=4, code_size=2), dims, mixed @ head.rig.matrix, None, learn=True)
    codec.prepare(Data())  # type: ignore[arg-type]
    with pytest.raises(VultusError, match="either mouth or upper face"):
        codec.mouth_columns()


# The shipped recipes

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
TINY = (
    "method.channels=8", "method.code_size=4", "method.codes=8", "train.batch=4", "train.epochs=1", "train.log_every=1",
    "train.device=cpu", "train.precision=float32",
)  # fmt: skip
TINY_PRIOR = (
    "method.width=16", "method.heads=2", "method.coarse_layers=1", "method.fine_layers=1", "method.style_width=16",
    "method.style_layers=1", *TINY[3:],
)  # fmt: skip


def command(recipe: str, root: Path, out: Path, *sets: str) -> list[str]:
    words = [word for change in sets for word in ("--set", change)]
    return ["train", str(RECIPES / f"{recipe}.toml"), "--data", str(root), "--out", str(out), *words]


def test_paper_recipes_run_on_a_miniature_of_their_data(tmp_path: Path) -> None:
    """FLAME's 53 numbers, losses through a linear rig, HuBERT trained along."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "datasets"))
    import miniature_voxceleb2

    tiny_hubert(tmp_path / "hubert")
    root = miniature_voxceleb2.build(tmp_path / "data", kind="videowise")
    coded = (*TINY, "data.crop=1.0", "method.free_steps=1")
    assert main(command("probabilistic_codec_paper", root, tmp_path / "codec", *coded)) == 0
    named = f"method.codec={tmp_path / 'codec'}"
    sets = (*TINY_PRIOR, named, f"data.checkpoint={tmp_path / 'hubert'}", "train.epochs=2", "data.crop=1.0")
    assert main(command("probabilistic_prior_paper", root, tmp_path / "prior", *sets)) == 0
    settings = json.loads((tmp_path / "prior" / "settings.json").read_text())
    assert settings["method"]["codes"] == 8 and settings["rig"]["shapes"] == 53
    losses = [line["prior/fine"] for line in read_log(tmp_path / "prior") if "prior/fine" in line]
    assert losses and np.isfinite(losses).all()
    tensors, _ = load_tensors(tmp_path / "prior" / "model.safetensors")
    assert tensors["model.codec.mean"].shape == (53,) and float(tensors["model.codec.fps"]) == 25.0
    assert any(key.startswith("encoder.") for key in tensors)


def test_linear_rig_of_flame_is_near_flame(tmp_path: Path) -> None:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "datasets"))
    from miniature_flame import write_flame

    from vultus.rigs.flame import FlameRig, load_flame
    from vultus.train.sources import linearise

    rig = FlameRig(load_flame(write_flame(tmp_path / "flame.npz")))
    matrix = linearise(rig)
    motion = np.concatenate([np.random.default_rng(0).normal(size=(4, 50)), np.zeros((4, 3))], 1).astype(np.float32)
    exact = (rig.vertices(motion, rig.template) - rig.template.vertices).reshape(4, -1)
    np.testing.assert_allclose(motion @ matrix, exact, atol=1e-5)  # expression is linear
    motion[:, 50:] = 0.03 * np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    exact = (rig.vertices(motion, rig.template) - rig.template.vertices).reshape(4, -1)
    assert np.abs(motion @ matrix - exact).max() < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("probabilistic_*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_read(path: Path, codec_run: Path) -> None:
    assert len(sorted(RECIPES.glob("probabilistic_*.toml"))) == 6
    if "prior" in path.stem:
        with pytest.raises(VultusError, match=r"method.codec is empty"):
            read_recipe(path)
        assert read_recipe(path, [f"method.codec={codec_run}"]).method.codes == 16
    else:
        assert read_recipe(path).method.stage == "codec"
