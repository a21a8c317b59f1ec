"""The reader of untrusted pickles: plain data comes back as it was, anything else is refused and nothing is run."""

from __future__ import annotations

import builtins
import collections
import functools
import io
import operator
import os
import pickle
import random
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).resolve().parents[1] / "datasets"))

from miniature_vocaset import python2

from vultus.errors import VultusError
from vultus.readers.safe_pickle import ChumpyArray, SparseMatrix, load_npy, load_pickle, to_array

PROTOCOLS = range(6)


def read(content: bytes, tmp_path: Path) -> Any:
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    return load_pickle(path, what="test")


def assert_refused(content: bytes, tmp_path: Path, *parts: str) -> None:
    with pytest.raises(VultusError) as caught:
        read(content, tmp_path)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1000 and message.startswith("test: '"), message
    assert all(part in message for part in parts), message


def plain(depth: int = 3) -> st.SearchStrategy:
    key = st.one_of(st.text(), st.integers(), st.binary(max_size=20), st.booleans(), st.none())
    leaf = st.one_of(key, st.floats(allow_nan=False), st.complex_numbers(allow_nan=False))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(key, inner, max_size=4),
            st.sets(key, max_size=4), st.frozensets(key, max_size=4),
        ),
        max_leaves=12,
    )  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=plain(), protocol=st.sampled_from(PROTOCOLS))
def test_plain_data_come_back(value: Any, protocol: int, tmp_path: Path) -> None:
    found = read(pickle.dumps(value, protocol), tmp_path)
    assert found == value and type(found) is type(value)


ARRAYS = [
    np.arange(12.0).reshape(3, 4), np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)), np.float64(3.5),
    np.zeros((0, 5)), np.array(7), np.array([True, False]), np.array([1 + 2j]), np.array(["a", "bcü"]),
    np.array([b"q"]), np.arange(8, dtype=np.uint8)[::2], np.float16([1.5]), np.int32(-4), np.arange(200_000.0),
    np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1), np.bool_(True), np.str_("word"), np.longdouble([1.25]),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_comes_back(array: Any, protocol: int, tmp_path: Path) -> None:
    for old in (False, True):
        content = pickle.dumps({"a": array}, protocol)
        if old:  # as numpy before 2.0 wrote
            content = content.replace(b"numpy._core.", b"numpy.core.") if protocol < 4 else _old_names(content)
        found = read(content, tmp_path)["a"]
        assert found.dtype == array.dtype and found.shape == array.shape and type(found) is type(array)
        np.testing.assert_array_equal(found, array)


def _old_names(content: bytes) -> bytes:
    for part in (b"multiarray", b"numeric"):
        new, old = b"numpy._core." + part, b"numpy.core." + part
        content = content.replace(bytes([0x8C, len(new)]) + new, bytes([0x8C, len(old)]) + old)
    if content[2:3] == b"\x95":  # the frame is shorter now; its length is a hint alone
        content = content[:3] + struct.pack("<Q", len(content) - 11) + content[11:]
    return content


def test_a_memory_map_in_a_pickle_is_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert (read(pickle.dumps([mapped], 2), tmp_path)[0] == np.arange(5)).all()


def test_arrays_of_objects(tmp_path: Path) -> None:
    objects = np.array([None, "q", {"a": np.arange(3)}], object)
    for protocol in PROTOCOLS:
        found = read(pickle.dumps(objects, protocol), tmp_path)
        assert found.dtype == object and found[1] == "q" and (found[2]["a"] == np.arange(3)).all()


def test_python_2(tmp_path: Path) -> None:
    value = {"Gesicht\xe4": {"audio": np.arange(300, dtype=np.int16), "sample_rate": 22050}, "long": "x" * 500}
    content = python2(value)
    assert b"cnumpy.core.multiarray" in content and b"X" not in content.replace(b"X" * 500, b"")[:20]
    found = read(content, tmp_path)
    assert found["long"] == value["long"] and found["Gesicht\xe4"]["sample_rate"] == 22050
    np.testing.assert_array_equal(found["Gesicht\xe4"]["audio"], np.arange(300))


