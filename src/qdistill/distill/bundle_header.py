"""The header of a bundle: everything in it but arrays, typed, and as JSON."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from qdistill import strict_json
from qdistill.distill.inner import InnerLoop
from qdistill.distill.record import Record, RoundingCheck
from qdistill.errors import ArgumentError, BundleError, CircuitError
from qdistill.models import ARCHITECTURES, HOW_TO_ADD, Architecture, fields_from_json, fields_to_json

_LARGEST = float(np.finfo(np.float64).max)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Fields = TypeVar("Fields")


@dataclass(frozen=True)
class DataOrigin:
    """The real data that a bundle was made from, and is for.

    Args:
        name: of the dataset, by which `qdistill.data.source` knows it.
        class_names: what each label means: label i is `class_names[i]`.
        scale: the raw pixel value that stands for 1.0.
        digest: of the dataset, `RawDataset.digest`; None where it is not known.
    """

    name: str
    class_names: tuple[str, ...]
    scale: float
    digest: str | None = None

    def __post_init__(self) -> None:
        """Check what a file could not hold, or what would have no meaning."""
        if not strict_json.is_text(self.name):
            raise ArgumentError(f"Argument `dataset` must be a string, but was {self.name!r}.")
        names: Any = self.class_names
        if not isinstance(names, tuple | list) or not names or not all(map(strict_json.is_text, names)):
            raise ArgumentError(f"Argument `class_names` must be strings, one a class, but was {names!r}.")
        if len(set(names)) < len(names):
            twice = next(name for place, name in enumerate(names) if name in names[:place])
            raise ArgumentError(f"Argument `class_names` must be different, but {twice!r} is there twice.")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ArgumentError(f"Argument `scale` must be finite and above 0, but was {self.scale}.")
        if self.digest is not None and not _DIGEST.fullmatch(str(self.digest)):
            raise ArgumentError(
                f"Argument `data_digest` must be 'sha256:' and 64 hexadecimal digits, but was {self.digest!r}."
            )


@dataclass(frozen=True)
class Header:
    """Everything in a bundle but arrays.

    Args:
        architecture: builds the network; None for one that the file does not describe.
        data: what it was made from.
        inner: how the network trains.
        record: what a replay gives.
        rounding: how much of that hangs on rounding; None where it was not checked.
        recipe: how the bundle came to be.
        provenance: where.
        weight_names: the initial weights' names, in the network's order.
    """

    architecture: Architecture | None
    data: DataOrigin
    inner: InnerLoop
    record: Record
    rounding: RoundingCheck | None
    recipe: dict[str, Any]
    provenance: dict[str, Any]
    weight_names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check what a file could not hold.

        Raises:
            ArgumentError: a text that is none, or a recipe or provenance that is no JSON.
        """
        for name in ("recipe", "provenance"):
            value = getattr(self, name)
            if not isinstance(value, dict):
                raise ArgumentError(f"Argument `{name}` must be a dict, but was {value!r}.")
            strict_json.check_plain(value, name)
        if not all(map(strict_json.is_text, self.weight_names)):
            raise ArgumentError(f"Argument `initial_weights` must have strings as names, but has {self.weight_names}.")

    def to_json(self) -> dict[str, Any]:
        """As plain data; `from_json` reads it back.

        Raises:
            BundleError: the architecture is not registered, or has fields that are no JSON.
        """
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("data", "inner", "record", "rounding"):
            plain[name] = None if plain[name] is None else dataclasses.asdict(plain[name])
        plain["architecture"] = None if self.architecture is None else _described(self.architecture)
        return plain

    @classmethod
    def from_json(cls, plain: Any) -> Header:
        """Read what `to_json` gave.

        Raises:
            BundleError: a field is missing, foreign or of another type, or has a value that it must not have.
        """
        values = _only(plain, tuple(field.name for field in dataclasses.fields(cls)), "header")
        for name in ("recipe", "provenance"):
            if not isinstance(values[name], dict):
                raise BundleError(f"Field `{name}` of the header must be an object.")
        names = values["weight_names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BundleError("Field `weight_names` of the header must be a list of strings.")
        parts = {
            "architecture": _architecture(values["architecture"]),
            "data": _parse(DataOrigin, values["data"], "data"),
            "inner": _parse(InnerLoop, values["inner"], "inner"),
            "record": _parse(Record, values["record"], "record"),
            "rounding": None if values["rounding"] is None else _parse(RoundingCheck, values["rounding"], "rounding"),
            "weight_names": tuple(names),
        }
        try:
            return cls(**{**values, **parts})
        except ArgumentError as error:
            raise BundleError(str(error)) from error


def _described(architecture: Architecture) -> dict[str, Any]:
    """An architecture by its name, with its fields."""
    kind = type(architecture)
    if ARCHITECTURES.get(kind.__name__) is not kind:
        raise BundleError(
            f"the architecture {kind.__name__} is not one of {', '.join(sorted(ARCHITECTURES))}. Register it "
            "in `qdistill.models.ARCHITECTURES`, or write the bundle with `architecture=None`."
        )
    fields = fields_to_json(architecture)
    try:
        strict_json.check_plain(fields, "architecture")
    except ArgumentError as error:
        raise BundleError(f"the fields of the architecture {kind.__name__} cannot be written: {error}") from error
    return {"name": kind.__name__, "fields": fields}


def _architecture(plain: Any) -> Architecture | None:
    if plain is None:
        return None
    plain = _only(plain, ("name", "fields"), "architecture")
    if not isinstance(plain["name"], str) or plain["name"] not in ARCHITECTURES:
        raise BundleError(
            f"its architecture is {plain['name']!r}, and known are {', '.join(sorted(ARCHITECTURES))}. {HOW_TO_ADD}"
        )
    kind, fields = ARCHITECTURES[plain["name"]], plain["fields"]
    if isinstance(fields, dict):
        try:
            fields = fields_from_json(kind, fields)
        except CircuitError as error:
            raise BundleError(f"`{plain['name']}`: {error}") from error
    return _parse(kind, fields, plain["name"])


def _only(plain: Any, fields: tuple[str, ...], where: str) -> dict[str, Any]:
    """An object with exactly these fields."""
    if not isinstance(plain, dict):
        raise BundleError(f"`{where}` must be an object, but is {plain!r:.200}.")
    if set(plain) != set(fields):
        missing, foreign = sorted(set(fields) - set(plain)), sorted(set(plain) - set(fields))
        shown = f"{foreign[:8]}" + (f" and {len(foreign) - 8} more" if len(foreign) > 8 else "")
        raise BundleError(f"`{where}` must have its own fields and no others; missing: {missing}, foreign: {shown}.")
    return plain


def _parse(kind: type[Fields], plain: Any, where: str) -> Fields:
    """A frozen dataclass from the values of its fields, which must be of the annotated types."""
    hints = typing.get_type_hints(kind)
    names = tuple(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
    values = {name: _typed(value, hints[name], f"{where}.{name}") for name, value in _only(plain, names, where).items()}
    for name, value in values.items():
        if not _is(value, hints[name]):
            raise BundleError(f"Field `{name}` of `{where}` must not be {value!r:.200}.")
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise BundleError(f"`{where}`: {error}") from error


def _typed(value: Any, hint: Any, where: str) -> Any:
    """A value with what JSON has no type for: dataclasses, tuples, and floats that are whole."""
    if hint is float and _is(value, float):
        return float(value)
    if isinstance(hint, types.UnionType):
        kinds = [part for part in typing.get_args(hint) if dataclasses.is_dataclass(part)]
        return _typed(value, kinds[0], where) if kinds and isinstance(value, dict) else value
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _parse(hint, value, where)
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_typed(part, typing.get_args(hint)[0], f"{where}[{i}]") for i, part in enumerate(value))
    return value


def _is(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of an annotated type; true for types that JSON cannot tell."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis and isinstance(value, tuple) else parts
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is, value, kinds))
    if parts:
        return any(_is(value, part) for part in parts)
    if hint is float:
        # The comparison turns away NaN, infinity and integers that no float can hold.
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True
