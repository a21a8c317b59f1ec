"""What a run writes down: log.jsonl, one JSON object a line, and a progress bar for whoever watches."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vultus.files import write_atomically
from vultus.train.cache import Progress


class RunLog:
    """Rank 0 writes, the others stay silent.

    Args:
        folder: the run's folder.
        total: steps of the whole run.
        step: steps that are done already; lines of later steps (from before a crash) are dropped.
        enabled: False on every rank but 0.
        progress: None shows the bar where standard error is a terminal.
    """

    def __init__(
        self, folder: Path, total: int, step: int = 0, *, enabled: bool = True, progress: bool | None = None
    ) -> None:
        self.path, self.enabled = folder / "log.jsonl", enabled
        if not enabled:
            return
        kept = [line for line in read_log(folder) if line["step"] <= step] if step else []
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        hidden = not (sys.stderr.isatty() if progress is None else progress)
        self.bar = tqdm(total=total, initial=step, unit="step", disable=hidden, dynamic_ncols=True)

    def write(self, step: int, **values: Any) -> None:
        """Appends one line and shows its losses."""
        if not self.enabled:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        shown = {key.split("/")[-1]: f"{value:.4g}" for key, value in values.items() if isinstance(value, float)}
        self.bar.set_postfix(shown, refresh=False)

    def advance(self) -> None:
        """One step more."""
        if self.enabled:
            self.bar.update(1)

    def close(self) -> None:
        if self.enabled:
            self.bar.close()


def feature_progress(progress: bool | None) -> Progress:
    """A bar for the computing of features; None shows it where standard error is a terminal."""
    hidden = not (sys.stderr.isatty() if progress is None else progress)
    bars: list[tqdm[Any]] = []

    def show(done: int, total: int) -> None:
        if done == 1:
            bars[:] = [tqdm(total=total, desc="features", unit="clip", disable=hidden, dynamic_ncols=True)]
        bars[0].update(1)
        if done == total:
            bars[0].close()

    return show


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a line that a crash cut short is left out."""
    path = folder / "log.jsonl"
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines
