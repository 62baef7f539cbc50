"""Circuits from PennyLane, Qiskit and OpenQASM: round trips, gates that are taken apart, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
import qiskit.circuit.library as library
import torch
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from qdistill.backends.from_openqasm import from_openqasm
from qdistill.backends.from_pennylane import from_pennylane
from qdistill.backends.from_qiskit import from_qiskit
from qdistill.backends.openqasm import circuit_to_openqasm
from qdistill.backends.pennylane import queue
from qdistill.backends.pennylane_gates import PENNYLANE_GATES
from qdistill.backends.qiskit import circuit_to_qiskit
from qdistill.backends.standard_gates import STANDARD_GATES
from qdistill.errors import ArgumentError, CircuitError
from qdistill.quantum import Circuit, Operation, StronglyEntangling, constant, feature, weight

from ..quantum.reference import numpy_unitary
from ..quantum.strategies import N_FEATURES, N_WEIGHTS, circuits, examples, vectors


def same_up_to_phase(actual: np.ndarray, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    overlap = np.trace(expected.conj().T @ actual) / len(actual)
    assert abs(abs(overlap) - 1) < tolerance
    np.testing.assert_allclose(actual, overlap * expected, atol=10 * tolerance)


# --- round trips


@examples(20)
@given(circuits(max_wires=4, polynomials=False), st.integers(0, 100))
def test_pennylane_gives_the_circuit_back(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    read = from_pennylane(
        lambda w, x: queue(qml, circuit, w, x), circuit.n_wires, weight_shape=(N_WEIGHTS,), n_features=N_FEATURES
    )
    same_up_to_phase(numpy_unitary(read, weights, features), numpy_unitary(circuit, weights, features))


@examples(50)
@given(circuits(max_wires=4, polynomials=False), st.integers(0, 100))
def test_qiskit_gives_the_circuit_back(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    names = ["features"] if circuit.n_features else []
    read = from_qiskit(circuit_to_qiskit(circuit), features=names)
    same_up_to_phase(numpy_unitary(read, weights, features), numpy_unitary(circuit, weights, features))


@examples(20)
@given(circuits(max_wires=4, polynomials=False), st.integers(0, 100))
def test_openqasm_gives_the_circuit_back(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    names = ["features"] if circuit.n_features else []
    read = from_openqasm(circuit_to_openqasm(circuit), features=names)
    same_up_to_phase(numpy_unitary(read, weights, features), numpy_unitary(circuit, weights, features))


# --- gates that a circuit has not


@pytest.mark.parametrize("name", sorted(set(STANDARD_GATES) - {"rot"}))
def test_standard_gates_are_qiskits(name: str) -> None:
    gate = get_standard_gate_name_mapping()[name]
    angles = [0.3, -1.1, 2.2, 0.7][: len(gate.params)]
    qubits = [2, 0, 1][: gate.num_qubits]
    circuit = QuantumCircuit(3)
    circuit.append(type(gate)(*angles), qubits)
    read = from_qiskit(circuit)
    same_up_to_phase(numpy_unitary(read, np.zeros(0)), Operator(circuit).data)


@pytest.mark.parametrize(
    "name", [*PENNYLANE_GATES, "Adjoint(S)", "Adjoint(T)", "Adjoint(SX)", "SISWAP", "PSWAP", "DoubleExcitation"]
)
def test_gates_of_pennylane(name: str) -> None:
    adjoint = name.startswith("Adjoint(")
    gate = getattr(qml, name.removeprefix("Adjoint(").removesuffix(")"))
    angles = [0.3, -1.1, 2.2][: gate.num_params]
    wires = [2, 0, 1, 3][: gate.num_wires or 3]

    def function(weights: Any) -> None:
        qml.adjoint(gate)(*angles, wires=wires) if adjoint else gate(*angles, wires=wires)

    read = from_pennylane(function, 4, weight_shape=(0,))
    expected = qml.matrix(function, wire_order=range(4))(None)
    same_up_to_phase(numpy_unitary(read, np.zeros(0)), expected)


def test_templates_of_pennylane() -> None:
    def function(weights: Any, features: Any) -> None:
        qml.AngleEmbedding(features, wires=range(3), rotation="Z")
        qml.StronglyEntanglingLayers(weights, wires=range(3))
        qml.adjoint(qml.ctrl(qml.RX, control=0))(features[1], wires=2)
        qml.ctrl(qml.PhaseShift(2 * weights[0, 0, 0] + 0.5, 1), control=[2])

    circuit = from_pennylane(function, 3, weight_shape=(2, 3, 3), n_features=3)
    rng = np.random.default_rng(0)
    weights, features = rng.normal(size=(2, 3, 3)), rng.normal(size=3)
    expected = qml.matrix(function, wire_order=range(3))(weights, features)
    same_up_to_phase(numpy_unitary(circuit, weights.ravel(), features), expected)
    plain = from_pennylane(
        lambda w: qml.StronglyEntanglingLayers(w, wires=range(3)), 3, weight_shape=StronglyEntangling(3, 2).weight_shape
    )
    assert plain == StronglyEntangling(3, 2).circuit()


MEASUREMENTS: dict[str, Callable[[], Any]] = {
    "an expectation value": lambda: qml.expval(qml.Z(0)),
    "a product": lambda: qml.expval(qml.Z(0) @ qml.X(1)),
    "a sum": lambda: qml.expval(2 * qml.Z(0) + qml.X(1)),
    "a Hamiltonian": lambda: qml.expval(qml.Hamiltonian([1.0, 2.0], [qml.Z(0), qml.X(0) @ qml.Z(1)])),
    "a matrix": lambda: qml.expval(qml.Hermitian(np.eye(2), 0)),
    "a list": lambda: [qml.expval(qml.Z(0)), qml.var(qml.Y(1))],
    "probabilities": lambda: qml.probs(wires=[0]),
    "the state": lambda: qml.state(),
    "counts": lambda: qml.counts(),
    "nothing": lambda: None,
}


@pytest.mark.parametrize("case", MEASUREMENTS)
def test_a_qnode_is_taken_for_its_gates_whatever_it_measures(case: str) -> None:
    @qml.qnode(qml.device("default.qubit", wires=2))
    def node(weights: Any) -> Any:
        qml.RX(weights[0], wires=0)
        qml.CNOT([0, 1])
        return MEASUREMENTS[case]()

    expected = Circuit(2, (Operation("RX", (0,), (weight(0),)), Operation("CNOT", (0, 1))))
    assert from_pennylane(node, 2, weight_shape=(1,)) == expected
    assert from_pennylane(node.func, 2, weight_shape=(1,)) == expected


def test_arguments_by_name() -> None:
    @qml.qnode(qml.device("default.qubit", wires=2))
    def node(inputs: Any, bias: Any, weights: Any) -> Any:
        qml.AngleEmbedding(inputs, wires=range(2))
        qml.RY(2 * weights[1, 0], wires=0)
        qml.RZ(bias[1], wires=1)
        return qml.expval(qml.Z(0))

    angles = [
        operation.angles[0]
        for operation in from_pennylane(
            node, 2, weight_shape={"weights": (2, 2), "bias": (2,)}, n_features=2, features="inputs"
        ).operations
    ]
    assert angles == [feature(0), feature(1), weight(2).scaled(2.0), weight(5)]
    swapped = from_pennylane(
        node, 2, weight_shape={"bias": (2,), "weights": (2, 2)}, n_features=2, features="inputs"
    ).operations
    assert [operation.angles[0] for operation in swapped][2:] == [weight(4).scaled(2.0), weight(1)]


def test_what_calls_for_weights_is_called_once() -> None:
    calls = []

    def function(weights: Any) -> None:
        calls.append(1)
        qml.RX(weights[0], 0)

    from_pennylane(function, 1, weight_shape=(1,))
    assert len(calls) == 1


@pytest.mark.parametrize("shape", [1, [1], np.array([1]), np.int64(1)])
def test_shapes_of_any_kind(shape: Any, unchecked: Any) -> None:
    read = from_pennylane(lambda w: qml.RX(w[0], 0), 1, weight_shape=shape)
    assert read == Circuit(1, (Operation("RX", (0,), (weight(0),)),))


def test_a_torch_layer_is_read_for_its_qnode() -> None:
    @qml.qnode(qml.device("default.qubit", wires=1), interface="torch")
    def node(inputs: Any, weights: Any) -> Any:
        qml.RX(inputs[0] * torch.pi, 0)
        qml.RY(weights[0], 0)
        return qml.expval(qml.Z(0))

    layer = qml.qnn.TorchLayer(node, {"weights": (1,)})
    circuit = from_pennylane(layer, 1, weight_shape={"weights": (1,)}, n_features=1, features="inputs")
    assert [operation.angles for operation in circuit.operations] == [(np.pi * feature(0),), (weight(0),)]


@pytest.mark.parametrize("size", [1, 2])
def test_a_vector_is_an_angle_where_it_has_one_entry(size: int) -> None:
    def function(weights: Any, features: Any) -> None:
        qml.RX(features, 0)
        qml.Rot(weights[:1], weights[1:], 0.5, 0)

    if size == 1:
        circuit = from_pennylane(function, 1, weight_shape=(2,), n_features=1)
        assert circuit.operations[0].angles == (feature(0),)
        assert circuit.operations[1].angles[:2] == (weight(0), weight(1))
    else:
        with pytest.raises(CircuitError, match=r"takes 2 of shape \(2,\). Name the entry, such as features\[0\]"):
            from_pennylane(function, 1, weight_shape=(2,), n_features=2)


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8])
def test_integers_of_any_kind_are_wires(kind: Any) -> None:
    read = from_pennylane(lambda w: [qml.RX(w[0], kind(wire)) for wire in range(2)], 2, weight_shape=(1,))
    assert [operation.wires for operation in read.operations] == [(0,), (1,)]


def test_wires_of_a_range_of_numpys() -> None:
    def function(weights: Any) -> None:
        qml.StronglyEntanglingLayers(weights, wires=np.arange(3))

    assert from_pennylane(function, 3, weight_shape=(2, 3, 3)) == StronglyEntangling(3, 2).circuit()


def test_polynomial_angles_of_pennylane() -> None:
    def function(weights: Any, features: Any) -> None:
        qml.RY(weights[0] + features[0], wires=0)
        qml.RZ(2 * (weights[0] + weights[1]) - 2 * weights[1], wires=0)
        qml.RX(weights[1] * features[1] + 0.5, wires=0)
        qml.RX((np.pi - features[0]) * (np.pi - features[1]), wires=0)
        qml.RX(weights.astype(jnp.float32)[1], wires=0)
        qml.RX(weights @ np.array([1.0, -2.0]), wires=0)

    circuit = from_pennylane(function, 1, weight_shape=(2,), n_features=2)
    assert [operation.angles[0] for operation in circuit.operations] == [
        weight(0) + feature(0),
        2 * weight(0),
        weight(1) * feature(1) + 0.5,
        (np.pi - feature(0)) * (np.pi - feature(1)),
        weight(1),
        weight(0) - 2 * weight(1),
    ]


def test_only_angles_that_matter_are_asked_for() -> None:
    def function(weights: Any) -> None:
        qml.GlobalPhase(jnp.sin(weights[0]))
        jnp.maximum(weights[0], 0)
        qml.RX(weights[1], 0)

    assert from_pennylane(function, 1, weight_shape=(2,)).operations == (Operation("RX", (0,), (weight(1),)),)
    with pytest.raises(CircuitError, match=r"GlobalPhase on wires .* `sin`"):
        from_pennylane(lambda w: qml.ctrl(qml.GlobalPhase(jnp.sin(w[0])), 0), 1, weight_shape=(2,))


def test_many_layers_are_read_in_seconds() -> None:
    start = time.process_time()
    circuit = from_pennylane(lambda w: qml.StronglyEntanglingLayers(w, wires=range(8)), 8, weight_shape=(20, 8, 3))
    assert circuit == StronglyEntangling(8, 20).circuit()
    assert time.process_time() - start < 10  # of which type checks take most


def test_affine_angles_of_pennylane() -> None:
    def function(weights: Any, features: Any) -> None:
        qml.RX(2 * weights[1] + 0.1, wires=0)
        qml.RY(-features[0] / 4, wires=0)
        qml.RZ(jnp.pi * (1 - weights[0]), wires=0)
        qml.RZ(0.7, wires=0)

    circuit = from_pennylane(function, 1, weight_shape=(2,), n_features=1)
    angles = [operation.angles[0] for operation in circuit.operations]
    assert angles == [
        2 * weight(1) + 0.1,
        -0.25 * feature(0),
        np.pi - np.pi * weight(0),
        constant(0.7),
    ]


def test_library_circuits_of_qiskit() -> None:
    circuit = library.efficient_su2(3, reps=1)
    read = from_qiskit(circuit)
    weights = np.random.default_rng(0).normal(size=circuit.num_parameters)
    same_up_to_phase(numpy_unitary(read, weights), Operator(circuit.assign_parameters(weights)).data)
    nested = QuantumCircuit(3)
    nested.append(library.zz_feature_map(2, reps=1).assign_parameters([0.3, 0.4]).to_gate(), [2, 0])
    same_up_to_phase(numpy_unitary(from_qiskit(nested), np.zeros(0)), Operator(nested).data)
    two_qubits = QuantumCircuit(2)
    two_qubits.append(library.UnitaryGate(Operator(library.DCXGate())), [1, 0])
    same_up_to_phase(numpy_unitary(from_qiskit(two_qubits), np.zeros(0)), Operator(two_qubits).data)


def test_order_of_qiskits_parameters() -> None:
    w, x, b = ParameterVector("w", 12), ParameterVector("x", 2), Parameter("b")
    circuit = QuantumCircuit(1)
    for angle in (w[10], x[1], 2 * w[2] + 0.1, b / 2, 1.5 - x[0]):
        circuit.rx(angle, 0)
    angles = [operation.angles[0] for operation in from_qiskit(circuit, features=["x"]).operations]
    assert angles == [
        weight(11),
        feature(1),
        2 * weight(3) + 0.1,
        weight(0) / 2,
        1.5 - feature(0),
    ]


def test_order_of_openqasms_inputs() -> None:
    text = """OPENQASM 3.0;
    include "stdgates.inc";
    input angle later;
    input float[64] given;
    input float[64] unused;
    input float[64] early;
    gate mine(t) a, b { rx(2 * t) a; cx a, b; }
    qubit[2] q;
    mine(early) q[1], q[0];
    sx q[0];
    p(given + 1.0) q[0];
    rz(later) q[1];
    """
    circuit = from_openqasm(text, features=["given"])
    assert circuit.operations[:2] == (
        Operation("RX", (1,), (2 * weight(2),)),
        Operation("CNOT", (1, 0)),
    )
    assert circuit.operations[3:] == (
        Operation("RZ", (0,), (feature(0) + 1,)),
        Operation("RZ", (1,), (weight(0),)),
    )


# --- what is refused


def branches(w: Any) -> None:
    if w[0] > 0:
        qml.X(0)


def loops(w: Any) -> None:
    qml.X(0)
    while w[0] > 0:
        qml.RX(w[0], 0)


def scans(w: Any) -> None:
    def turn(carried: Any, entry: Any) -> Any:
        qml.RX(entry, 0)
        return carried, entry

    jax.lax.scan(turn, 0.0, w)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a sine": (
        lambda w: (qml.X(0), qml.RX(jnp.sin(w[0]), 0)),
        r"Operation 1, RX on wires \[0\], must have angles that are polynomials .* computed with `sin`. Compute such a",
    ),
    "a step": (lambda w: qml.RX(jnp.floor(w[0]), 0), "`floor`"),
    "a rectifier": (lambda w: qml.RX(jnp.maximum(w[0], -1), 0), "`max`"),
    "absolute values of an array": (lambda w: qml.AngleEmbedding(abs(w), range(2)), "RX on wires .* `abs`"),
    "a clipped angle": (lambda w: qml.RX(jnp.clip(w[0], -jnp.pi, jnp.pi), 0), "`max` in `clip`"),
    "a choice by a weight": (lambda w: qml.RX(jnp.where(w[0] > 9, 0.0, w[0]), 0), "`gt`"),
    "a remainder": (lambda w: qml.CRX(w[0] % (2 * jnp.pi), [0, 1]), "`rem` in `remainder`"),
    "in a template": (
        lambda w: qml.StronglyEntanglingLayers(jnp.tanh(jnp.tile(w, 3).reshape(1, 2, 3)), [0, 1]),
        r"Operation 0, Rot on wires \[0\] inside StronglyEntanglingLayers on wires \[0, 1\], must have .* `tanh`",
    ),
    "under a control": (
        lambda w: qml.ctrl(qml.adjoint(qml.Rot(jnp.exp(w[0]), 1.0, 2.0, 0)), 1),
        r"Rot on wires \[0\].* inside .*wires \[1, 0\].* `exp`",
    ),
    "NumPy on a marker": (lambda w: qml.RX(np.sin(w[0]), 0), "Python's arithmetic or jax.numpy"),
    "torch": (lambda w: qml.RX(torch.sin(w[0]), 0), r"in line \d+ before the first operation it raised TypeError: sin"),
    "a branch": (branches, r"the same gates whatever its weights .* in line \d+ before the first operation"),
    "a loop until": (loops, r"the same gates whatever its weights .* after 1 operations"),
    "a number": (lambda w: qml.RX(float(w[0]), 0), "the same gates whatever its weights"),
    "a count": (lambda w: [qml.X(0) for _ in range(int(w[0]))], "the same gates whatever its weights"),
    "a wire": (lambda w: qml.X(w[0].astype(int)), "the wires 0 to 1|the same gates whatever"),
    "an error": (lambda w: (qml.X(0), [][3]), r"after 1 operations it raised IndexError: list index out of range"),
    "an error without words": (lambda w: (_ for _ in ()).throw(RuntimeError()), "raised RuntimeError"),
    "an entry of an axis too many": (lambda w: qml.RX(w[0, 1], 0), "raised IndexError"),
    "gates under jit": (lambda w: jax.jit(lambda v: qml.RX(v[0], 0))(w), "queued under `jax.jit`"),
    "gates in a loop of JAX's": (scans, "outside of functions that JAX traces"),
    "a gate after a measurement": (
        lambda w: (qml.X(1), qml.expval(qml.Z(0)), qml.RX(w[0], 0)),
        r"Operation 1, RX on wires \[0\], must come before the measurements",
    ),
    "many numbers for one": (
        lambda w: qml.RX(w, 0),
        r"Operation 0, RX on wires \[0\], must take one number as an angle, but takes 2 of shape \(2,\)",
    ),
    "a number that is none": (lambda w: qml.RX(np.nan, 0), "nan, which is no finite real number"),
    "an infinite number": (lambda w: qml.RX(w[0] * np.inf, 0), "not finite"),
    "a measurement on the way": (lambda w: qml.measure(0), "is a measurement or reset before the end"),
    "what depends on one": (lambda w: qml.cond(qml.measure(0), qml.X)(1), "is a measurement"),
    "a state": (lambda w: qml.AmplitudeEmbedding(w, [0]), "choose the layer's embedding"),
    "a basis state of weights": (lambda w: qml.BasisState(w, [0, 1]), "choose the layer's embedding"),
    "an entry too many": (
        lambda w: qml.RX(w[2], 0),
        r"no more than weights of the shapes \(\(2,\),\) and 0 features, but operation 0, RX on wires \[0\], reads",
    ),
    "a wire too many": (lambda w: qml.X(2), "wires 0 to 1"),
    "a wire with a name": (lambda w: qml.X("a"), "wires 0 to 1"),
    "a wire of 1.0": (lambda w: qml.X(1.0), "wires 0 to 1"),
    "a matrix that is not unitary": (lambda w: qml.QubitUnitary(np.ones((4, 4)), [0, 1]), "its matrix is not unitary"),
    "a matrix of weights": (
        lambda w: qml.QubitUnitary(jnp.diag(jnp.exp(1j * w)), 0),
        r"Operation 0, .* on wires \[0\]",
    ),
    "an exponential that is not unitary": (lambda w: qml.exp(qml.X(0), 0.3), "its matrix is not unitary"),
    "an exponential of a weight": (lambda w: qml.exp(qml.X(0), w[0]), r"Operation 0, Exp.*its matrix is not unitary"),
    "a masked number": (lambda w: qml.RX(np.ma.masked, 0), "no finite real number"),
    "an integer beyond all floats": (lambda w: qml.RX(2**2000, 0), "no finite real number"),
    "a channel": (
        lambda w: (qml.X(0), qml.DepolarizingChannel(0.1, 0)),
        r"Operation 1, DepolarizingChannel on wires \[0\], cannot be imported. Write it in gates that can.* CNOT",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_pennylane_refuses(case: str) -> None:
    function, message = REFUSED[case]
    with pytest.raises(CircuitError, match=message):
        from_pennylane(function, 2, weight_shape=(2,))


BAD_ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "a size below zero": ({"weight_shape": (1,), "n_features": -1}, "`n_features` must be an integer of at least 0"),
    "a number of features that is none": ({"weight_shape": (1,), "n_features": 1.5}, "must be .*, but was 1.5"),
    "a yes for a number": ({"weight_shape": (1,), "n_features": True}, "must be .*, but was True"),
    "a shape below zero": ({"weight_shape": {"w": (-1,)}}, "`weight_shape` must be sizes"),
    "a shape of text": ({"weight_shape": "12"}, "`weight_shape` must be sizes such as .*, but was '12'"),
    "no shape": ({"weight_shape": None}, "`weight_shape` must be sizes"),
    "a shape of shapes": ({"weight_shape": ((1,), (2,))}, "`weight_shape` must be sizes"),
    "numbers for names": ({"weight_shape": {1: (1,)}}, "`weight_shape` must have the names"),
    "a number for a name": ({"weight_shape": (1,), "n_features": 1, "features": 2}, "`features` must be the name"),
    "one name for both": (
        {"weight_shape": {"w": (1,)}, "n_features": 1, "features": "w"},
        "`features` must be no name",
    ),
    "a name without features": ({"weight_shape": (1,), "features": "x"}, "`features` must be given with `n_features`"),
    "features without a name": ({"weight_shape": {"w": (1,)}, "n_features": 1}, "`features` must be the name of"),
    "a name of no argument": ({"weight_shape": {"v": (1,)}}, r"must take the arguments \(v=...\), but: missing"),
    "features that nothing takes": (
        {"weight_shape": (1,), "n_features": 1},
        r"must take the arguments \(weights, features\), but: too many positional arguments. `n_features` says",
    ),
    "a name that is taken": ({"weight_shape": (1,), "n_features": 1, "features": "w"}, "multiple values for"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_pennylane_refuses_bad_arguments(case: str, unchecked: Any) -> None:
    arguments, message = BAD_ARGUMENTS[case]
    with pytest.raises(ArgumentError, match=message):
        from_pennylane(branches, 1, **arguments)


@pytest.mark.parametrize("after", ["c = measure q[0];", "c = measure q[0]; if (c) { x q[1]; }", "reset q[0];"])
def test_openqasm_refuses_measurements_on_the_way(after: str) -> None:
    text = f'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit c; h q[0]; {after} h q[0];'
    with pytest.raises(
        CircuitError, match=r"Operation 1, \w+ on qubits \[0\], is a measurement or reset before the end"
    ):
        from_openqasm(text)


def test_qiskit_refuses_unknown_gates() -> None:
    from qiskit.circuit import Gate

    circuit = QuantumCircuit(2)
    circuit.append(Gate("magic", 2, []), [1, 0])
    with pytest.raises(CircuitError, match=r"Operation 0, magic on qubits \[1, 0\], cannot be imported.*transpile"):
        from_qiskit(circuit)


def test_a_gate_of_the_users_own_with_a_standard_name_is_not_mistaken() -> None:
    own = QuantumCircuit(1, name="h")
    own.x(0)
    circuit = QuantumCircuit(1)
    circuit.append(own.to_gate(), [0])
    assert from_qiskit(circuit).operations == (Operation("X", (0,)),)


def test_names_that_are_not_there() -> None:
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("theta"), 0)
    with pytest.raises(ArgumentError, match=r"`features` must be one of theta, but was 'thea'. Did you mean"):
        from_qiskit(circuit, features=["thea"])
    with pytest.raises(ArgumentError, match="`features` must be one of a, but was 'b'"):
        from_openqasm("OPENQASM 3.0; input float[64] a; qubit q;", features=["b"])
