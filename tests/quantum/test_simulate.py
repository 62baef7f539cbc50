"""Unitaries, states and expectation values against NumPy and PennyLane, and what always holds of them."""

from __future__ import annotations

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdistill.errors import CircuitError
from qdistill.quantum import (
    Circuit,
    Hermitian,
    Operation,
    PauliZ,
    StronglyEntangling,
    apply,
    each_wire,
    expectation_values,
    feature,
    unitary,
    weight,
)
from qdistill.quantum.gates import GATES

from .reference import (
    numpy_observable,
    numpy_unitary,
    numpy_values,
    pennylane_state,
    random_circuit,
    relative_error,
)
from .strategies import circuits, random_state, seeds, unitaries, vectors


@given(circuit=circuits(), seed=seeds)
@settings(max_examples=50)
def test_unitary_is_the_product_of_the_gates(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    expected = numpy_unitary(circuit, weights, features)
    single = unitary(circuit, jnp.asarray(weights), jnp.asarray(features))
    assert single.dtype == jnp.complex64
    assert relative_error(single, expected) < 1e-5
    with jax.enable_x64(True):
        double = unitary(circuit, jnp.asarray(weights, float), jnp.asarray(features, float))
        assert double.dtype == jnp.complex128
    assert relative_error(double, expected) < 1e-12


@given(circuit=circuits(), seed=seeds)
@settings(max_examples=40)
def test_state_is_pennylanes(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    state = random_state(circuit.n_wires, seed)
    expected = pennylane_state(circuit, weights.astype(float), state, features.astype(float))
    single = apply(circuit, jnp.asarray(weights), jnp.asarray(state), jnp.asarray(features))
    assert relative_error(single, expected) < 1e-5
    with jax.enable_x64(True):
        double = apply(circuit, jnp.asarray(weights, float), jnp.asarray(state), jnp.asarray(features, float))
    assert relative_error(double, expected) < 1e-12


@pytest.mark.parametrize("n_wires", [7, 10, 14])
def test_large_states_are_pennylanes(n_wires: int) -> None:
    circuit = random_circuit(random.Random(n_wires), n_wires, 60, n_weights=6, n_features=4)
    weights, features = vectors(n_wires)
    state = random_state(n_wires, n_wires)
    expected = pennylane_state(circuit, weights.astype(float), state, features.astype(float))
    actual = apply(circuit, jnp.asarray(weights), jnp.asarray(state), jnp.asarray(features))
    assert relative_error(actual, expected) < 1e-5


@pytest.mark.parametrize("name", GATES)
def test_each_gate_alone_on_unordered_wires(name: str) -> None:
    gate = GATES[name]
    wires = (2, 0)[: gate.n_wires]
    circuit = Circuit(3, (Operation(name, wires, tuple(weight(k) for k in range(gate.n_angles))),))
    weights = np.linspace(0.3, 2.9, 3, dtype=np.float32)
    assert relative_error(unitary(circuit, jnp.asarray(weights)), numpy_unitary(circuit, weights)) < 1e-6


@given(matrix=unitaries)
@settings(max_examples=20)
def test_one_wire_unitaries_keep_their_phase(matrix: tuple[tuple[complex, complex], ...]) -> None:
    circuit = Circuit(1, (Operation("Unitary", (0,), matrix=matrix),))
    with jax.enable_x64(True):
        actual = unitary(circuit, jnp.zeros(0))
    np.testing.assert_allclose(actual, np.array(matrix), atol=1e-11)


@given(circuit=circuits(), seed=seeds)
@settings(max_examples=25)
def test_unitaries_are_unitary_and_norms_are_kept(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    with jax.enable_x64(True):
        arguments = jnp.asarray(weights, float), jnp.asarray(features, float)
        matrix = np.asarray(unitary(circuit, *arguments))
        state = apply(circuit, arguments[0], jnp.asarray(random_state(circuit.n_wires, seed)), arguments[1])
    np.testing.assert_allclose(matrix.conj().T @ matrix, np.eye(2**circuit.n_wires), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(state), 1.0, atol=1e-12)


@given(first=circuits(min_wires=3, max_wires=3), second=circuits(min_wires=3, max_wires=3), seed=seeds)
@settings(max_examples=20)
def test_then_multiplies_the_unitaries(first: Circuit, second: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    with jax.enable_x64(True):
        arguments = jnp.asarray(weights, float), jnp.asarray(features, float)
        joined = unitary(first.then(second.operations), *arguments)
        product = unitary(second, *arguments) @ unitary(first, *arguments)
    np.testing.assert_allclose(joined, product, atol=1e-12)


def test_states_as_columns_are_applied_at_once() -> None:
    circuit = random_circuit(random.Random(1), 4, 20)
    weights = jnp.asarray(vectors(1)[0])
    states = jnp.asarray(np.stack([random_state(4, seed) for seed in range(6)], axis=1))
    together = apply(circuit, weights, states.reshape(16, 2, 3)).reshape(16, 6)
    apart = jnp.stack([apply(circuit, weights, states[:, k]) for k in range(6)], axis=1)
    assert relative_error(together, apart) < 1e-6


def test_empty_circuit_changes_nothing() -> None:
    state = jnp.asarray(random_state(3, 0))
    result = apply(Circuit(3), jnp.zeros(0), state)
    np.testing.assert_array_equal(result, state)
    np.testing.assert_array_equal(unitary(StronglyEntangling(2, 0).circuit(), jnp.zeros(0)), np.eye(4))


def test_unused_weights_and_features_are_allowed() -> None:
    circuit = Circuit(1, (Operation("RX", (0,), (weight(1),)), Operation("RY", (0,), (feature(0),))))
    short = unitary(circuit, jnp.array([9.0, 0.3]), jnp.array([0.4]))
    long = unitary(circuit, jnp.array([5.0, 0.3, 7.0]), jnp.array([0.4, 8.0]))
    np.testing.assert_array_equal(short, long)


def test_simulation_is_vectorised_over_weights_and_states() -> None:
    circuit = random_circuit(random.Random(2), 3, 15, n_features=4)
    weights = jnp.asarray(np.stack([vectors(seed)[0] for seed in range(4)]))
    features = jnp.asarray(np.stack([vectors(seed)[1] for seed in range(4)]))
    states = jnp.asarray(np.stack([random_state(3, seed) for seed in range(4)]))
    together = jax.jit(jax.vmap(lambda w, s, x: apply(circuit, w, s, x)))(weights, states, features)
    apart = [apply(circuit, *each) for each in zip(weights, states, features, strict=True)]
    assert relative_error(together, jnp.stack(apart)) < 1e-6


GROUPS = [((0,),), ((2,), (0,), (1,)), ((2, 0),), ((0, 1), (1, 2), (1, 0)), ((1, 2, 0),), ((3, 0, 2),)]


@given(groups=st.sampled_from(GROUPS), seed=seeds)
@settings(max_examples=30)
def test_expectation_values_are_traces(groups: tuple[tuple[int, ...], ...], seed: int) -> None:
    coefficients = np.random.default_rng(seed).normal(size=(len(groups), 4 ** len(groups[0])))
    state = random_state(4, seed)
    with jax.enable_x64(True):
        observable = Hermitian(jnp.asarray(coefficients), groups)
        expected = numpy_values(observable, state)
        double = expectation_values(observable, jnp.asarray(state))
        real = expectation_values(observable, jnp.asarray(state.real))
        expected_real = numpy_values(observable, state.real)
    assert double.shape == (len(groups),)
    scale = np.abs(coefficients).sum(axis=1).max()
    np.testing.assert_allclose(double, expected, atol=1e-13 * scale)
    np.testing.assert_allclose(real, expected_real, atol=1e-13 * scale)
    single = expectation_values(Hermitian(jnp.asarray(coefficients), groups), jnp.asarray(state))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, expected, atol=1e-6 * scale)


@given(groups=st.sampled_from(GROUPS), seed=seeds, factors=st.tuples(*[st.floats(-3, 3)] * 2))
@settings(max_examples=20)
def test_expectation_values_are_bounded_and_linear(
    groups: tuple[tuple[int, ...], ...], seed: int, factors: tuple[float, float]
) -> None:
    drawn = np.random.default_rng(seed).normal(size=(2, len(groups), 4 ** len(groups[0])))
    with jax.enable_x64(True):
        state = jnp.asarray(random_state(4, seed))
        both = [expectation_values(Hermitian(jnp.asarray(c), groups), state) for c in drawn]
        mixed = factors[0] * drawn[0] + factors[1] * drawn[1]
        sum_of_both = expectation_values(Hermitian(jnp.asarray(mixed), groups), state)
        eigenvalues = np.linalg.eigvalsh(numpy_observable(Hermitian(jnp.asarray(drawn[0]), groups), 4))
    np.testing.assert_allclose(sum_of_both, factors[0] * both[0] + factors[1] * both[1], atol=1e-11)
    assert np.all(eigenvalues[:, 0] - 1e-12 <= both[0])
    assert np.all(both[0] <= eigenvalues[:, -1] + 1e-12)


@given(seed=seeds)
@settings(max_examples=10)
def test_pauli_z_is_the_hermitian_with_coefficients_0001(seed: int) -> None:
    wires = ((2,), (0,))
    state = jnp.asarray(random_state(3, seed))
    hermitian = Hermitian(jnp.tile(jnp.array([0.0, 0.0, 0.0, 1.0]), (2, 1)), wires)
    values = expectation_values(PauliZ(wires), state)
    np.testing.assert_allclose(values, expectation_values(hermitian, state), atol=1e-6)
    assert np.all(np.abs(values) <= 1 + 1e-6)


def test_wire_zero_is_the_most_significant_bit() -> None:
    state = apply(Circuit(3, (Operation("X", (0,)),)), jnp.zeros(0), jnp.eye(8)[0])
    np.testing.assert_array_equal(jnp.abs(state), np.eye(8)[4])
    assert expectation_values(PauliZ(each_wire(3)), state).tolist() == [-1.0, 1.0, 1.0]


def test_arguments_of_the_wrong_size_are_refused() -> None:
    circuit = Circuit(2, (Operation("RX", (0,), (weight(2),)), Operation("RY", (1,), (feature(1),))))
    state = jnp.eye(4)[0]
    with pytest.raises(CircuitError, match="`weights` must have at least 3 entries, but had 2"):
        apply(circuit, jnp.zeros(2), state, jnp.zeros(2))
    with pytest.raises(CircuitError, match="`features` must have at least 2 entries, but had 1"):
        apply(circuit, jnp.zeros(3), state, jnp.zeros(1))
    with pytest.raises(CircuitError, match="`features` must have at least 2 entries, but had 0"):
        unitary(circuit, jnp.zeros(3))
    with pytest.raises(CircuitError, match="`state` must have 4 amplitudes for 2 wires, but had 8"):
        apply(circuit, jnp.zeros(3), jnp.eye(8)[0], jnp.zeros(2))
