"""The story of a training run.

    one process         vultus train RECIPE --data ROOT --out RUN
    several on one box  torchrun --nproc-per-node 4 -m vultus train RECIPE --data ROOT --out RUN
    several machines    torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \
                            -m vultus train RECIPE --data ROOT --out RUN

The run folder holds settings.json (every setting, resolved), log.jsonl, state.safetensors (what `--resume` needs) and
model.safetensors (what is exported). A run may be killed at any moment; `--resume` goes on to the same numbers.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vultus.errors import VultusError
from vultus.methods.base import Batch, Dimensions
from vultus.train import checkpoint, distributed
from vultus.train.data import NO_ENCODER, SoundBatch, TrainingSet, grid_matrix
from vultus.train.distributed import Processes
from vultus.train.log import RunLog, feature_progress
from vultus.train.recipe import Recipe, TrainConfig, loss_weights, make_recipe, method_class, read_recipe
from vultus.train.run_folder import SETTINGS, check_folder, write_settings
from vultus.train.sources import encoder_maker, open_split

STATE, MODEL = "state.safetensors", "model.safetensors"


def train(
    recipe_path: str | Path,
    overrides: Sequence[str] = (),
    out: str | Path = "run",
    *,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Path:
    """Trains what a recipe describes and returns the run folder.

    Args:
        recipe_path: a TOML file, see `vultus.train.recipe`.
        overrides: "table.key=value" texts that win over the file.
        out: the run folder; a new one unless `resume`.
        root: folder of the data set.
        cache: folder for speech features; default `feature_cache` beside the data.
        resume: go on with the run in `out`.
        progress: show a bar; None where standard error is a terminal.

    Raises:
        VultusError: a wrong setting (before any work), missing data, a folder that holds another run.
    """
    recipe = read_recipe(Path(recipe_path), overrides)
    folder = Path(out)
    check_folder(folder, recipe, resume)
    if root is None or not Path(root).is_dir():
        raise VultusError(
            f"data folder {root}: not there; expected the folder of data set {recipe.data.dataset}: make the synthetic "
            "one with `vultus data synthesize --out DIR`, look at any with `vultus data check NAME ROOT`"
        )
    _check_loss(recipe)
    torch.set_num_threads(recipe.train.threads)
    processes = distributed.start(recipe.train.device)
    try:
        processes.share(recipe.train.batch)
        cache = Path(cache or Path(root) / "feature_cache")
        data, validation = open_sets(recipe, Path(root), cache, processes, progress)
        return run(recipe, data, validation, folder, processes=processes, resume=resume, progress=progress)
    finally:
        distributed.stop(processes)


def open_sets(
    recipe: Recipe, root: Path, cache: Path, processes: Processes, progress: bool | None = None
) -> tuple[TrainingSet, TrainingSet | None]:
    """Training and validation sets; rank 0 computes features, the others wait for them."""
    hears_features = not recipe.train.finetune and recipe.data.encoder != NO_ENCODER
    make_encoder = encoder_maker(recipe.data) if hears_features else None
    show = feature_progress(progress)
    folder = cache if hears_features else None
    turn = [processes.is_first, not processes.is_first] if processes.world > 1 else [True]
    sets: list[TrainingSet | None] = []
    for mine in turn:
        if mine:
            sets = [
                open_split(recipe.data, root, name, make_encoder, folder, augment=not place, progress=show)
                if name
                else None
                for place, name in enumerate((recipe.data.split, recipe.data.validation))
            ]
        processes.wait()
    assert sets[0] is not None
    return sets[0], sets[1]


def run(
    recipe: Recipe,
    data: TrainingSet,
    validation: TrainingSet | None,
    folder: Path,
    *,
    processes: Processes | None = None,
    resume: bool = False,
    progress: bool | None = None,
    encoder: nn.Module | None = None,
    after_step: Callable[[int], None] | None = None,
) -> Path:
    """Trains on sets that are open already; `encoder` is the torch encoder to fine-tune, where the recipe asks for it.

    `after_step` is called with the number of steps done.
    """
    processes = processes or Processes(0, 1, torch.device("cpu"))
    settings, device = recipe.train, processes.device
    torch.manual_seed(settings.seed)
    if settings.finetune and encoder is None:
        encoder = _torch_encoder(recipe)
    dims = data.dimensions(encoder.dimension if encoder is not None else data.feature_dimension)  # type: ignore
    model = method_class(recipe.method_name)(recipe.method, dims, rig=data.rig, gaps=data.gaps).to(device)
    if hasattr(model, "before_training") and not (resume and (folder / STATE).is_file()):
        model.before_training(data)
    weights = loss_weights(model.loss_weights(), recipe.loss)
    modules: dict[str, nn.Module] = {"model": model}
    if encoder is not None:
        modules["encoder"] = encoder.to(device)
    optimiser = _optimiser(settings, model, encoder)
    average = _Average(model, settings.ema) if settings.ema else None
    if average is not None:
        modules["average"] = average.shadow

    per_epoch = data.steps(settings.batch)
    total = settings.epochs * per_epoch
    first_epoch, step = 0, 0
    if resume and (folder / STATE).is_file():
        header = checkpoint.load_state(folder / STATE, modules=modules, optimiser=optimiser)
        first_epoch, step = header["epoch"], header["step"]
    if processes.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        write_settings(folder, recipe, dims, data, weights)
    log = RunLog(folder, total, step, enabled=processes.is_first, progress=progress)

    def save(epoch: int, step: int) -> None:
        if processes.is_first:
            checkpoint.save_state(
                folder / STATE, modules=modules, optimiser=optimiser, header={"epoch": epoch, "step": step}
            )

    started, seconds_of_speech = time.perf_counter(), 0.0
    for epoch in range(first_epoch, settings.epochs):
        frozen = epoch < settings.frozen_epochs
        if encoder is not None:  # a frozen encoder has no dropout either
            (encoder.freeze if frozen else encoder.unfreeze)()  # type: ignore[operator]
            encoder.train()
        for number in range(step - epoch * per_epoch, per_epoch):
            rate = _rate(settings, step, total)
            _set_rates(optimiser, settings, rate)
            batch, sound = data.batch(epoch, number, settings.batch, processes.share(settings.batch))
            terms = _step_terms(model, encoder, _to(batch, device), sound, recipe, frozen)
            loss = weigh(terms, weights)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            trained = [p for group in optimiser.param_groups for p in group["params"]]
            distributed.average_gradients(trained, processes)
            norm = nn.utils.clip_grad_norm_(trained, settings.clip_norm or math.inf)
            optimiser.step()
            if average is not None:
                average.update(model, step)
            step += 1
            seconds_of_speech += len(batch.motion) * processes.world * batch.motion.shape[1] / batch.fps
            if step % settings.log_every == 0 or step == 1:
                values = distributed.average({"loss": loss, **terms, "grad_norm": norm}, processes)
                if not math.isfinite(values["loss"]):
                    raise VultusError(f"step {step}: loss {values['loss']}; lower train.lr or set train.clip_norm")
                throughput = seconds_of_speech / (time.perf_counter() - started)
                log.write(step, epoch=epoch, lr=rate, speech_seconds_per_second=round(throughput, 1), **values)
            log.advance()
            if step % settings.save_every == 0 and number + 1 < per_epoch:
                save(epoch, step)
            if after_step is not None:
                after_step(step)
        if validation is not None:
            shown = average.shadow if average is not None else model
            values = _validate(shown, encoder, validation, recipe, weights, processes)
            log.write(step, epoch=epoch, **{f"val/{key}": value for key, value in values.items()})
        if (epoch + 1) % settings.save_epochs == 0 or epoch + 1 == settings.epochs:
            save(epoch + 1, step)
    if processes.is_first:
        final = average.shadow if average is not None else model
        tensors = {f"model.{key}": value for key, value in final.state_dict().items()}
        if encoder is not None:
            tensors.update({f"encoder.{key}": value for key, value in encoder.state_dict().items()})
        checkpoint.save_tensors(folder / MODEL, tensors, {"steps": step})
    log.close()
    processes.wait()
    return folder


def weigh(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted sum; a term without a weight or a weight without a term is our own mistake or the recipe's."""
    if terms.keys() != weights.keys():
        odd = ", ".join(sorted(terms.keys() ^ weights.keys()))
        raise VultusError(f"[loss]: {odd} has a weight without a term or a term without a weight")
    return torch.stack([terms[key] * weight for key, weight in weights.items() if weight]).sum()


