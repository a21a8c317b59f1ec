"""Speech sources of the synthetic corpus, one file each, and `open_source`, which picks one by what it is given."""

from __future__ import annotations

from pathlib import Path

from vultus.errors import VultusError
from vultus.synthesis.sources.base import Line, LineSource, SpokenLine, spoken_lines, voice_parts

__all__ = ["Line", "LineSource", "SpokenLine", "open_source", "spoken_lines", "voice_parts"]


def open_source(spec: str, *, texts: str | None = None, hours: float | None = None, seed: int = 0) -> LineSource:
    """A speech source from what a user writes.

    Args:
        spec: a folder of sound + JSON, a folder of sound + TextGrid, `kokoro:DIR` (the voice model fetched to DIR
            speaks), or `espeak` / `espeak:VOICE,VOICE` (the espeak-ng program speaks).
        texts: a text file of sentences for the speaking sources; None takes our own sentences.
        hours: how much a speaking source plans; None speaks each sentence once.
        seed: varies voices and speeds of a speaking source.

    Raises:
        VultusError: nothing that can be used.
    """
    from vultus.synthesis.sources.texts import own_sentences, read_sentences

    kind, _, rest = spec.partition(":")
    if kind in ("kokoro", "espeak") and not Path(spec).is_dir():
        sentences = read_sentences(texts) if texts else own_sentences()
        if kind == "espeak":
            from vultus.synthesis.sources.espeak import EspeakSource

            return EspeakSource(sentences, voices=tuple(v for v in rest.split(",") if v), hours=hours, seed=seed)
        from vultus.synthesis.sources.kokoro import KokoroSource

        if not rest:
            raise VultusError(
                "speech source 'kokoro' names no folder; expected kokoro:DIR, filled by `vultus data fetch kokoro`"
            )
        return KokoroSource(rest, sentences, hours=hours, seed=seed)
    folder = Path(spec)
    if not folder.is_dir():
        raise VultusError(f"speech source '{spec}' is no folder; expected a folder, kokoro:DIR or espeak[:VOICES]")
    if next(folder.glob("*.json"), None) is not None:
        from vultus.synthesis.sources.kokoro_folder import KokoroFolder

        return KokoroFolder(folder)
    from vultus.synthesis.sources.textgrid import TextGridFolder

    return TextGridFolder(folder)
