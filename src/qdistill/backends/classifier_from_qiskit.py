"""A circuit of Qiskit with observables, such as a feature map and an ansatz composed, as a classifier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from qdistill.backends.extras import require
from qdistill.backends.from_qiskit import from_qiskit
from qdistill.errors import ArgumentError, CircuitError
from qdistill.models import CircuitArchitecture
from qdistill.quantum.pauli_text import pauli_text


def classifier_from_qiskit(
    circuit: Any,
    observables: Any,
    *,
    features: Iterable[Any] = (),
    embedding: Literal["none", "angle", "amplitude"] = "none",
) -> CircuitArchitecture:
    """Read a `QuantumCircuit` and observables as a model, as Qiskit's own estimators take the two.

    The circuit is read as `from_qiskit` does. Several observables are one a class; a single one is the margin of two
    classes, where a positive value speaks for the second. For probabilities of basis states take
    ``CircuitArchitecture(from_qiskit(circuit, features=...), readout="probabilities")``. Everything else about the
    model is changed by `dataclasses.replace`.

    Args:
        circuit: the `QuantumCircuit`, such as ``feature_map.compose(ansatz)``.
        observables: a `SparsePauliOp`, a `Pauli`, a text such as ``"ZIZ"`` (as in Qiskit the last letter is of qubit
            0), or a list of these, one a class.
        features: names of the parameters and parameter vectors that are features, or these themselves, in order; all
            others are weights.
        embedding: what comes before the circuit.

    Raises:
        MissingExtraError: Qiskit is not installed.
        ArgumentError: no observables, or what `from_qiskit` and `CircuitArchitecture` refuse.
        CircuitError: an observable that is none, is on another number of qubits, or has coefficients that are not real.

    Example:
        >>> feature_map, ansatz = zz_feature_map(2), real_amplitudes(2)  # doctest: +SKIP
        >>> model = classifier_from_qiskit(  # doctest: +SKIP
        ...     feature_map.compose(ansatz), ["ZI", "IZ"], features=["x"]
        ... )
    """
    require("qiskit", "qiskit")
    read = from_qiskit(circuit, features=features)
    given = list(observables) if isinstance(observables, list | tuple) else [observables]
    if not given:
        raise ArgumentError("Argument `observables` must be one at least, but there is none.")
    texts = tuple(_as_text(each, read.n_wires) for each in given)
    readout: Literal["margin", "expectation"] = "margin" if len(texts) == 1 else "expectation"
    return CircuitArchitecture(read, embedding, readout, texts)


def _as_text(observable: Any, n_qubits: int) -> str:
    """An observable as text that `CircuitArchitecture` reads, qubit q on wire n - 1 - q."""
    info = require("qiskit.quantum_info", "qiskit")
    try:
        whole = observable if isinstance(observable, info.SparsePauliOp) else info.SparsePauliOp(observable)
    except Exception as error:  # Qiskit has many kinds
        raise CircuitError(
            "Argument `observables` must be a SparsePauliOp, a Pauli or a text such as 'ZIZ', or several of them, but "
            f"one was {observable!r}."
        ) from error
    if whole.num_qubits != n_qubits:
        raise CircuitError(
            f"Argument `observables` must be on the {n_qubits} qubits of the circuit, but one is on {whole.num_qubits}."
        )
    whole = whole.simplify() if not whole.parameters else whole
    sums: dict[Any, float] = {}
    for label, coefficient in zip(whole.paulis.to_labels(), whole.coeffs, strict=True):
        try:
            value = complex(coefficient)
        except TypeError as error:
            raise CircuitError(
                f"Argument `observables` must have numbers as coefficients, but has {coefficient}."
            ) from error
        if abs(value.imag) > 1e-9:
            raise CircuitError(f"Argument `observables` must have real coefficients, but one of {label} was {value}.")
        sums[tuple((wire, letter) for wire, letter in enumerate(label) if letter != "I")] = value.real
    return pauli_text(sums)
