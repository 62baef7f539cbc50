"""The angle of a gate: a polynomial in weights and features, with real coefficients.

This is what data re-uploading (w x + t), feature maps such as (pi - x0) (pi - x1), and sums of parameters take. An
angle is kept in one form, so that two that are written differently but are the same polynomial are equal:
``2 * (a + b) - 2 * b == 2 * a``.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from qdistill.errors import CircuitError
from qdistill.quantum.arguments import as_finite, as_number, converted, json_fields, keep

Monomial = tuple[tuple[int, ...], tuple[int, ...]]
"""The indices of the weights and of the features that are multiplied; one that comes twice is squared."""


@dataclass(frozen=True)
class Term:
    """A coefficient times entries of the weights and the features: ``c * w[i] * w[j] * ... * x[k] * ...``.

    Args:
        coefficient: radians over the unit of the product.
        weights: indices in the flat weight vector, kept in ascending order; a repeated index is a power.
        features: indices in the feature vector, likewise.

    Raises:
        CircuitError: a coefficient that is no finite number, or an index that is negative or no integer.
    """

    coefficient: float
    weights: tuple[int, ...] = ()
    features: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Bring the term into its one form."""
        keep(self, "coefficient", as_finite, "a finite number")
        for name in ("weights", "features"):
            keep(self, name, _indices, "indices such as (0, 2)")
            if any(index < 0 for index in getattr(self, name)):
                raise CircuitError(f"Argument `{name}` must be indices of at least 0, but was {getattr(self, name)}.")

    @property
    def monomial(self) -> Monomial:
        """What the coefficient multiplies."""
        return self.weights, self.features

    @property
    def degree(self) -> int:
        """How many entries are multiplied."""
        return len(self.weights) + len(self.features)

    def value(self, weights: Any, features: Any) -> Any:
        """The term for these entries; see `Angle.value`."""
        factors = [weights[index] for index in self.weights] + [features[index] for index in self.features]
        if not factors:
            return self.coefficient
        product = reduce(operator.mul, factors)
        return product if self.coefficient == 1 else self.coefficient * product


