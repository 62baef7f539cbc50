"""Circuits as data, and their exact, differentiable meaning in JAX."""

from qdistill.quantum.angle import Angle, Term, constant, feature, weight
from qdistill.quantum.ansatz import Ansatz, BasicEntangling, StronglyEntangling
from qdistill.quantum.bounds import check_operations, check_wires
from qdistill.quantum.calls import (
    LayerCall,
    answered,
    check_training_memory,
    layer_calls,
    on_each,
    quantum_layers,
    wires_needed,
)
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.device import DeviceModel, Pair
from qdistill.quantum.embedding import AmplitudeEmbedding, AngleEmbedding, Embedding, NoEmbedding, named_embedding
from qdistill.quantum.execution import Execution
from qdistill.quantum.expectation import expectation_values
from qdistill.quantum.feature_maps import iqp_feature_map, zz_feature_map
from qdistill.quantum.kernel import FidelityKernel, overlap_circuit
from qdistill.quantum.layer import QuantumLayer, choose_form, for_batch
from qdistill.quantum.named_ansatz import ANSATZ_NAMES, AnsatzName, named_ansatz
from qdistill.quantum.noisy_layer import NoisyLayer, ideal, on_device, takes_shots, with_key
from qdistill.quantum.observable import (
    Hermitian,
    Observable,
    PauliSum,
    PauliZ,
    each_wire,
    make_observable,
    neighbours,
)
from qdistill.quantum.outcomes import probabilities
from qdistill.quantum.paulis import PauliString, pauli_compose, pauli_decompose, pauli_strings
from qdistill.quantum.preparation import embedded, embedded_features, preparation_angles, preparation_circuit
from qdistill.quantum.projectors import basis_probabilities, product_fidelities
from qdistill.quantum.sampled_values import n_gradient_circuits
from qdistill.quantum.shots import MeasurementSetting, measurement_settings
from qdistill.quantum.sim_circuits import SIM_NUMBERS, SimCircuit
from qdistill.quantum.simulate import apply, unitary

__all__ = [
    "ANSATZ_NAMES",
    "SIM_NUMBERS",
    "AmplitudeEmbedding",
    "Angle",
    "AngleEmbedding",
    "Ansatz",
    "AnsatzName",
    "BasicEntangling",
    "Circuit",
    "DeviceModel",
    "Embedding",
    "Execution",
    "FidelityKernel",
    "Hermitian",
    "LayerCall",
    "MeasurementSetting",
    "NoEmbedding",
    "NoisyLayer",
    "Observable",
    "Operation",
    "Pair",
    "PauliString",
    "PauliSum",
    "PauliZ",
    "QuantumLayer",
    "SimCircuit",
    "StronglyEntangling",
    "Term",
    "answered",
    "apply",
    "basis_probabilities",
    "check_operations",
    "check_training_memory",
    "check_wires",
    "choose_form",
    "constant",
    "each_wire",
    "embedded",
    "embedded_features",
    "expectation_values",
    "feature",
    "for_batch",
    "ideal",
    "iqp_feature_map",
    "layer_calls",
    "make_observable",
    "measurement_settings",
    "n_gradient_circuits",
    "named_ansatz",
    "named_embedding",
    "neighbours",
    "on_device",
    "on_each",
    "overlap_circuit",
    "pauli_compose",
    "pauli_decompose",
    "pauli_strings",
    "preparation_angles",
    "preparation_circuit",
    "probabilities",
    "product_fidelities",
    "quantum_layers",
    "takes_shots",
    "unitary",
    "weight",
    "wires_needed",
    "with_key",
    "zz_feature_map",
]
