"""A folder of speech already made: NAME.ogg (or .wav .flac) beside NAME.json with the times of its phonemes.

The layout is that of `index.jsonl` + JSON files with `voice`, `language`, `text`, `seconds` and `phonemes`
(see `vultus.synthesis.phones.read_corpus_json`). The sound files are linked into the corpus as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

from vultus.errors import VultusError
from vultus.synthesis.sources.base import Line, SpokenLine


class KokoroFolder:
    """Speech with phoneme times in a folder."""

    name = "kokoro_folder"
    terms = "as the folder's README says (the corpus made with Kokoro-82M: Apache-2.0)"

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def lines(self) -> list[Line]:
        """Every NAME.json with its sound, by name.

        Raises:
            VultusError: no such pair in the folder, or a JSON file without the fields.
        """
        out = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                audio = path.with_name(Path(str(data["audio"])).name)
                line = Line(
                    path.stem,
                    str(data["voice"]),
                    str(data["language"]),
                    str(data["text"]),
                    float(data["seconds"]),
                    audio,
                )
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise VultusError(
                    f"speech folder: {path.name} cannot be used ({type(error).__name__}: {error}); expected audio, "
                    "voice, language, text, seconds and phonemes"
                ) from None
            if not audio.is_file():
                raise VultusError(
                    f"speech folder: {path.name} names {audio.name}, which is not beside it; add or remove both"
                )
            out.append(line)
        if not out:
            raise VultusError(
                f"speech folder: no NAME.json with sound under {self.folder}; expected pairs of sound and JSON"
            )
        return out

    def read(self, line: Line) -> SpokenLine:
        """Decodes the sound and settles the pauses of its labels by what is heard."""
        from vultus.speech import Speech
        from vultus.synthesis.phones import read_corpus_json, settle_pauses

        labels = read_corpus_json(self.folder / f"{line.name}.json")
        samples = Speech.load(labels.audio).samples
        phones = settle_pauses(labels.phones, samples)
        return SpokenLine(line.name, line.voice, line.language, line.text, samples, phones, self.name)
