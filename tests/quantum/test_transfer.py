"""Noisy circuits against Aer's and PennyLane's density matrices, in both directions."""

import random
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.errors import CircuitError
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Circuit,
    DeviceModel,
    Operation,
    StronglyEntangling,
    constant,
    weight,
)
from qdistill.quantum.noisy_preparation import noisy_state
from qdistill.quantum.preparation import embedded, embedded_features
from qdistill.quantum.transfer import (
    LocalObservables,
    compile_noisy,
    evolve_observables,
    evolve_states,
    native,
    pauli_values,
    quadratic_forms,
)

from .noisy_reference import aer_density, pauli_vector, pennylane_density, some_device
from .reference import angle_value, numpy_unitary, on_wires, pauli_products, quick_jit, random_circuit
from .strategies import circuits, examples, random_state, seeds, vectors


def from_zero(n_wires: int) -> np.ndarray:
    return pauli_vector(np.diag([1.0] + [0.0] * (2**n_wires - 1)))


@pytest.mark.parametrize("n_wires", [1, 2, 4])
def test_circuits_are_those_of_aer_and_pennylane(n_wires):
    circuit = native(random_circuit(random.Random(n_wires), n_wires, 30, n_features=4))
    weights, features = vectors(n_wires)
    device = some_device(n_wires + 1)
    arguments = (jnp.asarray(weights, jnp.float32), jnp.asarray(from_zero(n_wires), jnp.float32))
    values = evolve_states(compile_noisy(circuit, device), *arguments, jnp.asarray(features, jnp.float32))
    for density in (
        aer_density(circuit, device, weights, features),
        pennylane_density([(circuit, weights, features)], device),
    ):
        assert np.abs(np.asarray(values) - pauli_vector(density)).max() < 1e-5


def test_strongly_entangling_layers_are_those_of_aer():
    ansatz, device = StronglyEntangling(5, 4), some_device(5, 1)
    weights = np.random.default_rng(0).uniform(0, 6, 60)
    noisy = compile_noisy(ansatz.circuit(), device)
    values = evolve_states(noisy, jnp.asarray(weights, jnp.float32), jnp.asarray(from_zero(5), jnp.float32))
    density = aer_density(ansatz.circuit(), device, weights)
    assert np.abs(np.asarray(values) - pauli_vector(density)).max() < 1e-5
    assert all(len(block.wires) <= 3 for block in noisy.blocks)


@examples(12)
@given(circuit=circuits(max_wires=4), kind=st.sampled_from(["amplitude", "X", "Y", "Z"]), seed=seeds)
def test_any_circuit_after_its_state_preparation_is_aers(circuit, kind, seed):
    n, device = circuit.n_wires, some_device(circuit.n_wires, seed)
    embedding = AmplitudeEmbedding(n) if kind == "amplitude" else AngleEmbedding(n, kind)
    weights, features = vectors(seed)
    given = np.random.default_rng(seed).normal(size=embedding.n_features).astype(np.float32)

    def prepared_and_evolved(weights, given, features):
        state = noisy_state(embedding, device, given, "exact")
        return evolve_states(compile_noisy(circuit, device), weights, state, features)

    values = quick_jit(prepared_and_evolved)(weights.astype(np.float32), given, features.astype(np.float32))
    turns = np.asarray(embedded_features(embedding, Circuit(n), jnp.asarray(given)), float)
    parts = [(embedded(embedding, Circuit(n)), None, turns), (circuit, weights, features)]
    density = aer_density(with_numbers(parts), device, None)
    assert np.abs(np.asarray(values) - pauli_vector(density)).max() < 1e-5


def with_numbers(parts):
    """Circuits with their weights and features as one in the gates that devices have, without either."""
    operations = [
        replace(operation, angles=tuple(constant(float(angle_value(a, weights, features))) for a in operation.angles))
        for circuit, weights, features in parts
        for operation in circuit.operations
    ]
    return native(Circuit(parts[0][0].n_wires, tuple(operations)))


