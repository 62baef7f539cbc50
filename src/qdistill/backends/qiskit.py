"""A quantum layer as a Qiskit circuit with observables.

Qiskit's qubit 0 is the least significant bit of a basis state, and our wire 0 the most significant: wire w is
qubit n - 1 - w, so that both write the same state as the same vector. Nothing else in the package reverses wires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qdistill.backends.extras import require
from qdistill.backends.pennylane import Preparation, check_preparation
from qdistill.errors import CircuitError
from qdistill.numbers import Numbers, real_numpy
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.embedding import AmplitudeEmbedding
from qdistill.quantum.gates import UNITARY
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.observable import of_each_output
from qdistill.quantum.preparation import embedded, embedded_features

QISKIT_NAMES = {
    "RX": "rx", "RY": "ry", "RZ": "rz", "H": "h", "X": "x", "Y": "y", "Z": "z", "S": "s", "T": "t",
    "CNOT": "cx", "CZ": "cz", "SWAP": "swap", "CRX": "crx", "CRY": "cry", "CRZ": "crz",
}  # fmt: skip
"""The methods of `QuantumCircuit`; Rot is three of them, and a unitary takes its matrix."""


@dataclass(frozen=True, eq=False)
class QiskitLayer:
    """A layer in Qiskit.

    Args:
        circuit: a `QuantumCircuit` over the parameter vectors ``weights`` and ``features``. The latter are what
            `circuit_features` computes. With ``preparation="template"`` the circuit lacks the state preparation,
            which takes numbers and no parameters; `bound` puts it in front.
        observables: one `SparsePauliOp` for each output of the observable, with the layer's coefficients.
        weights: the layer's angles, in radians, in the order of the vector ``weights``.
        layer: what was exported.
        template: whether `bound` puts a state preparation in front.
    """

    circuit: Any
    observables: list[Any]
    weights: np.ndarray
    layer: QuantumLayer
    template: bool

    def circuit_features(self, features: Numbers) -> np.ndarray:
        """The values of the parameter vector ``features`` for a layer's features, one vector of them."""
        if self.template:
            return self._amplitudes(features)[: self.layer.circuit.n_features]
        return np.asarray(embedded_features(self.layer.embedding, self.layer.circuit, features))

    def bound(self, features: Numbers) -> Any:
        """The circuit for one feature vector and the layer's weights, without parameters.

        Args:
            features: one vector of at most as many real numbers as the embedding takes; not all zero with amplitude
                embedding.

        Raises:
            ArgumentError: no real numbers.
            CircuitError: not one vector, too many features, or a zero vector, which no state has as its amplitudes.
        """
        values = dict.fromkeys(self.circuit.parameters, 0.0)
        numbers = {"weights": self.weights, "features": self.circuit_features(features)}
        for parameter in values:
            values[parameter] = float(numbers[parameter.vector.name][parameter.index])
        circuit = self.circuit.assign_parameters(values)
        if not self.template:
            return circuit
        amplitudes = self._amplitudes(features)
        if not amplitudes.any():
            raise CircuitError("Argument `features` must not be all zero, for no state has such amplitudes.")
        prepared = circuit.copy_empty_like()
        prepared.prepare_state(amplitudes / np.linalg.norm(amplitudes), prepared.qubits)
        return prepared.compose(circuit)

    def _amplitudes(self, features: Numbers) -> np.ndarray:
        """The features with zeros for those that are missing, for the template."""
        given, size = real_numpy("features", features), 2**self.layer.circuit.n_wires
        if given.ndim != 1:
            raise CircuitError(
                f"Argument `features` must be one vector, but had shape {given.shape}. Call this once for each vector."
            )
        if given.size > size:
            raise CircuitError(f"Argument `features` must be at most {size} values, but was {given.size} values.")
        return np.pad(given, (0, size - given.size))


def to_qiskit(layer: QuantumLayer, *, preparation: Preparation = "gates") -> QiskitLayer:
    """Write a layer as a Qiskit circuit.

    Args:
        layer: what to export.
        preparation: with amplitude embedding, whether the amplitudes are prepared by gates whose angles are
            parameters (see `qdistill.quantum.preparation`), or by Qiskit's own ``StatePreparation``.

    Raises:
        MissingExtraError: Qiskit is not installed.
        CircuitError: the embedding is not one of this package's.

    Example:
        >>> exported = to_qiskit(layer)  # doctest: +SKIP
        >>> job = StatevectorEstimator().run([(exported.bound(x), exported.observables)])  # doctest: +SKIP
        >>> values = job.result()[0].data.evs  # doctest: +SKIP
    """
    require("qiskit", "qiskit")
    check_preparation(preparation)
    template = isinstance(layer.embedding, AmplitudeEmbedding) and preparation == "template"
    gates = layer.circuit if template else embedded(layer.embedding, layer.circuit)
    return QiskitLayer(
        circuit=circuit_to_qiskit(gates),
        observables=_observables(layer),
        weights=real_numpy("weights", layer.weights).reshape(-1),
        layer=layer,
        template=template,
    )


def circuit_to_qiskit(circuit: Circuit, names: tuple[str, str] = ("weights", "features")) -> Any:
    """A circuit as a `QuantumCircuit` over two parameter vectors.

    Args:
        circuit: what to write.
        names: of the vector of the weights and of that of the features.

    Raises:
        MissingExtraError: Qiskit is not installed.
    """
    qiskit = require("qiskit", "qiskit")
    vector = require("qiskit.circuit", "qiskit").ParameterVector
    weights, features = vector(names[0], circuit.n_weights), vector(names[1], circuit.n_features)
    result = qiskit.QuantumCircuit(circuit.n_wires)

    for operation in circuit.operations:
        qubits = [circuit.n_wires - 1 - wire for wire in operation.wires]
        angles = [angle.value(weights, features) for angle in operation.angles]
        if operation.gate == UNITARY:
            result.unitary(np.array(operation.matrix), qubits)
        elif operation.gate == "Rot":
            for name, angle in zip(("rz", "ry", "rz"), angles, strict=True):
                getattr(result, name)(angle, *qubits)
        else:
            getattr(result, QISKIT_NAMES[operation.gate])(*angles, *qubits)
    return result


def _observables(layer: QuantumLayer) -> list[Any]:
    """Each output as a sum of Pauli strings, written for Qiskit's order of qubits."""
    pauli_sum = require("qiskit.quantum_info", "qiskit").SparsePauliOp
    n, observable, result = layer.circuit.n_wires, layer.observable, []
    coefficients = np.asarray(observable.term_coefficients(), dtype=float)
    for strings, own in zip(observable.terms, of_each_output(observable.terms, coefficients), strict=True):
        terms = [
            (string.letters, [n - 1 - wire for wire in string.wires], c)
            for string, c in zip(strings, own, strict=True)
            if c
        ]
        result.append(pauli_sum.from_sparse_list(terms or [("", [], 0.0)], num_qubits=n))
    return result
