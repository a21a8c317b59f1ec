"""Every protocol loads, has its page, and nothing in a file is silently passed over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import toy_faces as toy

from vultus.benchmark.protocol import FOLDER, load_protocol, make_protocol, protocol_names
from vultus.errors import VultusError
from vultus.metrics import METRICS

DOCS = Path(__file__).parents[2] / "docs"
EXPECTED = {
    "vocaset-mm23", "vocaset-faceformer", "biwi-mm23-testb", "biwi-codetalker-testa", "meshtalk-mm23", "synthetic",
    "vox2-framewise-seen", "vox2-framewise-unseen", "vox2-videowise-seen", "vox2-videowise-unseen",
    "vox2-framewise-to-videowise", "vox2-videowise-to-framewise",
}  # fmt: skip


def test_all_are_there() -> None:
    assert set(protocol_names()) == EXPECTED == {path.stem for path in (DOCS / "protocols").glob("*.md")}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_protocol_and_its_page(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.name == name and protocol.version >= 1 and protocol.published
    assert {metric.partition("@")[0] for metric in protocol.all_metrics()} <= METRICS.keys()
    page = (DOCS.parent / protocol.page).read_text(encoding="utf-8")
    words = " ".join(page.split())
    assert page.startswith(f"# {name}\n") and f"Version {protocol.version}." in page
    assert f"{protocol.fps:g} fps" in words
    for metric in protocol.published:
        assert f"`{metric}`" in page
    assert re.search(
        r"https?://|unknown|Table 1|no table", page
    )  # published numbers with source, or said to be unknown


def test_numbers_of_the_paper_are_quoted_right() -> None:
    page = (DOCS / "protocols" / "vocaset-mm23.md").read_text(encoding="utf-8")
    assert "| composite and regional | 0.00161 | 0.00447 | 0.00042 | 0.00065 | 0.147 |" in page
    assert "| FaceFormer | 0.00212 | 0.00438 | 0.00046 | 0.00077 | 0.091 |" in page
    page = (DOCS / "protocols" / "biwi-mm23-testb.md").read_text(encoding="utf-8")
    assert "| composite and regional | 0.0170 | 0.0353 | 0.0068 | 0.0105 | 1.330 |" in page


def test_synthetic_scores_the_upper_face_both_ways() -> None:
    names = load_protocol("synthetic").all_metrics()
    assert {"upper_mean", "upper_mean@with_random", "fdd_abs", "fdd_abs@with_random"} <= set(names)
    assert len(set(names)) == len(names)


def test_cross_protocols_train_on_one_and_score_the_other() -> None:
    protocol = load_protocol("vox2-framewise-to-videowise")
    assert protocol.trained_on == "vox2_framewise" and list(protocol.data) == ["vox2_videowise"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrcs": []}, "unknown key .* 'metrcs'; did you mean 'metrics'"),
        ({"fps": "25"}, "fps is '25'; expected float"),
        ({"fps": 0}, "fps"),
        ({"version": True}, "version is True; expected int"),
        ({"metrics": ["lip_maen"]}, "did you mean 'lip_mean'"),
        ({"metrics": ["mve", "mve"]}, "mve comes twice"),
        ({"unit": "mm"}, "unknown unit"),
        ({"style": "oracle"}, "unknown style"),
        ({"condition": "best"}, "unknown condition"),
        ({"data": {}}, "data. is empty"),
        ({"data": {"vocset": {}}}, "did you mean 'vocaset"),
        ({"data": {"synthetic": 3}}, "expected a table of options"),
        ({"regions": {"lips": "many"}}, "numbers of vertices"),
        ({"variants": {"x": {"layers": ["speech"]}}}, "expected layers and metrics"),
        ({"variants": {"x": {"layers": ["speach"], "metrics": []}}}, "did you mean 'speech'"),
    ],
)
def test_wrong_values_are_refused(change: dict[str, Any], message: str) -> None:
    table = {**toy.TABLE, "data": {"synthetic": {}}, **change}
    with pytest.raises(VultusError, match=message):
        make_protocol(table, "toy.toml")


def test_missing_keys_and_unreadable_files(tmp_path: Path) -> None:
    table = {key: value for key, value in toy.TABLE.items() if key != "fps"}
    with pytest.raises(VultusError, match="no fps"):
        make_protocol(table, "toy.toml")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(VultusError, match="not TOML"):
        load_protocol(tmp_path / "bad.toml")
    with pytest.raises(VultusError, match="cannot be read"):
        load_protocol(tmp_path / "absent.toml")
    with pytest.raises(VultusError, match="did you mean 'vocaset-mm23'"):
        load_protocol("vocaset-mm32")


def test_a_changed_copy_needs_a_name_of_its_own(tmp_path: Path) -> None:
    text = (FOLDER / "synthetic.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(text)
    assert load_protocol(tmp_path / "mine.toml") == load_protocol("synthetic")
    (tmp_path / "mine.toml").write_text(text.replace("fps = 30", "fps = 25"))
    with pytest.raises(VultusError, match="give it another name"):
        load_protocol(tmp_path / "mine.toml")


def test_protocols_are_shipped() -> None:
    assert FOLDER.is_relative_to(Path(__file__).parents[2] / "src" / "vultus")
