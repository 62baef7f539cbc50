"""The space of a search: fields of a recipe, each with a range of numbers or a list of choices."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qdistill.errors import ArgumentError, did_you_mean, shown
from qdistill.experiments.recipe import PARTS, Recipe
from qdistill.fields import as_table, convert, hints_of, under
from qdistill.files import read_toml

Plain = str | int | float | bool | list[Any] | None
"""A value of a field as JSON and TOML have it."""

_FIXED = {
    "data": "what is distilled",
    "dataset": "what is distilled",
    "device": "where the training runs, and so how a trial is measured",
    "initialisation.drawn": "how a trial is measured",
    "initialisation.test_draws": "how a trial is measured",
    "initialisation.validation_draws": "how a trial is measured",
    "initialisation.weights": "how a trial is measured",
    "model.architecture": "which fields `model` has; search each network by itself",
    "n_validation": "how a trial is measured",
    "outer.max_rejected": "when a trial is given up",
    "outer.validate_every": "how often a trial is measured",
    "seed": "the draw of the initial weights; --seeds takes the mean over several",
}
"""What all trials of a search have in common, and what it decides about."""

_ALONE = ("objective", "transforms")
"""Fields that stand outside of groups."""

_DIGITS = 3
"""Of a number that is not whole: more than a recipe needs, and more than a search can tell apart."""


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included.

    Args:
        low: the lowest.
        high: the highest.
        log: whether a number is looked for by its logarithm.
    """

    low: int | float
    high: int | float
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are integers."""
        return isinstance(self.low, int)

    @property
    def tried(self) -> list[Plain]:
        """The values that show whether a recipe takes all of them."""
        return [self.low, self.high]

    def holds(self, value: Plain) -> bool:
        """Whether a value is in the range."""
        number = isinstance(value, int) or (isinstance(value, float) and not self.is_whole)
        return number and not isinstance(value, bool) and self.low <= float(value) <= self.high  # type: ignore[arg-type]

    def rounded(self, value: int | float) -> int | float:
        """A number of the range with three significant digits, or an integer as it is."""
        if self.is_whole:
            return value
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)

    def to_json(self) -> Any:
        """As a space's file has it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Choices:
    """Values of which one is taken."""

    values: tuple[Plain, ...]

    @property
    def tried(self) -> list[Plain]:
        """The values that show whether a recipe takes all of them."""
        return list(self.values)

    def holds(self, value: Plain) -> bool:
        """Whether a value is one of them."""
        return value in self.values

    def to_json(self) -> Any:
        """As a space's file has it."""
        return list(self.values)


