"""Which model speaks unless the user names one. Imports nothing, so that `--help` can show it."""

from __future__ import annotations

DEFAULT_MODEL = "base"
"""Speaks one take."""

TAKES_MODEL = "takes"
"""Speaks where several takes, or a way of drawing them, are asked for."""

MAX_TAKES = 100
"""More than anyone listens through; memory grows with their number."""


def default_model(num_takes: int = 1, sampling: object = None) -> str:
    """Name of the model for a request that names none.

    >>> default_model(), default_model(4), default_model(1, "plain")
    ('base', 'takes', 'takes')
    """
    return DEFAULT_MODEL if num_takes == 1 and sampling is None else TAKES_MODEL
