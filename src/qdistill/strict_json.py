"""JSON for files that go to other people: what not every reader takes, or reads alike, is neither written nor read."""

from __future__ import annotations

import json
import math
from typing import Any

from qdistill.errors import ArgumentError
from qdistill.files import with_unique_keys

MOST_DIGITS = 40
"""Of an integer: more than 128 bits are no number of anything, and integers of hundreds of digits fit no float."""


def loads(text: str) -> Any:
    """Read a text of JSON.

    Raises:
        ValueError: it is no JSON, or has NaN, infinity or a number beyond float64, an integer of more than 40 digits,
            an object with the same key twice, a string that is no Unicode (half of a surrogate pair), or hundreds of
            levels.
    """
    try:
        value = json.loads(
            text, parse_constant=_constant, parse_int=_integer, parse_float=_number, object_pairs_hook=with_unique_keys
        )
        # Python's reader takes half of a pair as a character, which no file and no terminal does.
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it has too many levels") from error
    return value


def check_plain(value: Any, name: str) -> None:
    """Make sure that a value can be written as JSON and is the same when it is read again, but for tuples.

    Args:
        value: of any type.
        name: the argument that it is, for the error.

    Raises:
        ArgumentError: it cannot; the error says where in it.
    """
    try:
        found = _not_plain(value, name)
    except RecursionError:
        found = f"{name} has too many levels"
    if found is not None:
        raise ArgumentError(f"Argument `{name.partition('[')[0]}` must be plain JSON, but {found}.")


def is_text(value: object) -> bool:
    """Whether a value is a string that can be written in UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_plain(value: Any, where: str) -> str | None:
    """What in a value is no JSON, and where; None where all of it is."""
    if isinstance(value, dict):
        for key, part in value.items():
            if not is_text(key):
                return f"{where} has the key {key!r}"
            found = _not_plain(part, f"{where}[{key!r}]")
            if found is not None:
                return found
        return None
    if isinstance(value, list | tuple):
        return next((found for i, part in enumerate(value) if (found := _not_plain(part, f"{where}[{i}]"))), None)
    if value is None or isinstance(value, bool) or is_text(value):
        return None
    if isinstance(value, int):
        long = abs(value) >= 10**MOST_DIGITS
        return f"{where} is an integer of more than {MOST_DIGITS} digits" if long else None
    if isinstance(value, float) and math.isfinite(value):
        return None
    return f"{where} is {value!r}"


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not in the JSON standard")


def _integer(text: str) -> int:
    digits = len(text.lstrip("-"))
    if digits > MOST_DIGITS:
        raise ValueError(f"an integer has {digits} digits, more than {MOST_DIGITS}")
    return int(text)


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:MOST_DIGITS]} is beyond every float")
    return value
