"""Protocols: what is scored, on what, at which rate, by which metrics. One TOML of the protocols folder each.

A number without a protocol says nothing: papers that name one data set and one metric differ in splits, rates, lip
vertices, pooling and in how the style of a test clip was chosen. So a result carries the protocol's name and version,
and two results compare only where both agree. `version` is raised whenever a value could change.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from vultus.clock import check_fps
from vultus.datasets import DATASETS
from vultus.errors import VultusError, unknown_name
from vultus.metrics import METRICS
from vultus.synthesis.clipfile import LAYERS

FOLDER = Path(__file__).resolve().parent / "protocols"
STYLES = ("other_clip", "training_clip", "none")
CONDITIONS = ("all", "own")


@dataclass(frozen=True)
class Variant:
    """The same predictions against another reference; its metrics are called METRIC@NAME.

    Attributes:
        layers: of the synthetic corpus that make the reference.
        metrics: names.
    """

    name: str
    layers: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    """A protocol.

    Attributes:
        name: as on the command line.
        version: of this protocol.
        title: in a few words.
        split: of the data set.
        fps: rate at which motion is compared.
        unit: of the data's coordinates, "m" or "area".
        data: data sets that it may be run on, the default first, with the options they are opened with.
        published: metrics of the published table, in its order.
        metrics: further metrics.
        style: how a style reference is chosen, never looking at the clip that is predicted: "other_clip" (another clip
            of the same subject: a training clip where there is one, else one of the split), "training_clip" (one for
            all), "none" (the model's default).
        condition: of predictions that were made for several training subjects: "all" (each counts, the mean is
            reported) or "own" (only the one of the clip's own subject).
        sequences: how many the split holds; 0 where that is not known.
        sequences_at_most: how many the split holds in a release that lacks none; 0 where that is not known.
        subjects: whom the split holds, where that is known: names, or the number in m--DATE--TIME--NUMBER--GHS.
        trained_on: data set that a model has to be trained on where it is another one than is scored, or "".
        regions: how many vertices the published lists have, where that is known: a hint for --regions.
        variants: see `Variant`.
    """

    name: str
    version: int
    title: str
    split: str
    fps: float
    unit: str
    data: Mapping[str, Mapping[str, Any]]
    published: tuple[str, ...]
    metrics: tuple[str, ...]
    style: str = "other_clip"
    condition: str = "all"
    sequences: int = 0
    sequences_at_most: int = 0
    subjects: tuple[str, ...] = ()
    trained_on: str = ""
    regions: Mapping[str, int] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()

    @property
    def page(self) -> str:
        """Where the documentation tells about it."""
        return f"docs/protocols/{self.name}.md"

    def all_metrics(self) -> tuple[str, ...]:
        """Names in the order of the table, those of variants as METRIC@VARIANT."""
        plain = dict.fromkeys((*self.published, *self.metrics))
        return (*plain, *(f"{name}@{variant.name}" for variant in self.variants for name in variant.metrics))


def protocol_names() -> list[str]:
    """The protocols at hand."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_protocol(name_or_file: str | Path) -> Protocol:
    """A protocol by name, or of the user's own .toml file.

    Raises:
        VultusError: unknown name, unreadable file, unknown or missing key, a value of the wrong type; a changed copy
            of a protocol under its name.
    """
    text = str(name_or_file)
    names = protocol_names()
    path = FOLDER / f"{text}.toml" if text in names else Path(name_or_file)
    if path.suffix != ".toml":
        raise unknown_name("protocol", text, names)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VultusError(f"protocol {path}: cannot be read ({reason}); known: {', '.join(names)}") from None
    except tomllib.TOMLDecodeError as error:
        raise VultusError(f"protocol {path}: not TOML ({error})") from None
    protocol = make_protocol(table, str(path))
    if path.parent != FOLDER and protocol.name in names and protocol != load_protocol(protocol.name):
        raise VultusError(f"protocol {path}: calls itself '{protocol.name}' but differs from it; give it another name")
    return protocol


def make_protocol(table: Mapping[str, Any], where: str) -> Protocol:
    """A protocol of a TOML's tables; see `load_protocol`."""
    kinds: dict[str, type] = {
        "name": str, "version": int, "title": str, "split": str, "fps": float, "unit": str, "data": dict,
        "published": list, "metrics": list, "style": str, "condition": str, "sequences": int,
        "sequences_at_most": int, "subjects": list, "trained_on": str, "regions": dict, "variants": dict,
    }  # fmt: skip
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in kinds:
            raise unknown_name(f"key of protocol {where}", key, kinds)
        number = float(value) if kinds[key] is float and type(value) is int else value
        if type(number) is not kinds[key]:
            raise VultusError(f"protocol {where}: {key} is {value!r}; expected {kinds[key].__name__}")
        values[key] = number
    needed = [f.name for f in fields(Protocol) if f.default is MISSING and f.default_factory is MISSING]
    for key in needed:
        if key not in values:
            raise VultusError(f"protocol {where}: no {key}; expected {', '.join(needed)}")
    check_fps(values["fps"])
    for key, choices in (("unit", ("m", "area")), ("style", STYLES), ("condition", CONDITIONS)):
        if values.get(key, choices[0]) not in choices:
            raise unknown_name(f"{key} of protocol {where}", str(values[key]), choices)
    for name, options in values["data"].items():
        if name not in DATASETS:
            raise unknown_name(f"data set of protocol {where}", name, DATASETS)
        if not isinstance(options, dict):
            raise VultusError(f"protocol {where}: data.{name} is {options!r}; expected a table of options")
    if not values["data"]:
        raise VultusError(f"protocol {where}: [data] is empty; expected a data set")
    for key in ("published", "metrics"):
        values[key] = _names(values[key], METRICS, f"metric of protocol {where}")
    if not values["published"] and not values["metrics"]:
        raise VultusError(f"protocol {where}: published and metrics are both empty; expected a metric at least")
    subjects = values["subjects"] = tuple(values.get("subjects", ()))
    if any(type(subject) is not str for subject in subjects):
        raise VultusError(f"protocol {where}: subjects is {list(subjects)!r}; expected a list of names")
    if any(type(count) is not int for count in values.get("regions", {}).values()):
        raise VultusError(f"protocol {where}: regions holds something else than numbers of vertices")
    values["variants"] = tuple(_variant(n, v, where) for n, v in values.get("variants", {}).items())
    return Protocol(**values)


def _variant(name: str, table: Any, where: str) -> Variant:
    if not isinstance(table, dict) or table.keys() != {"layers", "metrics"}:
        raise VultusError(f"protocol {where}: variants.{name} is {table!r}; expected layers and metrics")
    layers = _names(table["layers"], LAYERS, f"layer in protocol {where}")
    return Variant(name, layers, _names(table["metrics"], METRICS, f"metric of protocol {where}"))


def _names(values: Any, known: Any, kind: str) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise VultusError(f"{kind}: found {values!r}; expected a list of names")
    for name in values:
        if name not in known:
            raise unknown_name(kind, str(name), known)
    if len(set(values)) != len(values):
        raise VultusError(f"{kind}: {max(values, key=values.count)} comes twice; expected it once")
    return tuple(values)
