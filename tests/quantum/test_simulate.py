"""Unitaries, states and expectation values against NumPy and PennyLane, and what always holds of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
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
from qdistill.quantum.expectation import signs
from qdistill.quantum.gates import GATES
from qdistill.quantum.pauli_sums import MOST_SIGNS

from .reference import (
    numpy_observable,
    numpy_unitary,
    numpy_values,
    pennylane_state,
    quick_jit,
    random_circuit,
    relative_error,
)
from .strategies import circuits, examples, random_state, seeds, unitaries, vectors


def in_both_precisions(function: Callable[..., jax.Array], *arguments: np.ndarray) -> list[np.ndarray]:
    """The compiled function's results in complex64 and in complex128."""
    results = []
    for double in (False, True):
        with jax.enable_x64(double):
            result = quick_jit(function)(*map(jnp.asarray, arguments))
        assert result.dtype == (jnp.complex128 if double else jnp.complex64)
        results.append(np.asarray(result))
    return results


@given(circuit=circuits(), seed=seeds)
@examples(50)
def test_reference_is_pennylanes(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    state = random_state(circuit.n_wires, seed)
    expected = pennylane_state(circuit, weights, state, features)
    np.testing.assert_allclose(numpy_unitary(circuit, weights, features) @ state, expected, atol=1e-12)


@given(circuit=circuits(), seed=seeds)
@examples(10)
def test_unitary_is_the_product_of_the_gates(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    expected = numpy_unitary(circuit, weights, features)
    single, double = in_both_precisions(lambda w, x: unitary(circuit, w, x), weights, features)
    assert relative_error(single, expected) < 1e-5
    assert relative_error(double, expected) < 1e-12
    np.testing.assert_allclose(double.conj().T @ double, np.eye(2**circuit.n_wires), atol=1e-12)


@given(circuit=circuits(), seed=seeds)
@examples(6)
def test_state_is_pennylanes(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    state = random_state(circuit.n_wires, seed)
    expected = pennylane_state(circuit, weights, state, features)
    single, double = in_both_precisions(lambda w, s, x: apply(circuit, w, s, x), weights, state, features)
    assert relative_error(single, expected) < 1e-5
    assert relative_error(double, expected) < 1e-12
    np.testing.assert_allclose(np.linalg.norm(double), 1.0, atol=1e-12)


@pytest.mark.parametrize("n_wires", [8, 14])
def test_large_states_are_pennylanes(n_wires: int) -> None:
    circuit = random_circuit(random.Random(n_wires), n_wires, 60, n_weights=6, n_features=4)
    weights, features = vectors(n_wires)
    state = random_state(n_wires, n_wires)
    expected = pennylane_state(circuit, weights, state, features)
    actual = quick_jit(lambda w, s, x: apply(circuit, w, s, x))(weights, state, features)
    assert relative_error(actual, expected) < 1e-5


@pytest.mark.parametrize("name", GATES)
def test_each_gate_alone_on_unordered_wires(name: str) -> None:
    gate = GATES[name]
    wires = (2, 0)[: gate.n_wires]
    circuit = Circuit(3, (Operation(name, wires, tuple(weight(k) for k in range(gate.n_angles))),))
    weights = np.array([0.25, 1.5, -2.75])
    actual = quick_jit(lambda w: unitary(circuit, w))(weights)
    assert relative_error(actual, numpy_unitary(circuit, weights)) < 1e-6


@pytest.mark.parametrize("names", [("CNOT", "CZ", "SWAP"), ("H",), ("T", "CNOT", "S")])
def test_circuits_without_weights(names: tuple[str, ...]) -> None:
    circuit = Circuit(2, tuple(Operation(name, (1, 0)[: GATES[name].n_wires]) for name in names))
    actual = quick_jit(lambda w: unitary(circuit, w))(np.zeros(0))
    np.testing.assert_allclose(actual, numpy_unitary(circuit, np.zeros(0)), atol=1e-6)


@given(matrix=unitaries)
@examples(6)
def test_one_wire_unitaries_keep_their_phase(matrix: tuple[tuple[complex, complex], ...]) -> None:
    circuit = Circuit(1, (Operation("Unitary", (0,), matrix=matrix),))
    with jax.enable_x64(True):
        actual = quick_jit(lambda w: unitary(circuit, w))(np.zeros(0))
    np.testing.assert_allclose(actual, np.array(matrix), atol=1e-11)


@given(first=circuits(min_wires=3, max_wires=3), second=circuits(min_wires=3, max_wires=3), seed=seeds)
@examples(4)
def test_then_multiplies_the_unitaries(first: Circuit, second: Circuit, seed: int) -> None:
    weights, features = vectors(seed)

    @quick_jit
    def difference(w: jax.Array, x: jax.Array) -> jax.Array:
        joined = unitary(first.then(second.operations), w, x)
        return joined - unitary(second, w, x) @ unitary(first, w, x)

    with jax.enable_x64(True):
        np.testing.assert_allclose(difference(weights, features), 0, atol=1e-12)


def test_states_as_columns_are_applied_at_once() -> None:
    circuit = random_circuit(random.Random(1), 4, 20)
    weights = vectors(1)[0]
    states = np.stack([random_state(4, seed) for seed in range(6)], axis=1)
    together = quick_jit(lambda w, s: apply(circuit, w, s))(weights, states.reshape(16, 2, 3))
    expected = numpy_unitary(circuit, weights) @ states
    assert relative_error(together.reshape(16, 6), expected) < 1e-5


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


def test_simulation_is_vectorised_over_weights_features_and_states() -> None:
    circuit = random_circuit(random.Random(2), 3, 15, n_features=4)
    weights, features = (np.stack(drawn) for drawn in zip(*map(vectors, range(4)), strict=True))
    states = np.stack([random_state(3, seed) for seed in range(4)])
    together = quick_jit(jax.vmap(lambda w, s, x: apply(circuit, w, s, x)))(weights, states, features)
    alone = quick_jit(lambda w, s, x: apply(circuit, w, s, x))
    apart = [alone(*each) for each in zip(weights, states, features, strict=True)]
    assert relative_error(together, jnp.stack(apart)) < 1e-5


Groups = tuple[tuple[int, ...], ...]
GROUPS: list[Groups] = [((2,), (0,), (1,)), ((2, 0),), ((0, 1), (1, 2), (1, 0)), ((3, 0, 2),)]


@lru_cache
def compiled_values(groups: Groups) -> Callable[[np.ndarray, np.ndarray], jax.Array]:
    return quick_jit(lambda coefficients, state: expectation_values(Hermitian(coefficients, groups), state))


@given(groups=st.sampled_from(GROUPS), seed=seeds, real=st.booleans())
@examples(30)
def test_expectation_values_are_traces(groups: Groups, seed: int, real: bool) -> None:
    coefficients = np.random.default_rng(seed).normal(size=(len(groups), 4 ** len(groups[0])))
    state = random_state(4, seed).real if real else random_state(4, seed)
    expected = numpy_values(coefficients, groups, state)
    scale = np.abs(coefficients).sum(axis=1).max()
    single = compiled_values(groups)(coefficients, state)
    with jax.enable_x64(True):
        double = compiled_values(groups)(coefficients, state)
    assert (single.dtype, double.dtype) == (jnp.float32, jnp.float64)
    np.testing.assert_allclose(single, expected, atol=1e-6 * scale)
    np.testing.assert_allclose(double, expected, atol=1e-13 * scale)


@given(groups=st.sampled_from(GROUPS), seed=seeds, factors=st.tuples(*[st.floats(-3, 3)] * 2))
@examples(20)
def test_expectation_values_are_bounded_and_linear(groups: Groups, seed: int, factors: tuple[float, float]) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, len(groups), 4 ** len(groups[0])))
    state = random_state(4, seed)
    with jax.enable_x64(True):
        values = compiled_values(groups)
        mixed = values(factors[0] * first + factors[1] * second, state)
        apart = factors[0] * values(first, state) + factors[1] * values(second, state)
        bounded = np.asarray(values(first, state))
    np.testing.assert_allclose(mixed, apart, atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(numpy_observable(first, groups, 4))
    assert np.all(eigenvalues[:, 0] - 1e-12 <= bounded)
    assert np.all(bounded <= eigenvalues[:, -1] + 1e-12)


@given(seed=seeds)
@examples(10)
def test_pauli_z_is_the_hermitian_with_coefficients_0001(seed: int) -> None:
    wires = ((2,), (0,))
    state = jnp.asarray(random_state(3, seed))
    hermitian = Hermitian(jnp.tile(jnp.array([0.0, 0.0, 0.0, 1.0]), (2, 1)), wires)
    values = expectation_values(PauliZ(wires), state)
    np.testing.assert_allclose(values, expectation_values(hermitian, state), atol=1e-6)
    assert np.all(np.abs(values) <= 1 + 1e-6)


def test_values_on_many_wires_are_those_of_the_signs() -> None:
    n_wires = 14
    state = random_state(n_wires, 0)
    wires = (12, 0, 5, 6, 7, 5)
    assert len(wires) << n_wires > MOST_SIGNS, "so that each half of the wires has signs of its own"
    expected = signs(n_wires)[list(wires)] @ np.abs(state) ** 2
    values = expectation_values(PauliZ(tuple((wire,) for wire in wires)), jnp.asarray(state, jnp.complex64))
    np.testing.assert_allclose(values, expected, atol=1e-6)
    coefficients = np.random.default_rng(0).normal(size=(len(wires), 4))
    coefficients[:, 1:3] = 0
    hermitian = Hermitian(jnp.asarray(coefficients, jnp.float32), tuple((wire,) for wire in wires))
    values = expectation_values(hermitian, jnp.asarray(state, jnp.complex64))
    np.testing.assert_allclose(values, coefficients[:, 0] + coefficients[:, 3] * expected, atol=1e-6)


def test_wire_zero_is_the_most_significant_bit() -> None:
    state = apply(Circuit(3, (Operation("X", (0,)),)), jnp.zeros(0), jnp.eye(8)[0])
    np.testing.assert_allclose(jnp.abs(state), np.eye(8)[4], atol=1e-6)
    np.testing.assert_allclose(expectation_values(PauliZ(each_wire(3)), state), [-1, 1, 1], atol=1e-6)


def test_arguments_of_the_wrong_size_are_refused() -> None:
    circuit = Circuit(2, (Operation("RX", (0,), (weight(2),)), Operation("RY", (1,), (feature(1),))))
    state = jnp.eye(4)[0]
    with pytest.raises(CircuitError, match="`weights` must have at least 3 entries, but had 2"):
        apply(circuit, jnp.zeros(2), state, jnp.zeros(2))
    with pytest.raises(CircuitError, match="`features` must have at least 2 entries, but had 1"):
        apply(circuit, jnp.zeros(3), state, jnp.zeros(1))
    with pytest.raises(CircuitError, match="`features` must have at least 2 entries, but had 0"):
        unitary(circuit, jnp.zeros(3))
    with pytest.raises(CircuitError, match="`state` must have 4 amplitudes for 2 wires, but had shape"):
        apply(circuit, jnp.zeros(3), jnp.eye(8)[0], jnp.zeros(2))
