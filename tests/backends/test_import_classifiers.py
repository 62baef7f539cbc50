"""Whole QNodes, and circuits of Qiskit with observables, as models: their logits are what the frameworks give."""

from __future__ import annotations

import jax
import numpy as np
import pennylane as qml
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import real_amplitudes, zz_feature_map
from qiskit.quantum_info import Pauli, SparsePauliOp, Statevector

from qdistill import classifier_from_pennylane, classifier_from_qiskit
from qdistill.errors import ArgumentError, CircuitError
from qdistill.models import named_weights, predict

DEVICE = qml.device("default.qubit", wires=3)
SUM = qml.Hamiltonian([0.5, -2.0, 0.25], [qml.Z(0) @ qml.X(2), qml.Y(1), qml.I(0)])
H = np.array([[1, 1 - 1j], [1 + 1j, -0.5]])

TWO = qml.Hermitian(np.kron(H, H), [2, 0])


def gates(w, x):
    qml.AngleEmbedding(x, wires=range(3), rotation="Y")
    qml.StronglyEntanglingLayers(w, wires=range(3))


MEASURED = {
    "one": ("margin", lambda: qml.expval(qml.Z(0))),
    "one in a list": ("margin", lambda: [qml.expval(-1 * qml.Z(1))]),
    "a product": ("margin", lambda: qml.expval(qml.Z(2) @ qml.X(0) @ qml.Y(1))),
    "a sum": ("margin", lambda: qml.expval(SUM)),
    "several": ("expectation", lambda: [qml.expval(qml.Z(2)), qml.expval(qml.X(0)), qml.expval(qml.Y(1) @ qml.Y(0))]),
    "a Hermitian": ("expectation", lambda: [qml.expval(qml.Hermitian(H, 2)), qml.expval(TWO)]),
    "projectors": ("expectation", lambda: (qml.expval(qml.Projector([0, 1], [2, 0])), qml.expval(qml.Hadamard(1)))),
    "all wires": ("probabilities", lambda: qml.probs()),
    "some wires": ("probabilities", lambda: qml.probs(wires=[2, 0])),
    "one wire": ("probabilities", lambda: qml.probs(wires=1)),
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED)
def test_logits_are_what_the_qnode_measures(name):
    readout, measured = MEASURED[name]

    @qml.qnode(DEVICE)
    def node(w, x):
        gates(w, x)
        return measured()

    architecture = classifier_from_pennylane(node, weight_shape=(1, 3, 3), n_features=3)
    assert architecture.readout == readout
    n_classes = {"margin": 2, "expectation": len(architecture.observables)}.get(
        readout, 2 ** len(architecture.readout_wires)
    )
    model = architecture.build((3,), n_classes, key=jax.random.key(0))
    inputs = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    logits = predict(model, inputs)
    weights = np.asarray(named_weights(model)["layer.weights"]).reshape(1, 3, 3)
    values = np.array([np.ravel(node(weights, x)) for x in inputs])
    expected = np.hstack([-values / 2, values / 2]) if readout == "margin" else values
    np.testing.assert_allclose(logits, expected, atol=2e-6)


def test_arguments_by_name_and_a_function_without_a_device():
    def function(bias, inputs, w):
        gates(w, inputs * bias[0])
        return qml.expval(qml.Z(0)), qml.expval(qml.Z(1))

    by_name = {"weight_shape": {"w": (1, 3, 3), "bias": 1}, "n_features": 3, "features": "inputs"}
    with pytest.raises(ArgumentError, match=r"`n_wires` must be given for a function"):
        classifier_from_pennylane(function, **by_name)
    with pytest.raises(ArgumentError, match=r"`n_wires` must be given for a function, or a QNode whose device has no"):
        classifier_from_pennylane(qml.QNode(function, qml.device("default.qubit")), **by_name)
    architecture = classifier_from_pennylane(function, 3, **by_name)
    assert architecture.circuit.n_weights == 10
    assert architecture == classifier_from_pennylane(qml.QNode(function, DEVICE), **by_name)
    torch_layer = qml.qnn.TorchLayer(qml.QNode(function, DEVICE), {"w": (1, 3, 3), "bias": 1})
    assert architecture == classifier_from_pennylane(torch_layer, **by_name)


def test_an_embedding_in_the_place_of_a_template():
    def function(w):
        qml.StronglyEntanglingLayers(w, wires=range(2))
        return qml.probs(wires=0)

    architecture = classifier_from_pennylane(function, 2, weight_shape=(1, 2, 3), embedding="amplitude")
    model = architecture.build((4,), 2, key=jax.random.key(0))
    assert float(model(np.ones(4)).sum()) == pytest.approx(1)


