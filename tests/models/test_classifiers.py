"""The field's classifiers against PennyLane, at the sizes of their publications, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.errors import ArgumentError
from qdistill.models import (
    ARCHITECTURES,
    QCNN,
    CircuitArchitecture,
    CircuitCentric,
    DataReuploading,
    DressedCircuit,
    IQPVariational,
    KernelArchitecture,
    LeNetArchitecture,
    QuantumLeNetArchitecture,
    TreeTensor,
    architecture_from_json,
    architecture_options,
    architecture_to_json,
    named_weights,
    predict,
    with_weights,
)
from qdistill.quantum import (
    DeviceModel,
    Execution,
    StronglyEntangling,
    layer_calls,
    on_device,
    quantum_layers,
    with_key,
)

from ..quantum.reference import quick_jit
from .classifiers import CLASSIFIERS


def build(name: str) -> Any:
    row = CLASSIFIERS[name]
    return row.architecture.build((row.n_inputs,), row.n_classes, key=jax.random.key(0))


def inputs(name: str, n: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, CLASSIFIERS[name].n_inputs))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_are_pennylanes(name: str) -> None:
    row, model, generator = CLASSIFIERS[name], build(name), np.random.default_rng(0)
    weights = {key: generator.normal(size=array.shape) for key, array in named_weights(model).items()}
    with jax.enable_x64(True):
        model = with_weights(model, {key: jnp.asarray(array) for key, array in weights.items()})
        actual = quick_jit(predict)(model, jnp.asarray(inputs(name, 2)))
        assert actual.dtype == jnp.float64
    expected = np.array([row.logits(weights, x) for x in inputs(name, 2)])
    np.testing.assert_allclose(actual, expected, atol=1e-10)


def test_every_classifier_has_a_row() -> None:
    others = {CircuitArchitecture, KernelArchitecture, LeNetArchitecture, QuantumLeNetArchitecture}
    assert set(ARCHITECTURES.values()) - others == {type(row.architecture) for row in CLASSIFIERS.values()}
    assert set(architecture_options().values()) >= set(ARCHITECTURES.values()) - {KernelArchitecture}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_parameters_are_the_publications(name: str) -> None:
    assert sum(array.size for array in named_weights(build(name)).values()) == CLASSIFIERS[name].n_trained


def test_the_published_sizes() -> None:
    # Layers, wires and parameters at the defaults, for ten inputs and two classes.
    sizes = {
        DataReuploading(): (4, 98),
        DataReuploading(encoding="separate"): (4, 122),
        CircuitCentric(): (8, 97),
        IQPVariational(): (10, 300),
        DressedCircuit(): (4, 10 * 4 + 4 + 24 + 4 * 2 + 2),
        QCNN(): (8, 66),
        TreeTensor(16): (16, 31),
    }
    for architecture, (n_wires, n_trained) in sizes.items():
        model = eqx.filter_eval_shape(architecture.build, (10,), 2, key=jax.random.key(0))
        (layer,) = quantum_layers(model)
        trained = sum(leaf.size for leaf in jax.tree.leaves(model) if hasattr(leaf, "size"))
        assert (layer.circuit.n_wires, trained) == (n_wires, n_trained)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_array_is_trained(name: str) -> None:
    model, x = build(name), jnp.asarray(inputs(name, 1)[0], jnp.float32)
    slopes = named_weights(
        quick_jit(jax.grad(lambda m: jnp.sin(m(x)) @ jnp.arange(CLASSIFIERS[name].n_classes)))(model)
    )
    assert all(np.isfinite(slope).all() for slope in slopes.values())
    assert all(np.any(np.asarray(slope)) for slope in slopes.values())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_fields_come_back_from_json(name: str) -> None:
    architecture = CLASSIFIERS[name].architecture
    assert architecture_from_json(json.loads(json.dumps(architecture_to_json(architecture)))) == architecture


@pytest.mark.parametrize("name", ["re-uploading", "circuit-centric, three copies", "dressed", "tree tensor"])
def test_inputs_of_any_shape_are_read_in_c_order(name: str) -> None:
    row, model, x = CLASSIFIERS[name], build(name), jnp.asarray(inputs(name, 1)[0], jnp.float32)
    shaped = row.architecture.build((1, row.n_inputs, 1), row.n_classes, key=jax.random.key(0))
    assert np.array_equal(
        *(quick_jit(lambda m, x: m(x))(*each) for each in ((shaped, x.reshape(1, -1, 1)), (model, x)))
    )


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_circuits_are_seen(name: str) -> None:
    (call,) = layer_calls(build(name), (CLASSIFIERS[name].n_inputs,))
    assert (call.vectors, call.by_features) == (1, name.startswith("dressed"))


@pytest.mark.parametrize("name", ["re-uploading, one wire", "dressed"])
def test_they_take_shots_and_noise(name: str) -> None:
    model, x = build(name), jnp.asarray(inputs(name, 1)[0], jnp.float32)
    call = quick_jit(lambda m: m(x))
    exact = call(model)
    sampled = call(with_key(on_device(model, Execution(shots=40_000)), jax.random.key(1)))
    np.testing.assert_allclose(sampled, exact, atol=0.05)
    device = DeviceModel.uniform(quantum_layers(model)[0].circuit.n_wires, one_qubit_error=0.05, two_qubit_error=0.1)
    noisy = call(on_device(model, Execution(device)))
    assert np.isfinite(noisy).all()
    assert not np.allclose(noisy, exact, atol=1e-5)


def test_initial_angles_have_the_distribution() -> None:
    def angles(architecture: Any) -> np.ndarray:
        return np.asarray(quantum_layers(architecture.build((12,), 2, key=jax.random.key(0)))[0].weights)

    for architecture, spread in (
        (DataReuploading(40), 1.0),
        (CircuitCentric(n_layers=40), 2 * np.pi),
        (IQPVariational(n_layers=20, spread=0.5), 0.5),
    ):
        assert 0 <= angles(architecture).min() < 0.02 * spread
        assert 0.98 * spread < angles(architecture).max() < spread
    assert 0.008 < angles(DressedCircuit(n_layers=40)).std() < 0.012


def test_a_ring_of_two_wires_is_one_gate() -> None:
    gates = [o.wires for o in DataReuploading(2, 2, entangler="ring").circuit(3).operations if o.gate == "CZ"]
    assert gates == [(0, 1)]


def test_strong_entanglers_may_be_cz() -> None:
    cnot, cz = StronglyEntangling(3, 2).circuit(), StronglyEntangling(3, 2, "CZ").circuit()
    assert [o.wires for o in cz.operations] == [o.wires for o in cnot.operations]
    assert {o.gate for o in cz.operations} == {"Rot", "CZ"}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (DataReuploading, {"n_layers": 0}, "`n_layers` must be at least 1, but was 0"),
        (DataReuploading, {"n_qubits": 0}, "`n_qubits` must be at least 1, but was 0"),
        (DataReuploading, {"n_qubits": 10**9}, "`n_qubits` must be at most 10,000, but was"),
        (DataReuploading, {"upload": "twice"}, "`upload` must be one of"),
        (DataReuploading, {"spread": -1.0}, "`spread` must be at least 0, but was -1.0"),
        (DataReuploading, {"class_weight": 0.0}, "`class_weight` must not be 0"),
        (CircuitCentric, {"n_copies": 0}, "`n_copies` must be at least 1, but was 0"),
        (CircuitCentric, {"output_scale": 0.0}, "`output_scale` must not be 0"),
        (IQPVariational, {"n_repeats": 0}, "`n_repeats` must be at least 1, but was 0"),
        (IQPVariational, {"output_scale": 0.0}, "`output_scale` must not be 0"),
        (DressedCircuit, {"n_qubits": 0}, "`n_qubits` must be at least 1, but was 0"),
        (DressedCircuit, {"entangler": "star"}, "`entangler` must be one of"),
        (QCNN, {"n_qubits": 6}, "`n_qubits` must be a power of two of at most 1024, .* but was 6"),
        (QCNN, {"n_qubits": 0}, "`n_qubits` must be at least 1, but was 0"),
        (QCNN, {"n_qubits": 2**40}, "`n_qubits` must be a power of two of at most 1024"),
        (TreeTensor, {"n_qubits": 3}, "`n_qubits` must be a power of two of at most 1024, .* but was 3"),
        (TreeTensor, {"rotation": "RX"}, "`rotation` must be one of"),
    ],
)
def test_fields_without_a_meaning_are_refused(kind: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        kind(**fields)


@pytest.mark.parametrize(
    ("architecture", "n_inputs", "n_classes", "message"),
    [
        (
            DataReuploading(n_qubits=2),
            7,
            2,
            r"must be of from 1 to 6 numbers for 2 qubits, .* which is 7",
        ),
        (DataReuploading(), 0, 2, r"must be of at least 1 numbers that rotations read, but was \(0,\), which is 0"),
        (DataReuploading(), 10, 7, "`n_classes` must be from 2 to 6 for the states of one qubit, but was 7"),
        (
            DataReuploading(n_qubits=4, readout="expectation"),
            10,
            5,
            "must be from 2 to 4 for Z on each of 4 wires, .* 5",
        ),
        (
            DataReuploading(n_qubits=1, readout="expectation"),
            3,
            2,
            "`n_qubits` must be at least 2 for the readout",
        ),
        (DataReuploading(10**7), 10, 2, "at most 262,144 operations"),
        (CircuitCentric(), 10, 3, "`n_classes` must be 2 for a margin, but was 3"),
        (CircuitCentric(10**6), 10, 2, "`n_copies` must be at most 10,000"),
        (CircuitCentric(n_layers=10**7), 10, 2, "at most 262,144 operations"),
        (IQPVariational(), 1, 2, r"`input_shape` must be of at least 2 numbers for the parity of two wires, .* is 1"),
        (IQPVariational(), 10, 3, "`n_classes` must be 2 for a margin, but was 3"),
        (IQPVariational(10**7), 10, 2, "at most 262,144 operations"),
        (DressedCircuit(), 10, 1, "`n_classes` must be at least 2, but was 1"),
        (DressedCircuit(n_layers=10**7), 10, 2, "at most 262,144 operations"),
        (QCNN(), 257, 2, r"`input_shape` must be of from 1 to 256 numbers for the embedding 'amplitude', .* is 257"),
        (QCNN(2), 3, 5, "`n_classes` must be from 2 to 4 for the basis states of 2 qubits, but was 5"),
        (TreeTensor(), 9, 2, r"`input_shape` must be of from 1 to 8 numbers for the embedding 'angle', .* which is 9"),
        (TreeTensor(), 8, 3, "`n_classes` must be 2 for a margin, but was 3"),
    ],
)
def test_data_that_does_not_fit_is_refused(architecture: Any, n_inputs: int, n_classes: int, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        architecture.build((n_inputs,), n_classes, key=jax.random.key(0))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_an_input_of_another_length_is_refused(name: str) -> None:
    n = CLASSIFIERS[name].n_inputs
    with pytest.raises(ArgumentError, match=rf"`x` must be one input of shape \({n},\), but had shape \({n - 1},\)"):
        build(name)(jnp.ones(n - 1))
