"""Folders of scoring networks: each must hold one, whatever the metrics are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import toy_faces as toy

from vultus.benchmark.evaluate import evaluate
from vultus.benchmark.scorers import scorer_digests
from vultus.errors import VultusError
from vultus.head import load_head
from vultus.scoring.runtime import SHIPPED


@pytest.mark.parametrize("metrics", [["lip_mean"], ["sync_cos"]])
@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", r"nowhere: no such folder; expected a folder made by `vultus scorer train`"),
        ("empty", r"empty: holds no scoring bundle; expected a folder made by `vultus scorer train`"),
        ("model", r"model: holds no scoring bundle; expected"),
        ("deep", r"deep: holds no scoring bundle; expected"),
    ],
)
def test_a_folder_without_a_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: list[str], folder: str, message: str
) -> None:
    toy.use(monkeypatch)
    (tmp_path / "empty").mkdir()
    for name, config in (("model/net", {"method": "composite_regional"}), ("deep/one/two", {"kind": "sync"})):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    protocol, regions = toy.toy_protocol(), toy.write_regions(tmp_path / "regions")
    for folders in ([folder], [str(SHIPPED), folder]):
        with pytest.raises(VultusError, match=message):
            evaluate(
                protocol, tmp_path, tmp_path / "out", baseline="still", regions=regions,
                scorers=[tmp_path / name for name in folders], metrics=metrics,
            )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_bundles_and_folders_of_them_are_found() -> None:
    from vultus.metrics import load_metric

    topology, metrics = load_head().template.topology, {"sync_cos": load_metric("sync_cos")}
    shipped = scorer_digests(topology, metrics, ())
    assert shipped.keys() == {"sync", "style"}
    for folders in ([str(SHIPPED)], [str(SHIPPED / "sync_head"), str(SHIPPED / "style_head")]):
        assert scorer_digests(topology, metrics, folders) == shipped
