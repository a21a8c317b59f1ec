"""What the names in a pickle stand for: a table of inert builders of plain data.

A pickle names classes and functions and gives them arguments. The reader never looks such a name up: it takes the entry
of `NAMES`, a function of ours that checks the arguments and builds plain data. A name outside the table is refused.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any

from vultus.readers.pickle_reader import arrays, tensors
from vultus.readers.pickle_reader.base import Budget, Name, Refused
from vultus.readers.pickle_reader.machine import check_key

_LATIN1 = ("latin1", "latin-1", "iso-8859-1")


def _only_list(arguments: tuple, budget: Budget) -> list:
    items = arguments[0] if arguments else []
    if len(arguments) > 1 or type(items) not in (list, tuple, set):
        raise Refused("fills a container from something that is no list")
    budget.take(32 * len(items))
    return list(items)


def _pairs(arguments: tuple, budget: Budget) -> list[tuple]:
    if arguments and type(arguments[0]) is dict:
        arguments = (list(arguments[0].items()),)
    pairs = _only_list(arguments, budget)
    if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
        raise Refused("fills a dict from something that is no list of pairs")
    return [(check_key(key), value) for key, value in pairs]


def _defaultdict(arguments: tuple, budget: Budget) -> defaultdict:
    factory = arguments[0] if arguments else None
    if factory is not None and (not isinstance(factory, Name) or factory.factory is None):
        raise Refused(f"names {getattr(factory, 'told', 'no class')} as the factory of a defaultdict")
    return defaultdict(factory.factory if isinstance(factory, Name) else None, _pairs(arguments[1:], budget))


def _encode(arguments: tuple, budget: Budget) -> bytes:
    text, coding = arguments
    if not isinstance(text, str) or coding not in _LATIN1:
        raise Refused("encodes text in another way than latin1")
    budget.take(len(text))
    return text.encode("latin1")


def _bytes(arguments: tuple, budget: Budget) -> bytes:
    if len(arguments) == 1 and isinstance(arguments[0], (bytes, memoryview)):
        budget.take(len(arguments[0]))
        return bytes(arguments[0])
    return _encode(arguments, budget) if arguments else b""


def _complex(arguments: tuple, budget: Budget) -> complex:
    real, imaginary = arguments
    if not isinstance(real, (int, float)) or not isinstance(imaginary, (int, float)):
        raise Refused("makes a complex number of something else than numbers")
    return complex(real, imaginary)


def _instance(arguments: tuple, budget: Budget) -> Any:
    kind, base, state = arguments
    if not isinstance(kind, Name) or kind.build is None or state is not None or base.told != "builtins.object":
        raise Refused(f"makes an instance of {getattr(kind, 'told', 'no class')}")
    return kind.build((), budget)


def _table() -> dict[tuple[str, str], Name]:
    entries: dict[tuple[str, str], Name] = {}

    def add(modules: str, name: str, build: Any = None, factory: Any = None) -> None:
        for module in modules.split():
            entries[module, name] = Name(f"{modules.split()[0]}.{name}", build, factory)

    builtins = "builtins __builtin__"
    add(builtins, "object")
    add(builtins, "list", _only_list, list)
    add(builtins, "tuple", lambda a, b: tuple(_only_list(a, b)), tuple)
    add(builtins, "set", lambda a, b: {check_key(item) for item in _only_list(a, b)}, set)
    add(builtins, "frozenset", lambda a, b: frozenset(map(check_key, _only_list(a, b))), frozenset)
    add(builtins, "dict", lambda a, b: dict(_pairs(a, b)), dict)
    add(builtins, "bytes", _bytes, bytes)
    add(builtins, "bytearray", _bytes)
    add(builtins, "complex", _complex, complex)
    for kind in (int, float, str, bool):
        add(builtins, kind.__name__, None, kind)
    add("builtins __builtin__", "long", None, int)
    add("collections", "OrderedDict", lambda a, b: OrderedDict(_pairs(a, b)), OrderedDict)
    add("collections", "defaultdict", _defaultdict)
    add("copyreg copy_reg", "_reconstructor", _instance)
    add("_codecs", "encode", _encode)
    add("numpy", "ndarray")
    add("numpy numpy.core.memmap numpy._core.memmap", "memmap")
    add("numpy", "dtype", arrays.dtype)
    add("numpy.core.multiarray numpy._core.multiarray", "_reconstruct", arrays.reconstruct)
    add("numpy.core.multiarray numpy._core.multiarray", "scalar", arrays.scalar)
    add("numpy.core.numeric numpy._core.numeric", "_frombuffer", arrays.from_buffer)
    for layout in ("csc", "csr"):
        build = arrays.unbuilt("a sparse matrix without content", arrays.sparse(layout))
        for kind_name in (f"{layout}_matrix", f"{layout}_array"):
            add(f"scipy.sparse scipy.sparse.{layout} scipy.sparse._{layout}", kind_name, build)
    add("chumpy.ch chumpy", "Ch", arrays.unbuilt("a chumpy array without content", arrays.finish_chumpy))
    add("chumpy.reordering", "Select", arrays.unbuilt("a chumpy selection without content", arrays.finish_select))
    add("torch.storage", "_load_from_bytes", tensors.load_from_bytes)
    add("torch._utils", "_rebuild_tensor", tensors.rebuild_tensor)
    add("torch._utils", "_rebuild_tensor_v2", tensors.rebuild_tensor)
    return entries


#: (module, name) as written in a pickle -> what stands for it.
NAMES = _table()
