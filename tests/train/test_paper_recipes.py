"""The recipes at paper scale, each on a miniature of its data set with a tiny HuBERT of random weights.

The miniature has the true vertex count and layout; what makes it quick is the width of the network and the encoder.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch", reason="needs torch (pip install 'vultus[train]')")
transformers = pytest.importorskip("transformers", reason="needs transformers (pip install 'vultus[train]')")

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "datasets"))

import miniature_biwi  # noqa: E402
import miniature_multiface  # noqa: E402
import miniature_vocaset  # noqa: E402
from toy import tiny_hubert  # noqa: E402

from vultus.cli import main  # noqa: E402
from vultus.datasets import open_dataset  # noqa: E402
from vultus.datasets.convert import convert  # noqa: E402
from vultus.train.checkpoint import load_tensors  # noqa: E402
from vultus.train.distributed import Processes  # noqa: E402
from vultus.train.log import read_log  # noqa: E402
from vultus.train.loop import load_run, open_sets, run  # noqa: E402
from vultus.train.recipe import read_recipe  # noqa: E402

RECIPES = HERE.parents[1] / "recipes"
#: Data set -> recipe, miniature, vertices, frames per second.
LAYOUTS: dict[str, tuple[str, Callable[[Path], Path], int, float]] = {
    "vocaset": ("vocaset", miniature_vocaset.vocaset, 5023, 60.0),
    "vocaset_faceformer": ("vocaset", miniature_vocaset.vocaset_faceformer, 5023, 60.0),
    "vocaset_mm23": ("vocaset", miniature_vocaset.vocaset_mm23, 5023, 60.0),
    "biwi_area": ("biwi", miniature_biwi.biwi_area, 23370, 25.0),
    "biwi_mm23": ("biwi", miniature_biwi.biwi_mm23, 23370, 25.0),
    "biwi": ("biwi", miniature_biwi.biwi_raw, 23370, 25.0),
    "meshtalk": ("meshtalk", miniature_multiface.meshtalk, 6172, 30.0),
    "meshtalk_mm23": ("meshtalk", miniature_multiface.meshtalk_mm23, 6172, 30.0),
}
SMALL = (
    "method.channels=8", "method.style_channels=8", "method.decoder_units=1", "train.batch=2", "train.epochs=2",
    "train.frozen_epochs=1", "train.log_every=1", "train.device=cpu", "data.crop=0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HuBERT with the norms of the large size, 2 blocks of width 16."""
    folder = tmp_path_factory.mktemp("hubert")
    torch.manual_seed(1)
    tiny_hubert(folder, num_hidden_layers=2, do_stable_layer_norm=True, feat_extract_norm="layer", conv_bias=True)
    return folder


def settings(name: str, checkpoint: Path, *more: str) -> list[str]:
    return [*SMALL, f"data.dataset={name}", f"data.checkpoint={checkpoint}", *more]


def command(name: str, root: Path, out: Path, changes: list[str]) -> list[str]:
    recipe = RECIPES / f"composite_regional_{LAYOUTS[name][0]}.toml"
    sets = [word for change in changes for word in ("--set", change)]
    return ["train", str(recipe), "--data", str(root), "--out", str(out), *sets]


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_one_command_from_the_layout_to_a_model(name: str, checkpoint: Path, tmp_path: Path) -> None:
    recipe_name, build, vertices, fps = LAYOUTS[name]
    root = build(tmp_path / "data")
    # One step an epoch: first with the encoder as it is, then with it learning.
    assert main(command(name, root, tmp_path / "run", settings(name, checkpoint, "data.hours=1e-7"))) == 0
    model, told = load_run(tmp_path / "run")
    assert model.dims.num_vertices == vertices and told["data"]["fps"] == fps
    assert told["trained_on"] == name and told["unit"] == ("area" if name in ("biwi_area", "biwi_mm23") else "m")
    losses = [line["loss"] for line in read_log(tmp_path / "run") if "loss" in line]
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert model.config.loss_scale == (0.1 if recipe_name == "biwi" else 1.0)
    trained, _ = load_tensors(tmp_path / "run" / "model.safetensors")
    original = transformers.HubertModel.from_pretrained(checkpoint).state_dict()
    first = "feature_extractor.conv_layers.0.conv.weight"
    moved = trained["encoder." + first.replace("feature_extractor", "extractor")] - original[first]
    assert 0 < float(moved.abs().max()) < 1e-3  # one step of Adam at 1e-4, the front end included
    assert not (root / "feature_cache").exists()  # nothing is cached of an encoder that learns


