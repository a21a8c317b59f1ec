"""Options of a data set's reader given as text: `--option mesh=FILE` of the command line, `options` of a recipe."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from typing import Any

from vultus.datasets import DATASETS
from vultus.errors import VultusError, unknown_name

_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


def reader_of(name: str) -> Any:
    """The class that reads the data set; VultusError with near misses where the name is unknown."""
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    module, _, attribute = DATASETS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def read_options(name: str, texts: Iterable[str]) -> dict[str, Any]:
    """KEY=VALUE texts -> keywords of `open_dataset(name, root, **keywords)`.

    A value gets the type of the option's default: true or false, a number, else text.

    Raises:
        VultusError: unknown data set or option (with near misses), a text without "=", a value of the wrong type.
    """
    parameters = dict(inspect.signature(reader_of(name)).parameters)
    parameters.pop("root", None)
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise VultusError(f"option '{text}' of data set {name}: expected KEY=VALUE, such as mesh=FILE")
        if key not in parameters:
            raise unknown_name(f"option of data set {name}", key, parameters)
        options[key] = _typed(f"option {key} of data set {name}", value, parameters[key])
    return options


def split_options(text: str) -> tuple[str, ...]:
    """KEY=VALUE texts in one, separated by commas.

    >>> split_options("protocol=mm23, mesh=/data/FLAME_sample.ply")
    ('protocol=mm23', 'mesh=/data/FLAME_sample.ply')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _typed(what: str, value: str, parameter: inspect.Parameter) -> Any:
    default, kind = parameter.default, str(parameter.annotation)
    if isinstance(default, bool):
        if value.lower() not in (*_TRUE, *_FALSE):
            raise VultusError(f"{what} is '{value}'; expected true or false")
        return value.lower() in _TRUE
    number = int if isinstance(default, int) else float if "float" in kind or isinstance(default, float) else None
    if number is None:
        return value
    try:
        return number(value)
    except ValueError:
        expected = "a whole number" if number is int else "a number"
        raise VultusError(f"{what} is '{value}'; expected {expected}") from None
