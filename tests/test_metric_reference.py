"""docs/metrics.md is what the metrics say of themselves."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vultus.metrics import METRICS, load_metric

ROOT = Path(__file__).parents[1]


@pytest.fixture
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("metric_reference", ROOT / "tools" / "metric_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(reference: ModuleType) -> None:
    found = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert found == reference.page(), "run python tools/metric_reference.py"


def test_every_metric_says_what_a_reader_needs(reference: ModuleType) -> None:
    text = reference.page()
    for name in METRICS:
        info = load_metric(name).info
        assert info.name == name
        section = text.split(f"\n### {name}\n")[1].split("\n### ")[0].split("\n## ")[0]
        for part in (f"Version {info.version}.", f"`{info.formula}`", info.pooling, info.source, *info.needs):
            assert part in section, (name, part)
        for unit in (info.unit("m"), info.unit("area")):
            assert unit in section
        assert f"[`{name}`](#{name})" in text
    assert ">>>" not in text


def test_a_metric_in_no_group_is_named(reference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "new_one", METRICS["lve"])
    with pytest.raises(ValueError, match="new_one"):
        reference.page()


def test_the_check_sees_an_old_page(
    reference: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["metric_reference.py"])
    monkeypatch.setattr(reference, "PAGE", tmp_path / "metrics.md")
    assert reference.main() == 0
    monkeypatch.setattr(sys, "argv", ["metric_reference.py", "--check"])
    assert reference.main() == 0
    (tmp_path / "metrics.md").write_text("old", encoding="utf-8")
    assert reference.main() == 1 and "not up to date" in capsys.readouterr().err
