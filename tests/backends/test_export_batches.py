"""A batch of feature vectors in PennyLane is what each vector gives alone, and what the layer gives."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pennylane as qml
import pytest

from qdistill.backends.pennylane import to_pennylane
from qdistill.backends.qiskit import to_qiskit
from qdistill.errors import CircuitError
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Circuit,
    Embedding,
    Hermitian,
    NoEmbedding,
    Observable,
    Operation,
    PauliZ,
    QuantumLayer,
    feature,
    weight,
)

READS = (Operation("RY", (0,), (2 * feature(1) + weight(0),)), Operation("CNOT", (0, 1)))
LAST = Operation("RX", (1,), (feature(0) * feature(3) - 0.2,))
GROUPS = ((0,), (1,))
OBSERVABLES: dict[str, Observable] = {
    "pauli_z": PauliZ(GROUPS),
    "hermitian": Hermitian(np.random.default_rng(1).normal(size=(2, 4)), GROUPS),
}


def make(embedding: Embedding, observable: Observable) -> QuantumLayer:
    """As many features are read as there are: four, and with angle embedding two."""
    circuit = Circuit(2, READS if isinstance(embedding, AngleEmbedding) else (*READS, LAST))
    return QuantumLayer(embedding, circuit, np.array([0.3]), observable)


@pytest.mark.parametrize("observable", OBSERVABLES)
@pytest.mark.parametrize("preparation", ["template", "gates"])
@pytest.mark.parametrize("embedding", [AmplitudeEmbedding(2), NoEmbedding(2, 4), AngleEmbedding(2)], ids=repr)
def test_a_batch_is_each_of_its_vectors(embedding: Embedding, preparation: Any, observable: str) -> None:
    layer = make(embedding, OBSERVABLES[observable])
    # As many vectors as features: here the wrong axis would be read without a complaint.
    batch = np.random.default_rng(0).normal(size=(embedding.n_features,) * 2)
    exported = to_pennylane(layer, preparation=preparation)
    node = qml.QNode(exported.function, qml.device("default.qubit", wires=2))
    values = np.array(node(batch, **exported.weights)).T
    np.testing.assert_allclose(values, [node(vector, **exported.weights) for vector in batch], atol=1e-6)
    np.testing.assert_allclose(values, jax.vmap(layer)(batch), atol=1e-6)


def test_more_axes_than_a_batch_has_are_refused() -> None:
    layer = make(AmplitudeEmbedding(2), OBSERVABLES["pauli_z"])
    exported = to_pennylane(layer)
    node = qml.QNode(exported.function, qml.device("default.qubit", wires=2))
    with pytest.raises(CircuitError, match=r"`features` must have 1 or 2 axes, but had shape \(1, 1, 4\)"):
        node(np.ones((1, 1, 4)), **exported.weights)
    with pytest.raises(CircuitError, match=r"`angles` must have 1 axis, but had shape \(1, 1\)"):
        node(np.ones(4), np.ones((1, 1)))


@pytest.mark.parametrize("preparation", ["template", "gates"])
def test_a_circuit_of_qiskits_is_bound_to_one_vector(preparation: Any) -> None:
    exported = to_qiskit(make(AmplitudeEmbedding(2), OBSERVABLES["pauli_z"]), preparation=preparation)
    with pytest.raises(CircuitError, match=r"`features` must be one vector, but had shape \(4, 4\)"):
        exported.bound(np.ones((4, 4)))


@pytest.mark.parametrize("preparation", ["template", "gates"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": np.ones(5)}, "`features` must be at most 4 values for this embedding, but was 5"),
        ({"features": np.ones((3, 1))}, "`features` must have at least 2 entries, but had 1"),
        ({"angles": np.ones(2)}, r"`angles` must have shape \(1,\), but had \(2,\)"),
        ({"coefficients": np.ones((1, 4))}, r"`coefficients` must have shape \(2, 4\), but had \(1, 4\)"),
    ],
)
def test_arrays_of_another_length_are_refused_by_name(
    preparation: Any, arguments: dict[str, Any], message: str
) -> None:
    reading = Circuit(2, (Operation("RY", (0,), (feature(1),)), Operation("RX", (1,), (weight(0),))))
    layer = QuantumLayer(AmplitudeEmbedding(2), reading, np.ones(1), OBSERVABLES["hermitian"])
    exported = to_pennylane(layer, preparation=preparation)
    qnode = qml.QNode(exported.function, qml.device("default.qubit", wires=2))
    with pytest.raises(CircuitError, match=message):
        qnode(**{"features": np.ones(4), **exported.weights, **arguments})
