"""The contract of data sets, run over every entry of the table on a miniature of its folder shape.

What real data sets do differently from each other stands in `dataset_facts.FACTS`, one entry each: names of splits,
whether a subject may be in two of them, the unit, the rate.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "datasets"))

import miniature_flame
import miniature_vocaset as vocaset
from dataset_facts import FACTS

from vultus.datasets import DATASETS, Dataset, FaceSequence, open_dataset
from vultus.datasets.commands import module_findings
from vultus.errors import VultusError


@pytest.fixture(autouse=True)
def no_flame_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VULTUS_FLAME", raising=False)


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name -> root; built once and not to be changed."""
    built: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in built:
            built[name] = FACTS[name].build(tmp_path_factory.mktemp(name) / "data")
        return built[name]

    return get


@pytest.fixture
def copy(miniature: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Name -> root of a copy; its files are hard links, so files may be removed and replaced but not written to."""

    def get(name: str) -> Path:
        return Path(shutil.copytree(miniature(name), tmp_path / "copy", copy_function=os.link))

    return get


def use(name: str, root: Path) -> None:
    """Opens a data set and reads all of it."""
    data = open_dataset(name, str(root))
    for split in data.splits:
        for sequence in data.split(split):
            sequence.vertices()
            sequence.speech()


def told(error: pytest.ExceptionInfo[VultusError]) -> str:
    text = str(error.value)
    assert text and "\n" not in text
    return text


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_check_compares_lengths_only_where_it_is_asked_to(name: str, miniature: Callable[[str], Path]) -> None:
    """So that `vultus data check`, which compares all of them, tells nothing twice."""
    root = str(miniature(name))
    with_lengths, without = (module_findings(name, root, {}, durations=asked) for asked in (True, False))
    lengths = [line for line in with_lengths if "sound minus motion" in line.what]
    assert bool(lengths) == (name != "synthetic") and all(line.good for line in lengths)
    assert [line for line in with_lengths if line not in lengths] == without


def test_every_entry_has_its_facts() -> None:
    assert set(FACTS) == set(DATASETS)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_splits_are_exact(name: str, miniature: Callable[[str], Path]) -> None:
    data, facts = open_dataset(name, str(miniature(name))), FACTS[name]
    assert isinstance(data, Dataset) and data.name == name
    assert list(data.splits) == list(facts.splits)
    where: dict[str, set[str]] = {}
    people: dict[str, set[str]] = {}
    for split, expected in facts.splits.items():
        names = [sequence.name for sequence in data.split(split)]
        assert len(set(names)) == len(names)
        assert names == [sequence.name for sequence in data.split(split)]  # a fixed order
        subjects = {sequence.subject for sequence in data.split(split)}
        assert (subjects, len(names)) == expected if isinstance(expected, tuple) else set(names) == expected
        for sequence in data.split(split):
            assert sequence.split == split
            where.setdefault(sequence.name, set()).add(split)
            people.setdefault(sequence.subject, set()).add(split)
    assert all(len(splits) == 1 or splits == set(facts.twice) for splits in where.values())
    assert any(len(splits) > 1 for splits in where.values()) == bool(facts.twice)
    assert all(len(splits) == 1 for splits in people.values()) == facts.subjects_apart
    with pytest.raises(VultusError, match=f"'{data.splits[0]}x'; did you mean '{data.splits[0]}'"):
        data.split(data.splits[0] + "x")


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_sequences_keep_the_contract(name: str, miniature: Callable[[str], Path]) -> None:
    data, facts = open_dataset(name, str(miniature(name))), FACTS[name]
    rates = set()
    for sequence in (sequence for split in data.splits for sequence in data.split(split)):
        assert isinstance(sequence, FaceSequence) and sequence.sentence and sequence.source
        assert sequence.unit == facts.unit
        rates.add(sequence.fps)
        vertices, template = sequence.vertices(), sequence.template.vertices
        assert vertices.dtype == template.dtype == np.float32 and np.isfinite(vertices).all()
        assert vertices.shape[1:] == template.shape == (sequence.template.topology.num_vertices, 3)
        low, high = facts.size
        size = float(np.ptp(template, axis=0).max())
        assert low < size < high  # a head in its unit
        assert np.abs(vertices - template).max() < 0.5 * size
        seconds = len(vertices) / sequence.fps
        samples = sequence.speech().samples
        assert samples.dtype == np.float32 and samples.ndim == 1
        assert abs(len(samples) / 16_000 - seconds) <= facts.gap / sequence.fps + 1e-3
        slower = sequence.vertices(fps=sequence.fps / 2)
        np.testing.assert_allclose(slower, vertices[::2][: len(slower)], atol=1e-4 * size)
        assert abs(len(slower) - len(vertices) / 2) <= 0.5
        other = sequence.vertices(fps=24)
        assert other.shape[1:] == template.shape and abs(len(other) / 24 - seconds) <= 1 / 24
    assert rates == facts.fps


NEEDED = [(name, part) for name, facts in sorted(FACTS.items()) for part in facts.needed]


@pytest.mark.parametrize(("name", "part"), NEEDED)
def test_what_is_missing_is_told_in_one_line_with_the_next_step(
    name: str, part: str, copy: Callable[[str], Path]
) -> None:
    root = copy(name)
    found = [path for pattern in part.split("|") for path in root.glob(pattern)]
    assert found, f"the miniature has no {part}"
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(VultusError) as error:
        use(name, root)
    text = told(error)
    assert any(step in text for step in ("`vultus data ", "docs/datasets/", "http", "open it as")), text
    module_findings(name, str(root), {})


PICKLES = [(name, file) for name, facts in sorted(FACTS.items()) for file in facts.pickles]


class _Hostile:
    """Runs a command when a careless reader opens it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.target}'",)


