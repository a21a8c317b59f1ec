"""The data card of a synthetic corpus: what it is, from what, under which terms, and what was counted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from vultus.clock import SAMPLE_RATE
from vultus.synthesis.plan import SPLITS, Plan


def _hours(records: Sequence[dict[str, Any]]) -> float:
    return sum(r["num_samples"] for r in records) / SAMPLE_RATE / 3600


def write_card(head: dict[str, Any], plan: Plan, records: Sequence[dict[str, Any]]) -> str:
    """The card as Markdown. It holds no date and no machine, so equal corpora have equal cards.

    Args:
        head: what corpus.json says.
        plan: the plan.
        records: the manifest, in order.
    """
    settings = plan.settings
    rows = []
    for split in SPLITS:
        here = [r for r in records if r["split"] == split]
        people = {r["subject"] for r in here}
        quiet = sum(r["kind"] != "speech" for r in here)
        voices = {plan.subjects[p].voice for p in people}
        rows.append(f"| {split} | {len(here)} | {_hours(here):.2f} | {len(people)} | {len(voices)} | {quiet} |")
    spoken = [r for r in records if r["kind"] == "speech"]
    languages = Counter(r["language"] for r in spoken if r["take"] == 0)
    held = {s: sorted({p.voice for p in plan.subjects.values() if p.split == s}) for s in ("val", "test")}
    left = "; ".join(f"{count} lines: {reason}" for reason, count in plan.left_out.items() if count) or "none"
    tongues = ", ".join(f"{name or 'not told'} {count}" for name, count in sorted(languages.items()))
    texts = len({r["text"] for r in spoken})
    sources = "\n".join(f"- {source['name']}: {source['terms']}" for source in head["sources"])
    return f"""# Synthetic corpus of speech with facial motion

Natural-sounding synthetic (or the user's own) speech; the motion is **made by rules** from phone times, loudness and
pitch, not captured from anybody. Models trained on it must be judged on real recordings.

| split | clips | hours | subjects | voices | without speech |
|---|---|---|---|---|---|
{chr(10).join(rows)}

- `takes`: further performances of lines of `test`, by the same subjects ({settings.test_takes} takes of a line in all).
- Lines by language: {tongues}; {texts} different texts.
- Subjects are identity x voice x style; the splits share no voice (blends count as all their voices), identity
  or style. Voices held out: val {", ".join(held["val"]) or "none"}; test {", ".join(held["test"]) or "none"}.
- Left out: {left}.
- Clips without speech (noise, hum, hiss, chords, drums ...): the face rests, blinks and looks about.

## Motion

{settings.fps:g} frames a second, three layers of 55 weights (52 ARKit shapes and 3 of the tongue) and the head's
rotation (axis-angle, radians). `speech` follows the words, `expression` the prosody, `random` holds blinks and
gaze; together they are the performance. Frame i stands at i / fps. Weights are rounded to 1/2048.

## Made from

{sources}
- Head, identities and shapes: MakeHuman assets and the "Face Units" pack, CC0.

Format {head["version"]}, seed {settings.seed}, plan {head["plan"]}, teacher {head["teacher"]}. The same
speech, settings, seed and teacher give the same bytes. `manifest.jsonl` holds the sha256 of every file.

## Terms

Motion, texts and this card: Apache-2.0. Sound: as its source says above.
"""
