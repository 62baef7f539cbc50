"""The header of a bundle: everything in it but arrays, typed, and as JSON."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from qdistill import strict_json
from qdistill.data.fitted import KINDS, number_fields
from qdistill.distill.initialisation import DrawnAnew
from qdistill.distill.inner import InnerLoop
from qdistill.distill.record import Record, RoundingCheck
from qdistill.errors import ArgumentError, BundleError, shown
from qdistill.fields import as_table, parse
from qdistill.models import ARCHITECTURES, Architecture, architecture_from_json, architecture_to_json
from qdistill.text import listed

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


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
            raise ArgumentError(f"Argument `dataset` must be a string, but was {shown(self.name)}.")
        names: Any = self.class_names
        if not isinstance(names, tuple | list) or not names or not all(map(strict_json.is_text, names)):
            raise ArgumentError(f"Argument `class_names` must be strings, one a class, but was {shown(names)}.")
        if len(set(names)) < len(names):
            twice = next(name for place, name in enumerate(names) if name in names[:place])
            raise ArgumentError(f"Argument `class_names` must be different, but {twice!r} is there twice.")
        if not 0 < self.scale < math.inf:
            raise ArgumentError(f"Argument `scale` must be finite and above 0, but was {self.scale}.")
        if self.digest is not None and not _DIGEST.fullmatch(str(self.digest)):
            raise ArgumentError(
                f"Argument `data_digest` must be 'sha256:' and 64 hexadecimal digits, but was {shown(self.digest)}."
            )


@dataclass(frozen=True)
class Header:
    """Everything in a bundle but arrays.

    Args:
        architecture: builds the network; None for one that the file does not describe.
        data: what it was made from.
        transforms: what is done to real inputs, in this order: a name and numbers each, see `FittedChain.to_json`.
        inner: how the network trains.
        record: what a replay gives.
        rounding: how much of that hangs on rounding; None where it was not checked.
        recipe: how the bundle came to be.
        provenance: where.
        weight_names: the initial weights' names, in the network's order.
        drawn_anew: what a training draws anew; None where all initial weights are known.
    """

    architecture: Architecture | None
    data: DataOrigin
    transforms: tuple[dict[str, Any], ...]
    inner: InnerLoop
    record: Record
    rounding: RoundingCheck | None
    recipe: dict[str, Any]
    provenance: dict[str, Any]
    weight_names: tuple[str, ...]
    drawn_anew: DrawnAnew | None = None

    def __post_init__(self) -> None:
        """Check what a file could not hold.

        Raises:
            ArgumentError: a text that is none, or a recipe or provenance that is no JSON.
        """
        for name in ("recipe", "provenance"):
            value = getattr(self, name)
            if not isinstance(value, dict):
                raise ArgumentError(f"Argument `{name}` must be a dict, but was {shown(value)}.")
            strict_json.check_plain(value, name)
        if not all(map(strict_json.is_text, self.weight_names)):
            raise ArgumentError(f"Argument `initial_weights` must have strings as names, but has {self.weight_names}.")
        self._check_unknown()

    def _check_unknown(self) -> None:
        """Make sure that known weights have no draws, and that unknown ones can be drawn and are recorded as a mean."""
        record, anew = self.record, self.drawn_anew
        if anew is None:
            if record.test_draws or record.validation_draws:
                raise ArgumentError("Argument `record` must have no draws where the initial weights are known.")
            return
        if self.architecture is None:
            raise ArgumentError("Argument `architecture` must be given where weights are drawn anew, but was None.")
        if self.inner.optimiser == "newton":
            raise ArgumentError(
                "Argument `drawn_anew` must be None for a network with a closed form, which has no draws."
            )
        foreign = sorted(set(anew.weights) - set(self.weight_names))
        if foreign:
            raise ArgumentError(
                f"Argument `drawn_anew` must name weights of the network, but {foreign} are none of its."
            )
        if anew.order == "random" and not self.inner.own_examples:
            raise ArgumentError("Argument `drawn_anew` must have the order 'fixed' where each step sees all examples.")
        for part in ("test", "validation"):
            if getattr(record, f"{part}_accuracy") is not None and not getattr(record, f"{part}_draws"):
                raise ArgumentError(
                    f"Argument `record` must have `{part}_draws` beside `{part}_accuracy` where weights are drawn anew."
                )

    @property
    def drawn_names(self) -> tuple[str, ...]:
        """The names of the weights that a training draws anew."""
        return () if self.drawn_anew is None else self.drawn_anew.weights

    @property
    def held_names(self) -> tuple[str, ...]:
        """The names of the others, which the bundle holds."""
        return tuple(name for name in self.weight_names if name not in self.drawn_names)

    def to_json(self) -> dict[str, Any]:
        """As plain data; `from_json` reads it back.

        Raises:
            BundleError: the architecture is not registered, or has fields that are no JSON.
        """
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("data", "inner", "rounding", "drawn_anew"):
            plain[name] = None if plain[name] is None else dataclasses.asdict(plain[name])
        plain["record"] = self.record.to_json()
        if self.drawn_anew is None:
            del plain["drawn_anew"]
        plain["architecture"] = None if self.architecture is None else _described(self.architecture)
        return plain

    @classmethod
    def from_json(cls, plain: Any) -> Header:
        """Read what `to_json` gave.

        Raises:
            BundleError: a field is missing, foreign or of another type, or has a value that it must not have.
        """
        try:
            values = _only(plain, cls, "header", may_lack=("drawn_anew",))
            draws = ("test_draws", "validation_draws")
            anew = values.get("drawn_anew")
            return cls(
                architecture=_architecture(values["architecture"]),
                data=parse(_only(values["data"], DataOrigin, "data"), DataOrigin, "data"),
                transforms=tuple(_transforms(values["transforms"])),
                inner=parse(_only(values["inner"], InnerLoop, "inner"), InnerLoop, "inner"),
                record=parse(_only(values["record"], Record, "record", may_lack=draws), Record, "record"),
                rounding=parse(values["rounding"], RoundingCheck | None, "rounding"),
                recipe=as_table(values["recipe"], "recipe"),
                provenance=as_table(values["provenance"], "provenance"),
                weight_names=parse(values["weight_names"], tuple[str, ...], "weight_names"),
                drawn_anew=None
                if anew is None
                else parse(_only(anew, DrawnAnew, "drawn_anew"), DrawnAnew, "drawn_anew"),
            )
        except ArgumentError as error:
            raise BundleError(f"in its header: {error}") from error


def _described(architecture: Architecture) -> dict[str, Any]:
    """An architecture by its name, with its fields, which are checked to be JSON."""
    kind = type(architecture)
    if ARCHITECTURES.get(kind.__name__) is not kind:
        raise BundleError(
            f"the architecture {kind.__name__} is not one of {', '.join(sorted(ARCHITECTURES))}. Register it "
            "in `qdistill.models.ARCHITECTURES`, or write the bundle with `architecture=None`."
        )
    described = architecture_to_json(architecture)
    try:
        strict_json.check_plain(described, "architecture")
    except ArgumentError as error:
        raise BundleError(f"the architecture {kind.__name__} cannot be written: {error}") from error
    return described


def _architecture(plain: Any) -> Architecture | None:
    if plain is None:
        return None
    try:
        architecture = architecture_from_json(plain)
    except ArgumentError as error:
        # In a recipe it is called so.
        raise ArgumentError(str(error).replace("`model", "`architecture", 1)) from error
    _only(plain["fields"], type(architecture), "architecture.fields")
    return architecture


def _transforms(plain: Any) -> Iterator[dict[str, Any]]:
    """What a chain of transforms says of itself beside its arrays."""
    for place, step in enumerate(parse(plain, list[dict[str, Any]], "transforms")):
        where = f"transforms[{place}]"
        if step.get("name") not in KINDS:
            raise ArgumentError.unknown(f"{where}.name", step.get("name"), KINDS)
        numbers = number_fields(step["name"])
        if set(step) != {"name", *numbers}:
            raise BundleError(
                f"`{where}` must have the fields {', '.join(['name', *numbers])}, but has {', '.join(step)}."
            )
        yield {"name": step["name"], **{name: parse(step[name], float, f"{where}.{name}") for name in numbers}}


def _only(plain: Any, kind: Any, where: str, *, may_lack: Collection[str] = ()) -> dict[str, Any]:
    """An object with exactly the fields of a dataclass: none is left out for having a default.

    Those that `may_lack` names are left out where they are empty, so that a bundle has one header.
    """
    given = as_table(plain, where)
    fields = {field.name for field in dataclasses.fields(kind)}
    if not fields - set(may_lack) <= set(given) <= fields:
        missing, foreign = sorted(fields - set(given) - set(may_lack)), listed(sorted(set(given) - fields), 8)
        raise BundleError(
            f"`{where}` must have its own fields and no others; missing: {missing}, foreign: [{foreign}]."
        )
    for name in may_lack:
        if name in given and not given[name]:
            raise BundleError(f"`{where}.{name}` must be left out where there is none, but was {shown(given[name])}.")
    return given
