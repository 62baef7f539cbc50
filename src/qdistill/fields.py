"""Whether values are of the types that they are annotated with: the fields of dataclasses, and what files hold.

This is the one place where a field's type is checked, whether a program, a recipe, a rate card, a device file or a
network of the user's own sets it. What has one meaning is converted: NumPy's numbers and arrays, an integer where a
number belongs, 1e4 where an integer does. Anything else is refused by the field's name: a string or a number is no
bool, a bool is no number, and numbers are finite and fit into 64 bits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal

from qdistill.errors import ArgumentError, did_you_mean, shown

MOST_SEEDS = 2**32
"""JAX keeps 32 bits of a seed: 2^32 would draw the same as 0."""

_LARGEST = 2**63 - 1


def check_fields(owner: Any, *, infinite: Collection[str] = ()) -> None:
    """Convert the fields of a frozen dataclass to what they are annotated with, for its ``__post_init__``.

    Args:
        owner: the dataclass; a field of another dataclass's type must hold one already.
        infinite: names of the fields that may be infinite.

    Raises:
        ArgumentError: a field has a value of another type, none of its choices, or a number that is not finite.
    """
    for name, hint in hints_of(owner.__class__).items():
        value = getattr(owner, name)
        right = convert(value, hint, name, finite=name not in infinite)
        if right is not value:
            object.__setattr__(owner, name, right)


def check_seed(seed: Any, name: str = "seed") -> int:
    """Make sure that a seed is one of those that draw different numbers.

    Raises:
        ArgumentError: it is no integer, or none from 0 to 2^32 - 1.
    """
    value: int = convert(seed, int, name)
    if not 0 <= value < MOST_SEEDS:
        raise ArgumentError(f"Argument `{name}` must be from 0 to {MOST_SEEDS - 1}, but was {shown(seed)}.")
    return value


def from_table(kind: type, table: Any, name: str, *, default: Any = None, whole: bool = False) -> Any:
    """A dataclass from a table of its fields, as TOML and JSON have them.

    Args:
        kind: the dataclass.
        table: the fields by their names.
        name: of the table, which goes before the names of the fields in errors; empty for a whole file.
        default: has the values of the fields that are left out; by default the class has them.
        whole: no field may be left out, because the table records what was done and a default may be another by now.

    Raises:
        ArgumentError: it is no table, or a field is unknown, missing or has a bad value.
    """
    table = as_table(table, name or kind.__name__)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for given in table:
        if given not in fields:
            raise ArgumentError(
                f"The table `{name or kind.__name__}` has no field {given!r}.{did_you_mean(given, fields)} "
                f"Its fields are {', '.join(fields)}."
            )
    hints = hints_of(kind)
    with under(name):
        if default is None:
            for field in fields.values():
                if field.name not in table and (whole or _is_required(field)):
                    raise ArgumentError(f"Argument `{field.name}` must be given, but is missing.")
        # Before the class is made: a check of its own, such as a comparison, may fail on a value of another type.
        values = {key: convert(value, hints[key], key, finite=False) for key, value in table.items()}
        try:
            return kind(**values) if default is None else dataclasses.replace(default, **values)
        except (TypeError, ValueError) as error:
            if isinstance(error, ArgumentError):
                raise
            raise ArgumentError(f"The fields are none of {kind.__name__}: {type(error).__name__}: {error}") from error


def as_table(value: Any, name: str) -> dict[str, Any]:
    """A table of TOML or an object of JSON, as a dict of its own.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(value, Mapping):
        raise ArgumentError(f"Argument `{name}` must be a table of fields, but was {shown(value)}.")
    return dict(value)


@contextlib.contextmanager
def under(name: str) -> Iterator[None]:
    """Put a name before that of the argument which an error is about: `steps` becomes `inner.steps`."""
    try:
        yield
    except ArgumentError as error:
        start = "Argument `"
        if not name or not str(error).startswith(start):
            raise
        raise type(error)(f"{start}{name}.{str(error).removeprefix(start)}") from error


def convert(value: Any, hint: Any, name: str, *, finite: bool = True) -> Any:
    """A value of the type that a hint asks for.

    Args:
        value: what was given.
        hint: what it must be. For a dataclass it must be one already.
        name: of the argument.
        finite: whether numbers must be.

    Raises:
        ArgumentError: it is of another type, none of the hint's choices, not finite, or too large for 64 bits.
    """
    arms = _arms(hint)
    own = tuple(arm for arm in arms if isinstance(arm, type) and not typing.is_typeddict(arm))
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and isinstance(value, own):
        return value
    if isinstance(value, Mapping) and any(dataclasses.is_dataclass(arm) for arm in arms):
        raise ArgumentError(f"Argument `{name}` must be {_described('object', arms)}, but was {shown(value)}.")
    return parse(value, hint, name, finite=finite)


def parse(value: Any, hint: Any, name: str, *, finite: bool = True) -> Any:
    """What a file holds as the type that a hint asks for: as `convert`, but a table becomes a dataclass."""
    import msgspec

    plain = _plain(value)
    try:
        try:
            right = msgspec.convert(plain, hint)
        except msgspec.ValidationError:
            # TOML and JSON have 1e4 for a number only.
            right = msgspec.convert(_whole(plain), hint)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), value, hint, name) from error
    except UnicodeEncodeError as error:
        raise ArgumentError(f"Argument `{name}` must be text for UTF-8, but was {shown(value)}.") from error
    _check_parts(right, name, finite)
    return right


