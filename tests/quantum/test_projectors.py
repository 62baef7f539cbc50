"""Probabilities and fidelities as observables, against PennyLane and density matrices."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.errors import ArgumentError, CircuitError
from qdistill.quantum import (
    PauliSum,
    basis_probabilities,
    expectation_values,
    measurement_settings,
    product_fidelities,
)

from .strategies import examples, random_state, seeds

N_WIRES = 4
some_wires = st.lists(st.integers(0, N_WIRES - 1), min_size=1, max_size=N_WIRES, unique=True)


def values(observable: PauliSum, state: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(expectation_values(observable, state))


def density(state: np.ndarray, wires: list[int]) -> np.ndarray:
    """The reduced density matrix of some wires, in their order."""
    front = np.moveaxis(state.reshape((2,) * N_WIRES), wires, range(len(wires))).reshape(2 ** len(wires), -1)
    return front @ front.conj().T


@given(wires=some_wires, seed=seeds)
@examples(20)
def test_probabilities_are_those_of_the_reduced_state(wires: list[int], seed: int) -> None:
    state = random_state(N_WIRES, seed)
    exact = np.diagonal(density(state, wires)).real
    np.testing.assert_allclose(values(basis_probabilities(wires), state), exact, atol=1e-13)
    np.testing.assert_allclose(values(basis_probabilities(wires, [1, 0]), state), exact[[1, 0]], atol=1e-13)


def test_probabilities_are_pennylanes() -> None:
    state = random_state(N_WIRES, 1)

    @qml.qnode(qml.device("default.qubit", wires=N_WIRES))
    def expected() -> Any:
        qml.StatePrep(state, wires=range(N_WIRES))
        return qml.probs(wires=[3, 1])

    np.testing.assert_allclose(values(basis_probabilities([3, 1]), state), expected(), atol=1e-12)


@given(wires=some_wires, seed=seeds)
@examples(20)
def test_fidelities_are_those_of_product_states(wires: list[int], seed: int) -> None:
    generator, state = np.random.default_rng(seed), random_state(N_WIRES, seed)
    real, imaginary = generator.normal(size=(2, 3, len(wires), 2))
    amplitudes = real + 1j * imaginary
    amplitudes /= np.linalg.norm(amplitudes, axis=-1, keepdims=True)
    whole = density(state, wires)
    expected = []
    for product in amplitudes:
        vector = np.ones(1)
        for pair in product:
            vector = np.kron(vector, pair)
        expected.append((vector.conj() @ whole @ vector).real)
    np.testing.assert_allclose(values(product_fidelities(wires, amplitudes), state), expected, atol=1e-12)


def test_basis_states_are_products() -> None:
    amplitudes = [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]
    assert product_fidelities((2, 0), amplitudes) == basis_probabilities((2, 0), [1, 3])
    assert basis_probabilities((2, 0), [1, 3]) == basis_probabilities([2, 0], ["01", (1, 1)])
    bits = np.array([[0, 1], [1, 1]])
    for states in (bits, bits.astype(bool), jnp.array(bits), jnp.array(bits, bool), bits.astype(bool).tolist()):
        assert basis_probabilities((2, 0), states) == basis_probabilities((2, 0), [1, 3])


def test_probabilities_take_one_setting_and_no_weights() -> None:
    observable = basis_probabilities(range(6))
    assert len(measurement_settings(observable)) == 1
    assert jax.tree.leaves(observable) == []
    assert observable.n_outputs == 64


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: basis_probabilities(()), "`wires` must be different wires, one at least"),
        (lambda: basis_probabilities((1, 1)), "`wires` must be different wires, one at least"),
        (lambda: basis_probabilities(3), r"`wires` must be wires such as \(0, 3\)"),
        (lambda: basis_probabilities((0, 1), [4]), "`states` must be basis states of 2 wires, such as 3 or '11'"),
        (lambda: basis_probabilities((0, 1), [-1]), "`states` must be basis states of 2 wires"),
        (lambda: basis_probabilities((0, 1), ["012"]), "`states` must be basis states of 2 wires"),
        (lambda: basis_probabilities((0, 1), ["02"]), "`states` must be basis states of 2 wires"),
        (lambda: basis_probabilities((0, 1), [0.5]), "`states` must be basis states of 2 wires"),
        (lambda: basis_probabilities((0, 1), [(0.9, 1.2)]), r"`states` must be basis states of 2 .* \(0\.9, 1\.2\)"),
        (lambda: basis_probabilities((0, 1), np.array([[0.2, 1.7]])), "`states` must be basis states of 2 wires"),
        (lambda: basis_probabilities((0, 1), []), "`strings` must have an output"),
        (lambda: basis_probabilities(range(10)), "at most 262,144 Pauli strings, but this one has 1,048,576"),
        (lambda: basis_probabilities(range(9000)), "at most 262,144 Pauli strings, but this one has about 2"),
        (lambda: product_fidelities((0,), [[1, 0]]), r"`amplitudes` must have shape \(products, 1, 2\)"),
        (lambda: product_fidelities((0,), np.ones((1, 2, 2))), r"`amplitudes` must have shape \(products, 1, 2\)"),
        (lambda: product_fidelities((0,), np.ones((0, 1, 2))), r"`amplitudes` must have shape \(products, 1, 2\)"),
        (lambda: product_fidelities((0,), [[[1, 1]]]), "pairs of norm 1, but one has the squared norm 2"),
        (lambda: product_fidelities((0,), [[[np.nan, 1]]]), "pairs of norm 1, but one has the squared norm nan"),
    ],
)
def test_what_is_no_projector_is_refused(build: Any, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        build()


def test_amplitudes_are_numbers(unchecked: None) -> None:
    with pytest.raises(ArgumentError, match="`amplitudes` must be"):
        product_fidelities((0,), [[["a", "b"]]])
