"""The story of a run: it learns, it survives, and the number of processes does not matter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import ToyEncoder, toy_set

from vultus.errors import VultusError
from vultus.train.checkpoint import load_tensors, save_tensors
from vultus.train.log import read_log
from vultus.train.loop import _Average, load_run, run
from vultus.train.recipe import Recipe, make_recipe
from vultus.train.run_folder import check_folder

HERE = Path(__file__).resolve().parent


def toy_recipe(train: dict[str, Any] | None = None, **method: Any) -> Recipe:
    tiny = {"channels": 16, "style_channels": 12, "encoder_depth": 10, "decoder_units": 2, "loss_form": "squared"}
    settings = {"epochs": 2, "batch": 4, "lr": 3e-3, "log_every": 1, "save_every": 2, "schedule": "one_cycle"}
    return make_recipe(
        {
            "method": {**tiny, "audio_norm": "batch", **method},
            "train": {**settings, "clip_norm": 5.0, "ema": 0.9, **(train or {})},
            "loss": {"motion/velocity": 1.0, "lips/gap": 0.1},
        }
    )


def assert_same_run(one: Path, other: Path) -> None:
    first, second = (load_tensors(folder / "model.safetensors")[0] for folder in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    losses = [[line["loss"] for line in read_log(folder) if "loss" in line] for folder in (one, other)]
    assert losses[0] == losses[1]


def test_training_learns_and_leaves_what_is_promised(tmp_path: Path) -> None:
    data, validation = toy_set(tmp_path / "c"), toy_set(tmp_path / "c", augment=False)
    folder = run(toy_recipe({"epochs": 6}), data, validation, tmp_path / "run")
    lines = read_log(folder)
    losses = [line["loss"] for line in lines if "loss" in line]
    assert np.mean(losses[-5:]) < 0.4 * losses[0]
    validations = [line["val/loss"] for line in lines if "val/loss" in line]
    assert len(validations) == 6 and validations[-1] < validations[0]
    assert all({"grad_norm", "lr", "speech_seconds_per_second"} <= line.keys() for line in lines if "loss" in line)
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["train"]["epochs"] == 6 and settings["encoder"]["rate"] == ToyEncoder.rate
    model, _ = load_run(folder)
    assert not model.training and model.W.shape == (16, 90)


def test_resumed_after_an_exception_equals_uninterrupted(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(step: int) -> None:
        if step == 7:  # in the middle of the second epoch, after the checkpoint of step 6
            raise Stop

    data = toy_set(tmp_path / "c")
    run(toy_recipe(), data, None, tmp_path / "whole")
    with pytest.raises(Stop):
        run(toy_recipe(), data, None, tmp_path / "cut", after_step=stop)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    run(toy_recipe(), data, None, tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


PROCESS = """
import os, signal, sys
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(1)
from pathlib import Path
from toy import toy_set
from test_loop import toy_recipe
from vultus.train import distributed
from vultus.train.loop import run
out, kill_at = Path(sys.argv[1]), int(sys.argv[2])
processes = distributed.start("cpu")
def after(step):
    if step == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
