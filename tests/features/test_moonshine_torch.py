from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'vultus[train]')")
pytest.importorskip("onnx", reason="needs onnx (pip install 'vultus[train]')")

from vultus.errors import VultusError  # noqa: E402
from vultus.features import load_torch_encoder  # noqa: E402
from vultus.features.moonshine import ASSET, MoonshineEncoder, num_frames  # noqa: E402
from vultus.features.moonshine_export import read_weights, write_graph  # noqa: E402
from vultus.features.moonshine_nodes import quantize  # noqa: E402
from vultus.features.moonshine_torch import MoonshineNet, load_moonshine_torch  # noqa: E402

GOLDEN = Path(__file__).parent.parent / "golden" / "moonshine_original.npz"


def golden_samples() -> np.ndarray:
    with np.load(GOLDEN) as data:
        return (data["samples"] / 32768).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> MoonshineNet:
    return load_moonshine_torch()


def test_the_port_equals_the_shipped_graph(net: MoonshineNet) -> None:
    samples = golden_samples()
    theirs = MoonshineEncoder(loudness=False).states(samples)
    with torch.inference_mode():
        ours = net(torch.from_numpy(samples)[None])[0].numpy()
    assert ours.shape == theirs.shape == (num_frames(len(samples)), net.dimension)
    np.testing.assert_allclose(ours, theirs, atol=1e-2)  # values have a deviation of 10 to 20
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] >= 0.999999


def test_unbounded_port_and_graph_equal_the_original(net: MoonshineNet, tmp_path: Path) -> None:
    with np.load(GOLDEN) as data:
        states = data["states"].astype(np.float32)
    unbounded = MoonshineNet(local=False)
    unbounded.load_state_dict(net.state_dict())
    with torch.inference_mode():
        port = unbounded(torch.from_numpy(golden_samples())[None])[0, ::3].numpy()
    write_graph({name: t.numpy() for name, t in net.state_dict().items()}, tmp_path / "whole.onnx", local=False)
    graph = MoonshineEncoder(path=tmp_path / "whole.onnx", loudness=False)(_speech(golden_samples())).values[::3]
    assert not load_moonshine_torch(tmp_path / "whole.onnx").local
    for ours in (port, graph):
        for part in (slice(0, 288), slice(288, 576)):
            assert np.corrcoef(ours[:, part].ravel(), states[:, part].ravel())[0, 1] >= 0.999
            # The original rounds its activations to 8 bits, which costs it about 3 per cent.
            assert np.linalg.norm(ours[:, part] - states[:, part]) <= 0.06 * np.linalg.norm(states[:, part])


def test_the_port_is_bounded_as_the_graph_is_on_long_sound(net: MoonshineNet) -> None:
    samples = np.concatenate([np.float32(gain) * golden_samples() for gain in (1, 0.1, 0.5, 1, 0.02, 1, 1, 0.3)])
    with torch.inference_mode():
        ours = net(torch.from_numpy(samples)[None])[0].numpy()
    theirs = MoonshineEncoder(loudness=False).states(samples)
    assert np.linalg.norm(ours - theirs) <= 1e-4 * np.linalg.norm(theirs)


def test_a_padded_batch_equals_single_items(net: MoonshineNet) -> None:
    samples = torch.from_numpy(golden_samples())
    items = [samples[:30_000], samples[9000:25_001], samples[:895]]
    batch = torch.nn.utils.rnn.pad_sequence(items, batch_first=True)
    with torch.inference_mode():
        together = net(batch, torch.tensor([len(item) for item in items]))
        for row, item in zip(together, items, strict=True):
            alone = net(item[None])[0]
            torch.testing.assert_close(row[: len(alone)], alone, rtol=1e-4, atol=2e-3)
            assert not row[len(alone) :].any()


def test_writing_is_deterministic_and_reading_gives_the_weights_back(net: MoonshineNet, tmp_path: Path) -> None:
    weights = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    write_graph(weights, tmp_path / "a.onnx")
    write_graph(dict(reversed(weights.items())), tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    back = read_weights(tmp_path / "a.onnx")
    assert back.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_allclose(back[name], array, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("mode", ["weights", "dynamic", "float32"])
def test_a_changed_network_is_exported_again(net: MoonshineNet, tmp_path: Path, mode: str) -> None:
    changed = MoonshineNet(2, taps=(1, 2))
    changed.load_state_dict(net.state_dict(), strict=False)
    with torch.no_grad():
        changed.blocks[1].fc2.weight.mul_(1.5)
    path = tmp_path / "tuned.onnx"
    write_graph({k: v.numpy() for k, v in changed.state_dict().items()}, path, taps=changed.taps, mode=mode)
    samples = golden_samples()
    with torch.inference_mode():
        expected = changed(torch.from_numpy(samples)[None])[0].numpy()
    found = MoonshineEncoder(path=path, loudness=False)(_speech(samples)).values
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] >= 0.999
    again = load_moonshine_torch(path, taps=(1, 2))
    with torch.inference_mode():
        np.testing.assert_allclose(again(torch.from_numpy(samples)[None])[0].numpy(), expected, atol=0.3)


def test_quantisation_keeps_what_is_on_its_grid() -> None:
    matrix = (np.arange(256, dtype=np.float32) - 130).reshape(16, 16) * np.float32(0.013)
    values, scale, zero = quantize(matrix)
    np.testing.assert_allclose((values.astype(np.float32) - np.float32(zero)) * scale, matrix, atol=1e-6)
    values, scale, zero = quantize(np.zeros((2, 2), np.float32))
    assert np.isfinite(scale) and not ((values.astype(int) - int(zero)) * scale).any()


def test_it_learns_and_freezes() -> None:
    net = load_torch_encoder("moonshine", taps=(2,))
    net.freeze()
    assert not any(weight.requires_grad for weight in net.parameters())
    net.unfreeze()
    net(torch.from_numpy(golden_samples()[:16_000])[None]).square().mean().backward()
    assert net.conv1.weight.grad.abs().sum() > 0
    # Blocks after the last tap get no gradient; all before do.
    assert all(weight.grad is not None for weight in net.blocks[1].parameters())


def test_bad_input_is_refused(net: MoonshineNet, tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="expected at least 895"):
        net(torch.zeros(1, 800))
    with pytest.raises(VultusError, match="block numbers from 1 to 5"):
        load_moonshine_torch(ASSET, taps=(3, 6))
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(VultusError, match="cannot read"):
        read_weights(tmp_path / "bad.onnx")


def _speech(samples: np.ndarray) -> object:
    from vultus.speech import Speech

    return Speech(samples)
