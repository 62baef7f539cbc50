"""The fields of an architecture as options of the command line, where a circuit is a file."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from tyro.constructors import PrimitiveConstructorSpec

from qdistill.cli.circuit_files import FILES, circuit_of_file
from qdistill.errors import ArgumentError
from qdistill.fields import hints_of
from qdistill.models import Architecture, CircuitArchitecture, QuantumLeNetArchitecture, circuit_choices, names_a_file
from qdistill.quantum import Circuit

_Read = Callable[[str], Circuit | CircuitArchitecture]
"""Reads the circuit, or the whole model, in a file of that name."""


@dataclass(frozen=True)
class ModelOptions:
    """The options of an architecture.

    Args:
        kind: the architecture.
        options: what tyro makes options of: a subclass that is not checked, where a circuit is one argument.
        default: its values where no option is given; None where a field has neither a default nor a value.
    """

    kind: type[Any]
    options: type[Any]
    default: Any

    @classmethod
    def of(cls, kind: Any, usual: Architecture, arguments: list[str]) -> ModelOptions:
        """The options for a command line.

        Args:
            kind: the architecture that is asked for.
            usual: the model of the default recipe, whose values are the defaults where it is of that kind.
            arguments: the command line's.

        Raises:
            ArgumentError: a field that no option can say has no value or is given one, or a file of a circuit is none.
        """
        values = _fields(usual) if type(usual) is kind else usual_values(kind)
        named = dict(_given(arguments))
        # Once each: a Python file does whatever it does when it is run.
        read = functools.cache(lambda word: circuit_of_file(Path(word), whole=kind is CircuitArchitecture))
        if kind is CircuitArchitecture and (file := named.get("circuit")) is not None:
            # First of all: the file may have the values of other fields.
            found = read(file)
            values |= _fields(found) if isinstance(found, CircuitArchitecture) else {"circuit": found}
        for name, hint in hints_of(kind).items():
            if not is_option(hint):
                _check_not_given(kind, name, hint, name in named, name in values)
        files = {name: choices for name in hints_of(kind) if (choices := circuit_choices(kind, name)) is not None}
        options = _with_files(kind, files, values, read) if files else kind
        missing = any(field.name not in values for field in dataclasses.fields(kind))
        return cls(kind, options, None if missing else options(**values))

    def field(self) -> tuple[Any, ...]:
        """The model as a field of a dataclass of options."""
        return ("model", self.options) if self.default is None else ("model", self.options, self.default)

    def chosen(self, given: Any, arguments: list[str]) -> Any:
        """The architecture with the values that were given, checked.

        Raises:
            ArgumentError: they do not fit each other.
        """
        values = _fields(given)
        if self.kind is QuantumLeNetArchitecture and isinstance(values["ansatz"], Circuit):
            named = {name for name, _ in _given(arguments)}
            followed = {"n_qubits": values["ansatz"].n_wires, "n_layers": 1}
            values |= {name: value for name, value in followed.items() if name not in named}
        return self.kind(**values)


def is_option(hint: Any) -> bool:
    """Whether one option can say any value of a type: numbers, text, choices, circuits, or several of the same."""
    return all(_is_single(arm) or _is_row(arm) for arm in _arms(hint))


def usual_values(kind: type[Any]) -> dict[str, Any]:
    """The defaults of an architecture's fields; those without one are left out."""
    values = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            values[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            values[field.name] = field.default_factory()
    return values


def _fields(settings: Any) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}


def _given(arguments: list[str]) -> Iterator[tuple[str, str | None]]:
    """The model's fields that options name, with the word that follows, or None where that is an option or nothing."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name.startswith("--model."):
            following = next((word for word in arguments[place + 1 : place + 2] if not word.startswith("-")), None)
            yield name.removeprefix("--model.").replace("-", "_"), value if equals else following


def _check_not_given(kind: type[Any], name: str, hint: Any, is_given: bool, has_value: bool) -> None:
    """Refuse what no option can say, where it is needed."""
    option, type_name = name.replace("_", "-"), getattr(hint, "__name__", hint) if isinstance(hint, type) else hint
    if is_given:
        raise ArgumentError(
            f"Argument `model.{option}` must not be an option, for none can say a {type_name}. Set it in a recipe "
            "file, RECIPE.toml, or in Python."
        )
    if not has_value:
        raise ArgumentError(
            f"The architecture {kind.__name__} needs its field `{name}`, but no option can say a {type_name}. Set it "
            "in a recipe file, RECIPE.toml, or in Python."
        )


def _arms(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _is_single(hint: Any) -> bool:
    return hint in (bool, int, float, str, types.NoneType, Circuit) or typing.get_origin(hint) is Literal


def _is_row(hint: Any) -> bool:
    parts = [part for part in typing.get_args(hint) if part is not ...]
    return typing.get_origin(hint) in (tuple, list) and all(_is_single(arm) for part in parts for arm in _arms(part))


def _with_files(kind: type[Any], files: dict[str, tuple[Any, ...]], values: dict[str, Any], read: _Read) -> type[Any]:
    """A subclass with circuits as files.

    Left to itself, tyro takes a field that may be a dataclass for a choice of subcommands. The subclass checks nothing,
    for what is not given may follow from a circuit.
    """
    hints, fields = get_type_hints(kind), list[Any]()
    for name, choices in files.items():
        option: Any = Annotated[hints[name], _file_option(kind, name, choices, read)]
        fields.append((name, option, dataclasses.field(default=values[name])) if name in values else (name, option))
    return dataclasses.make_dataclass(
        kind.__name__,
        fields,
        bases=(kind,),
        frozen=True,
        namespace={"__doc__": kind.__doc__, "__post_init__": lambda _: None},
    )


def _file_option(
    kind: type[Any], name: str, choices: tuple[Any, ...], read_file: _Read
) -> PrimitiveConstructorSpec[Any]:
    """One word: a choice of the field's, None where it may be that, or a file with a circuit."""
    known = {str(choice): choice for choice in choices}

    def read(words: list[str]) -> Any:
        (word,) = words
        if word in known or not names_a_file(kind, name, word):
            return known.get(word, word)
        try:
            found = read_file(word)
        except ArgumentError as error:
            names = f"{', '.join(known)} or " if known else ""
            raise ValueError(f"must be {names}a file with a circuit. {error}") from error
        return found.circuit if isinstance(found, CircuitArchitecture) else found

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join([*(["{" + ",".join(known) + "}"] if known else []), FILES]),
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, Circuit | str) or value in known.values(),
        str_from_instance=lambda value: [
            f"a circuit of {len(value.operations)} operations" if isinstance(value, Circuit) else str(value)
        ],
    )