run(toy_recipe(), toy_set(out.parent / "c"), None, out, processes=processes, after_step=after)
distributed.stop(processes)
"""


def start(out: Path, kill_at: int = -1, **environment: str) -> subprocess.Popen[bytes]:
    code = PROCESS.format(here=str(HERE))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(out), str(kill_at)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
    )


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    process = start(tmp_path / "killed", kill_at=5)
    assert process.wait(120) == -signal.SIGKILL
    if process.stderr is not None:
        process.stderr.close()
    data = toy_set(tmp_path / "c")
    torch.set_num_threads(1)
    run(toy_recipe(), data, None, tmp_path / "killed", resume=True)
    run(toy_recipe(), data, None, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    run(toy_recipe(), toy_set(tmp_path / "c"), None, tmp_path / "one")
    port = str(20_000 + os.getpid() % 20_000)
    environment = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [start(tmp_path / "two", RANK=str(rank), LOCAL_RANK=str(rank), **environment) for rank in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()[-2000:]
    one, two = read_log(tmp_path / "one"), read_log(tmp_path / "two")
    assert len(one) == len(two) == 10
    for first, second in zip(one, two, strict=True):
        for key in ("loss", "motion/l2", "lips/gap"):
            assert second[key] == pytest.approx(first[key], rel=2e-3 if first["step"] > 3 else 1e-4)


class ToyTorchEncoder(torch.nn.Module):
    """A convolution at 50 Hz, as a speech encoder that is trained along."""

    rate, offset, dimension = 50.0, 0.01, 5

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv1d(1, 5, 320, stride=320)

    def forward(self, samples: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return self.conv(samples[:, None]).abs().transpose(1, 2)

    def freeze(self) -> None:
        self.requires_grad_(False)

    def unfreeze(self) -> None:
        self.requires_grad_(True)


def test_encoder_is_frozen_first_and_learns_then(tmp_path: Path) -> None:
    data = toy_set(tmp_path, copies=0)
    data.cache = None  # features come from the encoder itself
    seen: list[torch.Tensor] = []
    encoder = ToyTorchEncoder()
    recipe = toy_recipe({"finetune": True, "frozen_epochs": 1, "epochs": 2, "batch": 3})
    run(
        recipe, data, data, tmp_path / "run", encoder=encoder,
        after_step=lambda step: seen.append(encoder.conv.weight.detach().clone()),
    )  # fmt: skip
    per_epoch = len(seen) // 2
    assert all(torch.equal(seen[0], weight) for weight in seen[:per_epoch])
    assert not torch.equal(seen[0], seen[-1])
    tensors, _ = load_tensors(tmp_path / "run" / "model.safetensors")
    assert torch.equal(tensors["encoder.conv.weight"], seen[-1])


def test_the_command_from_recipe_to_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vultus.cli import main
    from vultus.datasets import DATASETS
    from vultus.features import ENCODERS

    monkeypatch.setitem(DATASETS, "toy", "toy:ToyData")
    monkeypatch.setitem(ENCODERS, "toy", "toy:ToyEncoder")
    recipe = tmp_path / "toy.toml"
    recipe.write_text(
        """
        [method]
        channels = 16
        style_channels = 12
        encoder_depth = 10
        decoder_units = 2
        [data]
        dataset = "toy"
        space = "vertices"
        encoder = "toy"
        crop = 1.5
        [train]
        epochs = 2
        batch = 3
        log_every = 1
        """,
        encoding="utf-8",
    )
    command = ["train", str(recipe), "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--set", "train.lr=3e-3"]
    assert main([*command, "--set", "train.learning_rate=1"]) == 2 and not (tmp_path / "run").exists()
    assert main(command) == 0
    assert main(command) == 2  # the folder holds a run
    assert main([*command, "--resume"]) == 0  # nothing is left to do
    losses = [line["loss"] for line in read_log(tmp_path / "run") if "loss" in line]
    assert len(losses) == 2 * 3 and losses[-1] < losses[0]
    model, settings = load_run(tmp_path / "run")
    assert settings["train"]["lr"] == 3e-3 and model.dims.num_vertices == 30


def test_wrong_loss_keys_and_wrong_folders_stop(tmp_path: Path) -> None:
    data = toy_set(tmp_path / "c", copies=0)
    recipe = make_recipe({**toy_recipe().resolved(), "loss": {"motion/speed": 1.0}})
    with pytest.raises(VultusError, match=r"unknown key of \[loss\] 'motion/speed'"):
        run(recipe, data, None, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run(toy_recipe({"epochs": 1}), data, None, tmp_path / "run")
    with pytest.raises(VultusError, match="add --resume"):
        check_folder(tmp_path / "run", toy_recipe({"epochs": 1}), resume=False)
    with pytest.raises(VultusError, match=r"started with train.lr = 0.003"):
        check_folder(tmp_path / "run", toy_recipe({"epochs": 1, "lr": 1e-2}), resume=True)
    with pytest.raises(VultusError, match="nothing to resume"):
        check_folder(tmp_path / "other", toy_recipe(), resume=True)
    with pytest.raises(VultusError, match="does not fit this recipe"):
        run(toy_recipe({"epochs": 1}, channels=8), data, None, tmp_path / "run", resume=True)


def test_files_that_are_not_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(VultusError, match="no such checkpoint"):
        load_tensors(path)
    path.write_bytes(b"\x80\x04junk that a pickle could start with")
    with pytest.raises(VultusError, match="not a checkpoint of ours"):
        load_tensors(path)
    save_tensors(path, {"a": torch.arange(3)}, {"step": 4})
    assert load_tensors(path)[1] == {"step": 4} and list(tmp_path.iterdir()) == [path]


def test_average_of_a_short_training_holds_little_of_the_initial_weights() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 1.0)
    average = _Average(model, 0.9999)
    torch.nn.init.constant_(model.weight, 0.0)
    for step in range(100):
        average.update(model, step)
    assert 0.0 < average.shadow.weight.item() < 1e-4  # 0.99 with the decay at once