@dataclass(frozen=True)
class Angle:
    """A sum of terms, in radians. Build one from `weight`, `feature`, numbers and Python's ``+ - * /``.

    Args:
        terms: kept with equal monomials added up and zero coefficients left out, by falling degree; the constant term
            comes last, and without any term the angle is 0.

    Raises:
        CircuitError: what is no term, or coefficients whose sum is not finite.

    Example:
        >>> str(2 * (weight(0) + weight(1)) - 2 * weight(1))
        '2.0 * weights[0]'
        >>> str((3 - feature(0)) * (3 - feature(1)))
        'features[0] * features[1] - 3.0 * features[0] - 3.0 * features[1] + 9.0'
    """

    terms: tuple[Term, ...] = ()

    __array_ufunc__ = None
    """Makes NumPy's numbers leave ``number * angle`` to this class."""

    def __post_init__(self) -> None:
        """Bring the polynomial into its one form."""
        keep(self, "terms", tuple, "a sequence of terms")
        given: tuple[Any, ...] = self.terms
        for each in given:
            if not isinstance(each, Term):
                raise CircuitError(f"Argument `terms` must be terms, but one of them was {each!r}.")
        if len(self.terms) == 1 and self.terms[0].coefficient:
            return
        sums: dict[Monomial, float] = {}
        for term in self.terms:
            sums[term.monomial] = sums.get(term.monomial, 0.0) + term.coefficient
        terms: Iterable[Term] = self.terms
        if len(sums) < len(self.terms):
            terms = (Term(coefficient, *monomial) for monomial, coefficient in sums.items())
        object.__setattr__(self, "terms", tuple(sorted((t for t in terms if t.coefficient), key=_order)))

    @classmethod
    def of(cls, coefficients: Mapping[Monomial, float]) -> Angle:
        """The angle with these coefficients.

        Args:
            coefficients: by the indices of the weights and of the features of each monomial, for example
                ``{((0,), (1,)): 2.0, ((), ()): 0.5}`` for 2 w[0] x[1] + 0.5.
        """
        return cls(tuple(Term(coefficient, *monomial) for monomial, coefficient in coefficients.items()))

    @property
    def is_constant(self) -> bool:
        """Whether it reads neither weights nor features."""
        return self.degree == 0

    @property
    def degree(self) -> int:
        """The most entries that are multiplied in a term; 0 for a constant."""
        return self.terms[0].degree if self.terms else 0

    @property
    def offset(self) -> float:
        """The constant term."""
        return self.terms[-1].coefficient if self.terms and not self.terms[-1].degree else 0.0

    @cached_property
    def weights(self) -> tuple[int, ...]:
        """The indices of the weights that it reads, in ascending order."""
        return tuple(sorted({index for term in self.terms for index in term.weights}))

    @cached_property
    def features(self) -> tuple[int, ...]:
        """The indices of the features that it reads, in ascending order."""
        return tuple(sorted({index for term in self.terms for index in term.features}))

    def reads(self, *, weights: bool, features: bool) -> bool:
        """Whether it changes with any weight, where those count, or with any feature, where those do."""
        return (weights and bool(self.weights)) or (features and bool(self.features))

    def scaled(self, factor: float) -> Angle:
        """The same angle times a number."""
        return self * factor

    def with_features_from(self, first: int) -> Angle:
        """The same angle with feature i read from place ``first + i``."""
        return Angle(tuple(Term(t.coefficient, t.weights, tuple(first + i for i in t.features)) for t in self.terms))

    def value(self, weights: Any, features: Any) -> Any:
        """The angle in radians, in the arithmetic of what is given.

        Args:
            weights: indexed by a weight's place; its entries may be anything that is added and multiplied, such as
                numbers, traced arrays or another framework's parameters.
            features: likewise.

        Returns:
            A float for a constant, and the entry itself for an angle that is one.
        """
        parts = [term.value(weights, features) for term in self.terms]
        return reduce(operator.add, parts) if parts else 0.0

    def expression(self, weight: str, feature: str) -> str:
        """The angle as a formula that Python and OpenQASM read alike.

        Args:
            weight: how a weight is written, with ``{}`` in the place of its index.
            feature: likewise.
        """
        text = ""
        for term in self.terms:
            sign = ("-" if term.coefficient < 0 else "") if not text else (" - " if term.coefficient < 0 else " + ")
            size = abs(term.coefficient)
            factors = [weight.format(index) for index in term.weights]
            factors += [feature.format(index) for index in term.features]
            text += sign + " * ".join(([repr(size)] if size != 1 or not factors else []) + factors)
        return text or "0.0"

    def __str__(self) -> str:
        return self.expression("weights[{}]", "features[{}]")

    def __add__(self, other: Any) -> Angle:
        two = _as_angle(other)
        if two is None:
            return NotImplemented
        return Angle(self.terms + two.terms)

    __radd__ = __add__

    def __neg__(self) -> Angle:
        return self * -1

    def __sub__(self, other: Any) -> Angle:
        two = _as_angle(other)
        if two is None:
            return NotImplemented
        return self + -two

    def __rsub__(self, other: Any) -> Angle:
        two = _as_angle(other)
        if two is None:
            return NotImplemented
        return two + -self

    def __mul__(self, other: Any) -> Angle:
        two = _as_angle(other)
        if two is None:
            return NotImplemented
        pairs = itertools.product(self.terms, two.terms)
        return Angle(
            tuple(Term(a.coefficient * b.coefficient, a.weights + b.weights, a.features + b.features) for a, b in pairs)
        )

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Angle:
        divisor = _as_angle(other)
        if divisor is None or not divisor.is_constant:
            return NotImplemented
        if not divisor.terms:
            raise CircuitError("An angle cannot be divided by zero.")
        return Angle(tuple(Term(term.coefficient / divisor.offset, *term.monomial) for term in self.terms))

    def to_json(self) -> dict[str, Any]:
        """The angle as plain data, which `from_json` reads back."""
        return {
            "terms": [
                {"coefficient": term.coefficient, "weights": list(term.weights), "features": list(term.features)}
                for term in self.terms
            ]
        }

    @classmethod
    def from_json(cls, plain: Any, where: str = "an angle") -> Angle:
        """Read an angle that `to_json` wrote.

        Args:
            plain: what was read.
            where: what it is the angle of, for errors.

        Raises:
            CircuitError: a field is unknown, missing or of another type, or the angle has no meaning.
        """
        terms = []
        for entry in json_fields(plain, where, {"terms": list})["terms"]:
            fields = json_fields(entry, f"a term of {where}", _TERM)
            for name in ("weights", "features"):
                if not all(type(index) is int for index in fields[name]):
                    raise CircuitError(
                        f"Argument `plain` must be a circuit, but the {name} of a term of {where} are {fields[name]}."
                    )
            terms.append(Term(fields["coefficient"], tuple(fields["weights"]), tuple(fields["features"])))
        return cls(tuple(terms))


def constant(value: float) -> Angle:
    """An angle of `value` radians."""
    return Angle((Term(converted("value", value, as_finite, "a finite number")),))


def weight(index: int) -> Angle:
    """The angle that is entry `index` of the flat weight vector."""
    return Angle((Term(1.0, weights=(_index(index),)),))


def feature(index: int) -> Angle:
    """The angle that is entry `index` of the feature vector."""
    return Angle((Term(1.0, features=(_index(index),)),))


_TERM: dict[str, Any] = {"coefficient": int | float, "weights": list, "features": list}


def _index(value: Any) -> int:
    index: int = converted("index", value, operator.index, "an integer")
    if index < 0:
        raise CircuitError(f"Argument `index` must be at least 0, but was {index}.")
    return index


def _indices(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(sorted(map(operator.index, values)))


def _order(term: Term) -> tuple[Any, ...]:
    """Falling degree, and weights before features."""
    return -term.degree, len(term.features), term.weights, term.features


def _as_angle(value: Any) -> Angle | None:
    """An angle or a real number as an angle, and None for anything else."""
    if isinstance(value, Angle):
        return value
    try:
        number = as_number(value)
    except OverflowError:
        number = value  # a number it is, and `constant` says what is wrong with it
    except (TypeError, ValueError):
        return None
    return constant(number)


ZERO = constant(0.0)
"""The angle of no rotation."""
