"""What training at paper scale takes: parameters, memory and arithmetic of the paper recipes, from the real networks.

    python benchmarks/paper_scale.py             counted on tensors that have sizes and no contents
    python benchmarks/paper_scale.py --measure   beside it one real step: on a GPU the whole batch, on a CPU a small one

Counted exactly: parameters; bytes that the forward pass keeps for the backward pass; floating-point operations of
matrix products, convolutions and attention (two for a multiply and add), forward and backward. Assumed, and printed
with the table: lengths of sequences, how many there are, and how fast a device is.

Letters: B batch, S samples, T motion frames, V vertices, F feature frames.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import HubertConfig, HubertModel

from vultus.clock import SAMPLE_RATE
from vultus.features.transformers_base import TorchEncoder
from vultus.methods.base import Batch, Dimensions
from vultus.methods.composite_regional import CompositeRegional
from vultus.train.loop import weigh
from vultus.train.recipe import Recipe, read_recipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
#: Recipe -> vertices, sequences that train, what they are.
SIZES = {
    "vocaset": (5023, 314, "320 possible, some are missing; 314 by a count of FaceFormer's loader"),
    "meshtalk": (6172, 450, "9 subjects, at most 50 sentences each"),
    "biwi": (23370, 192, "6 speakers, sentences e01 to e32"),
}
RATES = (10, 30, 100)  # TFLOP/s that a device may reach on these networks
GB = 1e9


def hubert_large() -> TorchEncoder:
    """The architecture of facebook/hubert-large-ll60k, with random weights, cut as data.encoder = "hubert" cuts it."""
    config = HubertConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, conv_dim=(512,) * 7,
        conv_bias=True, do_stable_layer_norm=True, feat_extract_norm="layer", layerdrop=0.0,
    )  # fmt: skip
    return TorchEncoder(HubertModel(config), final_norm=False)


@dataclasses.dataclass
class Networks:
    """Encoder and method of a recipe, and what goes in."""

    recipe: Recipe
    encoder: TorchEncoder
    model: CompositeRegional
    vertices: int

    def step(self, batch: int, seconds: float, device: str, *, frozen: bool) -> Tensor:
        """The loss of one step, ready for backward()."""
        frames = round(seconds * self.recipe.data.fps)
        with torch.set_grad_enabled(not frozen):
            features = self.encoder(torch.zeros(batch, round(seconds * SAMPLE_RATE), device=device))
        grid = torch.zeros(frames, features.shape[1], device=device)
        motion = torch.zeros(batch, frames, 3 * self.vertices, device=device)
        template = torch.zeros(batch, 3 * self.vertices, device=device)
        sample = Batch(grid @ features, motion, template, motion, fps=self.recipe.data.fps)
        return weigh(self.model.loss(sample), self.model.loss_weights())

    def modules(self) -> tuple[nn.Module, ...]:
        """Both networks."""
        return self.encoder, self.model


def build(name: str, device: str) -> Networks:
    """The real sizes; inside a FakeTensorMode they take no memory."""
    recipe, vertices = read_recipe(RECIPES / f"composite_regional_{name}.toml"), SIZES[name][0]
    with torch.device(device):
        encoder = hubert_large()
        model = CompositeRegional(recipe.method, Dimensions(vertices, encoder.dimension))
    return Networks(recipe, encoder.train(), model.train(), vertices)


@contextmanager
def kept_for_backward(networks: Networks) -> Iterator[dict[str, float]]:
    """Bytes that autograd keeps, each storage once, parameters left out; "attention": those of (F, F) matrices."""
    own = {p.untyped_storage()._cdata for module in networks.modules() for p in module.parameters()}
    seen: dict[int, Tensor] = {}
    found = {"all": 0.0, "attention": 0.0}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own and storage._cdata not in seen:
            seen[storage._cdata] = tensor  # held, so that its address is not given to another
            found["all"] += storage.nbytes()
            square = tensor.ndim >= 3 and tensor.shape[-1] == tensor.shape[-2] > 100
            found["attention"] += storage.nbytes() * square
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield found


def count(name: str) -> dict[str, float]:
    """All that is counted for one recipe."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        return _count(name)


