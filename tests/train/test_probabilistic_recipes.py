"""The paper's recipes of the probabilistic method in two processes, and the moving averages of its optimiser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import tiny_hubert, toy_set

from vultus.cli import main
from vultus.errors import VultusError
from vultus.train.checkpoint import load_tensors
from vultus.train.log import read_log
from vultus.train.loop import load_run, run
from vultus.train.recipe import make_recipe, read_recipe

sys.path.append(str(Path(__file__).resolve().parents[1] / "datasets"))

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
TINY = (
    "method.free_steps=1", "method.channels=8", "method.code_size=4", "method.codes=8", "train.batch=4",
    "train.epochs=1", "train.log_every=1", "train.device=cpu", "data.crop=1.0",
)  # fmt: skip
TINY_PRIOR = (
    "method.width=16", "method.heads=2", "method.coarse_layers=1", "method.fine_layers=1", "method.style_width=16",
    "method.style_layers=1", *TINY[4:], "train.epochs=2",
)  # fmt: skip


def torchrun(recipe: str, root: Path, out: Path, *settings: str) -> None:
    """`vultus train` in two processes on this machine, with gloo."""
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vultus"]
    words += ["train", str(RECIPES / f"{recipe}.toml"), "--data", str(root), "--out", str(out)]
    words += [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(
        words, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_paper_recipes_run_in_two_processes(tmp_path: Path) -> None:
    """As they are: mixed precision, warm-up, moving average; HuBERT first frozen, then trained along."""
    import miniature_voxceleb2

    tiny_hubert(tmp_path / "hubert")
    root = miniature_voxceleb2.build(tmp_path / "data", kind="videowise")
    torchrun("probabilistic_codec_paper", root, tmp_path / "codec", *TINY)
    sets = (*TINY_PRIOR, f"method.codec={tmp_path / 'codec'}", f"data.checkpoint={tmp_path / 'hubert'}")
    torchrun("probabilistic_prior_paper", root, tmp_path / "prior", *sets)
    for name, betas in (("codec", [0.9, 0.99]), ("prior", [0.9, 0.95])):
        losses = [line["loss"] for line in read_log(tmp_path / name) if "loss" in line]
        assert losses and np.isfinite(losses).all()
        assert [line for line in read_log(tmp_path / name) if "val/loss" in line]
        told = json.loads((tmp_path / name / "settings.json").read_text())["train"]
        assert told["betas"] == betas and told["precision"] == "bfloat16" and told["warmup"] < 0.1
    assert told["ema"] == 0.9995
    tensors, _ = load_tensors(tmp_path / "codec" / "model.safetensors")
    books = [value for key, value in tensors.items() if key.endswith("_codebook.embed")]
    assert len(books) == 4 and all(torch.isfinite(book).all() and book.std() > 0 for book in books)


# train.betas


def toy(folder: Path, name: str, **train: object) -> Path:
    settings = {"epochs": 2, "batch": 4, "log_every": 1, "optimizer": "adamw", **train}
    recipe = make_recipe({"method": {"channels": 8, "style_channels": 8, "decoder_units": 1}, "train": settings})
    return run(recipe, toy_set(folder / "c"), None, folder / name)


def test_betas_are_those_of_the_optimiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float]] = []
    for kind in ("Adam", "AdamW"):
        make = getattr(torch.optim, kind)

        def watched(*args: object, make: object = make, **options: object) -> object:
            seen.append(options["betas"])  # type: ignore[arg-type]
            return make(*args, **options)  # type: ignore[operator]

        monkeypatch.setattr(torch.optim, kind, watched)
    toy(tmp_path, "adamw", betas=[0.9, 0.5])
    toy(tmp_path, "adam", optimizer="adam", betas=[0, 0.5])
    toy(tmp_path, "default")
    assert seen == [(0.9, 0.5), (0.0, 0.5), (0.9, 0.999)]
    last = [read_log(tmp_path / name)[-1]["loss"] for name in ("adamw", "default")]
    assert last[0] != last[1]


def test_a_resumed_run_keeps_its_betas(tmp_path: Path) -> None:
    recipe = tmp_path / "toy.toml"
    recipe.write_text("[data]\nhours = 1.0\n")
    written = read_recipe(recipe, ["train.betas=[0.9, 0.95]"])
    assert written.train.betas == (0.9, 0.95) and make_recipe(written.resolved()) == written
    from vultus.train.run_folder import check_folder

    (tmp_path / "run").mkdir()
    settings = tmp_path / "run" / "settings.json"
    settings.write_text(json.dumps(written.resolved()))
    check_folder(tmp_path / "run", written, resume=True)
    with pytest.raises(VultusError, match=r"was started with train.betas = \[0.9, 0.95\], now \[0.9, 0.999\]"):
        check_folder(tmp_path / "run", read_recipe(recipe), resume=True)
    old = written.resolved()  # of a version that did not know them
    del old["train"]["betas"]
    settings.write_text(json.dumps(old))
    check_folder(tmp_path / "run", read_recipe(recipe), resume=True)
    with pytest.raises(VultusError, match=r"was started with train.betas = None, now \[0.9, 0.95\]"):
        check_folder(tmp_path / "run", written, resume=True)


def test_a_run_without_betas_is_read(tmp_path: Path) -> None:
    folder = toy(tmp_path, "run")
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["train"].pop("betas") == [0.9, 0.999]
    (folder / "settings.json").write_text(json.dumps(settings))
    model, _ = load_run(folder)
    assert model.config.channels == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[0.9, 1.0]",
            "train.betas is [0.9, 1.0]; expected two numbers of at least 0 and less than 1, such as",
        ),
        ("[0.9]", "train.betas is [0.9]; expected two numbers"),
        ("[0.9, -0.1]", "train.betas is [0.9, -0.1]; expected two numbers"),
        ("[0.9, nan]", "train.betas is [0.9, nan]; expected two numbers"),
        ("0.9", "train.betas is 0.9 (float); expected a list of 2 numbers, such as [0.9, 0.999]"),
        ("['a', 'b']", "train.betas is ['a', 'b'] (list); expected a list of 2 numbers"),
        ("[true, 0.9]", "train.betas is [True, 0.9] (list); expected a list of 2 numbers"),
    ],
)
def test_bad_betas_stop_in_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("")
    words = ["train", str(recipe), "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    assert main([*words, "--set", f"train.betas={text}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
    assert not (tmp_path / "run").exists()