@pytest.mark.parametrize(("name", "file"), PICKLES)
def test_a_hostile_pickle_is_refused_and_not_run(
    name: str, file: str, copy: Callable[[str], Path], tmp_path: Path
) -> None:
    root, target = copy(name), tmp_path / "touched"
    content = pickle.dumps({vocaset.SPOKEN_BY[0]: _Hostile(target)}, protocol=2)
    (root / file).unlink(missing_ok=True)
    if file == "flame.pkl":
        (root / "flame.npz").unlink()
    (root / file).write_bytes(content)
    with pytest.raises(VultusError) as error:
        use(name, root)
    told(error)
    assert any(not finding.good for finding in module_findings(name, str(root), {}))
    assert not target.exists()
    pickle.loads(content)  # noqa: TID251 (it does run where it is let)
    assert target.exists()


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_arrays_of_objects_are_refused(name: str, copy: Callable[[str], Path], tmp_path: Path) -> None:
    """A .npy or .npz can hold a pickle too."""
    root, target = copy(name), tmp_path / "touched"
    files = sorted(path for path in root.rglob("*.np[yz]") if not path.name.startswith(("face_axis", "mouth_weight")))
    if not files:
        pytest.skip("this layout has no .npy")
    path = files[0] if name != "unitalker" else root / "id_template.npy"
    was_npz = path.suffix == ".npz"
    keys: list[str] = []
    if was_npz:
        with np.load(path) as data:
            keys = data.files
    path.unlink()
    hostile = np.array([_Hostile(target)], dtype=object)
    if was_npz:
        np.savez(path, **dict.fromkeys(keys, hostile))
    else:
        np.save(path, hostile, allow_pickle=True)
    with pytest.raises(VultusError) as error:
        use(name, root)
    told(error)
    assert not target.exists()


@pytest.mark.parametrize("name", sorted(DATASETS))
@pytest.mark.parametrize("kind", ["empty folder", "file", "missing"])
def test_a_root_that_is_nothing(name: str, kind: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    if kind == "empty folder":
        root.mkdir()
    elif kind == "file":
        root.write_bytes(b"nothing of the kind")
    with pytest.raises(VultusError, match=r"`vultus data |docs/datasets/|http") as error:
        open_dataset(name, str(root))
    told(error)
    findings = module_findings(name, str(root), {})
    assert name == "synthetic" or any(not finding.good and finding.remedy for finding in findings)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_files_cut_short_end_in_one_line(name: str, copy: Callable[[str], Path]) -> None:
    """The first file of each kind loses its second half: reading tells it, and the check goes on."""
    root = copy(name)
    first: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix not in (".txt", ".md"):
            first.setdefault(path.suffix, path)
    for path in first.values():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(VultusError) as error:
            use(name, root)
            raise VultusError(f"{path} was read as if it were whole")
        assert "as if it were whole" not in told(error) or path.suffix in _SPARE[name]
        module_findings(name, str(root), {})
        path.write_bytes(content)


#: Files whose end is not needed or cannot be missed: sound is read up to where it ends, a text mesh gives the triangles
#: that it has, the .tgz of BIWI's first sequence holds textures.
_SOUNDS = (".wav", ".flac", ".ogg")
_SPARE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(DATASETS, _SOUNDS),
    "vocaset_mm23": (*_SOUNDS, ".npy"),
    "biwi": (*_SOUNDS, ".tgz"),
    "multiface": (*_SOUNDS, ".obj"),
    "meshtalk": (*_SOUNDS, ".obj"),
    "shards": (),
}


def test_the_miniature_of_flame_is_read_from_a_pickle_too(copy: Callable[[str], Path]) -> None:
    root = copy("mead3d")
    (root / "flame.npz").unlink()
    miniature_flame.write_flame(root / "flame.pkl")
    use("mead3d", root)