def unsupported(kind: type, own: Collection[type] = ()) -> str | None:
    """Why the fields of a dataclass cannot be checked or written as JSON; None where they can.

    Args:
        kind: the dataclass.
        own: classes that have a form of their own in JSON, as the type of a field or one of its alternatives.
    """
    import msgspec

    try:
        hints = hints_of(kind)
    except (NameError, TypeError) as error:
        return f"its annotations cannot be looked up: {error}"
    for name, hint in hints.items():
        plain = all(arm in own or _is_plain(arm) for arm in _arms(hint))
        with contextlib.suppress(msgspec.ValidationError):
            try:
                msgspec.convert(None, hint)
            except TypeError:  # a union whose parts cannot be told apart
                plain = False
        if not plain:
            names = ", ".join(["bool", "int", "float", "str", "Literal", *(known.__name__ for known in own)])
            found = hint.__name__ if isinstance(hint, type) else hint
            return (
                f"its field `{name}` is annotated with {found}, which cannot be checked or written as JSON. "
                f"Take {names}, None, or tuples, lists or dicts of what is plain"
            )
    return None


@functools.cache
def hints_of(kind: Any) -> dict[str, Any]:
    """The annotations of a dataclass's fields, looked up."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _arms(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union; a hint that is none is its own."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _plain(value: Any) -> Any:
    """Python's own numbers and lists for those of NumPy and JAX."""
    return value.tolist() if hasattr(value, "tolist") else _each(_plain, value)


def _whole(value: Any) -> Any:
    """Integers for numbers without a fraction, but for the zero that has a sign."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and (value != 0 or math.copysign(1, value) > 0) else value
    return _each(_whole, value)


def _each(function: Callable[[Any], Any], value: Any) -> Any:
    """What a function makes of the entries of a list, tuple or dict; anything else as it is."""
    if type(value) in (list, tuple):
        return type(value)(map(function, value))
    return {key: function(part) for key, part in value.items()} if type(value) is dict else value


def _is_plain(hint: Any) -> bool:
    """Whether a value of the type is plain data that comes back from JSON as it was."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return all(isinstance(choice, bool | int | str | None) for choice in arguments)
    if origin is dict:
        return arguments[0] is str and _is_plain(arguments[1])
    if origin in (tuple, list):
        return all(part is ... or _is_plain(part) for part in arguments)
    if len(_arms(hint)) > 1:
        return all(map(_is_plain, _arms(hint)))
    return hint in (bool, int, float, str, types.NoneType)


def _check_parts(value: Any, name: str, finite: bool) -> None:
    if isinstance(value, float):
        if finite and not math.isfinite(value):
            raise ArgumentError(f"Argument `{name}` must be finite, but was {value}.")
    elif isinstance(value, int):
        if abs(value) > _LARGEST:
            raise ArgumentError(f"Argument `{name}` must be below 2^63, but was {shown(value)}.")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ArgumentError(
                f"Argument `{name}` must be text that UTF-8 can hold, but was {shown(value)}."
            ) from error
    elif isinstance(value, list | tuple):
        for part in value:
            _check_parts(part, name, finite)
    elif isinstance(value, dict):
        for key, part in value.items():
            _check_parts(part, f"{name}.{key}", finite)


_WORDS = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "null": "None",
    "array": "a list",
    "object": "a table",
}
"""What msgspec calls the types, in words."""


def _refusal(message: str, value: Any, hint: Any, name: str) -> ArgumentError:
    """The error in this package's words, for msgspec's ``Expected `int`, got `str` - at `$.steps[2]```."""
    what, _, path = message.partition(" - at `$")
    steps = re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", path.rstrip("`"))
    for key, index in steps:
        name += f".{key}" if key else f"[{index}]"
        with contextlib.suppress(KeyError, IndexError, TypeError, ValueError):
            value = value[key] if key else value[int(index)]
    arms = _arms(hint) if not steps else ()
    choices = [choice for arm in arms if typing.get_origin(arm) is Literal for choice in typing.get_args(arm)]
    if choices and (what.startswith("Invalid enum value") or len(arms) == 1):
        return ArgumentError.unknown(name, value, map(str, choices))
    if missing := re.match("Object missing required field `(.*)`", what):
        return ArgumentError(f"Argument `{name}.{missing[1]}` must be given, but is missing.".replace("`.", "`"))
    if expected := re.match(r"Expected `([^`]*)`( of length \d+)?", what):
        words = _described(expected[1], arms) + (expected[2] or "")
    elif what.startswith("Invalid enum value"):
        words = "one of its choices"
    elif what.startswith("Number out of range"):
        words = "a number that fits into 64 bits"
    else:
        return ArgumentError(f"Argument `{name}`: {what}")
    return ArgumentError(f"Argument `{name}` must be {words}, but was {shown(value)}.".replace("`.", "`"))


def _described(expected: str, arms: Collection[Any]) -> str:
    """The types that msgspec expected, in words; a dataclass by its name."""
    own = [f"a {arm.__name__}" for arm in arms if dataclasses.is_dataclass(arm) and isinstance(arm, type)]
    words = {**_WORDS, **({"object": " or ".join(own)} if own else {})}
    return " or ".join(words.get(part, f"a {part}") for part in expected.split(" | "))