REFUSED = {
    "nothing": (lambda w: None, r"`qnode` must return what it measures, .* but measures nothing"),
    "a state": (lambda w: qml.state(), r"must return expectation values or probabilities, but returns qml.state of"),
    "samples": (lambda w: qml.sample(qml.Z(0)), r"but returns qml.sample of Z\(0\)"),
    "counts": (lambda w: qml.counts(), r"but returns qml.counts of"),
    "a variance": (lambda w: qml.var(qml.Z(0)), r"but returns qml.var of Z\(0\)"),
    "a density matrix": (lambda w: qml.density_matrix([0]), r"but returns qml.density_matrix of \[0\]"),
    "purity": (lambda w: qml.purity([0]), r"but returns qml.purity of \[0\]"),
    "a shadow": (lambda w: qml.classical_shadow([0]), r"but returns qml.classicalshadow of"),
    "probabilities of an observable": (lambda w: qml.probs(op=qml.X(0)), r"must return probabilities of wires, but"),
    "both": (lambda w: [qml.probs([0]), qml.expval(qml.Z(1))], r"but returns qml.probs of \[0\] and qml.expval of Z"),
    "two probabilities": (lambda w: [qml.probs([0]), qml.probs([1])], r"probabilities of one set of wires, but"),
    "a trained coefficient": (lambda w: qml.expval(w[0] * qml.Z(0)), r"Observable 0, .* must have numbers as coeff"),
    "no Hermitian": (lambda w: qml.expval(1j * qml.Z(0)), r"must be Hermitian, with real coefficients, but has"),
    "on another wire": (lambda w: qml.expval(qml.Z(7)), r"must measure wires 0 to 2, but returns qml.expval of Z\(7\)"),
    "on a wire with a name": (
        lambda w: qml.expval(qml.Z("a")),
        r"must measure wires 0 to 2, but returns qml.expval of Z",
    ),
    "probabilities of another wire": (lambda w: qml.probs([3]), r"must measure wires 0 to 2, but returns qml.probs of"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_no_classifier_can_read_is_refused_by_name(name):
    returned, message = REFUSED[name]

    def function(w, x):
        gates(w[:9].reshape(1, 3, 3), x)
        return returned(w)

    with pytest.raises(CircuitError, match=message):
        classifier_from_pennylane(function, 3, weight_shape=10, n_features=3)


def test_a_feature_map_and_an_ansatz_of_qiskit():
    circuit = zz_feature_map(3, reps=1).compose(real_amplitudes(3, reps=1))
    observables = ["ZII", Pauli("IXY"), SparsePauliOp(["IIZ", "ZZI"], [0.5, -1.5])]
    architecture = classifier_from_qiskit(circuit, observables, features=["x"])
    assert (architecture.circuit.n_features, architecture.circuit.n_weights) == (3, 6)
    model = architecture.build((3,), 3, key=jax.random.key(0))
    x = np.random.default_rng(0).normal(size=3).astype(np.float32)
    w = np.asarray(named_weights(model)["layer.weights"])
    values = [x[p.index] if p.name.startswith("x") else w[p.index] for p in circuit.parameters]
    state = Statevector(circuit.assign_parameters(values))
    expected = [state.expectation_value(SparsePauliOp(o)).real for o in observables]
    np.testing.assert_allclose(model(x), expected, atol=2e-6)


def test_one_observable_of_qiskit_is_a_margin():
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("x") + Parameter("w"), 0)
    for one in ("ZZ", ["ZZ"], Pauli("ZZ"), SparsePauliOp("ZZ")):
        architecture = classifier_from_qiskit(circuit, one, features="x")
        assert (architecture.readout, architecture.observables) == ("margin", ("Z0 Z1",))
    assert classifier_from_qiskit(circuit, "IZ", features="x").observables == ("Z1",)


@pytest.mark.parametrize(
    ("observables", "message"),
    [
        ([], r"`observables` must be one at least"),
        ("Z", r"`observables` must be on 2 qubits, but was on 1"),
        ("QZ", r"must be a SparsePauliOp, a Pauli or a text such as 'ZIZ', but was 'QZ'"),
        (None, r"but was None"),
        (SparsePauliOp("ZZ", [1j]), r"must be Hermitian, with real coefficients, but has 1j"),
        (
            SparsePauliOp("ZZ", np.array([Parameter("c")])),
            r"must have numbers as coefficients, but has some that are parameters",
        ),
    ],
)
def test_observables_of_qiskit_that_are_none(observables, message):
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("x") + Parameter("w"), 0)
    with pytest.raises(ArgumentError, match=message):
        classifier_from_qiskit(circuit, observables, features="x")
