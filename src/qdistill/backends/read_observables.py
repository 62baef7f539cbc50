"""Observables of PennyLane and Qiskit as Pauli strings with real coefficients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from qdistill.backends.extras import require
from qdistill.errors import CircuitError
from qdistill.quantum.paulis import PauliString, pauli_decompose, pauli_strings

Read = tuple[tuple[PauliString, ...], Float[np.ndarray, " strings"]]
"""The strings of an observable, each once, and their coefficients."""

_MOST_WIRES = 8
"""Of an observable, or a part of a sum, that is read from its matrix."""

_ROUNDING = 1e-12
"""A coefficient of a matrix below this share of the largest is rounding."""


def from_pennylane_observable(
    observable: Any, wires: Sequence[Any] | None = None, *, what: str = "Argument `observable`"
) -> Read:
    """Read an observable of PennyLane; `PauliSum.of` makes what a layer measures of one or several.

    Sums, products and multiples of Pauli matrices are read term by term; `qml.Hermitian`, projectors and all else that
    has a matrix from that, as a whole or as parts of a sum, on at most 8 wires each.

    Args:
        observable: such as ``0.5 * qml.Z(0) @ qml.X(2) - qml.Y(1)``, a `qml.Hamiltonian` or a `qml.Projector`.
        wires: PennyLane's names of the wires 0, 1, ... in order; by default its wires are numbers, and stay.
        what: how errors call it.

    Returns:
        The strings, each once, and their float64 coefficients; those that are zero are left out.

    Raises:
        MissingExtraError: PennyLane is not installed.
        CircuitError: no observable, one on other wires, without a matrix of numbers, or that is not Hermitian.

    Example:
        >>> strings, coefficients = from_pennylane_observable(0.5 * qml.Z(0) @ qml.X(2) - qml.Y(1))  # doctest: +SKIP
        >>> layer = QuantumLayer(..., PauliSum.of([(strings, coefficients)]))  # doctest: +SKIP
    """
    qml = require("pennylane", "pennylane")
    if not isinstance(observable, qml.operation.Operator):
        raise CircuitError(f"{what} must be an observable of PennyLane, but was {type(observable).__name__}.")
    numbers = _wire_numbers(observable, wires, what)
    sums: dict[PauliString, complex] = {}
    for letters, value in _terms(qml, observable, what):
        string = PauliString("".join(letters.values()), tuple(numbers[wire] for wire in letters))
        sums[string] = sums.get(string, 0.0) + _number(value, what)
    return _real(sums, what)


def from_sparse_pauli_op(operator: Any, n_qubits: int | None = None, *, what: str = "Argument `operator`") -> Read:
    """Read an observable of Qiskit: qubit q is wire n - 1 - q.

    Args:
        operator: a `SparsePauliOp`, a `Pauli`, or a text such as ``"ZIZ"``, whose last letter is of qubit 0.
        n_qubits: how many it must be on; None for any number.
        what: how errors call it.

    Returns:
        The strings, each once, and their float64 coefficients; those that are zero are left out.

    Raises:
        MissingExtraError: Qiskit is not installed.
        CircuitError: it is none of these, is on another number of qubits, or has coefficients that are not real
            numbers.
    """
    kind = require("qiskit.quantum_info", "qiskit").SparsePauliOp
    try:
        whole = operator if isinstance(operator, kind) else kind(operator)
    except Exception as error:  # Qiskit has many kinds
        raise CircuitError(
            f"{what} must be a SparsePauliOp, a Pauli or a text such as 'ZIZ', but was {operator!r}."
        ) from error
    if n_qubits not in (None, whole.num_qubits):
        raise CircuitError(f"{what} must be on {n_qubits} qubits, but was on {whole.num_qubits}.")
    sums: dict[PauliString, complex] = {}
    # Qiskit writes qubit n - 1, our wire 0, first.
    for label, value in zip(whole.paulis.to_labels(), whole.coeffs, strict=True):
        string = PauliString(label, tuple(range(len(label))))
        sums[string] = sums.get(string, 0.0) + _number(value, what)
    return _real(sums, what)


def _wire_numbers(observable: Any, wires: Sequence[Any] | None, what: str) -> dict[Any, int]:
    """The number of each of PennyLane's wires."""
    used = observable.wires.tolist()
    if wires is None:
        for wire in used:
            if type(wire) is not int or wire < 0:
                raise CircuitError(
                    f"{what} must be on wires with numbers where `wires` does not name them, but is on {wire!r}."
                )
        return {wire: wire for wire in used}
    numbers = {wire: number for number, wire in enumerate(wires)}
    for wire in used:
        if wire not in numbers:
            raise CircuitError(f"{what} must be on the wires {list(wires)}, but is on {wire!r}.")
    return numbers


def _terms(qml: Any, observable: Any, what: str) -> Iterator[tuple[dict[Any, str], Any]]:
    """The letters by wire, and the coefficient, of each term; the same letters may come more than once."""
    if observable.pauli_rep is not None:
        for word, value in observable.pauli_rep.items():
            yield dict(word), value
    elif isinstance(observable, qml.ops.Sum):  # a Hamiltonian is one
        for operand in observable.operands:
            yield from _terms(qml, operand, what)
    elif isinstance(observable, qml.ops.SProd):
        for letters, value in _terms(qml, observable.base, what):
            yield letters, observable.scalar * value
    else:
        yield from _of_matrix(qml, observable, what)


def _of_matrix(qml: Any, observable: Any, what: str) -> Iterator[tuple[dict[Any, str], float]]:
    """The terms of an observable that PennyLane has as a matrix alone."""
    wires = observable.wires.tolist()
    if not 1 <= len(wires) <= _MOST_WIRES:
        raise CircuitError(
            f"{what} must be a sum of Pauli strings, or be on at most {_MOST_WIRES} wires, but {observable} is on "
            f"{len(wires)}."
        )
    try:
        coefficients = pauli_decompose(np.asarray(qml.matrix(observable, wire_order=wires)))
    except CircuitError as error:
        raise CircuitError(f"{what} must be Hermitian. {error}") from error
    except Exception as error:  # it has no matrix, or one that is computed from the arguments
        raise CircuitError(
            f"{what} must be a sum of Pauli strings, or have a matrix of numbers, but {observable} has none: "
            f"{type(error).__name__}."
        ) from error
    least = _ROUNDING * float(np.abs(coefficients).max())
    for string, coefficient in zip(pauli_strings(len(wires)), coefficients.tolist(), strict=True):
        if abs(coefficient) > least:
            yield dict(zip(wires, string, strict=True)), coefficient


def _number(value: Any, what: str) -> complex:
    """A coefficient of any framework as a number that is known."""
    try:
        return complex(value)
    except Exception as error:  # of whatever framework it is
        raise CircuitError(
            f"{what} must have numbers as coefficients, but has some that are parameters or computed from arguments. "
            "Give numbers, which a CircuitArchitecture with `trained_observables` or a trainable `PauliSum` trains."
        ) from error


def _real(sums: dict[PauliString, complex], what: str) -> Read:
    for value in sums.values():
        if abs(value.imag) > 1e-9 * max(1.0, abs(value)) or not math.isfinite(value.real):
            raise CircuitError(f"{what} must be Hermitian, with real coefficients, but has {value}.")
    kept = {string: value.real for string, value in sums.items() if value.real} or {PauliString(): 0.0}
    return tuple(kept), np.array(list(kept.values()))
