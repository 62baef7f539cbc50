"""Qiskit's parameters as variables, and the expressions in them as polynomials."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdistill.backends.polynomials import (
    Entry,
    Unreadable,
    as_coefficients,
    factors,
    number,
    power,
    required_real,
    total,
    variable,
)
from qdistill.backends.refusals import Place, angle_refused
from qdistill.errors import ArgumentError
from qdistill.quantum.angle import Angle, constant


@dataclass(frozen=True)
class Variables:
    """Which weight or feature each parameter is.

    Args:
        numbers: by the parameter's name: the weights from 0 on, and then the features.
        n_weights: how many are weights.
    """

    numbers: Mapping[str, int]
    n_weights: int

    @classmethod
    def of(cls, groups: Mapping[str, list[str]], features: Iterable[Any]) -> Variables:
        """Tell weights and features apart.

        Args:
            groups: the names of parameters by what they are called together, in the order of the weights.
            features: of these, the ones that are features, in order.

        Raises:
            ArgumentError: one that is not there, or there twice.
        """
        wanted = names_of(features)
        for name in wanted:
            if name not in groups:
                raise ArgumentError.unknown("features", name, groups)
        order = [name for name in groups if name not in wanted]
        names = [entry for name in (*order, *wanted) for entry in groups[name]]
        return cls({name: index for index, name in enumerate(names)}, sum(len(groups[name]) for name in order))

    def angle(self, value: Any, place: Place) -> Angle:
        """A number or an expression as an angle.

        Raises:
            CircuitError: it is no polynomial of the parameters.
        """
        if isinstance(value, float | int) and math.isfinite(value):
            return constant(float(value))
        entry = required_real(self._polynomial(value))
        if isinstance(entry, Unreadable):
            raise angle_refused(place, f"{entry.reason}: {value}")
        return Angle.of(as_coefficients(entry, self.n_weights))

    def _polynomial(self, value: Any) -> Entry:
        if getattr(value, "name", None) in self.numbers:
            return variable(self.numbers[value.name])
        return self._read(value.sympify() if hasattr(value, "sympify") else value)

    def _read(self, expression: Any) -> Entry:
        """A formula of SymPy's as a polynomial, from how it is written."""
        if not getattr(expression, "free_symbols", ()):
            return _constant(expression)
        if expression.is_Symbol:
            return variable(self.numbers[expression.name])
        parts = map(self._read, expression.args)
        if expression.is_Add:
            return total(parts)
        if expression.is_Mul:
            return factors(parts)
        if expression.is_Pow and expression.exp.is_number:
            return power(self._read(expression.base), float(expression.exp))
        if type(expression).__name__ == "conjugate":  # parameters are real
            return next(parts)
        return Unreadable("a power" if expression.is_Pow else f"`{expression.func.__name__.lower()}`")


def _constant(value: Any) -> Entry:
    try:
        return total([number(complex(value))])  # the sum refuses what is not finite
    except (TypeError, ValueError):
        return Unreadable(f"what is no number ({type(value).__name__})")


def names_of(features: Iterable[Any]) -> list[str]:
    """Names from names, parameters or parameter vectors, or from one of them alone.

    Raises:
        ArgumentError: what is none of these, or comes twice.
    """
    alone = isinstance(features, str) or hasattr(features, "name")
    given: Any = [features] if alone else features
    names: list[Any] = [getattr(entry, "name", entry) for entry in (given if np.iterable(given) else [None])]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ArgumentError(f"Argument `features` must be names, each once, but was {features!r}.")
    return names


def natural(name: str) -> list[tuple[int, str]]:
    """A key by which w2 comes before w10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
