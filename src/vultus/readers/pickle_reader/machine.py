"""The stack machine that reads a pickle, without the operations that import, call or set attributes of anything.

The operations are those of Python's pickletools, protocols 0 to 5. What a name stands for is given by a table.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vultus.readers.pickle_reader.base import Budget, Name, Refused, Unbuilt, Unfinished, shown

_LONGEST = 1 << 16  # bytes; longer ones stay in the file until it is known what they are
# Operations that carry data of a length: operation -> (how the length is written, what the data are).
_SIZED = {
    b"T": ("<i", "text2"), b"U": ("<B", "text2"), b"B": ("<I", "bytes"), b"C": ("<B", "bytes"),
    b"\x8e": ("<Q", "bytes"), b"\x96": ("<Q", "bytes"),
    b"X": ("<I", "text"), b"\x8c": ("<B", "text"), b"\x8d": ("<Q", "text"),
    b"\x8a": ("<B", "int"), b"\x8b": ("<i", "int"),
}  # fmt: skip
_QUOTED = re.compile(rb"""(['"])(?:[^\\]|\\[\\'"nrt]|\\x[0-9a-f]{2})*\1""")
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
_CONSTANTS: dict[bytes, Callable[[], Any]] = {
    b"N": lambda: None, b"\x88": lambda: True, b"\x89": lambda: False, b"]": list, b"}": dict, b")": tuple,
    b"\x8f": set,
}  # fmt: skip
_PLAIN = frozenset(
    (str, bytes, int, float, bool, complex, type(None), list, dict, tuple, set, frozenset, OrderedDict, defaultdict)
)


class _Arguments(tuple):
    """A tuple that holds what may stand in arguments only."""


def finished(item: Any, budget: Budget) -> Any:
    """What may lie in a container or be the result; Refused for names and for objects whose state never came."""
    kind = type(item)
    if kind in _PLAIN:
        return item
    if kind is memoryview:
        budget.take(len(item))
        return bytes(item)
    if kind is _Arguments:
        budget.take(8 * len(item))
        return tuple(finished(part, budget) if type(part) is not _Arguments else _nested() for part in item)
    if isinstance(item, Unfinished):
        raise Refused(f"holds {item.told} where data are expected")
    return item


def _nested() -> Any:
    raise Refused("holds a class or long bytes in nested tuples")


def check_key(key: Any) -> Any:
    """The key of a dict or member of a set: numbers and text, or a short tuple of them (deeper ones hash slowly)."""
    members = key if type(key) is tuple and len(key) <= 16 else (key,)
    for member in members:
        if not isinstance(member, (str, bytes, int, float, complex, type(None), np.generic)):
            raise Refused(f"uses {type(key).__name__} as a key")
    return key


class Machine:
    """Runs one pickle of a buffer. `position` is then behind it."""

    def __init__(
        self,
        data: memoryview,
        names: Mapping[tuple[str, str], Name],
        budget: Budget,
        position: int = 0,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.data, self.names, self.budget, self.position = data, names, budget, position
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The object of the pickle; it may still be Unfinished."""
        while True:
            operation = bytes(self.take(1))
            if operation == b".":
                return self.stack.pop()
            if operation not in _OPERATIONS:
                raise Refused(f"has the operation {operation!r}, which no pickle of plain data has")
            _OPERATIONS[operation](self)

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise Refused("ends too early")
        part = self.data[self.position : end]
        self.position = end
        return part

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> bytes:
        size = 256
        while True:
            part = bytes(self.data[self.position : self.position + size])
            end = part.find(b"\n")
            if end >= 0:
                self.position += end + 1
                return part[:end]
            if len(part) < size:
                raise Refused("ends too early")
            size *= 4

    def since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def push_tuple(self, items: list[Any]) -> None:
        plain = all(
            type(item) in _PLAIN or not isinstance(item, (Unfinished, memoryview, _Arguments)) for item in items
        )
        self.stack.append(tuple(items) if plain else _Arguments(items))

    def push_sized(self, form: str, kind: str) -> None:
        part = self.take(self.number(form))
        if kind == "bytes":
            self.stack.append(part if len(part) >= _LONGEST else bytes(part))
        elif kind == "text":
            self.stack.append(str(part, "utf-8", "surrogatepass"))
        elif kind == "text2":
            self.stack.append(str(part, "latin1"))
        else:
            if len(part) > 255:
                raise Refused("holds a number of more than 2000 bits")
            self.stack.append(int.from_bytes(part, "little", signed=True))

    def push_decimal(self) -> None:
        text = self.line().rstrip(b"L")
        if len(text) > 700:
            raise Refused("holds a number of more than 2000 bits")
        self.stack.append({b"00": False, b"01": True}[text] if text in (b"00", b"01") else int(text))

    def push_quoted(self) -> None:
        text = self.line().strip()
        if not _QUOTED.fullmatch(text):
            raise Refused("holds text in quotes that Python 2 never wrote")
        self.stack.append(codecs.escape_decode(text[1:-1])[0].decode("latin1"))

    def push_name(self, module: Any, name: Any) -> None:
        found = self.names.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if found is None:
            raise Refused(f"names {shown(module)}.{shown(name)}, which is no plain data")
        self.stack.append(found)

    def push_name_lines(self) -> None:
        module, name = self.line(), self.line()
        self.push_name(module.decode("utf-8"), name.decode("utf-8"))

    def push_name_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.push_name(module, name)

    def build(self, keywords: bool = False) -> None:
        if keywords and self.stack.pop() != {}:
            raise Refused("calls something with keywords")
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, Name) or name.build is None or not isinstance(arguments, tuple):
            raise Refused(f"calls {name.told if isinstance(name, Unfinished) else type(name).__name__}")
        self.stack.append(name.build(arguments, self.budget))

    def set_state(self) -> None:
        state, item = self.stack.pop(), self.stack[-1]
        if not isinstance(item, Unbuilt):
            raise Refused(f"sets the state of {item.told if isinstance(item, Unfinished) else type(item).__name__}")
        value = self.stack[-1] = item.finish(state, self.budget)
        for key in item.keys:
            self.memo[key] = value

    def remember(self, key: int) -> None:
        item = self.stack[-1]
        self.memo[key] = item
        if isinstance(item, Unbuilt):
            item.keys.append(key)

    def recall(self, key: int) -> None:
        self.stack.append(self.memo[key])

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise Refused(f"appends to {type(target).__name__}")
        target.extend(finished(item, self.budget) for item in items)

    def update(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in (dict, OrderedDict, defaultdict):
            raise Refused(f"sets items of {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[check_key(key)] = finished(value, self.budget)

    def add(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise Refused(f"adds members to {type(target).__name__}")
        target.update(map(check_key, items))

    def drop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def protocol(self) -> None:
        if (version := self.number("<B")) > 5:
            raise Refused(f"has protocol {version}; known are 0 to 5")

    def push_persistent(self) -> None:
        if self.persistent is None:
            raise Refused("refers to objects outside itself")
        self.stack.append(self.persistent(self.stack.pop()))

    def push_list(self, items: list[Any]) -> None:
        self.stack.append([])
        self.extend(items)

    def push_dict(self, items: list[Any]) -> None:
        self.stack.append({})
        self.update(items)


def _pop(machine: Machine, count: int) -> list[Any]:
    if len(machine.stack) < count:
        raise Refused("takes from an empty stack")
    items = machine.stack[-count:]
    del machine.stack[-count:]
    return items


def _constant(make: Callable[[], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(make())


def _number(form: str) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(machine.number(form))


def _sized(form: str, kind: str) -> Callable[[Machine], None]:
    return lambda machine: machine.push_sized(form, kind)


def _operations() -> dict[bytes, Callable[[Machine], Any]]:
    table: dict[bytes, Callable[[Machine], Any]] = {
        b"\x80": Machine.protocol, b"\x95": lambda m: m.take(8), b"(": lambda m: m.marks.append(len(m.stack)),
        b"0": Machine.drop, b"1": lambda m: m.since_mark(), b"2": lambda m: m.stack.append(m.stack[-1]),
        b"I": Machine.push_decimal, b"L": Machine.push_decimal, b"F": lambda m: m.stack.append(float(m.line())),
        b"S": Machine.push_quoted, b"V": lambda m: m.stack.append(str(m.line(), "raw-unicode-escape")),
        b"t": lambda m: m.push_tuple(m.since_mark()), b"\x85": lambda m: m.push_tuple(_pop(m, 1)),
        b"\x86": lambda m: m.push_tuple(_pop(m, 2)), b"\x87": lambda m: m.push_tuple(_pop(m, 3)),
        b"l": lambda m: m.push_list(m.since_mark()), b"d": lambda m: m.push_dict(m.since_mark()),
        b"a": lambda m: m.extend(_pop(m, 1)), b"e": lambda m: m.extend(m.since_mark()),
        b"s": lambda m: m.update(_pop(m, 2)), b"u": lambda m: m.update(m.since_mark()),
        b"\x90": lambda m: m.add(m.since_mark()),
        b"\x91": lambda m: m.stack.append(frozenset(map(check_key, m.since_mark()))),
        b"p": lambda m: m.remember(int(m.line())), b"q": lambda m: m.remember(m.number("<B")),
        b"r": lambda m: m.remember(m.number("<I")), b"\x94": lambda m: m.remember(len(m.memo)),
        b"g": lambda m: m.recall(int(m.line())), b"h": lambda m: m.recall(m.number("<B")),
        b"j": lambda m: m.recall(m.number("<I")),
        b"c": Machine.push_name_lines, b"\x93": Machine.push_name_stack, b"R": Machine.build,
        b"\x81": Machine.build, b"\x92": lambda m: m.build(keywords=True), b"b": Machine.set_state,
        b"Q": Machine.push_persistent,
    }  # fmt: skip
    table.update({operation: _constant(make) for operation, make in _CONSTANTS.items()})
    table.update({operation: _number(form) for operation, form in _NUMBERS.items()})
    table.update({operation: _sized(form, kind) for operation, (form, kind) in _SIZED.items()})
    return table


_OPERATIONS = _operations()
