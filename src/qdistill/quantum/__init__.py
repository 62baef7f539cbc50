"""Circuits as data, and their exact, differentiable meaning in JAX."""

from qdistill.quantum.ansatz import Ansatz, BasicEntangling, StronglyEntangling
from qdistill.quantum.circuit import Angle, Circuit, Operation, constant, feature, weight
from qdistill.quantum.embedding import AmplitudeEmbedding, AngleEmbedding, Embedding, NoEmbedding
from qdistill.quantum.layer import QuantumLayer, choose_form, for_batch
from qdistill.quantum.observable import (
    Hermitian,
    Observable,
    PauliZ,
    each_wire,
    make_observable,
    pauli_compose,
    pauli_decompose,
    pauli_strings,
)
from qdistill.quantum.preparation import embedded, embedded_features, preparation_angles, preparation_circuit
from qdistill.quantum.simulate import apply, expectation_values, unitary

__all__ = [
    "AmplitudeEmbedding",
    "Angle",
    "AngleEmbedding",
    "Ansatz",
    "BasicEntangling",
    "Circuit",
    "Embedding",
    "Hermitian",
    "NoEmbedding",
    "Observable",
    "Operation",
    "PauliZ",
    "QuantumLayer",
    "StronglyEntangling",
    "apply",
    "choose_form",
    "constant",
    "each_wire",
    "embedded",
    "embedded_features",
    "expectation_values",
    "feature",
    "for_batch",
    "make_observable",
    "pauli_compose",
    "pauli_decompose",
    "pauli_strings",
    "preparation_angles",
    "preparation_circuit",
    "unitary",
    "weight",
]