@examples(8)
@given(circuit=circuits(max_wires=4), seed=seeds)
def test_backwards_is_the_transpose_and_keeps_the_identity(circuit, seed):
    weights, features = vectors(seed)
    n = circuit.n_wires
    noisy = compile_noisy(circuit, some_device(n, seed))
    state = jnp.asarray(pauli_vector(np.outer(s := random_state(n, seed), s.conj())), jnp.float32)
    observables = np.random.default_rng(seed).normal(size=(4**n, 2)).astype(np.float32)
    observables[:, 1] = np.eye(4**n)[0]
    arguments = (jnp.asarray(weights, jnp.float32), jnp.asarray(features, jnp.float32))
    before = evolve_observables(
        noisy, arguments[0], [LocalObservables(tuple(range(n)), jnp.asarray(observables))], arguments[1]
    )
    after = evolve_states(noisy, arguments[0], state, arguments[1])
    assert np.abs(np.asarray(before[:, 1]) - observables[:, 1]).max() < 1e-6
    assert np.abs(np.asarray(state @ before) - np.asarray(after @ observables)).max() < 1e-4
    assert float(after[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.usefixtures("double_precision")
def test_observables_on_some_wires_are_those_on_all():
    n_wires, generator = 5, np.random.default_rng(0)
    ansatz = StronglyEntangling(n_wires, 2)
    noisy = compile_noisy(ansatz.circuit(), some_device(n_wires))
    weights = jnp.asarray(generator.uniform(0, 6, 30))
    parts = [
        LocalObservables(wires, jnp.asarray(generator.normal(size=(4 ** len(wires), columns))))
        for wires, columns in (((3,), 1), ((0, 2), 2), ((2, 0), 1), ((4, 1), 1))
    ]
    everywhere = jnp.concatenate([part.on(range(n_wires)).coefficients for part in parts], axis=1)
    for part, column in ((parts[0], 0), (parts[2], 3)):
        terms = zip(np.asarray(part.coefficients)[:, 0], pauli_products(len(part.wires)), strict=True)
        matrix = on_wires(sum(value * pauli for value, pauli in terms), part.wires, n_wires)
        assert np.abs(pauli_vector(matrix) / 2**n_wires - np.asarray(everywhere)[:, column]).max() < 1e-12
    states = jnp.asarray(generator.normal(size=(4**n_wires, 3)))
    before = evolve_observables(noisy, weights, parts)
    after = evolve_states(noisy, weights, states)
    assert np.abs(np.asarray(states.T @ before - after.T @ everywhere)).max() < 1e-9


@pytest.mark.parametrize("n_wires", [1, 2, 4])
@pytest.mark.usefixtures("double_precision")
def test_without_noise_it_is_the_unitary(n_wires):
    circuit = random_circuit(random.Random(n_wires), n_wires, 25, n_features=4)
    weights, features = vectors(3)
    state = random_state(n_wires, 5)
    final = numpy_unitary(circuit, weights, features) @ state
    start = pauli_values(jnp.asarray(state))
    assert np.abs(np.asarray(start) - pauli_vector(np.outer(state, state.conj()))).max() < 1e-12
    noisy = compile_noisy(circuit, DeviceModel.uniform(n_wires))
    values = evolve_states(noisy, jnp.asarray(weights), start, jnp.asarray(features))
    assert np.abs(np.asarray(values) - pauli_vector(np.outer(final, final.conj()))).max() < 1e-12


@pytest.mark.parametrize("n_wires", [1, 2, 4])
@pytest.mark.usefixtures("double_precision")
def test_quadratic_forms_are_the_real_parts(n_wires):
    generator = np.random.default_rng(0)
    coefficients = generator.normal(size=(4**n_wires, 3))
    forms = np.asarray(quadratic_forms(jnp.asarray(coefficients)))
    matrices = np.einsum("pk,pij->ikj", coefficients, np.array(pauli_products(n_wires)))
    assert np.abs(forms - matrices.real).max() < 1e-12
    real = jnp.asarray(generator.normal(size=2**n_wires))
    expected = np.einsum("i,ikj,j->k", real, forms, real)
    assert np.abs(np.asarray(pauli_values(real) @ coefficients) - expected).max() < 1e-9


def test_circuits_without_rotations_or_gates():
    device = some_device(2)
    for operations in ((), (Operation("CNOT", (0, 1)),), (Operation("RX", (1,), (weight(0),)),)):
        circuit = Circuit(2, operations)
        values = evolve_states(compile_noisy(circuit, device), jnp.full(1, 0.3), jnp.asarray(from_zero(2), jnp.float32))
        expected = pauli_vector(pennylane_density([(circuit, [0.3], None)], device))
        assert np.abs(np.asarray(values) - expected).max() < 1e-6


def test_a_device_with_too_few_wires_is_refused():
    with pytest.raises(CircuitError, match="`device` must have at least the circuit's 3 wires, but 'uniform' has 2"):
        compile_noisy(Circuit(3), DeviceModel.uniform(2))
