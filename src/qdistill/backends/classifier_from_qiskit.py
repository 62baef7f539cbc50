"""A circuit of Qiskit with observables, such as a feature map and an ansatz composed, as a classifier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from qdistill.backends.extras import require
from qdistill.backends.from_qiskit import from_qiskit
from qdistill.backends.read_observables import from_sparse_pauli_op
from qdistill.errors import ArgumentError
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
    strings, coefficients = from_sparse_pauli_op(observable, n_qubits, what="Argument `observables`")
    return pauli_text(dict(zip(strings, coefficients.tolist(), strict=True)))