def test_python_2_protocol_0_as_written_by_python_2_7(tmp_path: Path) -> None:
    # pickle.dumps({'a': array([1, 2], dtype=int16), u'\\u20ac': 5L, 's': set([1]), 't': "it's"}, 0)
    content = (
        b"(dp0\nS'a'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n"
        b"(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'i2'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
        b"S'\\x01\\x00\\x02\\x00'\np15\ntp16\nbsV\\u20ac\np17\nL5L\nsS's'\np18\nc__builtin__\nset\np19\n((lp20\nI1\natp21\n"
        b"Rp22\nsS't'\np23\nS\"it's\"\np24\ns."
    )
    found = read(content, tmp_path)
    assert (found["a"] == [1, 2]).all() and found["a"].dtype == np.int16
    assert found["\u20ac"] == 5 and found["s"] == {1} and found["t"] == "it's"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ordered_and_default_dicts(protocol: int, tmp_path: Path) -> None:
    value = [
        collections.OrderedDict(b=1, a=[2]),
        collections.defaultdict(list, {"k": [1]}),
        collections.defaultdict(None, a=1),
    ]
    found = read(pickle.dumps(value, protocol), tmp_path)
    assert found == value and [type(f) for f in found] == [type(v) for v in value]
    assert list(found[0]) == ["b", "a"] and found[1]["new"] == []


def test_shared_and_cyclic_objects_stay_so(tmp_path: Path) -> None:
    shared = np.arange(3)
    loop: list = [shared, shared]
    loop.append(loop)
    for protocol in PROTOCOLS:
        found = read(pickle.dumps(loop, protocol), tmp_path)
        assert found[0] is found[1] and found[2] is found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_torch_tensors_as_plain_pickle_writes_them(protocol: int, tmp_path: Path) -> None:
    import torch

    base = torch.arange(24.0).reshape(2, 3, 4)
    tensors = {
        "whole": base, "view": base.transpose(0, 2)[1:, :, 1], "long": torch.tensor([1, -2]),
        "empty": torch.empty(0, 3), "scalar": torch.tensor(2.5, dtype=torch.float64), "half": base.half(),
        "bool": torch.tensor([True, False]),
        "grad": torch.ones(2, requires_grad=True), "large": torch.rand(600, 500),
    }  # fmt: skip
    found = read(pickle.dumps({"FaceTalk": tensors}, protocol), tmp_path)["FaceTalk"]
    for name, tensor in tensors.items():
        wanted = tensor.detach().numpy()
        assert found[name].dtype == wanted.dtype and found[name].shape == wanted.shape
        np.testing.assert_array_equal(found[name], wanted)


