"""What the parts of the pickle reader share: why a file is refused, names and unfinished objects, a bound on memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Refused(Exception):
    """Why a pickle is not read; the reader makes a VultusError of it."""


def shown(item: object) -> str:
    """Text from a stranger's file, safe in one line; of anything else the type, as it may print for ever."""
    return ascii(item[:100])[1:-1] if isinstance(item, str) else type(item).__name__


class Budget:
    """Bytes that may still be made. A small pickle that refers to the same bytes often must not fill the memory."""

    def __init__(self, size: int) -> None:
        self.left = 16 * size + (64 << 20)

    def take(self, count: int) -> None:
        """Refused where the file would unpack to far more than its size."""
        self.left -= count
        if self.left < 0:
            raise Refused("unpacks to far more than its own size")


class Unfinished:
    """What may stand in arguments only: a name, or an object whose state has not come yet."""

    __slots__ = ()
    told: str


@dataclass(frozen=True, slots=True, eq=False)
class Name(Unfinished):
    """A class or function that a pickle names: a label and what we do in its place.

    Attributes:
        build: (arguments, budget) -> value; None where it may only be an argument itself.
        factory: what stands for it in a defaultdict.
    """

    told: str
    build: Callable[[tuple, Budget], Any] | None = None
    factory: Callable[[], Any] | None = None


@dataclass(slots=True, eq=False)
class Unbuilt(Unfinished):
    """An object that is made by the state that follows it.

    Attributes:
        finish: (state, budget) -> value.
        keys: where the reader has put it in its memo, to be replaced by the value.
    """

    told: str
    finish: Callable[[Any, Budget], Any]
    keys: list[int]
