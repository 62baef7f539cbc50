"""Exported layers against our own values: PennyLane, Qiskit and OpenQASM, for every row of the conformance table."""

from __future__ import annotations

import importlib
import math
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
import qiskit.qasm3
from qiskit.quantum_info import Statevector

from qdistill.backends.layer_scripts import pennylane_script, qiskit_script
from qdistill.backends.openqasm import to_openqasm
from qdistill.backends.pennylane import layer_arrays, to_pennylane
from qdistill.backends.qiskit import to_qiskit
from qdistill.errors import ArgumentError, CircuitError, MissingExtraError
from qdistill.quantum import (
    AmplitudeEmbedding,
    Circuit,
    Hermitian,
    Operation,
    PauliSum,
    PauliZ,
    QuantumLayer,
    basis_probabilities,
    embedded_features,
    feature,
    weight,
)

from ..quantum.components import COMBINATIONS
from ..quantum.reference import quick_jit, relative_error

PREPARATIONS = ["template", "gates"]
TOLERANCE = 2e-5
"""Of single precision, where the terms of a sum are ten times its value."""

UNITARY = Operation("Unitary", (1,), matrix=((0.6j, 0.8 + 0j), (0.8 + 0j, 0.6j)))


@pytest.fixture(scope="module", params=COMBINATIONS)
def case(request: pytest.FixtureRequest) -> tuple[QuantumLayer, np.ndarray, np.ndarray]:
    """A layer, one feature vector, and the layer's values."""
    combination = COMBINATIONS[request.param]
    layer = combination.layer()
    (features,) = combination.features(1)
    return layer, features, np.asarray(layer(jnp.asarray(features)))


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_pennylane(case: Any, preparation: Any) -> None:
    layer, features, expected = case
    exported = to_pennylane(layer, preparation=preparation)
    qnode = qml.QNode(exported.function, qml.device("default.qubit", wires=exported.n_wires))
    values = np.stack(qnode(features, **exported.weights))
    assert relative_error(values, expected) < TOLERANCE


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_qiskit(case: Any, preparation: Any) -> None:
    layer, features, expected = case
    exported = to_qiskit(layer, preparation=preparation)
    state = Statevector(exported.bound(features))
    values = np.array([state.expectation_value(observable).real for observable in exported.observables])
    assert relative_error(values, expected) < TOLERANCE


def openqasm_values(layer: QuantumLayer, features: np.ndarray) -> np.ndarray:
    """The values of the text, read and simulated by Qiskit."""
    circuit = qiskit.qasm3.loads(to_openqasm(layer))
    read = np.asarray(embedded_features(layer.embedding, layer.circuit, jnp.asarray(features)), float)
    numbers = {"weights": np.asarray(layer.weights, float).ravel(), "features": read}
    values = {}
    for parameter in circuit.parameters:
        source, _, index = parameter.name.rpartition("_")
        values[parameter] = numbers[source][int(index)]
    # The text does not reverse the wires, and Qiskit's observables are for those that are reversed.
    state = Statevector(circuit.assign_parameters(values).reverse_bits())
    return np.array([state.expectation_value(observable).real for observable in to_qiskit(layer).observables])


def test_openqasm(case: Any) -> None:
    layer, features, expected = case
    assert relative_error(openqasm_values(layer, features), expected) < TOLERANCE


def features_layer() -> QuantumLayer:
    """A circuit of gates that the table's ansatze lack, which reads features too."""
    operations = (
        UNITARY,
        Operation("Rot", (0,), (weight(1), feature(0), weight(0).scaled(-0.5))),
        Operation("CRY", (2, 0), (feature(3).scaled(2.0),)),
        *(Operation(name, (1,)) for name in ("H", "X", "Y", "Z", "S", "T")),
        Operation("CRX", (0, 1), (weight(2),)),
        Operation("SWAP", (0, 2)),
        Operation("CZ", (1, 2)),
        Operation("CRZ", (1, 0), (weight(0),)),
        Operation("RX", (1,), (weight(0),)),
        Operation("RY", (0,), (weight(0) * feature(1) + weight(1),)),
        Operation("CRZ", (2, 1), ((math.pi - feature(0)) * (math.pi - feature(2)) / 2,)),
        Operation("Rot", (2,), (weight(2) - feature(3), -weight(1) * weight(1), 1 - feature(2) * feature(2) / 3)),
    )
    return QuantumLayer(
        AmplitudeEmbedding(3), Circuit(3, operations), jnp.array([0.4, -1.2, 2.0]), PauliZ(((0,), (1,), (2,)))
    )


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_circuits_that_read_features_and_all_gates(preparation: Any) -> None:
    layer, features = features_layer(), np.random.default_rng(0).normal(size=7).astype(np.float32)
    expected = layer(jnp.asarray(features))
    exported = to_pennylane(layer, preparation=preparation)
    qnode = qml.QNode(exported.function, qml.device("default.qubit", wires=3))
    assert relative_error(np.stack(qnode(features, **exported.weights)), expected) < TOLERANCE
    in_qiskit = to_qiskit(layer, preparation=preparation)
    state = Statevector(in_qiskit.bound(features))
    values = [state.expectation_value(observable).real for observable in in_qiskit.observables]
    assert relative_error(values, expected) < TOLERANCE
    assert relative_error(openqasm_values(layer, features), expected) < TOLERANCE