def load_run(
    folder: str | Path, *, rig: np.ndarray | None = None, gaps: np.ndarray | None = None
) -> tuple[Any, dict[str, Any]]:
    """The trained module of a run folder, in evaluation mode, and its settings.json."""
    folder = Path(folder)
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise VultusError(f"{folder}: no readable {SETTINGS} ({error}); expected a run of `vultus train`") from None
    recipe = make_recipe({name: settings[name] for name in ("method", "data", "train", "loss")})
    dims = Dimensions(**{**settings["dimensions"], "centre": tuple(settings["dimensions"]["centre"])})
    model = method_class(recipe.method_name)(recipe.method, dims, rig=rig, gaps=gaps)
    tensors, _ = checkpoint.load_tensors(folder / MODEL)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    return model.eval(), settings


# Parts ----------------------------------------------------------------------------------------------------------------


def _check_loss(recipe: Recipe) -> None:
    """Tells a wrong key of [loss] before data and encoder are opened; the smallest possible method knows its keys."""
    gaps = np.zeros((1, 3), np.float32) if recipe.data.space == "weights" else None
    dims = Dimensions(1, 1, head_rotation=recipe.data.head_rotation)
    smallest = method_class(recipe.method_name)(recipe.method, dims, gaps=gaps)
    loss_weights(smallest.loss_weights(), recipe.loss)


