"""How the classes of a circuit keep what they are given, and read what was written down."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from qdistill.errors import CircuitError


def keep(owner: Any, name: str, convert: Callable[[Any], Any], expected: str) -> None:
    """Replace an argument of a frozen class by what it is kept as.

    Raises:
        CircuitError: `convert` refuses it.
    """
    value = getattr(owner, name)
    object.__setattr__(owner, name, converted(name, value, convert, expected))


def converted(name: str, value: Any, convert: Callable[[Any], Any], expected: str) -> Any:
    """What an argument is kept as.

    Raises:
        CircuitError: `convert` refuses it.
    """
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise CircuitError(f"Argument `{name}` must be {expected}, but was {value!r}.") from error


def as_number(value: Any) -> float:
    """A real number of any library as a float.

    Raises:
        TypeError: it is none, or complex.
        OverflowError: it is an integer beyond the floats.
    """
    if type(value) in (int, float):  # nearly always, and there may be a million of them
        return float(value)
    if np.iscomplexobj(value):
        raise TypeError("complex numbers have no place here, and `float` would drop NumPy's imaginary parts")
    return float(value + 0.0)  # the sum refuses text, which `float` would read


def as_finite(value: Any) -> float:
    """A real number that is finite; as `as_number` otherwise.

    Raises:
        ValueError: it is infinite or no number.
    """
    number = as_number(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def json_fields(plain: Any, where: str, types: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with exactly these fields, of these types.

    Args:
        plain: what was read.
        where: what it is, for the error.
        types: of each field; truth values are no numbers.

    Raises:
        CircuitError: it is no such object.
    """
    if not isinstance(plain, dict) or set(plain) != set(types):
        names = ", ".join(types)
        raise CircuitError(f"Argument `plain` must be a circuit, but {where} is not an object of {names}: {plain!r}.")
    for name, kind in types.items():
        if not isinstance(plain[name], kind) or isinstance(plain[name], bool):
            raise CircuitError(f"Argument `plain` must be a circuit, but `{name}` of {where} is {plain[name]!r}.")
    return plain