def _count(name: str) -> dict[str, float]:
    networks = build(name, "cpu")
    train, data = networks.recipe.train, networks.recipe.data
    parameters = [sum(p.numel() for p in module.parameters()) for module in networks.modules()]
    with FlopCounterMode(display=False) as counter, kept_for_backward(networks) as kept:
        networks.step(train.batch, data.crop, "cpu", frozen=False).backward()
    learning = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter, kept_for_backward(networks) as kept_frozen:
        networks.step(train.batch, data.crop, "cpu", frozen=True).backward()
    frames = round(data.crop * data.fps)
    steps = max(1, SIZES[name][1] // train.batch)
    frozen_steps = train.frozen_epochs * steps
    total_steps = train.epochs * steps
    flops = counter.get_total_flops() * frozen_steps + learning * (total_steps - frozen_steps)
    count_all = sum(parameters)
    return {
        "encoder": parameters[0], "method": parameters[1], "state": 16 * count_all, "file": 12 * count_all,
        "kept": kept["all"], "attention": kept["attention"], "kept_frozen": kept_frozen["all"],
        "batch": 4 * train.batch * frames * 3 * networks.vertices,
        "flops": learning, "flops_frozen": counter.get_total_flops(), "steps": total_steps, "total": flops,
        "fps": data.fps, "frames": frames,
    }  # fmt: skip


def table() -> str:
    """The Markdown that docs/training.md shows."""
    found = {name: count(name) for name in SIZES}
    rows: list[tuple[str, Any]] = [
        ("vertices, frames per second", lambda n, c: f"{SIZES[n][0]:,}, {c['fps']:g}"),
        ("parameters: encoder + method", lambda n, c: f"{c['encoder'] / 1e6:.1f} M + {c['method'] / 1e6:.1f} M"),
        ("weights, gradients and Adam", lambda n, c: f"{c['state'] / GB:.1f} GB"),
        ("kept for the backward pass", lambda n, c: f"{c['kept'] / GB:.1f} GB"),
        ("- of it attention matrices", lambda n, c: f"{c['attention'] / GB:.1f} GB"),
        ("- while the encoder is frozen", lambda n, c: f"{c['kept_frozen'] / GB:.1f} GB"),
        ("**both: the least memory**", lambda n, c: f"**{(c['state'] + c['kept']) / GB:.1f} GB**"),
        ("motion of a batch", lambda n, c: f"{c['batch'] / GB:.2f} GB"),
        ("checkpoint file", lambda n, c: f"{c['file'] / GB:.1f} GB"),
        ("operations of a step", lambda n, c: f"{c['flops'] / 1e12:.2f} T"),
        ("- while the encoder is frozen", lambda n, c: f"{c['flops_frozen'] / 1e12:.2f} T"),
        ("steps of 120 epochs", lambda n, c: f"{c['steps']:,}"),
        ("operations of the run", lambda n, c: f"{c['total'] / 1e15:.1f} P"),
        *[
            (f"hours at {rate} TFLOP/s", lambda n, c, rate=rate: f"{c['total'] / rate / 1e12 / 3600:.2f}")
            for rate in RATES
        ],
    ]
    lines = ["| | " + " | ".join(found) + " |", "|---|" + "---|" * len(found)]
    lines += [f"| {label} | " + " | ".join(show(n, c) for n, c in found.items()) + " |" for label, show in rows]
    return "\n".join(lines)


def measure(name: str, batch: int, seconds: float) -> str:
    """One warm and one timed step, forward, backward and Adam, in float32; and what is counted for the same step."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    networks = build(name, device)
    if device == "cuda":
        batch, seconds = networks.recipe.train.batch, networks.recipe.data.crop
    weights = [p for module in networks.modules() for p in module.parameters()]
    optimiser = torch.optim.Adam(weights, lr=1e-4, fused=True)
    before = 0.0 if device == "cuda" else resident()
    took = 0.0
    for _ in range(2):
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        networks.step(batch, seconds, device, frozen=False).backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        took = time.perf_counter() - began
    own = 4 * sum(p.numel() for p in weights)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else resident() - before + own
    with FakeTensorMode(allow_non_fake_inputs=True):
        sizes = build(name, "cpu")
        with FlopCounterMode(display=False) as counter, kept_for_backward(sizes) as kept:
            sizes.step(batch, seconds, "cpu", frozen=False).backward()
    where = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return (
        f"{name}: {batch} cuts of {seconds:g} s on {where}: {took:.1f} s a step, "
        f"{counter.get_total_flops() / took / 1e12:.3f} TFLOP/s; peak {peak / GB:.1f} GB, of which "
        f"{(4 * own + kept['all']) / GB:.1f} GB counted"
    )


def resident() -> float:
    """Largest resident memory of this process so far, bytes."""
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Prints the table and its assumptions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", nargs="*", choices=SIZES, help="recipes of which one real step is timed")
    parser.add_argument("--batch", type=int, default=1, help="cuts in a step measured on a CPU")
    parser.add_argument("--seconds", type=float, default=1.0, help="their length")
    options = parser.parse_args()
    print(table())
    print("\nAssumed: every cut is 5 s long and every sequence gives one (longer than 7.5 s: two); float32; sequences:")
    for name, (_, sequences, why) in SIZES.items():
        print(f"  {name}: {sequences} ({why})")
    for name in SIZES if options.measure == [] else options.measure or ():
        print(measure(name, options.batch, options.seconds), flush=True)


if __name__ == "__main__":
    main()
