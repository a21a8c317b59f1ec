"""The error that a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VultusError(ValueError):
    """Bad input or an impossible request, told in one line: subject, found, expected, next step.

    The command line prints the message alone on standard error and exits with status 2.
    Every error that a user can cause is one of these; anything else is a fault of ours.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> VultusError:
    """The error for a name that is not in a table; it offers near misses.

    >>> str(unknown_name("model", "bose", ["base", "takes"]))
    "unknown model 'bose'; did you mean 'base'? Known: base, takes"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" did you mean '{near[0]}'?" if near else ""
    return VultusError(f"unknown {kind} '{name}';{hint} Known: {', '.join(names) or 'none'}")