def test_stopped_in_the_middle_and_resumed_gives_the_same_numbers(checkpoint: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(step: int) -> None:
        if step == 4:
            raise Stop

    root = miniature_vocaset.vocaset_faceformer(tmp_path / "data")
    changes = settings("vocaset_faceformer", checkpoint, "train.epochs=3", "train.save_every=1")
    words = command("vocaset_faceformer", root, tmp_path / "whole", changes)
    assert main(words) == 0
    recipe = read_recipe(Path(words[1]), changes)
    processes = Processes(0, 1, torch.device("cpu"))
    data, validation = open_sets(recipe, root, tmp_path / "cache", processes)
    assert data.steps(2) == 3 and not (tmp_path / "cache").exists()
    with pytest.raises(Stop):
        run(recipe, data, validation, tmp_path / "cut", after_step=stop)
    assert main([*command("vocaset_faceformer", root, tmp_path / "cut", changes), "--resume"]) == 0
    one, other = (load_tensors(tmp_path / folder / "model.safetensors")[0] for folder in ("whole", "cut"))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert len([line for line in read_log(tmp_path / "cut") if "loss" in line]) == 9


def test_checkpoints_at_the_ends_of_some_epochs(checkpoint: Path, tmp_path: Path) -> None:
    root = miniature_vocaset.vocaset_faceformer(tmp_path / "data")
    recipe_file = RECIPES / "composite_regional_vocaset.toml"
    changes = settings("vocaset_faceformer", checkpoint, "train.epochs=3", "train.save_epochs=2", "data.hours=1e-7")
    recipe = read_recipe(recipe_file, changes)
    data, _ = open_sets(recipe, root, tmp_path / "cache", Processes(0, 1, torch.device("cpu")))
    seen: dict[int, int] = {}

    def after(step: int) -> None:
        state = tmp_path / "run" / "state.safetensors"
        seen[step] = load_tensors(state)[1]["step"] if state.is_file() else 0

    run(recipe, data, None, tmp_path / "run", after_step=after)
    assert seen == {1: 0, 2: 0, 3: 2}
    assert load_tensors(tmp_path / "run" / "state.safetensors")[1]["step"] == 3


def test_shards_train_to_what_the_layout_trains_to(checkpoint: Path, tmp_path: Path) -> None:
    """The same motion; sound at 16 kHz, so that shards hold it without loss."""
    root = miniature_vocaset.vocaset_faceformer(tmp_path / "data")
    for path in (root / "wav").glob("*.wav"):
        frames = 24 if path.stem.endswith("sentence21") else 12
        soundfile.write(path, miniature_vocaset.tone(frames, 16_000), 16_000)
    convert(open_dataset("vocaset_faceformer", str(root)), tmp_path / "shards")
    changes = settings("vocaset_faceformer", checkpoint, "train.epochs=1")
    assert main(command("vocaset_faceformer", root, tmp_path / "one", changes)) == 0
    changes = settings("shards", checkpoint, "train.epochs=1")
    words = command("vocaset_faceformer", tmp_path / "shards", tmp_path / "two", changes)
    assert main(words) == 0
    losses = [[line["loss"] for line in read_log(tmp_path / run) if "loss" in line] for run in ("one", "two")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    told = json.loads((tmp_path / "two" / "settings.json").read_text())
    assert told["trained_on"] == "vocaset_faceformer" and told["data"]["dataset"] == "shards"


def test_a_frozen_encoder_is_cached_and_gives_the_same_first_step(checkpoint: Path, tmp_path: Path) -> None:
    """Features read from the cache (of the whole clip, as float16) are those that the encoder gives to a whole cut."""
    root = miniature_vocaset.vocaset_faceformer(tmp_path / "data")
    base = settings("vocaset_faceformer", checkpoint, "train.epochs=1")
    cache = ["--cache", str(tmp_path / "cache")]
    words = command("vocaset_faceformer", root, tmp_path / "cached", [*base, "train.finetune=false"])
    assert main([*words, *cache]) == 0
    # The miniature has two sounds, of 12 and of 24 frames; equal sounds share their features.
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 2
    assert main(command("vocaset_faceformer", root, tmp_path / "direct", base)) == 0
    one, two = ([line["loss"] for line in read_log(tmp_path / run) if "loss" in line] for run in ("cached", "direct"))
    assert one[0] == pytest.approx(two[0], rel=1e-3)


@pytest.mark.parametrize("recipe", ["vocaset", "biwi", "meshtalk"])
def test_the_recipes_state_the_published_settings(recipe: str) -> None:
    path = RECIPES / f"composite_regional_{recipe}.toml"
    made = read_recipe(path)
    assert made.train.epochs == 120 and made.train.batch == 8 and made.train.lr == 1e-4
    assert made.train.optimizer == "adam" and made.train.schedule == "constant" and made.train.weight_decay == 0
    assert made.train.finetune and made.train.frozen_epochs == 10
    assert made.method.alpha == 0.1 and made.method.l1 == 1e-4 and made.method.channels == 256
    assert made.method.loss_scale == (0.1 if recipe == "biwi" else 1.0)
    assert made.data.space == "vertices" and made.data.encoder == "hubert"
    assert made.data.checkpoint == "facebook/hubert-large-ll60k"
    assert made.data.fps == {"vocaset": 60.0, "biwi": 25.0, "meshtalk": 30.0}[recipe]
    # What the file does not state is a default, and each key that it states is one of the config.
    stated = tomllib.loads(path.read_text(encoding="utf-8"))
    assert {*stated["data"]} <= {field.name for field in dataclasses.fields(made.data)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.epoch=3", "unknown key of [train] 'epoch'; did you mean 'epochs'?"),
        ("data.crops=3", "unknown key of [data] 'crops'; did you mean 'crop'?"),
        ("method.alfa=0.2", "unknown key of [method] 'alfa'; did you mean 'alpha'?"),
        ("trian.epochs=3", "unknown table of a recipe 'trian'; did you mean 'train'?"),
        ("data.dataset=vocasset", "unknown data set 'vocasset'; did you mean 'vocaset'?"),
        ("data.options=protocoll=mm23", "unknown option of data set vocaset 'protocoll'; did you mean 'protocol'?"),
        ("data.space=weights", "expected 'vertices'"),
        ("data.split=trane", "did you mean 'train'?"),
        ("loss.motion=1", "unknown key of [loss] 'motion'"),
    ],
)
def test_a_misspelt_setting_stops_in_one_line(
    change: str, message: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = miniature_vocaset.vocaset(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    words = command("vocaset", root, tmp_path / "run", [*SMALL, f"data.checkpoint={checkpoint}", change])
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("vultus: error: ") and error.count("\n") == 1 and message in error, error
    assert sorted(tmp_path.rglob("*")) == before


def test_one_mesh_and_one_unit_only(tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = miniature_biwi.biwi_area(tmp_path / "data")
    data: Any = open_dataset("biwi_area", str(root))
    other = dataclasses.replace(data.split("train")[0], unit="m", subject="F3")
    data._by_split["train"] = (*data._by_split["train"], other)
    monkeypatch.setattr("vultus.datasets.open_dataset", lambda *args, **keywords: data)
    recipe = read_recipe(RECIPES / "composite_regional_biwi.toml", settings("biwi_area", checkpoint))
    with pytest.raises(ValueError, match="23370 vertices in m, clips before it 23370 in area"):
        open_sets(recipe, root, tmp_path / "cache", Processes(0, 1, torch.device("cpu")))
