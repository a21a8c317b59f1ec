"""The networks, their losses, the loop that trains them, and their graphs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from worlds import LIPS, sequences

from vultus.errors import VultusError
from vultus.scoring import style_net, sync_net, train_style, train_sync
from vultus.scoring.export import write_bundle
from vultus.scoring.make import configure, fold
from vultus.scoring.prepare import Prepared, prepare, principal_components
from vultus.scoring.style_net import StyleNet
from vultus.scoring.sync_net import SyncNet

SYNC = sync_net.Config(
    audio_channels=(4, 4, 8, 8, 8, 8), mesh_width=16, embedding=8, steps=4, warmup=1, clips=8, bf16=False
)
STYLE = style_net.Config(
    components=5, width=16, layers=2, heads=2, feed_forward=32, embedding=8, steps=4, warmup=1, bf16=False
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    folder, made = tmp_path_factory.mktemp("cache"), sequences("abcdef", 3)
    return {
        "sync": prepare("sync", made, folder, LIPS, 0, lambda done, total: None),
        "style": prepare("style", made, folder, np.zeros(0, np.int64), 5, lambda done, total: None),
    }


@pytest.mark.parametrize("keep_time", [True, False])
def test_sync_graphs_equal_the_network(tmp_path: Path, keep_time: bool) -> None:
    torch.manual_seed(0)
    net = SyncNet(dataclasses.replace(SYNC, keep_time=keep_time), 18)
    net.mesh.deviation.fill_(2.5)
    net.audio.mean.uniform_(-9, -5)
    net.audio.deviation.uniform_(2, 4)
    for _ in range(3):
        net.audio(torch.randn(32, 80, 20) * 4 - 7)  # statistics of the normalisations
    net.eval()
    write_bundle(tmp_path, net, {}, {"lips": LIPS})
    for name, module, given in (
        ("mesh", net.mesh, torch.randn(7, 5, 18)),
        ("audio", net.audio, torch.randn(7, 80, 20)),
    ):
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: given.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, module(given).numpy(), atol=2e-3)  # weights are kept as float16
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_style_graph_equals_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = StyleNet(STYLE, 6).eval()
    write_bundle(tmp_path, net, {}, {})
    session = onnxruntime.InferenceSession(tmp_path / "style.onnx", providers=["CPUExecutionProvider"])
    for frames in (40, 77, 100):
        given = torch.randn(3, frames, 5)
        (found,) = session.run(None, {"motion": given.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, net(given).numpy(), atol=2e-3)


def test_contrastive_losses_equal_their_formula() -> None:
    torch.manual_seed(0)
    net = SyncNet(SYNC, 18).eval()
    lips, mel = torch.randn(6, 5, 18), torch.randn(6, 80, 20)
    with torch.no_grad():
        found = float(net.loss(lips, mel))
        a, m = net.audio(mel).double().numpy(), net.mesh(lips).double().numpy()
    logits = a @ m.T / 0.07
    slow = [np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(logits)]
    slow += [np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(logits.T)]
    assert found == pytest.approx(np.mean(slow), rel=1e-4)

    style = StyleNet(dataclasses.replace(STYLE, noise=0.0), 6).eval()
    motion = torch.randn(6, 50, 5)
    with torch.no_grad():
        terms = style.losses(motion, torch.tensor([4, 4, 0, 0, 2, 2]))
        z = style(motion).double().numpy()
    slow = []
    for i in range(6):
        others = [np.exp(z[i] @ z[j] / 0.1) for j in range(6) if j != i]
        slow.append(np.log(sum(others)) - z[i] @ z[i ^ 1] / 0.1)
    assert float(terms["style/contrast"]) == pytest.approx(np.mean(slow), rel=1e-4)


def test_batches_are_what_the_losses_need(data: dict[str, Prepared]) -> None:
    sync = data["sync"]
    assert sync.mel is not None
    number = {clip[2]: place for place, clip in enumerate(sync.clips)}
    marked = np.arange(len(sync.motion), dtype=np.float32)[:, None]  # a frame is its own number
    lips, mel = train_sync.batches(marked, sync.mel, sync.clips, SYNC, 0)(3)
    assert lips.shape == (32, 5, 1) and mel.shape == (32, 80, 20)
    starts = lips[:, 0, 0].astype(int).reshape(8, 4)
    assert (np.diff(starts, axis=1) >= 5).all()
    owners = [{max(first for first in number if first <= start) for start in row} for row in starts]
    assert all(len(owner) == 1 for owner in owners) and len(set.union(*owners)) == 8
    again = train_sync.batches(marked, sync.mel, sync.clips, SYNC, 0)(3)
    np.testing.assert_array_equal(mel, again[1])

    style = data["style"]
    subjects: dict[str, list[tuple[int, int]]] = {}
    for _, subject, start, frames, *_ in style.clips:
        subjects.setdefault(subject, []).append((start, frames))
    frames = np.arange(len(style.motion), dtype=np.float32)[:, None]
    windows, numbers = train_style.batches(frames, list(subjects.values()), STYLE, 0)(1)
    firsts = windows[:, 0, 0].reshape(-1, 2)
    clip_of = lambda first: max(clip[2] for clip in style.clips if clip[2] <= first)  # noqa: E731
    assert all(clip_of(a) != clip_of(b) for a, b in firsts)
    assert (numbers[::2] == numbers[1::2]).all() and len(set(numbers.tolist())) == 6


def test_a_resumed_run_equals_one_that_was_not_stopped(
    data: dict[str, Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vultus.scoring.fit.SAVE_EVERY", 2)
    whole, _ = train_style.train(data["style"], STYLE, tmp_path / "a", seed=1, resume=False) if _made(tmp_path) else 0
    import vultus.scoring.fit as fit

    real, calls = fit.save_state, []

    def dies(*args: object, **named: object) -> None:
        real(*args, **named)  # type: ignore[arg-type]
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "save_state", dies)
    with pytest.raises(KeyboardInterrupt):
        train_style.train(data["style"], STYLE, tmp_path / "b", seed=1, resume=False)
    monkeypatch.setattr(fit, "save_state", real)
    with pytest.raises(VultusError, match="--resume"):
        train_style.train(data["style"], STYLE, tmp_path / "b", seed=1, resume=False)
    other = dataclasses.replace(STYLE, lr=1.0)
    with pytest.raises(VultusError, match="other settings"):
        train_style.train(data["style"], other, tmp_path / "b", seed=1, resume=True)
    resumed, _ = train_style.train(data["style"], STYLE, tmp_path / "b", seed=1, resume=True)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def _made(folder: Path) -> bool:
    for name in "ab":
        (folder / name).mkdir()
    return True


def test_principal_components_rebuild_the_motion() -> None:
    made = sequences("abcdef", 3)
    mean, basis, deviation = principal_components(made, 7, lambda done, total: None)
    np.testing.assert_allclose(basis.T @ basis, np.eye(7), atol=2e-3)
    moving = (made[4].vertices() - made[4].template.vertices).reshape(-1, mean.size) * 1000
    rebuilt = mean + (moving - mean) @ basis @ basis.T
    assert np.abs(rebuilt - moving).max() < 0.02 * np.abs(moving).max()
    assert (np.diff(deviation) <= 0).all() and deviation[-1] >= 0.02 * deviation[0] - 1e-6


def test_prepared_data_are_made_once(tmp_path: Path) -> None:
    made, seen = sequences("ab", 2), []
    first = prepare("sync", made, tmp_path, LIPS, 0, lambda done, total: seen.append(done))
    again = prepare("sync", made, tmp_path, LIPS, 0, lambda done, total: seen.append(done))
    assert len(seen) == 4 and again.clips == first.clips
    name, subject, start, frames, _, columns = again.clips[-1]
    assert (name, subject, frames, columns) == (made[-1].name, "b", 100, 398)
    expected = (made[-1].vertices() - made[-1].template.vertices)[0, LIPS].reshape(-1) * 1000
    np.testing.assert_allclose(again.motion[start], expected, atol=0.01)


def test_settings_and_folds(data: dict[str, Prepared]) -> None:
    config = configure(sync_net.Config(), ["steps=7", "lr=1", "keep_time=False"])
    assert (config.steps, config.lr, config.keep_time) == (7, 1.0, False)
    for bad in ("stepz=7", "steps=seven", "steps=1.5"):
        with pytest.raises(VultusError):
            configure(sync_net.Config(), [bad])
    first, second = (fold(data["sync"], folds) for folds in ("0,1/3", "2/3"))
    subjects = [{clip[1] for clip in part.clips} for part in (first, second)]
    assert subjects == [set("abde"), set("cf")]
    for bad in ("3/3", "x", "0/0", "-1/2"):
        with pytest.raises(VultusError, match="folds"):
            fold(data["sync"], bad)
