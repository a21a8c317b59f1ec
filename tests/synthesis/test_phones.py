"""Phones: inventory, maps, readers, pauses."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.synthesis.aims import AIMS
from vultus.synthesis.phones import (
    INVENTORY,
    Phone,
    from_arpabet,
    from_ipa,
    from_label,
    in_speech,
    nearest_arpabet,
    phones_at,
    read_corpus_json,
    read_pocketsphinx_json,
    read_textgrid,
    settle_pauses,
    share_boundaries,
    tidy,
)


def test_inventory_is_arpabet_and_more_and_everything_has_aims() -> None:
    vowels = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
    consonants = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
    arpabet = {*vowels.split(), *consonants.split()}
    assert len(arpabet) == 39
    assert arpabet <= set(INVENTORY)
    assert set(AIMS) == set(INVENTORY)
    assert {nearest_arpabet(s) for s in INVENTORY} == arpabet | {"SIL"}


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("A", "EY"),
        ("W", "AW"),
        ("Q", "OW"),
        ("ɹ", "R"),
        ("ɐ̃", "AAN"),
        ("tː", "T"),
        ("β", "BH"),
        ("ũ", "UW"),
        ("pau", "SIL"),
    ],
)
def test_kokoro_symbols(label: str, expected: str) -> None:
    assert from_ipa(label, kokoro=True) == expected


def test_labels_of_aligners() -> None:
    assert from_arpabet("AA1") == ("AA", 1)
    assert from_label("ə") == ("AX", -1)
    assert from_label("sp") == ("SIL", -1)
    warnings: list[str] = []
    assert from_label("PT", warnings) == ("P", -1)
    assert len(warnings) == 1
    assert "PT" in warnings[0]
    with pytest.raises(VultusError, match="%%"):
        from_label("%%")


def test_boundaries_are_shared_and_never_lengthen_a_pause() -> None:
    items = [
        ("sil", 0.0, 0.2, 0),
        ("a", 0.2, 0.3, 0),
        ("_", 0.3, 0.4, 0),
        ("b", 0.4, 0.5, 0),
        ("_", 0.5, 0.6, 0),
        ("pau", 0.6, 0.8, 0),
    ]
    shared = share_boundaries(items)
    assert [i[0] for i in shared] == ["sil", "a", "b", "pau"]
    assert shared[1][2] == pytest.approx(0.35)
    assert shared[2][1:3] == pytest.approx((0.35, 0.6))
    assert shared[3][1:3] == pytest.approx((0.6, 0.8))


def test_tidy_covers_the_speech_without_gaps() -> None:
    out = tidy([Phone("B", 0.5, 0.6), Phone("AA", 0.2, 0.55)], 1.0)
    assert [p.symbol for p in out] == ["SIL", "AA", "B", "SIL"]
    assert out[0].start == 0
    assert out[-1].end == 1.0
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(out))
    with pytest.raises(VultusError, match="XX"):
        tidy([Phone("XX", 0, 1)])
    with pytest.raises(VultusError, match="finite"):
        tidy([Phone("AA", 0, float("nan"))])


def test_the_last_phone_gives_back_the_silence_that_it_swallowed() -> None:
    samples = np.zeros(16000, np.float32)
    samples[:8000] = 0.3 * np.sin(np.arange(8000) * 0.1)
    out = settle_pauses([Phone("AA", 0.0, 0.3), Phone("Z", 0.3, 0.9), Phone("SIL", 0.9, 1.0)], samples)
    assert [p.symbol for p in out] == ["AA", "Z", "SIL"]
    assert 0.49 < out[1].end < 0.56
    assert out[2].end == 1.0


def test_a_pause_that_is_not_quiet_goes_to_its_neighbours() -> None:
    samples = (0.3 * np.sin(np.arange(16000) * 0.1)).astype(np.float32)
    out = settle_pauses([Phone("AA", 0.0, 0.5), Phone("SIL", 0.5, 0.55), Phone("B", 0.55, 1.0)], samples)
    assert [p.symbol for p in out] == ["AA", "B"]


def test_lookup_by_time() -> None:
    phones = [Phone("SIL", 0.0, 0.5), Phone("AA", 0.5, 1.0)]
    assert phones_at(phones, np.array([0.0, 0.49, 0.5, 0.99, 1.5])).tolist() == [0, 0, 1, 1, -1]
    assert in_speech(phones, np.array([0.1, 0.7, 1.5])).tolist() == [False, True, False]
    assert phones_at([], np.array([0.0])).tolist() == [-1]


def test_corpus_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    line = [
        {"p": "sil", "start": 0, "end": 0.1},
        {"p": "A", "start": 0.1, "end": 0.3, "stress": 1},
        {"p": "p", "start": 0.3, "end": 0.4},
    ]
    path.write_text(json.dumps({"audio": "../x/a.ogg", "seconds": 0.5, "phonemes": line, "voice": "v", "text": "ape"}))
    out = read_corpus_json(path)
    assert [(p.symbol, p.stress) for p in out.phones] == [("SIL", -1), ("EY", 1), ("P", -1), ("SIL", -1)]
    assert out.audio == tmp_path / "a.ogg"  # never outside the folder
    for text in ("{", "{}", '{"audio": "a", "seconds": "x", "phonemes": []}', "[]"):
        path.write_text(text)
        with pytest.raises(VultusError, match=r"a\.json"):
            read_corpus_json(path)
    with pytest.raises(VultusError, match=r"no\.json"):
        read_corpus_json(tmp_path / "no.json")


LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1
        points: size = 1
        points [1]:
            number = 0.5
            mark = "say ""ah"" 3"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.4
            text = "AA1"
        intervals [2]:
            xmin = 0.4
            xmax = 1
            text = "sp"
"""


def test_textgrid(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    for encoding in ("utf-8", "utf-16"):
        path.write_text(LONG, encoding=encoding)
        out = read_textgrid(path)
        assert [(p.symbol, p.start, p.end, p.stress) for p in out.phones] == [("AA", 0, 0.4, 1), ("SIL", 0.4, 1, -1)]
    with pytest.raises(VultusError, match="'phones'"):
        read_textgrid(path, "words")
    for bad in ("hello", LONG[:300], ""):
        path.write_text(bad)
        with pytest.raises(VultusError, match=r"a\.TextGrid"):
            read_textgrid(path)


@pytest.mark.needs_data
def test_real_labels(real_data: Path) -> None:
    speech = real_data / "speech"
    for path in speech.glob("pocketsphinx_librivox/*.phone.json"):
        phones = read_pocketsphinx_json(path)
        assert len(phones) > 20
        assert phones[0].is_silence
    mary = read_textgrid(speech / "praatio" / "mary.TextGrid")
    assert [p.symbol for p in mary.phones][:3] == ["SIL", "M", "AX"]
    for name in ("bobby_phones.TextGrid", "bobby_phones_elan.TextGrid"):
        bobby = read_textgrid(speech / "praatio" / name)
        assert [p.symbol for p in bobby.phones if p.symbol == "B"] == ["B", "B"]
        assert len(bobby.warnings) == 1
