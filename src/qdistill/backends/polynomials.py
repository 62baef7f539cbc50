"""Polynomials in numbered variables: what the angles of a circuit of another framework are read as.

A polynomial is kept as its coefficients by monomials, and a monomial as the numbers of its variables in ascending
order, one that comes twice being squared: ``{(0, 0): 2.0, (0, 3): 1.0, (): 0.5}`` is 2 v0^2 + v0 v3 + 0.5. What is no
polynomial is `Unreadable`, and so is all that is computed from it, so that an error can say where it began.
"""

from __future__ import annotations

import cmath
from collections.abc import Iterable
from dataclasses import dataclass

Monomial = tuple[int, ...]
Number = int | float | complex
Polynomial = dict[Monomial, Number]
"""Complex on the way only, as where a generator is multiplied by the imaginary unit and its phase taken out again."""

MAX_TERMS = 10_000
MAX_DEGREE = 32
"""Bounds of what is written out, far above any circuit's: a product of sums has exponentially many terms."""


@dataclass(frozen=True)
class Unreadable:
    """What is no polynomial.

    Args:
        reason: what it was computed with, such as "`max`".
    """

    reason: str


COMPLEX = Unreadable("a complex number")
OUTSIDE = Unreadable("an entry beyond the end of an array")
Entry = Polynomial | Unreadable
"""A number that is computed from the variables."""


def number(value: Number) -> Polynomial:
    """The polynomial that is a number."""
    return {(): value} if value else {}


def variable(index: int) -> Polynomial:
    """The polynomial that is one variable."""
    return {(index,): 1.0}


def constant_of(entry: Entry) -> Number | None:
    """The number that an entry is, or None where it depends on a variable or is unreadable."""
    if isinstance(entry, Unreadable) or any(entry):
        return None
    return entry.get((), 0.0)


def as_coefficients(polynomial: Polynomial, n_weights: int) -> dict[tuple[Monomial, Monomial], float]:
    """The real parts of the coefficients by weights and features, the first `n_weights` variables being the weights."""
    parted = {}
    for monomial, coefficient in polynomial.items():
        weights = tuple(v for v in monomial if v < n_weights)
        features = tuple(v - n_weights for v in monomial if v >= n_weights)
        parted[weights, features] = float(coefficient.real)
    return parted


def real(entry: Entry) -> Entry:
    """The real part; of an entry that is real, itself."""
    return entry if isinstance(entry, Unreadable) else _bounded({m: c.real for m, c in entry.items()})


def imaginary(entry: Entry) -> Entry:
    """The imaginary part."""
    return entry if isinstance(entry, Unreadable) else _bounded({m: c.imag for m, c in entry.items()})


def required_real(entry: Entry) -> Entry:
    """An entry that must be real."""
    return COMPLEX if isinstance(entry, dict) and imaginary(entry) else entry


def total(entries: Iterable[Entry]) -> Entry:
    """The sum of entries."""
    result: Polynomial = {}
    for entry in entries:
        if isinstance(entry, Unreadable):
            return entry
        for monomial, coefficient in entry.items():
            result[monomial] = result.get(monomial, 0.0) + coefficient
    return _bounded(result)


def product(one: Entry, two: Entry) -> Entry:
    """The product of two entries."""
    for entry in (one, two):
        if isinstance(entry, Unreadable):
            return entry
    assert isinstance(one, dict)
    assert isinstance(two, dict)
    if len(one) * len(two) > MAX_TERMS * MAX_DEGREE:
        return _TOO_LONG
    result: Polynomial = {}
    for first, factor in one.items():
        for second, other in two.items():
            monomial = tuple(sorted(first + second)) if first and second else first or second
            result[monomial] = result.get(monomial, 0.0) + factor * other
    return _bounded(result)


def factors(entries: Iterable[Entry]) -> Entry:
    """The product of entries."""
    result: Entry = number(1.0)
    for entry in entries:
        result = product(result, entry)
    return result


def difference(one: Entry, two: Entry) -> Entry:
    """The first entry minus the second."""
    return total((one, product(two, number(-1.0))))


def quotient(one: Entry, two: Entry) -> Entry:
    """An entry divided by one that must be a number other than 0."""
    if isinstance(one, Unreadable):
        return one
    if isinstance(two, Unreadable):
        return two
    divisor = constant_of(two)
    if divisor is None:
        return Unreadable("a division by what is not constant")
    if divisor == 0:
        return Unreadable("a division by zero")
    return {monomial: coefficient / divisor for monomial, coefficient in one.items()}


def power(base: Entry, exponent: int | float) -> Entry:
    """An entry to a power, which must be an integer of at least 0 where the base is not constant."""
    if isinstance(base, Unreadable):
        return base
    known = constant_of(base)
    if known:
        return _number_to(known, exponent)
    if not float(exponent).is_integer() or exponent < 0:
        return Unreadable(f"a power of {exponent:g}")
    if exponent > MAX_DEGREE:
        return _TOO_LONG
    return factors([base] * int(exponent))


def _number_to(base: Number, exponent: int | float) -> Entry:
    try:
        return _bounded({(): base**exponent})
    except OverflowError:
        return Unreadable("a number that is not finite")


_TOO_LONG = Unreadable(f"a product of more than {MAX_TERMS} terms or {MAX_DEGREE} factors when it is multiplied out")


def _bounded(polynomial: Polynomial) -> Entry:
    """Without zeros, and unreadable where it is too long or not finite."""
    result = {monomial: coefficient for monomial, coefficient in polynomial.items() if coefficient}
    if len(result) > MAX_TERMS or any(len(monomial) > MAX_DEGREE for monomial in result):
        return _TOO_LONG
    if not all(map(cmath.isfinite, result.values())):
        return Unreadable("a number that is not finite")
    return result
