"""Our own form: what is read is what was written, bit for bit; a conversion survives all that may stop it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import miniature_biwi
import miniature_multiface
import miniature_vocaset
import miniature_voxceleb2
import numpy as np
import pytest
import soundfile

from vultus.datasets import open_dataset
from vultus.datasets.convert import convert
from vultus.datasets.shards import Shards, check, restore
from vultus.errors import VultusError


@pytest.fixture(scope="module")
def vocaset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_dataset("vocaset", str(miniature_vocaset.vocaset(tmp_path_factory.mktemp("vocaset") / "data")))


def by_key(data: Any) -> dict[tuple[str, str], Any]:
    return {(split, s.name): s for split in data.splits for s in data.split(split)}


def test_all_is_there_and_the_stated_errors_hold(vocaset: Any, tmp_path: Path) -> None:
    told = convert(vocaset, tmp_path / "out")
    found = open_dataset("shards", str(tmp_path / "out"))
    assert isinstance(found, Shards) and found.origin == "vocaset" and found.splits == vocaset.splits
    before, after = by_key(vocaset), by_key(found)
    assert list(before) == list(after) and told["sequences"] == len(before) == 12
    motion_error = sound_error = 0.0
    for key, one in before.items():
        other = after[key]
        for field in ("name", "subject", "sentence", "split", "source", "fps", "unit"):
            assert getattr(one, field) == getattr(other, field)
        np.testing.assert_array_equal(one.template.vertices, other.template.vertices)
        np.testing.assert_array_equal(one.template.topology.faces, other.template.topology.faces)
        assert one.template.topology.digest == other.template.topology.digest
        motion_error = max(motion_error, float(np.abs(one.vertices() - other.vertices()).max()))
        samples = other.speech().samples
        assert len(samples) == one.speech().num_samples
        sound_error = max(sound_error, float(np.abs(one.speech().samples - samples).max()))
        np.testing.assert_array_equal(other.vertices(fps=30), other.vertices()[::2])
    assert (told["motion_error"], told["sound_error"]) == (motion_error, pytest.approx(sound_error, abs=1e-9))
    assert motion_error <= 2e-8 and 0 < sound_error <= 0.5 / 32768 + 1e-9
    assert told["frames"] == sum(s.frames for s in after.values())
    assert told["hours"] == pytest.approx(told["frames"] / 60 / 3600)


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_reading_is_bit_exact_with_what_was_written(kind: str, vocaset: Any, tmp_path: Path) -> None:
    told = convert(vocaset, tmp_path / "out", offsets=kind)
    worst = 0.0
    for key, sequence in by_key(open_dataset("shards", str(tmp_path / "out"))).items():
        original = by_key(vocaset)[key]
        neutral = original.template.vertices
        written = (original.vertices() - neutral).astype(kind)
        offsets = sequence.offsets()
        assert isinstance(offsets, np.memmap) and offsets.dtype == kind
        np.testing.assert_array_equal(offsets, written)
        np.testing.assert_array_equal(sequence.vertices(), (neutral + written).astype(np.float32))
        sound = np.clip(np.round(original.speech().samples.astype(np.float64) * 32768), -32768, 32767) / 32768
        np.testing.assert_array_equal(sequence.speech().samples, sound.astype(np.float32))
        worst = max(worst, float(np.abs(sequence.vertices() - original.vertices()).max()))
    assert told["motion_error"] == worst
    # Offsets of at most 10 mm: half a step of float16 between 8 and 16 mm is 4 um.
    assert (worst < 2e-8) if kind == "float32" else (1e-7 < worst < 4.1e-6)


def test_float32_gives_nearly_every_coordinate_back_to_the_last_bit() -> None:
    """The others lie near zero, on a finer grid than their offsets, and are off by the last bit of the largest."""
    rng = np.random.default_rng(0)
    template = rng.uniform(-0.1, 0.1, (50_000, 3)).astype(np.float32)
    vertices = (template + rng.normal(0, 0.003, (4, *template.shape))).astype(np.float32)
    offsets = vertices - template
    found = restore(offsets, template)
    assert np.abs(found - vertices).max() <= 2.0**-27  # the last bit of a float32 just under 0.125
    assert (found != vertices).mean() < 0.02


def test_units_rates_shared_sequences_and_other_facts_are_kept(tmp_path: Path) -> None:
    area = open_dataset("biwi_area", str(miniature_biwi.biwi_area(tmp_path / "biwi")))
    convert(area, tmp_path / "a", splits=["train"], fps=12.5)
    sequence = open_dataset("shards", str(tmp_path / "a")).split("train")[0]
    assert (sequence.unit, sequence.fps, len(sequence.vertices())) == ("area", 12.5, 3)
    np.testing.assert_allclose(sequence.vertices(), area.split("train")[0].vertices()[::2], atol=1e-7)

    twice = open_dataset("meshtalk_mm23", str(miniature_multiface.meshtalk_mm23(tmp_path / "meshtalk")))
    convert(twice, tmp_path / "b")
    found: Any = open_dataset("shards", str(tmp_path / "b"))
    shared = {s.name for s in found.split("val")} & {s.name for s in found.split("test")}
    assert len(shared) == 1 and len(list((tmp_path / "b" / "motion").rglob("*.npy"))) == 3
    assert {s.split for s in found.split("val")} == {"val"} and {s.split for s in found.split("test")} == {"test"}

    root = miniature_voxceleb2.build(tmp_path / "vox")
    own = open_dataset("vox2_framewise", str(root), neutral="own")
    convert(own, tmp_path / "c", splits=["test_seen"], options={"neutral": "own"})
    found = open_dataset("shards", str(tmp_path / "c"))
    for one, other in zip(own.split("test_seen"), found.split("test_seen"), strict=True):
        np.testing.assert_array_equal(one.template.vertices, other.template.vertices)
        assert one.video == other.video and other.is_speech and other.labels == {}
    assert len(list((tmp_path / "c" / "templates").glob("*.npy"))) == 2
    assert found.info["options"] == {"neutral": "own"} and found.splits == ("test_seen",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(motion="../../etc/passwd"), "outside the folder"),
        (lambda r: r.update(sound="/etc/passwd"), "outside the folder"),
        (lambda r: r.update(template="../x"), "template is '../x'"),
        (lambda r: r.update(frames=-1), "lacks some of frames"),
        (lambda r: r.update(unit="mm"), "unit is 'mm'"),
        (lambda r: r.update(fps=0), "fps is 0"),
        (lambda r: r.pop("subject"), "lacks some of name"),
    ],
)
def test_an_index_that_cannot_be_true(
    change: Callable[[dict], None], message: str, vocaset: Any, tmp_path: Path
) -> None:
    convert(vocaset, tmp_path, splits=["val"])
    record = json.loads((tmp_path / "index.jsonl").read_text())
    change(record)
    (tmp_path / "index.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(VultusError, match=message) as error:
        Shards(tmp_path)
    assert "line 1" in str(error.value) and "\n" not in str(error.value)
    assert not check(tmp_path)[0].good


def test_changed_and_missing_files_are_found(vocaset: Any, tmp_path: Path) -> None:
    convert(vocaset, tmp_path, splits=["val"])
    data = Shards(tmp_path)
    data.verify()
    path = data.split("val")[0].motion_file
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(bytes(content))
    assert all(finding.good for finding in check(tmp_path))  # the size is right
    with pytest.raises(VultusError, match="is missing or changed"):
        data.verify()
    path.write_bytes(bytes(content[:5000]))
    assert [finding.good for finding in check(tmp_path, durations=False)] == [True, False]
    with pytest.raises(VultusError, match="cannot be read"):
        data.split("val")[0].vertices()
    sound = data.split("val")[0].sound_file
    soundfile.write(sound, np.zeros(2000), 16_000, format="FLAC")
    with pytest.raises(VultusError, match="has 2000 samples"):
        data.split("val")[0].speech()


def test_reading_gives_training_the_same_numbers(
    vocaset: Any, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Offsets of both, and the seconds that each way took, for a look only: machines differ."""
    convert(vocaset, tmp_path / "out")
    read: dict[str, list[np.ndarray]] = {"layout": [], "shards": []}
    began = time.perf_counter()
    for sequence in by_key(vocaset).values():
        read["layout"].append(sequence.vertices() - sequence.template.vertices)
    record_property("seconds of the layout", time.perf_counter() - began)
    began = time.perf_counter()
    for sequence in by_key(Shards(tmp_path / "out")).values():
        read["shards"].append(np.array(sequence.offsets()))
    record_property("seconds of the shards", time.perf_counter() - began)
    for one, other in zip(*read.values(), strict=True):
        np.testing.assert_array_equal(one, other)
