from __future__ import annotations

from pathlib import Path

import pytest

from vultus.errors import VultusError
from vultus.train.loop import train
from vultus.train.recipe import make_recipe, read_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_the_paper() -> None:
    recipe = make_recipe({})
    assert (recipe.train.lr, recipe.train.batch, recipe.train.epochs) == (1e-4, 8, 120)
    assert (recipe.train.weight_decay, recipe.train.frozen_epochs) == (0.0, 10)
    assert recipe.method.audio_norm == "clip" and recipe.method.loss_form == "norm"


def test_overrides_win_and_keep_their_types(tmp_path: Path) -> None:
    path = write(tmp_path, "[train]\nlr = 1e-3\n")
    overrides = [
        "train.lr=2e-4",
        "method.loss_form=squared",
        "method.composite=false",
        "loss.motion/l2=2",
        "train.ema=0",
    ]
    recipe = read_recipe(path, overrides)
    assert recipe.train.lr == 2e-4 and recipe.train.ema == 0.0
    assert recipe.method.loss_form == "squared" and recipe.method.composite is False
    assert recipe.loss == {"motion/l2": 2.0}
    assert make_recipe(recipe.resolved()) == recipe


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        ("[train]\nlearning_rate = 1", "", "unknown key of .train."),
        ("[data]\nencodr = 'mel'", "", "did you mean 'encoder'"),
        ("[trian]\nlr = 1", "", "did you mean 'train'"),
        ("[method]\nname = 'composite'", "", "unknown method 'composite'"),
        ("[train]\nlr = 'fast'", "", "train.lr is 'fast'"),
        ("[train]\nbatch = 8.5", "", "expected int"),
        ("[train]\nprecision = 'fp8'", "", "unknown train.precision"),
        ("[data]\ncrop = 0.1", "", "data.crop is 0.1"),
        ("[loss]\n'motion/l2' = 'much'", "", "expected a number"),
        ("[train\n", "", "not a readable TOML"),
        ("", "lr=1", "expected table.key=value"),
        ("", "train.lr", "expected table.key=value"),
        ("train = 3", "", "expected a table"),
    ],
)
def test_a_wrong_recipe_stops_before_any_work(tmp_path: Path, text: str, override: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(VultusError, match=message):
        train(path, [override] if override else [], tmp_path / "run", root=tmp_path)
    assert not (tmp_path / "run").exists()


def test_missing_recipe_and_missing_data(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="no such recipe"):
        train(tmp_path / "none.toml", [], tmp_path / "run", root=tmp_path)
    with pytest.raises(VultusError, match="data folder"):
        train(write(tmp_path, ""), [], tmp_path / "run", root=tmp_path / "none")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("composite_regional_*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.method_name == "composite_regional"
    base = read_recipe(RECIPES / "composite_regional_base.toml")
    changed = {
        "composite_regional_no_composite": ("method", "composite", False),
        "composite_regional_no_regional": ("method", "regional", False),
        "composite_regional_mel": ("data", "encoder", "mel"),
    }
    if path.stem in changed:  # an ablation differs from the base in one setting alone
        table, key, value = changed[path.stem]
        wanted = base.resolved()
        wanted[table][key] = value
        assert recipe.resolved() == wanted
