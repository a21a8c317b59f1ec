"""The proof proves: known values are met, wrong metrics are caught, faults are ranked, and the page keeps its text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vultus.benchmark import proof, proof_truth
from vultus.benchmark.proof import BEGIN, END, Proof, text, write
from vultus.benchmark.proof_check import Check, compare
from vultus.benchmark.proof_clips import choose, example_of, fresh_take, true_motion
from vultus.benchmark.proof_faults import SAMPLERS, SERIES, Series, scene, smoothed
from vultus.benchmark.proof_rank import Race, badness, judge
from vultus.benchmark.proof_takes import contact_checks, fresh_values, plain_values, shift_checks, swap
from vultus.datasets.synthetic import SyntheticCorpus
from vultus.errors import VultusError
from vultus.metrics import METRICS, Accumulator, Example, load_metric, score
from vultus.metrics.lip_mean import LipMean
from vultus.statistics import Estimate
from vultus.synthesis.build import synthesize
from vultus.synthesis.phones import Phone
from vultus.synthesis.plan import Settings
from vultus.synthesis.sources.kokoro_folder import KokoroFolder

LINES = (
    "SIL M AA M AH F IY V UW P AA B OW SIL M UW B AA SIL",
    "SIL B OW P IY AA V AH M AA F OW SIL B AH P UW M AA SIL",
)
SECONDS = {"SIL": 0.7, **dict.fromkeys("MFVPB", 0.09)}
IPA = {"SIL": "sil", "AA": "ɑ", "AH": "ə", "IY": "i", "UW": "u", "OW": "oʊ"}


def voiced(phones: list[Phone], rng: np.random.Generator) -> np.ndarray:
    """A buzz for vowels, a soft one for /m v b/, hiss for /f v/, else silence; 16 kHz."""
    times = np.arange(round(phones[-1].end * 16_000)) / 16_000
    buzz, hiss = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 20)), rng.standard_normal(len(times))
    out = np.zeros(len(times))
    for phone in phones:
        inside = (times >= phone.start) & (times < phone.end)
        level = 0.1 if phone.is_vowel else 0.02 if phone.symbol in "MVB" else 0.0
        out[inside] = level * buzz[inside] + 0.02 * (phone.symbol in "FV") * hiss[inside]
    return out.astype(np.float32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> SyntheticCorpus:
    """Two test subjects, two lines each of three seconds, one of them with eleven takes."""
    folder = tmp_path_factory.mktemp("proof")
    (folder / "in").mkdir()
    for k, voice in enumerate(("anna", "ben", "cleo", "dora")):
        for n, line in enumerate(LINES):
            phones, now = [], 0.0
            for symbol in line.split():
                end = now + SECONDS.get(symbol, 0.16) * (1 + 0.1 * k)
                phones.append(Phone(symbol, now, end, 1 if symbol in ("AA", "IY") else -1))
                now = end
            sound = voiced(phones, np.random.default_rng([k, n]))
            soundfile.write(folder / "in" / f"{voice}{n}.flac", sound, 16_000)
            spans = [{"p": IPA.get(p.symbol, p.symbol.lower()), "start": p.start, "end": p.end} for p in phones]
            data = {
                "audio": f"{voice}{n}.flac", "voice": voice, "language": "en", "text": f"{voice} {n}",
                "seconds": len(sound) / 16_000, "phonemes": spans,
            }  # fmt: skip
            (folder / "in" / f"{voice}{n}.json").write_text(json.dumps(data), encoding="utf-8")
    settings = Settings(
        subjects=4, test_lines=2, test_takes=11, negatives=0.0, test_voices=("anna", "ben"), val_voices=("cleo",)
    )
    return SyntheticCorpus(synthesize(folder / "corpus", KokoroFolder(folder / "in"), settings))


@pytest.fixture(scope="module")
def examples(corpus: SyntheticCorpus) -> list[Example]:
    return [example_of(clip, corpus) for clip in choose(corpus, 4, 2, 11).clips]


@pytest.mark.parametrize(
    "part", ["distance", "warping", "sampler", "dynamics", "lip", "sound", "frechet"], ids=lambda part: f"{part}"
)
def test_known_values_are_met(part: str) -> None:
    found = getattr(proof_truth, f"{part}_checks")(1)
    assert found and all(c.agrees for c in found), [c for c in found if not c.agrees]


def test_a_wrong_metric_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = LipMean.measure
    monkeypatch.setattr(LipMean, "measure", lambda self, example: right(self, example) * [1.02, 1.0])
    (found,) = (c for c in proof_truth.distance_checks() if c.metric == "lip_mean")
    assert found.agrees is False
    assert any("lip_mean" in line for line in Proof({}, (found,), ()).failures)


def test_expectations_of_normal_samples() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((100_000, 6, 3))
    largest = np.linalg.norm(drawn, axis=2).max(1)
    assert proof_truth.largest_chi(6) == pytest.approx(largest.mean(), rel=0.003)
    assert proof_truth.largest_chi(6, 2) == pytest.approx((largest**2).mean(), rel=0.005)
    nearest = np.linalg.norm(drawn[:, 1:] - drawn[:, :1], axis=2).min(1)
    assert proof_truth.nearest_sample(5) == pytest.approx(nearest.mean(), rel=0.005)


def test_agreement_has_limits() -> None:
    sure = Check("lve", "", "closed form", 1.0, Estimate(1.1, 1.05, 1.15, 9))
    assert sure.agrees is False and replace(sure, measured=Estimate(1.08, 1.03, 1.13, 9)).agrees
    assert replace(sure, tolerance=0.11).agrees
    exact = Check("lve", "", "construction", 2.0, Estimate(2.001, np.nan, np.nan, 1))
    assert exact.agrees is False and replace(exact, tolerance=0.01).agrees
    assert replace(exact, measured=Estimate(np.nan, np.nan, np.nan, 0)).agrees is None
    rng = np.random.default_rng(0)
    lines = rng.uniform(1, 9, 20)  # lines differ much, draws of a line little
    rows = [np.stack([lines + rng.normal(0, 0.1, 20), np.ones(20)], 1) for _ in range(2)]
    assert compare("lve", "", "Monte Carlo", *rows).agrees
    assert compare("lve", "", "Monte Carlo", rows[0] * [1.1, 1.0], rows[1]).agrees is False


def test_every_metric_has_a_fault_that_it_was_made_for() -> None:
    named = {name for series in (*SERIES, *SAMPLERS) for name in (*series.metrics, *series.coarse)}
    assert named == set(METRICS)


def scores(name: str, *values: np.ndarray) -> list[Accumulator]:
    out = [Accumulator(load_metric(name)) for _ in values]
    for accumulator, each in zip(out, values, strict=True):
        accumulator.rows = {f"{k:02d}": np.array([value, 1.0]) for k, value in enumerate(each)}
    return out


def test_verdicts() -> None:
    steps, rng = ("good", "worse", "worst"), np.random.default_rng(0)
    base = rng.uniform(1, 5, 20)
    assert judge("s", steps, scores("lip_mean", base, base + 1, base + 2), False).verdict == "yes"
    wrong = judge("s", steps, scores("lip_mean", base, base + 2, base + 1), False, reasons={("s", "lip_mean"): "why"})
    assert wrong.verdict == "no" and wrong.note == "why" and wrong.values[1].value == pytest.approx(base.mean() + 2)
    shaky = base + rng.normal(0.1, 1.0, 20)
    unsure = judge("s", steps, scores("lip_mean", base, shaky, base + 9), False)
    assert unsure.verdict == "yes, unsure" and unsure.unseen == ("worse",)
    assert judge("s", steps, scores("closure_recall", base, base, base - 1), False).verdict == "no"
    coarse = judge("s", steps, scores("closure_recall", base, base, base - 1), True)
    assert coarse.verdict == "yes" and coarse.unseen == ("worse",) and "≤" in coarse.wanted
    assert judge("s", steps, scores("closure_recall", base, base - 1, base), True).verdict == "no"
    # About a best value in the middle, chance must not count as lateness.
    noise = rng.normal(0, 10, 20)
    assert judge("s", steps[:2], scores("lip_offset", 0 * noise, noise), False).verdict == "yes, unsure"
    assert judge("s", steps[:2], scores("lip_offset", 0 * noise, noise - 80), False).verdict == "yes"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [("lip_mean", 1.0, 2.0), ("sync_cos", 0.7, 0.1), ("fdd", 0.0, -2.0), ("jerk_ratio_lips", 1.0, 0.5),
     ("jerk_ratio_lips", 1.0, 2.0), ("jerk_ratio_lips", 1.0, 0.0), ("rho", 1.35, 1.0), ("rho", 1.35, 2.0),
     ("div_lips", 0.4, 0.0), ("audio_lag", -10.0, -90.0)],
)  # fmt: skip
def test_badness_follows_the_direction(name: str, good: float, bad: float) -> None:
    first, second = badness(load_metric(name), np.array([good, bad]), np.array([good, good]))
    assert second > first and np.isfinite(second)


def test_fresh_takes_are_draws_of_the_same_process(corpus: SyntheticCorpus) -> None:
    (clip, other, *_) = choose(corpus, 4, 2, 11).groups[0]
    again = fresh_take(clip, clip.seed)
    assert np.abs(again - true_motion(clip)).max() < 2e-5  # layers are stored in half precision
    assert np.abs(fresh_take(clip, 5) - again).max() > 2e-4
    samples = [true_motion(other), fresh_take(clip, 6)]
    example = replace(example_of(clip), samples=samples)
    for name, value in plain_values(example).items():
        assert score(name, example) == pytest.approx(value, rel=1e-4), name
    rows = fresh_values(clip, 0, 0)
    assert 1.0 < rows["rho"][0] / rows["rho"][1] < 1.6
    assert rows["l_cover_frame"][0] < rows["l_cover"][0] < rows["l_vertex"][0] and rows["div_upper"][0] > 0


def test_what_is_put_in_is_found(examples: list[Example]) -> None:
    found = shift_checks(examples) + contact_checks(examples)
    assert {c.metric for c in found if c.how == "construction"} > {"lip_timing", "closure_recall", "false_closure"}
    assert all(c.agrees for c in found), [c for c in found if not c.agrees]
    spoilt = [c for c in found if "by hand" in c.case and c.metric != "fv_contact"]
    assert spoilt and all(0.1 < c.expected < 0.95 for c in spoilt)


def test_swapped_motion_is_anothers(examples: list[Example]) -> None:
    for example in swap(examples):
        assert example.extras["donor"] != example.subject and len(example.prediction) == len(example.reference)


def test_a_low_pass_filter_keeps_what_is_slow() -> None:
    times = np.arange(200) / 25
    slow, fast = (np.sin(2 * np.pi * f * times)[:, None, None] * np.ones((1, 1, 3)) for f in (1.0, 8.0))
    kept = [smoothed(wave, 40.0)[50:150].std() / wave[50:150].std() for wave in (slow, fast)]
    assert kept == pytest.approx([np.exp(-2 * (np.pi * f * 0.04) ** 2) for f in (1.0, 8.0)], rel=1e-3)


def test_broken_motion_is_ranked(corpus: SyntheticCorpus) -> None:
    wanted = {
        "late": ("lip_timing", "lip_offset", "lve"),
        "early": ("lip_timing", "lip_offset"),
        "over-smoothed": ("high_frequency_lips", "jerk_ratio_lips", "f_dtw"),
        "frozen upper face": ("fdd_abs", "upper_mean"),
        "amplitude too large": ("mod", "interpenetration_depth"),
        "white noise": ("jerk_ratio_face", "stillness"),
        "lips through each other": ("interpenetration_depth",),
    }
    chosen = choose(corpus, 4, 2, 11)
    race = Race([replace(s, metrics=wanted[s.name], coarse=()) for s in SERIES if s.name in wanted])
    samplers = Race(SAMPLERS[:1], only=("rho", "div_lips"))
    for clip in chosen.clips:
        race.update(scene(clip, example_of(clip, corpus), corpus, chosen.clips, 0))
    for group in chosen.groups:
        samplers.update(scene(group[0], example_of(group[0]), corpus, chosen.clips, 0, group[1:]))
    found = [*race.rankings(), *samplers.rankings()]
    assert len(found) == sum(map(len, wanted.values())) + 2
    assert all(r.verdict.startswith("yes") for r in found), [r for r in found if not r.verdict.startswith("yes")]
    # The same series backwards must not be ranked right.
    back = replace(race.series[0], steps=dict(reversed(list(race.series[0].steps.items()))))
    race.series = (back,)
    assert {r.verdict for r in race.rankings()} == {"no"}


def test_what_cannot_be_measured_is_said(corpus: SyntheticCorpus) -> None:
    clip = choose(corpus, 4, 2, 11).clips[0]
    race = Race([Series("alone", SERIES[0].steps, ("rho", "div_lips"))])
    race.update(scene(clip, example_of(clip, corpus), corpus, choose(corpus, 4, 2, 11).clips, 0))
    rho, diversity = race.rankings()
    assert diversity.verdict == "-" and "one sample" in diversity.note and not diversity.values
    assert rho.verdict == "-"  # no error at all: no ratio


def made(checks: tuple[Check, ...] = ()) -> Proof:
    about = {"protocol": "proof 1", "vultus": "0", "seed": 0, "fps": 25.0, "clips": ["a"], "lines": ["b"],
             "corpus": {"plan": "p", "settings": {"seed": 3}}, "networks": {}}  # fmt: skip
    rows = np.arange(1.0, 9)
    ranking = judge("late", ("truth", "40 ms"), scores("lip_timing", rows, rows + 40), False)
    return Proof(about, checks, (ranking,))


def test_the_page_keeps_other_text(tmp_path: Path) -> None:
    out = tmp_path / "results.md"
    out.write_text(f"# Results\n\nabove\n\n{BEGIN}\nstale table\n{END}\n\nbelow\n", encoding="utf-8")
    out.with_suffix(".json").write_text('{"results": {"base": 1}}', encoding="utf-8")
    check = Check("lve", "noise", "closed form", 1.0, Estimate(1.5, 1.4, 1.6, 9))
    write(made((check,)), out)
    page = out.read_text(encoding="utf-8")
    assert page.startswith("# Results\n\nabove\n") and page.endswith("\nbelow\n") and "stale" not in page
    assert "| lve | noise | closed form | 1.00 mm | 1.50 (1.40 to 1.60) | **no** |" in page
    assert "| late | lip_timing | truth < 40 ms | 4.50, 44.5 ms | yes |" in page and "seed 3" in page
    content = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert content["results"] == {"base": 1} and content["proof"]["rankings"][0]["verdict"] == "yes"
    write(made(), out)
    assert out.read_text(encoding="utf-8").count(BEGIN) == 1
    new = tmp_path / "other.md"
    new.write_text("# Results\n\ntext\n", encoding="utf-8")
    write(made(), new)
    assert "text\n\n## Proof" in new.read_text(encoding="utf-8")
    new.write_text(f"# Results\n{END}\n{BEGIN}\n", encoding="utf-8")
    with pytest.raises(VultusError, match="in this order"):
        write(made(), new)
    out.with_suffix(".json").write_text("[1]", encoding="utf-8")
    with pytest.raises(VultusError, match="holds a list"):
        write(made(), out)


def test_missing_metrics_are_named() -> None:
    assert "Not checked: lip_mean, " in text(made())


def test_the_command_tells_what_is_wrong(
    corpus: SyntheticCorpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.md"
    assert proof.main(["--data", str(tmp_path), "--out", str(out)]) == 2
    assert proof.main(["--data", str(corpus.root), "--clips", "1", "--out", str(out)]) == 2
    caught = capsys.readouterr()
    assert caught.err.count("\n") == 2 and "--clips is 1" in caught.err and not out.exists()
    with pytest.raises(VultusError, match="--test-takes 30"):
        choose(corpus, 4, 2, 30)


@pytest.mark.slow
def test_the_whole_proof(corpus: SyntheticCorpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.md"
    arguments = ["--data", str(corpus.root), "--clips", "4", "--lines", "2", "--out", str(out)]
    assert proof.main(arguments) in (0, 1)  # two lines are few for values that rest on chance
    content = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["proof"]
    assert {c["metric"] for c in content["checks"]} == set(METRICS)
    assert all(c["agrees"] in (True, None) for c in content["checks"] if c["how"] in ("construction", "closed form"))
    page = capsys.readouterr().out
    assert "Not checked" not in page and page in out.read_text(encoding="utf-8")