class _Average:
    """Exponential moving average of the weights; buffers are taken as they are.

    The decay rises to its value with the steps, or a short training would keep a share of its initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.shadow = decay, copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        for mine, theirs in zip(self.shadow.parameters(), model.parameters(), strict=True):
            mine.lerp_(theirs, 1.0 - decay)
        for kept, now in zip(self.shadow.buffers(), model.buffers(), strict=True):
            kept.copy_(now)


def _step_terms(
    model: Any, encoder: nn.Module | None, batch: Batch, sound: SoundBatch | None, recipe: Recipe, frozen: bool
) -> dict[str, Tensor]:
    device = batch.motion.device
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.train.precision == "bfloat16"):
        if encoder is not None and sound is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
                features = encoder(sound.samples.to(device), sound.lengths.to(device)).float()
            grid = grid_matrix(features.shape[1], encoder.rate, encoder.offset, sound.frames, batch.fps)  # type: ignore
            batch = dataclasses.replace(batch, features=torch.from_numpy(grid).to(device) @ features)
        terms: dict[str, Tensor] = model.loss(batch)
    return terms


@torch.no_grad()
def _validate(
    model: Any, encoder: nn.Module | None, data: TrainingSet, recipe: Recipe, weights: dict[str, float], by: Processes
) -> dict[str, float]:
    """Mean terms over the first cuts of the validation split, the same ones every time."""
    modes = [(module, module.training) for module in (model, encoder) if module is not None]
    for module, _ in modes:
        module.eval()
    sums: dict[str, float] = {}
    steps = min(data.steps(recipe.train.batch), 50)
    for number in range(steps):
        batch, sound = data.batch(0, number, recipe.train.batch, by.share(recipe.train.batch))
        terms = _step_terms(model, encoder, _to(batch, by.device), sound, recipe, frozen=True)
        for key, value in distributed.average({"loss": weigh(terms, weights), **terms}, by).items():
            sums[key] = sums.get(key, 0.0) + value / steps
    for module, mode in modes:
        module.train(mode)
    return sums


def _torch_encoder(recipe: Recipe) -> nn.Module:
    encoder = encoder_maker(recipe.data)()
    module = getattr(encoder, "module", None)
    if not isinstance(module, nn.Module):
        raise VultusError(f"encoder '{recipe.data.encoder}' cannot be fine-tuned; set train.finetune=false")
    return module


def _optimiser(settings: TrainConfig, model: nn.Module, encoder: nn.Module | None) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "encoder": False}]
    if encoder is not None:
        groups.append({"params": list(encoder.parameters()), "encoder": True})
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, fused=True)


def _rate(settings: TrainConfig, step: int, total: int) -> float:
    """The learning rate of a step: a function of its number alone."""
    if settings.schedule == "constant":
        return settings.lr
    rise = max(1.0, settings.warmup * total)
    if step < rise:
        return settings.lr * (0.04 + 0.96 * step / rise)
    share = (step - rise) / max(1.0, total - rise)
    return settings.lr * (0.001 + 0.999 * 0.5 * (1.0 + math.cos(math.pi * share)))


def _set_rates(optimiser: torch.optim.Optimizer, settings: TrainConfig, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * (settings.encoder_lr or settings.lr) / settings.lr if group["encoder"] else rate


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    moved: dict[str, Any] = {k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)}
    return dataclasses.replace(batch, **moved)