class _Twin:
    """Pickled under the name of a class that is not installed here."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __getstate__(self) -> Any:
        return self.state


def _as_class(value: Any, module: str, name: str, protocol: int) -> bytes:
    """A pickle whose objects of `_Twin` bear another class's name."""
    file = io.BytesIO()

    class Pickler(pickle._Pickler):
        def save_global(self, obj: Any, name_: str | None = None) -> None:
            if obj is _Twin:
                if self.proto >= 4:
                    self.save(module)
                    self.save(name)
                    self.write(pickle.STACK_GLOBAL)
                else:
                    self.write(b"c" + f"{module}\n{name}\n".encode())
                return
            super().save_global(obj, name_)

        dispatch = {**pickle._Pickler.dispatch, type: lambda self, obj: self.save_global(obj)}  # noqa: RUF012

    Pickler(file, protocol).dump(value)
    return file.getvalue()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_chumpy_arrays(protocol: int, tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    state = {"x": array, "_dirty_vars": {"x"}, "_itr": None, "_make_dense": False, "_depends_on_deps": {}}
    found = read(_as_class({"v_template": _Twin(state)}, "chumpy.ch", "Ch", protocol), tmp_path)["v_template"]
    assert isinstance(found, ChumpyArray) and found.shape == (2, 3)
    for value in (np.asarray(found), to_array(found, "x"), found.r, np.array(found, np.float32)):
        np.testing.assert_array_equal(value, array)
    state = {"a": array, "idxs": np.array([5, 0]), "preferred_shape": (2, 1)}
    found = read(_as_class(_Twin(state), "chumpy.reordering", "Select", protocol), tmp_path)
    np.testing.assert_array_equal(found.r, [[5.0], [0.0]])
    for state in ({"x": "text"}, {"x": None}, {}, {"x": [1, 2]}):
        with pytest.raises(VultusError):
            read(_as_class(_Twin(state), "chumpy.ch", "Ch", protocol), tmp_path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("layout", ["csc", "csr"])
def test_sparse_matrices(layout: str, protocol: int, tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.array([[0, 2.0, 0], [1, 0, 0], [0, 0, 0], [0, 4, 5]])
    for kind in ("matrix", "array"):
        matrix = getattr(sparse, f"{layout}_{kind}")(dense)
        content = pickle.dumps({"J_regressor": matrix}, protocol)
        found = read(content, tmp_path)["J_regressor"]
        assert isinstance(found, SparseMatrix) and found.shape == (4, 3) and found.layout == layout
        np.testing.assert_array_equal(found.toarray(), dense)
        np.testing.assert_array_equal(to_array(found, "x"), dense)
        if protocol < 4:  # the module's older name
            old = content.replace(f"scipy.sparse._{layout}".encode(), f"scipy.sparse.{layout}".encode())
            np.testing.assert_array_equal(np.asarray(read(old, tmp_path)["J_regressor"]), dense)


@pytest.mark.parametrize(
    "change",
    [
        {"indices": np.array([0, 9])}, {"indices": np.array([-1, 0])}, {"indptr": np.array([0, 1, 5, 5])},
        {"indptr": np.array([0, 2, 1, 2])}, {"indptr": np.array([0, 2])}, {"data": "x"}, {"data": np.array(["x", "y"])},
        {"_shape": (2, -3)}, {"_shape": (10**15, 3)}, {"_shape": 3}, {"indices": np.array([0.0, 1.0])},
    ],
)  # fmt: skip
def test_sparse_matrices_out_of_range_are_refused(change: dict, tmp_path: Path) -> None:
    state = {"_shape": (2, 3), "data": np.ones(2), "indices": np.array([0, 1]), "indptr": np.array([0, 1, 2, 2])}
    with pytest.raises(VultusError):
        read(_as_class(_Twin(state | change), "scipy.sparse.csc", "csc_matrix", 2), tmp_path).toarray()


def test_a_sparse_matrix_too_large_to_write_out(tmp_path: Path) -> None:
    state = {"_shape": (10**12, 1), "data": np.ones(1), "indices": np.array([0]), "indptr": np.array([0, 1])}
    found = read(_as_class(_Twin(state), "scipy.sparse.csc", "csc_matrix", 2), tmp_path)
    with pytest.raises(VultusError, match="too large"):
        found.toarray()


@pytest.mark.parametrize("value", ["text", [1, 2], {"a": 1}, None, np.array(["x"]), np.array([None], object)])
def test_to_array_takes_numbers_only(value: Any) -> None:
    with pytest.raises(VultusError, match="expected an array of numbers"):
        to_array(value, "flame: f")


# ---- what must be refused


class _Call:
    """Pickled as a call of `function`."""

    def __init__(self, function: Callable, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple:
        return self.parts


class _WithState:
    def __setstate__(self, state: Any) -> None:
        raise AssertionError("was run")

    def __getstate__(self) -> Any:
        return {"a": 1}


HOSTILE: dict[str, tuple[Callable[[str], Any], str]] = {
    "os.system": (lambda trace: _Call(os.system, f"touch {trace}"), "posix.system"),
    "subprocess": (lambda trace: _Call(subprocess.call, ["touch", trace]), "call"),
    "eval": (lambda trace: _Call(builtins.eval, f"open({trace!r}, 'w')"), "eval"),
    "exec": (lambda trace: _Call(builtins.exec, f"open({trace!r}, 'w')"), "exec"),
    "open": (lambda trace: _Call(builtins.open, trace, "w"), "open"),
    "getattr": (lambda trace: _Call(builtins.getattr, _Call(builtins.__import__, "os"), "system"), "getattr"),
    "partial": (lambda trace: functools.partial(os.mkdir, trace), "functools.partial"),
    "attrgetter": (lambda trace: operator.attrgetter("__class__.__base__"), "operator.attrgetter"),
    "map": (lambda trace: _Call(builtins.map, os.mkdir, [trace]), "map"),
    "type": (lambda trace: _Call(builtins.type, "X", (), {}), "type"),
    "setstate": (lambda trace: _WithState(), "_WithState"),
    "np.load": (lambda trace: _Call(np.load, trace), "load"),
    "np.fromfile": (lambda trace: _Call(np.frompyfunc, os.mkdir, 1, 1), "frompyfunc"),
    "np.memmap": (lambda trace: _Call(np.memmap, trace, "u1", "w+", 0, (10,)), "memmap"),
    "np.ndarray": (lambda trace: _Call(np.ndarray, (10**12,)), "numpy.ndarray"),
    "np.exec": (lambda trace: _Call(np.vectorize, os.mkdir), "vectorize"),
    "object array": (lambda trace: np.array([_Call(os.mkdir, trace)], object), "mkdir"),
    "dict key": (lambda trace: {_HashableCall(os.mkdir, trace): 1}, "mkdir"),
    "default factory": (lambda trace: collections.defaultdict(os.getcwd), "getcwd"),
    "records": (lambda trace: np.rec.array([(1, 2)]), "recarray"),
    "masked": (lambda trace: np.ma.array([1]), "numpy.ma"),
    "structured": (lambda trace: np.zeros(2, "i4,f4"), "array type"),
    "date": (lambda trace: np.array(["2020-01-01"], "M8[D]"), "array type"),
    "path": (lambda trace: Path(trace), "pathlib"),
    "slice": (lambda trace: slice(1), "slice"),
    "class": (lambda trace: {"a": dict}, "where data are expected"),
    "class in a tuple": (lambda trace: [(1, (np.ndarray, 2))], ""),
    "bytes of a bomb": (lambda trace: _Call(builtins.bytes, 10**12), ""),
    "bytearray of a bomb": (lambda trace: _Call(builtins.bytearray, 10**12), ""),
    "list of range": (lambda trace: _Call(builtins.list, range(10**12)), "range"),
    "state of a dict": (lambda trace: _Call(collections.OrderedDict, state={"__class__": 1}), "sets the state"),
    "state of an array type": (lambda trace: _Call(np.dtype, "f8", state={"a": 1}), "array type"),
    "long array type": (lambda trace: _Call(np.dtype, "V1000000000000"), "array type"),
    "array type of anything": (lambda trace: _Call(np.dtype, [("a", "i4")]), "array type"),
}  # fmt: skip


class _HashableCall(_Call):
    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_anything_else_is_refused_and_nothing_is_run(kind: str, protocol: int, tmp_path: Path) -> None:
    make, name = HOSTILE[kind]
    trace = tmp_path / "trace"
    content = pickle.dumps(make(str(trace)), protocol)
    assert_refused(content, tmp_path, name, "nothing in it was run")
    assert_refused(pickle.dumps({"subject": [1, make(str(trace))]}, protocol), tmp_path, name)
    assert not trace.exists()


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def sized(data: bytes) -> bytes:
    return b"C" + bytes([len(data)]) + data


ARRAY_OF = name("numpy._core.multiarray", "_reconstruct") + name("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
F8 = (
    name("numpy", "dtype")
    + text("f8")
    + b"\x89\x88\x87R(K\x03"
    + text("<")
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
OBJECT = F8.replace(text("f8"), text("O8"))
LOAD = name("torch.storage", "_load_from_bytes")
HUGE = b"\x8a\x06" + (10**13).to_bytes(6, "little", signed=True)

PROGRAMS: dict[str, tuple[bytes, str]] = {
    "nested name": (name("collections", "OrderedDict.fromkeys") + b").", "OrderedDict.fromkeys"),
    "module with dots": (name("numpy", "core.multiarray.scalar") + b".", "core.multiarray.scalar"),
    "name of no text": (b"K\x01K\x02\x93.", "names int.int"),
    "name that prints for ever": (b"]2a]" + b"2\x86" * 60 + b"\x93.", "names list.tuple"),
    "line break in a name": (b"\x8c\x02a\n\x8c\x01b\x93.", "a\\n.b"),
    "a module that is not loaded": (name("antigravity", "x") + b".", "antigravity.x"),
    "INST": (b"(S'echo'\nios\nsystem\n.", "operation"),
    "OBJ": (b"(cos\nsystem\no.", "os.system"),
    "EXT1": (b"\x82\x01.", "operation"), "EXT2": (b"\x83\x01\x00.", "operation"),
    "EXT4": (b"\x84\x01\x00\x00\x00.", "operation"),
    "PERSID": (b"Pname\n.", "operation"), "BINPERSID": (b"K\x01Q.", "outside itself"),
    "NEXT_BUFFER": (b"\x97.", "operation"), "READONLY_BUFFER": (b"\x98.", "operation"),
    "BUILD of a name": (name("builtins", "list") + b"}b.", "sets the state"),
    "BUILD of a list": (b"]}b.", "sets the state of list"),
    "attributes of a builder": (
        name("collections", "OrderedDict") + b"N}" + text("__code__") + b"K\x01s\x86b.", "sets the state",
    ),
    "call of a value": (b"K\x01)R.", "calls int"),
    "call of a name without builder": (name("builtins", "int") + text("9" * 200) + b"\x85R.", "calls builtins.int"),
    "arguments that are no tuple": (name("builtins", "set") + b"]R.", "calls"),
    "keywords": (name("builtins", "dict") + b")}" + text("a") + b"K\x01s\x92.", "keywords"),
    "instance of a function": (name("copyreg", "_reconstructor") + name("os", "system") + b".", "os.system"),
    "instance with state": (
        name("copyreg", "_reconstructor") + name("builtins", "list") + name("builtins", "object") + b"K\x01\x87R.",
        "instance",
    ),
    "encode by another codec": (name("_codecs", "encode") + text("a") + text("zlib") + b"\x86R.", "encodes"),
    "array of 80 TB": (ARRAY_OF + b"(K\x01" + HUGE + b"\x85" + F8 + b"\x89C\x00tb.", "gives 0 bytes"),
    "bare array of 80 TB": (
        name("numpy._core.multiarray", "_reconstruct") + name("numpy", "ndarray") + HUGE + b"\x85C\x01b\x87R.",
        "without content",
    ),
    "negative shape": (ARRAY_OF + b"(K\x01J\xff\xff\xff\xff\x85" + F8 + b"\x89C\x08aaaaaaaatb.", "shape"),
    "objects as bytes": (ARRAY_OF + b"(K\x01K\x01\x85" + OBJECT + b"\x89C\x08aaaaaaaatb.", "objects"),
    "objects by scalar": (
        name("numpy._core.multiarray", "scalar") + OBJECT + b"C\x08aaaaaaaa\x86R.", "scalar",
    ),
    "objects from a buffer": (
        name("numpy._core.numeric", "_frombuffer") + b"(C\x08aaaaaaaa" + OBJECT + b"K\x01\x85" + text("C") + b"tR.", "",
    ),
    "array of another class": (
        name("numpy._core.multiarray", "_reconstruct") + name("collections", "OrderedDict") + b"K\x00\x85C\x01b\x87R.",
        "collections.OrderedDict",
    ),
    "array without state": (b"]" + ARRAY_OF + b"a.", "without content"),
    "state of an array twice": (ARRAY_OF + b"(K\x01K\x01\x85" + F8 + b"\x89C\x08aaaaaaaatbNb.", "sets the state"),
    "append to an array": (ARRAY_OF + b"(K\x01K\x01\x85" + F8 + b"\x89C\x08aaaaaaaatbK\x01a.", "appends to ndarray"),
    "items of a list": (b"]K\x00K\x01s.", "sets items of list"),
    "text of 4 GB": (b"X\xff\xff\xff\xffabc.", "ends too early"),
    "bytes of 2 EB": (b"\x8e" + b"\xff" * 7 + b"\x1fabc.", "ends too early"),
    "bytearray of 2 EB": (b"\x96" + b"\xff" * 7 + b"\x1fabc.", "ends too early"),
    "text of negative length": (b"T\xff\xff\xff\xffabc.", "ends too early"),
    "memo of 4 G entries": (b"]r\xff\xff\xff\xff0j\xfe\xff\xff\xff.", "damaged"),
    "number of a million digits": (b"I" + b"9" * 1_000_000 + b"\n.", "bits"),
    "number of a million bytes": (b"\x8b" + struct.pack("<i", 1_000_000) + b"\xff" * 1_000_000 + b".", "bits"),
    "keys that hash for ever": (b"}K\x01K\x01\x86" + b"2\x86" * 60 + b"K\x01s.", "key"),
    "list as key": (b"}]K\x01s.", "list as a key"),
    "array in a set": (b"\x8f(" + ARRAY_OF + b"\x90.", "as a key"),
    "dict with half a pair": (b"}(K\x01u.", ""),
    "empty stack": (b"0.", ""), "no mark": (b"t.", ""), "nothing": (b"", "ends too early"), "only stop": (b".", ""),
    "no stop": (b"K\x01", "ends too early"), "text": (b"hello world\n", ""),
    "protocol 9": (b"\x80\x09N.", "protocol 9"),
    "bad utf-8": (b"X\x01\x00\x00\x00\xff.", "damaged"), "bad escape": (b"S'\\q'\n.", "quotes"),
    "bad number": (b"Iabc\n.", "damaged"), "float that is none": (b"Fabc\n.", "damaged"),
    "torch.save": (b"PK\x03\x04abc", "archive"),
    "storage of a hostile pickle": (LOAD + sized(b"cos\nsystem\n(tR.") + b"\x85R.", "os.system"),
    "storage that loads itself": (
        LOAD + sized(b"ctorch.storage\n_load_from_bytes\n(U\x01atR.") + b"\x85R.", "torch.storage._load_from_bytes",
    ),
    "tensor without storage": (name("torch._utils", "_rebuild_tensor_v2") + b"(K\x01K\x00))tR.", "storage"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(PROGRAMS))
def test_hostile_and_damaged_programs(kind: str, tmp_path: Path) -> None:
    content, part = PROGRAMS[kind]
    loaded = set(sys.modules)
    tracemalloc.start()
    try:
        assert_refused(content, tmp_path, part)
        assert tracemalloc.get_traced_memory()[1] < 16 * len(content) + (4 << 20)
    finally:
        tracemalloc.stop()
    assert "antigravity" not in set(sys.modules) - loaded


def test_a_small_file_cannot_unpack_to_gigabytes(tmp_path: Path) -> None:
    # The bytes lie in the file once; two thousand arrays are made of them.
    raw = b"\x8e" + struct.pack("<Q", 800_000) + bytes(800_000) + b"\x940"
    state = b"(K\x01\x8a\x04" + (100_000).to_bytes(4, "little") + b"\x85" + F8 + b"\x89h\x00tb"
    content = raw + b"]" + (ARRAY_OF + state + b"a") * 2000 + b"."
    tracemalloc.start()
    try:
        assert_refused(content, tmp_path, "far more than its own size")
        assert tracemalloc.get_traced_memory()[1] < 20 * len(content) + (80 << 20)
    finally:
        tracemalloc.stop()


def test_nesting_is_no_recursion(tmp_path: Path) -> None:
    found = read(b"]" * 100_000 + b"a" * 99_999 + b".", tmp_path)
    assert isinstance(found, list) and len(found) == 1


def _tensor_program(offset: int, size: tuple, stride: tuple) -> bytes:
    import torch

    content = pickle.dumps(torch.arange(6.0), 2)
    start = content.index(b"K\x00K\x06\x85")
    start, end = start, content.index(b"\x89", start)
    parts = pickle.dumps((offset, size, stride), 2)[2:-1]
    head = parts[: parts.rindex(b"\x87")]
    return content[:start] + head + content[end:]


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (7, (1,), (1,)), (0, (7,), (1,)), (5, (2,), (1,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (2,), (9,)),
        (0, (10**9, 10**9), (0, 0)), (0, (2, 2), (1,)), (0, (-2,), (1,)),
    ],
)  # fmt: skip
def test_tensors_outside_of_their_storage_are_refused(offset: int, size: tuple, stride: tuple, tmp_path: Path) -> None:
    assert (read(_tensor_program(1, (2, 2), (2, 1)), tmp_path) == [[1, 2], [3, 4]]).all()
    assert_refused(_tensor_program(offset, size, stride), tmp_path)


def _valid() -> list[bytes]:
    import torch

    value = {
        "a": np.arange(6.0).reshape(2, 3), "b": [1, 2.5, None, "x", b"y", (1, 2), {3}], "c": np.float32(2),
        "d": collections.OrderedDict(k=np.array(["u"])), "t": torch.arange(4), "o": np.array([None, 1], object),
    }  # fmt: skip
    return [pickle.dumps(value, protocol) for protocol in PROTOCOLS] + [python2({"a": np.arange(4), "b": "text"})]


def test_every_truncation_is_one_line(tmp_path: Path) -> None:
    for content in _valid():
        for end in range(0, len(content), 13):
            assert_refused(content[:end], tmp_path)


def test_random_damage_never_breaks_out(tmp_path: Path) -> None:
    rng = random.Random(3)
    valid = _valid()
    refused = 0
    for _ in range(1000):
        content = bytearray(rng.choice(valid))
        for _ in range(rng.choice((1, 1, 2, 5))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        try:
            read(bytes(content), tmp_path)
        except VultusError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 250


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pkl", tmp_path):
        with pytest.raises(VultusError, match="test: no file"):
            load_pickle(path, what="test")
        with pytest.raises(VultusError, match="test: no file"):
            load_npy(path, what="test")


# ---- .npy


def test_npy_is_mapped(tmp_path: Path) -> None:
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.ones((3, 2), "f4")),
        np.zeros((0, 3)),
        np.array(3),
    ):
        np.save(tmp_path / "a.npy", array)
        found = load_npy(tmp_path / "a.npy", what="test")
        np.testing.assert_array_equal(found, array)
        assert not array.size or isinstance(found, np.memmap)


def test_npy_of_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": np.arange(3)}, None], object), allow_pickle=True)
    found = load_npy(tmp_path / "a.npy", what="test")
    assert found.shape == (2,) and (found[0]["a"] == np.arange(3)).all()
    np.save(tmp_path / "a.npy", np.array({"a": 1}, object), allow_pickle=True)  # a dict saved by np.save
    assert load_npy(tmp_path / "a.npy", what="test").item() == {"a": 1}


def test_npy_of_hostile_objects(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    np.save(tmp_path / "a.npy", np.array([_Call(os.mkdir, str(trace))], object), allow_pickle=True)
    with pytest.raises(VultusError, match="mkdir"):
        load_npy(tmp_path / "a.npy", what="test")
    assert not trace.exists()


def test_npy_that_is_damaged(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.arange(100.0))
    good = (tmp_path / "good.npy").read_bytes()
    for broken in (b"", good[:5], good[:40], good[:500], good.replace(b"'<f8'", b"'|O' "), b"\x80\x04N.", good[:90]):
        (tmp_path / "bad.npy").write_bytes(broken)
        with pytest.raises(VultusError, match=r"bad\.npy") as caught:
            load_npy(tmp_path / "bad.npy", what="test")
        assert "\n" not in str(caught.value)
