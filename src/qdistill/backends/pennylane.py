"""A quantum layer as a PennyLane quantum function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import matmul
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from qdistill.backends.extras import require
from qdistill.errors import ArgumentError
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.embedding import AmplitudeEmbedding
from qdistill.quantum.gates import UNITARY
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.observable import PauliZ, pauli_strings
from qdistill.quantum.preparation import embedded, embedded_features

Preparation = Literal["template", "gates"]
"""How amplitudes are prepared: by the framework's own template, or as RY and CNOT gates."""

PENNYLANE_NAMES = {
    "H": "Hadamard", "X": "PauliX", "Y": "PauliY", "Z": "PauliZ", UNITARY: "QubitUnitary",
} | {name: name for name in ("RX", "RY", "RZ", "Rot", "S", "T", "CNOT", "CZ", "SWAP", "CRX", "CRY", "CRZ")}  # fmt: skip
"""What PennyLane calls each gate; angles and the order of wires are the same."""


@dataclass(frozen=True, eq=False)
class PennyLaneLayer:
    """A layer in PennyLane.

    Args:
        function: the quantum function, ``function(features, **weights)``; it returns one expectation value for each
            group of the observable. Arrays may be NumPy's or JAX's, and every argument can be differentiated.
        weights: the layer's arrays: ``"angles"``, flat, in radians, and, unless the observable is Pauli-Z,
            ``"coefficients"``, (groups, 4^k) in the order of `qdistill.quantum.pauli_strings`.
        n_wires: number of qubits.
    """

    function: Callable[..., list[Any]]
    weights: dict[str, np.ndarray]
    n_wires: int


def to_pennylane(layer: QuantumLayer, *, preparation: Preparation = "template") -> PennyLaneLayer:
    """Write a layer as a PennyLane quantum function.

    Args:
        layer: what to export. `trainable` has no counterpart: which arguments are differentiated is the caller's
            choice there.
        preparation: with amplitude embedding, whether the amplitudes go through ``qml.AmplitudeEmbedding`` or
            through gates (see `qdistill.quantum.preparation`). Other embeddings are gates in any case.

    Raises:
        MissingExtraError: PennyLane is not installed.
        CircuitError: the embedding is not one of this package's.

    Example:
        >>> exported = to_pennylane(layer)  # doctest: +SKIP
        >>> qnode = qml.QNode(exported.function, qml.device("default.qubit", wires=exported.n_wires))  # doctest: +SKIP
        >>> values = qnode(features, **exported.weights)  # doctest: +SKIP
    """
    qml = require("pennylane", "pennylane")
    check_preparation(preparation)
    n, template = layer.circuit.n_wires, isinstance(layer.embedding, AmplitudeEmbedding) and preparation == "template"
    gates = layer.circuit if template else embedded(layer.embedding, layer.circuit)
    groups, strings = layer.observable.wires, pauli_strings(len(layer.observable.wires[0]))

    def function(features: Any, angles: Any, coefficients: Any = None) -> list[Any]:
        if template:
            qml.AmplitudeEmbedding(features, wires=range(n), pad_with=0.0, normalize=True)
            read = features
        else:
            read = embedded_features(layer.embedding, layer.circuit, jnp.asarray(features))
            if not isinstance(features, jax.Array):  # an array of JAX would make PennyLane compute in JAX
                read = np.asarray(read, dtype=float)
        queue(qml, gates, angles, read)
        if isinstance(layer.observable, PauliZ):
            return [qml.expval(qml.PauliZ(wire)) for (wire,) in groups]
        return [
            qml.expval(qml.dot(list(row), [_pauli(qml, string, group) for string in strings]))
            for row, group in zip(coefficients, groups, strict=True)
        ]

    return PennyLaneLayer(function, layer_arrays(layer), n)


def queue(qml: Any, circuit: Circuit, weights: Any, features: Any) -> None:
    """Queue a circuit's operations inside a quantum function.

    Args:
        qml: the module `pennylane`.
        circuit: what to queue.
        weights: indexed by the circuit's weight indices; any array that PennyLane takes.
        features: likewise.
    """
    for operation in circuit.operations:
        gate = getattr(qml, PENNYLANE_NAMES[operation.gate])
        if operation.gate == UNITARY:
            gate(np.array(operation.matrix), wires=operation.wires)
        else:
            gate(*(angle.value(weights, features) for angle in operation.angles), wires=list(operation.wires))


def check_preparation(preparation: str) -> None:
    """Raise an ArgumentError for anything but the two ways of preparing amplitudes."""
    if preparation not in ("template", "gates"):
        raise ArgumentError.unknown("preparation", preparation, ("template", "gates"))


def layer_arrays(layer: QuantumLayer) -> dict[str, np.ndarray]:
    """A layer's weights by the names that every export gives them."""
    arrays: dict[str, Float[np.ndarray, "..."]] = {"angles": np.asarray(layer.weights).reshape(-1)}
    if not isinstance(layer.observable, PauliZ):
        arrays["coefficients"] = np.asarray(layer.observable.coefficients)
    return arrays


def _pauli(qml: Any, string: str, wires: tuple[int, ...]) -> Any:
    factors = {"I": qml.Identity, "X": qml.PauliX, "Y": qml.PauliY, "Z": qml.PauliZ}
    return reduce(matmul, [factors[letter](wire) for letter, wire in zip(string, wires, strict=True)])