@dataclass(frozen=True)
class Space:
    """What of a recipe is searched.

    Args:
        recipe: which has all that is not.
        fields: by their dotted names, such as ``outer.learning_rate``.
    """

    recipe: Recipe
    fields: Mapping[str, Range | Choices]

    @classmethod
    def of(cls, plain: Mapping[str, Any], recipe: Recipe) -> Space:
        """The space of a table.

        Args:
            plain: groups of a recipe, as its file has them, with fields in them that are a list of choices, or a table
                of ``low``, ``high`` and, where that is wanted, ``log``; ``objective`` and ``transforms`` stand outside.
            recipe: what is searched.

        Raises:
            ArgumentError: there are no fields; one is no field of the recipe, or one that all trials must have in
                common; or the recipe refuses a bound or a choice.
        """
        hints, fields = _hints(recipe), {}
        for name, given in _flat(plain, hints):
            hint = hints[name]
            fields[name] = _choices(given, hint, name) if isinstance(given, list) else _range(given, hint, name)
        if not fields:
            raise ArgumentError("Argument `over` must name a field of the recipe at least, but names none.")
        space = cls(recipe, fields)
        space._check()
        return space

    @classmethod
    def read(cls, path: Path, recipe: Recipe) -> Space:
        """The space of a TOML file; see `of`.

        Raises:
            ArgumentError: the file is missing, no TOML, or no space of the recipe.
        """
        try:
            plain = read_toml(path)
        except (OSError, ValueError) as error:
            raise ArgumentError(f"Argument `over` must be a TOML file, but {path}: {error}.") from error
        try:
            return cls.of(plain, recipe)
        except ArgumentError as error:
            raise ArgumentError(f"In the search space {path}: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """As plain data, by dotted names."""
        return {name: field.to_json() for name, field in sorted(self.fields.items())}

    @cached_property
    def own(self) -> dict[str, Plain]:
        """The values that the recipe itself has."""
        return {name: _plain(_get(self.recipe, name)) for name in self.fields}

    def holds(self, values: Mapping[str, Plain]) -> bool:
        """Whether all values are in the space; those of the recipe itself need not be."""
        return all(self.fields[name].holds(value) for name, value in values.items())

    def recipe_of(self, values: Mapping[str, Plain]) -> Recipe:
        """The recipe with some of the fields changed.

        Raises:
            ArgumentError: it refuses them, or its network cannot be built.
        """
        parts: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            part, _, field = name.rpartition(".")
            parts.setdefault(part, {})[field] = tuple(value) if isinstance(value, list) else value
        changes: dict[str, Any] = parts.pop("", {})
        for part, own in parts.items():
            with under(part):
                changes[part] = dataclasses.replace(getattr(self.recipe, part), **own)
        recipe = dataclasses.replace(self.recipe, **changes)
        recipe.check_network()
        return recipe

    def _check(self) -> None:
        for name, field in self.fields.items():
            for value in field.tried:
                try:
                    self.recipe_of({name: value})
                except ArgumentError as error:
                    raise ArgumentError(
                        f"Argument `over.{name}` must have values that the recipe takes, but {shown(value)} is none. "
                        f"{error}"
                    ) from error


def _hints(recipe: Recipe) -> dict[str, Any]:
    """The types of all fields that can be searched, by their dotted names."""
    parts = {**{name: kind for name, kind in PARTS.items() if name not in _FIXED}, "model": type(recipe.model)}
    hints = {f"{part}.{field}": hint for part, kind in parts.items() for field, hint in hints_of(kind).items()}
    return {name: hints_of(Recipe)[name] for name in _ALONE} | hints


def _flat(plain: Mapping[str, Any], hints: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of a space's table by their dotted names.

    Raises:
        ArgumentError: one is no field of the recipe, or is fixed.
    """
    parts = {name.partition(".")[0] for name in hints if "." in name}
    for group, given in plain.items():
        if group in parts:
            entries = {f"{group}.{field}": value for field, value in as_table(given, f"over.{group}").items()}
        else:
            entries = {group: given}
        for name, value in entries.items():
            fixed = name if name in _FIXED else group if group in _FIXED else None
            if fixed is not None:
                raise ArgumentError(
                    f"Argument `over` must not have `{fixed}`, which all trials have in common: it decides "
                    f"{_FIXED[fixed]}."
                )
            if name not in hints:
                known = sorted(hint for hint in hints if hint.partition(".")[0] == group) if group in parts else hints
                what = ", ".join(known) if group in parts else ", ".join([*_ALONE, *sorted(parts)])
                close = did_you_mean(name, [*known, *parts])
                raise ArgumentError(
                    f"Argument `over` must name fields of the recipe, but {shown(name)} is none.{close} "
                    f"There are {what}."
                )
            yield name, value


def _choices(given: list[Any], hint: Any, name: str) -> Choices:
    values = tuple(_plain(convert(value, hint, f"over.{name}[{place}]")) for place, value in enumerate(given))
    if len(values) < 2 or any(value in values[:place] for place, value in enumerate(values)):
        raise ArgumentError(f"Argument `over.{name}` must have two choices or more, all different, but was {given}.")
    return Choices(values)


def _range(given: Any, hint: Any, name: str) -> Range:
    full = f"over.{name}"
    if not isinstance(given, Mapping):
        raise ArgumentError(
            f"Argument `{full}` must be a list of choices or a range, as in {{ low = 1, high = 10 }}, but was "
            f"{shown(given)}."
        )
    arms = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    kind = next((kind for kind in (float, int) if kind in arms), None)
    if kind is None:
        raise ArgumentError(
            f"Argument `{full}` must be a list of choices, for what it names is no number, but was {shown(given)}."
        )
    for key in given:
        if key not in ("low", "high", "log"):
            close = did_you_mean(key, ("low", "high", "log"))
            raise ArgumentError(f"Argument `{full}` must have low, high and log only, but has {shown(key)}.{close}")
    for key in ("low", "high"):
        if key not in given:
            raise ArgumentError(f"Argument `{full}.{key}` must be given, but is missing.")
    low, high = (kind(convert(given[key], kind, f"{full}.{key}")) for key in ("low", "high"))
    log = convert(given.get("log", False), bool, f"{full}.log")
    if low >= high:
        raise ArgumentError(f"Argument `{full}.high` must be above low, {low}, but was {high}.")
    if log and low <= 0:
        raise ArgumentError(f"Argument `{full}.low` must be above 0 where log is true, but was {low}.")
    return Range(low, high, log)


def _get(recipe: Recipe, name: str) -> Any:
    part, _, field = name.rpartition(".")
    return getattr(getattr(recipe, part) if part else recipe, field)


def _plain(value: Any) -> Plain:
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ArgumentError(f"Argument `over` must have finite values, but has {value}.")
    return value  # type: ignore[no-any-return]