def test_angles_that_are_polynomials_stay_symbolic_in_qiskit() -> None:
    circuit = to_qiskit(features_layer(), preparation="template").circuit
    angles = [angle for instruction in circuit.data for angle in instruction.operation.params]
    read = [{parameter.name for parameter in getattr(angle, "parameters", ())} for angle in angles]
    assert {"weights[0]", "features[1]", "weights[1]"} in read
    assert {"features[0]", "features[2]"} in read


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_derivatives_in_pennylane_are_ours(preparation: Any, double_precision: None) -> None:
    layer = COMBINATIONS["amplitude-strongly_entangling-hermitian"].layer(1)
    features = jnp.asarray(np.random.default_rng(1).normal(size=8))
    exported = to_pennylane(layer, preparation=preparation)
    qnode = qml.QNode(exported.function, qml.device("default.qubit", wires=3), interface="jax", diff_method="backprop")

    def theirs(x: jax.Array, angles: jax.Array, coefficients: jax.Array) -> jax.Array:
        return jnp.sum(jnp.stack(qnode(x, angles, coefficients)) * jnp.arange(1.0, 4.0))

    def ours(x: jax.Array, angles: jax.Array, coefficients: jax.Array) -> jax.Array:
        observable = type(layer.observable)(coefficients, layer.observable.wires)
        moved = QuantumLayer(layer.embedding, layer.circuit, angles, observable)
        return jnp.sum(moved(x) * jnp.arange(1.0, 4.0))

    arguments = (features, *(jnp.asarray(array, float) for array in exported.weights.values()))
    expected = quick_jit(jax.grad(ours, (0, 1, 2)))(*arguments)
    actual_gradients = quick_jit(jax.grad(theirs, (0, 1, 2)))(*arguments)
    for actual, exact in zip(actual_gradients, expected, strict=True):
        assert relative_error(actual, exact) < 1e-10


def test_names_of_parameters() -> None:
    layer = features_layer()
    assert to_pennylane(layer).weights.keys() == {"angles"}
    names = {parameter.vector.name for parameter in to_qiskit(layer).circuit.parameters}
    assert names == {"weights", "features"}
    assert to_openqasm(layer).count("input float[64] features_") == 7 + 4


def test_a_zero_vector_has_no_state_in_qiskit() -> None:
    with pytest.raises(CircuitError, match="must not be all zero"):
        to_qiskit(features_layer(), preparation="template").bound(np.zeros(8))


@pytest.mark.parametrize("export", [to_pennylane, to_qiskit])
def test_an_unknown_preparation_is_refused(export: Any, unchecked: None) -> None:
    with pytest.raises(ArgumentError, match="`preparation` must be one of gates, template, but was 'gate'"):
        export(features_layer(), preparation="gate")


@pytest.mark.parametrize(("export", "module"), [(to_pennylane, "pennylane"), (to_qiskit, "qiskit")])
@pytest.mark.parametrize("error", [ImportError("No module"), AttributeError("jax.core has no is_concrete")])
def test_a_missing_extra_is_named(export: Any, module: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", fails)
    with pytest.raises(MissingExtraError, match=rf"{module} .*pip install 'qdistill\[{module}\]'"):
        export(features_layer())


WRITTEN = {
    "fixed": PauliSum([["X0 Z2", "I"], "Z0 Z1 Z2", ["Y1"]], [0.5, -0.25, 1.0, 2.0]),
    "trained": PauliSum([["X0 Z2", "I"], "Z0 Z1 Z2", ["Y1"]], [0.5, -0.25, 1.0, 2.0], trainable=True),
    "probabilities": basis_probabilities((2, 0)),
    "hermitian": Hermitian(np.random.default_rng(0).normal(size=(2, 16)), ((1, 0), (0, 2))),
    "pauli_z": PauliZ(((2,), (0,))),
}


@pytest.mark.parametrize("write", [pennylane_script, qiskit_script])
@pytest.mark.parametrize("name", WRITTEN)
def test_programs_measure_what_the_layer_does(name: str, write: Any, tmp_path: Path) -> None:
    layer = replace(COMBINATIONS["amplitude-strongly_entangling-hermitian"].layer(1), observable=WRITTEN[name])
    features = COMBINATIONS["amplitude-strongly_entangling-hermitian"].features(2)
    values = np.asarray(jax.vmap(layer)(jnp.asarray(features)))
    np.savez(tmp_path / "layer.npz", features=features, values=values, **layer_arrays(layer))
    (tmp_path / "layer.py").write_text(write(layer))
    program = runpy.run_path(str(tmp_path / "layer.py"))
    np.testing.assert_allclose([program["evaluate"](each) for each in features], values, atol=1e-5)


def test_the_text_names_the_strings_of_each_observable() -> None:
    layer = replace(features_layer(), observable=PauliSum([["X0 Z2", "I"], "Z1"], [0.5, -0.25, 1.0]))
    assert to_openqasm(layer).splitlines()[-2:] == [
        "// observable 0 on q[0], q[2]: 0.5 XZ + -0.25 II",
        "// observable 1 on q[1]: 1 Z",
    ]


def test_fixed_coefficients_are_no_argument_in_pennylane() -> None:
    exported = to_pennylane(replace(features_layer(), observable=WRITTEN["fixed"]))
    assert set(exported.weights) == {"angles"}
    qnode = qml.QNode(exported.function, qml.device("default.qubit", wires=3))
    with pytest.raises(CircuitError, match="`coefficients` must be None, for those of the layer are fixed"):
        qnode(np.ones(8), exported.weights["angles"], np.ones(4))
