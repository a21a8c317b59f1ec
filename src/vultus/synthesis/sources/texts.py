"""The sentences that the corpus's own voices speak: ours (`sentences.txt`), or a text file of the user."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from vultus.errors import VultusError


def _sentences(text: str) -> tuple[str, ...]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


@cache
def own_sentences() -> tuple[str, ...]:
    """About two hundred English sentences of our own, without repeats."""
    return _sentences(resources.files(__package__).joinpath("sentences.txt").read_text(encoding="utf-8"))


def read_sentences(path: str | Path) -> tuple[str, ...]:
    """The sentences of a UTF-8 text file: one a line; empty lines and lines that begin with # are left out.

    Raises:
        VultusError: no such file, not UTF-8, or no sentence in it.
    """
    try:
        found = _sentences(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise VultusError(
            f"texts: cannot read {path} ({error.strerror}); expected a text file, one sentence a line"
        ) from None
    except UnicodeDecodeError:
        raise VultusError(f"texts: {path} is not UTF-8 text; save it as UTF-8, one sentence a line") from None
    if not found:
        raise VultusError(f"texts: {path} holds no sentence; expected one a line")
    return found
