"""A Qiskit circuit as a `Circuit`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qdistill.backends.extras import require
from qdistill.backends.qiskit_gates import circuit_of
from qdistill.backends.qiskit_parameters import Variables, names_of, natural
from qdistill.errors import ArgumentError
from qdistill.quantum.circuit import Circuit


def from_qiskit(circuit: Any, *, features: Iterable[Any] = ()) -> Circuit:
    """Read a `QuantumCircuit` as a circuit; its qubit q becomes wire n - 1 - q.

    Its parameters are told apart by their names: those in `features` are features, in that order, and all others are
    weights, sorted by name with numbers in them as numbers (``w2`` before ``w10``). A `ParameterVector` counts by its
    own name and with all of its elements. Angles may be polynomials of the parameters, such as ``2 * w[0] * x + 0.1``.
    Gates beyond the package's own are taken apart (see `standard_gates`), by their definition where there is one and
    else by Qiskit's transpiler. The global phase and measurements at the end are left out.

    Args:
        circuit: the `QuantumCircuit`.
        features: names of parameters and parameter vectors, or these themselves.

    Raises:
        MissingExtraError: Qiskit is not installed.
        CircuitError: a gate or an angle that a circuit cannot have, or a measurement before the end.
        ArgumentError: no `QuantumCircuit`, or a name in `features` that it does not have or that is ambiguous.

    Example:
        >>> w, x = ParameterVector("w", 2), Parameter("x")  # doctest: +SKIP
        >>> qiskit_circuit = QuantumCircuit(2)  # doctest: +SKIP
        >>> qiskit_circuit.rx(w[1] * x, 0)  # doctest: +SKIP
        >>> qiskit_circuit.rzz(2 * w[0], 0, 1)  # doctest: +SKIP
        >>> circuit = from_qiskit(qiskit_circuit, features=["x"])  # doctest: +SKIP
    """
    qiskit = require("qiskit", "qiskit")
    if not isinstance(circuit, qiskit.QuantumCircuit):
        raise ArgumentError(f"Argument `circuit` must be a QuantumCircuit, but was {type(circuit).__name__}.")
    alone: dict[str, list[str]] = {}
    vectors: dict[str, list[str]] = {}
    for parameter in circuit.parameters:
        vector = getattr(parameter, "vector", None)
        if vector is None:
            alone[parameter.name] = [parameter.name]
        else:
            vectors[vector.name] = [element.name for element in vector]
    twice = set(alone) & set(vectors)
    for name in twice & set(names_of(features)):
        raise ArgumentError(
            f"Argument `features` must name one thing each, but {name!r} is a parameter and a vector of the circuit. "
            "Rename one of them."
        )
    groups = {name: alone.get(name, []) + vectors.get(name, []) for name in sorted(alone | vectors, key=natural)}
    return circuit_of(circuit, Variables.of(groups, features), reverse=True)
